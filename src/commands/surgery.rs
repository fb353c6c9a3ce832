//! `provision state`: the state under the knife. Every command that changes it keeps it as it was first, and tells where.

use std::path::Path;

use jiff::Timestamp;

use super::Failure;
use super::locked::{Keeper, lock};
use super::project::Project;
use super::terminal::{confirm, print, tell};
use crate::apply::{ApplyError, Keep as _};
use crate::cli;
use crate::names::Address;
use crate::state::storage::Place;
use crate::state::{Lock, Record, State, Status, Store};

/// Lists what is recorded: address, how far it came, the provider's identifier.
pub fn list(directory: &Path, args: &cli::StateList) -> Result<(), Failure> {
    let state = Project::find(directory, &args.environment)?.applied()?;
    if args.json {
        return print(&format!("{:#}\n", serde_json::json!(state.resources)));
    }
    let width = state.resources.keys().map(|address| address.to_string().len()).max();
    let line = |(address, record): (&Address, &Record)| {
        let line = format!(
            "{:width$}  {:8}  {}",
            address.to_string(),
            word(record.status),
            record.id.as_deref().unwrap_or_default(),
            width = width.unwrap_or(0)
        );
        format!("{}\n", line.trim_end())
    };
    print(&state.resources.iter().map(line).collect::<String>())
}

/// Shows what is recorded of one address. There is no secret in it.
pub fn show(directory: &Path, args: &cli::StateShow) -> Result<(), Failure> {
    let state = Project::find(directory, &args.environment)?.applied()?;
    let record = recorded(&state, &args.address)?;
    if args.json {
        return print(&format!("{:#}\n", serde_json::json!(record)));
    }
    let Record {
        status,
        id,
        attributes,
        facts,
        changed_at,
    } = record;
    let mut text = format!("{}: {}, since {changed_at}\n", args.address, word(*status));
    if let Some(id) = id {
        text.push_str(&format!("id: {id}\n"));
    }
    for (what, values) in [("attributes", attributes), ("facts", facts)] {
        if values.is_empty() {
            continue;
        }
        text.push_str(&format!("{what}:\n"));
        for (name, value) in values {
            let value = value.trim_end().replace('\n', "\n      ");
            text.push_str(&format!("  {name}: {value}\n"));
        }
    }
    print(&text)
}

/// Forgets what is recorded of an address.
pub async fn rm(directory: &Path, args: &cli::StateRm) -> Result<(), Failure> {
    let project = Project::find(directory, &args.environment)?;
    let lock = lock(&project.store, "state rm", &args.locking).await?;
    let _heartbeat = lock.heartbeat();
    let mut state = project.applied()?;
    recorded(&state, &args.address)?;
    let then = match args.address.layer() {
        "machine"
            if state
                .provider()
                .is_some_and(|facts| facts.get("provider").is_some_and(|name| name != "local")) =>
        {
            "what bears our tags is found by the next plan, and taken over again"
        }
        "machine" => "the next plan finds it by its name, or makes another",
        "dns" => "a name that is ours by its ownership record is found by the next plan",
        _ => "the next plan does it once more",
    };
    if !args.yes {
        confirm(&format!("Forget {} ({then})?", args.address))?;
    }
    told(project.store.back_up_first()?.as_ref());
    state.remove(&args.address);
    let mut keep = Keeper {
        store: project.store.clone(),
        lock: &lock,
    };
    keep.keep(&mut state)
        .map_err(|why| Failure::from(ApplyError::Keep(why)))?;
    lock.release()?;
    tell(&format!("{} is forgotten: {then}", args.address));
    Ok(())
}

/// Prints the state as it is kept.
pub fn pull(directory: &Path, args: &cli::Pull) -> Result<(), Failure> {
    let project = Project::find(directory, &args.environment)?;
    match project.store.pull()? {
        Some(bytes) => print(&String::from_utf8_lossy(&bytes)),
        None => project.applied().map(|_| ()),
    }
}

/// Puts a state in the place of the one that is kept.
pub async fn push(directory: &Path, args: &cli::Push) -> Result<(), Failure> {
    let project = Project::find(directory, &args.environment)?;
    let bytes = std::fs::read(&args.file)
        .map_err(|why| Failure::input(format!("failed to read {}: {why}", args.file.display()), "name a file"))?;
    let state = project.store.check(&bytes, &Place::Path(args.file.clone()))?;
    let lock = lock(&project.store, "state push", &args.locking).await?;
    let _heartbeat = lock.heartbeat();
    let how = match args.force {
        true => crate::state::Push::Forced,
        false => crate::state::Push::Successor,
    };
    let state = project.store.push(state, how)?;
    lock.release()?;
    tell(&format!(
        "the state of {} is the one of {}, with serial {}; the one before is among the backups",
        project.name,
        args.file.display(),
        state.serial
    ));
    Ok(())
}

/// Moves everything that is kept to where the file says. Cut off anywhere, the old place counts, and the next run goes on.
pub async fn migrate(directory: &Path, args: &cli::Migrate) -> Result<(), Failure> {
    let project = Project::find(directory, &args.environment)?;
    let new = &project.store;
    let old = new.where_it_is(&project.root)?;
    if old.backend().is_same(new.backend()) {
        tell(&format!("{} is where its file says: {}", project.name, new.place()));
        return Ok(());
    }
    if old.pull()?.is_none() {
        return Err(Failure::input(
            format!("there is no state of `{}` in {}", project.name, old.place()),
            "an environment that was never applied has nothing to move",
        ));
    }
    let locked = async |store: &Store| {
        Lock::acquire(
            store.storage(),
            "state migrate",
            args.locking.lock_reason.as_deref(),
            args.locking.lock_wait,
        )
        .await
    };
    let here = locked(&old).await?;
    let _here = here.heartbeat();
    told(old.back_up_first()?.as_ref());
    let there = locked(new).await?;
    let _there = there.heartbeat();
    let seen = old.copy_all(new)?;
    here.verify()?;
    old.leave_for(new, seen.as_ref(), Timestamp::now())?;
    there.release()?;
    here.release()?;
    tell(&format!(
        "the state of {} is in {} now; the one in {} is put aside",
        project.name,
        new.place(),
        old.place()
    ));
    Ok(())
}

fn recorded<'a>(state: &'a State, address: &Address) -> Result<&'a Record, Failure> {
    state.record(address).ok_or_else(|| {
        let known: Vec<String> = state.resources.keys().map(Address::to_string).collect();
        Failure::input(
            format!(
                "there is no record of {address} in the state of `{}`",
                state.environment
            ),
            format!("there are: {}", known.join(", ")),
        )
    })
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Intended => "intended",
        Status::Present => "present",
        Status::Removing => "removing",
    }
}

fn told(backup: Option<&Place>) {
    if let Some(place) = backup {
        tell(&format!("the state as it was is kept as {place}"));
    }
}
