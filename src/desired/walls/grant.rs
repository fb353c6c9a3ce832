//! `[stacks.<name>.allow]`: what services may beside what every container may, and why.

use std::collections::{BTreeMap, BTreeSet};

use super::Findings;
use super::port::{HostPort, Vague, shown};
use crate::environment::model::{Allow, Power};
use crate::environment::stack::StackSource;
use crate::environment::{Sources, nearest};
use crate::names::StackName;

/// What all services may, by stack and service.
pub type Grants = BTreeMap<StackName, BTreeMap<String, Grant>>;

/// The most ports of one environment: every one is two rules of a provider's firewall, which has room for about sixty.
const MOST: usize = 20;

/// What one service may, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The ports that it may publish.
    pub ports: BTreeSet<HostPort>,
    /// What else it may.
    pub powers: BTreeSet<Power>,
    /// Why.
    pub reason: String,
}

impl Grant {
    /// The ports that have to be opened for it, such as `tcp/8883`.
    pub fn walls(&self) -> impl Iterator<Item = String> {
        self.ports.iter().filter(|port| port.is_public()).map(HostPort::wall)
    }

    /// What it allows, such as `publishes 8883:8883` and `may docker-socket`.
    pub fn words(&self) -> Vec<String> {
        let Self {
            ports,
            powers,
            reason: _,
        } = self;
        let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
        let powers: Vec<&str> = powers.iter().map(|power| power.word()).collect();
        [("publishes", ports.join(", ")), ("may", powers.join(", "))]
            .into_iter()
            .filter(|(_, what)| !what.is_empty())
            .map(|(may, what)| format!("{may} {what}"))
            .collect()
    }

    /// Tells what of it allows nothing.
    pub(super) fn check(
        &self,
        findings: &mut Findings<'_>,
        source: &StackSource,
        service: &str,
        ports: &BTreeSet<HostPort>,
        powers: &BTreeSet<Power>,
    ) {
        let stack = source.name.as_str();
        let at = |findings: &Findings<'_>, more: &[&str]| {
            let path = ["stacks", stack, "allow", service];
            let span = findings.file.span_of(&[&path[..], more].concat());
            if span.is_empty() {
                findings.file.span_of(&path)
            } else {
                span
            }
        };
        let known: BTreeSet<&str> = source
            .compose
            .services
            .keys()
            .chain(source.claims.iter().map(|claim| &claim.service))
            .map(String::as_str)
            .collect();
        if !known.contains(service) {
            let list = known.iter().copied().collect::<Vec<_>>().join(", ");
            let help = match nearest(service, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? it has: {list}"),
                None => format!("it has: {list}"),
            };
            let span = at(findings, &[]);
            findings.at(
                span,
                format!("stack `{stack}` has no service `{service}` to allow anything"),
                help,
            );
            return;
        }
        let idle: Vec<&HostPort> = self.ports.difference(ports).collect();
        if !idle.is_empty() {
            let span = at(findings, &["ports"]);
            let help = match ports.is_empty() {
                true => "it publishes none: take `ports` out".to_owned(),
                false => format!("it publishes {}", shown(ports)),
            };
            findings.at(
                span,
                format!("service `{service}` does not publish {}", shown(idle)),
                help,
            );
        }
        let idle: Vec<&str> = self.powers.difference(powers).map(|power| power.word()).collect();
        if !idle.is_empty() {
            let span = at(findings, &["may"]);
            findings.at(
                span,
                format!("service `{service}` does not ask for {}", idle.join(", ")),
                "take it out: what nobody needs, nobody may",
            );
        }
    }
}

/// What the environment file allows; what is wrong with it is said.
pub(in crate::desired) fn grants(findings: &mut Findings<'_>, sources: &Sources) -> Grants {
    let mut grants = Grants::new();
    let mut taken: BTreeMap<(String, u16), String> = BTreeMap::new();
    for (name, stack) in &sources.environment.stacks {
        let Ok(key) = name.get().parse::<StackName>() else {
            continue;
        };
        for (service, allow) in &stack.allow {
            let grant = grant(findings, service.span(), allow);
            let who = format!("{key}/{}", service.get());
            for port in &grant.ports {
                let other = taken.insert((port.protocol.clone(), port.port), who.clone());
                if let Some(other) = other.filter(|other| *other != who) {
                    findings.at(
                        service.span(),
                        format!("port {} of the host is `{other}`'s already", port.port),
                        "a port leads to one service",
                    );
                }
            }
            if taken.len() > MOST {
                findings.at(
                    service.span(),
                    format!("more than {MOST} ports of the host are allowed"),
                    "let them in through the edge, or through fewer ports",
                );
                return grants;
            }
            grants
                .entry(key.clone())
                .or_default()
                .insert(service.get().clone(), grant);
        }
    }
    grants
}

fn grant(findings: &mut Findings<'_>, span: std::ops::Range<usize>, allow: &Allow) -> Grant {
    let reason = allow.reason.get().trim();
    if reason.is_empty() {
        findings.at(
            allow.reason.span(),
            "an allowance needs a reason",
            "say why this service has to have it: `provision audit` shows it to whoever asks",
        );
    }
    if allow.ports.is_empty() && allow.may.is_empty() {
        findings.at(
            span,
            "this allows nothing",
            "name `ports`, or in `may` what it needs: docker-socket, privileged, host-network",
        );
    }
    let mut ports = BTreeSet::new();
    for text in &allow.ports {
        match HostPort::read(text.get()) {
            Ok(found) => {
                let kept = found.iter().find_map(|port| Some((port.port, keeper(port)?)));
                if let Some((port, who)) = kept {
                    findings.at(
                        text.span(),
                        format!("port {port} of the host is {who}"),
                        "use another port of the host, or a route",
                    );
                }
                ports.extend(found);
            }
            Err(Vague::Unknown) => findings.at(
                text.span(),
                format!("`{}` is no port", text.get()),
                "write it as in a Compose file: \"8883:8883\"",
            ),
            Err(vague) => findings.at(
                text.span(),
                format!("`{}` cannot be allowed", text.get()),
                vague.to_string(),
            ),
        }
    }
    Grant {
        ports,
        powers: allow.may.iter().map(|power| *power.get()).collect(),
        reason: reason.to_owned(),
    }
}

/// Whose a port of the host is that nobody else can have.
fn keeper(port: &HostPort) -> Option<&'static str> {
    match (port.protocol.as_str(), port.port) {
        ("tcp", 22) => Some("sshd's"),
        ("tcp", 80 | 443) | ("udp", 443) => Some("the edge's"),
        _ => None,
    }
}
