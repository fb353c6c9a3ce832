//! Whose a name is: a TXT record beside it says so, at every provider of names in the same words.

use crate::names::{EnvironmentName, Lineage};
use crate::provider::ProviderError;

/// What stands before a name in the name of its ownership record.
const PREFIX: &str = "_provision.";

/// The name of a name's ownership record.
pub(super) fn name_of(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// The name that an ownership record is about.
pub(super) fn named(record: &str) -> Option<&str> {
    record.strip_prefix(PREFIX)
}

/// What an ownership record says.
pub(super) fn text(lineage: &str, environment: &str) -> String {
    format!("provision lineage={lineage} environment={environment}")
}

/// Whether a text says that a name is of this lineage. The environment's name is for people.
pub(super) fn is_of(text: &str, lineage: &Lineage) -> bool {
    text.trim_matches('"')
        .starts_with(&format!("provision lineage={lineage} "))
}

/// Lineage and environment of an ownership record; None for any other text.
pub(super) fn read(text: &str) -> Option<(Lineage, EnvironmentName)> {
    let words = text.trim_matches('"').strip_prefix("provision lineage=")?;
    let (lineage, environment) = words.split_once(" environment=")?;
    Some((lineage.parse().ok()?, environment.parse().ok()?))
}

/// An error before it is one: what stands in the way, and what to do.
pub(super) fn told(error: &ProviderError) -> String {
    match &error.remedy {
        Some(remedy) => format!("{error}; {remedy}"),
        None => error.to_string(),
    }
}

/// Somebody else has the name.
pub(super) fn refused(name: &str, zone: &str, why: &str) -> ProviderError {
    ProviderError::new(format!("failed to point `{name}` at the machine: {why}")).with_remedy(format!(
        "records of others are never overwritten: remove them from the zone {zone} when nobody needs them, or take `{name}` out of [routes]"
    ))
}
