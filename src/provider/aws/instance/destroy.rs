//! Taking the machine away.

use std::time::Duration;

use aws_sdk_ec2::types::{
    EbsInstanceBlockDeviceSpecification, Instance as Described, InstanceBlockDeviceMappingSpecification,
    InstanceStateName as State,
};

use super::{all, id, lives, not_there, state};
use crate::note::Say;
use crate::provider::aws::wait::{self, Look};
use crate::provider::aws::{Aws, error};
use crate::provider::{Owner, ProviderError};

/// How long a machine may take to end. Until then its network interface holds the firewall and its disks.
const TO_END: Duration = Duration::from_secs(900);

/// Terminates every machine of this owner and waits until all of them are gone. A volume that is attached beside the root
/// disk stays, whatever somebody set.
///
/// # Errors
/// When one is protected, or does not end in time.
pub async fn destroy(aws: &Aws, owner: &Owner, say: Say<'_>) -> Result<(), ProviderError> {
    let there = all(aws, owner).await?;
    for machine in there.iter().filter(|machine| lives(machine)) {
        spare_volumes(aws, machine).await?;
        match aws.ec2.terminate_instances().instance_ids(id(machine)).send().await {
            Ok(_) => {}
            Err(why) if not_there(&why) => {}
            Err(why) => {
                let what = format!("failed to terminate machine.instance ({})", id(machine));
                return Err(error::failed(what, "ec2:TerminateInstances", why));
            }
        }
    }
    if there.iter().all(|machine| state(machine) == State::Terminated) {
        return Ok(());
    }
    wait::until("machine.instance to end", TO_END, say, || async {
        let left = all(aws, owner).await?;
        let going = left.iter().find(|machine| state(machine) != State::Terminated);
        Ok(match going {
            None => Look::Done(()),
            Some(machine) => Look::NotYet(format!("{} ({})", state(machine).as_str(), id(machine))),
        })
    })
    .await
}

/// Makes sure that no disk but the root one goes with the machine.
async fn spare_volumes(aws: &Aws, machine: &Described) -> Result<(), ProviderError> {
    let root = machine.root_device_name();
    let doomed: Vec<InstanceBlockDeviceMappingSpecification> = machine
        .block_device_mappings()
        .iter()
        .filter(|mapping| mapping.device_name() != root)
        .filter(|mapping| mapping.ebs().and_then(|disk| disk.delete_on_termination()) == Some(true))
        .filter_map(|mapping| {
            let spared = EbsInstanceBlockDeviceSpecification::builder()
                .delete_on_termination(false)
                .build();
            let builder = InstanceBlockDeviceMappingSpecification::builder();
            Some(builder.device_name(mapping.device_name()?).ebs(spared).build())
        })
        .collect();
    if doomed.is_empty() {
        return Ok(());
    }
    let request = aws.ec2.modify_instance_attribute().instance_id(id(machine));
    let failed = |why| {
        let what = format!("failed to keep the volumes of {} from going with it", id(machine));
        error::failed(what, "ec2:ModifyInstanceAttribute", why)
    };
    request
        .set_block_device_mappings(Some(doomed))
        .send()
        .await
        .map(|_| ())
        .map_err(failed)
}
