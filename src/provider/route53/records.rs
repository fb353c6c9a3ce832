//! The records of one name: whose they are, what they say, and what has to change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use aws_sdk_route53::Client;
use aws_sdk_route53::error::{BuildError, ProvideErrorMetadata as _};
use aws_sdk_route53::types::{Change, ChangeAction, ResourceRecord, ResourceRecordSet, RrType};

use super::zone::Zone;
use crate::names::{EnvironmentName, Lineage};
use crate::provider::aws::error;
use crate::provider::claim;
use crate::provider::{Attributes, Owner, Part, ProviderError, Reached};

/// How long a resolver may keep an answer, in seconds: a new machine is found after a minute.
const TTL: i64 = 60;
/// The most records that one answer holds (Route 53, ListResourceRecordSets).
pub(super) const PAGE: i32 = 300;

/// What stands under a name and under the one of its ownership record.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Records(Vec<ResourceRecordSet>);

/// Whose a name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whose {
    /// It has no addresses.
    Nobodys,
    /// It bears our ownership record.
    Ours,
    /// It is not ours; says why.
    Another(String),
}

/// The name of a name's ownership record.
pub(super) fn claim_name(name: &str) -> String {
    claim::name_of(name)
}

/// The name, lineage and environment of an ownership record; None for any other record.
pub(super) fn claimed(set: &ResourceRecordSet) -> Option<(String, Lineage, EnvironmentName)> {
    let name = plain(&set.name);
    let name = claim::named(&name).filter(|_| set.r#type == RrType::Txt)?;
    values(set).find_map(|value| {
        let (lineage, environment) = claim::read(value)?;
        Some((name.to_owned(), lineage, environment))
    })
}

/// How [`Records::part`] identifies a name.
pub(super) fn id(zone: &Zone, name: &str) -> String {
    format!("{}/{name}", zone.id)
}

/// The records that a name shall have.
pub(super) fn wanted(
    owner: &Owner,
    name: &str,
    at: &Reached,
    ipv6: bool,
) -> Result<Vec<ResourceRecordSet>, ProviderError> {
    let what = || format!("failed to point `{name}` at the machine");
    let second = at.ipv6.filter(|_| ipv6).map(IpAddr::V6);
    let addresses: BTreeSet<IpAddr> = at.address.into_iter().chain(second).collect();
    if addresses.is_empty() {
        return Err(ProviderError::new(format!("{}: the machine has no address", what()))
            .with_remedy("apply again: the address is looked up anew"));
    }
    let record = |name: &str, kind, value: String| {
        let value = ResourceRecord::builder().value(value).build()?;
        ResourceRecordSet::builder()
            .name(format!("{name}."))
            .r#type(kind)
            .ttl(TTL)
            .resource_records(value)
            .build()
    };
    let make = || {
        let mut records = Vec::new();
        for address in addresses {
            let kind = if address.is_ipv4() { RrType::A } else { RrType::Aaaa };
            records.push(record(name, kind, address.to_string())?);
        }
        let claim = claim::text(owner.lineage.as_str(), owner.environment.as_str());
        records.push(record(&claim_name(name), RrType::Txt, format!("\"{claim}\""))?);
        Ok(records)
    };
    make().map_err(|why: BuildError| ProviderError::new(what()).because(why))
}

impl Records {
    pub(super) fn of(sets: Vec<ResourceRecordSet>) -> Self {
        Self(sets)
    }

    fn claims(&self) -> impl Iterator<Item = &str> {
        let claims = self.0.iter().filter(|set| set.r#type == RrType::Txt);
        claims.flat_map(values)
    }

    fn addresses(&self) -> impl Iterator<Item = &ResourceRecordSet> {
        self.0.iter().filter(|set| set.r#type != RrType::Txt)
    }

    /// The environment's name is for people: only the lineage tells whose a record is.
    pub(super) fn whose(&self, owner: &Owner) -> Whose {
        if self.claims().any(|text| claim::is_of(text, &owner.lineage)) {
            return Whose::Ours;
        }
        if let Some(other) = self.claims().next() {
            return Whose::Another(format!("its ownership record `_provision.…` says {other}"));
        }
        let mut kinds: Vec<&str> = self.addresses().map(|set| set.r#type.as_str()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        match kinds.as_slice() {
            [] => Whose::Nobodys,
            kinds => Whose::Another(format!(
                "it has {} records that provision did not make",
                kinds.join(" and ")
            )),
        }
    }

    /// What the planner compares. What is not as we make it is told in a word of its own, so that it is seen as changed.
    pub(super) fn part(&self, zone: &Zone, name: &str) -> Part {
        let mut attributes = Attributes::new();
        let mut tell = |key: &str, value: String| {
            attributes
                .entry(key.to_owned())
                .and_modify(|before: &mut String| *before = format!("{before} {value}"))
                .or_insert(value);
        };
        let first_is_ipv6 = !self.0.iter().any(|set| set.r#type == RrType::A);
        for set in self.addresses() {
            let key = match &set.r#type {
                RrType::A => "address".to_owned(),
                RrType::Aaaa if first_is_ipv6 => "address".to_owned(),
                RrType::Aaaa => "ipv6".to_owned(),
                other => other.as_str().to_ascii_lowercase(),
            };
            let mut values: Vec<&str> = values(set).collect();
            values.sort_unstable();
            match &set.alias_target {
                Some(alias) => tell(&key, format!("alias of {}", alias.dns_name.trim_end_matches('.'))),
                None => tell(&key, values.join(" ")),
            }
            if let Some(ttl) = set.ttl.filter(|ttl| *ttl != TTL) {
                tell("ttl", format!("{ttl} s"));
            }
            if let Some(identifier) = &set.set_identifier {
                tell("routing_policy", identifier.clone());
            }
        }
        Part {
            id: id(zone, name),
            attributes,
            facts: BTreeMap::from([("zone".to_owned(), zone.to_string())]),
        }
    }

    /// One batch that leads from what was seen to `wanted`: nothing that is right is touched, and what is wrong is deleted
    /// exactly as it was seen, so that the batch fails when it is not so any more.
    pub(super) fn changes(&self, wanted: &[ResourceRecordSet]) -> Result<Vec<Change>, ProviderError> {
        let stays = |set: &&ResourceRecordSet| wanted.iter().any(|wanted| same(wanted, set));
        let gone = self.0.iter().filter(|set| !stays(set));
        let made = wanted
            .iter()
            .filter(|wanted| !self.0.iter().any(|set| same(wanted, set)));
        gone.map(|set| (ChangeAction::Delete, set))
            .chain(made.map(|set| (ChangeAction::Create, set)))
            .map(|(action, set)| {
                Change::builder()
                    .action(action)
                    .resource_record_set(set.clone())
                    .build()
                    .map_err(|why| ProviderError::new("failed to write a change of records").because(why))
            })
            .collect()
    }
}

fn values(set: &ResourceRecordSet) -> impl Iterator<Item = &str> {
    set.resource_records().iter().map(|record| record.value.as_str())
}

/// Equal in all that we make. A record with a routing policy or an alias is never one of ours.
fn same(wanted: &ResourceRecordSet, seen: &ResourceRecordSet) -> bool {
    plain(&wanted.name) == plain(&seen.name)
        && wanted.r#type == seen.r#type
        && wanted.ttl == seen.ttl
        && seen.set_identifier.is_none()
        && seen.alias_target.is_none()
        && values(wanted).collect::<BTreeSet<_>>() == values(seen).collect::<BTreeSet<_>>()
}

/// A name as we write it: Route 53 answers with a dot at the end and `\052` for `*`.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').replace("\\052", "*").to_ascii_lowercase()
}

/// Where a name stands in a zone's order: as text, with the labels reversed and a dot at the end (Route 53,
/// ListResourceRecordSets).
fn place(name: &str) -> String {
    let mut labels: Vec<&str> = name.split('.').collect();
    labels.reverse();
    let mut place = labels.join(".");
    place.push('.');
    place
}

/// What stands under these names. One call while fewer than [`PAGE`] records lie between the first and the last of them; what
/// lies between and is of no interest is skipped.
pub(super) async fn read(
    client: &Client,
    zone: &Zone,
    names: &BTreeSet<String>,
) -> Result<BTreeMap<String, Records>, ProviderError> {
    let mut whose: BTreeMap<String, &String> = BTreeMap::new();
    for name in names {
        whose.insert(claim_name(name), name);
        whose.insert(name.clone(), name);
    }
    let mut places: Vec<(String, &String)> = whose.keys().map(|name| (place(name), name)).collect();
    places.sort();

    let mut found: BTreeMap<String, Records> = BTreeMap::new();
    let mut next = places.first().map(|(_, name)| ((*name).clone(), None, None));
    while let Some((name, kind, identifier)) = next.take() {
        let answer = client
            .list_resource_record_sets()
            .hosted_zone_id(&zone.id)
            .start_record_name(name)
            .set_start_record_type(kind)
            .set_start_record_identifier(identifier)
            .max_items(PAGE)
            .send()
            .await;
        let page = match answer {
            Ok(page) => page,
            // Somebody deleted the zone: its records are gone with it.
            Err(gone) if gone.code() == Some("NoSuchHostedZone") => return Ok(BTreeMap::new()),
            Err(other) => {
                let what = format!("failed to list the records of the zone {zone}");
                return Err(error::failed(what, "route53:ListResourceRecordSets", other));
            }
        };
        for set in page.resource_record_sets {
            let name = plain(&set.name);
            let Some(of) = whose.get(&name) else { continue };
            let of = (*of).clone();
            let is_claim = name == claim_name(&of);
            let counts = match set.r#type {
                RrType::Txt => is_claim,
                RrType::A | RrType::Aaaa | RrType::Cname => !is_claim,
                _ => false,
            };
            if counts {
                found.entry(of).or_default().0.push(set);
            }
        }
        let Some(following) = page.next_record_name.filter(|_| page.is_truncated) else {
            break;
        };
        let reached = place(&plain(&following));
        next = places.iter().find(|(place, _)| *place >= reached).map(|(place, name)| {
            if *place == reached {
                (following, page.next_record_type, page.next_record_identifier)
            } else {
                ((*name).clone(), None, None)
            }
        });
    }
    Ok(found)
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
