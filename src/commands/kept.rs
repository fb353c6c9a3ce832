//! The record of a run, written beside the state while it goes on. That it cannot be written is worth a warning, no more.

use std::time::Instant;

use jiff::Timestamp;

use super::terminal::tell;
use crate::apply::event::Event;
use crate::history::recorder::Whose;
use crate::history::{FOLDER, KEPT, Record, Recorder};
use crate::progress::stream::{Error, Outcome};
use crate::state::{Store, StoreError};

/// A record that is being written.
pub struct Kept {
    store: Store,
    recorder: Recorder,
    begun: Instant,
    /// One warning is enough.
    warned: bool,
}

impl Kept {
    /// Begins the record of a run; the oldest ones go. Only under the environment's lock.
    pub fn begin(store: &Store, whose: Whose) -> Self {
        let (number, found) = match numbers(store) {
            Ok(numbers) => (numbers.last().map_or(1, |last| last + 1), Ok(numbers)),
            Err(error) => (1, Err(error)),
        };
        let mut kept = Self {
            store: store.clone(),
            recorder: Recorder::new(whose, number, Timestamp::now()),
            begun: Instant::now(),
            warned: false,
        };
        match found {
            Ok(numbers) => {
                kept.write();
                let old = (numbers.len() + 1).saturating_sub(KEPT);
                let swept = numbers
                    .iter()
                    .take(old)
                    .try_for_each(|old| store.remove(&Record::name(*old)));
                kept.warn(swept);
            }
            // What is there cannot be counted, so nothing is written over it.
            Err(error) => kept.warn(Err(error)),
        }
        kept
    }

    /// Something happened.
    pub fn event(&mut self, event: &Event) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        if self.recorder.event(now, event) {
            self.write();
        }
    }

    /// The run ended.
    pub fn end(&mut self, result: Outcome, error: Option<Error>) {
        self.recorder.end(Timestamp::now(), result, error);
        self.write();
    }

    fn write(&mut self) {
        if self.warned {
            return;
        }
        let record = self.recorder.record();
        let written = match serde_json::to_vec_pretty(record) {
            Ok(mut bytes) => {
                bytes.push(b'\n');
                self.store.put(&Record::name(record.number), &bytes)
            }
            // A record has no map whose keys are not texts.
            Err(_) => Ok(()),
        };
        self.warn(written);
    }

    fn warn(&mut self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            self.warned = true;
            // The state is whole either way, whatever a store says of it.
            let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            tell(&format!("warning: the history of this run is not kept: {why}"));
        }
    }
}

/// The numbers of the records that there are, the oldest first.
pub fn numbers(store: &Store) -> Result<Vec<u64>, StoreError> {
    let mut numbers: Vec<u64> = store
        .list(FOLDER)?
        .iter()
        .filter_map(|name| Record::number(name))
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}
