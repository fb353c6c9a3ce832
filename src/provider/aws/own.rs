//! What several parts need: the shape, the machine they hang on, tags that are set right.

use aws_sdk_ec2::types::{Instance, InstanceStateName, Reservation, Tag};

use super::tags::{self, Tags};
use super::{Aws, error};
use crate::names::Address;
use crate::provider::{AwsShape, InstanceSpec, Owner, ProviderError, Shape};

/// The machine, as far as what hangs on it has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    pub id: String,
    pub zone: String,
    /// Whether it is on its way up and not fit for anything yet.
    pub pending: bool,
    /// The devices that are taken.
    pub devices: Vec<String>,
}

/// The EC2 part of a specification.
pub(super) fn shape(spec: &InstanceSpec) -> Result<&AwsShape, ProviderError> {
    match &spec.shape {
        Shape::Aws(shape) => Ok(shape),
        _ => Err(ProviderError::new(
            "failed to read what the machine shall be: it is not meant for AWS",
        )),
    }
}

/// The owner's machine: by tag, or the one in the state when its tags are gone.
pub(super) async fn machine(aws: &Aws, owner: &Owner) -> Result<Option<Machine>, ProviderError> {
    let recorded = owner.ids.get(&Address::MachineInstance);
    let by_tag = aws
        .ec2
        .describe_instances()
        .set_filters(Some(tags::at(owner, &Address::MachineInstance)));
    let mut found = living(by_tag.send().await.map_err(look)?.reservations());
    if found.is_empty()
        && let Some(id) = recorded
    {
        match aws.ec2.describe_instances().instance_ids(id).send().await {
            Ok(output) => {
                let instances = output.reservations().iter().flat_map(Reservation::instances);
                let ours = instances.filter(|instance| is_nobody_elses(instance.tags(), owner));
                found = ours.filter_map(living_one).collect();
            }
            Err(gone) if is_gone(error::code(&gone)) => {}
            Err(other) => return Err(look(other)),
        }
    }
    // Of several (somebody copied the tags) it is the one that the state knows.
    let place = found.iter().position(|machine| Some(&machine.id) == recorded);
    Ok(match place {
        Some(place) => Some(found.swap_remove(place)),
        None => found.into_iter().next(),
    })
}

fn look<E>(why: aws_sdk_ec2::error::SdkError<E>) -> ProviderError
where
    E: aws_sdk_ec2::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    error::failed("failed to look for the instance", "ec2:DescribeInstances", why)
}

fn living(reservations: &[Reservation]) -> Vec<Machine> {
    let mut machines: Vec<Machine> = reservations
        .iter()
        .flat_map(|reservation| reservation.instances())
        .filter_map(living_one)
        .collect();
    machines.sort_by(|one, other| one.id.cmp(&other.id));
    machines
}

fn living_one(instance: &Instance) -> Option<Machine> {
    let state = instance.state()?.name()?;
    if matches!(state, InstanceStateName::Terminated | InstanceStateName::ShuttingDown) {
        return None;
    }
    let devices = instance.block_device_mappings().iter();
    Some(Machine {
        id: instance.instance_id()?.to_owned(),
        zone: instance.placement()?.availability_zone()?.to_owned(),
        pending: *state == InstanceStateName::Pending,
        devices: devices
            .filter_map(|mapping| mapping.device_name().map(str::to_owned))
            .collect(),
    })
}

/// The machine that a part has to hang on.
pub(super) async fn needed_machine(aws: &Aws, owner: &Owner, what: &str) -> Result<Machine, ProviderError> {
    machine(aws, owner).await?.ok_or_else(|| {
        ProviderError::new(format!("failed to {what}: there is no instance"))
            .with_remedy("somebody terminated it meanwhile: apply again, it is made anew")
    })
}

/// Whether an error code says that a thing is not there: never was, is gone, or is too young to be seen everywhere.
pub(super) fn is_gone(code: Option<&str>) -> bool {
    code.is_some_and(|code| code.ends_with(".NotFound") || code == "InvalidKeyPair.NotFound")
}

/// Whether what the state knows may be taken for ours: without our tags yes, with those of another environment no.
pub(super) fn is_nobody_elses(tags: &[Tag], owner: &Owner) -> bool {
    let lineage = Tags::read(tags).lineage();
    lineage.is_none_or(|lineage| lineage == owner.lineage)
}

/// Brings a resource's tags to what they shall be, with no call when they are.
pub(super) async fn retag(aws: &Aws, id: &str, wanted: &Tags, there: &Tags) -> Result<(), ProviderError> {
    let (set, drop) = wanted.missing(there);
    if !set.is_empty() {
        let request = aws.ec2.create_tags().resources(id).set_tags(Some(set));
        let what = format!("failed to tag {id}");
        request
            .send()
            .await
            .map_err(|why| error::failed(what, "ec2:CreateTags", why))?;
    }
    if !drop.is_empty() {
        let request = aws.ec2.delete_tags().resources(id).set_tags(Some(drop));
        let what = format!("failed to take tags away from {id}");
        request
            .send()
            .await
            .map_err(|why| error::failed(what, "ec2:DeleteTags", why))?;
    }
    Ok(())
}
