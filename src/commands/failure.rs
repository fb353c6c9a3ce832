//! What ended a command early: what a person reads, and the exit code.

use std::error::Error;

use crate::apply::ApplyError;
use crate::environment::LoadError;
use crate::environment::diagnostic::Problems;
use crate::observe::ObserveError;
use crate::provider::ProviderError;
use crate::remote::SessionError;
use crate::state::{BundleError, IdentityError, KeyError, KnownHostsError, LockError, StoreError};

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
    /// Protection, or data that would be lost. The reasons have been printed.
    Refused,
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
            Self::Refused => 5,
            Self::Pending => 2,
            Self::Apply(error) => match **error {
                ApplyError::Interrupted { .. } => 130,
                ApplyError::Step { .. } | ApplyError::Keep(_) => 1,
            },
            Self::Exit(code) => *code,
            Self::Declined | Self::Other { .. } => 1,
        }
    }

    /// Tells the person: what, why, what to do.
    pub fn print(&self) {
        match self {
            Self::Problems(problems) => {
                let width = usize::from(console::Term::stderr().size().1).clamp(60, 140);
                tell(problems.render(color(), width).trim_end());
            }
            Self::Input { what, hint } => message(what, None, hint.as_deref()),
            Self::Locked(error) => message(&error.to_string(), error.source(), Some(&error.remedy())),
            Self::Declined => message("nothing was done", None, None),
            Self::Refused | Self::Pending | Self::Exit(_) => {}
            Self::Apply(error) => print_apply(error),
            Self::Other { what, hint } => message(&what.to_string(), what.source(), hint.as_deref()),
        }
    }
}

fn print_apply(error: &ApplyError) {
    match error {
        ApplyError::Step { why, .. } => {
            if let Some(details) = why.details() {
                tell(details);
            }
            message(&error.to_string(), error.source(), why.remedy().as_deref());
        }
        ApplyError::Interrupted { .. } => {
            message(
                &error.to_string(),
                None,
                Some("what was done is recorded; run the same command again to go on"),
            );
        }
        ApplyError::Keep(_) => message(&error.to_string(), error.source(), None),
    }
}

/// `error:` with its causes, each once, and one `hint:` line.
fn message(what: &str, mut why: Option<&(dyn Error + 'static)>, hint: Option<&str>) {
    let style = |text: &str, style: console::Style| match color() {
        true => style.force_styling(true).apply_to(text).to_string(),
        false => text.to_owned(),
    };
    let mut text = format!("{} {what}", style("error:", console::Style::new().red().bold()));
    let mut last = what.to_owned();
    while let Some(cause) = why {
        let cause_text = cause.to_string();
        // A transparent error repeats its cause.
        if cause_text != last {
            text.push_str(&format!("\n  because: {}", cause_text.replace('\n', "\n           ")));
        }
        last = cause_text;
        why = cause.source();
    }
    if let Some(hint) = hint.filter(|hint| !hint.is_empty()) {
        text.push_str(&format!(
            "\n{} {hint}",
            style("hint:", console::Style::new().cyan().bold())
        ));
    }
    tell(&text);
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
            StoreError::Elsewhere { .. } | StoreError::NotBuilt => Self::input(error.to_string(), remedy),
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
