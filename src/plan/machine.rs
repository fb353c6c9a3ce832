//! The machine layer.

use std::collections::{BTreeMap, BTreeSet};

use super::drift::POWER;
use super::{Action, Change, Difference, Options, Origin, Plan, Refusal, Step};
use crate::desired::Desired;
use crate::names::Address;
use crate::observe::Observed;
use crate::provider::spec::ATTACHED;
use crate::provider::{Attributes, Course, Instance, Power};
use crate::render::caddyfile::Certificates;
use crate::state::{Record, State, Status};

/// The attribute that records what only a first boot reads.
const FIRST_BOOT: &str = "first_boot";

/// The fact that counts the machines of an environment.
const GENERATION: &str = "generation";

/// What a plan of the machine means for what is on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// It stays.
    Stays,
    /// All of it is new.
    New,
    /// All of it is new but the data volume, and so what was done to the data stays done.
    NewWithOldData,
    /// It stays and gets another address: nothing on it is looked at before.
    Moves,
}

/// What is made before the machine, because it is made with it.
const BEFORE: [Address; 2] = [Address::MachineKey, Address::MachineFirewall];

/// Plans the machine and what belongs to it.
pub fn plan(desired: &Desired, state: &State, observed: &Observed, options: &Options, plan: &mut Plan) -> Host {
    let mut wanted = desired.instance.spec.parts();
    let parts = Parts {
        desired,
        state,
        observed,
    };
    for address in BEFORE {
        if let Some(attributes) = wanted.remove(&address) {
            parts.plan(&address, attributes, Host::Stays, plan);
        }
    }
    let keeps_volume =
        wanted.contains_key(&Address::MachineVolume) && observed.parts.contains_key(&Address::MachineVolume);
    let host = instance(desired, state, observed, options, keeps_volume, plan);
    let fixed = wanted.contains_key(&Address::MachineAddress);
    let has_fixed = observed.parts.contains_key(&Address::MachineAddress);
    // One that somebody took away and that is not asked for any more: the record of it goes, and the machine is found elsewhere.
    let had_fixed = state.record(&Address::MachineAddress).is_some();
    let moves = host == Host::Stays && (fixed != has_fixed || had_fixed && !has_fixed);
    let needed: BTreeSet<Address> = wanted.keys().cloned().collect();
    for (address, attributes) in wanted {
        let attributes = match address {
            // The address that it gets in place of its own is seen at the next look.
            Address::Dns(_) if moves && !fixed => continue,
            Address::Dns(_) => parts.found_at(host, fixed),
            _ => attributes,
        };
        parts.plan(&address, attributes, host, plan);
    }
    // What bears our tags and is recorded nowhere is ours too.
    let known: BTreeSet<&Address> = state.resources.keys().chain(observed.parts.keys()).collect();
    for address in known.into_iter().filter(|address| address.is_part()) {
        if !BEFORE.contains(address) && !needed.contains(address) {
            parts.remove(address, plan);
        }
    }
    plan.notes.extend(observed.news.iter().cloned());
    if moves {
        plan.look_again = Some("the machine gets another address; the host is looked at under it");
        return Host::Moves;
    }
    host
}

/// What belongs to the machine and is made apart.
struct Parts<'a> {
    desired: &'a Desired,
    state: &'a State,
    observed: &'a Observed,
}

