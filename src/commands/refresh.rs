//! `--refresh-only`: what changed outside, and nothing else: shown by `plan`, taken into the state by `apply`.

use std::path::Path;

use ipnet::IpNet;
use jiff::Timestamp;

use super::caller::{admitted, caller};
use super::clouds::provider;
use super::keyring::Keyring;
use super::locked::{Keeper, lock};
use super::project::{Project, desired, hang_up, look, owner};
use super::shown::Shown;
use super::stop::until_stopped;
use super::terminal::{color, confirm, print, tell};
use super::{Failure, output};
use crate::cli;
use crate::environment::Sources;
use crate::names::EnvironmentName;
use crate::observe::Observed;
use crate::plan::{Allowed, Plan, accept, plan, render_drift};
use crate::state::State;

/// Shows what changed outside, and tells how it ended. Writes nothing.
pub async fn show(directory: &Path, operator: Option<&IpNet>, args: &cli::Plan) -> Result<(), Failure> {
    let shown = Shown::begin("plan", Some(&args.environment.name), args.json);
    let ended = Box::pin(print_drift(directory, operator, args, &shown)).await;
    shown.end(ended)
}

async fn print_drift(
    directory: &Path,
    operator: Option<&IpNet>,
    args: &cli::Plan,
    shown: &Shown,
) -> Result<(), Failure> {
    let project = Project::find(directory, &args.environment)?;
    let sources = project.sources()?;
    let state = project.applied()?;
    let (plan, _) = looked(&project, &sources, &state, operator, shown).await?;
    shown.drift(&plan);
    if !args.json {
        let color = std::io::IsTerminal::is_terminal(&std::io::stdout()) && color();
        print(&render_drift(&plan, color))?;
    }
    ended(args.detailed_exitcode, &plan)
}

fn ended(detailed: bool, plan: &Plan) -> Result<(), Failure> {
    match (detailed, plan.drift.is_empty()) {
        (true, false) => Err(Failure::Pending),
        _ => Ok(()),
    }
}

/// Takes what changed outside into the state, and tells how it ended. Changes nothing else.
pub async fn take(directory: &Path, operator: Option<&IpNet>, args: &cli::Apply) -> Result<(), Failure> {
    let name = match &args.what {
        cli::Subject::Environment(name) => Some(name),
        cli::Subject::File(_) => None,
    };
    let shown = Shown::begin("apply", name, args.json);
    let ended = match name {
        Some(name) => Box::pin(accepted(directory, operator, args, name, &shown)).await,
        None => Err(Failure::input(
            "a saved plan says itself what is done",
            "give the environment's name with --refresh-only, or leave --refresh-only away",
        )),
    };
    shown.end(ended)
}

async fn accepted(
    directory: &Path,
    operator: Option<&IpNet>,
    args: &cli::Apply,
    name: &EnvironmentName,
    shown: &Shown,
) -> Result<(), Failure> {
    let stop = shown.stopping();
    let project = Project::find(directory, &cli::Name::of(name.clone()))?;
    let sources = project.sources()?;
    let lock = until_stopped(&stop, lock(&project.store, "apply --refresh-only", &args.locking)).await?;
    let _heartbeat = lock.heartbeat();
    let mut state = project.applied()?;
    let (plan, observed) = looked(&project, &sources, &state, operator, shown).await?;
    shown.drift(&plan);
    tell(render_drift(&plan, color()).trim_end());
    if !plan.drift.is_empty() {
        if !args.yes {
            confirm(&format!("Take this into the state of {}?", project.name))?;
        }
        accept(&mut state, &observed, Timestamp::now(), |_| true);
        // The machine may be found elsewhere by now.
        let keyring = Keyring::open(&project.store, &state, &sources).await?;
        let desired = desired(&sources, &keyring, &state)?;
        output::record(&project, &mut state, &desired)?;
        let mut keep = Keeper {
            store: project.store.clone(),
            lock: &lock,
        };
        keep.record(&mut state)?;
        tell(&format!(
            "{}: recorded; `provision plan {}` shows what the files ask for",
            project.name, project.name
        ));
    }
    lock.release()?;
    shown.outputs(&state.outputs);
    match args.json {
        true => Ok(()),
        false => output::show(&state, false),
    }
}

/// Looks, and plans for the sake of the drift in the plan.
async fn looked(
    project: &Project,
    sources: &Sources,
    state: &State,
    operator: Option<&IpNet>,
    shown: &Shown,
) -> Result<(Plan, Observed), Failure> {
    let stop = shown.stopping();
    let waiting = |note| shown.note(note);
    let keyring = Keyring::open(&project.store, state, sources).await?;
    let desired = desired(sources, &keyring, state)?;
    let provider = provider(&sources.environment, state).await?.lean();
    let caller = caller(&desired.instance.spec, operator).await?;
    let work = async {
        let looked = look(&provider, state, &desired, caller.as_ref(), &keyring, &waiting);
        let (observed, session) = until_stopped(&stop, looked).await?;
        hang_up(session).await;
        Ok(observed)
    };
    let observed = admitted(&provider, &owner(state), caller.as_ref(), work).await?;
    Ok((plan(&desired, state, &observed, Allowed::default()), observed))
}
