//! What went wrong, taken apart once: a person reads it as text, a program as fields.

use std::error::Error;

use super::terminal::{color, tell};
use crate::apply::ApplyError;
use crate::environment::diagnostic::Problem;
use crate::progress::stream;

/// One mistake in what was written.
pub fn mistake(problem: &Problem) -> stream::Problem {
    stream::Problem {
        message: problem.message.clone(),
        place: problem.place().map(|place| place.to_string()),
        hint: problem.help.clone(),
    }
}

/// An apply that ended early, with what a person needs to see of it.
pub fn of_apply(error: &ApplyError) -> stream::Error {
    let source = match error {
        ApplyError::Interrupted { .. } => None,
        ApplyError::Step { .. } | ApplyError::Keep(_) => error.source(),
    };
    let details = match error {
        ApplyError::Step { why, .. } => why.details().map(str::to_owned),
        ApplyError::Interrupted { .. } | ApplyError::Keep(_) => None,
    };
    stream::Error {
        details,
        ..explained(error.to_string(), source, error.remedy())
    }
}

/// With all causes, each once.
pub fn explained(what: String, mut why: Option<&(dyn Error + 'static)>, hint: Option<String>) -> stream::Error {
    let mut because = Vec::new();
    let mut last = what.clone();
    while let Some(cause) = why {
        let text = cause.to_string();
        // A transparent error repeats its cause.
        if text != last {
            because.push(text.clone());
        }
        last = text;
        why = cause.source();
    }
    stream::Error {
        what,
        because,
        hint: hint.filter(|hint| !hint.is_empty()),
        ..stream::Error::default()
    }
}

/// `error:` with its causes, and one `hint:` line.
pub fn message(explained: &stream::Error) {
    let style = |text: &str, style: console::Style| match color() {
        true => style.force_styling(true).apply_to(text).to_string(),
        false => text.to_owned(),
    };
    if let Some(details) = &explained.details {
        tell(details);
    }
    let error = style("error:", console::Style::new().red().bold());
    let mut text = format!("{error} {}", explained.what);
    for because in &explained.because {
        text.push_str(&format!("\n  because: {}", because.replace('\n', "\n           ")));
    }
    if let Some(hint) = &explained.hint {
        let styled = style("hint:", console::Style::new().cyan().bold());
        text.push_str(&format!("\n{styled} {hint}"));
    }
    tell(&text);
}
