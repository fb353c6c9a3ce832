//! Carries a plan out: write the intent to state, act, record the result, step by step. Makes no decisions.
//!
//! Killed at any instant, the next run finds in the state what was begun; every action is idempotent, so that it converges.

mod edge;
mod error;
pub mod event;
mod health;
mod host;
mod lease;
mod ledger;
mod life;
mod machine;
mod stacks;
mod stop;
#[cfg(test)]
mod tests;
mod world;

use std::time::Instant;

use jiff::Timestamp;

pub use error::{ActError, ApplyError};
pub use lease::{Barred, HostLease};
pub use ledger::{Keep, KeepError, Ledger};
pub use stop::{Stop, Stopping};
pub use world::{Reach, RealWorld, Removal};

use crate::names::Address;
use crate::note::Note;
use crate::plan::{Action, Change, Plan, Step, remember};
use crate::remote::probe::Probe;
use crate::state::State;
use event::{Event, StepTitle};

/// What a step found out: the provider's identifier and facts to record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The provider's identifier.
    pub id: Option<String>,
    /// What we were told. Added to what the step knew before.
    pub facts: std::collections::BTreeMap<String, String>,
    /// Attributes that could be worked out only now, in place of those of the plan.
    pub attributes: Option<std::collections::BTreeMap<String, String>>,
}

/// What steps act on: the real machine and host, or the one in memory that the tests break at will.
pub trait World {
    /// Carries one step out. Idempotent: called again after it was cut off anywhere, it ends the same.
    fn act(
        &mut self,
        step: &Step,
        ledger: &mut Ledger<'_>,
        say: crate::note::Say<'_>,
    ) -> impl Future<Output = Result<Outcome, ActError>> + Send;

    /// Looks at the host after the last step, so that a later plan knows what it was like. None where there is none.
    fn look(&mut self, say: crate::note::Say<'_>) -> impl Future<Output = Result<Option<Probe>, ActError>> + Send {
        let _ = say;
        async { Ok(None) }
    }
}

/// Takes every step of `plan`. `stop` tells when somebody wants an end: the step at work is then abandoned where it is, which
/// is safe, and the state says so; or brought to its end, and no other begins.
///
/// # Errors
/// The first step that fails, or a state that cannot be written; what was done until then is recorded.
pub async fn apply(
    plan: &Plan,
    state: &mut State,
    keep: &mut dyn Keep,
    world: &mut impl World,
    events: &(dyn Fn(Event) + Send + Sync),
    stop: &Stopping,
) -> Result<(), ApplyError> {
    let begun = Instant::now();
    events(Event::Started {
        steps: plan
            .steps
            .iter()
            .map(|step| StepTitle {
                address: step.address.clone(),
                title: title(step),
            })
            .collect(),
    });
    let mut done = 0;
    let mut result = Ok(());
    for (index, step) in plan.steps.iter().enumerate() {
        if let Some(by) = *stop.borrow() {
            result = Err(ApplyError::Interrupted { address: None, by });
            break;
        }
        let later = plan.steps.get(index + 1..).unwrap_or_default();
        result = take(step, later, state, keep, world, events, stop).await;
        if result.is_err() {
            break;
        }
        done += 1;
    }
    if result.is_ok() {
        result = look_back(plan, state, keep, world, events, stop).await;
    }
    events(Event::Finished {
        done,
        left: plan.steps.len() - done,
        millis: millis(begun),
    });
    result
}

/// Records what the deploys of this run have made of the host. A host that cannot be looked at keeps nobody from the end: what is
/// not known is no drift.
async fn look_back(
    plan: &Plan,
    state: &mut State,
    keep: &mut dyn Keep,
    world: &mut impl World,
    events: &(dyn Fn(Event) + Send + Sync),
    stop: &Stopping,
) -> Result<(), ApplyError> {
    let deploys = |step: &Step| matches!(step.action, Action::Deploy(_));
    let Some(last) = plan.steps.iter().rfind(|step| deploys(step)) else {
        return Ok(());
    };
    let say = |note: Note| events(event(&last.address, note));
    let mut stopping = stop.clone();
    let looked = tokio::select! {
        biased;
        looked = world.look(&say) => looked,
        // All steps are taken: what the host looks like, a later apply records.
        _ = stop::at_once(&mut stopping) => Ok(None),
    };
    match looked {
        Ok(Some(probe)) => {
            if remember(state, &probe) {
                keep.keep(state)?;
            }
        }
        Ok(None) => {}
        Err(error) => events(Event::Warning {
            address: None,
            message: format!("what the host looks like now could not be recorded: {error}"),
        }),
    }
    Ok(())
}

