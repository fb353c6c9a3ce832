//! `provision plan`: what would be done. Writes nothing.

use std::path::Path;

use ipnet::IpNet;

use super::Failure;
use super::caller::{admitted, caller};
use super::clouds::provider;
use super::costs;
use super::keyring::Keyring;
use super::project::{Project, desired, hang_up, look, owner};
use super::shown::Shown;
use super::stop::until_stopped;
use super::terminal::print;
use crate::cli;
use crate::plan::{Allowed, plan, render_plan};

/// Plans, and tells how it ended.
pub async fn run(directory: &Path, operator: Option<&IpNet>, args: &cli::Plan) -> Result<(), Failure> {
    let shown = Shown::begin("plan", &args.environment.name, args.json);
    let ended = Box::pin(way(directory, operator, args, &shown)).await;
    shown.end(ended)
}

/// Plans and prints.
async fn way(directory: &Path, operator: Option<&IpNet>, args: &cli::Plan, shown: &Shown) -> Result<(), Failure> {
    let stop = shown.stopping();
    let project = Project::find(directory, &args.environment)?;
    let sources = project.sources()?;
    let state = project.state()?;
    let keyring = Keyring::open(&project.store, &state, &sources)?;
    let desired = desired(&sources, &keyring, &state)?;
    let provider = until_stopped(&stop, provider(&sources.environment, &state))
        .await?
        .lean();
    let caller = until_stopped(&stop, caller(&desired.instance.spec, operator)).await?;
    let waiting = |note| shown.note(note);
    let work = async {
        let looked = look(&provider, &state, &desired, caller.as_ref(), &keyring, &waiting);
        let (observed, session) = until_stopped(&stop, looked).await?;
        hang_up(session).await;
        Ok(observed)
    };
    let observed = admitted(&provider, &owner(&state), caller.as_ref(), work).await?;
    let mut plan = plan(&desired, &state, &observed, Allowed::default());
    costs::tell_of(&mut plan, &provider).await;
    match args.json {
        true => shown.plan(&plan),
        false => {
            let color = std::io::IsTerminal::is_terminal(&std::io::stdout()) && super::terminal::color();
            print(&render_plan(&plan, color))?;
        }
    }
    match (args.detailed_exitcode, plan.is_empty()) {
        (true, false) => Err(Failure::Pending),
        _ => Ok(()),
    }
}
