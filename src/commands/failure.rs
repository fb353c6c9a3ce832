//! What ended a command early: what a person reads, and the exit code.

use std::error::Error;

use crate::apply::{ActError, ApplyError, Barred};
use crate::environment::diagnostic::Problems;
use crate::environment::{LoadError, nearest};
use crate::observe::ObserveError;
use crate::plan::Unknown;
use crate::progress::stream::{self, Outcome};
use crate::provider::ProviderError;
use crate::remote::SessionError;
use crate::state::{BundleError, IdentityError, KeyError, KnownHostsError, LockError, StoreError};

use super::explained::{explained, message, mistake, of_apply};
use super::terminal::{color, tell};

/// The exit code for mistakes in what was typed or written.
pub const BAD_INPUT: u8 = 3;

/// A command that did not come to its end.
#[derive(Debug)]
pub enum Failure {
    /// Mistakes in what was written.
    Problems(Problems),
    /// Something else that was typed or written wrongly.
    Input {
        /// What.
        what: String,
        /// The remedy.
        hint: Option<String>,
    },
    /// Another run works on this environment.
    Locked(Box<LockError>),
    /// Another run is at the host, or the host is not ours.
    Barred(Box<Barred>),
    /// Protection, or data that would be lost. The reasons have been printed.
    Refused,
    /// A saved plan that would be another one now.
    Stale {
        /// The plan's file.
        file: String,
        /// The command that makes such a plan again.
        remedy: String,
        /// What moved since, a line each.
        moved: Vec<String>,
    },
    /// The person said no.
    Declined,
    /// There is something to do, and the caller wanted to know by the exit code.
    Pending,
    /// An apply that did not come to its end.
    Apply(Box<ApplyError>),
    /// A program that was run for the person ended with this code.
    Exit(u8),
    /// Anything else.
    Other {
        /// What, with its causes.
        what: Box<dyn Error + Send + Sync>,
        /// The remedy.
        hint: Option<String>,
    },
}

/// A message with a cause.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct Because {
    what: String,
    #[source]
    why: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// Bad input with its remedy.
    pub fn input(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Input {
            what: what.into(),
            hint: Some(hint.into()),
        }
    }

    /// Something that failed, and why.
    pub fn other(what: impl Into<String>, why: impl Error + Send + Sync + 'static) -> Self {
        Self::Other {
            what: Box::new(Because {
                what: what.into(),
                why: Box::new(why),
            }),
            hint: None,
        }
    }

    /// The same, with a remedy where it can have one.
    pub fn with_hint(self, remedy: impl Into<String>) -> Self {
        match self {
            Self::Other { what, .. } => Self::Other {
                what,
                hint: Some(remedy.into()),
            },
            other => other,
        }
    }

    fn hinted(what: impl Error + Send + Sync + 'static, hint: Option<String>) -> Self {
        Self::Other {
            what: Box::new(what),
            hint,
        }
    }

    /// The process's exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Problems(_) | Self::Input { .. } => BAD_INPUT,
            Self::Locked(_) => 4,
            Self::Barred(barred) => barred.code(),
            Self::Refused | Self::Stale { .. } => 5,
            Self::Pending => 2,
            Self::Apply(error) => match &**error {
                ApplyError::Interrupted { by, .. } if by.at_once() => 130,
                ApplyError::Step { why, .. } if let ActError::Barred(barred) = &**why => barred.code(),
                ApplyError::Interrupted { .. } | ApplyError::Step { .. } | ApplyError::Keep(_) => 1,
            },
            Self::Exit(code) => *code,
            Self::Declined | Self::Other { .. } => 1,
        }
    }

    /// How the command ended, in one word.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Problems(_) | Self::Input { .. } => Outcome::BadInput,
            Self::Locked(_) => Outcome::Locked,
            Self::Barred(barred) => outcome_of(barred),
            Self::Refused => Outcome::Refused,
            Self::Stale { .. } => Outcome::Stale,
            Self::Pending => Outcome::Pending,
            Self::Declined => Outcome::Declined,
            Self::Apply(error) => match **error {
                ApplyError::Interrupted { by, .. } if by.at_once() => Outcome::Interrupted,
                ApplyError::Step { ref why, .. } if let ActError::Barred(barred) = &**why => outcome_of(barred),
                _ => Outcome::Failed,
            },
            Self::Exit(_) | Self::Other { .. } => Outcome::Failed,
        }
    }

    /// What, why, what to do. Nothing, when that has been told or is no mistake.
    pub fn explain(&self) -> Option<stream::Error> {
        let explained = match self {
            Self::Problems(problems) => stream::Error {
                what: match problems.iter().count() {
                    1 => "1 problem found".to_owned(),
                    count => format!("{count} problems found"),
                },
                problems: problems.iter().map(mistake).collect(),
                ..stream::Error::default()
            },
            Self::Input { what, hint } => explained(what.clone(), None, hint.clone()),
            Self::Locked(error) => explained(error.to_string(), error.source(), Some(error.remedy())),
            Self::Barred(barred) => explained(barred.to_string(), None, Some(barred.remedy())),
            Self::Stale { file, remedy, moved } => stream::Error {
                what: format!("the plan in {file} is stale: it would be another one now, and nothing was done"),
                because: moved.clone(),
                hint: Some(format!("look at a new one: `{remedy}`")),
                ..stream::Error::default()
            },
            Self::Declined => explained("nothing was done".to_owned(), None, None),
            Self::Refused | Self::Pending | Self::Exit(_) => return None,
            Self::Apply(error) => of_apply(error),
            Self::Other { what, hint } => explained(what.to_string(), what.source(), hint.clone()),
        };
        Some(explained)
    }

    /// Tells the person: what, why, what to do.
    pub fn print(&self) {
        match self {
            Self::Problems(problems) => {
                let width = usize::from(console::Term::stderr().size().1).clamp(60, 140);
                tell(problems.render(color(), width).trim_end());
            }
            Self::Stale { moved, .. } => {
                for line in moved {
                    tell(&format!("moved: {line}"));
                }
                let explained = self.explain().unwrap_or_default();
                message(&stream::Error {
                    because: Vec::new(),
                    ..explained
                });
            }
            other => {
                if let Some(explained) = other.explain() {
                    message(&explained);
                }
            }
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Problems(problems)
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Problems(problems) => Self::Problems(problems),
            other => Self::Input {
                hint: other.help(),
                what: other.to_string(),
            },
        }
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        Self::Apply(Box::new(error))
    }
}

