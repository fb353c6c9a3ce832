//! What everything of ours is marked with, and what is read back from it.
//!
//! Tags are written with the call that makes a resource, so that nothing of ours is ever without. The cloud does not show all
//! that was asked for (an image's alias, the default subnet): that is kept in tags too.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};
use jiff::Timestamp;

use crate::names::{Address, Digest, EnvironmentName, Lineage, shown_seconds};
use crate::provider::{InstanceSpec, Owner, Shape};

/// What all our own keys begin with.
pub const OURS: &str = "provision:";
/// The environment's name.
pub const ENVIRONMENT: &str = "provision:environment";
/// Its lineage: what resources are found by.
pub const LINEAGE: &str = "provision:lineage";
/// The address in plan and state.
pub const ADDRESS: &str = "provision:address";
/// The version of the program that made it.
pub const VERSION: &str = "provision:version";
/// When it shall be gone, RFC 3339.
pub const EXPIRES: &str = "provision:expires";
/// The ttl from which [`EXPIRES`] was computed, as it stands in the plan.
pub const TTL: &str = "provision:ttl";
/// The image as asked for.
pub const IMAGE: &str = "provision:image";
/// The market as asked for: `spot` or `on-demand`.
pub const MARKET: &str = "provision:market";
/// The encryption as asked for: `default key`, or the key.
pub const ENCRYPTION: &str = "provision:encryption";
/// The subnet as asked for.
pub const SUBNET: &str = "provision:subnet";
/// The VPC as asked for.
pub const VPC: &str = "provision:vpc";
/// The instance profile as asked for: a name or an ARN.
pub const PROFILE: &str = "provision:instance-profile";
/// What shall happen when CPU credits are used up, as asked for.
pub const CREDITS: &str = "provision:cpu-credits";
/// An IPv6 address was asked for.
pub const IPV6: &str = "provision:ipv6";
/// The count of the machines of this owner.
pub const GENERATION: &str = "provision:generation";
/// What the console shows.
pub const NAME: &str = "Name";

/// Those of ours that can change while a resource lives, and so go when they are not wanted any more.
const SETTABLE: [&str; 4] = [TTL, EXPIRES, PROFILE, CREDITS];

/// The address that is written on a root volume: it lives and dies with the instance.
pub const ROOT: &str = "machine.instance.root";

