//! `provision state`: the state under the knife. Every command that changes it keeps it as it was first, and tells where.

use std::path::Path;

use jiff::Timestamp;

use super::Failure;
use super::locked::{Keeper, lock};
use super::project::Project;
use super::terminal::{confirm, print, tell};
use crate::cli;
use crate::names::Address;
use crate::state::storage::Place;
use crate::state::{Lock, Push, Record, State, Status, Store, StoreError};

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

/// Forgets what is recorded of an address, once it was said what the next plan makes of that.
pub async fn rm(directory: &Path, args: &cli::StateRm) -> Result<(), Failure> {
    let project = Project::find(directory, &args.environment)?;
    let lock = lock(&project.store, "state rm", &args.locking).await?;
    let _heartbeat = lock.heartbeat();
    let mut state = project.applied()?;
    let address = &args.address;
    recorded(&state, address)?;
    if *address == Address::MachineInstance && !args.force {
        tell(&format!(
            "refused: {address} is not forgotten, because its machine would be taken for a new one: it would be set up anew, and jobs \
             that run once would run on the data that is there. To let another environment have it, destroy this one with \
             --keep-volume; to forget it all the same, add --force"
        ));
        return Err(Failure::Refused);
    }
    tell(&format!(
        "{address} stays as it is and is forgotten. {}",
        consequence(address)
    ));
    if !args.yes {
        confirm(&format!("Forget {address} of {}?", project.name))?;
    }
    keep_before(&project.store, "rm")?;
    state.remove(address);
    let mut keep = Keeper {
        store: project.store.clone(),
        lock: &lock,
    };
    keep.record(&mut state)?;
    lock.release()?;
    tell(&format!(
        "{address} is forgotten\nnext: provision plan {}",
        project.name
    ));
    Ok(())
}

/// What the next plan makes of what is there and not recorded.
fn consequence(address: &Address) -> &'static str {
    match address {
        Address::MachineInstance => {
            "It is found by its lineage: the next apply takes it over again, sets it up as a new one, and runs the jobs that run \
             once."
        }
        Address::MachineKey
        | Address::MachineFirewall
        | Address::MachineVolume
        | Address::MachineAddress
        | Address::Dns(_) => {
            "It still bears this environment's tags, so the next plan finds it: it is taken over again, or removed when the file \
             asks for it no more. Only without the tag provision:lineage (of a name: its TXT record) is it nobody's."
        }
        Address::HostIdentity => "The next apply believes the pinned key, and has the host make a new one.",
        Address::HostBase => "The next apply runs the converge script again, which changes only what differs.",
        Address::Stack(_) => {
            "The next apply deploys it again: what is as it shall be goes on running, and jobs that run once run again. A stack that \
             the file names no more goes on running, and nobody takes it down."
        }
        Address::Ttl => "The next apply sets the machine's timer again.",
        Address::Edge => "The next apply deploys it again: what is as it shall be goes on running.",
    }
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
    let bytes = std::fs::read(&args.file).map_err(|why| {
        Failure::input(
            format!("failed to read {}: {why}", args.file.display()),
            "name a file that `provision state pull` printed, or a backup",
        )
    })?;
    // Told before anything is locked or written.
    let state = project
        .store
        .check(&bytes, &Place::Path(args.file.clone()))
        .map_err(unfit)?;
    let lock = lock(&project.store, "state push", &args.locking).await?;
    let _heartbeat = lock.heartbeat();
    let how = match project.store.load() {
        Ok(None) => Push::Successor,
        Ok(Some(there)) => match objection(&there, &state) {
            Some(why) if !args.force => {
                tell(&format!("refused: {why}. Add --force to put it there all the same"));
                return Err(Failure::Refused);
            }
            // A later serial than the one that is there is no way back, and yet no successor.
            None if there.serial == state.serial => Push::Successor,
            _ => Push::Forced,
        },
        Err(StoreError::Damaged { .. }) if args.force => Push::Forced,
        Err(other) => return Err(other.into()),
    };
    keep_before(&project.store, "push")?;
    lock.verify()?;
    let serial = match project.store.push(state, how) {
        Err(error @ StoreError::Backup { serial, .. }) => {
            tell(&format!("warning: {error}"));
            serial
        }
        other => other?.serial,
    };
    lock.release()?;
    tell(&format!(
        "the state of {name} is the one of {} now, as serial {serial}\nnext: provision plan {name}",
        args.file.display(),
        name = project.name
    ));
    Ok(())
}

/// Bytes that are no state of this environment.
fn unfit(error: StoreError) -> Failure {
    let hint = match &error {
        StoreError::Damaged { .. } => "name a file that `provision state pull` printed, or a backup".to_owned(),
        StoreError::OtherEnvironment { found, .. } => {
            format!("push it to `{found}`; no environment takes another one's state")
        }
        other => other.remedy(),
    };
    Failure::input(error.to_string(), hint)
}

/// Why a state should not take the place of the one that is there.
fn objection(there: &State, pushed: &State) -> Option<String> {
    if there.lineage != pushed.lineage {
        return Some(format!(
            "it is another life of the environment: its lineage is {}, and that of the state there is {}. What the one there knows \
             would be forgotten and go on costing money",
            pushed.lineage.as_str(),
            there.lineage.as_str()
        ));
    }
    (pushed.serial < there.serial).then(|| {
        format!(
            "it is older than the state there: serial {} against {}. What was done since then would be forgotten",
            pushed.serial, there.serial
        )
    })
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
    keep_before(&old, "migrate")?;
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

/// Keeps the state as it is, and tells where.
pub(super) fn keep_before(store: &Store, what: &str) -> Result<(), Failure> {
    if let Some(place) = store.keep_before(what, Timestamp::now())? {
        tell(&format!("note: the state as it was is kept as {place}"));
    }
    Ok(())
}
