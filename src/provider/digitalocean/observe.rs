//! What there is of one owner, in as few calls as can be: four at once; one more for the zone of its names, and for its project; and
//! one for reserved addresses where the machine does not tell of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join4;

use super::marks::{self, Marks};
use super::wire::Droplet;
use super::{DigitalOcean, address, droplet, firewall, image, key, project, volume};
use crate::names::Address;
use crate::provider::spec::digitalocean::AFTER_ITS_END;
use crate::provider::wait::{self, Look};
use crate::provider::{Owner, ProviderError, Sight};

/// How long a Droplet that is being made may take to have an address.
const TO_BE_UP: Duration = Duration::from_secs(300);

/// See [`crate::provider::Provider::observe`].
pub(super) async fn observe(cloud: &DigitalOcean, owner: &Owner) -> Result<Sight, ProviderError> {
    let (droplets, firewalls, data, key) = try_join4(
        droplet::all(cloud, owner),
        firewall::list(cloud),
        volume::find(cloud, owner),
        key::observe(cloud, owner),
    )
    .await?;
    cloud.seen.note(&firewalls);
    let machine = droplet::chosen(owner, &droplets);
    let id = machine.map(|droplet| droplet.id);
    let ids: Vec<u64> = droplets.iter().map(|droplet| droplet.id).collect();
    let wall = firewall::of(owner, firewalls);
    let addresses = match address::told_by(owner, machine) {
        Some(told) => told,
        None => address::list(cloud).await?,
    };
    let fixed = address::observed(cloud, owner, &addresses, id).await?;
    let volume_id = data.as_ref().map(|data| data.id.clone());
    let fixed_on_it = fixed.as_ref().filter(|fixed| {
        addresses
            .iter()
            .any(|one| one.ip == fixed.id && id.is_some_and(|id| address::is_on(one, id)))
    });
    let urns = [
        id.map(|id| (Address::MachineInstance, project::droplet(id))),
        volume_id.map(|id| (Address::MachineVolume, project::volume(&id))),
        fixed_on_it.map(|fixed| (Address::MachineAddress, project::address(&fixed.id))),
    ];
    let in_project: Vec<(Address, String)> = urns.into_iter().flatten().collect();
    let found = [
        (Address::MachineKey, key),
        (
            Address::MachineFirewall,
            wall.first().map(|one| firewall::part(one, owner, &ids)),
        ),
        (Address::MachineVolume, data.map(|data| volume::part(&data, owner, id))),
        (Address::MachineAddress, fixed),
    ];
    let parts: BTreeMap<_, _> = found
        .into_iter()
        .filter_map(|(address, part)| Some((address, part?)))
        .collect();
    let Some(machine) = machine else {
        return Ok(Sight {
            parts,
            ..Sight::default()
        });
    };
    let machine = up(cloud, machine).await?;
    let on_it = addresses.iter().find(|one| address::is_on(one, machine.id));
    let asked = Marks::read(machine.tags.as_ref());
    let project = project::observed(cloud, &asked, &in_project).await?;
    let news = match asked.get(marks::IMAGE) {
        Some(asked) => image::news(cloud, asked, &machine).await?,
        None => None,
    };
    // Said where somebody looks what there is, and not at every plan.
    let costs_on = owner.expires.filter(|_| !cloud.lean).map(|_| AFTER_ITS_END.to_owned());
    let mut instance = droplet::seen(owner, &machine, on_it.and_then(|one| one.ip.parse().ok()))?;
    let project = project.map(|project| ("project".to_owned(), project));
    instance.attributes.extend(project);
    Ok(Sight {
        instance: Some(instance),
        parts,
        news: news.into_iter().chain(costs_on).collect(),
        obstacles: BTreeMap::new(),
    })
}

/// A Droplet that an interrupted run asked for a moment ago has no address yet.
async fn up(cloud: &DigitalOcean, machine: &Droplet) -> Result<Droplet, ProviderError> {
    if droplet::is_up(machine) || machine.status != "new" {
        return Ok(machine.clone());
    }
    let id = machine.id.to_string();
    wait::until("machine.instance to have an address", TO_BE_UP, &|_| {}, || async {
        Ok(match droplet::by_id(cloud, &id).await? {
            Some(now) if droplet::is_up(&now) || now.status != "new" => Look::Done(now),
            Some(_) => Look::NotYet("being made".to_owned()),
            None => Look::NotYet("not to be seen".to_owned()),
        })
    })
    .await
}
