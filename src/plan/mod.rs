//! `plan()`: what must be done so that what is becomes what shall be. Synchronous and pure: no client, clock, randomness or
//! environment variable.

mod destroy;
mod display;
mod host;
mod machine;
mod model;
mod secrets;
mod stacks;
#[cfg(test)]
mod tests;

pub use destroy::plan_destroy;
pub use display::render_plan;
pub use host::base_digests;
pub use model::{Action, Change, Difference, Origin, Plan, Release, Step};
pub use secrets::restarts;
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

/// Plans. An environment that is as it shall be gives no steps.
pub fn plan(desired: &Desired, state: &State, observed: &Observed, allowed: Allowed) -> Plan {
    let mut plan = Plan {
        environment: desired.environment.clone(),
        lineage: state.lineage.clone(),
        serial: state.serial,
        steps: Vec::new(),
        notes: Vec::new(),
        refusals: Vec::new(),
        look_again: None,
    };
    let host = machine::plan(desired, state, observed, allowed, &mut plan);
    if host == machine::Host::Moves {
        return plan;
    }
    if host == machine::Host::Stays && observed.host == Host::Off {
        // What is on the host is not known while it has no power; after the start it is.
        plan.look_again = Some("the machine has no power; the host is looked at once it runs");
        return plan;
    }
    host::plan(desired, state, observed, host, &mut plan);
    let settled = |address| {
        state
            .record(&address)
            .is_some_and(|record| record.status == Status::Present)
    };
    let silent = observed.host.probe().is_some_and(|probe| !probe.base.docker);
    if host == machine::Host::Stays && silent && settled(Address::HostBase) {
        // Nothing is known of containers and images, which is not to say that there are none.
        plan.look_again = Some("Docker does not answer; the stacks are looked at once it does");
        return plan;
    }
    stacks::plan(desired, state, observed, host, &mut plan);
    plan
}
