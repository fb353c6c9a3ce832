//! `machine.instance`: a Droplet, found by tag, made once, changed in place, taken away.
//!
//! Whatever is done begins with a look at what is there, so that a call which is made again after a kill goes on.

mod create;
mod destroy;
mod resize;
mod seen;

use std::time::Duration;

use serde_json::{Value, json};

pub(super) use create::{check, create};
pub(super) use destroy::destroy;
pub(super) use resize::{end, resize};
pub(super) use seen::{is_up, seen};

use super::error::{self, CallError};
use super::marks::{self, Marks};
use super::wire::{Action, Droplet, ReservedIp};
use super::{DigitalOcean, address};
use crate::names::Address;
use crate::note::Say;
use crate::provider::wait::{self, Look};
use crate::provider::{Instance, Owner, ProviderError};

/// How long a Droplet may take to run: a minute, mostly.
const TO_RUN: Duration = Duration::from_secs(600);
/// How long an action may take: growing a large disk takes minutes.
const TO_ACT: Duration = Duration::from_secs(1200);

/// All Droplets of this owner, oldest first: by tag, and the recorded one when its tags are gone.
pub(super) async fn all(cloud: &DigitalOcean, owner: &Owner) -> Result<Vec<Droplet>, ProviderError> {
    let life = marks::life(&owner.lineage);
    let mut found = list(cloud, &[("tag_name", &life)]).await?;
    if let Some(recorded) = owner.ids.get(&Address::MachineInstance)
        && !found.iter().any(|droplet| droplet.id.to_string() == *recorded)
        && let Some(untagged) = by_id(cloud, recorded).await?
        // Somebody may have given it to another environment meanwhile.
        && Marks::read(untagged.tags.as_ref()).is_nobody_elses(owner)
    {
        found.push(untagged);
    }
    found.sort_by_key(|droplet| droplet.id);
    Ok(found)
}

pub(super) async fn list(cloud: &DigitalOcean, query: &[(&str, &str)]) -> Result<Vec<Droplet>, ProviderError> {
    let listed: Result<Vec<Droplet>, CallError> = cloud.client.list(&["droplets"], query).await;
    listed.map_err(error::of("failed to look for the Droplet", "droplet:read"))
}

/// The Droplet among what was found: the one that the state knows, or else the oldest.
pub(super) fn chosen<'a>(owner: &Owner, found: &'a [Droplet]) -> Option<&'a Droplet> {
    let recorded = owner.ids.get(&Address::MachineInstance);
    let known = found.iter().find(|droplet| Some(&droplet.id.to_string()) == recorded);
    known.or_else(|| found.first())
}

pub(super) async fn by_id(cloud: &DigitalOcean, id: &str) -> Result<Option<Droplet>, ProviderError> {
    if id.parse::<u64>().is_err() {
        return Ok(None);
    }
    let found = cloud.client.find::<Droplet>(&["droplets", id]).await;
    found.map_err(error::of(format!("failed to look at the Droplet {id}"), "droplet:read"))
}

/// The Droplet that something is to be done with.
async fn needed(cloud: &DigitalOcean, owner: &Owner, what: &str) -> Result<Droplet, ProviderError> {
    let found = all(cloud, owner).await?;
    chosen(owner, &found).cloned().ok_or_else(|| {
        ProviderError::new(format!("failed to {what} machine.instance: there is none"))
            .with_remedy("somebody destroyed it: apply again, it is made anew")
    })
}

/// Whether it runs, or is about to.
pub(super) async fn has_power(cloud: &DigitalOcean, owner: &Owner) -> Result<bool, ProviderError> {
    let found = all(cloud, owner).await?;
    Ok(chosen(owner, &found).is_some_and(|droplet| matches!(droplet.status.as_str(), "new" | "active")))
}

/// Gives it power.
pub(super) async fn start(cloud: &DigitalOcean, owner: &Owner, say: Say<'_>) -> Result<Instance, ProviderError> {
    let droplet = needed(cloud, owner, "start").await?;
    run(cloud, owner, droplet.id, say).await
}

