//! What everything of ours is marked with, and what is read back from it.
//!
//! A tag is a word here, without a value, and only Droplets and volumes have tags. So the life of an environment has words of its
//! own, `provision:<lineage>` and `provision:<lineage>:<what>:<value>`, which go with it; firewalls and keys have them in
//! their names; and a reserved address is marked by a tag that nothing bears.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::names::{EnvironmentName, Lineage, shown_seconds};
use crate::provider::{InstanceSpec, Owner, Shape};

/// On everything of ours.
pub(super) const ALL: &str = "provision";
/// The environment's name.
pub(super) const ENVIRONMENT: &str = "environment";
/// The count of the machines of this owner.
pub(super) const GENERATION: &str = "generation";
/// The image as asked for.
pub(super) const IMAGE: &str = "image";
/// A VPC was asked for: which.
pub(super) const VPC: &str = "vpc";
/// The project that it was given to: its identifier and how the file writes it, see [`super::project`].
pub(super) const PROJECT: &str = "project";
/// When it shall be gone.
pub(super) const EXPIRES: &str = "expires";
/// The ttl from which the end was computed, as it stands in the plan.
pub(super) const TTL: &str = "ttl";
/// A reserved address of this owner.
pub(super) const ADDRESS: &str = "address";

/// Those that can change while a thing lives, and so go when they are not wanted any more.
const SETTABLE: [&str; 3] = [TTL, EXPIRES, PROJECT];

/// What a thing is marked with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// Whose it is. More than one when somebody copied a thing with its tags.
    lineages: BTreeSet<Lineage>,
    facts: BTreeMap<String, String>,
    /// The user's own.
    others: BTreeSet<String>,
    /// As they are written.
    written: BTreeSet<String>,
}

/// The tag that everything of a life bears and its firewall is for.
pub(super) fn life(lineage: &Lineage) -> String {
    format!("{ALL}:{lineage}")
}

/// A tag that says something of one life.
pub(super) fn fact(lineage: &Lineage, what: &str, value: &str) -> String {
    format!("{}:{what}:{}", life(lineage), encode(value))
}

/// The name of the key and of the firewall of an environment.
pub(super) fn name(owner: &Owner) -> String {
    format!("{ALL}.{}.{}", owner.environment, owner.lineage)
}

/// Whose a name of that form is, and what stands behind it.
pub(super) fn named(name: &str) -> Option<(EnvironmentName, Lineage, &str)> {
    let (environment, rest) = name.strip_prefix(ALL)?.strip_prefix('.')?.split_once('.')?;
    let (lineage, rest) = rest.split_once('.').unwrap_or((rest, ""));
    Some((environment.parse().ok()?, lineage.parse().ok()?, rest))
}

impl Marks {
    pub(super) fn read(tags: Option<&Vec<String>>) -> Self {
        let mut marks = Self::default();
        for tag in tags.into_iter().flatten() {
            // Tags keep the case in which they were written first and mean the same in any.
            let tag = tag.to_ascii_lowercase();
            marks.written.insert(tag.clone());
            let Some(rest) = tag
                .strip_prefix(ALL)
                .filter(|rest| rest.is_empty() || rest.starts_with(':'))
            else {
                marks.others.insert(tag);
                continue;
            };
            let mut words = rest.trim_start_matches(':').splitn(3, ':');
            let Some(lineage) = words.next().and_then(|word| word.parse().ok()) else {
                continue;
            };
            marks.lineages.insert(lineage);
            if let (Some(what), Some(value)) = (words.next(), words.next()) {
                marks.facts.insert(what.to_owned(), decode(value));
            }
        }
        marks
    }

    /// What a new Droplet or volume is tagged with. `facts` are those of this thing alone.
    pub(super) fn wanted(owner: &Owner, spec: &InstanceSpec, facts: &[(&str, &str)]) -> Self {
        let mut tags = vec![
            ALL.to_owned(),
            life(&owner.lineage),
            fact(&owner.lineage, ENVIRONMENT, owner.environment.as_str()),
        ];
        if let Shape::DigitalOcean(shape) = &spec.shape {
            tags.extend(shape.tags.clone());
        }
        tags.extend(facts.iter().map(|(what, value)| fact(&owner.lineage, what, value)));
        if let (Some(seconds), Some(ends)) = (spec.ttl_seconds, owner.expires) {
            tags.push(fact(&owner.lineage, EXPIRES, &ends.to_string()));
            tags.push(fact(&owner.lineage, TTL, &shown_seconds(seconds)));
        }
        Self::read(Some(&tags))
    }

    /// As they are written in a call.
    pub(super) fn list(&self) -> Vec<&str> {
        self.written.iter().map(String::as_str).collect()
    }

    pub(super) fn get(&self, what: &str) -> Option<&str> {
        self.facts.get(what).map(String::as_str)
    }

    pub(super) fn is_of(&self, owner: &Owner) -> bool {
        self.lineages.contains(&owner.lineage)
    }

