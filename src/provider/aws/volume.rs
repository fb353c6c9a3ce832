//! `machine.volume`: the data volume, which outlives the instance.
//!
//! Nothing here makes a snapshot, takes a volume from another instance by force, or deletes more than the one it was asked to.

mod change;
mod hang;
mod make;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ec2::types::{Volume, VolumeAttachmentState, VolumeState, VolumeType};

pub(super) use change::is_growing_to;

use super::own::{is_gone, is_nobody_elses, machine, needed_machine, retag, shape};
use super::tags::{self, ENCRYPTION, Tags};
use super::wait::{self, Look};
use super::{Aws, error};
use crate::names::Address;
use crate::note::Say;
use crate::provider::spec::ATTACHED;
use crate::provider::{Attributes, InstanceSpec, Owner, Part, ProviderError};

/// How long a deleted one may still be seen.
const DELETED_WITHIN: Duration = Duration::from_secs(300);
/// What every gp3 volume has without being paid for (EBS, General Purpose SSD).
const BASELINE: (i32, i32) = (3000, 125);

/// What observation tells of a data volume. `instance` is the owner's machine.
pub(super) fn part(described: &Volume, owner: &Owner, instance: Option<&str>) -> Part {
    let tags = Tags::read(described.tags());
    let encryption = match (described.encrypted(), tags.get(ENCRYPTION), described.kms_key_id()) {
        (Some(true), Some(asked), _) => asked,
        (Some(true), None, Some(key)) => key,
        (Some(true), None, None) => "another key",
        _ => "none",
    };
    let mut attributes = Attributes::from([("encryption".to_owned(), encryption.to_owned())]);
    let mut tell = |key: &str, value: Option<String>| {
        attributes.extend(value.map(|value| (key.to_owned(), value)));
    };
    tell("size_gib", described.size().map(|gib| gib.to_string()));
    // What is not asked for is told only when it is not as we make it.
    tell("type", strange_type(described).map(|kind| kind.as_str().to_owned()));
    if strange_type(described).is_none() {
        let (iops, throughput) = BASELINE;
        tell(
            "iops",
            described
                .iops()
                .filter(|now| *now != iops && *now != 0)
                .map(|now| now.to_string()),
        );
        let strange = described.throughput().filter(|now| *now != throughput && *now != 0);
        tell("throughput", strange.map(|now| now.to_string()));
    }
    if let Some(hanging) = hang::hanging(described) {
        let ours = hanging.instance_id() == instance;
        let on = if ours {
            Address::MachineInstance.to_string()
        } else {
            hanging.instance_id().unwrap_or_default().to_owned()
        };
        tell(ATTACHED, Some(on));
        tell(
            "dies_with_instance",
            hanging
                .delete_on_termination()
                .filter(|dies| *dies)
                .map(|_| "yes".to_owned()),
        );
    }
    tell("tags", tags.shown(owner));
    let zone = described
        .availability_zone()
        .map(|zone| ("zone".to_owned(), zone.to_owned()));
    Part {
        id: described.volume_id().unwrap_or_default().to_owned(),
        attributes,
        facts: BTreeMap::from_iter(zone),
    }
}

fn strange_type(described: &Volume) -> Option<&VolumeType> {
    described.volume_type().filter(|kind| **kind != VolumeType::Gp3)
}

/// Makes the volume or takes the one that is there, brings it to its size and hangs it on the machine.
pub(super) async fn ensure(aws: &Aws, owner: &Owner, spec: &InstanceSpec, say: Say<'_>) -> Result<Part, ProviderError> {
    let shape = shape(spec)?;
    let Some(gib) = spec.volume_gib else {
        return Err(ProviderError::new("failed to make a data volume: none is asked for"));
    };
    let gib = i32::try_from(gib).map_err(|why| ProviderError::new("failed to make a data volume").because(why))?;
    let machine = needed_machine(aws, owner, "hang the data volume on the machine").await?;
    let there = match find(aws, owner).await? {
        Some(there) => there,
        None => make::create(aws, owner, spec, shape, gib, &machine, say).await?,
    };
    let id = there.volume_id().unwrap_or_default().to_owned();
    if there.availability_zone().is_some_and(|zone| zone != machine.zone) {
        return Err(ProviderError::new(format!(
            "failed to hang the data volume {id} on {}: it is in the zone {}, the instance in {}",
            machine.id,
            there.availability_zone().unwrap_or_default(),
            machine.zone
        ))
        .with_remedy(
            "write a `subnet` of the volume's zone under [machine.aws]: the instance is replaced, the volume is kept",
        ));
    }
    let wanted = Tags::of(owner, &Address::MachineVolume, spec);
    // How it is encrypted was decided when it was made.
    retag(aws, &id, &wanted, &Tags::read(there.tags())).await?;
    let there = make::ready(aws, &id, say).await?;
    change::to_size(aws, &there, gib, say).await?;
    hang::attach(aws, owner, &there, &machine, say).await?;
    let now = one(aws, &id).await?.ok_or_else(|| vanished(&id))?;
    Ok(part(&now, owner, Some(&machine.id)))
}

