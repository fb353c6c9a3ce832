//! A Droplet and what belongs to it, as they shall be.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::cloud::{ATTACHED, SshFrom};
use super::{Attributes, Course, InstanceSpec, number};
use crate::names::{Address, shown_seconds};

/// A Droplet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigitalOceanShape {
    /// The region, such as `fra1`.
    pub region: String,
    /// The size, such as `s-1vcpu-2gb`. The root disk is the size's.
    pub size: String,
    /// The image: one of [`super::cloud::IMAGES`], a slug such as `debian-13-x64`, or the number of an image of one's own.
    pub image: String,
    /// Whether the address is a reserved one, which outlives the Droplet.
    pub static_address: bool,
    /// Whether it has an IPv6 address too.
    pub ipv6: bool,
    /// Whether the vendor's agent for metrics is installed at the first boot.
    pub monitoring: bool,
    /// Whether the vendor backs the whole Droplet up, for a fifth or a third of its price.
    pub backups: bool,
    /// Whether a larger size brings its larger disk too. A disk cannot shrink, so there is no way back to a smaller size.
    pub grow_disk: bool,
    /// The VPC, by its identifier; the region's default one without.
    pub vpc: Option<String>,
    /// The project that it is shown in, by its name or its identifier; the account's default one without.
    pub project: Option<String>,
    /// The public key that the first boot lets in: one line of OpenSSH.
    pub public_key: String,
    /// Who may reach port 22.
    pub ssh_from: SshFrom,
    /// Tags of the user's own, on Droplet and volume.
    pub tags: BTreeSet<String>,
}

/// The memory of a size in MiB, where its name says it: `s-1vcpu-2gb`, `s-1vcpu-512mb-10gb` (the disk comes last). None for a name such
/// as `c-2`: nothing is guessed.
pub fn memory_mib(size: &str) -> Option<u32> {
    size.split('-')
        .skip(2)
        .find_map(|part| match part.split_at_checked(part.len().saturating_sub(2))? {
            (number, "gb") => number.parse::<u32>().ok()?.checked_mul(1024),
            (number, "mb") => number.parse().ok(),
            _ => None,
        })
}

/// What observation tells of a Droplet, of what it was asked for.
pub const TOLD: [&str; 10] = [
    "backups",
    "image",
    "ipv6",
    "monitoring",
    "project",
    "region",
    "size",
    "tags",
    "ttl",
    "vpc",
];

/// The vendor has no word for a Droplet that goes when it turns itself off.
pub const AFTER_ITS_END: &str = "at its end the Droplet turns itself off, and goes on costing money until somebody runs \
     `provision destroy`, or `provision gc --provider digitalocean --expired --yes`";

impl DigitalOceanShape {
    /// One to begin a test with.
    #[cfg(test)]
    pub(in crate::provider) fn small() -> Self {
        Self {
            region: "fra1".into(),
            size: "s-1vcpu-2gb".into(),
            image: "debian-13".into(),
            static_address: false,
            ipv6: false,
            monitoring: false,
            backups: false,
            grow_disk: false,
            vpc: None,
            project: None,
            public_key: "ssh-ed25519 AAAA me".into(),
            ssh_from: SshFrom::default(),
            tags: BTreeSet::new(),
        }
    }

    /// The Droplet as it stands in plan and state.
    pub fn attributes(&self, spec: &InstanceSpec) -> Attributes {
        let mut attributes = Attributes::from([
            ("provider".to_owned(), "digitalocean".to_owned()),
            ("region".to_owned(), self.region.clone()),
            ("size".to_owned(), self.size.clone()),
            ("image".to_owned(), self.image.clone()),
        ]);
        let mut optional = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                attributes.insert(name.to_owned(), value);
            }
        };
        for (name, wanted) in [
            ("ipv6", self.ipv6),
            ("monitoring", self.monitoring),
            ("backups", self.backups),
            ("grow_disk", self.grow_disk),
        ] {
            optional(name, wanted.then(|| "yes".to_owned()));
        }
        optional("vpc", self.vpc.clone());
        optional("project", self.project.clone());
        optional("ttl", spec.ttl_seconds.map(shown_seconds));
        optional("tags", self.shown_tags());
        attributes
    }

    /// Everything beside the Droplet. Only volumes have tags beside it.
    pub fn parts(&self, spec: &InstanceSpec) -> BTreeMap<Address, Attributes> {
        let mut parts = BTreeMap::from([
            (
                Address::MachineKey,
                Attributes::from([("public_key".to_owned(), material(&self.public_key))]),
            ),
            (Address::MachineFirewall, self.ssh_from.firewall()),
        ]);
        let hangs = || Attributes::from([(ATTACHED.to_owned(), Address::MachineInstance.to_string())]);
        if let Some(gib) = spec.volume_gib {
            let mut volume = hangs();
            volume.insert("size_gib".to_owned(), gib.to_string());
            volume.extend(self.shown_tags().map(|tags| ("tags".to_owned(), tags)));
            parts.insert(Address::MachineVolume, volume);
        }
        if self.static_address {
            parts.insert(Address::MachineAddress, hangs());
        }
        parts
    }

    fn shown_tags(&self) -> Option<String> {
        let tags: Vec<String> = self.tags.iter().map(|tag| tag.to_ascii_lowercase()).collect();
        (!tags.is_empty()).then(|| tags.join(", "))
    }
}

/// Kind and key of a public key. An account has each key once, under whichever comment it came first.
pub fn material(line: &str) -> String {
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// How an attribute can change.
pub fn course(address: &Address, attribute: &str, old: Option<&str>, new: Option<&str>) -> Course {
    let shrinks = matches!((number(old), number(new)), (Some(old), Some(new)) if new < old);
    match (address, attribute) {
        (Address::MachineInstance, "size" | "grow_disk") => Course::Restart,
        (Address::MachineInstance, "backups" | "project" | "ttl" | "tags") => Course::InPlace,
        (Address::MachineInstance, "region") => Course::Refuse(
            "an environment cannot move to another region: destroy it and apply again, or write the old region".into(),
        ),
        (Address::MachineVolume, "size_gib") if shrinks => {
            Course::Refuse("volume_gib cannot shrink: no disk does without losing data; write the old size".into())
        }
        (Address::MachineInstance, other) => Course::Replace(format!("{other} is fixed when a Droplet is made")),
        _ => Course::InPlace,
    }
}
