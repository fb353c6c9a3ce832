//! The records of one name: whose they are, what they say, and what has to change next.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::SERVED_BY;
use crate::provider::claim;
use crate::provider::digitalocean::wire::Record;
use crate::provider::{Attributes, Owner, Part, ProviderError, Reached};

/// How long a resolver may keep an answer, in seconds: a new machine is found after a minute.
pub(super) const TTL: u64 = 60;

/// What stands under a name and under the one of its ownership record.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Records {
    name: String,
    /// A, AAAA and CNAME, by number.
    addresses: Vec<Record>,
    /// TXT records of the ownership record's name, by number.
    claims: Vec<Record>,
}

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

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A record more.
    Make {
        kind: &'static str,
        name: String,
        data: String,
    },
    /// Another value.
    Change { id: u64, kind: String, data: String },
    /// A record less.
    Remove { id: u64 },
}

impl Step {
    /// What a token has to be allowed for it.
    pub(super) fn scope(&self) -> &'static str {
        match self {
            Self::Make { .. } => "domain:create",
            Self::Change { .. } => "domain:update",
            Self::Remove { .. } => "domain:delete",
        }
    }
}

/// The addresses that a name shall have, by the kind of record.
pub(super) type Wanted = BTreeSet<(&'static str, String)>;

/// How [`Records::part`] identifies a name.
pub(super) fn id(domain: &str, name: &str) -> String {
    format!("{domain}/{name}")
}

/// Whether a name lies in a domain.
pub(super) fn serves(domain: &str, name: &str) -> bool {
    name == domain || name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// A name as the API writes it: without its domain, and `@` for the domain itself.
pub(super) fn short(name: &str, domain: &str) -> String {
    let rest = name.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.'));
    match rest {
        Some(rest) => rest.to_owned(),
        None if name == domain => "@".to_owned(),
        None => name.to_owned(),
    }
}

/// The whole name.
pub(super) fn full(short: &str, domain: &str) -> String {
    let short = short.to_ascii_lowercase();
    match short.as_str() {
        "@" | "" => domain.to_owned(),
        whole if serves(domain, whole.trim_end_matches('.')) => whole.trim_end_matches('.').to_owned(),
        part => format!("{part}.{domain}"),
    }
}

/// The addresses that a name shall have.
pub(super) fn wanted(owner: &Owner, name: &str, at: &Reached, ipv6: bool) -> Result<Wanted, ProviderError> {
    let second = at.ipv6.filter(|_| ipv6).map(IpAddr::V6);
    let addresses: BTreeSet<IpAddr> = at.address.into_iter().chain(second).collect();
    if addresses.is_empty() {
        return Err(ProviderError::new(format!(
            "failed to point `{name}` at the machine of {}: the machine has no address",
            owner.environment
        ))
        .with_remedy("apply again: the address is looked up anew"));
    }
    let kind = |address: &IpAddr| if address.is_ipv4() { "A" } else { "AAAA" };
    Ok(addresses
        .iter()
        .map(|address| (kind(address), address.to_string()))
        .collect())
}

impl Records {
    /// Those of one name among all of its domain.
    pub(super) fn of(all: &[Record], domain: &str, name: &str) -> Self {
        let claim = claim::name_of(name);
        let mut records = Self {
            name: name.to_owned(),
            ..Self::default()
        };
        for record in all {
            let full = full(&record.name, domain);
            match record.kind.as_str() {
                "A" | "AAAA" | "CNAME" if full == name => records.addresses.push(record.clone()),
                "TXT" if full == claim => records.claims.push(record.clone()),
                _ => {}
            }
        }
        records.addresses.sort_by_key(|record| record.id);
        records.claims.sort_by_key(|record| record.id);
        records
    }

    /// The environment's name is for people: only the lineage tells whose a record is. Of several claims the first one made
    /// counts.
    pub(super) fn whose(&self, owner: &Owner) -> Whose {
        match self.claims.first() {
            Some(first) if claim::is_of(&first.data, &owner.lineage) => return Whose::Ours,
            Some(other) => {
                let text = other.data.trim_matches('"');
                return Whose::Another(format!("its ownership record `_provision.…` says \"{text}\""));
            }
            None => {}
        }
        let kinds: BTreeSet<&str> = self.addresses.iter().map(|record| record.kind.as_str()).collect();
        if kinds.is_empty() {
            return Whose::Nobodys;
        }
        let kinds: Vec<&str> = kinds.into_iter().collect();
        Whose::Another(format!(
            "it has {} records that provision did not make",
            kinds.join(" and ")
        ))
    }

    /// What the planner compares. What is not as we make it is told in a word of its own, so that it is seen as changed.
    pub(super) fn part(&self, domain: &str, name: &str) -> Part {
        let mut attributes = Attributes::new();
        let mut tell = |key: &str, value: String| {
            attributes
                .entry(key.to_owned())
                .and_modify(|before: &mut String| *before = format!("{before} {value}"))
                .or_insert(value);
        };
        let first_is_ipv6 = !self.addresses.iter().any(|record| record.kind == "A");
        for record in &self.addresses {
            let key = match record.kind.as_str() {
                "A" => "address",
                "AAAA" if first_is_ipv6 => "address",
                "AAAA" => "ipv6",
                _ => "cname",
            };
            let plain = record.data.parse::<IpAddr>().map(|address| address.to_string());
            tell(key, plain.unwrap_or_else(|_| record.data.clone()));
            if let Some(ttl) = record.ttl.filter(|ttl| *ttl != TTL) {
                tell("ttl", format!("{ttl} s"));
            }
        }
        Part {
            id: id(domain, name),
            attributes,
            facts: BTreeMap::from([
                ("zone".to_owned(), domain.to_owned()),
                (SERVED_BY.to_owned(), "digitalocean".to_owned()),
            ]),
        }
    }

    /// The next change on the way to these addresses. The claim comes first; a value is changed where a record of its kind is
    /// there, so that the name answers all the time.
    pub(super) fn step_to(&self, owner: &Owner, wanted: &Wanted) -> Option<Step> {
        let text = claim::text(owner.lineage.as_str(), owner.environment.as_str());
        if !self
            .claims
            .iter()
            .any(|claim| claim::is_of(&claim.data, &owner.lineage))
        {
            return Some(Step::Make {
                kind: "TXT",
                name: claim::name_of(&self.name),
                data: text,
            });
        }
        if let Some(step) = self.spare_claim(owner) {
            return Some(step);
        }
        let right =
            |record: &Record, (kind, data): &(&'static str, String)| record.kind == *kind && same(&record.data, data);
        let mut kept = BTreeSet::new();
        let mut missing = Vec::new();
        for one in wanted {
            let found = self
                .addresses
                .iter()
                .find(|record| right(record, one) && !kept.contains(&record.id));
            match found {
                Some(record) => {
                    kept.insert(record.id);
                    if record.ttl.is_some_and(|ttl| ttl != TTL) {
                        return Some(Step::Change {
                            id: record.id,
                            kind: record.kind.clone(),
                            data: one.1.clone(),
                        });
                    }
                }
                None => missing.push(one),
            }
        }
        let spare = || self.addresses.iter().filter(|record| !kept.contains(&record.id));
        // A name with a CNAME has nothing else.
        if let Some(record) = spare().find(|record| record.kind == "CNAME") {
            return Some(Step::Remove { id: record.id });
        }
        if let Some((kind, data)) = missing.first() {
            return Some(match spare().find(|record| record.kind == *kind) {
                Some(record) => Step::Change {
                    id: record.id,
                    kind: record.kind.clone(),
                    data: data.clone(),
                },
                None => Step::Make {
                    kind,
                    name: self.name.clone(),
                    data: data.clone(),
                },
            });
        }
        spare().next().map(|record| Step::Remove { id: record.id })
    }

    /// The next change on the way to nothing. The claim goes last.
    pub(super) fn step_away(&self, owner: &Owner) -> Option<Step> {
        if let Some(record) = self.addresses.first() {
            return Some(Step::Remove { id: record.id });
        }
        let ours = self
            .claims
            .iter()
            .find(|claim| claim::is_of(&claim.data, &owner.lineage));
        ours.map(|claim| Step::Remove { id: claim.id })
    }

    /// The claim of ours on a name that another had first.
    pub(super) fn step_back(&self, owner: &Owner) -> Option<Step> {
        let ours = self
            .claims
            .iter()
            .skip(1)
            .find(|claim| claim::is_of(&claim.data, &owner.lineage));
        ours.map(|claim| Step::Remove { id: claim.id })
    }

    /// A claim of ours that was made twice.
    fn spare_claim(&self, owner: &Owner) -> Option<Step> {
        let mut ours = self
            .claims
            .iter()
            .filter(|claim| claim::is_of(&claim.data, &owner.lineage));
        ours.nth(1).map(|claim| Step::Remove { id: claim.id })
    }
}

/// Whether two texts are one address: IPv6 has many forms.
fn same(one: &str, other: &str) -> bool {
    match (one.parse::<IpAddr>(), other.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "shop.example.com";

    fn owner() -> Owner {
        Owner {
            environment: "demo".parse().unwrap(),
            lineage: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            ids: BTreeMap::new(),
            expires: None,
        }
    }

    fn record(id: u64, kind: &str, name: &str, data: &str) -> Record {
        Record {
            id,
            kind: kind.into(),
            name: name.into(),
            data: data.into(),
            ttl: Some(TTL),
        }
    }

    fn claim_of(id: u64, owner: &Owner) -> Record {
        let text = claim::text(owner.lineage.as_str(), owner.environment.as_str());
        record(id, "TXT", "_provision.shop", &text)
    }

    fn at(address: &str, ipv6: Option<&str>) -> Wanted {
        let at = Reached {
            address: Some(address.parse().unwrap()),
            ipv6: ipv6.map(|ipv6| ipv6.parse().unwrap()),
        };
        wanted(&owner(), NAME, &at, true).unwrap()
    }

    /// The changes until there is none more to make, done one by one.
    fn way(mut all: Vec<Record>, wanted: Option<&Wanted>) -> Vec<String> {
        let mut told = Vec::new();
        for _ in 0..20 {
            let seen = Records::of(&all, "example.com", NAME);
            let step = match wanted {
                Some(wanted) => seen.step_to(&owner(), wanted),
                None => seen.step_away(&owner()),
            };
            let Some(step) = step else { return told };
            match &step {
                Step::Make { kind, name, data } => {
                    let id = all.iter().map(|record| record.id).max().unwrap_or(0) + 1;
                    all.push(record(id, kind, &short(name, "example.com"), data));
                    told.push(format!("make {kind} {name}"));
                }
                Step::Change { id, kind, data } => {
                    let there = all.iter_mut().find(|record| record.id == *id).unwrap();
                    told.push(format!("change {kind} {} to {data}", there.data));
                    there.data = data.clone();
                    there.ttl = Some(TTL);
                }
                Step::Remove { id } => {
                    let place = all.iter().position(|record| record.id == *id).unwrap();
                    let gone = all.remove(place);
                    told.push(format!("remove {} {}", gone.kind, gone.name));
                }
            }
        }
        panic!("it has no end: {told:?}");
    }

    #[test]
    fn what_is_as_it_shall_be_changes_nothing() {
        let all = vec![
            claim_of(1, &owner()),
            record(2, "A", "shop", "203.0.113.7"),
            record(3, "AAAA", "shop", "2001:DB8::7"),
        ];
        let wanted = at("203.0.113.7", Some("2001:db8::7"));
        assert!(way(all.clone(), Some(&wanted)).is_empty());
        let seen = Records::of(&all, "example.com", NAME);
        assert_eq!(seen.whose(&owner()), Whose::Ours);
        let part = seen.part("example.com", NAME);
        assert_eq!(part.id, "example.com/shop.example.com");
        assert_eq!(
            (part.attributes["address"].as_str(), part.attributes["ipv6"].as_str()),
            ("203.0.113.7", "2001:db8::7")
        );
    }

    #[test]
    fn the_claim_is_made_first_and_goes_last() {
        let wanted = at("203.0.113.7", None);
        assert_eq!(
            way(Vec::new(), Some(&wanted)),
            ["make TXT _provision.shop.example.com", "make A shop.example.com"]
        );
        let all = vec![claim_of(1, &owner()), record(2, "A", "shop", "203.0.113.7")];
        assert_eq!(way(all, None), ["remove A shop", "remove TXT _provision.shop"]);
    }

    #[test]
    fn what_was_made_twice_or_by_somebody_is_put_right() {
        let all = vec![
            claim_of(1, &owner()),
            claim_of(2, &owner()),
            record(3, "A", "shop", "203.0.113.9"),
            record(4, "A", "shop", "203.0.113.9"),
            record(5, "TXT", "shop", "somebody's word"),
            record(6, "A", "@", "203.0.113.1"),
        ];
        let wanted = at("203.0.113.7", None);
        assert_eq!(
            way(all, Some(&wanted)),
            [
                "remove TXT _provision.shop",
                "change A 203.0.113.9 to 203.0.113.7",
                "remove A shop"
            ]
        );
        let mut slow = record(2, "A", "shop", "203.0.113.7");
        slow.ttl = Some(1800);
        let all = vec![
            claim_of(1, &owner()),
            slow,
            record(3, "CNAME", "shop", "else.example.net"),
        ];
        let part = Records::of(&all, "example.com", NAME).part("example.com", NAME);
        assert_eq!(
            (part.attributes["ttl"].as_str(), part.attributes["cname"].as_str()),
            ("1800 s", "else.example.net")
        );
        assert_eq!(
            way(all, Some(&wanted)),
            ["change A 203.0.113.7 to 203.0.113.7", "remove CNAME shop"]
        );
    }

    #[test]
    fn names_of_others_are_told_apart() {
        let other = Owner {
            lineage: "ffffffffffffffffffffffffffffffff".parse().unwrap(),
            ..owner()
        };
        let whose = |all: &[Record]| Records::of(all, "example.com", NAME).whose(&owner());
        assert_eq!(whose(&[]), Whose::Nobodys);
        assert_eq!(
            whose(&[record(1, "A", "shop", "203.0.113.7")]),
            Whose::Another("it has A records that provision did not make".into())
        );
        // Of two claims at once the first one has the name.
        assert_eq!(whose(&[claim_of(1, &owner()), claim_of(2, &other)]), Whose::Ours);
        assert!(
            matches!(whose(&[claim_of(1, &other), claim_of(2, &owner())]), Whose::Another(why) if why.contains("ffff"))
        );
    }

    #[test]
    fn a_name_is_short_in_its_domain() {
        for (name, written) in [
            ("example.com", "@"),
            ("shop.example.com", "shop"),
            ("*.a.example.com", "*.a"),
        ] {
            assert_eq!(short(name, "example.com"), written);
            assert_eq!(full(written, "example.com"), name);
        }
        assert_eq!(full("shop.example.com.", "example.com"), "shop.example.com");
        assert!(serves("example.com", "example.com") && !serves("ample.com", "example.com"));
    }
}
