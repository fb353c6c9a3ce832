//! `[state]`: where the state is kept. It is read before the rest of the file, and also where the rest cannot be understood: what is to
//! be taken back must be found.

use std::path::Path;

use super::diagnostic::{Problem, Problems, Source};
use super::model::{BackendKind, StateTable};
use super::{FOLDER, decode, stack};
use crate::names::EnvironmentName;

/// Reads `[state]` of an environment's file; `None` when there is no such file.
///
/// # Errors
/// What is wrong with the table, or what keeps the file from being TOML.
pub fn written_state(root: &Path, file: &EnvironmentName) -> Result<Option<StateTable>, Problems> {
    let path = root.join(FOLDER).join(format!("{file}.toml"));
    if !path.is_file() {
        return Ok(None);
    }
    let source = Source::read(&path, &stack::shown(&path, root))?;
    let table = decode::state(&source)?;
    Problems::check(check(&source, &table))?;
    Ok(Some(table))
}

/// What is wrong with the values of the table.
pub(super) fn check(source: &Source, table: &StateTable) -> Vec<Problem> {
    let StateTable {
        backend,
        bucket,
        key,
        region,
        endpoint,
        profile,
    } = table;
    let at = |name: &str| Problem::at(source, source.span_of(&["state", name]));
    let mut problems = Vec::new();
    if *backend == BackendKind::Local {
        let given = [
            ("bucket", bucket.is_some()),
            ("key", key.is_some()),
            ("region", region.is_some()),
            ("endpoint", endpoint.is_some()),
            ("profile", profile.is_some()),
        ];
        let given = given.iter().filter(|(_, given)| *given);
        problems.extend(given.map(|(name, _)| {
            at(name)
                .says(format!("`{name}` means nothing for a state on this computer"))
                .help("write `backend = \"s3\"` beside it, or take it out")
        }));
        return problems;
    }
    match bucket {
        None => problems.push(
            Problem::at(source, source.span_of(&["state"]))
                .says("a state in S3 needs a bucket")
                .help("write `bucket = \"…\"`; nothing is made: it must exist"),
        ),
        Some(name) if !is_bucket(name.get()) => problems.push(
            at("bucket")
                .says(format!("`{}` is no name of a bucket", name.get()))
                .help("3 to 63 lowercase letters, digits, dots and hyphens, with a letter or digit at both ends"),
        ),
        Some(_) => {}
    }
    if let Some(key) = key
        && !is_key(key.get())
    {
        problems.push(
            at("key")
                .says(format!("`{}` is no beginning of a key", key.get()))
                .help("letters, digits, `-`, `_`, `.`, and `/` between them, such as `shop/state`"),
        );
    }
    if let Some(endpoint) = endpoint
        && !(is_url(endpoint.get(), "https://") || is_url(endpoint.get(), "http://"))
    {
        problems.push(
            at("endpoint")
                .says(format!("`{}` is no address of a service", endpoint.get()))
                .help("write it as `https://host` or `https://host:port`"),
        );
    }
    problems
}

/// The rules for names of buckets, as far as every service shares them.
fn is_bucket(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    (3..=63).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c))
        && edge(name.chars().next())
        && edge(name.chars().next_back())
}

fn is_key(key: &str) -> bool {
    key.split('/').all(|part| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    })
}

fn is_url(text: &str, scheme: &str) -> bool {
    text.strip_prefix(scheme)
        .is_some_and(|host| !host.is_empty() && !host.contains(char::is_whitespace))
}
