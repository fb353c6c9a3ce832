//! Standard output for data, standard error for people, and questions.

use std::io::{IsTerminal as _, Write as _};

use super::Failure;
use crate::apply::{ApplyError, Stop};

/// Writes data to standard output. A reader that went away ends us quietly, like any other Unix program.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::other("failed to write to standard output", error))
        }
        _ => Ok(()),
    }
}

/// Tells a person something. Nobody to tell it to is no reason to stop.
pub fn tell(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Whether people's output is coloured.
pub fn color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Asks yes or no. Without a terminal there is nobody to ask: an error, not a hang.
pub fn confirm(question: &str) -> Result<(), Failure> {
    require_terminal()?;
    let theme = dialoguer::theme::SimpleTheme;
    match dialoguer::Confirm::with_theme(&theme)
        .with_prompt(question)
        .default(false)
        .interact()
    {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::Declined),
        Err(error) => Err(unanswered(error)),
    }
}

/// Asks for a word that cannot be typed by accident.
pub fn confirm_by_typing(question: &str, word: &str) -> Result<(), Failure> {
    require_terminal()?;
    let theme = dialoguer::theme::SimpleTheme;
    let answer: Result<String, _> = dialoguer::Input::with_theme(&theme)
        .with_prompt(question)
        .allow_empty(true)
        .interact_text();
    match answer {
        Ok(typed) if typed.trim() == word => Ok(()),
        Ok(_) => Err(Failure::Declined),
        Err(error) => Err(unanswered(error)),
    }
}

/// Ctrl-C is an answer, too.
fn unanswered(error: dialoguer::Error) -> Failure {
    let dialoguer::Error::IO(error) = error;
    match error.kind() {
        std::io::ErrorKind::Interrupted => ApplyError::Interrupted {
            address: None,
            by: Stop::Interrupt,
        }
        .into(),
        _ => Failure::other("failed to ask", error),
    }
}

fn require_terminal() -> Result<(), Failure> {
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        return Ok(());
    }
    Err(Failure::input(
        "there is no terminal to ask for your consent",
        "add --yes when nobody is there to answer",
    ))
}
