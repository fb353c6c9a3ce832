//! What cannot change under its identifier and so need not be asked for again: a key pair has its key, an elastic IP its
//! address. Whether they are there, and their tags, one question tells of both; and a machine tells itself which address it has.
//!
//! Whatever is not exactly as it is recorded is looked at for itself.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Address as Described, Instance, KeyPairInfo, Tag, TagDescription};

use super::tags::{self, Tags};
use super::{Aws, error};
use crate::names::Address;
use crate::provider::{Owner, Part, ProviderError};

/// The tags of all key pairs and elastic IPs of the account, by identifier.
#[derive(Debug)]
pub(super) struct Tagged(BTreeMap<String, Vec<Tag>>);

/// Asks for them where that saves something: when the state has settled a key pair. None in an account with more than one
/// answer holds: there the two kinds are asked for by our tags.
///
/// # Errors
/// When the region cannot be asked.
pub(super) async fn look(aws: &Aws, owner: &Owner) -> Result<Option<Tagged>, ProviderError> {
    if settled(aws, owner, &Address::MachineKey).is_none() {
        return Ok(None);
    }
    let failed = |why| error::failed("failed to look for what bears our tags", "ec2:DescribeTags", why);
    let kinds = tags::filter("resource-type", ["key-pair", "elastic-ip"]);
    let output = aws.ec2.describe_tags().filters(kinds).send().await.map_err(failed)?;
    if output.next_token().is_some_and(|token| !token.is_empty()) {
        return Ok(None);
    }
    let mut tagged: BTreeMap<String, Vec<Tag>> = BTreeMap::new();
    for described in output.tags() {
        let of = tagged.entry(described.resource_id().unwrap_or_default().to_owned());
        of.or_default().push(tag(described));
    }
    Ok(Some(Tagged(tagged)))
}

impl Tagged {
    /// The owner's key pair; None when it has to be looked at.
    pub(super) fn key(&self, aws: &Aws, owner: &Owner) -> Option<KeyPairInfo> {
        let settled = settled(aws, owner, &Address::MachineKey)?;
        let tags = self.only(owner, "key-", &settled.id)?;
        let key = KeyPairInfo::builder()
            .key_pair_id(&settled.id)
            .key_name(settled.facts.get("name")?)
            .public_key(settled.attributes.get("public_key")?)
            .set_tags(Some(tags.to_vec()));
        Some(key.build())
    }

    /// The owner's elastic IPs, on this machine or none at all; None when they have to be looked at.
    pub(super) fn addresses(&self, aws: &Aws, owner: &Owner, machine: Option<&Instance>) -> Option<Vec<Described>> {
        let recorded = owner.ids.contains_key(&Address::MachineAddress);
        if !recorded && self.of(owner, "eipalloc-").next().is_none() {
            return Some(Vec::new());
        }
        let settled = settled(aws, owner, &Address::MachineAddress)?;
        let tags = self.only(owner, "eipalloc-", &settled.id)?;
        let (ip, machine) = (settled.facts.get("address")?, machine?);
        // It is still ours, so whoever has it has this one.
        if machine.public_ip_address() != Some(ip) {
            return None;
        }
        let address = Described::builder()
            .allocation_id(&settled.id)
            .public_ip(ip)
            .set_instance_id(machine.instance_id().map(str::to_owned))
            .set_tags(Some(tags.to_vec()));
        Some(vec![address.build()])
    }

    /// The tags of the one with this identifier, when it is the only one of its kind that bears the owner's.
    fn only(&self, owner: &Owner, kind: &str, id: &str) -> Option<&[Tag]> {
        let mut ours = self.of(owner, kind);
        let (found, tags) = ours.next()?;
        (found == id && ours.next().is_none()).then_some(tags)
    }

    fn of(&self, owner: &Owner, kind: &str) -> impl Iterator<Item = (&str, &[Tag])> {
        let kind = kind.to_owned();
        let owner = owner.clone();
        let all = self.0.iter().map(|(id, tags)| (id.as_str(), tags.as_slice()));
        all.filter(move |(id, tags)| id.starts_with(&kind) && Tags::read(tags).is_of(&owner))
    }
}

/// What the state has settled at an address, if it is the one that the owner has there now.
fn settled<'a>(aws: &'a Aws, owner: &Owner, address: &Address) -> Option<&'a Part> {
    let part = aws.settled.get(address)?;
    (owner.ids.get(address) == Some(&part.id)).then_some(part)
}

fn tag(described: &TagDescription) -> Tag {
    Tag::builder()
        .set_key(described.key().map(str::to_owned))
        .set_value(described.value().map(str::to_owned))
        .build()
}
