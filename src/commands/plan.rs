//! `provision plan`: what would be done. Writes nothing but the file that it is told to.

use std::path::Path;

use ipnet::IpNet;
use jiff::Timestamp;

use super::caller::{admitted, caller};
use super::clouds::provider;
use super::keyring::Keyring;
use super::life::over;
use super::project::{Project, expected, hang_up, look, owner};
use super::shown::Shown;
use super::stop::until_stopped;
use super::terminal::tell;
use super::{Failure, costs, destroy, saved, show};
use crate::cli::{self, Subject};
use crate::plan::plan_with;
use crate::planfile::{Basis, Mode, PlanFile};

/// Plans, and tells how it ended.
pub async fn run(directory: &Path, operator: Option<&IpNet>, args: &cli::Plan) -> Result<(), Failure> {
    let shown = Shown::begin("plan", Some(args.environment.environment()), args.json);
    let ended = Box::pin(way(directory, operator, args, &shown)).await;
    shown.end(ended)
}

/// Plans, saves when that was asked for, and prints.
async fn way(directory: &Path, operator: Option<&IpNet>, args: &cli::Plan, shown: &Shown) -> Result<(), Failure> {
    let file = match args.destroy {
        true => until_stopped(&shown.stopping(), destroy::planned(directory, args)).await?,
        false => planned(directory, operator, args, shown).await?,
    };
    if let Some(path) = &args.out {
        saved::write(path, &file)?;
    }
    match args.json {
        true => shown.outline(&file.plan),
        false => show::print_plan(&file, false, args.format)?,
    }
    if let Some(path) = &args.out {
        tell(&format!(
            "saved; `provision apply {}` does this and nothing else",
            Subject::of(path)
        ));
    }
    match (args.detailed_exitcode, file.plan.is_empty()) {
        (true, false) => Err(Failure::Pending),
        _ => Ok(()),
    }
}

async fn planned(
    directory: &Path,
    operator: Option<&IpNet>,
    args: &cli::Plan,
    shown: &Shown,
) -> Result<PlanFile, Failure> {
    let stop = shown.stopping();
    let project = Project::find(directory, &args.environment)?;
    let sources = project.sources()?;
    let mut state = project.state()?;
    let ended = over(&mut state, jiff::Timestamp::now());
    let keyring = until_stopped(&stop, Keyring::open(&project.store, &state, &sources)).await?;
    let desired = expected(&sources, &keyring, &state)?;
    let options = saved::options(&args.scope, args.allow_data_loss);
    options.check(&desired, &state)?;
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
    let mut plan = plan_with(&desired, &state, &observed, &options);
    let basis = Basis::new(&sources, &desired, &observed, &plan);
    plan.notes.extend(ended.into_iter().chain(project.origin.notes()));
    costs::tell_of(&mut plan, &provider).await;
    let origin = project.origin.of_plan();
    Ok(PlanFile::new(
        Mode::apply(&options),
        basis,
        &plan,
        origin,
        Timestamp::now(),
    ))
}
