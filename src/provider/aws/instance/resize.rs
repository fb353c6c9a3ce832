//! Changing the machine in place: only what differs is called, and it is stopped for its size alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_ec2::types::{
    AttributeValue, HttpTokensState, Instance as Described, InstanceCreditSpecificationRequest, InstanceLifecycleType,
    InstanceMetadataEndpointState, InstanceStateName as State, Volume, VolumeModificationState,
};

use super::launch::credits_word;
use super::{by_id, id, marks, needed, profile, run, seen, shape_of, state};
use crate::note::{Note, Say};
use crate::provider::aws::volume::is_growing_to;
use crate::provider::aws::wait::{self, Look};
use crate::provider::aws::{Aws, error, image, tags};
use crate::provider::{AwsShape, Instance, InstanceSpec, Owner, ProviderError};

/// How long a machine may take to stop: EC2 takes its power away after some minutes when it does not end by itself.
const TO_STOP: Duration = Duration::from_secs(900);
/// How long a disk may take until its new size can be used; AWS says seconds to minutes.
const TO_GROW: Duration = Duration::from_secs(900);

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
    marks::set(aws, owner, spec, shape, &machine, root.as_ref()).await?;
    metadata(aws, &machine).await?;
    profile::set(aws, &machine, shape, say).await?;
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
        let Some(machine) = by_id(aws, id).await? else {
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
    let Some(wanted) = spec.disk_gib.map(|gib| i32::try_from(gib).unwrap_or(i32::MAX)) else {
        return Ok(());
    };
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
        if !too_soon {
            return Err(failed);
        }
        if !is_growing_to(aws, volume, wanted).await? {
            return Err(failed.with_remedy(
                "AWS changes a disk once in six hours, and not while a change is under way: run it again later",
            ));
        }
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
