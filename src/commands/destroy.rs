//! `provision destroy`: the way back, with proof.

use std::path::Path;

use super::Failure;
use super::clouds::provider_of;
use super::locked::{Keeper, lock};
use super::project::{Project, names, owner};
use super::saved::Promise;
use super::shown::Shown;
use super::stop::until_stopped;
use super::terminal::{confirm_by_typing, tell};
use crate::apply::{Keep, Removal, apply};
use crate::cli;
use crate::environment::diagnostic::Source;
use crate::environment::model::Environment;
use crate::environment::{FOLDER, decode};
use crate::names::Address;
use crate::observe::{Host, Observed};
use crate::plan::{Action, Plan, is_existing, plan_destroy};
use crate::planfile::{Basis, Mode, PlanFile};
use crate::progress::stream::Outcome;
use crate::provider::{KEPT, Part, Provider, STAYS, Sight};
use crate::state::{Record, State, Status};

/// Destroys, and tells how it ended.
pub async fn run(directory: &Path, args: &cli::Destroy) -> Result<(), Failure> {
    let shown = Shown::begin("destroy", Some(args.environment.environment()), args.json);
    let ended = Box::pin(take_down(directory, args, None, &shown)).await;
    shown.end(ended)
}

/// Does what a saved plan says; it stands for the question.
pub async fn promised(
    directory: &Path,
    args: &cli::Apply,
    promise: &Promise,
    keep_volume: bool,
    shown: &Shown,
) -> Result<(), Failure> {
    let args = cli::Destroy {
        environment: promise.environment(),
        yes: true,
        keep_volume,
        delete_volumes: !keep_volume,
        json: args.json,
        locking: args.locking.clone(),
    };
    take_down(directory, &args, Some(promise), shown).await
}

/// What a destroy would do, as it is saved. Reads only.
pub async fn planned(directory: &Path, args: &cli::Plan) -> Result<PlanFile, Failure> {
    let project = Project::find(directory, &args.environment)?;
    let state = project.applied()?;
    let file = file(&project)?;
    let environment = file.as_ref().map(decode::decode).transpose()?;
    let protect = environment.as_ref().is_some_and(|environment| environment.protect);
    let keep_volume = keeps(&state, args.keep_volume, args.delete_volumes);
    let plan = plan_destroy(&state, protect, keep_volume);
    let provider = provider_of(environment.as_ref(), &state).await?;
    document(&provider, &state, file.as_ref(), &plan, keep_volume).await
}

/// The plan of a destroy as it would be saved now.
async fn document(
    provider: &Provider,
    state: &State,
    file: Option<&Source>,
    plan: &Plan,
    keep_volume: bool,
) -> Result<PlanFile, Failure> {
    let Sight {
        instance,
        parts,
        news,
        obstacles,
    } = provider.observe(&owner(state), &names(state, None)).await?;
    let observed = Observed {
        instance,
        parts,
        provider: provider.facts(),
        news,
        obstacles,
        // What is on it goes with it, whatever it is.
        host: Host::NotYet,
    };
    let file = file.map(|file| (file.name.as_str(), file.text.as_ref()));
    let basis = Basis::of_destroy(file, &observed, plan);
    let mode = Mode::Destroy { keep_volume };
    let origin = (state.file.clone(), state.vars.clone());
    Ok(PlanFile::new(mode, basis, plan, origin, jiff::Timestamp::now()))
}

/// Whether data stays: with a machine of ours it goes unless somebody says otherwise, on a host that stays it is the other way round.
fn keeps(state: &State, keep_volume: bool, delete_volumes: bool) -> bool {
    keep_volume || is_existing(state) && !delete_volumes
}

