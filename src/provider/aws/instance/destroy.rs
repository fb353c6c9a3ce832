//! Taking the machine away.

use std::time::Duration;

use aws_sdk_ec2::types::{
    EbsInstanceBlockDeviceSpecification, Instance as Described, InstanceBlockDeviceMappingSpecification,
    InstanceStateName as State, VolumeState,
};

use super::{all, chosen, describe, id, lives, made_by_us, not_there, root_volume, state};
use crate::note::Say;
use crate::provider::aws::observe::stays;
use crate::provider::aws::wait::{self, Look};
use crate::provider::aws::{Aws, error, tags};
use crate::provider::{Owner, ProviderError};

/// How long a machine may take to end. Until then its network interface holds the firewall and its disks.
const TO_END: Duration = Duration::from_secs(900);

/// Terminates the machine, and what an interrupted run made beside it, and waits until they are gone with their root disks. A
/// volume that is attached beside the root disk stays, whatever somebody set. A machine that somebody else made with a copy
/// of our tags stays too, and is told by [`leftovers`](crate::provider::Provider::leftovers).
///
/// # Errors
/// When one is protected, or does not end in time.
pub async fn destroy(aws: &Aws, owner: &Owner, say: Say<'_>) -> Result<(), ProviderError> {
    let there = all(aws, owner).await?;
    let machine = chosen(owner, &there).map(id);
    let ours = |one: &&Described| state(one) != State::Terminated && (Some(id(one)) == machine || made_by_us(one));
    let doomed: Vec<&Described> = there.iter().filter(ours).collect();
    for machine in doomed.iter().filter(|machine| lives(machine)) {
        spare_volumes(aws, machine).await?;
    }
    for machine in &doomed {
        end(aws, id(machine), say).await?;
    }
    let disks: Vec<&str> = doomed.iter().filter_map(|machine| root_volume(machine)).collect();
    if disks.is_empty() {
        return Ok(());
    }
    wait::until("the root disk to be deleted", TO_END, say, || async {
        let request = aws
            .ec2
            .describe_volumes()
            .filters(tags::filter("volume-id", disks.iter().copied()));
        let failed = |why| error::failed("failed to look for the root disk", "ec2:DescribeVolumes", why);
        let volumes = request.send().await.map_err(failed)?.volumes.unwrap_or_default();
        // One that does not go with its machine is told as left, and not waited for.
        let going = volumes
            .iter()
            .find(|volume| stays(volume) && volume.state() != Some(&VolumeState::Available));
        Ok(match going {
            None => Look::Done(()),
            Some(volume) => Look::NotYet(volume.state().map_or("there", VolumeState::as_str).to_owned()),
        })
    })
    .await
}

/// Terminates one machine and waits for its end.
async fn end(aws: &Aws, machine: &str, say: Say<'_>) -> Result<(), ProviderError> {
    wait::until(&format!("machine.instance to end ({machine})"), TO_END, say, || async {
        let found = describe(aws, tags::filter("instance-id", [machine])).await?;
        let now = found.first().map(state);
        match now {
            None | Some(State::Terminated) => return Ok(Look::Done(())),
            Some(State::ShuttingDown) => {}
            // Again at each look: one that is a moment old may not be known everywhere when it is terminated.
            Some(_) => match aws.ec2.terminate_instances().instance_ids(machine).send().await {
                Ok(_) => {}
                Err(why) if not_there(&why) => {}
                Err(why) => {
                    let what = format!("failed to terminate machine.instance ({machine})");
                    return Err(error::failed(what, "ec2:TerminateInstances", why));
                }
            },
        }
        Ok(Look::NotYet(
            now.map_or_else(String::new, |state| state.as_str().to_owned()),
        ))
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
