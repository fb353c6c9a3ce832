//! A part of the plan (`--target`), and what is made anew although it is as it shall be (`--replace`).

use std::collections::BTreeSet;

use thiserror::Error;

use super::{Action, Allowed, Plan, Step, host};
use crate::desired::{Desired, DesiredStack};
use crate::names::Address;
use crate::state::State;

/// What the person asks of a plan beyond the ordinary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// What else is allowed.
    pub allowed: Allowed,
    /// Only these and what they need; everything without.
    pub targets: BTreeSet<Address>,
    /// These are made anew.
    pub replace: BTreeSet<Address>,
}

/// An address that an option names and that it cannot be used for.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Unknown {
    /// Nothing of this environment has it.
    #[error("--{option} {address}: there is no such thing in this environment")]
    Address {
        /// `target` or `replace`.
        option: &'static str,
        /// What was typed.
        address: Address,
        /// What there is.
        known: Vec<Address>,
    },
    /// It is there and is not made anew by itself.
    #[error("--replace {address}: only machine.instance, a stack and edge.caddy can be made anew on request")]
    Irreplaceable {
        /// What was typed.
        address: Address,
    },
}

impl Options {
    /// Looks that every address means something here.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self, desired: &Desired, state: &State) -> Result<(), Unknown> {
        let written = written(desired);
        let known: BTreeSet<&Address> = written.iter().chain(state.resources.keys()).collect();
        let unknown = |option, address: &Address, known: Vec<Address>| Unknown::Address {
            option,
            address: address.clone(),
            known,
        };
        if let Some(address) = self.targets.iter().find(|address| !known.contains(address)) {
            return Err(unknown("target", address, known.into_iter().cloned().collect()));
        }
        let renewable =
            |address: &Address| matches!(address, Address::MachineInstance | Address::Stack(_) | Address::Edge);
        for address in &self.replace {
            if !renewable(address) {
                return Err(Unknown::Irreplaceable {
                    address: address.clone(),
                });
            }
            if !written.contains(address) {
                let known = written.iter().filter(|address| renewable(address));
                return Err(unknown("replace", address, known.cloned().collect()));
            }
        }
        Ok(())
    }

    /// What is left to ask for once the steps of `plan` are done: nothing is made anew twice.
    #[must_use]
    pub fn after(mut self, plan: &Plan) -> Self {
        self.replace
            .retain(|address| !plan.steps.iter().any(|step| step.address == *address));
        self
    }
}

/// Every address that the files ask for.
fn written(desired: &Desired) -> BTreeSet<Address> {
    let layers = [Address::MachineInstance, Address::HostIdentity, Address::HostBase];
    let stacks = desired.stacks.iter().map(|stack| Address::Stack(stack.name.clone()));
    let edge = desired.edge.iter().map(|_| Address::Edge);
    let end = desired.instance.spec.ttl_seconds.map(|_| Address::Ttl);
    let parts = desired.instance.spec.parts().into_keys();
    layers
        .into_iter()
        .chain(parts)
        .chain(end)
        .chain(stacks)
        .chain(edge)
        .collect()
}

/// Leaves the targets in the plan, what they need, and what stands on a machine that one of these steps makes anew.
pub(super) fn narrow(plan: &mut Plan, desired: &Desired, state: &State, options: &Options) {
    if options.targets.is_empty() {
        return;
    }
    let asked: BTreeSet<Address> = options.targets.union(&options.replace).cloned().collect();
    let mut wanted = with_needs(asked.clone(), plan, desired);
    if let Some(first) = plan
        .steps
        .iter()
        .position(|step| wanted.contains(&step.address) && renews(step))
    {
        // What is recorded of it is true of the machine before: the executor must see these steps, too.
        let on_it = plan.steps.iter().skip(first).map(|step| &step.address);
        wanted.extend(on_it.filter(|address| state.record(address).is_some()).cloned());
        wanted = with_needs(wanted, plan, desired);
    }

    let (steps, left): (Vec<Step>, Vec<Step>) = std::mem::take(&mut plan.steps)
        .into_iter()
        .partition(|step| wanted.contains(&step.address));
    plan.steps = steps;
    plan.refusals
        .retain(|refusal| refusal.address.as_ref().is_none_or(|address| wanted.contains(address)));
    let beyond = |address: &Address| address.layer() != "machine" || matches!(address, Address::Dns(_));
    if !(wanted.iter().any(beyond) && plan.steps.iter().any(changes_sight)) {
        plan.look_again = None;
    }
    let list = |addresses: &mut dyn Iterator<Item = &Address>| {
        let words: Vec<String> = addresses.map(ToString::to_string).collect();
        words.join(", ")
    };
    let with = list(
        &mut plan
            .steps
            .iter()
            .map(|step| &step.address)
            .filter(|a| !asked.contains(*a)),
    );
    let only = list(&mut asked.iter());
    plan.notes.push(match with.as_str() {
        "" => format!("only {only}, as asked for with --target"),
        with => format!("only {only}, as asked for with --target, and what goes with it: {with}"),
    });
    if !left.is_empty() {
        plan.notes.push(format!(
            "not planned now, so the environment will not be all as it shall be: {}; plan again without --target",
            list(&mut left.iter().map(|step| &step.address))
        ));
    }
}

/// Some addresses with everything that they need, which is below them.
fn with_needs(mut wanted: BTreeSet<Address>, plan: &Plan, desired: &Desired) -> BTreeSet<Address> {
    let mut open: Vec<Address> = wanted.iter().cloned().collect();
    while let Some(address) = open.pop() {
        for need in needs(&address, plan, desired) {
            if wanted.insert(need.clone()) {
                open.push(need);
            }
        }
    }
    wanted
}

fn needs(address: &Address, plan: &Plan, desired: &Desired) -> Vec<Address> {
    let of_stack = |stack: &DesiredStack| stack.needs.iter().cloned().map(Address::Stack).collect::<Vec<_>>();
    match address {
        Address::MachineKey | Address::MachineFirewall => Vec::new(),
        Address::MachineInstance => vec![Address::MachineKey, Address::MachineFirewall],
        Address::MachineVolume | Address::MachineAddress => vec![Address::MachineInstance],
        Address::Dns(_) => vec![Address::MachineInstance, Address::MachineAddress],
        Address::HostIdentity => vec![
            Address::MachineInstance,
            Address::MachineVolume,
            Address::MachineAddress,
        ],
        Address::Ttl => vec![Address::HostIdentity],
        Address::HostBase => vec![Address::HostIdentity, Address::Ttl],
        Address::Stack(name) => {
            let stack = desired.stacks.iter().find(|stack| stack.name == *name);
            let stacks = stack.map(of_stack).unwrap_or_default();
            [Address::HostBase].into_iter().chain(stacks).collect()
        }
        Address::Edge => {
            // Certificates are given for names that lead here.
            let names = plan.steps.iter().map(|step| step.address.clone());
            let names = names.filter(|address| matches!(address, Address::Dns(_)));
            let stacks = desired.edge.iter().flat_map(|edge| of_stack(&edge.stack));
            [Address::HostBase].into_iter().chain(names).chain(stacks).collect()
        }
    }
}

/// Whether another machine or another disk is there after a step.
fn renews(step: &Step) -> bool {
    matches!(
        step.action,
        Action::CreateInstance { .. } | Action::ReplaceInstance { .. }
    ) || host::attaches_volume(step)
}

/// Whether more can be seen after a step than before it.
fn changes_sight(step: &Step) -> bool {
    matches!(
        step.address,
        Address::MachineInstance | Address::MachineAddress | Address::MachineVolume | Address::HostBase
    )
}
