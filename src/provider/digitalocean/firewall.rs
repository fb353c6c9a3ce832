//! `machine.firewall`: a cloud firewall for the tag of this life.
//!
//! It is there before the Droplet, and the tag with the Droplet's making: so nothing is ever reachable that shall not be. The API
//! replaces all rules at once, what is right with what is right: nobody who works on the machine is cut off.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::error::{self, CallError};
use super::own::{once, shape};
use super::rules::{self, Rule};
use super::wire::{Droplet, Firewall};
use super::{DigitalOcean, marks, tag};
use crate::names::Address;
use crate::note::Say;
use crate::provider::wait::{self, Look};
use crate::provider::{InstanceSpec, Owner, Part, ProviderError};

/// What stands behind the name of a firewall that lets its callers in one by one.
const OPERATOR: &str = "operator";
/// How long until the rules are in force on every Droplet.
const SET_WITHIN: Duration = Duration::from_secs(120);

/// All firewalls of the account. They have no tags of their own to look for.
pub(super) async fn list(cloud: &DigitalOcean) -> Result<Vec<Firewall>, ProviderError> {
    let listed: Result<Vec<Firewall>, CallError> = cloud.client.list(&["firewalls"], &[]).await;
    listed.map_err(error::of("failed to look for the firewall", "firewall:read"))
}

/// Of these the firewalls of this owner, the one to keep first: the one in the state, or else the oldest.
pub(super) fn of(owner: &Owner, mut all: Vec<Firewall>) -> Vec<Firewall> {
    let recorded = owner.ids.get(&Address::MachineFirewall);
    let named = |firewall: &Firewall| match marks::named(&firewall.name) {
        Some((_, lineage, rest)) => lineage == owner.lineage && matches!(rest, "" | OPERATOR),
        None => false,
    };
    // Somebody may have given it another name; not that of another environment.
    let known = |firewall: &Firewall| {
        Some(&firewall.id) == recorded
            && marks::named(&firewall.name).is_none_or(|(_, lineage, _)| lineage == owner.lineage)
    };
    all.retain(|firewall| named(firewall) || known(firewall));
    all.sort_by_cached_key(|firewall| {
        let age = (firewall.created_at.clone(), firewall.id.clone());
        (Some(&firewall.id) != recorded, age)
    });
    all
}

pub(super) fn lets_operator_in(firewall: &Firewall) -> bool {
    marks::named(&firewall.name).is_some_and(|(_, _, rest)| rest == OPERATOR)
}

fn name(owner: &Owner, operator: bool) -> String {
    match operator {
        true => format!("{}.{OPERATOR}", marks::name(owner)),
        false => marks::name(owner),
    }
}

/// What observation tells of a firewall.
pub(super) fn part(firewall: &Firewall, owner: &Owner, droplets: &[u64]) -> Part {
    let mut attributes = rules::shown(
        &rules::flat(firewall.inbound_rules.as_ref()),
        &rules::flat(firewall.outbound_rules.as_ref()),
        lets_operator_in(firewall),
    );
    let strange = strange_targets(firewall, owner, droplets);
    if !strange.is_empty() {
        attributes.insert("applies_to".to_owned(), strange.join(", "));
    }
    Part {
        id: firewall.id.clone(),
        attributes,
        facts: Default::default(),
    }
}

/// What a firewall is for beside its own Droplet, and that it is not for that one.
fn strange_targets(firewall: &Firewall, owner: &Owner, droplets: &[u64]) -> Vec<String> {
    let life = marks::life(&owner.lineage);
    let tags: BTreeSet<String> = firewall
        .tags
        .iter()
        .flatten()
        .map(|tag| tag.to_ascii_lowercase())
        .collect();
    let mut strange: Vec<String> = Vec::new();
    if !tags.contains(&life) {
        strange.push("nothing of its own".to_owned());
    }
    strange.extend(tags.iter().filter(|tag| **tag != life).map(|tag| format!("tag {tag}")));
    let ids = firewall.droplet_ids.iter().flatten();
    strange.extend(
        ids.filter(|id| !droplets.contains(id))
            .map(|id| format!("droplet {id}")),
    );
    strange
}

/// The whole of a firewall, for a call.
pub(super) fn body(name: &str, owner: &Owner, inbound: &BTreeSet<Rule>, outbound: &BTreeSet<Rule>) -> Value {
    json!({
        "name": name,
        "tags": [marks::life(&owner.lineage)],
        "inbound_rules": rules::body(inbound, "sources"),
        "outbound_rules": rules::body(outbound, "destinations"),
    })
}

/// A firewall as it is, for a call that replaces all of it.
pub(super) fn rewritten(there: &Firewall) -> Value {
    let side = |rules: Option<&Vec<super::wire::Rule>>, side: &str| {
        let networks = rules::flat(rules).into_iter().filter(Rule::is_of_a_network).collect();
        rules::body(&networks, side)
    };
    json!({
        "name": there.name,
        "tags": there.tags.clone().unwrap_or_default(),
        "droplet_ids": there.droplet_ids.clone().unwrap_or_default(),
        "inbound_rules": side(there.inbound_rules.as_ref(), "sources"),
        "outbound_rules": side(there.outbound_rules.as_ref(), "destinations"),
    })
}

