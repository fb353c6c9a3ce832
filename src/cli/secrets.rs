//! `provision secrets …`

use clap::{Args, Subcommand};

use super::{Locking, Name};

/// `secrets`
#[derive(Debug, Args)]
pub struct Secrets {
    /// What to do.
    #[command(subcommand)]
    pub command: SecretsCommand,
}

/// What `secrets` does.
#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Show names, sources, ages and who uses them; never a value.
    List(SecretsList),
    /// Print one value to standard output.
    Get(SecretsGet),
    /// Put a value into the encrypted bundle: from standard input, or typed unseen.
    Set(SecretsSet),
    /// Give generated secrets new values; the next apply brings them out.
    Rotate(SecretsRotate),
    /// Change the values that are kept in the bundle, in your editor.
    Edit(SecretsEdit),
}

/// `secrets list`
#[derive(Debug, Args)]
pub struct SecretsList {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `secrets get`
#[derive(Debug, Args)]
pub struct SecretsGet {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// Which secret.
    pub secret: String,
    /// Print the value without a line end.
    #[arg(long)]
    pub raw: bool,
}

/// `secrets set`
#[derive(Debug, Args)]
pub struct SecretsSet {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// Which secret. Its value is never an argument: others could read it in the list of processes.
    pub secret: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locking: Locking,
}

/// `secrets rotate`
#[derive(Debug, Args)]
pub struct SecretsRotate {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// Which secrets.
    #[arg(required = true)]
    pub secrets: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locking: Locking,
}

/// `secrets edit`
#[derive(Debug, Args)]
pub struct SecretsEdit {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locking: Locking,
}