/// The tags of one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// What a new resource is marked with.
    pub fn of(owner: &Owner, address: &Address, spec: &InstanceSpec) -> Self {
        let mut tags = BTreeMap::from([(NAME.to_owned(), owner.machine_name())]);
        if let Shape::Aws(shape) = &spec.shape {
            tags.extend(shape.tags.clone());
        }
        tags.extend([
            (ENVIRONMENT.to_owned(), owner.environment.to_string()),
            (LINEAGE.to_owned(), owner.lineage.to_string()),
            (ADDRESS.to_owned(), address.to_string()),
            (VERSION.to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ]);
        if let (Some(seconds), Some(ends)) = (spec.ttl_seconds, owner.expires) {
            tags.extend([
                (EXPIRES.to_owned(), ends.to_string()),
                (TTL.to_owned(), shown_seconds(seconds)),
            ]);
        }
        Self(tags)
    }

    /// One more, or another value.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// Leaves one as it is on a resource that has it.
    #[must_use]
    pub fn left_as(mut self, key: &str, there: &Self) -> Self {
        if let Some(value) = there.get(key) {
            self.0.insert(key.to_owned(), value.to_owned());
        }
        self
    }

    /// What says when it ends, to be set on everything of its owner; or to be taken away, where there is no end.
    pub fn end(&self) -> (Vec<Tag>, Vec<Tag>) {
        let ends = [EXPIRES, TTL];
        let set: Vec<Tag> = ends.iter().filter_map(|key| Some(tag(key, self.get(key)?))).collect();
        let drop = if set.is_empty() {
            ends.iter().map(|key| Tag::builder().key(*key).build()).collect()
        } else {
            Vec::new()
        };
        (set, drop)
    }

    /// What a resource is marked with.
    pub fn read(tags: &[Tag]) -> Self {
        let pair = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
        Self(tags.iter().filter_map(pair).collect())
    }

    /// The value of one.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Whether the resource bears this owner's lineage.
    pub fn is_of(&self, owner: &Owner) -> bool {
        self.get(LINEAGE) == Some(owner.lineage.as_str())
    }

    /// What it is for.
    pub fn address(&self) -> Option<Address> {
        match self.get(ADDRESS)? {
            ROOT => Some(Address::MachineInstance),
            other => other.parse().ok(),
        }
    }

    /// Whose it is, when it is one of ours.
    pub fn environment(&self) -> Option<EnvironmentName> {
        self.get(ENVIRONMENT)?.parse().ok()
    }

    /// Of which life of the environment.
    pub fn lineage(&self) -> Option<Lineage> {
        self.get(LINEAGE)?.parse().ok()
    }

    /// When it shall be gone.
    pub fn expires(&self) -> Option<Timestamp> {
        self.get(EXPIRES)?.parse().ok()
    }

    /// The user's own ones as they stand in the plan (`key=value, key=value`), with what somebody did to ours.
    pub fn shown(&self, owner: &Owner) -> Option<String> {
        let name = owner.machine_name();
        let mut shown: Vec<String> = self
            .0
            .iter()
            .filter(|(key, value)| {
                !key.starts_with(OURS) && !key.starts_with("aws:") && (*key != NAME || **value != name)
            })
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        if !self.is_of(owner) {
            shown.push(format!("({LINEAGE} is missing)"));
        }
        (!shown.is_empty()).then(|| shown.join(", "))
    }

    /// For `CreateTags`.
    pub fn list(&self) -> Vec<Tag> {
        self.0.iter().map(|(key, value)| tag(key, value)).collect()
    }

    /// For the call that makes a resource.
    pub fn specification(&self, kind: ResourceType) -> TagSpecification {
        TagSpecification::builder()
            .resource_type(kind)
            .set_tags(Some(self.list()))
            .build()
    }

    /// What must be set and what must be taken away so that a resource bears these. Marks of ours that are not among these
    /// stay as they are (they say how the resource was made); so do the vendor's own.
    pub fn missing(&self, there: &Self) -> (Vec<Tag>, Vec<Tag>) {
        let Self(wanted) = self;
        let kept = |key: &str| key == VERSION && there.0.contains_key(VERSION);
        let set = wanted
            .iter()
            .filter(|(key, value)| there.0.get(*key) != Some(*value) && !kept(key))
            .map(|(key, value)| tag(key, value))
            .collect();
        let goes = |key: &str| !key.starts_with("aws:") && (!key.starts_with(OURS) || SETTABLE.contains(&key));
        let drop = there
            .0
            .keys()
            .filter(|key| !wanted.contains_key(*key) && goes(key))
            .map(|key| Tag::builder().key(key).build())
            .collect();
        (set, drop)
    }
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

/// Filters for everything of this owner.
pub fn of_owner(owner: &Owner) -> Filter {
    filter(&format!("tag:{LINEAGE}"), [owner.lineage.as_str()])
}

/// Filters for one resource of this owner.
pub fn at(owner: &Owner, address: &Address) -> Vec<Filter> {
    vec![
        of_owner(owner),
        filter(&format!("tag:{ADDRESS}"), [address.to_string()]),
    ]
}

/// Filters for everything of ours, whoever's it is.
pub fn of_anybody() -> Filter {
    filter("tag-key", [LINEAGE])
}

/// One filter.
pub fn filter<T: Into<String>>(name: &str, values: impl IntoIterator<Item = T>) -> Filter {
    let values = values.into_iter().map(Into::into).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// The token under which a call is made once, however often it is repeated: 32 hexadecimal digits. `beside` tells attempts
/// apart that shall be calls of their own: another zone, or a machine whose forerunner is dead.
pub fn token(owner: &Owner, address: &Address, generation: u64, beside: &[&str]) -> String {
    let mut text = format!("{}\n{address}\n{generation}", owner.lineage);
    for part in beside {
        text.push('\n');
        text.push_str(part);
    }
    Digest::of(text).as_str().chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(byte: u8) -> Owner {
        Owner {
            environment: "demo".parse().unwrap(),
            lineage: Lineage::from_bytes([byte; 16]),
            ids: BTreeMap::new(),
            expires: None,
        }
    }

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        Tags(
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    fn keys(tags: &[Tag]) -> Vec<&str> {
        tags.iter().filter_map(Tag::key).collect()
    }

    #[test]
    fn a_token_is_the_same_for_the_same_thing_and_another_for_another() {
        let first = token(&owner(1), &Address::MachineInstance, 1, &[]);
        assert_eq!(first.len(), 32);
        assert_eq!(first, token(&owner(1), &Address::MachineInstance, 1, &[]));
        let others = [
            token(&owner(2), &Address::MachineInstance, 1, &[]),
            token(&owner(1), &Address::MachineVolume, 1, &[]),
            token(&owner(1), &Address::MachineInstance, 2, &[]),
            token(&owner(1), &Address::MachineInstance, 1, &["i-dead"]),
            token(&owner(1), &Address::MachineInstance, 1, &["subnet-1", "spot"]),
        ];
        let all: std::collections::BTreeSet<&String> = others.iter().chain([&first]).collect();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn only_what_differs_is_written() {
        let wanted = tags(&[
            (TTL, "1m"),
            (EXPIRES, "2026-01-01T00:01:00Z"),
            (VERSION, "2"),
            ("team", "shop"),
        ]);
        let same = tags(&[
            (TTL, "1m"),
            (EXPIRES, "2026-01-01T00:01:00Z"),
            (VERSION, "1"),
            ("team", "shop"),
            (SUBNET, "subnet-1"),
            ("aws:autoscaling", "theirs"),
        ]);
        let (set, drop) = wanted.missing(&same);
        assert_eq!((keys(&set), keys(&drop)), (vec![], vec![]));
        let other = tags(&[
            (TTL, "90s"),
            (EXPIRES, "2026-01-01T00:00:00Z"),
            (PROFILE, "old"),
            ("by", "hand"),
        ]);
        let (set, drop) = wanted.missing(&other);
        assert_eq!(keys(&set), [EXPIRES, TTL, VERSION, "team"]);
        assert_eq!(keys(&drop), ["by", PROFILE]);
    }

    #[test]
    fn only_the_users_own_tags_are_shown() {
        let lineage = owner(1).lineage.to_string();
        let seen = tags(&[
            (LINEAGE, &lineage),
            (NAME, "demo-01010101"),
            ("b", "2"),
            ("a", "1"),
            ("aws:x", "y"),
        ]);
        assert_eq!(seen.shown(&owner(1)).as_deref(), Some("a=1, b=2"));
        assert_eq!(tags(&[(LINEAGE, &lineage)]).shown(&owner(1)), None);
        assert_eq!(
            tags(&[]).shown(&owner(1)).as_deref(),
            Some("(provision:lineage is missing)")
        );
    }
}
