//! A person's own login, which takes no part in the session.

use std::process::ExitStatus;

use super::error::SessionError;
use super::master::Files;
use super::target::Target;
use crate::secret::IDENTITY_VARIABLE;

/// A login as the environment's target says, with a terminal where there is one.
#[derive(Debug)]
pub struct Interactive {
    command: std::process::Command,
    // Holds the configuration and the key for as long as ssh may read them.
    _files: Files,
}

impl Interactive {
    /// The login, or one command there in place of a shell; ssh joins its words as it always does.
    ///
    /// # Errors
    /// When the temporary files cannot be written.
    pub fn new(target: &Target, words: &[String], terminal: bool) -> Result<Self, SessionError> {
        let files = Files::write(target, false)?;
        let mut command = std::process::Command::new("ssh");
        command.env_remove(IDENTITY_VARIABLE).arg("-F").arg(files.config());
        command
            .arg(if terminal { "-t" } else { "-T" })
            .arg(target.destination());
        if !words.is_empty() {
            command.arg("--").args(words);
        }
        Ok(Self { command, _files: files })
    }

    /// Runs it to its end on this program's own terminal.
    ///
    /// # Errors
    /// When there is no ssh.
    pub async fn status(self) -> Result<ExitStatus, SessionError> {
        let Self { command, _files } = self;
        let mut command = tokio::process::Command::from(command);
        // Whoever stops waiting for it wants its end.
        command.kill_on_drop(true);
        command.status().await.map_err(|why| SessionError::NoSshBinary { why })
    }
}
