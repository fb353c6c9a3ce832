//! `provision secrets`: what is secret, where it comes from, and its values when they are asked for.

mod edit;
mod get;
mod list;
mod rotate;
mod set;

use std::collections::BTreeMap;
use std::path::Path;

use super::Failure;
use super::keyring::Keyring;
use super::locked::{Keeper, lock};
use super::project::{Project, desired};
use super::terminal::tell;
use crate::cli::{self, SecretsCommand};
use crate::desired::{Desired, Users, secrets};
use crate::environment::Sources;
use crate::environment::secret::{SecretEntry, SecretSource};
use crate::state::{Lock, State};

/// Does what was typed.
pub async fn run(directory: &Path, args: &cli::Secrets) -> Result<(), Failure> {
    match &args.command {
        SecretsCommand::List(args) => list::run(directory, args),
        SecretsCommand::Get(args) => get::run(directory, args).await,
        SecretsCommand::Set(args) => set::run(directory, args).await,
        SecretsCommand::Rotate(args) => rotate::run(directory, args).await,
        SecretsCommand::Edit(args) => edit::run(directory, args).await,
    }
}

/// An environment's secrets, opened.
struct Opened {
    project: Project,
    sources: Sources,
    state: State,
    keyring: Keyring,
    entries: BTreeMap<String, SecretEntry>,
}

impl Opened {
    /// Reads. Makes no identity and asks no source.
    fn read(directory: &Path, name: &cli::Name) -> Result<Self, Failure> {
        let project = Project::find(directory, name)?;
        let sources = project.sources()?;
        let state = project.state()?;
        let keyring = Keyring::unlock(&project.store, &state, &sources)?;
        Ok(Self {
            entries: secrets::sources(&sources),
            project,
            sources,
            state,
            keyring,
        })
    }

    /// Reads under the environment's lock, for a command that writes.
    async fn locked(
        directory: &Path,
        name: &cli::Name,
        command: &str,
        locking: &cli::Locking,
    ) -> Result<(Self, Lock), Failure> {
        let project = Project::find(directory, name)?;
        // A mistake in the file is told before anything is locked.
        project.sources()?;
        let lock = lock(&project.store, command, locking).await?;
        Ok((Self::read(directory, name)?, lock))
    }

    /// What shall be, with marks for all secrets: who uses which.
    fn desired(&self) -> Result<Desired, Failure> {
        desired(&self.sources, &self.keyring, &self.state)
    }

    /// The entry of a secret.
    fn entry(&self, name: &str) -> Result<&SecretEntry, Failure> {
        self.entries.get(name).ok_or_else(|| {
            let known = self.entries.keys().map(String::as_str);
            let hint = match (crate::environment::nearest(name, known), self.entries.len()) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, 0) => "write it under [secrets] of the environment file first".to_owned(),
                (None, _) => format!(
                    "there are: {}",
                    self.entries.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
                ),
            };
            Failure::input(format!("`{}` has no secret `{name}`", self.project.name), hint)
        })
    }

    /// Writes the bundle. The bundle belongs to a life of the environment: before the first apply it begins here.
    fn save(&mut self, lock: &Lock) -> Result<(), Failure> {
        let mut keep = Keeper {
            store: self.project.store.clone(),
            lock,
        };
        if self.state.serial == 0 {
            keep.record(&mut self.state)?;
        }
        lock.verify()?;
        self.keyring.save()?;
        Ok(())
    }

    /// Says what a new value will do at the next apply.
    fn tell_of(&self, name: &str, done: &str) -> Result<(), Failure> {
        tell(&format!("{done} {name}"));
        for (stack, users) in users(&self.desired()?, name) {
            tell(&format!("  stack.{stack} {users}"));
        }
        Ok(())
    }

    fn tell_next(&self) {
        let name = &self.project.name;
        tell(&format!(
            "next: `provision plan {name}` shows it, `provision apply {name}` brings it out"
        ));
    }
}

/// The stacks that use a secret, and what a new value makes anew there.
fn users(desired: &Desired, name: &str) -> Vec<(String, String)> {
    let stacks = desired.stacks.iter();
    stacks
        .filter_map(|stack| {
            let users: &Users = stack.secrets.get(name)?;
            Some((stack.name.to_string(), crate::plan::restarts(stack, users)))
        })
        .collect()
}

/// Why a secret's value is not ours to change; none when it is.
fn elsewhere(name: &str, source: &SecretSource) -> Option<Failure> {
    let place = match source {
        SecretSource::Generate(_) | SecretSource::Bundle => return None,
        SecretSource::Env(variable) => format!("the environment variable {variable}"),
        SecretSource::File(path) => format!("the file {path}"),
        SecretSource::Command(words) => format!("the command {}", words.first().map_or("", String::as_str)),
        SecretSource::Ssm(vaulted) => format!("the parameter {} of Systems Manager", vaulted.name),
        SecretSource::SecretsManager(vaulted) => format!("the secret {} of Secrets Manager", vaulted.name),
    };
    Some(Failure::input(
        format!("the value of `{name}` comes from {place}"),
        format!("change it there and apply; or write `{name} = {{ bundle = true }}` to keep it in the bundle"),
    ))
}