impl Parts<'_> {
    fn plan(&self, address: &Address, mut wanted: Attributes, host: Host, plan: &mut Plan) {
        let record = self.state.record(address);
        let settled = record.is_some_and(|record| record.status == Status::Present);
        let mut facts = record.map(|record| record.facts.clone()).unwrap_or_default();
        facts.extend(self.observed.provider.clone());
        let obstacle = self.observed.obstacles.get(address);
        plan.refusals
            .extend(obstacle.map(|reason| Refusal::of(address, reason)));
        let change = match self.observed.parts.get(address) {
            None => {
                if settled {
                    let fate = match address {
                        Address::MachineVolume => "its data is lost; an empty one is made",
                        _ => "it is made again",
                    };
                    plan.notes
                        .push(format!("{address} that the state knows is gone; {fate}"));
                }
                Change::Create { shown: shown(&wanted) }
            }
            Some(part) => {
                let new_machine = matches!(host, Host::New | Host::NewWithOldData);
                let mut is = part.attributes.clone();
                if new_machine {
                    // It will hang on nothing once the machine is gone.
                    is.remove(ATTACHED);
                }
                let recorded = record.filter(|_| settled).map(|record| &record.attributes);
                let mut differences = differences(&is, &wanted, recorded);
                differences.retain_mut(|difference| {
                    if difference.subject == ATTACHED && part.attributes.contains_key(ATTACHED) {
                        // We take it off ourselves.
                        difference.origin = Origin::Files;
                    }
                    let Difference { subject, old, new, .. } = difference;
                    let spec = &self.desired.instance.spec;
                    match spec.course(address, subject, old.as_deref(), new.as_deref()) {
                        Course::Stay(reason) => {
                            wanted.extend(old.take().map(|old| (subject.clone(), old)));
                            // Worth a word where the machine changes for it, and not at every plan from then on.
                            plan.notes.extend(new_machine.then_some(reason));
                            return false;
                        }
                        Course::Refuse(reason) => plan.refusals.push(Refusal::of(address, reason)),
                        Course::InPlace | Course::Restart | Course::Replace(_) => {}
                    }
                    true
                });
                if !differences.is_empty() {
                    Change::Update { differences }
                } else if record.is_none() {
                    // It is there and was never recorded.
                    Change::Create { shown: shown(&wanted) }
                } else if !settled {
                    update("interrupted step", "begun", "ended", Origin::Files)
                } else {
                    return;
                }
            }
        };
        plan.steps.push(Step {
            address: address.clone(),
            change,
            action: Action::EnsurePart {
                spec: self.desired.instance.spec.clone(),
            },
            attributes: wanted,
            facts,
        });
    }

    /// Where names shall point: to the address that the machine has and keeps, if that is known already. `fixed` is whether it
    /// shall have one of its own.
    fn found_at(&self, host: Host, fixed: bool) -> Attributes {
        let stays = matches!(host, Host::Stays | Host::Moves);
        let own = self.observed.instance.as_ref().filter(|_| stays);
        let address = if fixed {
            let part = self.observed.parts.get(&Address::MachineAddress);
            part.and_then(|part| part.facts.get("address")).cloned()
        } else {
            own.filter(|instance| instance.power == Power::On)
                .map(|instance| instance.endpoint.address.to_string())
        };
        let dns = self.desired.instance.spec.dns.as_ref();
        let mut attributes = Attributes::from([("address".to_owned(), address.unwrap_or_else(unknown))]);
        if dns.is_some_and(|dns| dns.ipv6) {
            let ipv6 = own.and_then(|instance| instance.ipv6).map(|ipv6| ipv6.to_string());
            attributes.insert("ipv6".to_owned(), ipv6.unwrap_or_else(unknown));
        }
        attributes
    }

    /// What the state knows and the file asks for no more.
    fn remove(&self, address: &Address, plan: &mut Plan) {
        if *address == Address::MachineVolume {
            plan.refusals.push(Refusal::of(
                address,
                format!("{address} cannot be taken away: its data would be lost; destroy the environment instead"),
            ));
        }
        let record = self.state.record(address);
        plan.steps.push(Step {
            address: address.clone(),
            change: Change::Delete {
                shown: record.map(|record| shown(&record.attributes)).unwrap_or_default(),
            },
            action: Action::RemovePart,
            attributes: record.map(|record| record.attributes.clone()).unwrap_or_default(),
            facts: record.map(|record| record.facts.clone()).unwrap_or_default(),
        });
    }
}

fn unknown() -> String {
    "(known after the machine is there)".to_owned()
}

