//! A host that was there before: what stands in the way, and what the first apply would change on it.

use std::collections::BTreeMap;

use super::{Action, Change, Difference, Origin, Plan, Refusal, Step};
use crate::desired::{Desired, DesiredStack};
use crate::names::Address;
use crate::observe::Observed;
use crate::provider::ssh::{FINGERPRINTS, HOST_KEYS};
use crate::provider::{SshShape, Walls};
use crate::remote::probe::{Container, Probe};
use crate::state::{Record, State};

/// What sshd is told on a host of others, in the words of `sshd -T`, and what that means for people.
const SSHD: [(&str, &str, &str); 3] = [
    ("passwordauthentication", "no", "logins by password end"),
    (
        "kbdinteractiveauthentication",
        "no",
        "logins by question and answer end",
    ),
    ("pubkeyauthentication", "yes", "logins by key begin"),
];

/// Refuses what would get into the way of others.
pub fn plan(desired: &Desired, state: &State, observed: &Observed, plan: &mut Plan) {
    if let Some(reasons) = observed.obstacles.get(&Address::MachineInstance) {
        let refusals = reasons
            .lines()
            .map(|reason| Refusal::of(&Address::MachineInstance, reason));
        plan.refusals.extend(refusals);
    }
    let Some(probe) = observed.host.probe() else { return };
    let edge = desired.edge.iter().map(|edge| (Address::Edge, &edge.stack));
    let stacks = desired
        .stacks
        .iter()
        .map(|stack| (Address::Stack(stack.name.clone()), stack));
    for (address, stack) in stacks.chain(edge) {
        if state.record(&address).is_none() {
            project(&address, stack, probe, plan);
        }
        for name in super::stacks::impostors(stack, state.record(&address), probe) {
            plan.refusals.push(Refusal::of(
                &address,
                format!("the container {name} is somebody else's, and bears the name that {address} needs: rename it on the host"),
            ));
        }
    }
    let network = &desired.network;
    if state.record(&Address::HostBase).is_none()
        && probe.networks.contains(network)
        && !probe.own_networks.contains_key(network)
    {
        plan.refusals.push(Refusal::of(
            &Address::HostBase,
            format!("the Docker network {network} is somebody else's: set `network` to another name"),
        ));
    }
}

/// A Compose project of the same name would be taken for ours, and its containers be removed.
fn project(address: &Address, stack: &DesiredStack, probe: &Probe, plan: &mut Plan) {
    let foreign = |container: &&Container| {
        container.project == stack.name.as_str() && !container.labels.contains_key("provision.stack")
    };
    let containers: Vec<&str> = probe
        .containers
        .iter()
        .filter(foreign)
        .map(|c| c.name.as_str())
        .collect();
    if !containers.is_empty() {
        plan.refusals.push(Refusal::of(
            address,
            format!(
                "a Compose project `{}` of somebody else is on the host ({}): give the stack another name",
                stack.name,
                containers.join(", ")
            ),
        ));
    }
    let prefix = format!("{}_", stack.name);
    let volumes: Vec<&str> = probe
        .volumes
        .iter()
        .filter(|v| v.starts_with(&prefix))
        .map(String::as_str)
        .collect();
    if !volumes.is_empty() {
        plan.notes.push(format!(
            "{address} takes volumes into use that are on the host already: {}",
            volumes.join(", ")
        ));
    }
}

/// The host's own keys are believed, and stay as they are.
pub fn identity(record: Option<&Record>, observed: &Observed, plan: &mut Plan) {
    let facts = observed.instance.as_ref().map(|instance| &instance.facts);
    let Some(keys) = facts.and_then(|facts| facts.get(HOST_KEYS)) else {
        return;
    };
    let attributes = BTreeMap::from([(HOST_KEYS.to_owned(), keys.clone())]);
    let shown = facts
        .and_then(|facts| facts.get(FINGERPRINTS))
        .cloned()
        .unwrap_or_default();
    let change = match record {
        Some(record) if record.attributes == attributes => return,
        Some(record) => Change::Update {
            differences: vec![Difference {
                subject: "host key".into(),
                old: record.facts.get("fingerprint").cloned(),
                new: Some(shown),
                origin: Origin::Files,
            }],
        },
        None => Change::Create {
            shown: vec![("host key".into(), format!("{shown}, the host's own; it stays"))],
        },
    };
    plan.steps.push(Step {
        address: Address::HostIdentity,
        change,
        action: Action::PinHostKey { keys: keys.clone() },
        attributes,
        facts: BTreeMap::new(),
    });
}

/// What the script would change on the host.
pub fn base(existing: &SshShape, digest: &str, observed: &Observed) -> Vec<(String, String)> {
    let probe = observed.host.probe();
    let engine = match probe {
        Some(probe) if probe.base.docker => "Docker stays as it is",
        _ => "Docker is installed, if there is none",
    };
    let mut shown = vec![
        ("script".to_owned(), digest.to_owned()),
        ("engine".to_owned(), engine.to_owned()),
        (
            "firewall".to_owned(),
            match existing.firewall {
                Walls::Stacks => "rules for our own network alone; nothing else is closed".to_owned(),
                Walls::Host => "the whole host is closed but for sshd, 80 and 443".to_owned(),
            },
        ),
    ];
    if let (Walls::Host, Some(probe)) = (existing.firewall, probe) {
        let closed = closed(probe);
        if !closed.is_empty() {
            shown.push(("becomes unreachable".to_owned(), closed.join(", ")));
        }
    }
    shown.push(("sshd".to_owned(), sshd(existing, probe)));
    shown
}

/// What changes of sshd's settings.
fn sshd(existing: &SshShape, probe: Option<&Probe>) -> String {
    let root = match existing.is_root() {
        true => ("permitrootlogin", "without-password", "root logs in by key alone"),
        false => ("permitrootlogin", "no", "root does not log in any more"),
    };
    let is = probe.and_then(|probe| probe.base.sshd_settings.as_deref());
    let holds = |name: &str, value: &str| {
        is.is_some_and(|is| is.lines().any(|line| line.split_once(' ') == Some((name, value))))
    };
    let changes: Vec<&str> = SSHD
        .into_iter()
        .chain([root])
        .filter(|(name, value, _)| !holds(name, value))
        .map(|(_, _, words)| words)
        .collect();
    match changes.is_empty() {
        true => "as it is".to_owned(),
        false => changes.join("; "),
    }
}

/// What listens for others and would not be reached any more.
fn closed(probe: &Probe) -> Vec<String> {
    let mut closed: Vec<String> = probe
        .listeners
        .iter()
        .filter(|listener| {
            let local = listener.address.starts_with("127.") || listener.address == "::1";
            let open = matches!(listener.port, 80 | 443) || listener.process.as_deref() == Some("sshd");
            !local && !open
        })
        .map(|listener| {
            let who = listener.process.as_deref().unwrap_or("unknown");
            format!("{}/{} ({who})", listener.port, listener.proto)
        })
        .collect();
    closed.sort();
    closed.dedup();
    closed
}
