//! Where an environment's things are, and the steps that several commands begin with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Failure;
use super::backend::store;
use super::keyring::Keyring;
use super::origin::Origin;
use crate::cli;
use crate::desired::{Desired, Given, desire};
use crate::environment::{Sources, find_root, load};
use crate::names::{Address, EnvironmentName};
use crate::note::Note;
use crate::observe::{Observed, observe};
use crate::provider::{Caller, Owner, Provider};
use crate::remote::Session;
use crate::state::{State, Status, Store, random_lineage};

/// One environment of one project.
pub struct Project {
    /// The folder that holds `environments/`.
    pub root: PathBuf,
    /// The environment.
    pub name: EnvironmentName,
    /// Its state.
    pub store: Store,
    /// The file it is written in, and what that is given.
    pub origin: Origin,
}

impl Project {
    /// Finds the project at or above a folder.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(directory: &Path, environment: &cli::Name) -> Result<Self, Failure> {
        Self::with(directory, environment, |_| true)
    }

    /// As [`Project::find`] for a command that asks no network: of a state that is in a bucket, nothing is known.
    ///
    /// # Errors
    /// When there is none.
    pub fn on_paper(directory: &Path, environment: &cli::Name) -> Result<Self, Failure> {
        Self::with(directory, environment, |store| store.storage().is_local())
    }

    fn with(directory: &Path, environment: &cli::Name, ask: impl Fn(&Store) -> bool) -> Result<Self, Failure> {
        let start = std::path::absolute(directory)
            .map_err(|why| Failure::other(format!("failed to find {}", directory.display()), why))?;
        let root = find_root(&start)?;
        let name = environment.environment();
        let store = store(&root, name, &environment.name)?;
        // A state that cannot be read is told by who needs it.
        let state = if ask(&store) { store.load().ok().flatten() } else { None };
        let origin = Origin::find(&root, environment, state.as_ref())?;
        Ok(Self {
            root,
            name: name.clone(),
            store,
            origin,
        })
    }

    /// Everything that was written.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn sources(&self) -> Result<Sources, Failure> {
        let mut sources = load(&self.root, &self.origin.file)?;
        self.origin.give(&mut sources)?;
        Ok(sources)
    }

    /// The state, or the beginning of one.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub fn state(&self) -> Result<State, Failure> {
        Ok(match self.store.load()? {
            Some(state) => self.origin.still(state)?,
            None => State::new(self.name.clone(), random_lineage()?),
        })
    }

    /// The state of an environment that has been applied.
    ///
    /// # Errors
    /// When it has not.
    pub fn applied(&self) -> Result<State, Failure> {
        self.store.load()?.ok_or_else(|| {
            Failure::input(
                format!("`{}` has not been applied here", self.name),
                format!("run `provision apply {}` first", self.name),
            )
        })
    }
}

/// Whose machine it is.
pub fn owner(state: &State) -> Owner {
    let ids = state
        .resources
        .iter()
        .filter_map(|(address, record)| Some((address.clone(), record.id.clone()?)));
    Owner {
        environment: state.environment.clone(),
        lineage: state.lineage.clone(),
        ids: ids.collect(),
        expires: state.life.map(|life| life.ends),
    }
}

/// The host names that the environment has records of, or shall have.
pub fn names(state: &State, desired: Option<&Desired>) -> BTreeSet<String> {
    let recorded = state.resources.keys().filter_map(|address| match address {
        Address::Dns(name) => Some(name.clone()),
        _ => None,
    });
    let wanted = desired.and_then(|desired| desired.instance.spec.dns.as_ref());
    recorded
        .chain(wanted.iter().flat_map(|dns| dns.names.iter().cloned()))
        .collect()
}

/// What shall be, from what was written and what is known.
///
/// # Errors
/// Everything that is wrong with what was written.
pub fn desired(sources: &Sources, keyring: &Keyring, state: &State) -> Result<Desired, Failure> {
    let given = Given {
        name: &state.environment,
        lineage: &state.lineage,
        authorized_keys: &keyring.authorized_keys,
        host_key_public: &keyring.host_key_public,
        bindings: &keyring.bindings(state.endpoint()),
    };
    Ok(desire(sources, &given)?)
}

/// As [`desired`], with stand-ins for keys and secrets that the next apply makes: what is planned, and the same each time.
///
/// # Errors
/// Everything that is wrong with what was written.
pub fn expected(sources: &Sources, keyring: &Keyring, state: &State) -> Result<Desired, Failure> {
    let given = Given {
        name: &state.environment,
        lineage: &state.lineage,
        authorized_keys: &keyring.planned.authorized_keys,
        host_key_public: &keyring.planned.host_key_public,
        bindings: &keyring.planned_bindings(state.endpoint()),
    };
    Ok(desire(sources, &given)?)
}

/// What there is. The host is asked only when it has shown its own key: before that, nothing on it is ours yet.
///
/// # Errors
/// When the provider or the host cannot be asked.
pub async fn look(
    provider: &Provider,
    state: &State,
    desired: &Desired,
    caller: Option<&Caller>,
    keyring: &Keyring,
    say: &(dyn Fn(Note) + Send + Sync),
) -> Result<(Observed, Option<Session>), Failure> {
    let known = state
        .record(&Address::HostIdentity)
        .is_some_and(|record| record.status == Status::Present);
    let reach = keyring.reach();
    Ok(observe(
        provider,
        &owner(state),
        &names(state, Some(desired)),
        caller,
        &keyring.bindings(None).fingerprints,
        |instance| known.then(|| reach(&instance.endpoint)),
        say,
    )
    .await?)
}

/// Ends the connection, so that the process leaves none behind.
pub async fn hang_up(session: Option<Session>) {
    let Some(session) = session else { return };
    super::stats::of_session(&session);
    session.close().await;
}
