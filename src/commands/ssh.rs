//! `provision ssh`: a person's own login, under the pinned host key.

use std::io::IsTerminal as _;
use std::path::Path;

use super::Failure;
use super::keyring::Keyring;
use super::project::Project;
use crate::cli;
use crate::remote::Interactive;

/// Logs in, or runs one command there and ends with its exit code.
pub fn run(directory: &Path, args: &cli::Ssh) -> Result<(), Failure> {
    let project = Project::find(directory, &args.environment.name)?;
    let sources = project.sources()?;
    let state = project.applied()?;
    let keyring = Keyring::open(&project.store, &state, &sources)?;
    let endpoint = state.endpoint().ok_or_else(|| {
        Failure::input(
            "the machine has no address yet",
            format!("run `provision apply {}` first", project.name),
        )
    })?;
    let terminal = std::io::stdin().is_terminal() && (args.command.is_empty() || std::io::stdout().is_terminal());
    let status = Interactive::new(&keyring.reach()(&endpoint), &args.command, terminal)?.status()?;
    match status.code() {
        Some(0) => Ok(()),
        code => Err(Failure::Exit(
            code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255),
        )),
    }
}
