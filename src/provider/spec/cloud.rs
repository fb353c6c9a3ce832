//! Words that mean the same at every cloud.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Attributes;

/// The image aliases. What each stands for, its provider says.
pub const IMAGES: [&str; 4] = ["debian-13", "debian-12", "ubuntu-24.04", "ubuntu-22.04"];

/// The attribute of a part that hangs on the instance: it says which.
pub const ATTACHED: &str = "attached_to";

/// What is open to everybody, as attributes of the firewall: protocol and port, from where.
pub const PUBLIC: [&str; 3] = ["tcp/443", "tcp/80", "udp/443"];

/// Everybody.
pub const ANYWHERE: &str = "0.0.0.0/0 ::/0";

/// Who may reach the machine: port 22 of it, and what is everybody's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshFrom {
    /// The caller's own address, while a command runs.
    pub operator: bool,
    /// Networks that always may: CIDR blocks, IPv4 or IPv6.
    pub networks: BTreeSet<String>,
    /// What is open to everybody beside [`PUBLIC`], in the same words.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub open: BTreeSet<String>,
}

impl SshFrom {
    /// As it stands in plan and state.
    pub(super) fn shown(&self) -> String {
        let operator = self.operator.then_some("operator");
        let networks = self.networks.iter().map(String::as_str);
        operator.into_iter().chain(networks).collect::<Vec<_>>().join(" ")
    }

    /// Everything that is open to everybody.
    pub(in crate::provider) fn public(&self) -> impl Iterator<Item = &str> {
        PUBLIC.into_iter().chain(self.open.iter().map(String::as_str))
    }

    /// The firewall that goes with it.
    pub(super) fn firewall(&self) -> Attributes {
        let mut firewall: BTreeMap<String, String> = self
            .public()
            .map(|port| (port.to_owned(), ANYWHERE.to_owned()))
            .collect();
        firewall.insert("tcp/22".to_owned(), self.shown());
        firewall
    }
}
