//! `provision secrets get`: the one command that prints a value.

use std::path::Path;

use super::super::Failure;
use super::super::terminal::print;
use super::Opened;
use crate::cli;
use crate::desired::secrets::rotating_from;
use crate::environment::secret::SecretSource;

/// Prints one value to standard output.
pub async fn run(directory: &Path, args: &cli::SecretsGet) -> Result<(), Failure> {
    let opened = Opened::read(directory, &args.environment)?;
    let name = args.secret.as_str();
    let former = opened
        .entries
        .iter()
        .any(|(secret, entry)| entry.retention.is_some() && rotating_from(secret) == name);
    if !former {
        let made = opened.keyring.bundle.secrets.contains_key(name);
        if matches!(opened.entry(name)?.source, SecretSource::Generate(_)) && !made {
            return Err(Failure::input(
                format!("`{name}` has no value yet"),
                format!("the first `provision apply {}` makes it", opened.project.name),
            ));
        }
    }
    let value = opened.keyring.value(name, &opened.sources, &opened.state).await?;
    let value = value.as_ref().map_or("", |value| value.expose());
    match args.raw {
        true => print(value),
        false => print(&format!("{value}\n")),
    }
}
