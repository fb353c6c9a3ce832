//! The environment's lock, and the state that is written only while it is ours.

use super::Failure;
use super::terminal::tell;
use crate::apply::{ApplyError, Keep, KeepError};
use crate::cli;
use crate::state::{Lock, State, Store, StoreError};

/// Takes the environment's lock, and says when a dead run's was taken over.
pub async fn lock(store: &Store, command: &str, args: &cli::Locking) -> Result<Lock, Failure> {
    store.prepare()?;
    let lock = Lock::acquire(store.storage(), command, args.lock_reason.as_deref(), args.lock_wait).await?;
    if let Some(left) = lock.taken_over() {
        tell(&format!("note: {left}; it goes on where that run stopped"));
    }
    Ok(lock)
}

/// Writes the state, for as long as the lock is ours.
pub struct Keeper<'a> {
    /// Where.
    pub store: Store,
    /// Whose.
    pub lock: &'a Lock,
}

impl Keeper<'_> {
    /// As [`Keep::keep`], outside an apply's steps.
    ///
    /// # Errors
    /// When it cannot be written, or when somebody else has taken the environment over.
    pub fn record(&mut self, state: &mut State) -> Result<(), Failure> {
        self.keep(state).map_err(|why| ApplyError::Keep(why).into())
    }
}

impl Keep for Keeper<'_> {
    fn keep(&mut self, state: &mut State) -> Result<(), KeepError> {
        self.lock.verify()?;
        match self.store.save(state) {
            // The state is written; only its copy is not.
            Err(error @ StoreError::Backup { .. }) => {
                tell(&format!("warning: {error}"));
                Ok(())
            }
            other => Ok(other?),
        }
    }
}
