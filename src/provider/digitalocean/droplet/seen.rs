//! What a Droplet is like, in the words of [`DigitalOceanShape::attributes`](crate::provider::DigitalOceanShape::attributes).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::names::Endpoint;
use crate::provider::digitalocean::marks::{self, Marks};
use crate::provider::digitalocean::wire::{Droplet, Network};
use crate::provider::{Attributes, EXPIRES, Instance, Owner, Power, ProviderError};

/// Whether it has got the address that it is reached at. A Droplet that is new has none for some seconds.
pub(in crate::provider::digitalocean) fn is_up(droplet: &Droplet) -> bool {
    address(droplet).is_some()
}

/// A Droplet in our own words. `fixed` is the reserved address that is on it.
///
/// # Errors
/// When it has no address at all.
pub(in crate::provider::digitalocean) fn seen(
    owner: &Owner,
    droplet: &Droplet,
    fixed: Option<IpAddr>,
) -> Result<Instance, ProviderError> {
    let address = fixed.or_else(|| address(droplet)).ok_or_else(|| {
        ProviderError::new(format!(
            "failed to reach machine.instance ({}): it has no address",
            droplet.id
        ))
        .with_remedy("look at it in the console; or destroy it there and apply again")
    })?;
    let power = match droplet.status.as_str() {
        "active" | "new" => Power::On,
        _ => Power::Off,
    };
    Ok(Instance {
        id: droplet.id.to_string(),
        power,
        endpoint: Endpoint::standard(address),
        attributes: attributes(owner, droplet),
        ipv6: ipv6(droplet),
        facts: facts(droplet),
    })
}

/// Its public address; the private one of a Droplet that has no other.
fn address(droplet: &Droplet) -> Option<IpAddr> {
    let of_kind = |kind: &str| {
        let fits = |network: &&Network| network.kind == kind;
        let text = droplet.networks.v4.iter().find(fits)?.ip_address.as_ref()?;
        text.parse().ok()
    };
    of_kind("public").or_else(|| of_kind("private"))
}

fn ipv6(droplet: &Droplet) -> Option<Ipv6Addr> {
    let mut public = droplet.networks.v6.iter().filter(|network| network.kind == "public");
    public.find_map(|network| network.ip_address.as_ref()?.parse().ok())
}

fn attributes(owner: &Owner, droplet: &Droplet) -> Attributes {
    let marks = Marks::read(droplet.tags.as_ref());
    let mut attributes = Attributes::from([("provider".to_owned(), "digitalocean".to_owned())]);
    let mut tell = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            attributes.insert(name.to_owned(), value);
        }
    };
    tell("region", droplet.region.as_ref().map(|region| region.slug.clone()));
    tell("size", Some(droplet.size_slug.clone()));
    // As it was asked for: of one that lost its tags that is not known, and so nothing is told.
    tell("image", marks.get(marks::IMAGE).map(str::to_owned));
    for feature in ["backups", "ipv6", "monitoring"] {
        let on = droplet.features.iter().any(|one| one == feature);
        tell(feature, on.then(|| "yes".to_owned()));
    }
    // Every Droplet is in some VPC: told where one was asked for.
    tell("vpc", marks.get(marks::VPC).and(droplet.vpc_uuid.clone()));
    tell("ttl", marks.get(marks::TTL).map(str::to_owned));
    // That it is missing is told where it should be there.
    let missing = owner.expires.map(|_| "none".to_owned());
    tell(EXPIRES, marks.expires().map(|ends| ends.to_string()).or(missing));
    tell("tags", marks.shown(owner));
    attributes
}

fn facts(droplet: &Droplet) -> BTreeMap<String, String> {
    let image = droplet.image.as_ref();
    let named = image.and_then(|image| {
        let (distribution, name) = (image.distribution.as_ref()?, image.name.as_ref()?);
        Some(format!("{distribution} {name}"))
    });
    let facts = [
        ("image_id", image.and_then(|image| image.id).map(|id| id.to_string())),
        ("image_name", named),
        (
            "disk_gib",
            Some(droplet.disk).filter(|gib| *gib > 0).map(|gib| gib.to_string()),
        ),
        ("vpc", droplet.vpc_uuid.clone()),
        // A state that is written anew counts on from here.
        (
            "generation",
            Marks::read(droplet.tags.as_ref())
                .get(marks::GENERATION)
                .map(str::to_owned),
        ),
    ];
    let known = facts
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    known.collect()
}
