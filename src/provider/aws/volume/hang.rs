//! A volume on its instance: put on, taken off, and kept from dying with it.

use std::time::Duration;

use aws_sdk_ec2::types::{
    EbsInstanceBlockDeviceSpecification, InstanceBlockDeviceMappingSpecification, Volume, VolumeAttachment,
    VolumeAttachmentState, VolumeState,
};

use super::{attachment_state, one};
use crate::note::Say;
use crate::provider::aws::own::{Machine, is_gone};
use crate::provider::aws::wait::{self, Look};
use crate::provider::aws::{Aws, error};
use crate::provider::{Owner, ProviderError};

/// How long an attachment may take: the instance may still be on its way up.
const ATTACHED_WITHIN: Duration = Duration::from_secs(300);
/// How long a detachment may take. A running system that has the volume mounted can hold it for ever.
const DETACHED_WITHIN: Duration = Duration::from_secs(300);
/// The devices that AWS recommends for data volumes, the usual one first.
const DEVICES: std::ops::RangeInclusive<char> = 'f'..='p';

/// The attachment that counts: one that is not on its way out already.
pub(super) fn hanging(volume: &Volume) -> Option<&VolumeAttachment> {
    let gone = |attachment: &&VolumeAttachment| {
        matches!(
            attachment.state(),
            Some(VolumeAttachmentState::Detached | VolumeAttachmentState::Detaching)
        )
    };
    volume.attachments().iter().find(|attachment| !gone(attachment))
}

/// Hangs a volume on the machine and sees to it that it does not die with it.
pub(super) async fn attach(
    aws: &Aws,
    owner: &Owner,
    there: &Volume,
    machine: &Machine,
    say: Say<'_>,
) -> Result<(), ProviderError> {
    let id = there.volume_id().unwrap_or_default();
    if let Some(other) = hanging(there).and_then(VolumeAttachment::instance_id)
        && other != machine.id
        && still_there(aws, other).await?
    {
        return Err(taken(id, other, owner));
    }
    let device = device(machine);
    let attached = wait::until(
        "the data volume to hang on the machine",
        ATTACHED_WITHIN,
        say,
        || async {
            let Some(there) = one(aws, id).await? else {
                return Ok(Look::NotYet("not seen yet".to_owned()));
            };
            match attachment_state(&there, &machine.id) {
                Some(VolumeAttachmentState::Attached) => return Ok(Look::Done(there)),
                Some(state) if state != VolumeAttachmentState::Detached => {
                    return Ok(Look::NotYet(state.as_str().to_owned()));
                }
                _ => {}
            }
            let request = aws
                .ec2
                .attach_volume()
                .volume_id(id)
                .instance_id(&machine.id)
                .device(&device);
            match request.send().await {
                Ok(_) => Ok(Look::NotYet("attaching".to_owned())),
                // The instance is pending, or the one before has not let go yet.
                Err(early)
                    if matches!(
                        error::code(&early),
                        Some("IncorrectState" | "IncorrectInstanceState" | "VolumeInUse")
                    ) =>
                {
                    let holder = hanging(&there)
                        .and_then(VolumeAttachment::instance_id)
                        .unwrap_or("nothing");
                    Ok(Look::NotYet(format!("not to be had (it hangs on {holder})")))
                }
                Err(early) if is_gone(error::code(&early)) => Ok(Look::NotYet("not seen yet".to_owned())),
                Err(other) => {
                    let what = format!("failed to hang the data volume {id} on {}", machine.id);
                    Err(error::failed(what, "ec2:AttachVolume", other))
                }
            }
        },
    )
    .await?;
    outlive(aws, &attached, machine).await
}

/// Takes the volume off whatever of ours it hangs on; waits until it is free.
pub(super) async fn detach(
    aws: &Aws,
    owner: &Owner,
    there: &Volume,
    machine: Option<&Machine>,
    say: Say<'_>,
) -> Result<(), ProviderError> {
    let id = there.volume_id().unwrap_or_default();
    if let Some(holder) = hanging(there).and_then(VolumeAttachment::instance_id) {
        let ours = machine.is_some_and(|machine| machine.id == holder);
        if !ours && still_there(aws, holder).await? {
            return Err(taken(id, holder, owner));
        }
        match aws.ec2.detach_volume().volume_id(id).instance_id(holder).send().await {
            Ok(_) => {}
            // Let go of meanwhile.
            Err(gone) if error::code(&gone) == Some("IncorrectState") || is_gone(error::code(&gone)) => {}
            Err(other) => {
                let what = format!("failed to take the data volume {id} off {holder}");
                return Err(error::failed(what, "ec2:DetachVolume", other));
            }
        }
    }
    let remedy =
        "a running system holds a volume that it has mounted: unmount it there or stop the instance, then run it again";
    wait::until_or(remedy, "the data volume to be free", DETACHED_WITHIN, say, || async {
        match one(aws, id).await? {
            None => Ok(Look::Done(())),
            Some(there) => match there.state() {
                Some(VolumeState::Available | VolumeState::Error | VolumeState::Deleting) => Ok(Look::Done(())),
                state => Ok(Look::NotYet(
                    state.map_or("in no state", VolumeState::as_str).to_owned(),
                )),
            },
        }
    })
    .await
}

/// The first device that is free; the kernel gives it another name in any case.
fn device(machine: &Machine) -> String {
    DEVICES
        .map(|letter| format!("/dev/sd{letter}"))
        .find(|device| !machine.devices.contains(device))
        .unwrap_or_else(|| "/dev/sdf".to_owned())
}

async fn outlive(aws: &Aws, volume: &Volume, machine: &Machine) -> Result<(), ProviderError> {
    let Some(attachment) = hanging(volume).filter(|attachment| attachment.delete_on_termination() == Some(true)) else {
        return Ok(());
    };
    let keep = EbsInstanceBlockDeviceSpecification::builder()
        .delete_on_termination(false)
        .build();
    let mapping = InstanceBlockDeviceMappingSpecification::builder()
        .set_device_name(attachment.device().map(str::to_owned))
        .ebs(keep)
        .build();
    let request = aws
        .ec2
        .modify_instance_attribute()
        .instance_id(&machine.id)
        .block_device_mappings(mapping);
    let id = volume.volume_id().unwrap_or_default();
    let what = format!("failed to keep the data volume {id} from dying with {}", machine.id);
    request
        .send()
        .await
        .map_err(|why| error::failed(what, "ec2:ModifyInstanceAttribute", why))?;
    Ok(())
}

/// Whether an instance still lives, so that what hangs on it is in use. One that is terminated lets go by itself.
async fn still_there(aws: &Aws, instance: &str) -> Result<bool, ProviderError> {
    match aws.ec2.describe_instances().instance_ids(instance).send().await {
        Ok(output) => Ok(output
            .reservations()
            .iter()
            .flat_map(|reservation| reservation.instances())
            .filter_map(|instance| instance.state()?.name())
            .any(|state| !matches!(state.as_str(), "terminated" | "shutting-down"))),
        Err(gone) if is_gone(error::code(&gone)) => Ok(false),
        Err(other) => {
            let what = format!("failed to look at {instance}, on which the data volume hangs");
            Err(error::failed(what, "ec2:DescribeInstances", other))
        }
    }
}

fn taken(id: &str, holder: &str, owner: &Owner) -> ProviderError {
    ProviderError::new(format!(
        "failed to take the data volume {id}: it hangs on {holder}, which is not the machine of {}",
        owner.environment
    ))
    .with_remedy(format!(
        "nothing is taken from another machine: unmount it there, `aws ec2 detach-volume --volume-id {id}`, then run it again"
    ))
}
