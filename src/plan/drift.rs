//! Drift: what is otherwise than the state recorded it, whoever changed it, and whatever the environment's files say now.
//!
//! Compares state and observation alone. What the files ask for is the business of the steps; see [`accept`] for how the two meet.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::seen::{self, FOREIGN, Facts, SEEN, Seen};
use super::{Difference, Origin, Plan};
use crate::names::{Address, StackName};
use crate::observe::Observed;
use crate::provider::spec::is_told;
use crate::provider::{Attributes, Power};
use crate::remote::probe::Probe;
use crate::state::{Record, State, Status};

/// The fact that records that a machine without power was accepted.
pub const POWER: &str = "power";

/// What changed at one address since it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Where.
    pub address: Address,
    /// What: from what was recorded to what there is.
    pub differences: Vec<Difference>,
    /// Whether a step sees to it, or may once the host has been looked at. Else an apply takes it into the state as it is.
    pub repaired: bool,
}

/// Everything that differs from what is recorded. A step that has not ended says nothing about what there was.
pub fn drift(state: &State, observed: &Observed) -> Vec<Drift> {
    let mut found = Vec::new();
    for (address, record) in settled(state) {
        let differences = match address {
            Address::MachineInstance => instance(state, record, observed),
            part if part.is_part() => self::part(part, record, observed),
            _ => observed
                .host
                .probe()
                .map_or_else(Vec::new, |probe| on_host(address, record, probe)),
        };
        if !differences.is_empty() {
            found.push(Drift {
                address: address.clone(),
                differences,
                repaired: false,
            });
        }
    }
    found
}

fn settled(state: &State) -> impl Iterator<Item = (&Address, &Record)> {
    let resources = state.resources.iter();
    resources.filter(|(_, record)| record.status == Status::Present)
}

fn difference(subject: impl Into<String>, old: Option<String>, new: Option<String>) -> Difference {
    Difference {
        subject: subject.into(),
        old,
        new,
        origin: Origin::Outside,
    }
}

fn gone(record: &Record) -> Difference {
    let was = record.id.clone().unwrap_or_else(|| "there".to_owned());
    difference("the whole of it", Some(was), Some("gone".to_owned()))
}

fn instance(state: &State, record: &Record, observed: &Observed) -> Vec<Difference> {
    let Some(instance) = &observed.instance else {
        return vec![gone(record)];
    };
    let told = instance.attributes.iter().filter(|(name, _)| is_told(name));
    let mut differences: Vec<Difference> = told
        .filter(|(name, value)| record.attributes.get(*name) != Some(value))
        .map(|(name, value)| difference(name, record.attributes.get(name).cloned(), Some(value.clone())))
        .collect();
    let known = record.facts.get(POWER).map_or("on", String::as_str);
    match (known, instance.power) {
        ("on", Power::Off) => differences.push(difference(POWER, Some("on".into()), Some("off".into()))),
        ("off", Power::On) => differences.push(difference(POWER, Some("off".into()), Some("on".into()))),
        _ => {}
    }
    if instance.power == Power::On && super::machine::moved(state, instance) {
        let known = state.endpoint().map(|endpoint| endpoint.address.to_string());
        let now = instance.endpoint.address.to_string();
        differences.push(difference("address", known, Some(now)));
    }
    differences
}

fn part(address: &Address, record: &Record, observed: &Observed) -> Vec<Difference> {
    let Some(part) = observed.parts.get(address) else {
        return vec![gone(record)];
    };
    let names: BTreeSet<&String> = record.attributes.keys().chain(part.attributes.keys()).collect();
    compare(names.into_iter(), &record.attributes, &part.attributes)
}

fn compare<'a>(names: impl Iterator<Item = &'a String>, old: &Attributes, new: &Attributes) -> Vec<Difference> {
    names
        .filter(|name| old.get(*name) != new.get(*name))
        .map(|name| difference(name, old.get(name).cloned(), new.get(name).cloned()))
        .collect()
}

/// Facts of the base that a program on the host tells.
const MAY_BE_UNKNOWN: [&str; 3] = ["firewall rules", FOREIGN, "sshd settings"];

fn stack_of(address: &Address) -> Option<StackName> {
    match address {
        Address::Stack(name) => Some(name.clone()),
        Address::Edge => Some(StackName::edge()),
        _ => None,
    }
}

/// What is seen of an address on the host; none where there is nothing to see, or where that is not known.
fn facts(address: &Address, record: &Record, probe: &Probe) -> Option<Facts> {
    if *address == Address::HostBase {
        return Some(seen::base(probe));
    }
    let name = stack_of(address)?;
    // Nothing is known of containers and images, which is not to say that there are none.
    probe.base.docker.then(|| seen::stack(&name, record, probe))
}

