//! Published ports, in every syntax that Compose knows.

use std::ops::Range;

use super::super::diagnostic::Source;
use super::super::yaml::{Node, Value};

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

fn short(node: &Node, entry: &str, text: String) -> Option<Port> {
    let parts = Parts::read(entry)?;
    let looks_like_ports = |text: &str| {
        text.contains('$')
            || text
                .split('-')
                .all(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
    };
    let fits = looks_like_ports(parts.target) && parts.published.is_none_or(looks_like_ports);
    fits.then(|| Port {
        span: node.span.clone(),
        text: text.trim_matches(['"', '\'']).to_owned(),
        host_ip: parts.host_ip.map(str::to_owned),
        published: parts.published.map(str::to_owned),
        target: parts.target.to_owned(),
        protocol: parts.protocol.to_owned(),
    })
}

/// The parts of `[[address:]host:]container[/protocol]`, where an IPv6 address may stand in brackets. Nothing is said of what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'t> {
    /// The host's address; all of them without one.
    pub host_ip: Option<&'t str>,
    /// The host's port or range; Docker picks one without.
    pub published: Option<&'t str>,
    /// The container's port or range.
    pub target: &'t str,
    /// `tcp` without one.
    pub protocol: &'t str,
}

impl<'t> Parts<'t> {
    /// Takes an entry apart; none when nothing stands behind the last colon.
    pub fn read(entry: &'t str) -> Option<Self> {
        let mut parts = split_outside_braces(entry);
        let last = parts.pop().filter(|last| !last.is_empty())?;
        let (target, protocol) = match last.split_once('/') {
            // A slash inside `${…}` belongs to the variable's default.
            Some((target, protocol)) if target.matches('{').count() == target.matches('}').count() => {
                (target, protocol)
            }
            _ => (last, "tcp"),
        };
        let published = parts.pop().filter(|port| !port.is_empty());
        let host_ip = match (parts.first(), parts.last()) {
            (Some(first), Some(last)) => {
                let start = first.as_ptr() as usize - entry.as_ptr() as usize;
                let end = last.as_ptr() as usize - entry.as_ptr() as usize + last.len();
                Some(entry[start..end].trim_matches(['[', ']']))
            }
            _ => None,
        };
        Some(Self {
            host_ip,
            published,
            target,
            protocol,
        })
    }
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
