//! `provision show`: a saved plan, for people or for programs. Asks nothing but the file.

use super::terminal::print;
use super::{Failure, saved};
use crate::cli;
use crate::plan::render_outline;
use crate::planfile::{PlanFile, markdown};

/// Reads and prints.
pub fn run(args: &cli::Show) -> Result<(), Failure> {
    print_plan(&saved::read(&args.file)?, args.json, args.format)
}

/// Prints a plan in the form that was asked for.
pub fn print_plan(file: &PlanFile, json: bool, format: cli::Format) -> Result<(), Failure> {
    let text = match (json, format) {
        (true, _) => file
            .line()
            .map_err(|why| Failure::other("failed to write the plan as JSON", why))?,
        (false, cli::Format::Markdown) => markdown(file),
        (false, cli::Format::Text) => {
            let color = std::io::IsTerminal::is_terminal(&std::io::stdout()) && super::terminal::color();
            render_outline(&file.plan, color)
        }
    };
    print(&text)
}
