//! The Compose override that is put beside a stack's own file: shared network, labels, instances.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::RenderError;
use crate::names::{Digest, EnvironmentName, StackName};

/// The name of the override's file.
pub const OVERRIDE: &str = "compose.provision.yaml";

/// The label that carries the digest of the files a service mounts, and of the variables that its secrets and configs are copied from:
/// Compose sees a changed label and re-creates exactly the services whose files or values changed, which it does not do for these alone.
pub const FILES_LABEL: &str = "provision.files";

/// What one service gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceOverride {
    /// Digest over the files that the service mounts and the values that are copied into it; none when there are none.
    pub files: Option<Digest>,
    /// Instances, when asked for.
    pub scale: Option<u32>,
}

/// The control group of a service's containers: `systemd-cgtop` shows stacks and services by name, and what measures them
/// needs no access to Docker. A `-` in the name of a slice means another level.
fn slice(stack: &StackName, service: &str) -> String {
    let level = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    format!("provision-{}-{}.slice", level(stack.as_str()), level(service))
}

/// The override as YAML.
///
/// # Errors
/// When the document cannot be written, which no input leads to.
pub fn compose_override(
    environment: &EnvironmentName,
    stack: &StackName,
    network: &str,
    services: &BTreeMap<String, ServiceOverride>,
) -> Result<String, RenderError> {
    let services: Map<String, Value> = services
        .iter()
        .map(|(name, service)| {
            let ServiceOverride { files, scale } = service;
            let mut labels = Map::new();
            labels.insert("provision.environment".into(), json!(environment.as_str()));
            labels.insert("provision.stack".into(), json!(stack.as_str()));
            if let Some(digest) = files {
                labels.insert(FILES_LABEL.into(), json!(digest.short()));
            }
            let mut entry = Map::new();
            entry.insert("labels".into(), Value::Object(labels));
            entry.insert("cgroup_parent".into(), json!(slice(stack, name)));
            if let Some(count) = scale {
                entry.insert("scale".into(), json!(count));
            }
            (name.clone(), Value::Object(entry))
        })
        .collect();
    let document = json!({
        "name": stack.as_str(),
        "networks": {"default": {"name": network, "external": true}},
        "services": services,
    });
    let yaml = serde_saphyr::to_string(&document).map_err(|error| RenderError {
        what: format!("failed to write the Compose override of `{stack}`: {error}"),
        place: None,
        help: None,
    })?;
    Ok(format!(
        "# Written by provision beside the stack's own compose.yaml.\n{yaml}"
    ))
}