/// Takes it off and deletes it, with all that is on it.
pub(super) async fn remove(aws: &Aws, owner: &Owner, say: Say<'_>) -> Result<(), ProviderError> {
    let Some(there) = find(aws, owner).await? else {
        return Ok(());
    };
    let id = there.volume_id().unwrap_or_default().to_owned();
    let machine = machine(aws, owner).await?;
    hang::detach(aws, owner, &there, machine.as_ref(), say).await?;
    wait::until("the data volume to be deleted", DELETED_WITHIN, say, || async {
        let Some(there) = one(aws, &id).await? else {
            return Ok(Look::Done(()));
        };
        if there.state() == Some(&VolumeState::Deleting) {
            return Ok(Look::NotYet("being deleted".to_owned()));
        }
        match aws.ec2.delete_volume().volume_id(&id).send().await {
            Ok(_) => Ok(Look::NotYet("being deleted".to_owned())),
            Err(gone) if is_gone(error::code(&gone)) => Ok(Look::Done(())),
            Err(busy) if error::code(&busy) == Some("VolumeInUse") => Ok(Look::NotYet("still in use".to_owned())),
            Err(other) => {
                let what = format!("failed to delete the data volume {id}");
                Err(error::failed(what, "ec2:DeleteVolume", other))
            }
        }
    })
    .await
}

/// The owner's data volume. Two of them are nobody's choice but the person's: there may be data on either.
async fn find(aws: &Aws, owner: &Owner) -> Result<Option<Volume>, ProviderError> {
    let recorded = owner.ids.get(&Address::MachineVolume);
    let by_tag = aws
        .ec2
        .describe_volumes()
        .set_filters(Some(tags::at(owner, &Address::MachineVolume)));
    let answer = by_tag.send().await.map_err(look)?;
    let mut found: Vec<Volume> = answer.volumes.unwrap_or_default().into_iter().filter(lives).collect();
    if found.is_empty() {
        return match recorded {
            Some(id) => Ok(one(aws, id)
                .await?
                .filter(|volume| lives(volume) && is_nobody_elses(volume.tags(), owner))),
            None => Ok(None),
        };
    }
    if let Some(place) = found
        .iter()
        .position(|volume| volume.volume_id() == recorded.map(String::as_str))
    {
        return Ok(Some(found.swap_remove(place)));
    }
    if found.len() > 1 {
        let mut ids: Vec<&str> = found.iter().filter_map(|volume| volume.volume_id()).collect();
        ids.sort_unstable();
        return Err(ProviderError::new(format!(
            "failed to choose the data volume of {}: {} bear its tags",
            owner.machine_name(),
            ids.join(" and ")
        ))
        .with_remedy(format!(
            "take the tag {} away from the one that is not it: nothing is lost by that",
            tags::LINEAGE
        )));
    }
    Ok(found.pop())
}

/// One volume as it is now; none when it is gone.
async fn one(aws: &Aws, id: &str) -> Result<Option<Volume>, ProviderError> {
    match aws.ec2.describe_volumes().volume_ids(id).send().await {
        Ok(output) => Ok(output
            .volumes
            .unwrap_or_default()
            .into_iter()
            .find(|volume| volume.state() != Some(&VolumeState::Deleted))),
        Err(gone) if is_gone(error::code(&gone)) => Ok(None),
        Err(other) => Err(look(other)),
    }
}

fn look<E>(why: aws_sdk_ec2::error::SdkError<E>) -> ProviderError
where
    E: aws_sdk_ec2::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    error::failed("failed to look for the data volume", "ec2:DescribeVolumes", why)
}

fn lives(volume: &Volume) -> bool {
    !matches!(volume.state(), Some(VolumeState::Deleted | VolumeState::Deleting))
}

fn vanished(id: &str) -> ProviderError {
    ProviderError::new(format!("failed to look at the data volume {id}: it is gone"))
        .with_remedy("somebody deleted it meanwhile: look whether a snapshot of it exists before you apply again")
}

/// The state of the attachment to one instance.
fn attachment_state(volume: &Volume, instance: &str) -> Option<VolumeAttachmentState> {
    let attachment = volume
        .attachments()
        .iter()
        .find(|attachment| attachment.instance_id() == Some(instance))?;
    attachment.state().cloned()
}
