//! Making the machine, or going on where an interrupted call ended.

use std::time::Duration;

use aws_sdk_ec2::types::Instance as Described;
use futures_util::future::try_join4;

use super::launch::{self, Launch};
use super::{all, chosen, id, lives, made_by_us, run, shape_of, user_data};
use crate::names::Address;
use crate::note::{Note, Say};
use crate::provider::aws::tags::{self, Tags};
use crate::provider::aws::wait::{self, Look};
use crate::provider::aws::{Aws, error, image};
use crate::provider::{AwsShape, Instance, InstanceSpec, Owner, ProviderError};

/// How long what was made a moment ago may take to be seen everywhere. AWS names no bound; seconds are usual.
pub const TO_BE_SEEN: Duration = Duration::from_secs(60);

/// See [`crate::provider::Provider::create`].
///
/// # Errors
/// When there is no place, image, firewall or capacity, or the machine does not come up.
pub async fn create(
    aws: &Aws,
    owner: &Owner,
    spec: &InstanceSpec,
    generation: u64,
    say: Say<'_>,
) -> Result<Instance, ProviderError> {
    let there = all(aws, owner).await?;
    if let Some(machine) = chosen(owner, &there) {
        remove_surplus(aws, id(machine), generation, &there, say).await?;
        return run(aws, owner, id(machine), say).await;
    }
    let Prepared {
        user_data,
        image,
        group,
        key,
        places,
    } = prepare(aws, owner, spec, say).await?;
    let launch = Launch {
        owner,
        spec,
        shape: shape_of(spec)?,
        generation,
        user_data,
        image,
        group,
        key,
        // A token gives the machine that was made with it, also when that one is dead.
        dead: there
            .iter()
            .filter(|machine| !lives(machine) && is_of(machine, generation))
            .map(|machine| id(machine).to_owned())
            .collect(),
    };
    let made = launch::launch(aws, launch, &places, say).await?;
    run(aws, owner, &made, say).await
}

/// All that has to be found before a machine can be made.
struct Prepared {
    user_data: String,
    image: image::Image,
    group: String,
    key: String,
    places: Vec<super::placement::Place>,
}

/// Looks whether a machine could be made: what cannot be is told while the one before is still there.
///
/// # Errors
/// When there is no place, image or firewall, or something does not fit.
pub async fn check(aws: &Aws, owner: &Owner, spec: &InstanceSpec, say: Say<'_>) -> Result<(), ProviderError> {
    prepare(aws, owner, spec, say).await.map(drop)
}

async fn prepare(aws: &Aws, owner: &Owner, spec: &InstanceSpec, say: Say<'_>) -> Result<Prepared, ProviderError> {
    let shape = shape_of(spec)?;
    // Before anything is asked: no answer would change it.
    let user_data = user_data::encode(&spec.user_data)?;
    let size = async {
        let size = image::size(aws, &shape.size).await?;
        let image = image::resolve(aws, shape, &size).await?;
        Ok((size, image))
    };
    let ((size, image), places, group, key) = try_join4(
        size,
        super::placement::places(aws, owner, shape),
        firewall(aws, owner, say),
        key(aws, owner, say),
    )
    .await?;
    fits(shape, spec, &size, &image)?;
    let places: Vec<_> = places.into_iter().filter(|place| place.vpc == group.1).collect();
    if places.is_empty() {
        return Err(ProviderError::new(format!(
            "failed to place machine.instance: its firewall is in {} and its subnet is not",
            group.1
        ))
        .with_remedy("an environment stays in its VPC: write a `subnet` of that one, or destroy it and apply again"));
    }
    Ok(Prepared {
        user_data,
        image,
        group: group.0,
        key,
        places,
    })
}