/// Waits until it runs, starting it where it is off, and tells what it is like.
async fn run(cloud: &DigitalOcean, owner: &Owner, id: u64, say: Say<'_>) -> Result<Instance, ProviderError> {
    let droplet = until_running(cloud, id, say).await?;
    let addresses: Vec<ReservedIp> = address::list(cloud).await?;
    let on_it = addresses.iter().find(|one| address::is_on(one, id));
    seen(owner, &droplet, on_it.and_then(|one| one.ip.parse().ok()))
}

async fn until_running(cloud: &DigitalOcean, id: u64, say: Say<'_>) -> Result<Droplet, ProviderError> {
    let remedy =
        "look at the Droplet in the console; when it is gone or never comes up, destroy it there and run it again";
    let reason = format!("machine.instance to run ({id})");
    wait::until_or(remedy, &reason, TO_RUN, say, || async {
        // One that is a moment old is not seen everywhere; one that could not be placed disappears.
        let Some(droplet) = by_id(cloud, &id.to_string()).await? else {
            return Ok(Look::NotYet("not to be seen".to_owned()));
        };
        match droplet.status.as_str() {
            "active" if !droplet.locked && is_up(&droplet) => return Ok(Look::Done(droplet)),
            "off" if !droplet.locked => {
                let seen = match ask(cloud, id, json!({"type": "power_on"})).await? {
                    Some(_) => "being started",
                    None => "not to be started yet",
                };
                return Ok(Look::NotYet(seen.to_owned()));
            }
            _ => {}
        }
        let locked = if droplet.locked { ", locked" } else { "" };
        Ok(Look::NotYet(format!("{}{locked}", droplet.status)))
    })
    .await
}

/// Asks for an action. None when something else has to end first, or when it is not known whether it was taken: the next look
/// at the Droplet tells.
async fn ask(cloud: &DigitalOcean, id: u64, action: Value) -> Result<Option<Action>, ProviderError> {
    let droplet = id.to_string();
    match cloud
        .client
        .make::<Action>(&["droplets", &droplet, "actions"], action.clone())
        .await
    {
        Ok(action) => Ok(Some(action)),
        Err(early) if early.is_busy() || early.is_unclear() => Ok(None),
        Err(other) => {
            let kind = action["type"].as_str().unwrap_or("action").replace('_', " ");
            Err(error::failed(
                format!("failed to ask for the {kind} of machine.instance ({id})"),
                "droplet:update",
                other,
            ))
        }
    }
}

/// Waits for the end of an action. Whether it had its effect, its caller looks.
pub(super) async fn acted(
    cloud: &DigitalOcean,
    action: &Action,
    what: &str,
    say: Say<'_>,
) -> Result<(), ProviderError> {
    let id = action.id.to_string();
    wait::until(what, TO_ACT, say, || async {
        let found = cloud.client.find::<Action>(&["actions", &id]).await;
        let found = found.map_err(error::of(format!("failed to look at the action {id}"), "actions:read"))?;
        match found.as_ref().map(|action| action.status.as_str()) {
            Some("completed") => Ok(Look::Done(())),
            Some("errored") => Err(ProviderError::new(format!(
                "failed to wait for {what}: DigitalOcean gave the action {id} up"
            ))
            .with_remedy("run it again; when that is no help, look at the history of the Droplet in the console")),
            Some(other) => Ok(Look::NotYet(other.to_owned())),
            None => Ok(Look::NotYet("not seen yet".to_owned())),
        }
    })
    .await
}

/// Does something to the Droplet until it is so: asks for the action when nothing else is under way, and waits for its end.
async fn until<F>(
    cloud: &DigitalOcean,
    id: u64,
    what: &str,
    action: Value,
    is_so: F,
    say: Say<'_>,
) -> Result<Droplet, ProviderError>
where
    F: Fn(&Droplet) -> bool + Send + Sync,
{
    wait::until(what, TO_ACT, say, || async {
        let Some(droplet) = by_id(cloud, &id.to_string()).await? else {
            return Ok(Look::NotYet("not to be seen".to_owned()));
        };
        if droplet.locked {
            return Ok(Look::NotYet("locked".to_owned()));
        }
        if is_so(&droplet) {
            return Ok(Look::Done(droplet));
        }
        match ask(cloud, id, action.clone()).await? {
            Some(action) => {
                acted(cloud, &action, what, say).await?;
                Ok(Look::NotYet("not so after its action".to_owned()))
            }
            None => Ok(Look::NotYet("busy".to_owned())),
        }
    })
    .await
}