/// Plans the machine itself. `keeps_volume` is whether there is a data volume apart that a new machine gets.
fn instance(
    desired: &Desired,
    state: &State,
    observed: &Observed,
    options: &Options,
    keeps_volume: bool,
    plan: &mut Plan,
) -> Host {
    let address = Address::MachineInstance;
    let spec = &desired.instance.spec;
    let mut wanted = spec.attributes();
    wanted.insert(FIRST_BOOT.into(), desired.instance.first_boot.to_string());
    let record = state.record(&address);
    let settled = record.is_some_and(|record| record.status == Status::Present);
    let mut facts = record.map(|record| record.facts.clone()).unwrap_or_default();
    facts.extend(observed.provider.clone());
    // Every step on the machine gives it power.
    let power = facts.remove(POWER);
    // A making that was cut off goes on under its own number.
    let last = facts
        .get(GENERATION)
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    let generation: u64 = if settled || last == 0 { last + 1 } else { last };
    let mut new_facts = facts.clone();
    new_facts.insert(GENERATION.into(), generation.to_string());
    let create = Action::CreateInstance {
        spec: spec.clone(),
        user_data: desired.instance.user_data.clone(),
        generation,
    };
    let step = |change, action: Action| Step {
        address: address.clone(),
        change,
        facts: match action {
            Action::CreateInstance { .. } | Action::ReplaceInstance { .. } => new_facts.clone(),
            _ => facts.clone(),
        },
        action,
        attributes: wanted.clone(),
    };

    let (Some(record), Some(instance)) = (record, &observed.instance) else {
        if record.is_some_and(|record| record.status == Status::Present) {
            plan.notes
                .push("the machine that the state knows is gone; a new one is made".into());
            if !keeps_volume && spec.volume_gib.is_none() {
                certificates_go(desired, plan);
            }
        }
        plan.steps.push(step(Change::Create { shown: shown(&wanted) }, create));
        // A making or replacement that was cut off has marked all that is recorded of the host, and said what stays true of
        // the data; no other step leaves the host's identity unsettled.
        let identity = state.record(&Address::HostIdentity).map(|record| record.status);
        let begun = record.is_some_and(|record| record.status != Status::Present) && identity != Some(Status::Present);
        return if begun || keeps_volume {
            Host::NewWithOldData
        } else {
            Host::New
        };
    };

    // What the provider tells is true; the state knows the rest. A step that was cut off may or may not have been carried out:
    // then the state knows only what was meant.
    let mut attributes = record.attributes.clone();
    let told = |name: &String| spec.told().contains(&name.as_str());
    if !settled {
        attributes.retain(|name, _| !told(name));
    }
    attributes.extend(instance.attributes.clone().into_iter().filter(|(name, _)| told(name)));
    if settled && record.attributes.get(FIRST_BOOT) != wanted.get(FIRST_BOOT) {
        plan.notes
            .push("cloud-init's first-boot part changed: no effect on a machine that has booted already".into());
    }
    let differences = differences(&attributes, &wanted, settled.then_some(&record.attributes));
    let mut reasons = Vec::new();
    let mut restarts = false;
    for difference in &differences {
        match spec.course(
            &address,
            &difference.subject,
            difference.old.as_deref(),
            difference.new.as_deref(),
        ) {
            Course::InPlace | Course::Stay(_) => {}
            Course::Restart => restarts = true,
            Course::Replace(reason) => reasons.push(reason),
            Course::Refuse(reason) => plan.refusals.push(Refusal::of(&address, reason)),
        }
    }

    match (options.replace.contains(&address), spec.existing()) {
        (true, Some(_)) => plan.refusals.push(Refusal::of(
            &address,
            "a host that was there before is not replaced: destroy the environment and apply it to another host",
        )),
        (true, None) => reasons.push("asked for with --replace".to_owned()),
        (false, _) => {}
    }
    let apart = spec.parts().contains_key(&Address::MachineVolume);
    if apart && !keeps_volume && without_volume(state, record, instance) {
        reasons.push("Docker's data moves to a volume only on a new machine".to_owned());
    }

    if !reasons.is_empty() {
        let keeps_data = keeps_volume || attributes.contains_key("volume_gib") && wanted.contains_key("volume_gib");
        // The making of this very machine was never recorded, and so nothing was ever put on it.
        let bare = record.id.is_none();
        let fate = if keeps_data {
            "the data volume is kept"
        } else if bare {
            "nothing is on it yet"
        } else {
            "ALL DATA ON ITS DISK IS LOST"
        };
        if desired.protect && !bare {
            plan.refusals.push(Refusal::of(
                &address,
                format!("{address} would be replaced, and the environment is protected (protect = true)"),
            ));
        } else if !keeps_data && !bare && !options.allowed.data_loss {
            plan.refusals.push(Refusal::of(
                &address,
                format!("{address} would be replaced and its data lives on its root disk: back it up, then add --allow-data-loss"),
            ));
        }
        plan.steps.push(step(
            Change::Replace {
                because: format!("{}; {fate}", reasons.join("; ")),
                differences,
            },
            Action::ReplaceInstance {
                spec: spec.clone(),
                user_data: desired.instance.user_data.clone(),
                generation,
            },
        ));
        if !keeps_data && !bare {
            certificates_go(desired, plan);
        }
        return if keeps_data { Host::NewWithOldData } else { Host::New };
    }
    if !differences.is_empty() {
        if restarts || instance.power == Power::Off {
            plan.look_again = Some("the machine is stopped and started; the host is looked at once it runs again");
        }
        plan.steps.push(step(
            Change::Update { differences },
            Action::ResizeInstance { spec: spec.clone() },
        ));
    } else if !settled && record.id.is_none() {
        // It is there and was never recorded: making it goes on where it was cut off.
        plan.steps.push(step(Change::Create { shown: shown(&wanted) }, create));
    } else if instance.power == Power::Off {
        plan.steps.push(step(
            update("power", "off", "on", origin_of_power(power.as_deref())),
            Action::StartInstance,
        ));
    } else if settled && moved(state, instance) {
        // It was stopped and started by somebody else.
        let known = state.endpoint().map(|endpoint| endpoint.address.to_string());
        plan.look_again = Some("the machine has another address; the host is looked at under it");
        plan.steps.push(step(
            Change::Update {
                differences: vec![Difference {
                    subject: "address".into(),
                    old: known,
                    new: Some(instance.endpoint.address.to_string()),
                    origin: Origin::Outside,
                }],
            },
            Action::StartInstance,
        ));
        return Host::Moves;
    } else if !settled {
        plan.steps.push(step(
            update("interrupted step", "begun", "ended", Origin::Files),
            Action::StartInstance,
        ));
    }
    Host::Stays
}

