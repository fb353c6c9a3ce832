//! `machine.instance`: found by tag, made once, changed in place, taken away.
//!
//! Whatever is done begins with a look at what is there, so that a call which is made again after a kill goes on.

mod create;
mod destroy;
mod launch;
mod marks;
mod placement;
mod profile;
mod resize;
mod seen;
mod user_data;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_ec2::error::SdkError;
use aws_sdk_ec2::types::{Filter, Instance as Described, InstanceStateName as State};

pub use create::{check, create};
pub use destroy::destroy;
pub use marks::end;
pub use resize::resize;
pub use seen::{Beside, credits_of, poweroff_of, root_of, root_volume, seen};

use super::tags::{self, Tags};
use super::wait::{self, Look};
use super::{Aws, error};
use crate::names::Address;
use crate::note::Say;
use crate::provider::{AwsShape, Instance, InstanceSpec, Owner, ProviderError, Shape};

/// How long a machine may take to run: seconds, mostly; minutes for a large one on bare metal.
const TO_RUN: Duration = Duration::from_secs(600);

/// The EC2 part of a specification.
fn shape_of(spec: &InstanceSpec) -> Result<&AwsShape, ProviderError> {
    match &spec.shape {
        Shape::Aws(shape) => Ok(shape),
        _ => Err(ProviderError::new(
            "failed to read what the machine shall be: it is not meant for AWS",
        )),
    }
}

/// The state of an instance.
pub fn state(instance: &Described) -> State {
    let name = instance.state().and_then(|state| state.name());
    name.cloned().unwrap_or_else(|| State::from("unknown"))
}

/// Whether it is there to stay: dead ones are shown for an hour.
pub fn lives(instance: &Described) -> bool {
    !matches!(state(instance), State::Terminated | State::ShuttingDown)
}

/// Whether it was made by a call of ours. One that somebody launched in the console like ours may bear our tags; it bears a
/// token of another form.
fn made_by_us(instance: &Described) -> bool {
    let token = instance.client_token().unwrap_or_default();
    token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Its identifier.
pub fn id(instance: &Described) -> &str {
    instance.instance_id().unwrap_or_default()
}

/// All instances of this owner, dead ones too, oldest first: by tag, and the recorded one when its tags are gone.
///
/// # Errors
/// When the region cannot be asked.
pub async fn all(aws: &Aws, owner: &Owner) -> Result<Vec<Described>, ProviderError> {
    let mut found = describe(aws, tags::of_owner(owner)).await?;
    if let Some(recorded) = owner.ids.get(&Address::MachineInstance)
        && !found.iter().any(|instance| id(instance) == recorded)
    {
        found.extend(recorded_one(aws, owner, recorded).await?);
    }
    found.sort_by_key(|instance| (instance.launch_time().map(|time| time.secs()), id(instance).to_owned()));
    Ok(found)
}

async fn recorded_one(aws: &Aws, owner: &Owner, id: &str) -> Result<Option<Described>, ProviderError> {
    let found = by_id(aws, id).await?;
    // Somebody may have given it to another environment meanwhile.
    let ours = |instance: &Described| {
        Tags::read(instance.tags())
            .lineage()
            .is_none_or(|lineage| lineage == owner.lineage)
    };
    Ok(found.filter(ours))
}

/// The machine among what was found: the one that the state knows, or else the oldest that lives.
pub fn chosen<'a>(owner: &Owner, found: &'a [Described]) -> Option<&'a Described> {
    let recorded = owner.ids.get(&Address::MachineInstance);
    let mut living = found.iter().filter(|instance| lives(instance));
    let known = living
        .clone()
        .find(|instance| Some(id(instance)) == recorded.map(String::as_str));
    known.or_else(|| living.next())
}

/// Instances behind one filter. A filter finds nothing where an identifier would be refused, as right after a create.
async fn describe(aws: &Aws, filter: Filter) -> Result<Vec<Described>, ProviderError> {
    let mut pages = aws.ec2.describe_instances().filters(filter).into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page =
            page.map_err(|why| error::failed("failed to look for the instance", "ec2:DescribeInstances", why))?;
        for reservation in page.reservations.unwrap_or_default() {
            found.extend(reservation.instances.unwrap_or_default());
        }
    }
    Ok(found)
}

async fn by_id(aws: &Aws, id: &str) -> Result<Option<Described>, ProviderError> {
    let found = describe(aws, tags::filter("instance-id", [id])).await?;
    Ok(found.into_iter().next())
}

