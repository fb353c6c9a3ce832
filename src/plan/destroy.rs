//! The way back.

use super::{Action, Change, Plan, Step};
use crate::names::Address;
use crate::state::State;

/// Plans the removal of everything the state knows: the machine first, then, in reverse order, the records of what went with
/// it. A destroy that is cut off has forgotten nothing that is still there, such as which jobs must not run again.
pub fn plan_destroy(state: &State, protect: bool, keep_volume: bool) -> Plan {
    let mut steps: Vec<Step> = state
        .resources
        .iter()
        .rev()
        .map(|(address, record)| {
            let machine = *address == Address::MachineInstance;
            let fate = match (machine, record.attributes.get("volume_gib")) {
                (false, _) => vec![("goes".into(), "with the machine".into())],
                (true, Some(gib)) if keep_volume => vec![("data volume".into(), format!("{gib} GiB, kept"))],
                (true, Some(gib)) => vec![(
                    "data volume".into(),
                    format!("{gib} GiB, DELETED with everything on it"),
                )],
                (true, None) => vec![("data".into(), "on the root disk, DELETED with the machine".into())],
            };
            Step {
                address: address.clone(),
                change: Change::Delete { shown: fate },
                action: if machine {
                    Action::DestroyInstance { keep_volume }
                } else {
                    Action::Forget
                },
                attributes: record.attributes.clone(),
                facts: record.facts.clone(),
            }
        })
        .collect();
    // Stable: all others stay in reverse order.
    steps.sort_by_key(|step| step.address != Address::MachineInstance);
    if !state.resources.contains_key(&Address::MachineInstance) {
        // The state may have been lost between the call and its record: the provider is asked by owner all the same.
        let machine = Step {
            address: Address::MachineInstance,
            change: Change::Delete {
                shown: vec![("machine".into(), "if there is one".into())],
            },
            action: Action::DestroyInstance { keep_volume },
            attributes: Default::default(),
            facts: Default::default(),
        };
        steps.insert(0, machine);
    }
    let refusals = if protect {
        vec!["the environment is protected: set protect = false in its file first".into()]
    } else {
        Vec::new()
    };
    Plan {
        environment: state.environment.clone(),
        lineage: state.lineage.clone(),
        serial: state.serial,
        steps,
        notes: Vec::new(),
        refusals,
        look_again: None,
    }
}
