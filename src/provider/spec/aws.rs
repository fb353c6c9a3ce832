//! An EC2 instance and what belongs to it, as they shall be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cloud::{ATTACHED, SshFrom};
use super::{Attributes, Course, InstanceSpec, number};
use crate::names::{Address, shown_seconds};

/// An EC2 instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsShape {
    /// The region, when the file names one; otherwise the one that the credentials' configuration names.
    pub region: Option<String>,
    /// The instance type, such as `t3.small`.
    pub size: String,
    /// The image: one of [`super::cloud::IMAGES`], or `ami-…`.
    pub image: String,
    /// Whether the address is an elastic one, which outlives the instance.
    pub static_address: bool,
    /// The subnet; one of the default VPC without.
    pub subnet: Option<String>,
    /// The VPC; the account's default one without.
    pub vpc: Option<String>,
    /// The instance profile, for programs on the machine that talk to AWS.
    pub instance_profile: Option<String>,
    /// Ask for spot capacity first and for an ordinary instance when there is none.
    pub spot: bool,
    /// Whether it has an IPv6 address too.
    pub ipv6: bool,
    /// What a burstable instance does when its credits are used up.
    pub cpu_credits: Option<CpuCredits>,
    /// The KMS key of its disks; the account's default key for EBS without.
    pub kms_key: Option<String>,
    /// The public key that is imported as the instance's key pair: one line of OpenSSH.
    pub public_key: String,
    /// Who may reach port 22.
    pub ssh_from: SshFrom,
    /// Tags of the user's own, on everything.
    pub tags: BTreeMap<String, String>,
}

/// What a burstable instance does when its credits are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CpuCredits {
    /// It gets slower.
    Standard,
    /// It costs more.
    Unlimited,
}

/// What observation tells of an instance, of what it was asked for.
pub const TOLD: [&str; 12] = [
    "cpu_credits",
    "disk_gib",
    "encryption",
    "image",
    "instance_profile",
    "ipv6",
    "market",
    "metadata",
    "size",
    "subnet",
    "tags",
    "ttl",
];

impl AwsShape {
    /// One to begin a test with.
    #[cfg(all(test, feature = "aws"))]
    pub(in crate::provider) fn small() -> Self {
        Self {
            region: None,
            size: "t3.small".into(),
            image: "debian-13".into(),
            static_address: false,
            subnet: None,
            vpc: None,
            instance_profile: None,
            spot: false,
            ipv6: false,
            cpu_credits: None,
            kms_key: None,
            public_key: "ssh-ed25519 AAAA".into(),
            ssh_from: SshFrom::default(),
            tags: BTreeMap::new(),
        }
    }

    /// The instance as it stands in plan and state.
    pub fn attributes(&self, spec: &InstanceSpec) -> Attributes {
        let mut attributes = Attributes::from([
            ("provider".to_owned(), "aws".to_owned()),
            ("size".to_owned(), self.size.clone()),
            ("image".to_owned(), self.image.clone()),
            ("encryption".to_owned(), self.encryption()),
            ("metadata".to_owned(), "v2 tokens, 1 hop".to_owned()),
            (
                "market".to_owned(),
                if self.spot { "spot" } else { "on-demand" }.to_owned(),
            ),
        ]);
        let mut optional = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                attributes.insert(name.to_owned(), value);
            }
        };
        optional("region", self.region.clone());
        optional("subnet", self.subnet.clone());
        optional("instance_profile", self.instance_profile.clone());
        optional("ipv6", self.ipv6.then(|| "yes".to_owned()));
        optional(
            "cpu_credits",
            self.cpu_credits.map(|credits| {
                match credits {
                    CpuCredits::Standard => "standard",
                    CpuCredits::Unlimited => "unlimited",
                }
                .to_owned()
            }),
        );
        optional("ttl", spec.ttl_seconds.map(shown_seconds));
        optional("tags", self.shown_tags());
        attributes
    }

    /// Everything beside the instance.
    pub fn parts(&self, spec: &InstanceSpec) -> BTreeMap<Address, Attributes> {
        let tagged = |mut attributes: Attributes| {
            if let Some(tags) = self.shown_tags() {
                attributes.insert("tags".to_owned(), tags);
            }
            attributes
        };
        let mut firewall = self.ssh_from.firewall();
        if let Some(vpc) = &self.vpc {
            firewall.insert("vpc".to_owned(), vpc.clone());
        }
        let mut parts = BTreeMap::from([
            (
                Address::MachineKey,
                tagged(Attributes::from([("public_key".to_owned(), self.public_key.clone())])),
            ),
            (Address::MachineFirewall, tagged(firewall)),
        ]);
        if let Some(gib) = spec.volume_gib {
            let volume = Attributes::from([
                ("size_gib".to_owned(), gib.to_string()),
                ("encryption".to_owned(), self.encryption()),
                (ATTACHED.to_owned(), Address::MachineInstance.to_string()),
            ]);
            parts.insert(Address::MachineVolume, tagged(volume));
        }
        if self.static_address {
            let address = Attributes::from([(ATTACHED.to_owned(), Address::MachineInstance.to_string())]);
            parts.insert(Address::MachineAddress, tagged(address));
        }
        parts
    }

    fn encryption(&self) -> String {
        self.kms_key.clone().unwrap_or_else(|| "default key".to_owned())
    }

    fn shown_tags(&self) -> Option<String> {
        let tags: Vec<String> = self.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        (!tags.is_empty()).then(|| tags.join(", "))
    }
}

