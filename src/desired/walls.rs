//! The walls of containers: what their services ask for beyond them, held against what the environment file allows. The same judgement is
//! made of what was written, with its place, and of what Compose on the host makes of it.

mod grant;
mod port;
mod powers;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use grant::grants;
pub use grant::{Grant, Grants};
pub use port::HostPort;
pub use powers::{is_root_capability, is_root_device, takes_host};

use super::{Body, DesiredFile, Findings};
use crate::environment::compose::claims::{Asks, Claim, resolved};
use crate::environment::compose::{Parts, filled};
use crate::environment::diagnostic::{Place, Problem};
use crate::environment::model::Power;
use crate::environment::stack::StackSource;
use crate::names::StackName;
use port::Vague;
use powers::absolute;

/// Where stacks are on a host.
const STACKS: &str = "/opt/provision/stacks";

/// What a claim comes to, once its variables are known.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hole {
    /// Ports of the host, as they are written.
    Ports(String, Result<Vec<HostPort>, Vague>),
    /// A power, and the sentence behind "service `x`".
    Power(Power, String),
}

/// Tells everything that a stack's services ask for and nobody allowed, and every allowance that allows nothing.
pub(super) fn check(
    findings: &mut Findings<'_>,
    source: &StackSource,
    files: &BTreeMap<String, DesiredFile>,
    granted: &BTreeMap<String, Grant>,
) {
    let none = BTreeMap::new();
    let variables = match files.get(".env").map(|file| &file.body) {
        Some(Body::DotEnv(variables)) => variables,
        _ => &none,
    };
    // A secret's value is not known here.
    let value = |name: &str| match variables.get(name) {
        Some(text) => (!text.has_marks()).then(|| text.marked().to_owned()),
        None => (name == "COMPOSE_PROJECT_NAME").then(|| source.name.to_string()),
    };
    let mut used: BTreeMap<&str, Used> = BTreeMap::new();
    for claim in &source.claims {
        let Some(hole) = judge(&source.name, claim, &value) else {
            continue;
        };
        let used = used.entry(claim.service.as_str()).or_default();
        used.add(&hole);
        if let Some(over) = over(&hole, granted.get(&claim.service)) {
            findings.say(problem(&source.name, claim, &over));
        }
    }
    for (service, grant) in granted {
        let used = used.remove(service.as_str()).unwrap_or_default();
        grant.check(findings, source, service, &used.ports, &used.powers);
    }
}

/// Everything in the configuration that Compose on the host has resolved which nobody allowed, a sentence each.
pub fn refused(stack: &StackName, config: &serde_json::Value, granted: &BTreeMap<String, Grant>) -> Vec<String> {
    let mut listed = Vec::new();
    for claim in resolved(config) {
        let grant = granted.get(&claim.service);
        let hole = judge(stack, &claim, &|_| None);
        if let Some(over) = hole.and_then(|hole| over(&hole, grant)) {
            let what = match over {
                Hole::Ports(text, _) => format!("publishes {text}"),
                Hole::Power(_, what) => what,
            };
            listed.push(format!("service `{}` {what}", claim.service));
        }
    }
    listed
}

/// One way past the walls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Whose.
    pub service: String,
    /// Where it is written.
    pub place: Place,
    /// The words behind "service `x`".
    pub what: String,
    /// The ports that it opens, as far as that is known.
    pub ports: Vec<HostPort>,
    /// What has to be allowed for it, unless it is ports.
    pub power: Option<Power>,
}

/// Every way past the walls in what services ask for; `value` knows variables.
pub fn holes(stack: &StackName, claims: &[Claim], value: &dyn Fn(&str) -> Option<String>) -> Vec<Found> {
    let found = |claim: &Claim| {
        let (what, ports, power) = match judge(stack, claim, value)? {
            Hole::Ports(text, ports) => (format!("publishes {text}"), ports.unwrap_or_default(), None),
            Hole::Power(power, what) => (what, Vec::new(), Some(power)),
        };
        Some(Found {
            service: claim.service.clone(),
            place: claim.place.clone(),
            what,
            ports,
            power,
        })
    };
    claims.iter().filter_map(found).collect()
}

/// What a service was seen to need.
#[derive(Default)]
struct Used {
    ports: BTreeSet<HostPort>,
    powers: BTreeSet<Power>,
}

impl Used {
    fn add(&mut self, hole: &Hole) {
        match hole {
            Hole::Ports(_, ports) => self.ports.extend(ports.iter().flatten().cloned()),
            Hole::Power(power, _) => {
                self.powers.insert(*power);
            }
        }
    }
}

/// What of a hole is not allowed.
fn over(hole: &Hole, grant: Option<&Grant>) -> Option<Hole> {
    let allowed = match (hole, grant) {
        (_, None) | (Hole::Ports(_, Err(_)), _) => false,
        (Hole::Ports(_, Ok(ports)), Some(grant)) => ports.iter().all(|port| grant.ports.contains(port)),
        (Hole::Power(power, _), Some(grant)) => grant.powers.contains(power),
    };
    (!allowed).then(|| hole.clone())
}

