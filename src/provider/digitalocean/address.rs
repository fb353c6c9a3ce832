//! `machine.address`: a reserved address, which stays when the Droplet is replaced.
//!
//! It can bear no tag, so it is reserved for the Droplet from the start, and a tag that nothing bears says whose it is. Of two of
//! them, which only a lost answer can leave behind, one is given back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use super::error::{self, CallError};
use super::own::{needed_machine, once, shape};
use super::wire::{Action, Droplet, Holder, ReservedIp};
use super::{DigitalOcean, droplet, marks, project, tag};
use crate::names::Address;
use crate::note::Say;
use crate::provider::spec::ATTACHED;
use crate::provider::wait::{self, Look};
use crate::provider::{Attributes, InstanceSpec, Owner, Part, ProviderError};

/// How long a Droplet may take until an address is on it: whatever else is being done to it has to end first.
const ASSIGNED_WITHIN: Duration = Duration::from_secs(300);
/// How long an address may take to be free.
const FREE_WITHIN: Duration = Duration::from_secs(180);

pub(super) async fn list(cloud: &DigitalOcean) -> Result<Vec<ReservedIp>, ProviderError> {
    let listed: Result<Vec<ReservedIp>, CallError> = cloud.client.list(&["reserved_ips"], &[]).await;
    listed.map_err(error::of("failed to look for reserved addresses", "reserved_ip:read"))
}

pub(super) fn holder(address: &ReservedIp) -> Option<u64> {
    address.droplet.as_ref().and_then(|droplet| droplet.id)
}

pub(super) fn is_on(address: &ReservedIp, droplet: u64) -> bool {
    holder(address) == Some(droplet)
}

/// The addresses that tags say are of this life.
async fn marked(cloud: &DigitalOcean, owner: &Owner) -> Result<BTreeSet<String>, ProviderError> {
    let start = marks::fact(&owner.lineage, marks::ADDRESS, "");
    let tags = tag::of_life(cloud, owner).await?;
    let ip = |name: &str| Some(name.to_ascii_lowercase().strip_prefix(&start)?.replace('_', "."));
    Ok(tags.iter().filter_map(|tag| ip(&tag.name)).collect())
}

fn mark(owner: &Owner, ip: &str) -> String {
    marks::fact(&owner.lineage, marks::ADDRESS, ip)
}

/// What observation tells of a reserved address. `machine` is the owner's Droplet.
pub(super) fn part(address: &ReservedIp, machine: Option<u64>) -> Part {
    let mut attributes = Attributes::new();
    if let Some(holder) = holder(address) {
        let on = match Some(holder) == machine {
            true => Address::MachineInstance.to_string(),
            false => format!("droplet {holder}"),
        };
        attributes.insert(ATTACHED.to_owned(), on);
    }
    Part {
        id: address.ip.clone(),
        attributes,
        facts: BTreeMap::from([("address".to_owned(), address.ip.clone())]),
    }
}

/// All that a look at the machine needs, where the machine itself tells it: its reserved address is among its public ones. None
/// where the account has to be asked.
pub(super) fn told_by(owner: &Owner, machine: Option<&Droplet>) -> Option<Vec<ReservedIp>> {
    let recorded = owner.ids.get(&Address::MachineAddress);
    let Some(machine) = machine else {
        return recorded.is_none().then(Vec::new);
    };
    let networks = machine.networks.v4.iter();
    let public: Vec<&String> = networks
        .filter(|network| network.kind == "public")
        .filter_map(|network| network.ip_address.as_ref())
        .collect();
    match recorded {
        Some(ip) if public.contains(&ip) => Some(vec![ReservedIp {
            ip: ip.clone(),
            droplet: Some(Holder {
                id: Some(machine.id),
                tags: None,
            }),
        }]),
        None if public.len() == 1 => Some(Vec::new()),
        _ => None,
    }
}

/// The owner's address among all of the account. Tags are looked at only where the Droplet has one that the state does not
/// know: somebody may have put his own on it.
pub(super) async fn observed(
    cloud: &DigitalOcean,
    owner: &Owner,
    all: &[ReservedIp],
    machine: Option<u64>,
) -> Result<Option<Part>, ProviderError> {
    let recorded = owner.ids.get(&Address::MachineAddress);
    if let Some(known) = all.iter().find(|one| Some(&one.ip) == recorded) {
        return Ok(Some(part(known, machine)));
    }
    let Some(on_it) = all
        .iter()
        .find(|one| machine.is_some_and(|machine| is_on(one, machine)))
    else {
        return Ok(None);
    };
    let ours = marked(cloud, owner).await?.contains(&on_it.ip);
    Ok(ours.then(|| part(on_it, machine)))
}

/// Those of this owner, the one to keep first: the one in the state, one on the machine, the lowest.
async fn find(cloud: &DigitalOcean, owner: &Owner, machine: Option<u64>) -> Result<Vec<ReservedIp>, ProviderError> {
    let recorded = owner.ids.get(&Address::MachineAddress);
    let marked = marked(cloud, owner).await?;
    let mut found = list(cloud).await?;
    let on_it = |one: &ReservedIp| machine.is_some_and(|machine| is_on(one, machine));
    found.retain(|one| Some(&one.ip) == recorded || marked.contains(&one.ip) || on_it(one));
    found.sort_by_cached_key(|one| (Some(&one.ip) != recorded, !on_it(one), one.ip.clone()));
    Ok(found)
}