/// What Caddy asked an authority for, and the authority of its own, lie with Docker's data.
fn certificates_go(desired: &Desired, plan: &mut Plan) {
    let (what, stays) = match desired.edge.as_ref().map(|edge| &edge.certificates) {
        Some(Certificates::Acme) => (
            "certificates go with the machine's disk and are asked for anew: Let's Encrypt gives five a week for the same names",
            "they would stay",
        ),
        Some(Certificates::AcmeStaging | Certificates::Directory { .. }) => (
            "certificates go with the machine's disk and are asked for anew",
            "they would stay",
        ),
        Some(Certificates::Internal) => (
            "own authority goes with the machine's disk: who trusts it has to trust the new ca_certificate",
            "it would stay",
        ),
        Some(Certificates::Files { .. }) | None => return,
    };
    let hint = match desired.instance.spec.volume_gib {
        None => format!("; on a volume of [data] {stays}"),
        Some(_) => String::new(),
    };
    plan.notes.push(format!("the edge's {what}{hint}"));
}

/// A machine that was accepted without power is given it because the files ask for a machine that runs.
fn origin_of_power(recorded: Option<&str>) -> Origin {
    match recorded {
        Some("off") => Origin::Files,
        _ => Origin::Outside,
    }
}

/// Whether a machine was set up while it had no data volume, with Docker's data on its root disk. One that was just made in
/// its place and waits for its volume was not.
fn without_volume(state: &State, record: &Record, instance: &Instance) -> bool {
    let identity = state.record(&Address::HostIdentity).map(|record| record.status);
    let old = record.status != Status::Present && record.id.as_ref() == Some(&instance.id);
    state.record(&Address::MachineVolume).is_none()
        && state.record(&Address::HostBase).is_some()
        && (identity == Some(Status::Present) || old)
}

/// Whether a machine without an address of its own is found elsewhere than the state says.
pub fn moved(state: &State, instance: &Instance) -> bool {
    let fixed = state.record(&Address::MachineAddress);
    fixed.is_none_or(|record| record.status == Status::Removing)
        && state
            .endpoint()
            .is_some_and(|endpoint| endpoint.address != instance.endpoint.address)
}

fn update(subject: &str, old: &str, new: &str, origin: Origin) -> Change {
    Change::Update {
        differences: vec![Difference {
            subject: subject.into(),
            old: Some(old.into()),
            new: Some(new.into()),
            origin,
        }],
    }
}

fn shown(attributes: &BTreeMap<String, String>) -> Vec<(String, String)> {
    attributes
        .iter()
        .filter(|(name, _)| *name != FIRST_BOOT)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// What differs. What the state records as it shall be, somebody else has changed.
fn differences(old: &Attributes, new: &Attributes, recorded: Option<&Attributes>) -> Vec<Difference> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .filter(|name| *name != FIRST_BOOT && old.get(*name) != new.get(*name))
        .map(|name| Difference {
            subject: name.clone(),
            old: old.get(name).cloned(),
            new: new.get(name).cloned(),
            origin: match recorded {
                Some(recorded) if recorded.get(name) == new.get(name) => Origin::Outside,
                _ => Origin::Files,
            },
        })
        .collect()
}
