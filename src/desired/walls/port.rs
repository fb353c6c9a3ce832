//! Ports of the host that lead to a container.

use core::net::IpAddr;
use std::fmt;
use std::ops::RangeInclusive;

use crate::environment::compose::Parts;

/// The most that one entry may open; a range is meant to be one of a few.
const MOST: usize = 100;

/// One port of the host, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The host's port.
    pub port: u16,
    /// The one address of the host that it is open at; none for all.
    pub address: Option<IpAddr>,
    /// The container's port.
    pub target: u16,
}

/// Why an entry does not say which ports it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vague {
    /// Docker takes any.
    Random,
    /// A variable that is not known before it is on the host, or no port at all.
    Unknown,
    /// More than can be meant.
    Many,
    /// Neither TCP nor UDP.
    Protocol,
}

impl fmt::Display for Vague {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => f.write_str("it does not say which port of the host, so write both: \"8883:8883\""),
            Self::Unknown => f.write_str("which port that is, is not known here"),
            Self::Many => write!(f, "no more than {MOST} ports at once"),
            Self::Protocol => f.write_str("only tcp and udp can be let in"),
        }
    }
}

impl HostPort {
    /// The ports of an entry such as `8883:8883`, without variables.
    pub fn read(entry: &str) -> Result<Vec<Self>, Vague> {
        Self::of(&Parts::read(entry).ok_or(Vague::Unknown)?)
    }

    /// The ports of one entry that was taken apart.
    pub fn of(parts: &Parts<'_>) -> Result<Vec<Self>, Vague> {
        let protocol = parts.protocol.to_ascii_lowercase();
        if !matches!(protocol.as_str(), "tcp" | "udp") {
            return Err(Vague::Protocol);
        }
        let address = match parts.host_ip.filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => {
                let text = text.trim_matches(['[', ']']);
                let address: IpAddr = text.parse().map_err(|_| Vague::Unknown)?;
                Some(address).filter(|address| !address.is_unspecified())
            }
        };
        let published = parts
            .published
            .filter(|port| !port.is_empty() && *port != "0")
            .ok_or(Vague::Random)?;
        let (ports, targets) = (range(published)?, range(parts.target)?);
        if ports.len() > MOST {
            return Err(Vague::Many);
        }
        if ports.len() != targets.len() {
            // Docker takes one that is free.
            return Err(Vague::Random);
        }
        let one = |(port, target)| Self {
            protocol: protocol.clone(),
            port,
            address,
            target,
        };
        Ok(ports.zip(targets).map(one).collect())
    }

    /// Whether it can be reached from outside of the host.
    pub fn is_public(&self) -> bool {
        !self.address.is_some_and(|address| address.is_loopback())
    }

    /// What has to be opened for it, as in a firewall's attributes.
    pub fn wall(&self) -> String {
        format!("{}/{}", self.protocol, self.port)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:")?,
            Some(address) => write!(f, "{address}:")?,
            None => {}
        }
        write!(f, "{}:{}", self.port, self.target)?;
        match self.protocol.as_str() {
            "tcp" => Ok(()),
            other => write!(f, "/{other}"),
        }
    }
}

/// For a list in a file.
pub(super) fn shown<'p>(ports: impl IntoIterator<Item = &'p HostPort>) -> String {
    let ports: Vec<String> = ports.into_iter().map(|port| format!("\"{port}\"")).collect();
    ports.join(", ")
}

fn range(text: &str) -> Result<RangeInclusive<u16>, Vague> {
    let number = |text: &str| match text.parse::<u16>() {
        Ok(0) | Err(_) => Err(Vague::Unknown),
        Ok(number) => Ok(number),
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        Err(Vague::Unknown)
    } else {
        Ok(first..=last)
    }
}
