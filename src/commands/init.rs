//! `provision init`: a commented environment file that applies as it is.

use std::io::Write as _;
use std::path::Path;

use super::Failure;
use super::terminal::tell;
use crate::cli;
use crate::environment::template::{Provider, template};
use crate::environment::{FOLDER, find_root};
use crate::state::Identity;

/// Writes `environments/<name>.toml`, never over an existing one.
pub fn run(directory: &Path, args: &cli::Init) -> Result<(), Failure> {
    let provider: Provider =
        args.provider
            .parse()
            .map_err(|error: crate::environment::template::UnknownProvider| {
                Failure::input(error.to_string(), "use --provider local, aws, digitalocean or ssh")
            })?;
    // Before anything is written: whoever has no identity is told so now and not at the first apply.
    let (identity, made) = Identity::load_or_create()?;
    if made {
        tell(&format!("note: {}", identity.notice()));
    }
    let start = std::path::absolute(directory)
        .map_err(|why| Failure::other(format!("failed to find {}", directory.display()), why))?;
    let root = find_root(&start).unwrap_or(start);
    let folder = root.join(FOLDER);
    let path = folder.join(format!("{}.toml", args.name));
    let failed = |why| Failure::other(format!("failed to write {}", path.display()), why);
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let mut file = match std::fs::File::create_new(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Failure::input(
                format!("{} exists already", path.display()),
                "choose another name, or edit that file",
            ));
        }
        Err(error) => return Err(failed(error)),
    };
    file.write_all(template(&args.name, provider).as_bytes())
        .map_err(failed)?;
    tell(&format!(
        "wrote {}\nnext: read it, then `provision apply {}`",
        path.display(),
        args.name
    ));
    Ok(())
}
