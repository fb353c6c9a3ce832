//! What is told during a run, and what an interrupt leaves.

use std::sync::Mutex;

use tokio::sync::watch;

use crate::apply::event::Event;
use crate::apply::{ActError, ApplyError, Keep, KeepError, Ledger, Outcome, Stop, World, apply};
use crate::fixture::{Ended, Lab, Run, Write, block_on};
use crate::note::Say;
use crate::plan::{Allowed, Step};
use crate::state::{State, Status};

/// Every started step ends once, before the next begins, and the last event counts them.
fn in_order(events: &[Event]) {
    let (Some(Event::Started { steps }), Some(Event::Finished { done, left, .. })) = (events.first(), events.last())
    else {
        panic!("{events:?}");
    };
    let mut titles = steps.iter();
    let mut open = None;
    let mut finished = 0;
    for event in &events[1..events.len() - 1] {
        match event {
            Event::StepStarted { address, title } => {
                assert_eq!(open.replace(address), None, "two steps at once");
                let next = titles.next().unwrap();
                assert_eq!((&next.address, &next.title), (address, title));
            }
            Event::StepFinished { address, .. } => {
                assert_eq!(open.take(), Some(address));
                finished += 1;
            }
            Event::StepFailed { address, .. } => assert_eq!(open.take(), Some(address)),
            Event::Line { address, .. } => assert_eq!(open, Some(address)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(open, None, "a step without an end");
    assert_eq!((*done, *left), (finished, steps.len() - finished));
}

#[test]
fn every_step_that_begins_is_told_to_end() {
    let lab = Lab::demo();
    let mut run = Run::new();
    run.settle(&lab);
    in_order(&run.events);
    for point in 1..=run.world.points {
        let mut run = Run::new();
        run.world.broken_at = Some(point);
        assert!(matches!(run.apply(&lab, Allowed::default()), Ended::Cut(_)));
        in_order(&run.events);
    }
    for write in 1..=run.writes {
        let mut run = Run::new();
        run.write = Write::Not(write);
        assert!(matches!(run.apply(&lab, Allowed::default()), Ended::Cut(_)));
        in_order(&run.events);
    }
}

/// A world in which a person presses Ctrl-C while it works.
struct Interrupted(watch::Sender<Option<Stop>>);

impl World for Interrupted {
    async fn act(&mut self, _: &Step, _: &mut Ledger<'_>, _: Say<'_>) -> Result<Outcome, ActError> {
        self.0.send(Some(Stop::Terminate)).unwrap();
        std::future::pending().await
    }
}

/// Remembers what was written.
#[derive(Default)]
struct Memory(Vec<State>);

impl Keep for Memory {
    fn keep(&mut self, state: &mut State) -> Result<(), KeepError> {
        self.0.push(state.clone());
        Ok(())
    }
}

#[test]
fn an_interrupt_in_the_middle_of_a_step_leaves_its_intent() {
    let lab = Lab::demo();
    let run = Run::new();
    let plan = run.plan(&lab);
    let (sender, stop) = watch::channel(None);
    let (mut state, mut memory) = (run.state.clone(), Memory::default());
    let events = Mutex::new(Vec::new());
    let on_event = |event| events.lock().unwrap().push(event);
    let mut world = Interrupted(sender);
    let ended = block_on(apply(&plan, &mut state, &mut memory, &mut world, &on_event, &stop));
    let address = &plan.steps[0].address;
    assert!(matches!(ended, Err(ApplyError::Interrupted { address: Some(at), by: Stop::Terminate }) if at == *address));
    assert_eq!(memory.0.len(), 1);
    assert_eq!(memory.0[0].record(address).unwrap().status, Status::Intended);
    in_order(&events.into_inner().unwrap());
}

#[test]
fn an_interrupt_between_steps_begins_no_other() {
    let lab = Lab::demo();
    let mut run = Run::new();
    let plan = run.plan(&lab);
    let (sender, stop) = watch::channel(Some(Stop::HangUp));
    let (mut state, mut memory) = (run.state.clone(), Memory::default());
    let ended = block_on(apply(&plan, &mut state, &mut memory, &mut run.world, &|_| {}, &stop));
    assert!(matches!(
        ended,
        Err(ApplyError::Interrupted {
            address: None,
            by: Stop::HangUp
        })
    ));
    assert!(memory.0.is_empty() && run.world.machine.is_none());
    drop(sender);
}

/// A world whose events nobody reads from its first step on.
struct Unheard(watch::Sender<Option<Stop>>);

impl World for Unheard {
    async fn act(&mut self, _: &Step, _: &mut Ledger<'_>, _: Say<'_>) -> Result<Outcome, ActError> {
        self.0.send(Some(Stop::Unheard)).unwrap();
        tokio::task::yield_now().await;
        Ok(Outcome::default())
    }
}

#[test]
fn a_run_that_nobody_hears_ends_behind_the_step_at_work() {
    let lab = Lab::demo();
    let run = Run::new();
    let plan = run.plan(&lab);
    let (sender, stop) = watch::channel(None);
    let (mut state, mut memory) = (run.state.clone(), Memory::default());
    let mut world = Unheard(sender);
    let ended = block_on(apply(&plan, &mut state, &mut memory, &mut world, &|_| {}, &stop));
    assert!(matches!(
        ended,
        Err(ApplyError::Interrupted {
            address: None,
            by: Stop::Unheard
        })
    ));
    let address = &plan.steps[0].address;
    assert_eq!(
        memory.0.last().unwrap().record(address).unwrap().status,
        Status::Present
    );
    assert_eq!(memory.0.len(), 2, "one step, begun and done");
}
