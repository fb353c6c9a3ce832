//! The plan: an ordered list of steps, each with what changes and everything the executor needs to do it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Drift;
use crate::desired::{ArchiveRef, DesiredStack};
use crate::names::{Address, EnvironmentName, Lineage, StackName};
use crate::provider::InstanceSpec;
use crate::render::Rendered;

/// What will be done, in order. Holds no secret: texts have marks in their place.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The environment.
    pub environment: EnvironmentName,
    /// Its lineage.
    pub lineage: Lineage,
    /// The serial of the state that the plan was made from.
    pub serial: u64,
    /// What changed outside since it was recorded, whatever the files say.
    pub drift: Vec<Drift>,
    /// The steps, in the order in which they are taken.
    pub steps: Vec<Step>,
    /// Worth knowing although nothing will be done about it.
    pub notes: Vec<String>,
    /// Why the plan must not be applied; empty when it may.
    pub refusals: Vec<Refusal>,
    /// Why the host could not be looked at yet: it is looked at again after these steps, before anything else is done.
    pub look_again: Option<&'static str>,
}

/// Why a plan must not be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it is about; none when it is about all of it.
    pub address: Option<Address>,
    /// Why, and what to do.
    pub reason: String,
}

impl Refusal {
    /// One that is about an address.
    pub fn of(address: &Address, reason: impl Into<String>) -> Self {
        Self {
            address: Some(address.clone()),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether a step touches an address. What changed outside elsewhere is taken into the state as it is.
    pub fn touches(&self, address: &Address) -> bool {
        self.steps.iter().any(|step| step.address == *address)
    }
}

/// One change to one address.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What it is about.
    pub address: Address,
    /// What a person reads.
    pub change: Change,
    /// What the executor does.
    pub action: Action,
    /// What the state records when it is done.
    pub attributes: BTreeMap<String, String>,
    /// What the state knows already and stays true.
    pub facts: BTreeMap<String, String>,
}

/// The kind of a change, with what a person wants to see of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// `+`
    Create {
        /// Attributes worth showing.
        #[serde(with = "pairs")]
        shown: Vec<(String, String)>,
    },
    /// `~`
    Update {
        /// What differs.
        differences: Vec<Difference>,
    },
    /// `±`
    Replace {
        /// Why it cannot be changed in place, and what happens to the data.
        because: String,
        /// What differs.
        differences: Vec<Difference>,
    },
    /// `-`
    Delete {
        /// What goes with it.
        #[serde(with = "pairs")]
        shown: Vec<(String, String)>,
    },
}

/// Names and values as objects, which programs read more easily than lists of two.
mod pairs {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Pair<T> {
        name: T,
        value: T,
    }

    pub fn serialize<S: Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(pairs.iter().map(|(name, value)| Pair { name, value }))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
        let pairs = Vec::<Pair<String>>::deserialize(deserializer)?;
        Ok(pairs.into_iter().map(|pair| (pair.name, pair.value)).collect())
    }
}

/// One difference between what is and what shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What differs: an attribute, a file, a container.
    pub subject: String,
    /// What is.
    pub old: Option<String>,
    /// What shall be.
    pub new: Option<String>,
    /// Who made it differ.
    pub origin: Origin,
}

/// Who made something differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The environment's files changed.
    Files,
    /// Something outside changed: drift.
    Outside,
}

/// What the executor does. Complete: no further decision is needed to carry it out.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Make the machine, or adopt the one an interrupted run made.
    CreateInstance {
        /// The machine, without its user-data.
        spec: InstanceSpec,
        /// The user-data, with marks.
        user_data: Rendered,
        /// Counts the machines of this environment.
        generation: u64,
    },
    /// Give it power.
    StartInstance,
    /// Change it in place; it is stopped and started.
    ResizeInstance {
        /// The machine as it shall be.
        spec: InstanceSpec,
    },
    /// Remove it, keep its data volume when it has one, and make a new one.
    ReplaceInstance {
        /// The new machine, without its user-data.
        spec: InstanceSpec,
        /// Its user-data, with marks.
        user_data: Rendered,
        /// Counts the machines of this environment.
        generation: u64,
    },
    /// Remove it, and with it all that was on it.
    DestroyInstance {
        /// Whether a data volume that was made with it stays.
        keep_volume: bool,
    },
    /// Make a part of the machine, or bring it to what it shall be.
    EnsurePart {
        /// The machine that it belongs to, without its user-data.
        spec: InstanceSpec,
    },
    /// Remove a part of the machine.
    RemovePart,
    /// Leave a part of the machine where it is, and keep no record of it.
    KeepPart,
    /// Reach the host under the key of its first boot and replace that key.
    RotateHostKey,
    /// Believe the keys of a host that was there before.
    PinHostKey {
        /// The keys, one a line.
        keys: String,
    },
    /// Mark everything with its end and set the timer on the host, or take both away.
    SetEnd {
        /// The machine that it belongs to, without its user-data.
        spec: InstanceSpec,
    },
    /// Wait for the first boot, then run the converge script.
    Converge {
        /// The script.
        script: String,
        /// Whether a host on which this very script has run to its end is left alone. Not so when it drifted.
        unless_done: bool,
    },
    /// Bring a Compose project up.
    Deploy(Box<Release>),
    /// Take a Compose project down.
    RemoveStack {
        /// Which.
        stack: StackName,
        /// Whether its volumes go too.
        volumes: bool,
    },
    /// Nothing to do on the host: the machine that it was on is gone.
    Forget,
    /// Nothing to do: it goes with the machine, and so does the record of it.
    GoesWithMachine,
}

/// One deploy of one stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The stack as it shall be.
    pub stack: DesiredStack,
    /// Image archives to send, by reference.
    pub archives: BTreeMap<String, ArchiveRef>,
    /// Jobs before the services change.
    pub before: Vec<String>,
    /// Jobs after the services are healthy.
    pub after: Vec<String>,
    /// Jobs that have never run to their end.
    pub once: Vec<String>,
    /// Names of images that lead elsewhere by now, with the image that they led to. That one is still there.
    pub retag: BTreeMap<String, String>,
    /// Containers of others that bear the names of ours: stopped and renamed, since they may hold something.
    pub aside: Vec<String>,
    /// Whether this is the edge, which is reloaded with proof.
    pub edge: bool,
    /// Whether containers are made anew although nothing of them changed.
    pub recreate: bool,
}
