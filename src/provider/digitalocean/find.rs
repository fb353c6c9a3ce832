//! Everything of ours in an account, whoever's it is, and taking over one thing that is not ours yet.

use std::collections::BTreeMap;

use futures_util::future::{try_join, try_join3};
use serde_json::json;

use super::costs::money;
use super::marks::{self, Marks};
use super::tag::{self, Bearer};
use super::wire::{Firewall, Key, ReservedIp, Tag, Volume};
use super::{DigitalOcean, address, droplet, error, firewall, key, volume};
use crate::names::{Address, EnvironmentName, Lineage};
use crate::provider::{Found, Money, Owner, ProviderError};

/// See [`crate::provider::Provider::find`].
pub(super) async fn find(cloud: &DigitalOcean) -> Result<Vec<Found>, ProviderError> {
    let ((droplets, volumes, firewalls), (addresses, keys, tags)) = try_join(
        try_join3(
            droplet::list(cloud, &[("tag_name", marks::ALL)]),
            volume::list(cloud, &[]),
            firewall::list(cloud),
        ),
        try_join3(address::list(cloud), key::list(cloud), tag::list(cloud)),
    )
    .await?;
    let mut found = Vec::new();
    for one in &droplets {
        let price = one.size.as_ref().and_then(|size| size.price_monthly).and_then(money);
        let (id, created) = (one.id.to_string(), one.created_at.as_deref());
        found.extend(tagged(Address::MachineInstance, one.tags.as_ref(), id, created, price));
    }
    for one in &volumes {
        let created = one.created_at.as_deref();
        found.extend(tagged(
            Address::MachineVolume,
            one.tags.as_ref(),
            one.id.clone(),
            created,
            None,
        ));
    }
    for one in &firewalls {
        let created = one.created_at.as_deref();
        found.extend(named(Address::MachineFirewall, &one.name, &one.id, created));
    }
    for one in &keys {
        found.extend(named(Address::MachineKey, &one.name, &one.id.to_string(), None));
    }
    found.extend(reserved(&addresses, &tags));
    found.sort_by_cached_key(|one| {
        (
            one.environment.clone(),
            one.lineage.clone(),
            one.address.clone(),
            one.id.clone(),
        )
    });
    Ok(found)
}

/// Something with our tags. None when they are not whole: then it is not known what to do with it.
fn tagged(
    address: Address,
    tags: Option<&Vec<String>>,
    id: String,
    created: Option<&str>,
    monthly: Option<Money>,
) -> Option<Found> {
    let marks = Marks::read(tags);
    Some(Found {
        address,
        id,
        environment: marks.environment()?,
        lineage: marks.lineage()?.clone(),
        created: created.and_then(|at| at.parse().ok()),
        expires: marks.expires(),
        monthly,
    })
}

/// Something with our name, which costs nothing.
fn named(address: Address, name: &str, id: &str, created: Option<&str>) -> Option<Found> {
    let (environment, lineage, _) = marks::named(name)?;
    Some(Found {
        address,
        id: id.to_owned(),
        environment,
        lineage,
        created: created.and_then(|at| at.parse().ok()),
        expires: None,
        monthly: Some(Money(0)),
    })
}

/// Addresses that tags say are ours. The environment's name stands in another tag of the same life.
fn reserved(addresses: &[ReservedIp], tags: &[Tag]) -> Vec<Found> {
    let facts = |what: &'static str| {
        tags.iter().filter_map(move |tag| {
            let marks = Marks::read(Some(&vec![tag.name.clone()]));
            Some((marks.lineage()?.clone(), marks.get(what)?.to_owned()))
        })
    };
    let environments: BTreeMap<Lineage, EnvironmentName> = facts(marks::ENVIRONMENT)
        .filter_map(|(lineage, name)| Some((lineage, name.parse().ok()?)))
        .collect();
    facts(marks::ADDRESS)
        .filter(|(_, ip)| addresses.iter().any(|one| one.ip == *ip))
        .filter_map(|(lineage, ip)| {
            Some(Found {
                address: Address::MachineAddress,
                id: ip,
                environment: environments.get(&lineage)?.clone(),
                lineage,
                created: None,
                expires: None,
                monthly: None,
            })
        })
        .collect()
}

