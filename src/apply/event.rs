//! What happens during an apply, as values. Progress listens to them; nothing reads them back.

use serde::Serialize;

use crate::names::Address;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins: every step that will be taken, in order.
    Started {
        /// The steps' addresses and titles, as in the plan.
        steps: Vec<StepTitle>,
    },
    /// A step begins.
    StepStarted {
        /// Which.
        address: Address,
        /// What it does: "create", "deploy", …
        title: String,
    },
    /// A step waits for something.
    Waiting {
        /// Which.
        address: Address,
        /// What it waits for, in words that fit behind "waiting for …".
        reason: String,
    },
    /// A step transfers bytes.
    Bytes {
        /// Which.
        address: Address,
        /// Bytes so far.
        done: u64,
        /// Bytes in all, when known.
        total: Option<u64>,
    },
    /// A line of output of something that a step runs.
    Line {
        /// Which.
        address: Address,
        /// The line, without secrets.
        line: String,
    },
    /// Something the person should know; the step goes on.
    Warning {
        /// Which; none for the run as a whole.
        address: Option<Address>,
        /// What.
        message: String,
    },
    /// A step is done and recorded.
    StepFinished {
        /// Which.
        address: Address,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// A step failed; the run ends.
    StepFailed {
        /// Which.
        address: Address,
        /// Why, one line.
        message: String,
    },
    /// The run ends.
    Finished {
        /// Steps done and recorded.
        done: usize,
        /// Steps not taken.
        left: usize,
        /// How long the run took, in milliseconds.
        millis: u64,
    },
}

/// One line of the step list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepTitle {
    /// The address.
    pub address: Address,
    /// What the step does.
    pub title: String,
}
