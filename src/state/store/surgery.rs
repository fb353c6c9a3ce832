//! What `provision state pull`, `push` and `migrate` are made of: states as bytes, and documents as they are.

use super::super::backend;
use super::super::lock;
use super::super::model::State;
use super::super::storage::{Expect, Place};
use super::archive;
use super::{BACKUPS, STATE_FILE, Store, StoreError, Version, encode};

/// Documents that belong to this computer, and to no copy.
const OF_THIS_COMPUTER: [&str; 2] = ["backend.json", lock::FILE];

/// How a state may take the place of the one that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push {
    /// Only when it is the one that is there, changed: same lineage, same serial. Where there is none, any.
    Successor,
    /// Whatever is there; its serial becomes higher than both.
    Forced,
}

impl Store {
    /// The state's bytes as they are, read or not, for whoever wants to look or keep a copy.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn pull(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(STATE_FILE)
    }

    /// Keeps the state as it is among the backups, before somebody works on it by hand, and tells where. `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or the copy not be written.
    pub fn back_up_first(&self) -> Result<Option<Place>, StoreError> {
        let Some((bytes, _)) = self.read(STATE_FILE)? else {
            return Ok(None);
        };
        let serial = self.decode(&bytes)?.serial;
        self.back_up(serial, &bytes)?;
        Ok(Some(self.storage.place(&format!("{BACKUPS}/state-{serial}.json"))))
    }

    /// Reads bytes as a state of this environment, without writing anything. `from` is where they come from, for messages.
    ///
    /// # Errors
    /// When they are damaged, of a newer version, or another environment's.
    pub fn check(&self, bytes: &[u8], from: &Place) -> Result<State, StoreError> {
        self.decode(bytes).map_err(|error| error.of(from))
    }

    /// Puts a state in the place of the one that is there, which goes to the backups first; returns it with its new serial.
    ///
    /// # Errors
    /// When it is not of the same lineage and serial (unless forced), or when it cannot be written.
    pub fn push(&self, mut state: State, how: Push) -> Result<State, StoreError> {
        let there = self.read(STATE_FILE)?;
        if let Some((bytes, version)) = &there {
            let sound = self.decode(bytes);
            match (sound, how) {
                (Ok(theirs), _) => {
                    self.see(Some((&theirs, version.clone())));
                    self.back_up(theirs.serial, bytes)?;
                    if how == Push::Forced {
                        state.serial = state.serial.max(theirs.serial);
                        return self.push_over(state, &Expect::Seen(version.clone()));
                    }
                }
                (Err(_), Push::Forced) => {
                    self.set_aside(jiff::Timestamp::now())?;
                    return self.push_over(state, &Expect::Absent);
                }
                (Err(why), Push::Successor) => return Err(why),
            }
        } else {
            return self.push_over(state, &Expect::Absent);
        }
        self.save(&mut state)?;
        Ok(state)
    }

    fn push_over(&self, state: State, expect: &Expect) -> Result<State, StoreError> {
        self.prepare()?;
        let next = State {
            serial: state.serial + 1,
            version: super::VERSION,
            written_by: super::WRITER.to_owned(),
            ..state
        };
        let bytes = encode(&next).map_err(|why| self.unwritten(why))?;
        let version = self.storage.put(STATE_FILE, &bytes, expect);
        let version = version.map_err(|why| self.unwritten(why))?;
        self.see(Some((&next, version)));
        self.back_up(next.serial, &bytes)?;
        Ok(next)
    }

    /// The names of all documents of the environment, sorted, without those that belong to this computer alone.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn documents(&self) -> Result<Vec<String>, StoreError> {
        let names = archive::documents(&self.storage).map_err(|why| StoreError::Read {
            place: self.storage.place(""),
            why,
        })?;
        let all = names.into_iter();
        Ok(all.filter(|name| !OF_THIS_COMPUTER.contains(&name.as_str())).collect())
    }

    /// Copies all documents to another store, the state last and only where there is none: a copy that was cut off is no state,
    /// and made good by the next one. Tells what the state was here, for [`Store::leave_for`].
    ///
    /// # Errors
    /// When one cannot be read or written, or there is a state of another lineage or serial.
    pub fn copy_all(&self, to: &Self) -> Result<Option<Version>, StoreError> {
        to.storage.prepare().map_err(|why| StoreError::Write {
            place: to.storage.place(""),
            why,
        })?;
        let Some((bytes, version)) = self.read(STATE_FILE)? else {
            return Ok(None);
        };
        self.decode(&bytes)?;
        let expect = match to.read(STATE_FILE)? {
            None => Expect::Absent,
            // The same state was copied before, by a run that was cut off afterwards.
            Some((there, seen)) if there == bytes => Expect::Seen(seen),
            Some(_) => return Err(StoreError::Taken { place: to.place() }),
        };
        for name in self.documents()?.iter().filter(|name| *name != STATE_FILE) {
            if let Some(bytes) = self.get(name)? {
                to.put(name, &bytes)?;
            }
        }
        let copied = to.storage.put(STATE_FILE, &bytes, &expect);
        copied.map_err(|why| to.unwritten(why))?;
        Ok(Some(version))
    }

    /// The documents as they are on this computer, whatever the environment's file says and is remembered: where
    /// `provision state migrate` comes from.
    ///
    /// # Errors
    /// When what is remembered cannot be read.
    pub fn where_it_is(&self, root: &std::path::Path) -> Result<Self, StoreError> {
        let backend = backend::remembered(&self.folder)?.unwrap_or_default();
        Self::open(root, &self.environment, &backend)
    }
}