/// Reserves an address or takes the one that is there, and puts it on the machine.
pub(super) async fn ensure(
    cloud: &DigitalOcean,
    owner: &Owner,
    spec: &InstanceSpec,
    say: Say<'_>,
) -> Result<Part, ProviderError> {
    let shape = shape(spec)?;
    let machine = needed_machine(cloud, owner, "put the reserved address on the machine")
        .await?
        .id;
    let mut found = find(cloud, owner, Some(machine)).await?;
    let ip = if found.is_empty() {
        reserve(cloud, machine, say).await?
    } else {
        found.remove(0).ip
    };
    tag::make(cloud, &mark(owner, &ip)).await?;
    for spare in found {
        release(cloud, owner, &spare.ip, say).await?;
    }
    wait::until("the machine to take its address", ASSIGNED_WITHIN, say, || async {
        let there = cloud.client.find::<ReservedIp>(&["reserved_ips", &ip]).await;
        let there = there.map_err(error::of(
            format!("failed to look at the reserved address {ip}"),
            "reserved_ip:read",
        ))?;
        match there {
            None => return Ok(Look::NotYet("not seen yet".to_owned())),
            Some(there) if is_on(&there, machine) => return Ok(Look::Done(())),
            Some(_) => {}
        }
        // It is ours: whoever put it elsewhere did not mean us to lose it.
        act(
            cloud,
            &ip,
            json!({"type": "assign", "droplet_id": machine}),
            "the machine to take its address",
            say,
        )
        .await
    })
    .await?;
    if let Some(name) = &shape.project {
        project::give(cloud, name, &[project::address(&ip)]).await?;
    }
    let now = ReservedIp {
        ip: ip.clone(),
        droplet: None,
    };
    let mut now = part(&now, None);
    now.attributes
        .insert(ATTACHED.to_owned(), Address::MachineInstance.to_string());
    Ok(now)
}

/// Reserves a new one for the machine. The machine tells of one whose answer was lost.
async fn reserve(cloud: &DigitalOcean, machine: u64, say: Say<'_>) -> Result<String, ProviderError> {
    let what = "failed to reserve an address";
    let reserved: Mutex<Option<String>> = Mutex::new(None);
    let look = || async {
        let on_it = list(cloud).await?.into_iter().find(|one| is_on(one, machine));
        Ok(on_it.map(Some))
    };
    wait::until("an address to be reserved", ASSIGNED_WITHIN, say, || async {
        let make = || async {
            match cloud
                .client
                .make::<ReservedIp>(&["reserved_ips"], json!({"droplet_id": machine}))
                .await
            {
                Ok(made) => Ok(Some(made)),
                Err(busy) if busy.is_busy() => Ok(None),
                Err(other) => Err(other),
            }
        };
        Ok(
            match once(cloud, make, look, error::of_ref(what, "reserved_ip:create")).await? {
                Some(made) => {
                    *reserved.lock().unwrap_or_else(PoisonError::into_inner) = Some(made.ip);
                    Look::Done(())
                }
                None => Look::NotYet("the machine is busy".to_owned()),
            },
        )
    })
    .await?;
    let ip = reserved.into_inner().unwrap_or_else(PoisonError::into_inner);
    ip.ok_or_else(|| ProviderError::new(what))
}

/// Asks for an action on an address and waits for its end; whether it is so, the next look tells.
async fn act(
    cloud: &DigitalOcean,
    ip: &str,
    action: serde_json::Value,
    what: &str,
    say: Say<'_>,
) -> Result<Look<()>, ProviderError> {
    match cloud
        .client
        .make::<Action>(&["reserved_ips", ip, "actions"], action)
        .await
    {
        Ok(action) => {
            droplet::acted(cloud, &action, what, say).await?;
            Ok(Look::NotYet("not so after its action".to_owned()))
        }
        Err(early) if early.is_busy() || early.is_unclear() || early.is_gone() => {
            Ok(Look::NotYet("not to be changed yet".to_owned()))
        }
        Err(other) => Err(error::failed(
            format!("failed to wait for {what} ({ip})"),
            "reserved_ip:update",
            other,
        )),
    }
}

/// Takes it off and gives it back.
pub(super) async fn remove(cloud: &DigitalOcean, owner: &Owner, say: Say<'_>) -> Result<(), ProviderError> {
    let there = droplet::all(cloud, owner).await?;
    let machine = droplet::chosen(owner, &there).map(|droplet| droplet.id);
    for one in find(cloud, owner, machine).await? {
        release(cloud, owner, &one.ip, say).await?;
    }
    // What a run that was cut off gave back without a word.
    for ip in marked(cloud, owner).await? {
        release(cloud, owner, &ip, say).await?;
    }
    Ok(())
}

/// Its mark goes last: what is cut off is found again.
async fn release(cloud: &DigitalOcean, owner: &Owner, ip: &str, say: Say<'_>) -> Result<(), ProviderError> {
    wait::until("the reserved address to be free", FREE_WITHIN, say, || async {
        let there = cloud.client.find::<ReservedIp>(&["reserved_ips", ip]).await;
        let there = there.map_err(error::of(
            format!("failed to look at the reserved address {ip}"),
            "reserved_ip:read",
        ))?;
        let Some(there) = there else {
            return Ok(Look::Done(()));
        };
        if holder(&there).is_some() {
            return act(
                cloud,
                ip,
                json!({"type": "unassign"}),
                "the reserved address to be free",
                say,
            )
            .await;
        }
        match cloud.client.delete(&["reserved_ips", ip], None).await {
            Ok(()) => Ok(Look::NotYet("being given back".to_owned())),
            Err(busy) if busy.is_busy() => Ok(Look::NotYet("still in use".to_owned())),
            Err(other) => {
                let what = format!("failed to give the reserved address {ip} back");
                Err(error::failed(what, "reserved_ip:delete", other))
            }
        }
    })
    .await?;
    tag::delete(cloud, &mark(owner, ip)).await
}
