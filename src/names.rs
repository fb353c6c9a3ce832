//! The words of the domain as types: whoever holds one holds a checked one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// A name that breaks the rule of its kind.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("`{given}` is not {kind}: {rule}")]
pub struct NameError {
    given: String,
    kind: &'static str,
    rule: &'static str,
}

/// One DNS label (RFC 1123), kept short enough to be part of host names, tags and unix socket paths.
const LABEL_RULE: &str =
    "use 1 to 40 lower-case letters, digits and `-`, starting with a letter and ending with a letter or digit";
const LABEL_MAX: usize = 40;

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= LABEL_MAX
        && bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes
            .last()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                if is_label(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError { given: text.to_owned(), kind: $kind, rule: LABEL_RULE })
                }
            }
        }

        text_serde!($name);
    };
}

/// Serde and `Display` for a newtype that is written as its text.
macro_rules! text_serde {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}

label!(
    /// The name of an environment: the stem of its file, part of every resource's name.
    EnvironmentName,
    "an environment name"
);
label!(
    /// The name of a stack: its folder, its Compose project, its table in the environment file.
    StackName,
    "a stack name"
);

impl StackName {
    /// The edge's Compose project.
    pub fn edge() -> Self {
        Self("edge".to_owned())
    }
}

/// The address of one resource, the same word in plan, state, events, options and messages.
///
/// The order of the variants is the order in which they are made; they are destroyed in reverse.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// The SSH key that the machine lets in.
    MachineKey,
    /// The provider's firewall.
    MachineFirewall,
    /// The data volume, which outlives the instance.
    MachineVolume,
    /// The machine.
    MachineInstance,
    /// Its fixed address.
    MachineAddress,
    /// The address records of one host name.
    Dns(String),
    /// The SSH host key, pinned and rotated.
    HostIdentity,
    /// When the machine takes itself down.
    Ttl,
    /// Packages, Docker engine, firewall, sshd, users, updates.
    HostBase,
    /// One Compose project.
    Stack(StackName),
    /// Caddy: routes and TLS.
    Edge,
}

impl Address {
    /// Whether it belongs to the machine and is made apart from it.
    pub fn is_part(&self) -> bool {
        self.layer() == "machine" && *self != Self::MachineInstance
    }

    /// The layer's name: `machine`, `host`, `stacks` or `edge`.
    pub fn layer(&self) -> &'static str {
        match self {
            Self::MachineKey
            | Self::MachineFirewall
            | Self::MachineVolume
            | Self::MachineInstance
            | Self::MachineAddress
            | Self::Dns(_) => "machine",
            Self::HostIdentity | Self::Ttl | Self::HostBase => "host",
            Self::Stack(_) => "stacks",
            Self::Edge => "edge",
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MachineKey => f.write_str("machine.key"),
            Self::MachineFirewall => f.write_str("machine.firewall"),
            Self::MachineVolume => f.write_str("machine.volume"),
            Self::MachineInstance => f.write_str("machine.instance"),
            Self::MachineAddress => f.write_str("machine.address"),
            Self::Dns(name) => write!(f, "dns.{name}"),
            Self::HostIdentity => f.write_str("host.identity"),
            Self::Ttl => f.write_str("ttl"),
            Self::HostBase => f.write_str("host.base"),
            Self::Stack(name) => write!(f, "stack.{name}"),
            Self::Edge => f.write_str("edge.caddy"),
        }
    }
}

