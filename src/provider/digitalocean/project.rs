//! The project that things are shown in: for people and their bills, it changes nothing else.

use serde::Deserialize;
use serde_json::json;

use super::DigitalOcean;
use super::client::Thing;
use super::error::{self, CallError};
use super::wire::Project;
use crate::provider::ProviderError;

/// What a project says of one thing that it was given.
#[derive(Debug, Clone, Deserialize)]
struct Assigned {
    #[serde(default)]
    urn: String,
    #[serde(default)]
    status: String,
}

impl Thing for Assigned {
    const ONE: &'static str = "resource";
    const MANY: &'static str = "resources";
}

pub(super) fn droplet(id: u64) -> String {
    format!("do:droplet:{id}")
}

pub(super) fn volume(id: &str) -> String {
    format!("do:volume:{id}")
}

/// Reserved addresses have their old name here.
pub(super) fn address(ip: &str) -> String {
    format!("do:floatingip:{ip}")
}

/// The identifier of a project that is named by its name or its identifier.
pub(super) async fn id(cloud: &DigitalOcean, name: &str) -> Result<String, ProviderError> {
    let listed: Result<Vec<Project>, CallError> = cloud.client.list(&["projects"], &[]).await;
    let projects = listed.map_err(error::of("failed to list the projects of the account", "project:read"))?;
    let mut fitting = projects
        .iter()
        .filter(|project| project.id == name || project.name == name);
    match (fitting.next(), fitting.next()) {
        (Some(project), None) => Ok(project.id.clone()),
        (Some(_), Some(_)) => Err(ProviderError::new(format!(
            "failed to choose the project: several are named `{name}`"
        ))
        .with_remedy("write its identifier: `doctl projects list`")),
        (None, _) => {
            let names: Vec<&str> = projects.iter().map(|project| project.name.as_str()).collect();
            Err(
                ProviderError::new(format!("failed to find the project `{name}`")).with_remedy(format!(
                    "there are: {}; a project is made in the console",
                    names.join(", ")
                )),
            )
        }
    }
}

/// Gives things to a project. Nothing happens to those that are in it.
pub(super) async fn assign(cloud: &DigitalOcean, name: &str, things: &[String]) -> Result<(), ProviderError> {
    let id = id(cloud, name).await?;
    let what = || format!("failed to put {} into the project `{name}`", things.join(", "));
    let answer = cloud
        .client
        .put_many::<Assigned>(&["projects", &id, "resources"], json!({"resources": things}))
        .await
        .map_err(error::of(what(), "project:assign_resource"))?;
    let left: Vec<String> = answer
        .into_iter()
        .filter(|one| matches!(one.status.as_str(), "not_found" | "service_down"))
        .map(|one| format!("{} ({})", one.urn, one.status))
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    Err(ProviderError::new(format!("{}: not taken: {}", what(), left.join(", "))).with_remedy("run it again"))
}
