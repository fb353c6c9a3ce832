//! What there is of one owner, in as few calls as can be: five at once, and one more for each name server's zone.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join5;

use super::marks::{self, Marks};
use super::wire::Droplet;
use super::{DigitalOcean, address, droplet, firewall, image, key, volume};
use crate::names::Address;
use crate::provider::spec::digitalocean::AFTER_ITS_END;
use crate::provider::wait::{self, Look};
use crate::provider::{Owner, ProviderError, Sight};

/// How long a Droplet that is being made may take to have an address.
const TO_BE_UP: Duration = Duration::from_secs(300);

/// See [`crate::provider::Provider::observe`].
pub(super) async fn observe(cloud: &DigitalOcean, owner: &Owner) -> Result<Sight, ProviderError> {
    let (droplets, firewalls, data, addresses, key) = try_join5(
        droplet::all(cloud, owner),
        firewall::list(cloud),
        volume::find(cloud, owner),
        address::list(cloud),
        key::observe(cloud, owner),
    )
    .await?;
    cloud.seen.note(&firewalls);
    let machine = droplet::chosen(owner, &droplets);
    let id = machine.map(|droplet| droplet.id);
    let ids: Vec<u64> = droplets.iter().map(|droplet| droplet.id).collect();
    let wall = firewall::of(owner, firewalls);
    let fixed = address::observed(cloud, owner, &addresses, id).await?;
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
    let news = match asked.get(marks::IMAGE) {
        Some(asked) => image::news(cloud, asked, &machine).await?,
        None => None,
    };
    // Said where somebody looks what there is, and not at every plan.
    let costs_on = owner.expires.filter(|_| !cloud.lean).map(|_| AFTER_ITS_END.to_owned());
    Ok(Sight {
        instance: Some(droplet::seen(
            owner,
            &machine,
            on_it.and_then(|one| one.ip.parse().ok()),
        )?),
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
