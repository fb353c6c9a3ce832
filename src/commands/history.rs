//! `provision history`: who applied what and when, and where the time went. Reads what is kept; asks nobody.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::Failure;
use super::kept::numbers;
use super::project::Project;
use super::terminal::{print, tell};
use crate::cli;
use crate::history::{Record, VERSION, table, timeline};

/// Prints the runs, or one of them, or draws it.
pub fn run(directory: &Path, args: &cli::History) -> Result<(), Failure> {
    let project = Project::find(directory, &args.environment)?;
    let numbers = numbers(&project.store)?;
    let none = || {
        Failure::input(
            format!("nothing was applied to `{}` here since records are kept", project.name),
            "the history of what was destroyed is kept with its state, in .provision/_destroyed/",
        )
    };
    if let Some(file) = &args.timeline {
        let number = args.number.or_else(|| numbers.last().copied()).ok_or_else(none)?;
        let record = one(&project, &numbers, number)?;
        std::fs::write(file, timeline::svg(&record))
            .map_err(|why| Failure::other(format!("failed to write {}", file.display()), why))?;
        tell(&format!("wrote run {number} to {}", file.display()));
        return Ok(());
    }
    if let Some(number) = args.number {
        let record = one(&project, &numbers, number)?;
        return match args.json {
            true => print(&json(&record)?),
            false => print(&table::one(&record)),
        };
    }
    let records: Vec<Record> = numbers
        .iter()
        .map(|number| read(&project, *number))
        .collect::<Result<_, _>>()?;
    match args.json {
        true => print(&json(&records)?),
        false if records.is_empty() => Err(none()),
        false => print(&table::runs(&records)),
    }
}

fn json(what: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(what).map_err(|why| Failure::other("failed to write JSON", why))?;
    Ok(format!("{text}\n"))
}

fn one(project: &Project, numbers: &[u64], number: u64) -> Result<Record, Failure> {
    if numbers.contains(&number) {
        return read(project, number);
    }
    let there = match (numbers.first(), numbers.last()) {
        (Some(first), Some(last)) => format!("there are {first} to {last}"),
        _ => "there is none".to_owned(),
    };
    Err(Failure::input(
        format!("there is no run {number} of `{}`", project.name),
        there,
    ))
}

fn read(project: &Project, number: u64) -> Result<Record, Failure> {
    let name = Record::name(number);
    let place = project.store.storage().place(&name);
    let damaged = |why: serde_json::Error| {
        Failure::other(format!("failed to read {place}"), why)
            .with_hint(format!("nothing depends on it: `{}`", place.removal()))
    };
    let bytes = project.store.get(&name)?.unwrap_or_default();
    let value: Value = serde_json::from_slice(&bytes).map_err(damaged)?;
    match value.get("version").and_then(Value::as_u64) {
        Some(version) if version > u64::from(VERSION) => Err(Failure::input(
            format!("{place} has version {version}, and this program reads version {VERSION}"),
            "use the provision that wrote it, or a newer one",
        )),
        _ => Record::deserialize(value).map_err(damaged),
    }
}
