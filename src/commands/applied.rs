//! An environment that has been applied: what the commands begin with that look at its machine and change nothing of what it is.

use std::path::Path;

use super::Failure;
use super::keyring::Keyring;
use super::project::{Project, desired};
use crate::cli;
use crate::desired::Desired;
use crate::environment::Sources;
use crate::names::Endpoint;
use crate::state::State;

/// Where it is written, what it shall be, and what is known of it. No secret's source was asked.
pub struct Applied {
    pub project: Project,
    pub sources: Sources,
    pub state: State,
    pub keyring: Keyring,
    pub desired: Desired,
}

impl Applied {
    /// Reads it.
    ///
    /// # Errors
    /// When it has not been applied, or what was written is wrong.
    pub fn open(directory: &Path, environment: &cli::Name) -> Result<Self, Failure> {
        let project = Project::find(directory, environment)?;
        let sources = project.sources()?;
        let state = project.applied()?;
        let keyring = Keyring::unlock(&project.store, &state, &sources)?;
        let desired = desired(&sources, &keyring, &state)?;
        Ok(Self {
            project,
            sources,
            state,
            keyring,
            desired,
        })
    }

    /// Where its machine is reached, as the state knows it.
    ///
    /// # Errors
    /// When there was never a machine.
    pub fn endpoint(&self) -> Result<Endpoint, Failure> {
        self.state.endpoint().ok_or_else(|| {
            Failure::input(
                "the machine has no address yet",
                format!("run `provision apply {}` first", self.project.name),
            )
        })
    }
}
