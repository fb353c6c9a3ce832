//! What a command tells while it works: words and progress for people, or lines for a program; and the record that is kept of it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::Failure;
use super::kept::Kept;
use super::project::Project;
use super::stop::listen;
use super::tally::Tally;
use super::terminal::{color, tell};
use super::told;
use crate::apply::event::Event;
use crate::apply::{ApplyError, Stop, Stopping};
use crate::history::recorder::Whose;
use crate::names::EnvironmentName;
use crate::note::Note;
use crate::plan::{Outline, Plan, render_plan};
use crate::progress::stream::{self, Error, Outcome, Told};
use crate::progress::{Json, Progress};
use crate::state::who;

/// Name and version of this program.
const TOOL: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

/// Shared with everything that says something.
#[derive(Clone)]
pub struct Shown(Arc<Inner>);

struct Inner {
    command: &'static str,
    begun: Instant,
    wanted: watch::Sender<Option<Stop>>,
    told: Mutex<State>,
}

struct State {
    audience: Audience,
    tally: Tally,
    kept: Option<Kept>,
}

enum Audience {
    People(Progress),
    Program(Json),
}

impl Shown {
    /// A command begins. From now on signals want an orderly end ([`Shown::stopping`]). With `json` standard output belongs to a
    /// program.
    pub fn begin(command: &'static str, environment: Option<&EnvironmentName>, json: bool) -> Self {
        let (wanted, _) = watch::channel(None);
        listen(wanted.clone());
        let audience = match json {
            true => Audience::Program(Json::stdout()),
            false => Audience::People(Progress::detect()),
        };
        let shown = Self(Arc::new(Inner {
            command,
            begun: Instant::now(),
            wanted,
            told: Mutex::new(State {
                audience,
                tally: Tally::default(),
                kept: None,
            }),
        }));
        shown.tell(Told::Version {
            version: stream::VERSION,
            tool: TOOL.to_owned(),
            command: command.to_owned(),
            environment: environment.cloned(),
        });
        shown
    }

    /// Whether somebody wants an end: a person, or a reader that went away.
    pub fn stopping(&self) -> Stopping {
        self.0.wanted.subscribe()
    }

    /// Keeps a record of what happens from now on. Only under the environment's lock.
    pub fn keep(&self, project: &Project) {
        self.with(|state| {
            state.kept.get_or_insert_with(|| {
                let whose = Whose {
                    command: self.0.command.to_owned(),
                    environment: project.name.clone(),
                    who: who(),
                    tool: TOOL.to_owned(),
                };
                Kept::begin(&project.store, whose)
            });
        });
    }

    /// A plan was made that may be carried out. People read it on standard error.
    pub fn plan(&self, plan: &Plan) {
        if self.with(|state| matches!(state.audience, Audience::People(_))) {
            tell(render_plan(plan, color()).trim_end());
        }
        self.outline(&plan.into());
    }

    /// A plan was made. People are shown it by whoever made it.
    pub fn outline(&self, plan: &Outline) {
        self.with(|state| state.tally.plan(plan));
        told::lines(plan).into_iter().for_each(|line| self.tell(line));
    }

    /// What changed outside was found. What people are told is up to the command.
    pub fn drift(&self, plan: &Plan) {
        told::drift(&plan.drift).into_iter().for_each(|line| self.tell(line));
    }

    /// Shows one event.
    pub fn event(&self, event: &Event) {
        self.with(|state| {
            state.tally.event(event);
            if let Some(kept) = &mut state.kept {
                kept.event(event);
            }
            match &mut state.audience {
                Audience::People(progress) => progress.handle(event),
                Audience::Program(json) => self.heard(json, event.into()),
            }
        });
    }

    /// What looking says while it waits.
    pub fn note(&self, note: Note) {
        match &note {
            Note::Waiting(reason) => self.tell(Told::Waiting {
                address: None,
                reason: reason.clone(),
            }),
            Note::Warning(message) => self.tell(Told::Warning {
                address: None,
                message: message.clone(),
            }),
            Note::Bytes { .. } | Note::Line(_) => {}
        }
        waiting(note);
    }

    /// What an audit in short found, in one line. A program is told what is bad.
    pub fn audit(&self, line: &str, bad: bool) {
        if self.with(|state| matches!(state.audience, Audience::People(_))) {
            tell(line);
        } else if bad {
            self.tell(Told::Warning {
                address: None,
                message: line.to_owned(),
            });
        }
    }

    /// The environment's outputs, for the summary.
    pub fn outputs(&self, outputs: &BTreeMap<String, String>) {
        self.with(|state| state.tally.outputs.clone_from(outputs));
    }

    /// The record is closed while there is a folder to keep it in.
    pub fn close(&self, outcome: Outcome, error: Option<Error>) {
        if let Some(mut kept) = self.with(|state| state.kept.take()) {
            kept.end(outcome, error);
        }
    }

    /// The command ended: tells why, what is done and what is not. What is left for the caller is the exit code.
    ///
    /// # Errors
    /// [`Failure::Exit`] when it failed.
    pub fn end(&self, result: Result<(), Failure>) -> Result<(), Failure> {
        let result = self.judged(result);
        let (outcome, code, mut error) = match &result {
            Ok(()) => (Outcome::Done, 0, None),
            Err(failure) => (failure.outcome(), failure.code(), failure.explain()),
        };
        let (line, refused) = self.with(|state| (state.tally.line(), state.tally.refused()));
        if outcome == Outcome::Refused && error.is_none() {
            error = Some(refused);
        }
        self.close(outcome, error.clone());
        if let Err(failure) = &result {
            failure.print();
            let nothing = || (outcome == Outcome::Interrupted).then(|| "done: nothing".to_owned());
            if let Some(line) = line.or_else(nothing) {
                tell(&line);
            }
        }
        let millis = u64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let summary = self.with(|state| state.tally.summary(outcome, code, error, millis));
        self.tell(Told::Summary(Box::new(summary)));
        match result {
            Ok(()) => Ok(()),
            Err(_) => Err(Failure::Exit(code)),
        }
    }

    /// A reader that went away ends a command that only reads quietly, like any other Unix program. Lines that cannot be written
    /// for another reason are a failure.
    fn judged(&self, result: Result<(), Failure>) -> Result<(), Failure> {
        let lost = self.with(|state| match &state.audience {
            Audience::Program(json) => json.lost().map(|why| (why.kind(), why.to_string())),
            Audience::People(_) => None,
        });
        let unheard = matches!(&result, Err(Failure::Apply(error))
            if matches!(**error, ApplyError::Interrupted { by: Stop::Unheard, .. }));
        match lost {
            Some((io::ErrorKind::BrokenPipe, _)) if unheard && self.0.command == "plan" => Ok(()),
            Some((io::ErrorKind::BrokenPipe, _)) | None => result,
            Some((kind, why)) if unheard || result.is_ok() => {
                let what = "failed to write the events to standard output";
                Err(Failure::other(what, io::Error::new(kind, why)))
            }
            Some(_) => result,
        }
    }

    /// One line for a program; people are told in other ways.
    fn tell(&self, line: Told) {
        self.with(|state| match &mut state.audience {
            Audience::People(_) => {}
            Audience::Program(json) => self.heard(json, line),
        });
    }

    fn heard(&self, json: &mut Json, line: Told) {
        json.tell(line);
        if json.lost().is_some() {
            self.0.wanted.send_if_modified(|wanted| match wanted {
                Some(_) => false,
                None => {
                    *wanted = Some(Stop::Unheard);
                    true
                }
            });
        }
    }

    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.0.told.lock().unwrap_or_else(PoisonError::into_inner))
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