    /// Whether it may be taken for the owner's where the state knows it: without our tags yes, with those of another
    /// environment no.
    pub(super) fn is_nobody_elses(&self, owner: &Owner) -> bool {
        self.lineages.is_empty() || self.is_of(owner)
    }

    pub(super) fn environment(&self) -> Option<EnvironmentName> {
        self.get(ENVIRONMENT)?.parse().ok()
    }

    pub(super) fn lineage(&self) -> Option<&Lineage> {
        self.lineages.first()
    }

    pub(super) fn expires(&self) -> Option<Timestamp> {
        self.get(EXPIRES)?.to_ascii_uppercase().parse().ok()
    }

    /// The user's own ones as they stand in the plan, with what somebody did to ours.
    pub(super) fn shown(&self, owner: &Owner) -> Option<String> {
        let mut shown: Vec<&str> = self.others.iter().map(String::as_str).collect();
        let missing = format!("({} is missing)", life(&owner.lineage));
        if !self.is_of(owner) || !self.written.contains(ALL) || !self.written.contains(&life(&owner.lineage)) {
            shown.push(&missing);
        }
        (!shown.is_empty()).then(|| shown.join(", "))
    }

    /// What must be set and what must be taken away so that a thing bears these. What says how it was made stays as it is.
    pub(super) fn missing<'a>(&'a self, there: &'a Self) -> (Vec<&'a str>, Vec<&'a str>) {
        let set = self.written.difference(&there.written).map(String::as_str);
        let goes = |tag: &&String| {
            let settable = SETTABLE.iter().any(|what| {
                let of = |lineage: &Lineage| tag.starts_with(&format!("{}:{what}:", life(lineage)));
                self.lineages.iter().any(of)
            });
            there.others.contains(*tag) || settable
        };
        let drop = there.written.difference(&self.written).filter(goes).map(String::as_str);
        (set.collect(), drop.collect())
    }
}

/// A tag has letters, digits, `:`, `-` and `_`; no value of ours has a `_`.
fn encode(value: &str) -> String {
    value.replace('.', "_").replace(' ', "__").to_ascii_lowercase()
}

fn decode(value: &str) -> String {
    value.replace("__", " ").replace('_', ".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::DigitalOceanShape;

    fn owner() -> Owner {
        Owner {
            environment: "demo".parse().unwrap(),
            lineage: Lineage::from_bytes([0xab; 16]),
            ids: BTreeMap::new(),
            expires: Some("2026-11-21T10:15:00Z".parse().unwrap()),
        }
    }

    fn spec() -> InstanceSpec {
        InstanceSpec {
            shape: Shape::DigitalOcean(DigitalOceanShape {
                tags: ["Team:shop".to_owned()].into(),
                ..DigitalOceanShape::small()
            }),
            disk_gib: None,
            volume_gib: None,
            user_data: String::new(),
            ttl_seconds: Some(5400),
            dns: None,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let marks = Marks::wanted(&owner(), &spec(), &[(IMAGE, "ubuntu-24.04")]);
        let legal =
            |tag: &&str| tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-:".contains(&b)) && tag.len() <= 255;
        assert!(marks.list().iter().all(legal), "{:?}", marks.list());
        assert!(marks.is_of(&owner()));
        assert_eq!(marks.environment().unwrap().as_str(), "demo");
        assert_eq!(marks.get(IMAGE), Some("ubuntu-24.04"));
        assert_eq!(marks.get(TTL), Some(shown_seconds(5400).as_str()));
        assert_eq!(marks.expires(), owner().expires);
        assert_eq!(marks.shown(&owner()).as_deref(), Some("team:shop"));
        assert_eq!(marks.missing(&marks), (vec![], vec![]));
    }

    #[test]
    fn what_somebody_did_to_tags_is_shown_and_undone() {
        let wanted = Marks::wanted(&owner(), &spec(), &[]);
        let life = life(&owner().lineage);
        let old = format!("{life}:expires:2026-01-01t00:00:00z");
        let kept = format!("{life}:generation:2");
        let there: Vec<String> = ["provision", "foreign", old.as_str(), kept.as_str(), "provision:x"]
            .map(str::to_owned)
            .into();
        let there = Marks::read(Some(&there));
        assert_eq!(there.shown(&owner()).unwrap(), format!("foreign, ({life} is missing)"));
        let (set, drop) = wanted.missing(&there);
        assert!(set.contains(&life.as_str()) && set.contains(&"team:shop"), "{set:?}");
        assert_eq!(drop, ["foreign", old.as_str()]);
    }

    #[test]
    fn a_name_says_whose_it_is() {
        let name = name(&owner());
        assert_eq!(named(&name), Some((owner().environment, owner().lineage, "")));
        let more = format!("{name}.operator");
        assert_eq!(named(&more).unwrap().2, "operator");
        for other in ["provision", "provision.demo", "web.demo.0123", "provision-demo-x"] {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
