//! Changing the machine in place: only what differs is called, and it is stopped for its size alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_ec2::types::{
    AttributeValue, HttpTokensState, IamInstanceProfileAssociationState as Association, Instance as Described,
    InstanceCreditSpecificationRequest, InstanceLifecycleType, InstanceMetadataEndpointState,
    InstanceStateName as State, Tag, Volume, VolumeModificationState,
};

use super::launch::{credits_word, instance_profile, machine_tags, root_tags};
use super::{describe, id, needed, run, seen, shape_of, state};
use crate::names::Address;
use crate::note::{Note, Say};
use crate::provider::aws::tags::{self, Tags};
use crate::provider::aws::wait::{self, Look};
use crate::provider::aws::{Aws, error, image};
use crate::provider::{AwsShape, Instance, InstanceSpec, Owner, ProviderError};

/// How long a machine may take to stop: EC2 takes its power away after some minutes when it does not end by itself.
const TO_STOP: Duration = Duration::from_secs(900);
/// How long a disk may take until its new size can be used; AWS says seconds to minutes.
const TO_GROW: Duration = Duration::from_secs(900);
/// How long an instance profile may take to be on or off.
const TO_ASSOCIATE: Duration = Duration::from_secs(120);

/// See [`crate::provider::Provider::resize`].
///
/// # Errors
/// When there is no machine, or a change is refused; the machine is started again then, where it can be.
pub async fn resize(aws: &Aws, owner: &Owner, spec: &InstanceSpec, say: Say<'_>) -> Result<Instance, ProviderError> {
    let shape = shape_of(spec)?;
    let machine = needed(aws, owner, "change").await?;
    let root = seen::root_of(aws, &machine).await?;
    // First what can be refused, then what takes the machine down.
    let other_size = machine.instance_type().is_some_and(|size| size.as_str() != shape.size);
    if other_size {
        may_have_size(aws, &machine, shape).await?;
    }
    tags_and_end(aws, owner, spec, shape, &machine, root.as_ref()).await?;
    metadata(aws, &machine).await?;
    profile(aws, &machine, shape, say).await?;
    if let Some(root) = &root {
        let restarts = other_size || state(&machine) == State::Stopped;
        disk(aws, root, spec, restarts, say).await?;
    }
    if other_size {
        size(aws, id(&machine), shape, say).await?;
    }
    credits(aws, &machine, shape).await?;
    run(aws, owner, id(&machine), say).await
}

/// What would fail after the machine was stopped.
async fn may_have_size(aws: &Aws, machine: &Described, shape: &AwsShape) -> Result<(), ProviderError> {
    let what = format!("failed to make machine.instance a {}", shape.size);
    if machine.instance_lifecycle() == Some(&InstanceLifecycleType::Spot) {
        return Err(
            ProviderError::new(format!("{what}: a spot machine cannot be stopped")).with_remedy(
                "write the old size; or write `spot = false` with the new one, which makes the machine anew",
            ),
        );
    }
    let size = image::size(aws, &shape.size).await?;
    let architecture = machine.architecture().map_or("", |architecture| architecture.as_str());
    if architecture != size.architecture {
        return Err(ProviderError::new(format!(
            "{what}: its disk is for {architecture}, and this size is {}",
            size.architecture
        ))
        .with_remedy(
            "write a size of the same architecture; for another one destroy the environment and apply again",
        ));
    }
    Ok(())
}

async fn size(aws: &Aws, id: &str, shape: &AwsShape, say: Say<'_>) -> Result<(), ProviderError> {
    stop(aws, id, say).await?;
    let value = AttributeValue::builder().value(&shape.size).build();
    let request = aws.ec2.modify_instance_attribute().instance_id(id).instance_type(value);
    if let Err(why) = request.send().await {
        let what = format!("failed to make machine.instance a {}", shape.size);
        let failed = error::failed(what, "ec2:ModifyInstanceAttribute", why);
        // It was running: a size that cannot be is no reason to leave it off.
        let _ = super::until_running(aws, id, say).await;
        return Err(failed);
    }
    Ok(())
}