fn on_host(address: &Address, record: &Record, probe: &Probe) -> Vec<Difference> {
    let Some(now) = facts(address, record, probe) else {
        return Vec::new();
    };
    let base = *address == Address::HostBase;
    if !base && !record.facts.contains_key(SEEN) {
        return Vec::new();
    }
    let known = record.facts.iter().filter(|(name, _)| seen::is_seen(address, name));
    let mut names: BTreeSet<&String> = known.map(|(name, _)| name).collect();
    if !base {
        names.extend(now.keys());
    }
    // That there are no rules is told once.
    let unloaded = !probe.base.firewall_live;
    names
        .into_iter()
        .filter(|name| record.facts.get(*name) != now.get(*name))
        .filter(|name| !(base && unloaded && *name == "firewall rules"))
        .filter(|name| probe.base.docker || *name != "networks")
        // A tool that does not answer says nothing about what changed.
        .filter(|name| !(base && MAY_BE_UNKNOWN.contains(&name.as_str()) && !now.contains_key(*name)))
        .map(|name| in_words(address, name, record.facts.get(name), now.get(name)))
        .collect()
}

/// A changed fact as a person reads it.
fn in_words(address: &Address, name: &str, old: Option<&String>, new: Option<&String>) -> Difference {
    let own = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    if *address == Address::HostBase {
        return match name {
            "sshd" | "daemon.json" | "firewall script" => {
                let now = if new.is_some() { "edited" } else { "removed" };
                difference(name, Some("as converged".into()), Some(now.into()))
            }
            path if path.starts_with('/') => {
                let (old, new) = file(old, new);
                difference(path, Some(old), Some(new))
            }
            _ => difference(name, own(old), own(new)),
        };
    }
    match name.split_once('.') {
        Some(("container", name)) => container(name, old, new),
        Some(("image", reference)) => {
            let id = |id: &String| id.chars().take("sha256:".len() + 12).collect();
            let now = new.map_or_else(|| "missing".to_owned(), id);
            difference(format!("image {reference}"), old.map(id), Some(now))
        }
        Some(("file", path)) => {
            let as_released = || Some("as released".to_owned());
            difference(path, own(old).or_else(as_released), own(new).or_else(as_released))
        }
        _ => {
            let ours = || Some("as released".to_owned());
            let theirs = new.map(|digest| format!("{digest}, put there by somebody else"));
            difference("release", own(old).or_else(ours), theirs.or_else(ours))
        }
    }
}

/// A file of the base: what of mode, owner and content is another.
fn file(old: Option<&String>, new: Option<&String>) -> (String, String) {
    let Some(new) = new else {
        return ("as converged".to_owned(), "missing".to_owned());
    };
    let old: Vec<&str> = old.map(|old| old.split(' ').collect()).unwrap_or_default();
    let (mut was, mut is) = (Vec::new(), Vec::new());
    for (index, word) in new.split(' ').enumerate() {
        let before = old.get(index).copied().unwrap_or_default();
        if word == before {
            continue;
        }
        match index {
            0 => was.push(format!("mode {before}")),
            1 => was.push(format!("owner {before}")),
            _ => was.push("as converged".to_owned()),
        }
        is.push(match index {
            0 => format!("mode {word}"),
            1 => format!("owner {word}"),
            _ => "edited".to_owned(),
        });
    }
    (was.join(", "), is.join(", "))
}

