//! Whether an environment is private: what was seen from outside and on the host, held against what may be. Pure; it judges, and
//! changes nothing.

mod containers;
mod firewall;
mod host;
mod rule;
#[cfg(test)]
mod tests;

pub use rule::{Rule, Severity};

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::desired::Desired;
use crate::desired::walls::Grant;
use crate::names::{Endpoint, StackName, hex};
use crate::observe::outside::Outside;
use crate::provider::{Shape, Walls as Firewall};
use crate::remote::audit::Walls;
use crate::render::percent_encode;

/// What may be, and what is known beside.
#[derive(Debug, Clone)]
pub struct Allowed {
    /// Whose the host is.
    host: Whose,
    /// The ports of the machine's address that may answer.
    outside: BTreeSet<u16>,
    /// Where HTTPS should answer; none without routes.
    https: Option<u16>,
    /// Whether HTTP/3 should answer there.
    http3: bool,
    /// Images whose bytes we sent ourselves: their names cannot come to mean others.
    pinned: BTreeSet<String>,
    /// The names of our secrets, by the digests under which a host tells their values.
    secrets: BTreeMap<String, String>,
    /// What services may beside what every container may, by stack and service.
    grants: BTreeMap<String, BTreeMap<String, Grant>>,
}

/// Whose the host is, which says what of it is ours to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Whose {
    /// All of it is: a container that nobody knows does not belong there.
    Ours,
    /// Others have containers there. Its firewall is ours.
    Shared(BTreeSet<String>),
    /// Others have containers there and serve what they like: our firewall is for our network alone.
    Guest(BTreeSet<String>),
}

impl Allowed {
    /// Whether a Compose project is judged.
    fn judges(&self, project: &str) -> bool {
        match &self.host {
            Whose::Ours => true,
            Whose::Shared(projects) | Whose::Guest(projects) => projects.contains(project),
        }
    }

    /// Whether what is none of ours may be reached from outside.
    fn is_guest(&self) -> bool {
        matches!(self.host, Whose::Guest(_))
    }

    /// What a service may beside what every container may.
    fn grant(&self, project: &str, service: &str) -> Option<&Grant> {
        self.grants.get(project)?.get(service)
    }

    /// The ports of a protocol that are let in beside the edge's, with who asked for each and why.
    fn open(&self, protocol: &str) -> BTreeMap<u16, String> {
        let grants = self.grants.iter().flat_map(|(stack, services)| {
            services
                .iter()
                .map(move |(service, grant)| (format!("{stack}/{service}"), grant))
        });
        grants
            .flat_map(|(who, grant)| {
                let ports = grant
                    .ports
                    .iter()
                    .filter(|port| port.is_public() && port.protocol == protocol);
                ports.map(move |port| (port.port, format!("{who}: {}", grant.reason)))
            })
            .collect()
    }

    /// What may be in an environment. `salt` is that of the question to the host.
    pub fn of(desired: &Desired, endpoint: &Endpoint, salt: &str) -> Self {
        let stacks = desired.stacks.iter().chain(desired.edge.iter().map(|edge| &edge.stack));
        let projects = || stacks.clone().map(|stack| stack.name.to_string()).collect();
        let host = match &desired.instance.spec.shape {
            Shape::Ssh(ssh) => match ssh.firewall {
                Firewall::Stacks => Whose::Guest(projects()),
                Firewall::Host => Whose::Shared(projects()),
            },
            Shape::Local(_) | Shape::Aws(_) | Shape::DigitalOcean(_) => Whose::Ours,
        };
        let secrets = desired
            .bindings
            .secrets
            .iter()
            .filter(|(_, secret)| !secret.expose().is_empty());
        let secrets =
            secrets.flat_map(|(name, secret)| digests(salt, secret.expose()).map(|digest| (digest, name.clone())));
        Self {
            host,
            outside: [endpoint.ssh, endpoint.http, endpoint.https].into(),
            https: desired.edge.as_ref().map(|_| endpoint.https),
            http3: desired.edge.as_ref().is_some_and(|edge| edge.http3),
            pinned: stacks.flat_map(|stack| stack.archives.keys().cloned()).collect(),
            secrets: secrets.collect(),
            grants: desired
                .stacks
                .iter()
                .filter(|stack| !stack.granted.is_empty())
                .map(|stack| (stack.name.to_string(), stack.granted.clone()))
                .collect(),
        }
    }
}

/// How a host tells a value: as it is, and as a URL has it. Docker writes it as JSON, and some of its versions escape what HTML knows.
fn digests(salt: &str, value: &str) -> [String; 3] {
    let json = serde_json::to_string(value).unwrap_or_default();
    let json = json
        .strip_prefix('"')
        .and_then(|json| json.strip_suffix('"'))
        .unwrap_or_default();
    let html = json
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026");
    [json.to_owned(), html, percent_encode(value)].map(|text| hex(&Sha256::digest(format!("{salt}{text}"))))
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How bad it is. Violations come first.
    pub severity: Severity,
    /// Which rule.
    pub rule: Rule,
    /// Where: a port, a container, a chain.
    pub subject: String,
    /// What.
    pub what: String,
}

