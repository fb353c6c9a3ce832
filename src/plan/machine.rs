//! The machine layer.

use std::collections::BTreeMap;

use super::{Action, Allowed, Change, Difference, Origin, Plan, Step};
use crate::desired::{Desired, instance_attributes};
use crate::names::Address;
use crate::observe::Observed;
use crate::provider::Power;
use crate::state::{State, Status};

/// The attribute that records what only a first boot reads.
const FIRST_BOOT: &str = "first_boot";

/// What every provider tells of a machine that is there.
const TOLD: [&str; 6] = ["acceleration", "cpus", "disk_gib", "image", "memory_mib", "volume_gib"];

/// How a machine's attribute can change.
enum Course {
    /// Stop, change, start.
    InPlace,
    /// Only a new machine has it.
    Replace(String),
    /// Not even a new machine can have it.
    Refuse(String),
}

fn course(attribute: &str, old: Option<&str>, new: Option<&str>) -> Course {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
    match attribute {
        "cpus" | "memory_mib" | "acceleration" => Course::InPlace,
        "disk_gib" | "volume_gib" => match (number(old), number(new)) {
            (Some(old), Some(new)) if new >= old => Course::InPlace,
            (Some(_), Some(_)) if attribute == "volume_gib" => {
                Course::Refuse("volume_gib cannot shrink: no disk does without losing data; write the old size".into())
            }
            (Some(_), Some(_)) => Course::Replace(format!("{attribute} cannot shrink")),
            (None, Some(_)) => Course::Replace("Docker's data moves to a volume only on a new machine".into()),
            (_, None) => Course::Refuse(format!(
                "{attribute} cannot be taken away: its data would be lost; destroy the environment instead"
            )),
        },
        other => Course::Replace(format!("{other} is fixed when the machine is made")),
    }
}

/// What a plan of the machine means for what is on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// It stays.
    Stays,
    /// All of it is new.
    New,
    /// All of it is new but the data volume, and so what was done to the data stays done.
    NewWithOldData,
}

/// Plans the machine.
pub fn plan(desired: &Desired, state: &State, observed: &Observed, allowed: Allowed, plan: &mut Plan) -> Host {
    let address = Address::MachineInstance;
    let mut wanted = instance_attributes(&desired.instance.spec);
    wanted.insert(FIRST_BOOT.into(), desired.instance.first_boot.to_string());
    let create = Action::CreateInstance {
        spec: desired.instance.spec.clone(),
        user_data: desired.instance.user_data.clone(),
    };
    let facts = state
        .record(&address)
        .map(|record| record.facts.clone())
        .unwrap_or_default();
    let step = |change, action| Step {
        address: address.clone(),
        change,
        action,
        attributes: wanted.clone(),
        facts: facts.clone(),
    };

    let record = state.record(&address);
    let (Some(record), Some(instance)) = (record, &observed.instance) else {
        if record.is_some_and(|record| record.status == Status::Present) {
            plan.notes
                .push("the machine that the state knows is gone; a new one is made".into());
        }
        plan.steps.push(step(Change::Create { shown: shown(&wanted) }, create));
        // A making or replacement that was cut off has marked all that is recorded of the host, and said what stays true of
        // the data; no other step leaves the host's identity unsettled.
        let identity = state.record(&Address::HostIdentity).map(|record| record.status);
        let begun = record.is_some_and(|record| record.status != Status::Present) && identity != Some(Status::Present);
        return if begun { Host::NewWithOldData } else { Host::New };
    };

    let settled = record.status == Status::Present;
    // A step that was cut off may or may not have been carried out: then the provider knows what the machine is like, and
    // the state only what was meant.
    let mut attributes = record.attributes.clone();
    if !settled {
        let told = |name: &String| TOLD.contains(&name.as_str());
        attributes.retain(|name, _| !told(name));
        attributes.extend(instance.attributes.clone().into_iter().filter(|(name, _)| told(name)));
    }
    if settled && record.attributes.get(FIRST_BOOT) != wanted.get(FIRST_BOOT) {
        plan.notes
            .push("cloud-init's first-boot part changed: no effect on a machine that has booted already".into());
    }
    let differences = differences(&attributes, &wanted);
    let mut reasons = Vec::new();
    for difference in &differences {
        match course(
            &difference.subject,
            difference.old.as_deref(),
            difference.new.as_deref(),
        ) {
            Course::InPlace => {}
            Course::Replace(reason) => reasons.push(reason),
            Course::Refuse(reason) => plan.refusals.push(reason),
        }
    }

    if !reasons.is_empty() {
        let keeps_data = attributes.contains_key("volume_gib") && wanted.contains_key("volume_gib");
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
            plan.refusals.push(format!(
                "{address} would be replaced, and the environment is protected (protect = true)"
            ));
        } else if !keeps_data && !bare && !allowed.data_loss {
            plan.refusals.push(format!(
                "{address} would be replaced and its data lives on its root disk: back it up, then add --allow-data-loss"
            ));
        }
        plan.steps.push(step(
            Change::Replace {
                because: format!("{}; {fate}", reasons.join("; ")),
                differences,
            },
            Action::ReplaceInstance {
                spec: desired.instance.spec.clone(),
                user_data: desired.instance.user_data.clone(),
            },
        ));
        return if keeps_data { Host::NewWithOldData } else { Host::New };
    }
    if !differences.is_empty() {
        plan.look_again = Some("the machine is stopped and started; the host is looked at once it runs again");
        plan.steps.push(step(
            Change::Update { differences },
            Action::ResizeInstance {
                spec: desired.instance.spec.clone(),
            },
        ));
    } else if !settled && record.id.is_none() {
        // It is there and was never recorded: making it goes on where it was cut off.
        plan.steps.push(step(Change::Create { shown: shown(&wanted) }, create));
    } else if instance.power == Power::Off {
        plan.steps.push(step(
            update("power", "off", "on", Origin::Outside),
            Action::StartInstance,
        ));
    } else if !settled {
        plan.steps.push(step(
            update("interrupted step", "begun", "ended", Origin::Files),
            Action::StartInstance,
        ));
    }
    Host::Stays
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

fn differences(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<Difference> {
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .filter(|name| *name != FIRST_BOOT && old.get(*name) != new.get(*name))
        .map(|name| Difference {
            subject: name.clone(),
            old: old.get(name).cloned(),
            new: new.get(name).cloned(),
            origin: Origin::Files,
        })
        .collect()
}