fn container(name: &str, old: Option<&String>, new: Option<&String>) -> Difference {
    let subject = format!("container {name}");
    let old = old.and_then(|fact| Seen::parse(fact));
    let new = new.and_then(|fact| Seen::parse(fact));
    let state = |seen: &Seen<'_>| seen.state.replace('(', " (");
    match (old, new) {
        (Some(old), Some(new)) if old.id == new.id => difference(subject, Some(state(&old)), Some(state(&new))),
        (Some(old), Some(new)) => {
            let mut how = vec!["made again".to_owned()];
            if old.config != new.config {
                how.push("with another configuration".to_owned());
            }
            if old.image != new.image {
                how.push(format!("from another image, {}", new.image));
            }
            if new.state != "running" {
                how.push(state(&new));
            }
            difference(
                subject,
                Some(old.id.into()),
                Some(format!("{}, {}", new.id, how.join(" "))),
            )
        }
        (old, new) => {
            let gone = new.is_none().then(|| "gone".to_owned());
            difference(subject, old.as_ref().map(state), new.as_ref().map(state).or(gone))
        }
    }
}

/// Whether what is seen of an address was recorded, when the state says that it was accepted or left by an apply.
pub fn is_recorded(record: &Record, now: &Facts, name: &str) -> bool {
    record.facts.contains_key(SEEN) && record.facts.get(name) == now.get(name)
}

/// Takes what there is into the records of the addresses that `which` names, also what was never recorded of the host. From then
/// on it is no drift; what the files ask for otherwise is an ordinary change. Tells whether anything was new.
///
/// A thing that is gone loses its record: the next plan makes it anew.
pub fn accept(state: &mut State, observed: &Observed, now: Timestamp, which: impl Fn(&Address) -> bool) -> bool {
    let before = state.clone();
    let gone: Vec<Address> = drift(state, observed)
        .into_iter()
        .map(|drift| drift.address)
        .filter(|address| which(address) && is_gone(address, observed))
        .collect();
    for address in &gone {
        state.remove(address);
    }
    if gone.contains(&Address::MachineInstance) && !state.resources.contains_key(&Address::MachineVolume) {
        // What was on the machine went with it, and so did the data: the same as after a destroy.
        state.resources.retain(|address, _| address.layer() == "machine");
    }
    let addresses: Vec<Address> = settled(state).map(|(address, _)| address.clone()).collect();
    for address in addresses.into_iter().filter(|address| which(address)) {
        if let Some(record) = state.resources.get_mut(&address) {
            take(&address, record, observed);
        }
    }
    if let Some(endpoint) = observed.endpoint()
        && which(&Address::MachineInstance)
        && let Some(instance) = &observed.instance
        && super::machine::moved(state, instance)
    {
        state.set_endpoint(&endpoint, now);
    }
    for (address, record) in &mut state.resources {
        if before.record(address).is_none_or(|before| before != record) {
            record.changed_at = now;
        }
    }
    state.resources != before.resources
}

fn is_gone(address: &Address, observed: &Observed) -> bool {
    match address {
        Address::MachineInstance => observed.instance.is_none(),
        part => part.is_part() && !observed.parts.contains_key(part),
    }
}

fn take(address: &Address, record: &mut Record, observed: &Observed) {
    match address {
        Address::MachineInstance => {
            let Some(instance) = &observed.instance else { return };
            let told = instance.attributes.iter().filter(|(name, _)| is_told(name));
            record.attributes.extend(told.map(|(k, v)| (k.clone(), v.clone())));
            match instance.power {
                Power::Off => record.facts.insert(POWER.to_owned(), "off".to_owned()),
                Power::On => record.facts.remove(POWER),
            };
        }
        part if part.is_part() => {
            if let Some(seen) = observed.parts.get(part) {
                record.attributes.clone_from(&seen.attributes);
            }
        }
        _ => {
            if let Some(probe) = observed.host.probe() {
                look_back(address, record, probe);
            }
        }
    }
}

fn look_back(address: &Address, record: &mut Record, probe: &Probe) {
    let Some(now) = facts(address, record, probe) else {
        return;
    };
    if let (Some(name), None) = (stack_of(address), record.facts.get(SEEN)) {
        // From here on it is known what the services were made from.
        record.facts.extend(seen::configs(&name, probe));
    }
    let docker = probe.base.docker;
    // What only the daemon knows stays as it was while it does not answer.
    record
        .facts
        .retain(|name, _| !seen::is_seen(address, name) || !docker && name == "networks");
    record.facts.extend(now);
}

/// Records what the host looks like right after our own work: every stack whose deploy has come to its end since it was last
/// looked at. Tells whether there was one.
pub fn remember(state: &mut State, probe: &Probe) -> bool {
    let mut any = false;
    for (address, record) in &mut state.resources {
        let ours = stack_of(address).is_some() && record.status == Status::Present;
        if ours && !record.facts.contains_key(SEEN) && probe.base.docker {
            look_back(address, record, probe);
            any = true;
        }
    }
    any
}

/// Takes into the state what changed outside and no step changes back, such as a container that somebody made again from the same
/// configuration. Tells whether there was something.
pub fn settle(plan: &Plan, state: &mut State, observed: &Observed, now: Timestamp) -> bool {
    let repaired = |address: &Address| {
        let mut drift = plan.drift.iter();
        drift.any(|drift| drift.address == *address && drift.repaired)
    };
    plan.look_again.is_none()
        && accept(state, observed, now, |address| {
            !plan.touches(address) && !repaired(address)
        })
}

/// Whether a fact of the base is otherwise than it was recorded, and the converge script puts it back.
pub fn is_to_converge(fact: &str, known: &str, now: Option<&String>) -> bool {
    match now {
        None => !MAY_BE_UNKNOWN.contains(&fact),
        Some(now) => now != known && fact != FOREIGN,
    }
}
