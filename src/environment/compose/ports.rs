//! Published ports, in every syntax that Compose knows.

use std::ops::Range;

use super::super::diagnostic::Source;
use super::super::yaml::{Node, Value};
use super::Compose;

/// One entry of a service's `ports`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Where it stands.
    pub span: Range<usize>,
    /// As it is written, on one line.
    pub text: String,
    /// The host's address; all of them without one.
    pub host_ip: Option<String>,
    /// The host's port or range; Docker picks one without.
    pub published: Option<String>,
    /// The container's port or range.
    pub target: String,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// A port, or all of them, that a service opens on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The service.
    pub service: String,
    /// Where it stands.
    pub span: Range<usize>,
    /// The entry as written: `5432:5432`, or `network_mode: host`.
    pub text: String,
}

/// What [`Published::text`] is for a service that has the host's own network.
pub const HOST_NETWORK: &str = "network_mode: host";

/// Everything that a Compose file opens on the host: every entry of `ports`, and `network_mode: host`.
pub fn published_ports(compose: &Compose) -> Vec<Published> {
    let mut found = Vec::new();
    for (name, service) in &compose.services {
        let published = |span: Range<usize>, text: String| Published {
            service: name.clone(),
            span,
            text,
        };
        found.extend(
            service
                .ports
                .iter()
                .map(|port| published(port.span.clone(), port.text.clone())),
        );
        if let Some(mode) = service.network_mode.as_ref().filter(|mode| mode.get() == "host") {
            found.push(published(mode.span(), HOST_NETWORK.to_owned()));
        }
    }
    found
}

/// Reads one entry; `None` when it is no port at all.
pub(super) fn port(source: &Source, node: &Node) -> Option<Port> {
    let text = source.text[node.span.clone()].trim().to_owned();
    match &node.value {
        Value::Map(_) => {
            let get = |key: &str| node.get(key).and_then(|(_, value)| value.text());
            let (host_ip, published, target) = (get("host_ip"), get("published"), get("target")?);
            let protocol = get("protocol").unwrap_or_else(|| "tcp".to_owned());
            let left = published.as_deref().map(|port| format!("{port}:")).unwrap_or_default();
            let ip = host_ip.as_deref().map(|ip| format!("{ip}:")).unwrap_or_default();
            Some(Port {
                span: node
                    .get("target")
                    .map_or(node.span.clone(), |(key, target)| key.span.start..target.span.end),
                text: format!("{ip}{left}{target}"),
                host_ip,
                published,
                target,
                protocol,
            })
        }
        Value::Text(_) | Value::Integer(_) => short(node, &node.text()?, text),
        _ => None,
    }
}

/// `[[address:]host:]container[/protocol]`, where an IPv6 address may stand in brackets.
fn short(node: &Node, entry: &str, text: String) -> Option<Port> {
    let mut parts = split_outside_braces(entry);
    let last = parts.pop().filter(|last| !last.is_empty())?;
    let (target, protocol) = match last.split_once('/') {
        // A slash inside `${…}` belongs to the variable's default.
        Some((target, protocol)) if target.matches('{').count() == target.matches('}').count() => (target, protocol),
        _ => (last, "tcp"),
    };
    let published = parts.pop().filter(|port| !port.is_empty()).map(str::to_owned);
    let host_ip = match (parts.first(), parts.last()) {
        (Some(first), Some(last)) => {
            let start = first.as_ptr() as usize - entry.as_ptr() as usize;
            let end = last.as_ptr() as usize - entry.as_ptr() as usize + last.len();
            Some(entry[start..end].trim_matches(['[', ']']).to_owned())
        }
        _ => None,
    };
    let looks_like_ports = |text: &str| {
        text.contains('$')
            || text
                .split('-')
                .all(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
    };
    let fits = looks_like_ports(target) && published.as_deref().is_none_or(looks_like_ports);
    fits.then(|| Port {
        span: node.span.clone(),
        text: text.trim_matches(['"', '\'']).to_owned(),
        host_ip,
        published,
        target: target.to_owned(),
        protocol: protocol.to_owned(),
    })
}

/// The parts between colons, where the colons of `${PORT:-80}` and `[::1]` do not count.
pub(super) fn split_outside_braces(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let colon = |c: char| {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ':' && depth == 0
    };
    text.split(colon).collect()
}
