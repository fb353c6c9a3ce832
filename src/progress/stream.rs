//! The lines that programs read: `--json`. A shape of its own, so that what happens inside can change and the lines do not.
//!
//! Within one version lines and fields may be added; none is renamed, removed or given another meaning.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::apply::event::Event;
use crate::names::{Address, EnvironmentName};

/// The version of the lines.
pub const VERSION: u32 = 1;

/// One line of `--json`: when it happened, and what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(title = "provision events, one a line")]
pub struct Line {
    /// When, in UTC, to the millisecond.
    #[serde(serialize_with = "millisecond")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub told: Told,
}

/// What one line tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Told {
    /// Always the first line.
    Version {
        /// Of the lines that follow.
        version: u32,
        /// Name and version of the program.
        tool: String,
        /// What was asked for: `plan`, `apply`, `destroy`.
        command: String,
        /// Of which environment; none when what was typed names none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        environment: Option<EnvironmentName>,
    },
    /// What changed outside since the last apply, before the steps.
    Drift {
        /// What it is about.
        #[schemars(with = "String")]
        address: Address,
        /// From what was recorded to what there is.
        differences: Vec<Difference>,
        /// Whether a step sees to it. Else an apply takes it into the state as it is.
        repaired: bool,
    },
    /// A step of the plan, as `plan` shows it. An apply that gives power to a machine looks and plans again: its later steps
    /// come behind those that were taken.
    Planned {
        /// What it is about.
        #[schemars(with = "String")]
        address: Address,
        /// What will be done.
        change: Change,
        /// Why it cannot be changed in place, and what happens to the data. Only of a replacement.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        because: Option<String>,
        /// Attributes worth showing, of what is created or deleted, in the order in which a person reads them. A name may come
        /// twice.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shown: Vec<Attribute>,
        /// What differs, of what is updated or replaced.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        differences: Vec<Difference>,
    },
    /// Worth knowing although nothing will be done about it.
    Note {
        /// What.
        message: String,
    },
    /// Why the plan is not carried out; one line a reason.
    Refused {
        /// Why.
        reason: String,
    },
    /// Steps are about to be taken, in this order.
    Started {
        /// Which.
        steps: Vec<StepTitle>,
    },
    /// A step begins.
    StepStarted {
        /// Which.
        #[schemars(with = "String")]
        address: Address,
        /// What it does: `create`, `deploy`, …
        title: String,
    },
    /// Something is waited for. The same reason may come again while it lasts.
    Waiting {
        /// By which step; none while it is looked what there is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        address: Option<Address>,
        /// In words that fit behind "waiting for …".
        reason: String,
    },
    /// A step transfers bytes.
    Bytes {
        /// Which.
        #[schemars(with = "String")]
        address: Address,
        /// Bytes so far.
        done: u64,
        /// Bytes in all, when known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
    },
    /// A line of output of something that a step runs.
    Line {
        /// Which.
        #[schemars(with = "String")]
        address: Address,
        /// The line, without secrets.
        line: String,
    },
    /// Something a person should know; the run goes on.
    Warning {
        /// Of which step; none for the run as a whole.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        address: Option<Address>,
        /// What.
        message: String,
    },
    /// A step is done and recorded.
    StepFinished {
        /// Which.
        #[schemars(with = "String")]
        address: Address,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// A step did not come to its end; no other begins.
    StepFailed {
        /// Which.
        #[schemars(with = "String")]
        address: Address,
        /// Why, one line. The whole story is in the summary.
        message: String,
    },
    /// The steps that were started are over.
    Finished {
        /// How many are done and recorded.
        done: usize,
        /// How many are not.
        left: usize,
        /// How long they took, in milliseconds.
        millis: u64,
    },
    /// Always the last line, however the command ended.
    Summary(Box<Summary>),
}

/// One step that is about to be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepTitle {
    /// The address.
    #[schemars(with = "String")]
    pub address: Address,
    /// What the step does.
    pub title: String,
}

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is made.
    Create,
    /// It is changed where it is.
    Update,
    /// It is removed and made anew.
    Replace,
    /// It is removed.
    Delete,
}

/// One difference between what is and what shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// What differs: an attribute, a file, a container.
    pub subject: String,
    /// What is; absent when there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// What shall be; absent when it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
    /// Who made it differ.
    pub origin: Origin,
}

/// Who made something differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The environment's files changed.
    Files,
    /// Something outside changed: drift.
    Outside,
}

/// An attribute worth showing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// How the command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// In one word.
    pub result: Outcome,
    /// The process's exit code.
    pub exit_code: u8,
    /// How many steps of each kind were planned.
    pub changes: BTreeMap<Change, usize>,
    /// The steps that are done and recorded, in order.
    #[schemars(with = "Vec<String>")]
    pub done: Vec<Address>,
    /// The step that began and did not come to its end: the next run goes on with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub begun: Option<Address>,
    /// The steps that did not begin.
    #[schemars(with = "Vec<String>")]
    pub left: Vec<Address>,
    /// Whether more would have been planned once these steps are done: a machine without power is looked at when it runs.
    pub unplanned: bool,
    /// What `provision output` prints.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// How long all of it took, in milliseconds.
    pub millis: u64,
}

/// How a command ended, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As asked; also when there was nothing to do.
    Done,
    /// A plan has steps, and `--detailed-exitcode` asked to be told so (exit code 2).
    Pending,
    /// Something failed (1).
    Failed,
    /// The person said no (1).
    Declined,
    /// Something that was typed or written is wrong (3).
    BadInput,
    /// Another run works on the environment (4).
    Locked,
    /// Protection, or data that would be lost (5).
    Refused,
    /// A saved plan would be another one now (5).
    Stale,
    /// A signal ended it early (130).
    Interrupted,
}

/// What went wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Error {
    /// What.
    pub what: String,
    /// Why, the nearest cause first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What a person needs to see of it: states, last log lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// Mistakes in what was written, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// One mistake in what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// Where: `file:line:column`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Line {
    /// Something that happens now.
    pub fn now(told: Told) -> Self {
        Self {
            at: Timestamp::now(),
            told,
        }
    }
}

/// Always as long, so that lines stand below each other and sort as texts.
fn millisecond<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))
}

impl From<&Event> for Told {
    fn from(event: &Event) -> Self {
        match event.clone() {
            Event::Started { steps } => Self::Started {
                steps: steps
                    .into_iter()
                    .map(|step| StepTitle {
                        address: step.address,
                        title: step.title,
                    })
                    .collect(),
            },
            Event::StepStarted { address, title } => Self::StepStarted { address, title },
            Event::Waiting { address, reason } => Self::Waiting {
                address: Some(address),
                reason,
            },
            Event::Bytes { address, done, total } => Self::Bytes { address, done, total },
            Event::Line { address, line } => Self::Line { address, line },
            Event::Warning { address, message } => Self::Warning { address, message },
            Event::StepFinished { address, millis } => Self::StepFinished { address, millis },
            Event::StepFailed { address, message } => Self::StepFailed { address, message },
            Event::Finished { done, left, millis } => Self::Finished { done, left, millis },
        }
    }
}

/// The schema of a line, with the descriptions of this module.
pub fn schema() -> serde_json::Value {
    schemars::generate::SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Line>()
        .to_value()
}
