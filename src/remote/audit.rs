//! What the host says about its walls: the JSON of `audit.sh`, as types. Whatever could not be looked at is missing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use thiserror::Error;

use super::command::RemoteCommand;
use super::probe::Listener;
use super::scripts::Script;

/// The version of the format that this program reads.
pub const VERSION: u64 = 1;

/// How long it may take: under emulation with forty containers some seconds, with apt's resolver as many again.
const PATIENCE: Duration = Duration::from_secs(90);

/// Everything that one look saw.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Walls {
    /// The version of the format.
    pub audit: u64,
    /// The host's clock, in seconds since 1970.
    #[serde(default, deserialize_with = "or_default")]
    pub clock: i64,
    /// Whether the kernel speaks IPv6.
    #[serde(default, deserialize_with = "or_default")]
    pub ipv6: bool,
    /// What listens.
    #[serde(default, deserialize_with = "or_default")]
    pub listeners: Vec<Listener>,
    /// Our table, as it is loaded.
    #[serde(default)]
    pub nft: Option<String>,
    /// All rules of the filter table.
    #[serde(default)]
    pub iptables: Option<String>,
    /// The same for IPv6.
    #[serde(default)]
    pub ip6tables: Option<String>,
    /// What sshd makes of all its files.
    #[serde(default, deserialize_with = "or_default")]
    pub sshd: Sshd,
    /// Whether Docker's daemon answered.
    #[serde(default, deserialize_with = "or_default")]
    pub docker: bool,
    /// Containers that run.
    #[serde(default, deserialize_with = "or_default")]
    pub containers: Vec<Container>,
    /// Packages that wait; none when nobody asked.
    #[serde(default)]
    pub updates: Option<Updates>,
    /// Whether what is installed waits for a reboot.
    #[serde(default, deserialize_with = "or_default")]
    pub reboot: bool,
}

/// sshd's settings for two users.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Sshd {
    /// For root.
    #[serde(default)]
    pub root: Option<String>,
    /// For the user that we log in as.
    #[serde(default)]
    pub login: Option<String>,
}

/// One container that runs, and what it may.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// The Compose project.
    #[serde(default, deserialize_with = "or_default")]
    pub project: String,
    /// The Compose service.
    #[serde(default, deserialize_with = "or_default")]
    pub service: String,
    /// The image as the Compose file names it.
    #[serde(default, deserialize_with = "or_default")]
    pub image: String,
    /// The user that it starts as; empty for root.
    #[serde(default, deserialize_with = "or_default")]
    pub user: String,
    /// Whether it may do all that root of the host may.
    #[serde(default, deserialize_with = "or_default")]
    pub privileged: bool,
    /// Its network: a name, or `host`.
    #[serde(default, deserialize_with = "or_default")]
    pub network_mode: String,
    /// `host` when it sees the host's processes.
    #[serde(default, deserialize_with = "or_default")]
    pub pid_mode: String,
    /// What root in it may beside the usual.
    #[serde(default, deserialize_with = "or_default")]
    pub cap_add: Vec<String>,
    /// Devices of the host that it has.
    #[serde(default, deserialize_with = "or_default")]
    pub devices: Vec<Device>,
    /// Devices that it may use once it has made a file for them, such as `b 8:* rmw`.
    #[serde(default, deserialize_with = "or_default")]
    pub device_rules: Vec<String>,
    /// What is mounted.
    #[serde(default, deserialize_with = "or_default")]
    pub mounts: Vec<Mount>,
    /// Its ports, with those of the host that lead to them.
    #[serde(default, deserialize_with = "or_default")]
    pub ports: BTreeMap<String, Option<Vec<Bound>>>,
    /// Its variables.
    #[serde(default, deserialize_with = "or_default")]
    pub env: Vec<Variable>,
}

/// One mount.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Mount {
    /// `bind`, `volume`, …
    #[serde(rename = "Type", default, deserialize_with = "or_default")]
    pub kind: String,
    /// Where it is on the host.
    #[serde(rename = "Source", default, deserialize_with = "or_default")]
    pub source: String,
    /// Whether it can be written to; where nobody says, it can.
    #[serde(rename = "RW", default = "yes")]
    pub writable: bool,
}

fn yes() -> bool {
    true
}

/// One device of the host.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Device {
    /// Where it is on the host.
    #[serde(rename = "PathOnHost", default, deserialize_with = "or_default")]
    pub path: String,
}

/// One port of the host that leads to a container.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Bound {
    /// The address.
    #[serde(rename = "HostIp", default, deserialize_with = "or_default")]
    pub ip: String,
    /// The port.
    #[serde(rename = "HostPort", default, deserialize_with = "or_default")]
    pub port: String,
}

/// One variable of a container, without its value.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// SHA-256 of the question's salt and the value; none when that is empty.
    #[serde(default)]
    pub value: Option<String>,
    /// The same of the password, where the value is a URL with one.
    #[serde(default)]
    pub password: Option<String>,
}

/// Packages that wait to be installed.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Updates {
    /// From a security archive.
    #[serde(default, deserialize_with = "or_default")]
    pub security: Vec<String>,
    /// How many others.
    #[serde(default, deserialize_with = "or_default")]
    pub others: u64,
    /// When the lists were fetched, in seconds since 1970.
    #[serde(default)]
    pub listed: Option<i64>,
}

/// The answer was something else.
#[derive(Debug, Error)]
pub enum AuditError {
    /// No such JSON.
    #[error("the host's answer to the audit is no JSON of ours")]
    Json(#[source] serde_json::Error),
    /// A version that this program does not read.
    #[error("the host's answer to the audit has version {0}, and this program reads version {VERSION}")]
    Version(u64),
}

impl Walls {
    /// What asks a host. `salt` is made up for this one question; `updates` asks apt, too, which takes seconds.
    pub fn command(salt: &str, updates: bool) -> RemoteCommand {
        let updates = updates.then_some("updates");
        RemoteCommand::script(Script::AUDIT, std::iter::once(salt).chain(updates)).within(PATIENCE)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(json: &[u8]) -> Result<Self, AuditError> {
        let walls: Self = serde_json::from_slice(json).map_err(AuditError::Json)?;
        match walls.audit {
            VERSION => Ok(walls),
            other => Err(AuditError::Version(other)),
        }
    }
}

/// `null` is as good as missing.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
