//! `provision plan`: what would be done. Writes nothing.

use std::path::Path;

use super::Failure;
use super::apply::waiting;
use super::clouds::provider;
use super::keyring::Keyring;
use super::project::{Project, desired, hang_up, look};
use super::terminal::print;
use crate::cli;
use crate::plan::{Allowed, plan, render_plan};

/// Plans and prints.
pub async fn run(directory: &Path, args: &cli::Plan) -> Result<(), Failure> {
    let project = Project::find(directory, &args.environment.name)?;
    let sources = project.sources()?;
    let state = project.state()?;
    let keyring = Keyring::open(&project.store, &state, &sources)?;
    let desired = desired(&sources, &keyring, &state)?;
    let provider = provider(&sources.environment, &state).await?;
    let (observed, session) = look(&provider, &state, &desired, None, &keyring, &waiting).await?;
    let plan = plan(&desired, &state, &observed, Allowed::default());
    hang_up(session).await;
    let color = std::io::IsTerminal::is_terminal(&std::io::stdout()) && super::terminal::color();
    print(&render_plan(&plan, color))?;
    match (args.detailed_exitcode, plan.is_empty()) {
        (true, false) => Err(Failure::Pending),
        _ => Ok(()),
    }
}