/// One step, with its beginning and its end told.
async fn take(
    step: &Step,
    later: &[Step],
    state: &mut State,
    keep: &mut dyn Keep,
    world: &mut impl World,
    events: &(dyn Fn(Event) + Send + Sync),
    stop: &Stopping,
) -> Result<(), ApplyError> {
    let address = step.address.clone();
    let begun = Instant::now();
    events(Event::StepStarted {
        address: address.clone(),
        title: title(step),
    });
    let result = work(step, later, state, keep, world, events, stop).await;
    events(match &result {
        Ok(()) => Event::StepFinished {
            address,
            millis: millis(begun),
        },
        Err(ApplyError::Step { why, .. }) => Event::StepFailed {
            address,
            message: why.to_string(),
        },
        Err(ApplyError::Interrupted { by, .. }) => Event::StepFailed {
            address,
            message: by.to_string(),
        },
        Err(error @ ApplyError::Keep(_)) => Event::StepFailed {
            address,
            message: error.to_string(),
        },
    });
    result
}

/// Intent, act, record.
async fn work(
    step: &Step,
    later: &[Step],
    state: &mut State,
    keep: &mut dyn Keep,
    world: &mut impl World,
    events: &(dyn Fn(Event) + Send + Sync),
    stop: &Stopping,
) -> Result<(), ApplyError> {
    let address = &step.address;
    if step.action == Action::GoesWithMachine {
        return Ok(());
    }
    intend(step, state);
    if *address == Address::MachineVolume
        || matches!(
            step.action,
            Action::CreateInstance { .. } | Action::ReplaceInstance { .. }
        )
    {
        // What is recorded of the host is about to be true of another machine or disk: a run that is cut off in between must
        // not take it for what is on the new one.
        for step in later {
            if state.record(&step.address).is_some() {
                intend(step, state);
            }
        }
    }
    keep.keep(state)?;

    let mut ledger = Ledger::new(state, keep, address);
    let say = |note: Note| events(event(address, note));
    let mut stop = stop.clone();
    let acted = tokio::select! {
        biased;
        acted = world.act(step, &mut ledger, &say) => acted,
        by = stop::at_once(&mut stop) => return Err(ApplyError::Interrupted { address: Some(address.clone()), by }),
    };
    let outcome = acted.map_err(|why| ApplyError::Step {
        address: address.clone(),
        why: Box::new(why),
    })?;
    match step.change {
        Change::Delete { .. } => {
            state.remove(address);
            // What was done to the data is known for as long as there is data.
            let machine = [Address::MachineInstance, Address::MachineVolume];
            if machine.contains(address) && !machine.iter().any(|address| state.resources.contains_key(address)) {
                state.resources.retain(|address, _| address.layer() == "machine");
            }
        }
        Change::Create { .. } | Change::Update { .. } | Change::Replace { .. } => {
            let before = state.record(address);
            let id = outcome.id.or_else(|| before.and_then(|record| record.id.clone()));
            let mut facts = before.map(|record| record.facts.clone()).unwrap_or_default();
            facts.extend(outcome.facts);
            let attributes = outcome.attributes.unwrap_or_else(|| step.attributes.clone());
            state.present(address, id, attributes, facts, Timestamp::now());
        }
    }
    keep.keep(state)?;
    Ok(())
}

/// Records that a step begins.
fn intend(step: &Step, state: &mut State) {
    match step.change {
        Change::Delete { .. } => state.removing(&step.address, Timestamp::now()),
        Change::Create { .. } | Change::Update { .. } | Change::Replace { .. } => {
            state.intend(&step.address, step.attributes.clone(), Timestamp::now());
            if let Some(record) = state.resources.get_mut(&step.address) {
                record.facts.clone_from(&step.facts);
            }
        }
    }
}

fn event(address: &crate::names::Address, note: Note) -> Event {
    let address = address.clone();
    match note {
        Note::Waiting(reason) => Event::Waiting { address, reason },
        Note::Bytes { done, total } => Event::Bytes { address, done, total },
        Note::Line(line) => Event::Line { address, line },
        Note::Warning(message) => Event::Warning {
            address: Some(address),
            message,
        },
    }
}

fn title(step: &Step) -> String {
    match (&step.action, &step.change) {
        (Action::StartInstance, _) => "start",
        (Action::RotateHostKey, _) => "first contact, new host key",
        (Action::PinHostKey { .. }, _) => "pin its host key",
        (Action::CreateInstance { spec, .. }, Change::Create { .. }) if spec.existing().is_some() => "take into use",
        (Action::DestroyInstance { .. }, _) if step.attributes.get("provider").is_some_and(|name| name == "ssh") => {
            "leave"
        }
        (Action::SetEnd { .. }, Change::Delete { .. }) => "no end",
        (Action::SetEnd { .. }, _) => "set its end",
        // What a host that was there before is told has more to it than the script, and it has had its first boot.
        (Action::Converge { .. }, Change::Create { shown }) if shown.len() == 1 => "first boot",
        (Action::Converge { .. }, _) => "converge",
        (Action::Deploy(_), Change::Create { .. }) => "deploy",
        (Action::GoesWithMachine | Action::Forget, _) => "goes with the machine",
        (Action::KeepPart, _) => "stays",
        (_, Change::Create { .. }) => "create",
        (_, Change::Update { .. }) => "update",
        (_, Change::Replace { .. }) => "replace",
        (_, Change::Delete { .. }) => "remove",
    }
    .to_owned()
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
