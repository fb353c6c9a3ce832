//! The way back.

use std::collections::BTreeSet;

use super::{Action, Change, Plan, Refusal, Step};
use crate::names::Address;
use crate::state::State;

/// Whether the environment is on a host that was there before: a destroy acts on it, and it stays.
pub fn is_existing(state: &State) -> bool {
    let provider = state.provider().and_then(|facts| facts.get("provider"));
    provider.is_some_and(|provider| provider == "ssh")
}

/// Plans the removal of everything the state knows, in reverse order of its making. What is on the machine goes with it, and
/// so does the record of it: a destroy that is cut off before has forgotten nothing that is still there, such as which jobs must
/// not run again.
pub fn plan_destroy(state: &State, protect: bool, keep_volume: bool) -> Plan {
    let mut addresses: BTreeSet<Address> = state.resources.keys().cloned().collect();
    // The state may have been lost between the call and its record: the provider is asked by owner all the same.
    addresses.insert(Address::MachineInstance);
    let apart = addresses.contains(&Address::MachineVolume);
    let stays = is_existing(state);
    let steps = addresses
        .into_iter()
        .rev()
        .map(|address| {
            let record = state.record(&address);
            let attributes = record.map(|record| record.attributes.clone()).unwrap_or_default();
            let gib = attributes.get("volume_gib").or_else(|| attributes.get("size_gib"));
            let (what, fate, action) = match &address {
                Address::MachineInstance if stays => {
                    let volumes = match keep_volume {
                        true => "kept",
                        false => "DELETED with everything in them",
                    };
                    (
                        "host",
                        format!(
                            "stays; containers, networks, files, firewall and sshd settings of ours go. Docker's volumes of the stacks: {volumes}"
                        ),
                        Action::DestroyInstance { keep_volume },
                    )
                }
                Address::MachineInstance => {
                    let (what, fate) = match gib {
                        _ if record.is_none() => ("machine", "if there is one".to_owned()),
                        _ if apart => ("root disk", "DELETED with the machine".to_owned()),
                        Some(gib) if keep_volume => ("data volume", format!("{gib} GiB, kept")),
                        Some(gib) => ("data volume", format!("{gib} GiB, DELETED with everything on it")),
                        None => ("data", "on the root disk, DELETED with the machine".to_owned()),
                    };
                    (what, fate, Action::DestroyInstance { keep_volume })
                }
                Address::MachineVolume => {
                    let gib = gib.map_or_else(String::new, |gib| format!("{gib} GiB, "));
                    match keep_volume {
                        true => ("data volume", format!("{gib}kept"), Action::KeepPart),
                        false => (
                            "data volume",
                            format!("{gib}DELETED with everything on it"),
                            Action::RemovePart,
                        ),
                    }
                }
                part if part.is_part() => ("goes", "back to the provider".to_owned(), Action::RemovePart),
                _ if stays => ("goes", "as the host is left".to_owned(), Action::GoesWithMachine),
                _ => ("goes", "with the machine".to_owned(), Action::GoesWithMachine),
            };
            Step {
                address,
                change: Change::Delete {
                    shown: vec![(what.into(), fate)],
                },
                action,
                attributes,
                facts: record.map(|record| record.facts.clone()).unwrap_or_default(),
            }
        })
        .collect();
    let refusals = if protect {
        vec![Refusal {
            address: None,
            reason: "the environment is protected: set protect = false in its file first".into(),
        }]
    } else {
        Vec::new()
    };
    Plan {
        environment: state.environment.clone(),
        lineage: state.lineage.clone(),
        serial: state.serial,
        drift: Vec::new(),
        steps,
        notes: Vec::new(),
        refusals,
        look_again: None,
    }
}
