//! The vendor's things, as far as they are of interest. What a token may not read is left out of answers: so little is required.

use serde::Deserialize;

use super::client::Thing;

macro_rules! things {
    ($($kind:ident $one:literal $many:literal),* $(,)?) => {
        $(impl Thing for $kind {
            const ONE: &'static str = $one;
            const MANY: &'static str = $many;
        })*
    };
}

things! {
    Account "account" "accounts",
    Action "action" "actions",
    Domain "domain" "domains",
    Droplet "droplet" "droplets",
    Firewall "firewall" "firewalls",
    Image "image" "images",
    Key "ssh_key" "ssh_keys",
    Project "project" "projects",
    Record "domain_record" "domain_records",
    Region "region" "regions",
    ReservedIp "reserved_ip" "reserved_ips",
    Size "size" "sizes",
    Snapshot "snapshot" "snapshots",
    Tag "tag" "tags",
    Volume "volume" "volumes",
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Account {
    #[serde(default)]
    pub droplet_limit: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Action {
    pub id: u64,
    pub status: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Droplet {
    pub id: u64,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub locked: bool,
    /// GB of the root disk.
    #[serde(default)]
    pub disk: u64,
    pub created_at: Option<String>,
    #[serde(default)]
    pub features: Vec<String>,
    pub image: Option<Image>,
    pub size: Option<Size>,
    #[serde(default)]
    pub size_slug: String,
    #[serde(default)]
    pub networks: Networks,
    pub region: Option<Region>,
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    pub vpc_uuid: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Networks {
    #[serde(default)]
    pub v4: Vec<Network>,
    #[serde(default)]
    pub v6: Vec<Network>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Network {
    pub ip_address: Option<String>,
    #[serde(rename = "type", default)]
    pub kind: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Image {
    pub id: Option<u64>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub distribution: Option<String>,
    #[serde(default)]
    pub created_at: Option<String>,
    #[serde(default)]
    pub regions: Vec<String>,
    pub min_disk_size: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Size {
    #[serde(default)]
    pub slug: String,
    /// GB.
    #[serde(default)]
    pub disk: u64,
    #[serde(default)]
    pub price_monthly: Option<f64>,
    #[serde(default)]
    pub regions: Vec<String>,
    #[serde(default)]
    pub available: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Region {
    #[serde(default)]
    pub slug: String,
    #[serde(default)]
    pub available: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Key {
    pub id: u64,
    pub name: String,
    pub public_key: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Firewall {
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub pending_changes: Option<Vec<serde_json::Value>>,
    pub created_at: Option<String>,
    #[serde(default)]
    pub droplet_ids: Option<Vec<u64>>,
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    #[serde(default)]
    pub inbound_rules: Option<Vec<Rule>>,
    #[serde(default)]
    pub outbound_rules: Option<Vec<Rule>>,
}

/// A rule of either direction.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Rule {
    pub protocol: String,
    #[serde(default)]
    pub ports: Option<String>,
    #[serde(alias = "sources", alias = "destinations", default)]
    pub others: Others,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Others {
    #[serde(default)]
    pub addresses: Option<Vec<String>>,
    #[serde(default)]
    pub droplet_ids: Option<Vec<u64>>,
    #[serde(default)]
    pub load_balancer_uids: Option<Vec<String>>,
    #[serde(default)]
    pub kubernetes_ids: Option<Vec<String>>,
    #[serde(default)]
    pub tags: Option<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Volume {
    pub id: String,
    #[serde(default)]
    pub size_gigabytes: u64,
    #[serde(default)]
    pub droplet_ids: Option<Vec<u64>>,
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    pub region: Option<Region>,
    pub created_at: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ReservedIp {
    pub ip: String,
    /// `null` or an empty object when it is on none.
    #[serde(default)]
    pub droplet: Option<Holder>,
}

/// The Droplet that an address is on.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Holder {
    pub id: Option<u64>,
    #[serde(default)]
    pub tags: Option<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Tag {
    pub name: String,
    #[serde(default)]
    pub resources: Option<Tagged>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Tagged {
    #[serde(default)]
    pub count: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Snapshot {
    pub id: String,
    #[serde(default)]
    pub tags: Option<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Domain {
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Record {
    pub id: u64,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub data: String,
    #[serde(default)]
    pub ttl: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Project {
    pub id: String,
    #[serde(default)]
    pub name: String,
}
