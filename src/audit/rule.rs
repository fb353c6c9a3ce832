//! What is looked for, how bad it is, and what to do. docs/audit.md explains each.

use std::fmt;

use serde::{Serialize, Serializer};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The environment is not private, or it could not be proven.
    Violation,
    /// Worth knowing: a second line of defence is missing.
    Note,
    /// The environment file allows it, and says why.
    Allowed,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A port answers from outside that should not.
    OutsidePort,
    /// The input chain is not loaded, or lets in more.
    FirewallInput,
    /// The chain for containers is not loaded, not first, or lets in more.
    FirewallDocker,
    /// A container that is not the edge publishes a port.
    Published,
    /// A container has Docker's socket, or a folder that holds it.
    DockerSocket,
    /// A container is as good as root of the host.
    Privileged,
    /// A container uses the host's network.
    HostNetwork,
    /// sshd lets in by other means than keys.
    SshdLogin,
    /// Something could not be looked at.
    Unseen,
    /// sshd lets root in by key.
    SshdRoot,
    /// A program of the host listens for everybody; only the firewall keeps it private.
    Listener,
    /// A container publishes a port for programs of the host.
    LoopbackPort,
    /// A container starts as root.
    Root,
    /// An image is named by a tag, which can come to mean another.
    Tag,
    /// A secret is in a container's environment.
    Environment,
    /// Security updates wait.
    Updates,
    /// What should be reached is not.
    Unreached,
    /// A port of others on a host that was there before answers from outside.
    Neighbour,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::OutsidePort,
        Self::FirewallInput,
        Self::FirewallDocker,
        Self::Published,
        Self::DockerSocket,
        Self::Privileged,
        Self::HostNetwork,
        Self::SshdLogin,
        Self::Unseen,
        Self::SshdRoot,
        Self::Listener,
        Self::LoopbackPort,
        Self::Root,
        Self::Tag,
        Self::Environment,
        Self::Updates,
        Self::Unreached,
        Self::Neighbour,
    ];

    /// Its name, for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::OutsidePort => "outside-port",
            Self::FirewallInput => "firewall-input",
            Self::FirewallDocker => "firewall-docker",
            Self::Published => "published-port",
            Self::DockerSocket => "docker-socket",
            Self::Privileged => "privileged",
            Self::HostNetwork => "host-network",
            Self::SshdLogin => "sshd-login",
            Self::Unseen => "unseen",
            Self::SshdRoot => "sshd-root",
            Self::Listener => "listener",
            Self::LoopbackPort => "loopback-port",
            Self::Root => "root",
            Self::Tag => "tag",
            Self::Environment => "environment",
            Self::Updates => "updates",
            Self::Unreached => "unreached",
            Self::Neighbour => "neighbour",
        }
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        match self {
            Self::OutsidePort
            | Self::FirewallInput
            | Self::FirewallDocker
            | Self::Published
            | Self::DockerSocket
            | Self::Privileged
            | Self::HostNetwork
            | Self::SshdLogin
            | Self::Unseen => Severity::Violation,
            Self::SshdRoot
            | Self::Listener
            | Self::LoopbackPort
            | Self::Root
            | Self::Tag
            | Self::Environment
            | Self::Updates
            | Self::Unreached
            | Self::Neighbour => Severity::Note,
        }
    }

    /// What to do.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::OutsidePort => {
                "find who listens there (`ss -tlnp` on the host) and take it away, or close it at the provider"
            }
            Self::FirewallInput | Self::FirewallDocker => {
                "`provision apply` loads the firewall again; take away whatever puts other rules there"
            }
            Self::Published => "remove the container, or its `ports`, and add a route: only the edge is public",
            Self::DockerSocket => "take the mount out: whoever has the socket is root of the host",
            Self::Privileged => {
                "take `privileged`, `pid: host` or the capability out: with it a container is root of the host"
            }
            Self::HostNetwork => "take `network_mode: host` out: all ports of the container are the host's",
            Self::SshdLogin => "take it out of the files of /etc/ssh that say so, then `provision apply`",
            Self::Unseen => "see that what is named answers, then audit again",
            Self::SshdRoot => "log in as another user, who may use sudo",
            Self::Listener => "have it listen at 127.0.0.1, or remove the package",
            Self::LoopbackPort => "other services reach it by its name on the shared network; remove `ports`",
            Self::Root => "set `user:`, where the image allows it; many images start as root and then leave it",
            Self::Tag => "write the image with its digest: `image: name:tag@sha256:…`",
            Self::Environment => {
                "hand it over as a file: `secrets:` in the Compose file, and the variable that ends with _FILE"
            }
            Self::Updates => {
                "unattended-upgrades installs them within a day; `provision ssh NAME -- sudo unattended-upgrade` does it now"
            }
            Self::Neighbour => {
                "nothing, when its owner means it; `firewall = \"host\"` in [machine.ssh] closes all of the host"
            }
            Self::Unreached => "look at the edge with `provision status`, and at firewalls on the way",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