/// See [`crate::provider::Provider::adopt`]: it has to be there, of the right kind, and nobody else's.
pub(super) async fn adopt(
    cloud: &DigitalOcean,
    owner: &Owner,
    address: &Address,
    id: &str,
) -> Result<(), ProviderError> {
    let what = format!("failed to take over {address} {id}");
    let gone = || {
        ProviderError::new(format!("{what}: it is not there"))
            .with_remedy("look whether the token is of the account that has it")
    };
    let free = |marks: &Marks| match marks.is_nobody_elses(owner) {
        true => Ok(()),
        false => Err(theirs(&what, marks.environment(), marks.lineage())),
    };
    let tags = [
        marks::ALL.to_owned(),
        marks::life(&owner.lineage),
        marks::fact(&owner.lineage, marks::ENVIRONMENT, owner.environment.as_str()),
    ];
    let bearing = |there: &Marks| {
        // What it bears beside ours stays until an apply.
        let all: Vec<String> = tags
            .iter()
            .cloned()
            .chain(there.list().into_iter().map(str::to_owned))
            .collect();
        Marks::read(Some(&all))
    };
    match address {
        Address::MachineInstance => {
            let droplet = droplet::by_id(cloud, id).await?.ok_or_else(gone)?;
            let there = Marks::read(droplet.tags.as_ref());
            free(&there)?;
            tag::set(cloud, &Bearer::Droplet(droplet.id), &bearing(&there), &there).await
        }
        Address::MachineVolume => {
            let volume = look::<Volume>(cloud, &["volumes", id], &what).await?.ok_or_else(gone)?;
            let there = Marks::read(volume.tags.as_ref());
            free(&there)?;
            tag::set(cloud, &Bearer::Volume(volume.id), &bearing(&there), &there).await
        }
        Address::MachineAddress => {
            let there = look::<ReservedIp>(cloud, &["reserved_ips", id], &what)
                .await?
                .ok_or_else(gone)?;
            let held = Marks::read(there.droplet.as_ref().and_then(|droplet| droplet.tags.as_ref()));
            free(&held)?;
            for tag in tag::list(cloud).await? {
                let marks = Marks::read(Some(&vec![tag.name.clone()]));
                if marks.get(marks::ADDRESS) == Some(id) {
                    free(&marks)?;
                }
            }
            for tag in tags.iter().chain([&marks::fact(&owner.lineage, marks::ADDRESS, id)]) {
                tag::make(cloud, tag).await?;
            }
            Ok(())
        }
        Address::MachineFirewall => {
            let there = look::<Firewall>(cloud, &["firewalls", id], &what)
                .await?
                .ok_or_else(gone)?;
            if let Some((environment, lineage, _)) = marks::named(&there.name)
                && lineage != owner.lineage
            {
                return Err(theirs(&what, Some(environment), Some(&lineage)));
            }
            // Its rules and what it is for are the next apply's, which shows them first.
            let mut body = firewall::rewritten(&there);
            body["name"] = json!(marks::name(owner));
            let set = cloud.client.put::<Firewall>(&["firewalls", id], body).await;
            set.map(drop).map_err(error::of(what.clone(), "firewall:update"))
        }
        Address::MachineKey => {
            let there = look::<Key>(cloud, &["account", "keys", id], &what)
                .await?
                .ok_or_else(gone)?;
            if let Some((environment, lineage, _)) = marks::named(&there.name)
                && lineage != owner.lineage
            {
                return Err(theirs(&what, Some(environment), Some(&lineage)));
            }
            let body = json!({"name": marks::name(owner)});
            let set = cloud.client.put::<Key>(&["account", "keys", id], body).await;
            set.map(drop).map_err(error::of(what.clone(), "ssh_key:update"))
        }
        Address::Dns(name) => Err(ProviderError::new(what).with_remedy(format!(
            "say in the zone that it is ours, by a TXT record `{}` with the value \"{}\"; apply then takes it over",
            crate::provider::claim::name_of(name),
            crate::provider::claim::text(owner.lineage.as_str(), owner.environment.as_str())
        ))),
        _ => Err(
            ProviderError::new(format!("{what}: it is nothing that DigitalOcean has"))
                .with_remedy("what is on the machine is found by looking: apply"),
        ),
    }
}

async fn look<T: super::client::Thing>(
    cloud: &DigitalOcean,
    path: &[&str],
    what: &str,
) -> Result<Option<T>, ProviderError> {
    match cloud.client.find::<T>(path).await {
        // An identifier of another form is none of this kind.
        Err(refused) if matches!(refused.status(), Some(400 | 422)) => Ok(None),
        other => other.map_err(error::of(what, "")),
    }
}

fn theirs(what: &str, environment: Option<EnvironmentName>, lineage: Option<&Lineage>) -> ProviderError {
    let environment = environment.map_or_else(|| "unknown".to_owned(), |name| name.to_string());
    let lineage = lineage.map_or_else(String::new, Lineage::to_string);
    ProviderError::new(format!(
        "{what}: it belongs to the environment {environment}, lineage {lineage}"
    ))
    .with_remedy("when that one is no more, take its tags or its name away in the console first")
}
