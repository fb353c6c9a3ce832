//! Which secrets an environment needs, and where each comes from. Their values are somebody else's business.

use std::collections::BTreeMap;

use crate::environment::Sources;
use crate::environment::model::Parameter;
use crate::environment::secret::{SecretEntry, SecretSource};
use crate::names::StackName;

/// The secret that the file of `tls.key` is. No stack can have one of that name.
pub const TLS_KEY: &str = "edge.tls-key";

/// The name of the secret of one item of a stack's list: `postgres.shop`.
pub fn item_secret(stack: &StackName, item: &str) -> String {
    format!("{stack}.{item}")
}

/// The name under which the values before a rotation are known, newest first with commas between: `APP_KEY_ROTATING_FROM`.
pub fn rotating_from(name: &str) -> String {
    format!("{name}_ROTATING_FROM")
}

/// Every name that stands for a secret text in templates and marks: the secrets themselves, and the values before of those
/// that have a retention.
pub fn names(sources: &BTreeMap<String, SecretEntry>) -> impl Iterator<Item = String> {
    sources.iter().flat_map(|(name, entry)| {
        let before = entry.retention.map(|_| rotating_from(name));
        std::iter::once(name.clone()).chain(before)
    })
}

/// Every secret by name. What the environment file says wins over what a stack's manifest says.
pub fn sources(sources: &Sources) -> BTreeMap<String, SecretEntry> {
    let mut secrets = BTreeMap::new();
    for (stack, source) in &sources.stacks {
        for (name, secret) in &source.manifest.secrets {
            secrets.insert(name.clone(), secret.get().clone());
        }
        let written = sources
            .environment
            .stacks
            .iter()
            .find(|(name, _)| name.get() == stack.as_str())
            .map(|(_, s)| s);
        for (parameter, each) in &source.manifest.each {
            let default = source
                .manifest
                .parameters
                .get(parameter)
                .and_then(|d| d.default.as_ref())
                .map(|d| d.get());
            let value = written
                .and_then(|written| written.parameters.get(parameter))
                .or(default);
            if let (Some(secret), Some(Parameter::List(items))) = (&each.secret, value) {
                for item in items {
                    secrets.insert(item_secret(stack, item), secret.get().clone());
                }
            }
        }
    }
    if let Some(path) = sources.environment.tls.as_ref().and_then(|tls| tls.key_path()) {
        let file = SecretSource::File(path.get().clone());
        secrets.insert(TLS_KEY.to_owned(), SecretEntry::of(file));
    }
    for (name, secret) in &sources.environment.secrets {
        secrets.insert(name.clone(), secret.get().clone());
    }
    secrets
}
