//! `provision secrets rotate`: new values for generated secrets. The next plan shows what that restarts.

use std::path::Path;

use jiff::Timestamp;

use super::super::Failure;
use super::super::terminal::tell;
use super::{Opened, elsewhere};
use crate::cli;
use crate::desired::secrets::rotating_from;
use crate::environment::secret::SecretSource;
use crate::state::bundle::Maker;
use crate::state::random_password;

/// Makes new values. All names are checked before one is made.
pub async fn run(directory: &Path, args: &cli::SecretsRotate) -> Result<(), Failure> {
    let (mut opened, lock) = Opened::locked(directory, &args.environment, "secrets rotate", &args.locking).await?;
    let mut lengths = Vec::new();
    for name in &args.secrets {
        match &opened.entry(name)?.source {
            SecretSource::Generate(length) => lengths.push((name.as_str(), usize::from(*length))),
            SecretSource::Bundle => {
                return Err(Failure::input(
                    format!("`{name}` is set by hand: nobody can make a value for it"),
                    format!("run `provision secrets set {} {name}`", opened.project.name),
                ));
            }
            source => return Err(elsewhere(name, source).unwrap_or(Failure::Declined)),
        }
    }
    let now = Timestamp::now();
    for (name, length) in lengths {
        let keep = opened.entry(name)?.retention.is_some();
        let bundle = &mut opened.keyring.bundle;
        bundle.put(name, random_password(length)?, Maker::Generated, keep, now);
    }
    opened.save(&lock)?;
    lock.release()?;
    for name in &args.secrets {
        opened.tell_of(name, "rotated")?;
        if let Some(retention) = opened.entry(name)?.retention {
            tell(&format!(
                "  the value before stays good as {{{{secrets.{}}}}}, until {retention:#} after the apply",
                rotating_from(name)
            ));
        }
    }
    opened.tell_next();
    Ok(())
}
