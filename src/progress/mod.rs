//! Listens to events and shows them. Knows nothing else.
//!
//! A person at a terminal gets a step list that moves, a pipe or a CI job gets plain lines, both on standard error; a program
//! gets JSON lines, on standard output, because to it they are the data.

mod bars;
mod json;
mod plain;
pub mod stream;
pub mod words;

use std::io::{IsTerminal as _, Write};

use indicatif::ProgressDrawTarget;

use crate::apply::event::Event;

pub use bars::Bars;
pub use json::Json;
pub use plain::Plain;
#[cfg(test)]
pub(crate) use plain::tests::a_run;

/// Where events are shown.
#[derive(Debug)]
pub enum Progress {
    /// A step list that moves.
    Bars(Bars),
    /// Lines.
    Plain(Plain),
}

impl Progress {
    /// The fitting one for this program's standard error and environment (`CI`, `TERM`, `NO_COLOR`).
    pub fn detect() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if std::io::stderr().is_terminal() && !set("CI") && !dumb {
            let width = || usize::from(console::Term::stderr().size().1);
            Self::Bars(Bars::new(ProgressDrawTarget::stderr(), width, !set("NO_COLOR")))
        } else {
            Self::plain(Box::new(std::io::stderr()))
        }
    }

    /// Lines to a writer, timed from now on.
    pub fn plain(writer: Box<dyn Write + Send>) -> Self {
        let start = std::time::Instant::now();
        Self::Plain(Plain::new(writer, Box::new(move || start.elapsed())))
    }

    /// Shows one event. A reader that went away is no reason to stop what is being done, so nothing fails here.
    pub fn handle(&mut self, event: &Event) {
        match self {
            Self::Bars(bars) => bars.handle(event),
            Self::Plain(plain) => plain.handle(event),
        }
    }

    /// Lets something else write to the terminal (a question, another program's output) without a mess.
    pub fn suspend<R>(&mut self, during: impl FnOnce() -> R) -> R {
        match self {
            Self::Bars(bars) => bars.suspend(during),
            Self::Plain(_) => during(),
        }
    }
}