/// Makes the firewall or takes the one that is there, and sets its rules.
pub(super) async fn ensure(
    cloud: &DigitalOcean,
    owner: &Owner,
    spec: &InstanceSpec,
    say: Say<'_>,
) -> Result<Part, ProviderError> {
    let shape = shape(spec)?;
    // Whoever is let in next has to look at what is made here.
    cloud.seen.forget();
    let name = name(owner, shape.ssh_from.operator);
    let (inbound, outbound) = (rules::inbound(&shape.ssh_from), rules::outbound());
    let body = body(&name, owner, &inbound, &outbound);
    // A firewall cannot be for a tag that is not there.
    tag::make(cloud, &marks::life(&owner.lineage)).await?;
    let mut there = of(owner, list(cloud).await?).into_iter();
    let id = match there.next() {
        Some(there) => there.id,
        None => {
            let make = || cloud.client.make::<Firewall>(&["firewalls"], body.clone());
            let look = || async { Ok(of(owner, list(cloud).await?).into_iter().next()) };
            once(
                cloud,
                make,
                look,
                error::of_ref(format!("failed to make the firewall {name}"), "firewall:create"),
            )
            .await?
            .id
        }
    };
    // Made twice by calls that are not known of: rules add up, so one too many would keep open what shall be closed.
    for spare in there {
        delete(cloud, &spare.id).await?;
    }
    let set = wait::until("the firewall's rules to be in force", SET_WITHIN, say, || async {
        let failed = || error::of(format!("failed to look at the firewall {id}"), "firewall:read");
        let Some(there) = cloud
            .client
            .find::<Firewall>(&["firewalls", &id])
            .await
            .map_err(failed())?
        else {
            return Ok(Look::NotYet("not seen yet".to_owned()));
        };
        let right = there.name == name
            && rules::flat(there.inbound_rules.as_ref()) == inbound
            && rules::flat(there.outbound_rules.as_ref()) == outbound
            && strange_targets(&there, owner, &[]).is_empty()
            && there.status != "failed";
        if !right {
            return match cloud.client.put::<Firewall>(&["firewalls", &id], body.clone()).await {
                Ok(_) => Ok(Look::NotYet("being set".to_owned())),
                Err(early) if early.is_gone() || early.is_busy() => {
                    Ok(Look::NotYet("not to be changed yet".to_owned()))
                }
                Err(other) => Err(error::failed(
                    format!("failed to set the firewall {id}"),
                    "firewall:update",
                    other,
                )),
            };
        }
        match there.pending_changes.as_ref().is_none_or(Vec::is_empty) && there.status != "waiting" {
            true => Ok(Look::Done(there)),
            false => Ok(Look::NotYet("not in force everywhere".to_owned())),
        }
    })
    .await?;
    Ok(part(&set, owner, &[]))
}

/// Takes it away, with what callers left open.
pub(super) async fn remove(cloud: &DigitalOcean, owner: &Owner) -> Result<(), ProviderError> {
    cloud.seen.forget();
    let all = list(cloud).await?;
    for there in super::operator::of(owner, &all) {
        delete(cloud, &there.id).await?;
    }
    for there in of(owner, all) {
        delete(cloud, &there.id).await?;
    }
    tag::sweep(cloud, owner).await
}

pub(super) async fn delete(cloud: &DigitalOcean, id: &str) -> Result<(), ProviderError> {
    cloud.client.delete(&["firewalls", id], None).await.map_err(error::of(
        format!("failed to remove the firewall {id}"),
        "firewall:delete",
    ))
}

/// Waits until a new Droplet is behind the firewall, which is for its tag. Where the vendor missed that, it is told.
pub(super) async fn protects(
    cloud: &DigitalOcean,
    owner: &Owner,
    droplet: &Droplet,
    say: Say<'_>,
) -> Result<(), ProviderError> {
    let id = droplet.id.to_string();
    let remedy = "the Droplet may be open to everybody: look at its firewalls in the console, then run it again";
    wait::until_or(
        remedy,
        "the firewall to protect the Droplet",
        SET_WITHIN,
        say,
        || async {
            let listed: Result<Vec<Firewall>, CallError> =
                cloud.client.list(&["droplets", &id, "firewalls"], &[]).await;
            let all = match listed {
                Ok(all) => all,
                Err(early) if early.is_gone() => return Ok(Look::NotYet("not seen yet".to_owned())),
                Err(other) => {
                    let what = format!("failed to look at the firewalls of the Droplet {id}");
                    return Err(error::failed(what, "firewall:read", other));
                }
            };
            let ours = of(owner, all);
            let set = |firewall: &Firewall| firewall.pending_changes.as_ref().is_none_or(Vec::is_empty);
            Ok(match ours.first() {
                Some(firewall) if set(firewall) => Look::Done(()),
                Some(_) => Look::NotYet("not in force".to_owned()),
                None => Look::NotYet("not behind it".to_owned()),
            })
        },
    )
    .await
}
