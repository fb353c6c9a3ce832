//! A host that was there before, as it shall be reached.

use serde::{Deserialize, Serialize};

use super::{Attributes, Course};

/// A host that was there before and stays after us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshShape {
    /// Its name or address; that of `ssh_config` without.
    pub host: Option<String>,
    /// Where sshd listens; the port of `ssh_config` without, or 22.
    pub port: Option<u16>,
    /// Who logs in: root, or somebody whom sudo asks for no password.
    pub user: String,
    /// The `Host` of the person's ssh configuration that leads there.
    pub ssh_config: Option<String>,
    /// The fingerprint of one of its host keys, `SHA256:…`; what a known_hosts file says without.
    pub fingerprint: Option<String>,
    /// What our firewall is for.
    pub firewall: Walls,
}

/// What our firewall is for on a host of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Walls {
    /// Our own network alone: whatever else the host serves stays open.
    Stacks,
    /// The whole host: closed but for sshd, 80 and 443, as on a machine that we made.
    Host,
}

impl Walls {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stacks => "stacks",
            Self::Host => "host",
        }
    }
}

impl SshShape {
    /// As it stands in plan and state.
    pub fn attributes(&self) -> Attributes {
        let Self {
            host,
            port,
            user,
            ssh_config,
            fingerprint,
            firewall,
        } = self;
        let mut attributes = Attributes::from([
            ("provider".to_owned(), "ssh".to_owned()),
            ("user".to_owned(), user.clone()),
            ("firewall".to_owned(), firewall.as_str().to_owned()),
        ]);
        let port = port.map(|port| port.to_string());
        for (name, value) in [
            ("host", host),
            ("port", &port),
            ("ssh_config", ssh_config),
            ("fingerprint", fingerprint),
        ] {
            if let Some(value) = value {
                attributes.insert(name.to_owned(), value.clone());
            }
        }
        attributes
    }

    /// Whether root itself logs in.
    pub fn is_root(&self) -> bool {
        self.user == "root"
    }
}

/// How an attribute can change: it is the same host for as long as it shows the same key, however it is reached.
pub fn course() -> Course {
    Course::InPlace
}
