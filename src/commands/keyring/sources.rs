//! Asks each secret's source for its value. What cannot be had is told all at once, at its line.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::super::Failure;
use super::vaults;
use crate::desired::{absolute, secrets};
use crate::environment::Sources;
use crate::environment::diagnostic::{Problem, Problems};
use crate::environment::secret::{SecretEntry, SecretSource};
use crate::names::EnvironmentName;
use crate::secret::{IDENTITY_VARIABLE, Secret};
use crate::state::bundle::Maker;
use crate::state::{Bundle, random_password};

/// Why a secret cannot be had, and what to do.
pub(super) struct Unavailable {
    pub what: String,
    pub help: String,
}

/// The values of all secrets, or of one and what belongs to it; the values before a rotation under their own name. What is
/// generated and not there yet is put into the bundle; values that hold no more are dropped from it.
pub(super) async fn values(
    sources: &Sources,
    environment: &EnvironmentName,
    bundle: &mut Bundle,
    now: Timestamp,
    only: Option<&str>,
) -> Result<BTreeMap<String, Secret>, Failure> {
    let mut entries = secrets::sources(sources);
    if let Some(only) = only {
        entries.retain(|name, entry| name == only || entry.retention.is_some() && secrets::rotating_from(name) == only);
    }
    let vaulted: BTreeSet<_> = entries
        .values()
        .filter_map(|entry| vaults::Asked::of(&entry.source))
        .collect();
    let mut told = vaults::ask(&sources.environment, &vaulted).await;
    let mut values = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, entry) in &entries {
        let value = match vaults::Asked::of(&entry.source) {
            Some(asked) => told.remove(&asked).unwrap_or_else(|| vaults::silent(&asked)),
            None => value(sources, environment, name, entry, bundle, now)?,
        };
        match value {
            Ok(secret) => {
                values.insert(name.clone(), secret);
            }
            Err(Unavailable { what, help }) => {
                let span = sources.file.span_of(&["secrets", name]);
                problems.push(
                    Problem::at(&sources.file, span)
                        .says(format!("secret `{name}`: {what}"))
                        .help(help),
                );
            }
        }
        bundle.forget(name, entry.retention, now);
        if let Some(retention) = entry.retention {
            let held = bundle.former(name, retention, now);
            let held: Vec<&str> = held.map(|former| former.value.expose()).collect();
            values.insert(secrets::rotating_from(name), Secret::new(held.join(",")));
        }
    }
    Problems::check(problems)?;
    Ok(values)
}

/// What is not in a vault.
fn value(
    sources: &Sources,
    environment: &EnvironmentName,
    name: &str,
    entry: &SecretEntry,
    bundle: &mut Bundle,
    now: Timestamp,
) -> Result<Result<Secret, Unavailable>, Failure> {
    Ok(match &entry.source {
        SecretSource::Generate(length) => match bundle.secrets.get(name) {
            Some(secret) => Ok(secret.clone()),
            None => {
                let made = random_password(usize::from(*length))?;
                bundle.put(name, made.clone(), Maker::Generated, false, now);
                Ok(made)
            }
        },
        SecretSource::Bundle => bundle.secrets.get(name).cloned().ok_or_else(|| Unavailable {
            what: "nobody has set it".to_owned(),
            help: format!("run `provision secrets set {environment} {name}`"),
        }),
        SecretSource::Env(variable) => std::env::var(variable).map(Secret::new).map_err(|_| Unavailable {
            what: format!("the environment variable {variable} is not set"),
            help: format!("export {variable}=…"),
        }),
        SecretSource::File(path) => {
            let path = absolute(&sources.directory, path);
            std::fs::read_to_string(&path)
                .map(|text| trimmed(&text))
                .map_err(|error| Unavailable {
                    what: format!("failed to read {}: {error}", path.display()),
                    help: "write the secret there".into(),
                })
        }
        SecretSource::Command(words) => command(words),
        SecretSource::Ssm(_) | SecretSource::SecretsManager(_) => Err(Unavailable {
            what: "it is in a vault".to_owned(),
            help: String::new(),
        }),
    })
}

/// One line end at the end belongs to the file or program, not to the secret.
fn trimmed(text: &str) -> Secret {
    let text = text.strip_suffix('\n').unwrap_or(text);
    Secret::new(text.strip_suffix('\r').unwrap_or(text))
}

fn command(words: &[String]) -> Result<Secret, Unavailable> {
    let unavailable = |what: String, help: String| Unavailable { what, help };
    let Some((program, args)) = words.split_first() else {
        return Err(unavailable(
            "the command is empty".into(),
            "write command = [\"program\", \"argument\"]".into(),
        ));
    };
    let output = std::process::Command::new(program)
        .args(args)
        // Whatever vault this is, our own key is none of its business.
        .env_remove(IDENTITY_VARIABLE)
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| {
            unavailable(
                format!("failed to run {program}: {error}"),
                format!("is {program} installed?"),
            )
        })?;
    if !output.status.success() {
        return Err(unavailable(
            format!("{program} ended with {}", output.status),
            "run it by hand to see why".into(),
        ));
    }
    match String::from_utf8(output.stdout) {
        Ok(text) => Ok(trimmed(&text)),
        Err(_) => Err(unavailable(
            format!("{program} printed something that is not text"),
            "a secret is UTF-8 text".into(),
        )),
    }
}
