//! An EC2 instance and what belongs to it, as they shall be.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Attributes, Course, InstanceSpec, number};
use crate::names::{Address, shown_seconds};

/// An EC2 instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsShape {
    /// The region, when the file names one; otherwise the one that the credentials' configuration names.
    pub region: Option<String>,
    /// The instance type, such as `t3.small`.
    pub size: String,
    /// The image: one of [`IMAGES`], or `ami-…`.
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

/// The image aliases, each for x86-64 and arm64 by what the size is.
pub const IMAGES: [&str; 4] = ["debian-13", "debian-12", "ubuntu-24.04", "ubuntu-22.04"];

/// What a burstable instance does when its credits are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CpuCredits {
    /// It gets slower.
    Standard,
    /// It costs more.
    Unlimited,
}

/// Who may reach port 22 of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshFrom {
    /// The caller's own address, while a command runs.
    pub operator: bool,
    /// Networks that always may: CIDR blocks, IPv4 or IPv6.
    pub networks: BTreeSet<String>,
}

impl SshFrom {
    /// As it stands in plan and state.
    fn shown(&self) -> String {
        let operator = self.operator.then_some("operator");
        let networks = self.networks.iter().map(String::as_str);
        operator.into_iter().chain(networks).collect::<Vec<_>>().join(" ")
    }
}

/// What is open to everybody, as attributes of the firewall: protocol and port, from where.
pub const PUBLIC: [&str; 3] = ["tcp/443", "tcp/80", "udp/443"];

/// Everybody.
pub const ANYWHERE: &str = "0.0.0.0/0 ::/0";

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
        let mut firewall: Attributes = PUBLIC
            .iter()
            .map(|port| ((*port).to_owned(), ANYWHERE.to_owned()))
            .collect();
        firewall.insert("tcp/22".to_owned(), self.ssh_from.shown());
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

/// The attribute of a part that hangs on the instance: it says which.
pub const ATTACHED: &str = "attached_to";

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