async fn stop(aws: &Aws, id: &str, say: Say<'_>) -> Result<(), ProviderError> {
    let told = AtomicBool::new(false);
    wait::until(&format!("machine.instance to stop ({id})"), TO_STOP, say, || async {
        let Some(machine) = describe(aws, tags::filter("instance-id", [id]))
            .await?
            .into_iter()
            .next()
        else {
            return Ok(Look::NotYet("not to be seen".to_owned()));
        };
        match state(&machine) {
            State::Stopped => return Ok(Look::Done(())),
            State::Terminated | State::ShuttingDown => return Err(super::dead(&machine)),
            State::Running if !told.load(Ordering::Relaxed) => {
                let failed = |why| {
                    error::failed(
                        format!("failed to stop machine.instance ({id})"),
                        "ec2:StopInstances",
                        why,
                    )
                };
                aws.ec2.stop_instances().instance_ids(id).send().await.map_err(failed)?;
                told.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
        Ok(Look::NotYet(state(&machine).as_str().to_owned()))
    })
    .await
}

/// Grows the root disk as it runs. Its file system grows when cloud-init looks at it, which is at every boot.
async fn disk(
    aws: &Aws,
    root: &Volume,
    spec: &InstanceSpec,
    restarts: bool,
    say: Say<'_>,
) -> Result<(), ProviderError> {
    let wanted = i32::try_from(spec.disk_gib).unwrap_or(i32::MAX);
    let Some(volume) = root.volume_id().filter(|_| root.size().is_some_and(|gib| gib < wanted)) else {
        return Ok(());
    };
    let what = format!("failed to grow the root disk ({volume}) to {wanted} GiB");
    if let Err(why) = aws.ec2.modify_volume().volume_id(volume).size(wanted).send().await {
        let too_soon = matches!(
            error::code(&why),
            Some("VolumeModificationRateExceeded" | "IncorrectModificationState")
        );
        let failed = error::failed(&what, "ec2:ModifyVolume", why);
        return Err(if too_soon {
            failed.with_remedy(
                "AWS changes a disk once in six hours, and not while a change is under way: run it again later",
            )
        } else {
            failed
        });
    }
    grown(aws, volume, say).await?;
    if !restarts {
        say(Note::Warning(format!(
            "the root disk has {wanted} GiB; its file system grows when the machine starts the next time"
        )));
    }
    Ok(())
}

/// Waits until a volume's new size can be used; what comes after is only slow, and may take hours.
///
/// # Errors
/// When the change fails.
async fn grown(aws: &Aws, volume: &str, say: Say<'_>) -> Result<(), ProviderError> {
    wait::until(&format!("{volume} to grow"), TO_GROW, say, || async {
        let request = aws
            .ec2
            .describe_volumes_modifications()
            .filters(tags::filter("volume-id", [volume]));
        let action = "ec2:DescribeVolumesModifications";
        let failed = |why| error::failed(format!("failed to look at the growth of {volume}"), action, why);
        let changes = request
            .send()
            .await
            .map_err(failed)?
            .volumes_modifications
            .unwrap_or_default();
        let Some(change) = changes
            .into_iter()
            .max_by_key(|change| change.start_time.map(|time| time.secs()))
        else {
            return Ok(Look::NotYet("not begun".to_owned()));
        };
        match change.modification_state() {
            Some(VolumeModificationState::Optimizing | VolumeModificationState::Completed) => Ok(Look::Done(())),
            Some(VolumeModificationState::Failed) => Err(ProviderError::new(format!(
                "failed to grow {volume}: {}",
                change.status_message().unwrap_or("no reason was given")
            ))
            .with_remedy("run it again")),
            other => Ok(Look::NotYet(other.map_or("unknown", |state| state.as_str()).to_owned())),
        }
    })
    .await
}

async fn metadata(aws: &Aws, machine: &Described) -> Result<(), ProviderError> {
    let right = machine.metadata_options().is_none_or(|options| {
        options.http_tokens() == Some(&HttpTokensState::Required)
            && options.http_put_response_hop_limit() == Some(1)
            && options.http_endpoint() != Some(&InstanceMetadataEndpointState::Disabled)
    });
    if right {
        return Ok(());
    }
    let request = aws
        .ec2
        .modify_instance_metadata_options()
        .instance_id(id(machine))
        .http_tokens(HttpTokensState::Required)
        .http_put_response_hop_limit(1)
        .http_endpoint(InstanceMetadataEndpointState::Enabled);
    let failed = |why| {
        let action = "ec2:ModifyInstanceMetadataOptions";
        error::failed("failed to set the metadata options of machine.instance", action, why)
    };
    request.send().await.map(|_| ()).map_err(failed)
}

async fn profile(aws: &Aws, machine: &Described, shape: &AwsShape, say: Say<'_>) -> Result<(), ProviderError> {
    let arn = machine.iam_instance_profile().and_then(|profile| profile.arn());
    let right = match (arn, &shape.instance_profile) {
        (None, None) => true,
        (Some(arn), Some(asked)) => seen::is_profile(arn, asked),
        _ => false,
    };
    if right {
        return Ok(());
    }
    let what = "failed to change the instance profile of machine.instance";
    let there = associated(aws, id(machine)).await?;
    match (there, &shape.instance_profile) {
        (Some(there), Some(wanted)) => {
            let request = aws
                .ec2
                .replace_iam_instance_profile_association()
                .association_id(there)
                .iam_instance_profile(instance_profile(wanted));
            let failed = |why| error::failed(what, "ec2:ReplaceIamInstanceProfileAssociation", why);
            request.send().await.map_err(failed)?;
        }
        (Some(there), None) => {
            let request = aws.ec2.disassociate_iam_instance_profile().association_id(there);
            let failed = |why| error::failed(what, "ec2:DisassociateIamInstanceProfile", why);
            request.send().await.map_err(failed)?;
        }
        (None, Some(wanted)) => {
            let profile = instance_profile(wanted);
            let request = aws.ec2.associate_iam_instance_profile();
            let request = request.instance_id(id(machine)).iam_instance_profile(profile);
            let failed = |why| error::failed(what, "ec2:AssociateIamInstanceProfile", why);
            request.send().await.map_err(failed)?;
        }
        (None, None) => {}
    }
    let wanted = shape.instance_profile.as_deref();
    wait::until("the instance profile to change", TO_ASSOCIATE, say, || async {
        let now = describe(aws, tags::filter("instance-id", [id(machine)])).await?;
        let arn = now.first().and_then(|machine| machine.iam_instance_profile()?.arn());
        Ok(match (arn, wanted) {
            (None, None) => Look::Done(()),
            (Some(arn), Some(wanted)) if seen::is_profile(arn, wanted) => Look::Done(()),
            (arn, _) => Look::NotYet(arn.unwrap_or("without").to_owned()),
        })
    })
    .await
}

/// The association of the instance's profile.
async fn associated(aws: &Aws, id: &str) -> Result<Option<String>, ProviderError> {
    let request = aws.ec2.describe_iam_instance_profile_associations();
    let request = request.filters(tags::filter("instance-id", [id]));
    let action = "ec2:DescribeIamInstanceProfileAssociations";
    let failed = |why| error::failed("failed to look for the instance profile", action, why);
    let found = request
        .send()
        .await
        .map_err(failed)?
        .iam_instance_profile_associations
        .unwrap_or_default();
    let lives = |state: Option<&Association>| matches!(state, Some(Association::Associated | Association::Associating));
    Ok(found
        .into_iter()
        .find(|one| lives(one.state()))
        .and_then(|one| one.association_id))
}

async fn credits(aws: &Aws, machine: &Described, shape: &AwsShape) -> Result<(), ProviderError> {
    let Some(wanted) = shape.cpu_credits.map(credits_word) else {
        return Ok(());
    };
    if seen::credits(aws, id(machine)).await?.as_deref() == Some(wanted) {
        return Ok(());
    }
    let change = InstanceCreditSpecificationRequest::builder()
        .instance_id(id(machine))
        .cpu_credits(wanted);
    let request = aws.ec2.modify_instance_credit_specification();
    let action = "ec2:ModifyInstanceCreditSpecification";
    let what = "failed to change the CPU credits of machine.instance";
    let failed = |why| error::failed(what, action, why);
    let request = request.instance_credit_specifications(change.build());
    let output = request.send().await.map_err(failed)?;
    // This call answers for each machine by itself.
    if let Some(refused) = output.unsuccessful_instance_credit_specifications().first() {
        let message = refused
            .error()
            .and_then(|error| error.message())
            .unwrap_or("no reason was given");
        return Err(ProviderError::new(format!("{what}: {message}"))
            .with_remedy("leave `cpu_credits` out, or write a burstable size, such as \"t3.small\""));
    }
    Ok(())
}

/// The tags of the machine, its network interface and its root disk; and the end of the environment's life, on everything.
async fn tags_and_end(
    aws: &Aws,
    owner: &Owner,
    spec: &InstanceSpec,
    shape: &AwsShape,
    machine: &Described,
    root: Option<&Volume>,
) -> Result<(), ProviderError> {
    let there = Tags::read(machine.tags());
    let mut wanted = machine_tags(owner, spec, shape);
    // What a machine was made from stays so: these say what it is, not what the next one shall be.
    for made in [tags::IMAGE, tags::MARKET, tags::SUBNET, tags::IPV6] {
        wanted = wanted.left_as(made, &there);
    }
    let (set, drop) = wanted.missing(&there);
    let interfaces = machine.network_interfaces().iter();
    let mut ids: Vec<String> = interfaces
        .filter_map(|interface| interface.network_interface_id().map(str::to_owned))
        .collect();
    ids.push(id(machine).to_owned());
    write(aws, ids, set, drop).await?;
    if let Some(root) = root
        && let Some(volume) = root.volume_id()
    {
        let there = Tags::read(root.tags());
        let wanted = root_tags(owner, spec, shape).left_as(tags::ENCRYPTION, &there);
        let (set, drop) = wanted.missing(&there);
        write(aws, vec![volume.to_owned()], set, drop).await?;
    }
    if wanted.get(tags::TTL) == there.get(tags::TTL) {
        return Ok(());
    }
    let (set, drop) = Tags::of(owner, &Address::MachineInstance, spec).end();
    write(aws, everything(aws, owner).await?, set, drop).await?;
    let spot = machine.instance_lifecycle() == Some(&InstanceLifecycleType::Spot);
    if spot {
        return Ok(());
    }
    let value = AttributeValue::builder()
        .value(if spec.ttl_seconds.is_some() {
            "terminate"
        } else {
            "stop"
        })
        .build();
    let request = aws.ec2.modify_instance_attribute().instance_id(id(machine));
    let what = "failed to say what becomes of machine.instance when it turns itself off";
    let failed = |why| error::failed(what, "ec2:ModifyInstanceAttribute", why);
    request
        .instance_initiated_shutdown_behavior(value)
        .send()
        .await
        .map(|_| ())
        .map_err(failed)
}

/// The identifiers of everything of this owner.
async fn everything(aws: &Aws, owner: &Owner) -> Result<Vec<String>, ProviderError> {
    let mut pages = aws
        .ec2
        .describe_tags()
        .filters(tags::filter("key", [tags::LINEAGE]))
        .filters(tags::filter("value", [owner.lineage.as_str()]))
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page =
            page.map_err(|why| error::failed("failed to look for what is tagged as ours", "ec2:DescribeTags", why))?;
        found.extend(
            page.tags
                .unwrap_or_default()
                .into_iter()
                .filter_map(|tag| tag.resource_id),
        );
    }
    Ok(found)
}

async fn write(aws: &Aws, ids: Vec<String>, set: Vec<Tag>, drop: Vec<Tag>) -> Result<(), ProviderError> {
    let named = ids.join(", ");
    if ids.is_empty() {
        return Ok(());
    }
    if !set.is_empty() {
        let request = aws
            .ec2
            .create_tags()
            .set_resources(Some(ids.clone()))
            .set_tags(Some(set));
        let failed = |why| error::failed(format!("failed to tag {named}"), "ec2:CreateTags", why);
        request.send().await.map_err(failed)?;
    }
    if !drop.is_empty() {
        let request = aws.ec2.delete_tags().set_resources(Some(ids)).set_tags(Some(drop));
        let failed = |why| error::failed(format!("failed to take tags off {named}"), "ec2:DeleteTags", why);
        request.send().await.map_err(failed)?;
    }
    Ok(())
}