/// Takes everything back; exits non-zero and keeps the state when something is left.
async fn take_down(
    directory: &Path,
    args: &cli::Destroy,
    promise: Option<&Promise>,
    shown: &Shown,
) -> Result<(), Failure> {
    let stop = shown.stopping();
    let project = Project::find(directory, &args.environment)?;
    if project.store.load()?.is_none() {
        if let Some(promise) = promise {
            return Err(promise.outlived("the state: there is none any more"));
        }
        tell(&format!(
            "there is no state of `{0}`: nothing to destroy. When it was lost, `provision state rebuild {0}` writes it again",
            project.name
        ));
        return Ok(());
    }
    let lock = until_stopped(&stop, lock(&project.store, "destroy", &args.locking)).await?;
    let _heartbeat = lock.heartbeat();
    let mut state = project.applied()?;
    let file = file(&project)?;
    let environment = file.as_ref().map(decode::decode).transpose()?;
    let protect = environment.as_ref().is_some_and(|environment| environment.protect);
    let keep_volume = keeps(&state, args.keep_volume, args.delete_volumes);
    let plan = plan_destroy(&state, protect, keep_volume);
    shown.plan(&plan);
    if !plan.refusals.is_empty() {
        return Err(Failure::Refused);
    }
    if !args.yes {
        confirm_by_typing(&format!("Type {} to destroy it", project.name), project.name.as_str())?;
    }

    let provider = until_stopped(&stop, provider_of(environment.as_ref(), &state)).await?;
    if let Some(promise) = promise {
        let now = document(&provider, &state, file.as_ref(), &plan, keep_volume);
        promise.agrees(&until_stopped(&stop, now).await?)?;
    }
    shown.keep(&project);
    let mut keep = Keeper {
        store: project.store.clone(),
        lock: &lock,
    };
    let kept = take_back(&provider, &mut state, &plan, &mut keep, shown).await?;
    for line in &kept {
        tell(line);
    }
    // What is kept of the run goes where the state goes.
    shown.close(Outcome::Done, None);
    let archive = project.store.archive_and_remove(jiff::Timestamp::now())?;
    let but = if kept.is_empty() {
        ""
    } else {
        " but what is named above"
    };
    tell(&format!(
        "{} is gone: nothing of it is left{but}. Its state is kept in {}",
        project.name, archive
    ));
    Ok(())
}

/// Carries the plan of a destroy out and looks that nothing is left. Tells what was kept on purpose.
///
/// # Errors
/// When a step fails, or something is left.
pub async fn take_back(
    provider: &Provider,
    state: &mut State,
    plan: &Plan,
    keep: &mut dyn Keep,
    shown: &Shown,
) -> Result<Vec<String>, Failure> {
    let owner = owner(state);
    let names = names(state, None);
    let mut world = Removal {
        provider,
        owner: &owner,
    };
    apply(
        plan,
        state,
        keep,
        &mut world,
        &|event| shown.event(&event),
        &shown.stopping(),
    )
    .await?;
    let left = provider.leftovers(&owner, &names).await?;
    // What is kept without having been asked for is left.
    let keeps = plan.steps.iter().any(|step| {
        matches!(
            step.action,
            Action::KeepPart | Action::DestroyInstance { keep_volume: true }
        )
    });
    let on_purpose = |line: &String| keeps && line.starts_with(KEPT) || line.starts_with(STAYS);
    let (kept, left): (Vec<String>, Vec<String>) = left.into_iter().partition(on_purpose);
    if !left.is_empty() {
        let seen = provider.observe(&owner, &names).await?;
        write_down(state, provider, seen);
        keep.keep(state)
            .map_err(|why| Failure::from(crate::apply::ApplyError::Keep(why)))?;
        let left: Vec<&str> = left.iter().map(|line| line.trim_start_matches(KEPT)).collect();
        return Err(Failure::Other {
            what: format!(
                "failed to destroy all of `{}`; left: {}",
                state.environment,
                left.join(", ")
            )
            .into(),
            hint: Some("run destroy again; the state is kept until nothing is left".into()),
        });
    }
    Ok(kept)
}

/// Records what is left though the state has no word of it, as after an older state was put back: only what is recorded is
/// planned, and so taken back, by the next run.
fn write_down(state: &mut State, provider: &Provider, seen: Sight) {
    let instance = seen.instance.map(|instance| Part {
        id: instance.id,
        attributes: instance.attributes,
        facts: instance.facts,
    });
    let instance = instance.map(|part| (Address::MachineInstance, part));
    for (address, part) in seen.parts.into_iter().chain(instance) {
        state.resources.entry(address).or_insert_with(|| {
            let mut facts = provider.facts();
            facts.extend(part.facts);
            Record {
                status: Status::Removing,
                id: Some(part.id),
                attributes: part.attributes,
                facts,
                changed_at: jiff::Timestamp::now(),
            }
        });
    }
}

/// The environment's file. One that is gone protects nothing; one that cannot be read protects all until somebody mends it or
/// takes it away.
pub fn written(project: &Project) -> Result<Option<Environment>, Failure> {
    Ok(file(project)?.as_ref().map(decode::decode).transpose()?)
}

fn file(project: &Project) -> Result<Option<Source>, Failure> {
    let name = format!("{FOLDER}/{}.toml", project.origin.file);
    let path = project.root.join(&name);
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(Source::read(&path, &name)?))
}
