//! What is done of a run, and what is not: its last line, and its summary for programs.

use std::collections::BTreeMap;

use crate::apply::event::Event;
use crate::names::Address;
use crate::plan::Outline;
use crate::progress::stream::{Change, Error, Outcome, Summary};

/// Counts along.
#[derive(Debug, Default)]
pub struct Tally {
    changes: BTreeMap<Change, usize>,
    refusals: Vec<String>,
    steps: Vec<Address>,
    /// How many of the steps are done: they are taken one behind the other.
    done: usize,
    begun: Option<Address>,
    /// Whether more is planned once these steps are done.
    unplanned: bool,
    /// What the environment's outputs are.
    pub outputs: BTreeMap<String, String>,
}

impl Tally {
    /// A plan was made.
    pub fn plan(&mut self, plan: &Outline) {
        for step in &plan.steps {
            *self.changes.entry(super::told::kind(&step.change)).or_default() += 1;
        }
        self.refusals.clone_from(&plan.refusals);
        self.unplanned = plan.look_again.is_some();
    }

    /// Something happened.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Started { steps } => self.steps.extend(steps.iter().map(|step| step.address.clone())),
            Event::StepStarted { address, .. } => self.begun = Some(address.clone()),
            Event::StepFinished { .. } => {
                self.begun = None;
                self.done += 1;
            }
            _ => {}
        }
    }

    fn taken(&self) -> &[Address] {
        self.steps.get(..self.done).unwrap_or(&self.steps)
    }

    /// The steps that did not begin.
    fn left(&self) -> &[Address] {
        self.steps
            .get(self.done + usize::from(self.begun.is_some())..)
            .unwrap_or_default()
    }

    /// Why it was refused.
    pub fn refused(&self) -> Error {
        Error {
            what: "refused".to_owned(),
            because: self.refusals.clone(),
            ..Error::default()
        }
    }

    /// `done: machine.key; not done: machine.instance (begun), host.base`: the last line of a run that ended early. None when
    /// no step was about to be taken.
    pub fn line(&self) -> Option<String> {
        if self.steps.is_empty() {
            return None;
        }
        let names = |addresses: &[Address]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
        let done = match self.taken() {
            [] => "nothing".to_owned(),
            taken => names(taken).join(", "),
        };
        let mut left: Vec<String> = self.begun.iter().map(|address| format!("{address} (begun)")).collect();
        left.extend(names(self.left()));
        if self.unplanned {
            left.push("what is planned once these are done".to_owned());
        }
        Some(match left.is_empty() {
            true => format!("done: {done}"),
            false => format!("done: {done}; not done: {}", left.join(", ")),
        })
    }

    /// The last line for programs.
    pub fn summary(&self, result: Outcome, exit_code: u8, error: Option<Error>, millis: u64) -> Summary {
        Summary {
            result,
            exit_code,
            changes: self.changes.clone(),
            done: self.taken().to_vec(),
            begun: self.begun.clone(),
            left: self.left().to_vec(),
            unplanned: self.unplanned,
            outputs: self.outputs.clone(),
            error,
            millis,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Ended, Lab, Run};
    use crate::plan::Allowed;

    fn tally(run: &Run) -> Tally {
        let mut tally = Tally::default();
        run.events.iter().for_each(|event| tally.event(event));
        tally
    }

    #[test]
    fn the_last_line_says_what_is_done_and_what_is_not() {
        let lab = Lab::demo();
        let mut run = Run::new();
        assert_eq!(tally(&run).line(), None, "nothing was about to be done");
        let first = run.plan(&lab);
        run.world.broken_at = Some(1);
        assert!(matches!(run.apply(&lab, Allowed::default()), Ended::Cut(_)));
        let mut broken = tally(&run);
        insta::assert_snapshot!(broken.line().unwrap(), @"done: nothing; not done: machine.instance (begun), host.identity, host.base, stack.postgres, stack.demo, edge.caddy");
        broken.plan(&(&first).into());
        let summary = broken.summary(Outcome::Failed, 1, None, 5);
        assert_eq!(summary.done.len() + 1 + summary.left.len(), first.steps.len());

        let mut run = Run::new();
        run.settle(&lab);
        insta::assert_snapshot!(tally(&run).line().unwrap(), @"done: machine.instance, host.identity, host.base, stack.postgres, stack.demo, edge.caddy");
    }

    #[test]
    fn what_waits_for_a_second_look_is_not_done_either() {
        let lab = Lab::demo();
        let mut run = Run::settled(&lab);
        run.world.machine.as_mut().unwrap().power = crate::provider::Power::Off;
        let mut tally = Tally::default();
        tally.plan(&(&run.plan(&lab)).into());
        run.world.broken_at = Some(1);
        assert!(matches!(run.apply(&lab, Allowed::default()), Ended::Cut(_)));
        run.events.iter().for_each(|event| tally.event(event));
        insta::assert_snapshot!(tally.line().unwrap(), @"done: nothing; not done: machine.instance (begun), what is planned once these are done");
    }
}