impl FromStr for Address {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Ok(match text {
            "machine.key" => Self::MachineKey,
            "machine.firewall" => Self::MachineFirewall,
            "machine.volume" => Self::MachineVolume,
            "machine.instance" => Self::MachineInstance,
            "machine.address" => Self::MachineAddress,
            "host.identity" => Self::HostIdentity,
            "ttl" => Self::Ttl,
            "host.base" => Self::HostBase,
            "edge.caddy" => Self::Edge,
            other => match other.split_once('.') {
                Some(("stack", name)) => Self::Stack(name.parse()?),
                Some(("dns", name)) if !name.is_empty() => Self::Dns(name.to_owned()),
                _ => {
                    return Err(NameError {
                        given: text.to_owned(),
                        kind: "an address",
                        rule: "an address is one of machine.key, machine.firewall, machine.instance, machine.volume, machine.address, dns.<name>, host.identity, ttl, host.base, stack.<name>, edge.caddy",
                    });
                }
            },
        })
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A SHA-256 digest, written as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(hex(&Sha256::digest(bytes.as_ref())))
    }

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl FromStr for Digest {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError {
                given: text.to_owned(),
                kind: "a SHA-256 digest",
                rule: "it has 64 lower-case hexadecimal digits",
            })
        }
    }
}

text_serde!(Digest);

/// Lower-case hexadecimal digits of some bytes.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The identity of one life of an environment, made once with its state: 32 hexadecimal digits of randomness.
///
/// Everything a provider holds for the environment is tagged with it, so that two environments of one name never mix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lineage(String);

impl Lineage {
    /// Makes one from 16 random bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(hex(&bytes))
    }

    /// All 32 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight digits, for names of resources.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

impl FromStr for Lineage {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError {
                given: text.to_owned(),
                kind: "a lineage",
                rule: "it has 32 lower-case hexadecimal digits",
            })
        }
    }
}

text_serde!(Lineage);

/// The longest time that anything is given to live: a year.
pub const LONGEST_LIFE: u64 = 31_536_000;

/// A time as people write it (`8h`, `3d`, `1h 30m`), in seconds; none when it is not one or lies outside of the bounds.
pub fn seconds(text: &str, bounds: std::ops::RangeInclusive<u64>) -> Option<u64> {
    let span: jiff::Span = text.parse().ok()?;
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    let seconds = span.to_duration(days).ok()?.as_secs();
    u64::try_from(seconds).ok().filter(|seconds| bounds.contains(seconds))
}

/// A time as it is written, in its largest whole unit.
pub fn shown_seconds(seconds: u64) -> String {
    match seconds {
        days if days % 86_400 == 0 => format!("{}d", days / 86_400),
        hours if hours % 3600 == 0 => format!("{}h", hours / 3600),
        minutes if minutes % 60 == 0 => format!("{}m", minutes / 60),
        seconds => format!("{seconds}s"),
    }
}

/// Where a machine is reached: one address and the ports that lead to its 22, 80 and 443.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The machine's address as the outside sees it.
    pub address: std::net::IpAddr,
    /// The port that leads to sshd.
    pub ssh: u16,
    /// The port that leads to 80.
    pub http: u16,
    /// The port that leads to 443.
    pub https: u16,
}

impl Endpoint {
    /// The ordinary ports at an address.
    pub fn standard(address: std::net::IpAddr) -> Self {
        Self {
            address,
            ssh: 22,
            http: 80,
            https: 443,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_dns_labels() {
        for good in ["a", "demo", "pilot-acme", "x1"] {
            assert_eq!(good.parse::<EnvironmentName>().unwrap().as_str(), good);
        }
        let long = "a".repeat(41);
        for bad in ["", "Demo", "1a", "a-", "a_b", "a.b", "../a", long.as_str()] {
            assert!(bad.parse::<StackName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_print_and_parse_as_the_same_word() {
        for text in [
            "machine.key",
            "machine.instance",
            "machine.volume",
            "host.identity",
            "ttl",
            "host.base",
            "stack.app",
            "edge.caddy",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert!("stack.".parse::<Address>().is_err());
        assert!("network.x".parse::<Address>().is_err());
    }

    #[test]
    fn a_digest_is_sha256() {
        assert_eq!(
            Digest::of("abc").as_str(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!("BA78".parse::<Digest>().is_err());
    }
}
