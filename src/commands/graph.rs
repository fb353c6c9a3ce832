//! `provision graph`: the environment as a picture. Asks neither network nor machine.

use std::path::Path;

use super::Failure;
use super::files::written;
use super::project::Project;
use super::terminal::{print, tell};
use crate::cli::{self, Drawing};
use crate::graph::{Picture, mermaid, svg};

/// Draws what was written.
pub fn run(directory: &Path, args: &cli::Graph) -> Result<(), Failure> {
    let project = Project::on_paper(directory, &args.environment)?;
    let picture = Picture::of(&written(&project)?);
    let drawn = match args.format {
        Drawing::Svg => svg(&picture),
        Drawing::Mermaid => mermaid(&picture),
    };
    let Some(file) = &args.out else {
        return print(&drawn);
    };
    std::fs::write(file, drawn).map_err(|why| {
        Failure::other(format!("failed to write {}", file.display()), why)
            .with_hint("give a file in a folder that is there and can be written to")
    })?;
    tell(&format!("wrote a picture of {} to {}", project.name, file.display()));
    Ok(())
}