impl Finding {
    fn new(rule: Rule, subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            severity: rule.severity(),
            rule,
            subject: subject.into(),
            what: what.into(),
        }
    }

    /// The same, as the environment file allows it.
    fn allowed(self, reason: &str) -> Self {
        Self {
            severity: Severity::Allowed,
            what: format!("{} (allowed: {reason})", self.what),
            ..self
        }
    }
}

/// What was seen on the host.
pub fn inside(walls: &Walls, allowed: &Allowed) -> Vec<Finding> {
    // What others serve from this host is theirs.
    let mut findings = match allowed.is_guest() {
        true => Vec::new(),
        false => host::listeners(walls),
    };
    findings.extend(host::sshd(walls));
    findings.extend(host::updates(walls));
    let open = firewall::Open::of(allowed, walls);
    findings.extend(firewall::input(walls, &open, allowed.is_guest()));
    findings.extend(firewall::docker(walls, &open, allowed.is_guest()));
    if !walls.docker {
        let what = "Docker does not answer, so what its containers may was not looked at";
        findings.push(Finding::new(Rule::Unseen, "docker", what));
    }
    for container in walls
        .containers
        .iter()
        .filter(|container| allowed.judges(&container.project))
    {
        findings.extend(containers::one(container, allowed));
    }
    in_order(findings)
}

/// What was seen from outside.
pub fn outside(seen: &Outside, allowed: &Allowed) -> Vec<Finding> {
    let mut findings = Vec::new();
    let open = allowed.open("tcp");
    for port in seen
        .open
        .iter()
        .filter(|port| !allowed.outside.contains(port) && !seen.own.contains(port))
    {
        let found = |rule, what: &str| Finding::new(rule, place(seen, *port), what);
        findings.push(match (open.get(port), allowed.is_guest()) {
            (Some(why), _) => found(Rule::OutsidePort, "answers from outside").allowed(why),
            (None, true) => found(Rule::Neighbour, "answers from outside, and is not ours"),
            (None, false) => found(Rule::OutsidePort, "answers from outside"),
        });
    }
    if let Some((_, why)) = seen
        .unknown
        .as_ref()
        .filter(|(count, _)| seen.address.is_ipv6() && *count == seen.asked)
    {
        let what = format!("was not asked, this computer has no IPv6: {why}");
        findings.push(Finding::new(Rule::Unreached, seen.address.to_string(), what));
        return findings;
    }
    if let Some((count, why)) = &seen.unknown {
        let what = format!("{count} of {} ports could not be asked: {why}", seen.asked);
        findings.push(Finding::new(Rule::Unseen, seen.address.to_string(), what));
    }
    if let Some(https) = allowed.https {
        if !seen.open.contains(&https) {
            findings.push(Finding::new(
                Rule::Unreached,
                place(seen, https),
                "HTTPS is not reached from here",
            ));
        } else if allowed.http3 && !seen.http3 {
            let what = "HTTP/3 is not reached from here; browsers use HTTP/2";
            findings.push(Finding::new(
                Rule::Unreached,
                format!("{}/udp", place(seen, https)),
                what,
            ));
        }
    }
    in_order(findings)
}

fn place(seen: &Outside, port: u16) -> String {
    std::net::SocketAddr::new(seen.address, port).to_string()
}

/// Violations first, each once.
pub fn in_order(findings: Vec<Finding>) -> Vec<Finding> {
    findings.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

/// How many of the findings are violations.
pub fn violations(findings: &[Finding]) -> usize {
    count(findings, Severity::Violation)
}

/// How many of the findings are so bad.
pub fn count(findings: &[Finding], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.severity == severity).count()
}

/// All of it in one line.
pub fn line(findings: &[Finding]) -> String {
    let bad = violations(findings);
    let notes = match count(findings, Severity::Note) {
        0 => String::new(),
        1 => ", 1 note".to_owned(),
        more => format!(", {more} notes"),
    };
    let notes = match count(findings, Severity::Allowed) {
        0 => notes,
        more => format!("{notes}, {more} allowed"),
    };
    match findings.iter().find(|finding| finding.severity == Severity::Violation) {
        None => format!("audit: private as seen on the host{notes}"),
        Some(Finding {
            rule, subject, what, ..
        }) => {
            let more = if bad > 1 {
                format!(" and {} more", bad - 1)
            } else {
                String::new()
            };
            format!("audit: NOT PRIVATE: {rule}: {subject}: {what}{more}{notes}")
        }
    }
}

/// A container as people know it: the service, or its own name.
fn name(project: &str, service: &str, container: &str) -> String {
    match project.is_empty() || service.is_empty() {
        true => container.to_owned(),
        false => format!("{project}/{service}"),
    }
}

/// The project of the one container that may publish.
fn is_edge(project: &str) -> bool {
    project == StackName::edge().as_str()
}
