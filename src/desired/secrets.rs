//! Which secrets an environment needs, and where each comes from. Their values are somebody else's business.

use std::collections::BTreeMap;

use crate::environment::Sources;
use crate::environment::model::{Parameter, SecretSource};
use crate::names::StackName;

/// The name of the secret of one item of a stack's list: `postgres.shop`.
pub fn item_secret(stack: &StackName, item: &str) -> String {
    format!("{stack}.{item}")
}

/// Every secret by name. What the environment file says wins over what a stack's manifest says.
pub fn sources(sources: &Sources) -> BTreeMap<String, SecretSource> {
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
    for (name, secret) in &sources.environment.secrets {
        secrets.insert(name.clone(), secret.get().clone());
    }
    secrets
}
