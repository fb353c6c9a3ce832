//! What is kept of every apply and destroy: who, when, which steps, how long each took and what it waited for.
//!
//! A record is begun before the first step and written again behind every step, so that a run that was killed is seen as one
//! that did not end. It is told by the events of the run and knows nothing else; it holds no secret, as they do not.

pub mod recorder;
pub mod table;
pub mod timeline;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use recorder::Recorder;

use crate::names::{Address, EnvironmentName};
use crate::progress::stream::{Error, Outcome};

/// The version of the shape.
pub const VERSION: u32 = 1;

/// The folder beside the state.
pub const FOLDER: &str = "history";

/// As many records are kept.
pub const KEPT: usize = 50;

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Of the shape.
    pub version: u32,
    /// Counts the runs of this life of the environment, from 1.
    pub number: u64,
    /// `apply`, `destroy`.
    pub command: String,
    /// Of which environment.
    pub environment: EnvironmentName,
    /// `user@host`.
    pub who: String,
    /// Name and version of the program.
    pub tool: String,
    /// When it began.
    pub begun: Timestamp,
    /// When it ended; none while it runs, and for ever when it was killed.
    pub ended: Option<Timestamp>,
    /// How it ended.
    pub result: Option<Outcome>,
    /// The steps that were planned, in order.
    pub steps: Vec<Step>,
    /// What was worth a warning.
    pub warnings: Vec<Warning>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// One step. Times are milliseconds from the beginning of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The address.
    pub address: Address,
    /// What it does.
    pub title: String,
    /// When it began; none when it did not.
    pub begun: Option<u64>,
    /// When it ended; none when it did not.
    pub ended: Option<u64>,
    /// Why it failed; none when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// What it waited for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<Wait>,
    /// Bytes that it sent or fetched.
    #[serde(default)]
    pub bytes: u64,
}

/// A time of waiting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// In words that fit behind "waiting for …".
    pub reason: String,
    /// Since when.
    pub from: u64,
    /// Until when.
    pub until: u64,
}

/// Something a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// When.
    pub at: u64,
    /// Of which step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// What.
    pub message: String,
}

/// How one step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It did not begin.
    NotBegun,
    /// It began, and nobody wrote its end down.
    Open,
    /// It is done.
    Done,
    /// It failed, or was cut off.
    Failed,
}

impl Step {
    /// How it stands.
    pub fn standing(&self) -> Standing {
        match (self.begun, self.ended, &self.failed) {
            (None, ..) => Standing::NotBegun,
            (Some(_), None, _) => Standing::Open,
            (Some(_), Some(_), None) => Standing::Done,
            (Some(_), Some(_), Some(_)) => Standing::Failed,
        }
    }

    /// How long it took, in milliseconds.
    pub fn millis(&self) -> Option<u64> {
        Some(self.ended?.saturating_sub(self.begun?))
    }

    /// How much of that it waited.
    pub fn waited(&self) -> u64 {
        self.waits.iter().map(|wait| wait.until.saturating_sub(wait.from)).sum()
    }
}

impl Record {
    /// The name of what is kept.
    pub fn name(number: u64) -> String {
        format!("{FOLDER}/{number:04}.json")
    }

    /// The number in such a name.
    pub fn number(name: &str) -> Option<u64> {
        let file = name.strip_prefix(FOLDER)?.strip_prefix('/')?;
        file.strip_suffix(".json")?.parse().ok()
    }

    /// How long the run took; up to the last thing that is known of it when it did not end.
    pub fn millis(&self) -> u64 {
        let ended = self.ended.map(|ended| ended.duration_since(self.begun).as_millis());
        let ended = ended.and_then(|millis| u64::try_from(millis).ok()).unwrap_or(0);
        let known = self.steps.iter().filter_map(|step| step.ended.max(step.begun)).max();
        ended.max(known.unwrap_or(0))
    }

    /// How many steps are done.
    pub fn done(&self) -> usize {
        let done = |step: &&Step| step.standing() == Standing::Done;
        self.steps.iter().filter(done).count()
    }

    /// How it ended, in words.
    pub fn ending(&self) -> String {
        let word = match self.result {
            None => return "did not end".to_owned(),
            Some(Outcome::Done | Outcome::Pending) => return "done".to_owned(),
            Some(Outcome::Interrupted) => "interrupted",
            Some(Outcome::Failed) => "failed",
            Some(Outcome::Declined) => "declined",
            Some(Outcome::BadInput) => "bad input",
            Some(Outcome::Locked) => "locked",
            Some(Outcome::Refused) => "refused",
            Some(Outcome::Stale) => "stale plan",
        };
        match self.steps.iter().find(|step| step.standing() == Standing::Failed) {
            Some(step) => format!("{word} at {}", step.address),
            None => word.to_owned(),
        }
    }
}