fn problem(stack: &StackName, claim: &Claim, hole: &Hole) -> Problem {
    let service = &claim.service;
    let allow = |what: &str| format!("[stacks.{stack}.allow] {service} = {{ {what}, reason = \"…\" }}");
    let (says, help) = match hole {
        Hole::Ports(text, Ok(ports)) => (
            format!("service `{service}` publishes port {text}"),
            format!(
                "only the edge is public: remove it and add a route; other services reach it without. Where it has to be: {}",
                allow(&format!("ports = [{}]", port::shown(ports)))
            ),
        ),
        Hole::Ports(text, Err(vague)) => (
            format!("service `{service}` publishes port {text}"),
            format!(
                "only the edge is public: remove it and add a route; other services reach it without. It cannot be allowed as it is: {vague}"
            ),
        ),
        Hole::Power(Power::HostNetwork, what) => (
            format!("service `{service}` {what}"),
            format!(
                "only the edge is public: remove it and add a route. Where it has to be: {}",
                allow("may = [\"host-network\"]")
            ),
        ),
        Hole::Power(power, what) => (
            format!("service `{service}` {what}"),
            format!(
                "whoever gets into it is root of the host: remove it. Where it has to be: {}",
                allow(&format!("may = [\"{}\"]", power.word()))
            ),
        ),
    };
    claim.place.says(says).help(help)
}

/// What a claim comes to; none when it stays within the walls. What cannot be known counts as the worst that it can be.
fn judge(stack: &StackName, claim: &Claim, value: &dyn Fn(&str) -> Option<String>) -> Option<Hole> {
    let value = |name: &str| value(name).or_else(|| claim.variables.get(name).cloned());
    let fill = |text: &str| filled(text, &value);
    let path = |text: &str| absolute(&format!("{STACKS}/{stack}/{}", claim.folder), text);
    match &claim.asks {
        Asks::Port(text) => {
            let filled = fill(text).ok_or(Vague::Unknown);
            Some(Hole::Ports(text.clone(), filled.and_then(|text| HostPort::read(&text))))
        }
        Asks::LongPort(port) => {
            let part = |text: &Option<String>| match text {
                Some(text) => fill(text).ok_or(Vague::Unknown).map(Some),
                None => Ok(None),
            };
            let ports = || {
                let (host_ip, published) = (part(&port.host_ip)?, part(&port.published)?);
                let target = fill(&port.target).ok_or(Vague::Unknown)?;
                let protocol = fill(&port.protocol).ok_or(Vague::Unknown)?;
                HostPort::of(&Parts {
                    host_ip: host_ip.as_deref(),
                    published: published.as_deref(),
                    target: &target,
                    protocol: &protocol,
                })
            };
            Some(Hole::Ports(port.text.clone(), ports()))
        }
        Asks::Network(text) => {
            let what = match fill(text).as_deref() {
                Some("host") | None => "uses the host's own network: all its ports are public",
                Some("macvlan" | "ipvlan") => {
                    "is in the host's own network, past its firewall: all its ports are public"
                }
                Some(_) => return None,
            };
            Some(Hole::Power(Power::HostNetwork, what.to_owned()))
        }
        Asks::Mount(text) => {
            let Some(text) = fill(text) else {
                let what = format!("mounts {text}, which is not known here");
                return Some(Hole::Power(Power::DockerSocket, what));
            };
            let (source, rest) = text.split_once(':')?;
            let writable = !rest
                .split(':')
                .nth(1)
                .is_some_and(|mode| mode.split(',').any(|word| word == "ro"));
            mount(&path(source)?, writable)
        }
        Asks::LongMount { source, writable } => match fill(source) {
            // Here a path may begin with the name of a folder.
            Some(source) if source.contains('/') && !source.starts_with(['/', '.', '~']) => {
                mount(&path(&format!("./{source}"))?, *writable)
            }
            Some(source) => mount(&path(&source)?, *writable),
            None => Some(Hole::Power(
                Power::DockerSocket,
                format!("mounts {source}, which is not known here"),
            )),
        },
        Asks::Privileged(text) => is_on(fill(text)).then(|| privileged("runs privileged")),
        Asks::ApiSocket(text) => is_on(fill(text)).then(|| {
            Hole::Power(
                Power::DockerSocket,
                "is given Docker's socket (`use_api_socket`)".into(),
            )
        }),
        Asks::Processes(text) => {
            matches!(fill(text).as_deref(), Some("host") | None).then(|| privileged("sees the host's processes"))
        }
        Asks::Capability(text) => match fill(text) {
            Some(name) => is_root_capability(&name).then(|| privileged(&format!("has the capability {name}"))),
            None => Some(privileged(&format!(
                "has the capability {text}, which is not known here"
            ))),
        },
        Asks::Device(text) => {
            let device = fill(text);
            let name = device.as_deref().unwrap_or(text).split(':').next().unwrap_or_default();
            (device.is_none() || is_root_device(name)).then(|| privileged(&format!("has the device {name}")))
        }
        Asks::DeviceRule(text) => {
            // Block devices are disks; anybody may make the file for one.
            let rule = fill(text);
            let all = rule
                .as_deref()
                .is_none_or(|rule| rule.trim_start().starts_with(['a', 'b']));
            all.then(|| privileged(&format!("has the devices `{text}`")))
        }
    }
}

fn privileged(what: &str) -> Hole {
    Hole::Power(Power::Privileged, what.to_owned())
}

fn mount(path: &str, writable: bool) -> Option<Hole> {
    takes_host(path, writable).then(|| Hole::Power(Power::DockerSocket, format!("mounts {path} of the host")))
}

/// Anything but a plain "no" is on.
fn is_on(text: Option<String>) -> bool {
    text.is_none_or(|text| {
        !matches!(
            text.to_lowercase().as_str(),
            "false" | "no" | "off" | "n" | "0" | "f" | ""
        )
    })
}