/// The memory of an instance type in MiB, by the rule that the names of the general, compute and memory families follow since
/// their fifth generation (T since the second): a `large` has 8, 4 and 16 GiB, each step doubles it. None for every other type:
/// nothing is guessed.
pub fn memory_mib(size: &str) -> Option<u32> {
    let (family, step) = size.split_once('.')?;
    let letters = family.find(|c: char| c.is_ascii_digit())?;
    let (kind, rest) = family.split_at(letters);
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (generation, variant) = rest.split_at(digits);
    let generation: u32 = generation.parse().ok()?;
    // What these letters add is a processor, a disk or a network; c5n has memory of its own.
    let usual = matches!(
        variant,
        "" | "a" | "g" | "i" | "d" | "ad" | "gd" | "id" | "gn" | "in" | "i-flex"
    ) && family != "c5n";
    let large = match (kind, generation) {
        ("t", 2..=4) | ("m", 5..=8) => 8 * 1024,
        ("c", 5..=8) => 4 * 1024,
        ("r", 5..=8) => 16 * 1024,
        _ => return None,
    };
    let is_small = matches!(step, "nano" | "micro" | "small") && kind == "t";
    let mib = match step {
        "nano" => large / 16,
        "micro" => large / 8,
        "small" => large / 4,
        "medium" => large / 2,
        "large" => large,
        "xlarge" => large * 2,
        other => {
            large
                * 2
                * other
                    .strip_suffix("xlarge")?
                    .parse::<u32>()
                    .ok()
                    .filter(|n| (2..=48).contains(n))?
        }
    };
    (usual && (is_small || !matches!(step, "nano" | "micro" | "small"))).then_some(mib)
}

/// How an attribute can change.
pub fn course(address: &Address, attribute: &str, old: Option<&str>, new: Option<&str>) -> Course {
    let shrinks = matches!((number(old), number(new)), (Some(old), Some(new)) if new < old);
    match (address, attribute) {
        (Address::MachineInstance, "size") => Course::Restart,
        (Address::MachineInstance, "disk_gib") if shrinks => Course::Replace("disk_gib cannot shrink".into()),
        (Address::MachineInstance, "disk_gib" | "cpu_credits" | "metadata" | "instance_profile" | "ttl" | "tags") => {
            Course::InPlace
        }
        // Where it is cannot change; the file may name it or leave it to the credentials' configuration.
        (Address::MachineInstance, "region") if old.is_none() || new.is_none() => Course::InPlace,
        (Address::MachineInstance, "region") => Course::Refuse(
            "an environment cannot move to another region: destroy it and apply again, or write the old region".into(),
        ),
        (Address::MachineVolume, "size_gib") if shrinks => {
            Course::Refuse("volume_gib cannot shrink: no disk does without losing data; write the old size".into())
        }
        (Address::MachineVolume, "encryption") if old == Some("none") => Course::Refuse(
            "the data volume is not encrypted and cannot become so: copy it, by an encrypted snapshot, and take the copy over \
             with `provision state import`"
                .into(),
        ),
        (Address::MachineVolume, "encryption") => Course::Stay(
            "machine.volume keeps the key that it was made with: its data would have to be copied to another volume".into(),
        ),
        (Address::MachineFirewall, "vpc") => Course::Refuse(
            "an environment cannot move to another VPC: destroy it and apply again, or write the old VPC".into(),
        ),
        (Address::MachineInstance, other) => Course::Replace(format!("{other} is fixed when an instance is made")),
        _ => Course::InPlace,
    }
}

#[cfg(test)]
mod tests {
    use super::memory_mib;

    /// As the vendor's own tables have them.
    #[test]
    fn an_instance_types_memory_follows_from_its_name() {
        for (size, mib) in [
            ("t2.micro", Some(1024)),
            ("t3.nano", Some(512)),
            ("t3.small", Some(2048)),
            ("t3.medium", Some(4096)),
            ("t4g.2xlarge", Some(32 * 1024)),
            ("m7i-flex.large", Some(8192)),
            ("c7i-flex.large", Some(4096)),
            ("c7g.medium", Some(2048)),
            ("r6g.16xlarge", Some(512 * 1024)),
            ("m6i.32xlarge", Some(512 * 1024)),
            ("c5n.large", None),
            ("c4.large", None),
            ("m5.small", None),
            ("m7i.metal-24xl", None),
            ("x2gd.medium", None),
            ("t3", None),
            ("", None),
        ] {
            assert_eq!(memory_mib(size), mib, "{size}");
        }
    }
}
