//! `provision plan`: what would be done. Writes nothing.

use std::path::Path;

use ipnet::IpNet;

use super::Failure;
use super::caller::{admitted, caller};
use super::clouds::provider;
use super::costs;
use super::keyring::Keyring;
use super::project::{Project, desired, hang_up, look, owner};
use super::shown::waiting;
use super::stop::{stop_on_signal, until_stopped};
use super::terminal::print;
use crate::cli;
use crate::plan::{Allowed, plan, render_plan};

/// Plans and prints.
pub async fn run(directory: &Path, operator: Option<&IpNet>, args: &cli::Plan) -> Result<(), Failure> {
    let project = Project::find(directory, &args.environment)?;
    let sources = project.sources()?;
    let state = project.state()?;
    let keyring = Keyring::open(&project.store, &state, &sources).await?;
    let desired = desired(&sources, &keyring, &state)?;
    let provider = provider(&sources.environment, &state).await?.lean();
    let caller = caller(&desired.instance.spec, operator).await?;
    let work = async {
        let looked = look(&provider, &state, &desired, caller.as_ref(), &keyring, &waiting);
        let (observed, session) = until_stopped(&stop_on_signal(), looked).await?;
        hang_up(session).await;
        Ok(observed)
    };
    let observed = admitted(&provider, &owner(&state), caller.as_ref(), work).await?;
    let mut plan = plan(&desired, &state, &observed, Allowed::default());
    costs::tell_of(&mut plan, &provider).await;
    let color = std::io::IsTerminal::is_terminal(&std::io::stdout()) && super::terminal::color();
    print(&render_plan(&plan, color))?;
    match (args.detailed_exitcode, plan.is_empty()) {
        (true, false) => Err(Failure::Pending),
        _ => Ok(()),
    }
}
