//! The host layer: identity and base state.

use std::collections::BTreeMap;

use super::drift::is_to_converge;
use super::machine::Host;
use super::{Action, Change, Difference, Origin, Plan, Refusal, Step};
use crate::desired::Desired;
use crate::names::Address;
use crate::observe::Observed;
use crate::state::{Record, State, Status};

/// The attribute that records for which size of the data volume the script ran: it grows the file system on it.
const VOLUME: &str = "volume_gib";

/// Plans what is below the stacks.
pub fn plan(desired: &Desired, state: &State, observed: &Observed, host: Host, plan: &mut Plan) {
    let present = |address: &Address| -> Option<&Record> {
        state
            .record(address)
            .filter(|record| host == Host::Stays && record.status == Status::Present)
    };

    if host == Host::Stays
        && let Some(owner) = observed.host.probe().and_then(|probe| probe.owner.as_ref())
        && *owner != state.lineage.as_str()
    {
        plan.refusals.push(Refusal {
            address: None,
            reason: format!(
                "the host belongs to the lineage {owner}, and this state is of the lineage {}: another state thinks that this machine is \
                 its own. Work with that one, or give the host to this one: provision state unlock {} --host --force",
                state.lineage, state.environment
            ),
        });
    }

    if desired.instance.spec.existing().is_some() {
        super::existing::plan(desired, state, observed, plan);
        super::existing::identity(present(&Address::HostIdentity), observed, plan);
    } else if present(&Address::HostIdentity).is_none() {
        plan.steps.push(Step {
            address: Address::HostIdentity,
            change: Change::Create {
                shown: vec![(
                    "host key".into(),
                    "made on the host, replaces the one of the first boot".into(),
                )],
            },
            action: Action::RotateHostKey,
            attributes: BTreeMap::new(),
            facts: BTreeMap::new(),
        });
    }

    super::life::plan(desired, state, observed, host, plan);

    let digest = desired.base.digest();
    let mut attributes = BTreeMap::from([("script".to_owned(), digest.to_string())]);
    if let Some(gib) = desired.instance.spec.volume_gib {
        attributes.insert(VOLUME.to_owned(), gib.to_string());
    }
    let converge = |unless_done| Action::Converge {
        script: desired.base.script.clone(),
        unless_done,
    };
    let Some(record) = present(&Address::HostBase) else {
        // What was found after an earlier run stays known: a repair that was cut off must not take what somebody else wrote
        // for the script's own work.
        let facts = match state.record(&Address::HostBase) {
            Some(record) if host == Host::Stays => record.facts.clone(),
            _ => BTreeMap::new(),
        };
        plan.steps.push(Step {
            address: Address::HostBase,
            change: Change::Create {
                shown: match desired.instance.spec.existing() {
                    Some(existing) => super::existing::base(existing, digest.short(), observed),
                    None => vec![(
                        "script".into(),
                        format!("{} (first boot, Docker, firewall, sshd, updates)", digest.short()),
                    )],
                },
            },
            // A run that was cut off may have left a host that somebody else has worked on since: only a first boot that nobody
            // has waited for yet is taken at its word.
            action: converge(state.record(&Address::HostBase).is_none() || host != Host::Stays),
            attributes,
            facts,
        });
        return;
    };

    let mut differences = Vec::new();
    let recorded = record.attributes.get("script").map(String::as_str);
    if recorded != Some(digest.as_str()) {
        differences.push(Difference {
            subject: "script".into(),
            old: recorded.map(|text| text.chars().take(12).collect()),
            new: Some(format!("{} (converged over SSH)", digest.short())),
            origin: Origin::Files,
        });
    }
    if record.attributes.get(VOLUME) != attributes.get(VOLUME) {
        differences.push(Difference {
            subject: "file system of the data volume".into(),
            old: record.attributes.get(VOLUME).map(|gib| format!("{gib} GiB")),
            new: attributes.get(VOLUME).map(|gib| format!("{gib} GiB")),
            origin: Origin::Files,
        });
    }
    if plan.steps.iter().any(attaches_volume) {
        differences.push(Difference {
            subject: "mount of the data volume".into(),
            old: Some("lost with the volume".into()),
            new: Some("mounted".into()),
            // A volume that was accepted as gone is made because the files ask for one.
            origin: match state.record(&Address::MachineVolume) {
                Some(_) => Origin::Outside,
                None => Origin::Files,
            },
        });
    }
    if let Some(probe) = observed.host.probe() {
        let now = super::seen::base(probe);
        let mut drift = |fact: &str, subject: &str, old: &str, new: &str| {
            // What was accepted is no drift any more.
            let known = record.facts.contains_key("docker");
            let accepted = known && record.facts.get(fact) == now.get(fact);
            differences.push(Difference {
                subject: subject.into(),
                old: Some(old.into()),
                new: Some(new.into()),
                origin: if accepted { Origin::Files } else { Origin::Outside },
            });
        };
        if recorded == Some(digest.as_str()) && probe.converged.as_deref() != Some(digest.as_str()) {
            drift(
                "converged",
                "converged",
                probe
                    .converged
                    .as_deref()
                    .map_or("never", |text| text.get(..12).unwrap_or(text)),
                digest.short(),
            );
        }
        if !probe.base.docker {
            drift("docker", "docker", "does not answer", "running");
        }
        if !probe.base.firewall_live {
            drift("firewall", "firewall", "not loaded", "loaded");
        }
        for (name, known) in &record.facts {
            let told_already = ["converged", "docker", "firewall", "networks"].contains(&name.as_str())
                || name == "firewall rules" && !probe.base.firewall_live;
            if told_already || !is_to_converge(name, known, now.get(name)) {
                continue;
            }
            let how = match name.as_str() {
                "firewall rules" | "sshd settings" => "changed on the host",
                _ => "edited or removed on the host",
            };
            drift(name, name, how, "as converged");
        }
        if probe.base.docker && !probe.networks.contains(&desired.network) {
            drift("networks", "network", "missing", &desired.network);
        }
    }
    if !differences.is_empty() {
        plan.steps.push(Step {
            address: Address::HostBase,
            change: Change::Update { differences },
            action: converge(false),
            attributes,
            facts: record.facts.clone(),
        });
    }
}

/// Whether a step gives the machine its data volume (again): then the script must mount it, and format one that is blank.
pub(super) fn attaches_volume(step: &Step) -> bool {
    let in_place = ["size_gib", "tags"];
    step.address == Address::MachineVolume
        && match &step.change {
            Change::Create { .. } => true,
            Change::Update { differences } => !differences
                .iter()
                .all(|difference| in_place.contains(&difference.subject.as_str())),
            Change::Replace { .. } | Change::Delete { .. } => false,
        }
}