impl From<ActError> for Failure {
    fn from(error: ActError) -> Self {
        match error {
            ActError::Barred(barred) => Self::Barred(Box::new(barred)),
            other => {
                let remedy = other.remedy();
                Self::hinted(other, remedy)
            }
        }
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { .. } => Self::Locked(Box::new(error)),
            other => {
                let remedy = other.remedy();
                Self::hinted(other, Some(remedy))
            }
        }
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        let remedy = error.remedy.clone();
        Self::hinted(error, remedy)
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        let remedy = error.remedy();
        Self::hinted(error, remedy)
    }
}

impl From<ObserveError> for Failure {
    fn from(error: ObserveError) -> Self {
        match error {
            ObserveError::Provider(error) => error.into(),
            ObserveError::Session(error) => error.into(),
            ObserveError::Probe(error) => Self::hinted(error, None),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let remedy = error.remedy();
        match error {
            StoreError::Elsewhere { .. } | StoreError::MovedAway { .. } | StoreError::NotBuilt => {
                Self::input(error.to_string(), remedy)
            }
            other => Self::hinted(other, Some(remedy)),
        }
    }
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        let remedy = error.remedy();
        Self::hinted(error, Some(remedy))
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        let remedy = error.remedy();
        Self::hinted(error, Some(remedy))
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::hinted(error, None)
    }
}

impl From<KnownHostsError> for Failure {
    fn from(error: KnownHostsError) -> Self {
        Self::hinted(error, None)
    }
}

impl From<Unknown> for Failure {
    fn from(error: Unknown) -> Self {
        let hint = match &error {
            Unknown::Address { address, known, .. } => {
                let known: Vec<String> = known.iter().map(ToString::to_string).collect();
                let near = nearest(&address.to_string(), known.iter().map(String::as_str));
                let near = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
                format!("{near}there are: {}", known.join(", "))
            }
            Unknown::Irreplaceable { .. } => {
                "what else differs from what was written is put right by any apply".to_owned()
            }
        };
        Self::Input {
            what: error.to_string(),
            hint: Some(hint),
        }
    }
}

/// A host that may not be changed is locked, refused or lost.
fn outcome_of(barred: &Barred) -> Outcome {
    match barred {
        Barred::Held { .. } => Outcome::Locked,
        Barred::NotOurs { .. } => Outcome::Refused,
        Barred::Lost { .. } => Outcome::Failed,
    }
}
