//! Progress and words while a command works.

use std::sync::{Arc, Mutex};

use super::terminal::tell;
use crate::apply::event::Event;
use crate::note::Note;
use crate::progress::Progress;

/// Progress, shared with everything that says something.
#[derive(Clone)]
pub struct Shown(Arc<Mutex<Progress>>);

impl Shown {
    /// For a terminal, a pipe or a program.
    pub fn new(json: bool) -> Self {
        Self(Arc::new(Mutex::new(Progress::detect(json))))
    }

    /// Shows one event.
    pub fn event(&self, event: &Event) {
        if let Ok(mut progress) = self.0.lock() {
            progress.handle(event);
        }
    }
}

/// What looking says while it waits: nothing, until it takes long enough for a person to wonder.
pub fn waiting(note: Note) {
    match note {
        Note::Waiting(reason) => tell(&format!("waiting for {reason}")),
        Note::Warning(message) => tell(&format!("warning: {message}")),
        Note::Bytes { .. } | Note::Line(_) => {}
    }
}
