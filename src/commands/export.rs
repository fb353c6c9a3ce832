//! `provision export compose`: all stacks of an environment as one Compose file that needs nothing beside it, for tools that
//! take a single file, such as Coolify.
//!
//! What a stack reads from its folder travels inside as `configs`; its variables are filled in; the machine and the edge
//! stay out. Of secrets there is only the name of a variable: their values are not asked for, here as everywhere.

mod files;
mod merge;
mod values;
mod words;

use std::path::Path;

use serde_json::Value;

use super::Failure;
use super::project::Project;
use super::terminal::{print, tell};
use crate::cli;
use crate::desired::Desired;
use merge::Merged;
use words::Variables;

/// Writes the file, and tells what to set where it runs.
pub fn compose(directory: &Path, args: &cli::ExportCompose) -> Result<(), Failure> {
    let project = Project::find(directory, &args.environment)?;
    let desired = super::files::written(&project)?;
    let variables = Variables::default();
    let merged = merge::merge(&desired, &variables)?;
    let text = document(&desired, &merged, &variables)?;
    for note in &merged.notes {
        tell(&format!("note: {note}"));
    }
    let names = variables.names();
    if !names.is_empty() {
        tell(&format!("set these where it runs: {}", names.join(", ")));
    }
    match &args.out {
        Some(path) => {
            std::fs::write(path, &text)
                .map_err(|why| Failure::other(format!("failed to write {}", path.display()), why))?;
            tell(&format!("wrote {}", path.display()));
            Ok(())
        }
        None => print(&text),
    }
}

/// The file with a head that says what it needs.
fn document(desired: &Desired, merged: &Merged, variables: &Variables) -> Result<String, Failure> {
    let mut head = format!(
        "# Made by `provision export compose {}` from {}.\n",
        desired.environment,
        match desired.stacks.len() {
            1 => "its stack".to_owned(),
            n => format!("its {n} stacks"),
        }
    );
    let names = variables.names();
    if !names.is_empty() {
        head.push_str("#\n# Set these variables; in passwords that stand in a URL use letters and digits only:\n");
        for name in names {
            head.push_str(&format!("#   {name}\n"));
        }
    }
    if let Some(edge) = &desired.edge {
        head.push_str("#\n# Nothing is published. What the edge made public, by path:\n");
        for route in &edge.routes {
            let path = route.path.as_deref().unwrap_or("/");
            let to = route.target.shown(&desired.bindings);
            let guard = route
                .guard
                .words()
                .map(|words| format!(", {words}"))
                .unwrap_or_default();
            head.push_str(&format!("#   {path} -> {to}{guard}\n"));
        }
    }
    if !merged.notes.is_empty() {
        head.push_str("#\n");
        for note in &merged.notes {
            head.push_str(&format!("# Note: {note}.\n"));
        }
    }
    let body = serde_saphyr::to_string(&Value::Object(merged.document.clone()))
        .map_err(|why| Failure::other("failed to write the Compose file", why))?;
    Ok(format!("{head}\n{body}"))
}
