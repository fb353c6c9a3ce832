//! `plan()`: what must be done so that what is becomes what shall be. Synchronous and pure: no client, clock, randomness or
//! environment variable.

mod destroy;
mod display;
pub mod drift;
mod existing;
mod host;
mod life;
mod machine;
mod model;
mod outline;
mod scope;
mod secrets;
mod seen;
mod stacks;
#[cfg(test)]
mod tests;

pub use destroy::{is_existing, plan_destroy};
pub use display::{DiffLine, WIDEST, diff_lines, render_drift, render_outline, render_plan};
pub use drift::{Drift, accept, remember, settle};
pub use life::{end_attributes, end_is_set, plan_end};
pub use model::{Action, Change, Difference, Origin, Plan, Refusal, Release, Step};
pub use outline::{Outline, OutlineStep, Summary};
pub use scope::{Options, Unknown};
pub use secrets::restarts;
pub use seen::base as seen_of_base;
pub use stacks::{RELEASE, STACKS, attributes, job_fact, once_fact};

use crate::desired::Desired;
use crate::names::Address;
use crate::observe::{Host, Observed};
use crate::state::{State, Status};

/// What the person allows beyond the ordinary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Replacing a machine whose data lives on its root disk.
    pub data_loss: bool,
}

/// Plans all of it. An environment that is as it shall be gives no steps.
pub fn plan(desired: &Desired, state: &State, observed: &Observed, allowed: Allowed) -> Plan {
    let options = Options {
        allowed,
        ..Options::default()
    };
    plan_with(desired, state, observed, &options)
}

/// Plans what was asked for: all of it, or a part; what is as it shall be is made anew when that was asked for.
pub fn plan_with(desired: &Desired, state: &State, observed: &Observed, options: &Options) -> Plan {
    let mut plan = whole(desired, state, observed, options);
    scope::narrow(&mut plan, desired, state, options);
    plan
}

fn whole(desired: &Desired, state: &State, observed: &Observed, options: &Options) -> Plan {
    let mut plan = Plan {
        environment: desired.environment.clone(),
        lineage: state.lineage.clone(),
        serial: state.serial,
        drift: drift::drift(state, observed),
        steps: Vec::new(),
        notes: Vec::new(),
        refusals: Vec::new(),
        look_again: None,
    };
    layers(desired, state, observed, options, &mut plan);
    let touched = |address: &Address| matches!(address, Address::Stack(_) | Address::MachineInstance);
    if plan.steps.iter().any(|step| touched(&step.address)) {
        plan.notes.extend(desired.memory.note());
    }
    for drift in &mut plan.drift {
        let touched = plan.steps.iter().any(|step| step.address == drift.address);
        drift.repaired = touched || plan.look_again.is_some();
    }
    plan
}

/// Plans layer by layer, as far as is known what there is.
fn layers(desired: &Desired, state: &State, observed: &Observed, options: &Options, plan: &mut Plan) {
    let host = machine::plan(desired, state, observed, options, plan);
    if host == machine::Host::Moves {
        return;
    }
    if host == machine::Host::Stays && observed.host == Host::Off {
        // What is on the host is not known while it has no power; after the start it is.
        plan.look_again = Some("the machine has no power; the host is looked at once it runs");
        return;
    }
    host::plan(desired, state, observed, host, plan);
    let settled = |address| {
        state
            .record(&address)
            .is_some_and(|record| record.status == Status::Present)
    };
    let silent = observed.host.probe().is_some_and(|probe| !probe.base.docker);
    if host == machine::Host::Stays && silent && settled(Address::HostBase) {
        // Nothing is known of containers and images, which is not to say that there are none.
        plan.look_again = Some("Docker does not answer; the stacks are looked at once it does");
        return;
    }
    stacks::plan(desired, state, observed, options, host, plan);
}
