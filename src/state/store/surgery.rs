//! What `provision state pull`, `push` and `migrate` are made of: states as bytes, and documents as they are.

use jiff::Timestamp;

use super::super::backend;
use super::super::lock;
use super::super::model::State;
use super::super::storage::{Expect, Place};
use super::{BACKUPS, STATE_FILE, Store, StoreError, Version, encode};
use super::{archive, moved};

/// Documents that belong to this computer, and to no copy.
const OF_THIS_COMPUTER: [&str; 3] = ["backend.json", lock::FILE, moved::FILE];

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

    /// Keeps the state as it is, read or not, before somebody works on it by hand, and tells where. `None` when there is none. Such
    /// copies are never cleared away: their names are not those of the copies that every write makes.
    ///
    /// # Errors
    /// When it cannot be read, or the copy not be written: then nothing may be done to it.
    pub fn keep_before(&self, what: &str, now: Timestamp) -> Result<Option<Place>, StoreError> {
        let Some(bytes) = self.pull()? else { return Ok(None) };
        let name = format!("{BACKUPS}/before-{what}-{}.json", now.strftime("%Y%m%dT%H%M%S%3fZ"));
        self.put(&name, &bytes)?;
        Ok(Some(self.storage.place(&name)))
    }

    /// Reads bytes as a state of this environment, without writing anything. `from` is where they come from, for messages.
    ///
    /// # Errors
    /// When they are damaged, of a newer version, or another environment's.
    pub fn check(&self, bytes: &[u8], from: &Place) -> Result<State, StoreError> {
        self.decode(bytes).map_err(|error| error.of(from))
    }

    /// Puts a state in the place of the one that is there; returns it with its new serial.
    ///
    /// # Errors
    /// When it is not of the same lineage and serial (unless forced), or when it cannot be written.
    pub fn push(&self, mut state: State, how: Push) -> Result<State, StoreError> {
        let Some((bytes, version)) = self.read(STATE_FILE)? else {
            return self.push_over(state, &Expect::Absent);
        };
        let theirs = self.decode(&bytes);
        if how == Push::Forced {
            // One that does not read has no serial to go beyond.
            state.serial = theirs.map_or(state.serial, |theirs| state.serial.max(theirs.serial));
            return self.push_over(state, &Expect::Seen(version));
        }
        self.see(Some((&theirs?, version)));
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
        self.is_back()?;
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

    /// Makes sure that two runs cannot overwrite each other where this store is, without taking that for the environment's place.
    ///
    /// # Errors
    /// When the service cannot be used.
    pub fn ready(&self) -> Result<(), StoreError> {
        self.storage.prepare().map_err(|why| StoreError::Write {
            place: self.storage.place(""),
            why,
        })
    }

    /// Copies all documents to another store, the state last and only where there is none: a copy that was cut off is no state,
    /// and made good by the next one. Tells what the state was here, for [`Store::leave_for`].
    ///
    /// # Errors
    /// When one cannot be read or written, or there is a state of another lineage or serial.
    pub fn copy_all(&self, to: &Self) -> Result<Option<Version>, StoreError> {
        to.ready()?;
        let Some((bytes, version)) = self.read(STATE_FILE)? else {
            return Ok(None);
        };
        let ours = self.decode(&bytes)?;
        // It was copied before, by a run that was cut off afterwards: until the end this place counts, and may have moved on.
        let is_left = |theirs: State| theirs.lineage == ours.lineage && theirs.serial <= ours.serial;
        let expect = match to.read(STATE_FILE)? {
            None => Expect::Absent,
            Some((there, seen)) if to.decode(&there).is_ok_and(is_left) => Expect::Seen(seen),
            Some(_) => return Err(StoreError::Taken { place: to.place() }),
        };
        for name in self.documents()?.iter().filter(|name| *name != STATE_FILE) {
            if let Some(bytes) = self.get(name)? {
                to.put(name, &bytes)?;
            }
        }
        let copied = to.storage.put(STATE_FILE, &bytes, &expect);
        copied.map_err(|why| to.unwritten(why))?;
        to.is_back()?;
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
