//! Secrets in vaults of AWS: asked all at once, each once.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::Unavailable;
use crate::environment::model::{Environment, Machine};
use crate::environment::secret::{SecretSource, Vaulted};
use crate::secret::Secret;

/// What is asked of a vault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asked {
    /// A parameter of Systems Manager.
    Ssm(Vaulted),
    /// A secret of Secrets Manager.
    SecretsManager(Vaulted),
}

impl Asked {
    /// What a source asks of a vault, when it is in one.
    pub fn of(source: &SecretSource) -> Option<Self> {
        match source {
            SecretSource::Ssm(vaulted) => Some(Self::Ssm(vaulted.clone())),
            SecretSource::SecretsManager(vaulted) => Some(Self::SecretsManager(vaulted.clone())),
            SecretSource::Generate(_)
            | SecretSource::Bundle
            | SecretSource::Env(_)
            | SecretSource::File(_)
            | SecretSource::Command(_) => None,
        }
    }

    fn vaulted(&self) -> &Vaulted {
        match self {
            Self::Ssm(vaulted) | Self::SecretsManager(vaulted) => vaulted,
        }
    }
}

/// What is told for a vault that gave no answer at all.
pub(super) fn silent(asked: &Asked) -> Result<Secret, Unavailable> {
    Err(Unavailable {
        what: format!("{} was not answered", asked.vaulted().name),
        help: "run it again".to_owned(),
    })
}

/// Region and profile of the machine, where the secret names none.
fn place(environment: &Environment, vaulted: &Vaulted) -> (Option<String>, Option<String>) {
    let aws = match environment.machine.get() {
        Machine::Aws(aws) => Some(aws),
        Machine::Local(_) | Machine::Ssh(_) => None,
    };
    let region = aws
        .and_then(|aws| aws.region.as_ref())
        .map(|region| region.get().clone());
    let profile = aws
        .and_then(|aws| aws.profile.as_ref())
        .map(|profile| profile.get().clone());
    (vaulted.region.clone().or(region), vaulted.profile.clone().or(profile))
}

/// Asks.
#[cfg(feature = "aws")]
pub(super) async fn ask(
    environment: &Environment,
    asked: &BTreeSet<Asked>,
) -> BTreeMap<Asked, Result<Secret, Unavailable>> {
    use crate::provider::aws::vault::{Vault, Wanted, fetch};
    let wanted = |asked: &Asked| {
        let vaulted = asked.vaulted();
        let (region, profile) = place(environment, vaulted);
        Wanted {
            vault: match asked {
                Asked::Ssm(_) => Vault::Ssm,
                Asked::SecretsManager(_) => Vault::SecretsManager,
            },
            name: vaulted.name.clone(),
            region,
            profile,
        }
    };
    let answers = fetch(asked.iter().map(wanted).collect()).await;
    let told = answers.into_iter().map(|answer| {
        answer.map_err(|error| Unavailable {
            what: match &error.why {
                Some(why) => format!("{}: {why}", error.what),
                None => error.what.clone(),
            },
            help: error.remedy.unwrap_or_else(|| "run it again".to_owned()),
        })
    });
    asked.iter().cloned().zip(told).collect()
}

/// A build without the clouds says so.
#[cfg(not(feature = "aws"))]
pub(super) async fn ask(
    environment: &Environment,
    asked: &BTreeSet<Asked>,
) -> BTreeMap<Asked, Result<Secret, Unavailable>> {
    let refused = |asked: &Asked| {
        let (_region, _profile) = place(environment, asked.vaulted());
        Err(Unavailable {
            what: "it is in a vault of AWS, and this build has no AWS in it".to_owned(),
            help: "build it with its default features: cargo build --release".to_owned(),
        })
    };
    asked.iter().map(|asked| (asked.clone(), refused(asked))).collect()
}
