//! The mark that is left where the state was: whoever comes with an old file is told where it is now, in place of beginning a
//! second life of everything.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::process::who;
use super::super::storage::{Expect, StorageError};
use super::{Store, StoreError};

/// The document.
pub(super) const FILE: &str = "moved.json";

/// Where the state is now.
#[derive(Debug, Serialize, Deserialize)]
struct Moved {
    to: String,
    by: String,
    at: Timestamp,
}

impl Store {
    /// Leaves the mark here. It counts for nothing as long as there is a state beside it.
    pub(super) fn mark_as_moved(&self, next: &Self, at: Timestamp) -> Result<(), StorageError> {
        let moved = Moved {
            to: next.place().to_string(),
            by: who(),
            at,
        };
        let bytes = serde_json::to_vec_pretty(&moved).map_err(std::io::Error::from)?;
        self.storage.put(FILE, &bytes, &Expect::Any).map(drop)
    }

    /// Refuses a place without a state from which the state was moved away.
    pub(super) fn is_not_moved(&self) -> Result<(), StoreError> {
        let Some(bytes) = self.get(FILE)? else { return Ok(()) };
        let place = self.storage.place(FILE);
        match serde_json::from_slice(&bytes) {
            Ok(Moved { to, by, at }) => Err(StoreError::MovedAway { place, to, by, at }),
            Err(why) => Err(StoreError::Read {
                place,
                why: std::io::Error::from(why).into(),
            }),
        }
    }

    /// Takes the mark away: there is a state here again.
    pub(super) fn is_back(&self) -> Result<(), StoreError> {
        let removed = match self.get(FILE)? {
            Some(_) => self.storage.remove(FILE, &Expect::Any),
            None => Ok(()),
        };
        removed.map_err(|why| StoreError::Write {
            place: self.storage.place(FILE),
            why,
        })
    }
}
