//! A plan as it is shown, saved and printed: without what only the executor needs.

use serde::{Deserialize, Serialize};

use super::{Change, Drift, Plan};
use crate::names::{Address, EnvironmentName};

/// What a person or a program reads of a plan. Holds no secret, because the plan's own texts have marks in their place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// The environment.
    pub environment: EnvironmentName,
    /// How many steps there are of each kind.
    pub summary: Summary,
    /// What changed outside since it was recorded, whatever the files say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Drift>,
    /// The steps, in the order in which they are taken.
    pub steps: Vec<OutlineStep>,
    /// Worth knowing although nothing will be done about it.
    pub notes: Vec<String>,
    /// Why the plan must not be applied; empty when it may.
    pub refusals: Vec<String>,
    /// Why there is a second look after these steps, and what it shows is planned and done in the same run.
    pub look_again: Option<String>,
}

/// One change to one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutlineStep {
    /// What it is about.
    pub address: Address,
    /// What changes.
    #[serde(flatten)]
    pub change: Change,
}

/// How many steps there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// `+`
    pub add: usize,
    /// `~`
    pub change: usize,
    /// `±`
    pub replace: usize,
    /// `-`
    pub remove: usize,
}

impl Summary {
    fn of(steps: &[OutlineStep]) -> Self {
        let mut summary = Self::default();
        for step in steps {
            let count = match step.change {
                Change::Create { .. } => &mut summary.add,
                Change::Update { .. } => &mut summary.change,
                Change::Replace { .. } => &mut summary.replace,
                Change::Delete { .. } => &mut summary.remove,
            };
            *count += 1;
        }
        summary
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            add,
            change,
            replace,
            remove,
        } = self;
        write!(
            f,
            "{add} to add, {change} to change, {replace} to replace, {remove} to remove"
        )
    }
}

impl Outline {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The whole plan in one line, as it ends every text of it.
    pub fn headline(&self) -> String {
        match self.is_empty() {
            true if !self.drift.is_empty() => format!(
                "{} is as it shall be: nothing to do but to record what changed outside.",
                self.environment
            ),
            true => format!("{} is as it shall be: nothing to do.", self.environment),
            false => format!("{}: {}.", self.environment, self.summary),
        }
    }
}

impl From<&Plan> for Outline {
    fn from(plan: &Plan) -> Self {
        let Plan {
            environment,
            lineage: _,
            serial: _,
            drift,
            steps,
            notes,
            refusals,
            look_again,
        } = plan;
        let steps: Vec<OutlineStep> = steps
            .iter()
            .map(|step| OutlineStep {
                address: step.address.clone(),
                change: step.change.clone(),
            })
            .collect();
        Self {
            environment: environment.clone(),
            summary: Summary::of(&steps),
            drift: drift.clone(),
            steps,
            notes: notes.clone(),
            refusals: refusals.iter().map(ToString::to_string).collect(),
            look_again: look_again.map(str::to_owned),
        }
    }
}
