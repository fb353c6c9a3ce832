//! What a provider is asked for, in our own words: values, and how each of them can change.

pub mod aws;
pub mod cloud;
pub mod digitalocean;
pub mod local;
pub mod ssh;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use aws::{AwsShape, CpuCredits};
pub use cloud::{ATTACHED, SshFrom};
pub use digitalocean::DigitalOceanShape;
pub use local::{Acceleration, DirectBoot, LocalImage, LocalShape, Sha512Source};
pub use ssh::{SshShape, Walls};

use crate::names::Address;

/// Attributes of one resource, as they stand in plan and state: names to values.
pub type Attributes = BTreeMap<String, String>;

/// A machine as it shall be made. Whatever the first boot needs is in here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSpec {
    /// The provider's own part.
    pub shape: Shape,
    /// Size of the root disk in GiB; 0 where it comes with something else, such as the size.
    pub disk_gib: u32,
    /// Size of the data volume in GiB; no volume without.
    pub volume_gib: Option<u32>,
    /// The rendered `#cloud-config`.
    pub user_data: String,
    /// How long the environment shall live, in seconds: everything is tagged with its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// The names under which it is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsSpec>,
}

/// What differs between providers in an [`InstanceSpec`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// A QEMU virtual machine on this computer.
    Local(LocalShape),
    /// An EC2 instance.
    Aws(AwsShape),
    /// A Droplet of DigitalOcean's.
    DigitalOcean(DigitalOceanShape),
    /// A host that was there before.
    Ssh(SshShape),
}

/// Address records of the machine's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsSpec {
    /// Who serves them.
    pub provider: DnsKind,
    /// The zone; the longest one that fits each name without.
    pub zone: Option<String>,
    /// The names, lower case, without a dot at the end.
    pub names: BTreeSet<String>,
    /// Whether an IPv6 record is made too.
    pub ipv6: bool,
}

/// Who serves names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DnsKind {
    /// Amazon Route 53.
    Route53,
    /// DigitalOcean's name servers.
    DigitalOcean,
}

/// How a changed attribute is brought about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Course {
    /// As it runs.
    InPlace,
    /// Stop, change, start.
    Restart,
    /// Only a new one has it.
    Replace(String),
    /// It stays as it is for as long as the resource lives; why, and what else could be done.
    Stay(String),
    /// Not even a new one can have it.
    Refuse(String),
}

impl InstanceSpec {
    /// The machine itself as it stands in plan and state.
    pub fn attributes(&self) -> Attributes {
        let mut attributes = match &self.shape {
            Shape::Local(local) => local.attributes(),
            Shape::Aws(aws) => aws.attributes(self),
            Shape::DigitalOcean(droplet) => droplet.attributes(self),
            // Its disk is not ours to size.
            Shape::Ssh(ssh) => return ssh.attributes(),
        };
        if self.disk_gib > 0 {
            attributes.insert("disk_gib".into(), self.disk_gib.to_string());
        }
        if let (Shape::Local(_), Some(gib)) = (&self.shape, self.volume_gib) {
            attributes.insert("volume_gib".into(), gib.to_string());
        }
        attributes
    }

    /// The machine's memory in MiB, when its size tells it without a question to the provider.
    pub fn memory_mib(&self) -> Option<u32> {
        match &self.shape {
            Shape::Local(local) => Some(local.memory_mib),
            Shape::Aws(aws) => aws::memory_mib(&aws.size),
            Shape::DigitalOcean(droplet) => digitalocean::memory_mib(&droplet.size),
            Shape::Ssh(_) => None,
        }
    }

    /// Everything beside the machine itself, of providers whose parts are made one by one. A name's `address` is where the
    /// machine is found, known by the planner.
    pub fn parts(&self) -> BTreeMap<Address, Attributes> {
        let mut parts = match &self.shape {
            Shape::Local(_) | Shape::Ssh(_) => BTreeMap::new(),
            Shape::Aws(aws) => aws.parts(self),
            Shape::DigitalOcean(droplet) => droplet.parts(self),
        };
        for name in self.dns.iter().flat_map(|dns| &dns.names) {
            parts.insert(Address::Dns(name.clone()), Attributes::new());
        }
        parts
    }

    /// The names of attributes of the machine itself that observation tells whenever they are set.
    pub fn told(&self) -> &'static [&'static str] {
        match &self.shape {
            Shape::Local(_) => &local::TOLD,
            Shape::Aws(_) => &aws::TOLD,
            Shape::DigitalOcean(_) => &digitalocean::TOLD,
            Shape::Ssh(_) => &[],
        }
    }

    /// Who may reach port 22, where the provider has a firewall.
    pub fn ssh_from(&self) -> Option<&SshFrom> {
        match &self.shape {
            Shape::Local(_) | Shape::Ssh(_) => None,
            Shape::Aws(aws) => Some(&aws.ssh_from),
            Shape::DigitalOcean(droplet) => Some(&droplet.ssh_from),
        }
    }

    /// Opens ports to everybody, where the provider has a firewall: `tcp/8883`.
    pub fn open(&mut self, ports: &std::collections::BTreeSet<String>) {
        match &mut self.shape {
            Shape::Local(_) | Shape::Ssh(_) => {}
            Shape::Aws(aws) => aws.ssh_from.open.clone_from(ports),
            Shape::DigitalOcean(droplet) => droplet.ssh_from.open.clone_from(ports),
        }
    }

    /// What has to be known of a machine that turns itself off at its end; none where it is gone then.
    pub fn after_its_end(&self) -> Option<&'static str> {
        match &self.shape {
            Shape::Local(_) | Shape::Aws(_) | Shape::Ssh(_) => None,
            Shape::DigitalOcean(_) => Some(digitalocean::AFTER_ITS_END),
        }
    }

    /// How an attribute of a resource can change.
    pub fn course(&self, address: &Address, attribute: &str, old: Option<&str>, new: Option<&str>) -> Course {
        match (&self.shape, address) {
            (_, Address::Dns(_)) => Course::InPlace,
            (Shape::Local(_), _) => local::course(attribute, old, new),
            (Shape::Aws(_), _) => aws::course(address, attribute, old, new),
            (Shape::DigitalOcean(_), _) => digitalocean::course(address, attribute, old, new),
            (Shape::Ssh(_), _) => ssh::course(),
        }
    }

    /// The host that was there before and stays after us, if it is one: its key and users are not ours, and a destroy acts on it.
    pub fn existing(&self) -> Option<&SshShape> {
        match &self.shape {
            Shape::Ssh(ssh) => Some(ssh),
            Shape::Local(_) | Shape::Aws(_) | Shape::DigitalOcean(_) => None,
        }
    }
}

/// Whether some provider tells an attribute of its machines whenever it is set; see [`InstanceSpec::told`].
pub fn is_told(attribute: &str) -> bool {
    local::TOLD.contains(&attribute) || aws::TOLD.contains(&attribute) || digitalocean::TOLD.contains(&attribute)
}

fn number(text: Option<&str>) -> Option<u64> {
    text.and_then(|text| text.parse().ok())
}
