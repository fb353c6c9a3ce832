//! Secrets with new values: which stacks they make differ, and whom that makes anew. What is compared are fingerprints.

use std::collections::BTreeMap;

use super::{Difference, Origin};
use crate::desired::{DesiredStack, Users};
use crate::render::Bindings;
use crate::render::compose::{FILES_LABEL, OVERRIDE};
use crate::state::Record;

/// What the names of a stack's attributes begin with that hold fingerprints.
pub const PREFIX: &str = "secret.";

/// What the fingerprint of an empty text is: of former values, when none holds any more.
const NONE: &str = "none";

/// What the state records of a stack's secrets: a fingerprint each.
pub fn fingerprints(stack: &DesiredStack, known: &Bindings) -> BTreeMap<String, String> {
    let of = |name: &String| {
        let empty = known.secrets.get(name).is_some_and(|value| value.expose().is_empty());
        match empty {
            true => Some(NONE.to_owned()),
            false => known.fingerprint(name),
        }
    };
    stack
        .secrets
        .keys()
        .filter_map(|name| Some((format!("{PREFIX}{name}"), of(name)?)))
        .collect()
}

/// Every secret of the stack that has another value than at its last deploy. One that the state knows nothing of is not
/// among them: either the files that use it are new as well, or the state is of a build that recorded none.
pub fn rotated(stack: &DesiredStack, record: &Record, wanted: &BTreeMap<String, String>) -> Vec<Difference> {
    let differing = stack.secrets.iter().filter_map(|(name, users)| {
        let attribute = format!("{PREFIX}{name}");
        let (old, new) = (record.attributes.get(&attribute)?, wanted.get(&attribute)?);
        (old != new).then_some((name, users, old.as_str(), new.as_str()))
    });
    differing
        .map(|(name, users, old, new)| {
            let (old, new) = match (old, new) {
                (NONE, _) => ("empty", "the values before it"),
                (_, NONE) => ("the values before it", "dropped"),
                _ => ("as deployed", "rotated"),
            };
            Difference {
                subject: format!("secret {name}"),
                old: Some(old.to_owned()),
                new: Some(format!("{new}; {}", restarts(stack, users))),
                origin: Origin::Files,
            }
        })
        .collect()
}

/// Whom a new value makes anew.
pub fn restarts(stack: &DesiredStack, users: &Users) -> String {
    let runs = |name: &&String| {
        stack
            .services
            .get(*name)
            .is_some_and(|service| service.instances.is_some())
    };
    match users {
        Users::Stack => "which services use it cannot be told, so any of the stack may restart".to_owned(),
        Users::Reload => "taken in without a restart".to_owned(),
        Users::Services(services) => {
            let names: Vec<&str> = services.iter().filter(runs).map(String::as_str).collect();
            match names.as_slice() {
                [] => "restarts nothing, jobs alone use it".to_owned(),
                names => format!("restarts {}", names.join(", ")),
            }
        }
    }
}

/// Whether a difference is one of the override's labels and nothing else.
pub fn is_label_alone(difference: &Difference) -> bool {
    let (Some(old), Some(new)) = (&difference.old, &difference.new) else {
        return false;
    };
    let without = |text: &str| -> Vec<String> {
        let label = format!("{FILES_LABEL}:");
        let others = text.lines().filter(|line| !line.trim_start().starts_with(&label));
        others.map(str::to_owned).collect()
    };
    difference.subject == OVERRIDE && without(old) == without(new)
}
