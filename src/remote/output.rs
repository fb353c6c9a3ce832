//! What a command leaves.

use std::process::ExitStatus;

use super::command::RemoteCommand;
use super::error::SessionError;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself.
    Code(i32),
    /// By a signal; the connection still stands.
    Signal,
}

/// What a command left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// All of its standard output (its lines went to the callback instead, if there was one).
    pub stdout: Vec<u8>,
    /// The last 64 KiB of its standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Whether it ended with code 0.
    pub fn success(&self) -> bool {
        self.exit == Exit::Code(0)
    }

    /// The exit code, when it ended by itself.
    pub fn code(&self) -> Option<i32> {
        match self.exit {
            Exit::Code(code) => Some(code),
            Exit::Signal => None,
        }
    }

    /// The last lines of standard error, for people.
    pub fn stderr_tail(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// The output of a command that has to succeed.
    ///
    /// # Errors
    /// [`SessionError::CommandFailed`] with the exit code and the last lines of standard error.
    pub fn checked(self, command: &RemoteCommand) -> Result<Self, SessionError> {
        if self.success() {
            return Ok(self);
        }
        Err(SessionError::CommandFailed {
            name: command.name.clone(),
            code: self.code(),
            stderr: self.stderr_tail(),
        })
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        status.code().map_or(Self::Signal, Self::Code)
    }
}
