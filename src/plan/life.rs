//! When the machine takes itself down: marked at its provider, and set as a timer on the host.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::machine::Host;
use super::{Action, Change, Difference, Origin, Plan, Step};
use crate::desired::Desired;
use crate::names::{Address, shown_seconds};
use crate::observe::Observed;
use crate::provider::{EXPIRES, GONE, InstanceSpec, POWEROFF};
use crate::state::{Life, State, Status};

/// How long it lives, as it is written.
const TTL: &str = "ttl";

/// When it ends.
const ENDS: &str = "ends";

/// What the state records of an end.
pub fn end_attributes(life: Life) -> BTreeMap<String, String> {
    BTreeMap::from([
        (TTL.to_owned(), shown_seconds(life.ttl_seconds)),
        (ENDS.to_owned(), life.ends.to_string()),
    ])
}

/// Plans the end.
pub fn plan(desired: &Desired, state: &State, observed: &Observed, host: Host, plan: &mut Plan) {
    let spec = &desired.instance.spec;
    let record = state.record(&Address::Ttl);
    let step = |change, attributes| Step {
        address: Address::Ttl,
        change,
        action: Action::SetEnd { spec: spec.clone() },
        attributes,
        facts: BTreeMap::new(),
    };
    let Some(seconds) = spec.ttl_seconds else {
        if let Some(record) = record {
            let ended = record.attributes.get(ENDS).cloned().unwrap_or_default();
            let change = Change::Delete {
                shown: vec![("end".into(), format!("{ended}; it has none any more"))],
            };
            plan.steps.push(step(change, record.attributes.clone()));
        }
        return;
    };
    // When it ends is known once it is applied: a plan does not look at the clock.
    let life = state.life.filter(|life| life.ttl_seconds == seconds);
    let wanted = match life {
        Some(life) => end_attributes(life),
        None => {
            let ttl = shown_seconds(seconds);
            let ends = format!("{ttl} after it is applied");
            BTreeMap::from([(TTL.to_owned(), ttl), (ENDS.to_owned(), ends)])
        }
    };
    let settled = record.filter(|record| host == Host::Stays && record.status == Status::Present);
    let Some(record) = settled else {
        plan.notes.extend(spec.after_its_end().map(str::to_owned));
        let shown = wanted.iter().map(|(name, value)| (name.clone(), value.clone()));
        let change = Change::Create { shown: shown.collect() };
        plan.steps.push(step(change, wanted));
        return;
    };
    let mut differences: Vec<Difference> = [TTL, ENDS]
        .into_iter()
        .filter(|name| record.attributes.get(*name) != wanted.get(*name))
        .map(|name| Difference {
            subject: name.to_owned(),
            old: record.attributes.get(name).cloned(),
            new: wanted.get(name).cloned(),
            origin: Origin::Files,
        })
        .collect();
    if let (Some(life), true) = (life, differences.is_empty()) {
        differences = drift(life, observed);
    }
    if !differences.is_empty() {
        plan.steps.push(step(Change::Update { differences }, wanted));
    }
}

/// What somebody did to it.
fn drift(life: Life, observed: &Observed) -> Vec<Difference> {
    let ends = life.ends.to_string();
    let told = |name| observed.instance.as_ref()?.attributes.get(name).cloned();
    let mut seen = vec![
        ("end at the provider", told(EXPIRES), ends.clone()),
        ("when it turns itself off", told(POWEROFF), GONE.to_owned()),
    ];
    if let Some(probe) = observed.host.probe() {
        let timer = probe.expires.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let timer = timer.map_or_else(|| "none".to_owned(), |time| time.to_string());
        seen.push(("timer on the host", Some(timer), ends));
    }
    seen.into_iter()
        .filter_map(|(subject, is, wanted)| {
            let is = is.filter(|is| *is != wanted)?;
            Some(Difference {
                subject: subject.to_owned(),
                old: Some(is),
                new: Some(wanted),
                origin: Origin::Outside,
            })
        })
        .collect()
}

/// Plans another end of a machine that is there, and nothing else.
pub fn plan_end(state: &State, spec: &InstanceSpec, life: Life) -> Plan {
    let wanted = end_attributes(life);
    let old = state
        .record(&Address::Ttl)
        .and_then(|record| record.attributes.get(ENDS));
    let change = Change::Update {
        differences: vec![Difference {
            subject: ENDS.to_owned(),
            old: old.cloned(),
            new: wanted.get(ENDS).cloned(),
            origin: Origin::Files,
        }],
    };
    Plan {
        environment: state.environment.clone(),
        lineage: state.lineage.clone(),
        serial: state.serial,
        steps: vec![Step {
            address: Address::Ttl,
            change,
            action: Action::SetEnd { spec: spec.clone() },
            attributes: wanted,
            facts: BTreeMap::new(),
        }],
        notes: Vec::new(),
        refusals: Vec::new(),
        look_again: None,
        drift: Vec::new(),
    }
}

/// Whether the last end that was settled has been brought about.
pub fn end_is_set(state: &State, life: Life) -> bool {
    state
        .record(&Address::Ttl)
        .is_some_and(|record| record.status == Status::Present && record.attributes == end_attributes(life))
}