/// What AWS would refuse with less to go by.
fn fits(shape: &AwsShape, spec: &InstanceSpec, size: &image::Size, image: &image::Image) -> Result<(), ProviderError> {
    if let Some(gib) = spec.disk_gib.filter(|gib| *gib < image.least_gib) {
        return Err(ProviderError::new(format!(
            "failed to make machine.instance: its disk has {gib} GiB and the image {} needs {}",
            image.name, image.least_gib
        ))
        .with_remedy(format!("write `disk_gib = {}` or more", image.least_gib)));
    }
    if shape.cpu_credits.is_some() && !size.burstable {
        return Err(ProviderError::new(format!(
            "failed to make machine.instance: {} has no CPU credits",
            shape.size
        ))
        .with_remedy("leave `cpu_credits` out, or write a burstable size, such as \"t3.small\""));
    }
    Ok(())
}

/// The security group and its VPC. It is made right before the machine, so it may not be seen yet.
async fn firewall(aws: &Aws, owner: &Owner, say: Say<'_>) -> Result<(String, String), ProviderError> {
    wait::until("machine.firewall to be seen", TO_BE_SEEN, say, || async {
        let mut filters = vec![tags::at(owner, &Address::MachineFirewall)];
        if let Some(id) = owner.ids.get(&Address::MachineFirewall) {
            filters.push(vec![tags::filter("group-id", [id])]);
        }
        for filters in filters {
            let request = aws.ec2.describe_security_groups().set_filters(Some(filters));
            let failed = |why| error::failed("failed to look for machine.firewall", "ec2:DescribeSecurityGroups", why);
            let groups = request
                .send()
                .await
                .map_err(failed)?
                .security_groups
                .unwrap_or_default();
            if let Some(group) = groups.into_iter().next()
                && let (Some(id), Some(vpc)) = (group.group_id, group.vpc_id)
            {
                return Ok(Look::Done((id, vpc)));
            }
        }
        Ok(Look::NotYet("not there".to_owned()))
    })
    .await
}

/// The name of the key pair.
async fn key(aws: &Aws, owner: &Owner, say: Say<'_>) -> Result<String, ProviderError> {
    wait::until("machine.key to be seen", TO_BE_SEEN, say, || async {
        let mut filters = vec![tags::at(owner, &Address::MachineKey)];
        if let Some(id) = owner.ids.get(&Address::MachineKey) {
            filters.push(vec![tags::filter("key-pair-id", [id])]);
        }
        for filters in filters {
            let request = aws.ec2.describe_key_pairs().set_filters(Some(filters));
            let failed = |why| error::failed("failed to look for machine.key", "ec2:DescribeKeyPairs", why);
            let keys = request.send().await.map_err(failed)?.key_pairs.unwrap_or_default();
            if let Some(name) = keys.into_iter().find_map(|key| key.key_name) {
                return Ok(Look::Done(name));
            }
        }
        Ok(Look::NotYet("not there".to_owned()))
    })
    .await
}

/// Takes away what this very step made twice. That can only be when a call was repeated while its machine was not to be seen
/// yet and its zone had no room any more.
async fn remove_surplus(
    aws: &Aws,
    keep: &str,
    generation: u64,
    there: &[Described],
    say: Say<'_>,
) -> Result<(), ProviderError> {
    let surplus: Vec<String> = there
        .iter()
        .filter(|machine| lives(machine) && id(machine) != keep && made_by_us(machine))
        .filter(|machine| is_of(machine, generation))
        .map(|machine| id(machine).to_owned())
        .collect();
    if surplus.is_empty() {
        return Ok(());
    }
    say(Note::Warning(format!(
        "an interrupted run made the machine twice: {keep} is kept, {} is terminated",
        surplus.join(", ")
    )));
    let request = aws.ec2.terminate_instances().set_instance_ids(Some(surplus));
    let failed = |why| error::failed("failed to terminate a surplus machine", "ec2:TerminateInstances", why);
    request.send().await.map(|_| ()).map_err(failed)
}

/// Whether it is the owner's machine of this count.
fn is_of(machine: &Described, generation: u64) -> bool {
    Tags::read(machine.tags()).get(tags::GENERATION) == Some(&generation.to_string())
}
