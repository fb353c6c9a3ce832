//! `provision show`: a saved plan, for people or for programs. Asks nothing but the file.

use serde_json::Value;

use super::terminal::print;
use super::{Failure, saved};
use crate::cli;
use crate::plan::{Outline, render_outline};
use crate::planfile::{PlanFile, markdown};

/// Reads and prints.
pub fn run(args: &cli::Show) -> Result<(), Failure> {
    let mut file = saved::read(&args.file)?;
    if !args.json {
        // Whoever wrote it: it shall not write over lines that the terminal has shown already.
        file.plan = printable(&file.plan)?;
    }
    print_plan(&file, args.json, args.format)
}

/// The plan without control characters in any of its texts.
fn printable(plan: &Outline) -> Result<Outline, Failure> {
    let mut value = serde_json::to_value(plan).map_err(unwritable)?;
    replace_controls(&mut value);
    serde_json::from_value(value).map_err(unwritable)
}

fn replace_controls(value: &mut Value) {
    match value {
        Value::String(text) => {
            let control = |c: char| c.is_control() && !"\n\r\t".contains(c);
            *text = text.replace(control, "\u{FFFD}");
        }
        Value::Array(values) => values.iter_mut().for_each(replace_controls),
        Value::Object(values) => values.values_mut().for_each(replace_controls),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn unwritable(why: serde_json::Error) -> Failure {
    Failure::other("failed to write the plan as JSON", why)
}

/// Prints a plan in the form that was asked for.
pub fn print_plan(file: &PlanFile, json: bool, format: cli::Format) -> Result<(), Failure> {
    let text = match (json, format) {
        (true, _) => file.line().map_err(unwritable)?,
        (false, cli::Format::Markdown) => markdown(file),
        (false, cli::Format::Text) => {
            let color = std::io::IsTerminal::is_terminal(&std::io::stdout()) && super::terminal::color();
            render_outline(&file.plan, color)
        }
    };
    print(&text)
}