/// The machine that something is to be done with.
async fn needed(aws: &Aws, owner: &Owner, what: &str) -> Result<Described, ProviderError> {
    let found = all(aws, owner).await?;
    chosen(owner, &found).cloned().ok_or_else(|| {
        ProviderError::new(format!("failed to {what} machine.instance: there is none"))
            .with_remedy("somebody terminated it: apply again, it is made anew")
    })
}

/// Whether it runs, or is about to. One that cannot be seen at all was made a moment ago: those that are gone are shown for an hour.
///
/// # Errors
/// When the region cannot be asked.
pub async fn has_power(aws: &Aws, owner: &Owner) -> Result<bool, ProviderError> {
    let found = all(aws, owner).await?;
    let runs = |machine: &Described| matches!(state(machine), State::Pending | State::Running);
    Ok(found.is_empty() || chosen(owner, &found).is_some_and(runs))
}

/// Gives it power.
///
/// # Errors
/// When there is none, or it does not start.
pub async fn start(aws: &Aws, owner: &Owner, say: Say<'_>) -> Result<Instance, ProviderError> {
    let machine = needed(aws, owner, "start").await?;
    run(aws, owner, id(&machine), say).await
}

/// Waits until it runs, starting it where it is off, and tells what it is like.
async fn run(aws: &Aws, owner: &Owner, id: &str, say: Say<'_>) -> Result<Instance, ProviderError> {
    let machine = until_running(aws, id, say).await?;
    let beside = seen::look_beside(aws, &machine).await?;
    seen(owner, &machine, &beside)
}

async fn until_running(aws: &Aws, id: &str, say: Say<'_>) -> Result<Described, ProviderError> {
    let started = AtomicBool::new(false);
    wait::until(&format!("machine.instance to run ({id})"), TO_RUN, say, || async {
        let Some(machine) = by_id(aws, id).await? else {
            return Ok(Look::NotYet("not to be seen".to_owned()));
        };
        match state(&machine) {
            State::Running => return Ok(Look::Done(machine)),
            State::Stopped if !started.load(Ordering::Relaxed) => {
                power_on(aws, id).await?;
                started.store(true, Ordering::Relaxed);
            }
            State::Terminated | State::ShuttingDown => return Err(dead(&machine)),
            _ => {}
        }
        Ok(Look::NotYet(state(&machine).as_str().to_owned()))
    })
    .await
}

async fn power_on(aws: &Aws, id: &str) -> Result<(), ProviderError> {
    match aws.ec2.start_instances().instance_ids(id).send().await {
        Ok(_) => Ok(()),
        Err(why) => {
            let full = error::code(&why) == Some("InsufficientInstanceCapacity");
            let failed = error::failed(
                format!("failed to start machine.instance ({id})"),
                "ec2:StartInstances",
                why,
            );
            Err(if full {
                failed.with_remedy("its zone has no room for this size now; the machine is off and its disks are whole: run it again in some minutes, or write another size")
            } else {
                failed
            })
        }
    }
}

/// Why a machine did not come to life.
fn dead(machine: &Described) -> ProviderError {
    let reason = machine.state_reason();
    let code = reason.and_then(|reason| reason.code()).unwrap_or_default();
    let message = reason
        .and_then(|reason| reason.message())
        .unwrap_or("no reason was given");
    let failed = ProviderError::new(format!(
        "failed to bring machine.instance ({}) up: {message}",
        id(machine)
    ));
    match code {
        // What EC2 answers when it may not use the key of a disk, and seldom else (AWS, "Instance terminates immediately").
        "Client.InternalError" => failed.with_remedy(
            "its encrypted disk could not be attached, mostly: these credentials and EBS must be allowed to use the KMS key",
        ),
        "Client.UserInitiatedShutdown" | "Client.InstanceInitiatedShutdown" => {
            failed.with_remedy("somebody terminated it, or it turned itself off: apply again, it is made anew")
        }
        other => match error::remedy_of(other.trim_start_matches("Client.").trim_start_matches("Server.")) {
            Some(remedy) => failed.with_remedy(remedy),
            None => failed.with_remedy("apply again, it is made anew"),
        },
    }
}

/// Whether an error says that a thing is not there, or not to be seen everywhere yet.
fn not_there<E: aws_sdk_ec2::error::ProvideErrorMetadata>(why: &SdkError<E>) -> bool {
    error::code(why).is_some_and(|code| code.ends_with(".NotFound"))
}
