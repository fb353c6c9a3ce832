//! The project that things are shown in: for people and their bills, it changes nothing else.
//!
//! A Droplet does not say which project it is in. So it is marked with the one that it was given to, and that one is asked
//! what it holds: one call more for an environment that names a project, none for others.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::json;

use super::DigitalOcean;
use super::client::Thing;
use super::error::{self, CallError};
use super::marks::{self, Marks};
use super::wire::Project;
use crate::names::{Address, Lineage};
use crate::provider::ProviderError;

/// The most that a tag holds.
const TAG: usize = 255;

/// What a project says of one thing in it, or that it was given.
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

/// A project that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    id: String,
    written: String,
}

impl Chosen {
    /// What the Droplet is marked with. A name that is too long for a tag is left out: then nobody's change is seen.
    pub(super) fn mark(&self, lineage: &Lineage) -> String {
        let written = escaped(&self.written);
        let mark = format!("{}:{written}", self.id);
        match marks::fact(lineage, marks::PROJECT, &mark).len() > TAG {
            true => format!("{}:", self.id),
            false => mark,
        }
    }
}

/// The project that is named by its name or its identifier.
pub(super) async fn choose(cloud: &DigitalOcean, name: &str) -> Result<Chosen, ProviderError> {
    let listed: Result<Vec<Project>, CallError> = cloud.client.list(&["projects"], &[]).await;
    let projects = listed.map_err(error::of("failed to list the projects of the account", "project:read"))?;
    let mut fitting = projects
        .iter()
        .filter(|project| project.id == name || project.name == name);
    match (fitting.next(), fitting.next()) {
        (Some(project), None) => Ok(Chosen {
            id: project.id.clone(),
            written: name.to_owned(),
        }),
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

/// Gives things to the project of this name.
pub(super) async fn give(cloud: &DigitalOcean, name: &str, things: &[String]) -> Result<(), ProviderError> {
    assign(cloud, &choose(cloud, name).await?, things).await
}

/// Gives things to a project, with no call that changes anything when they are in it.
pub(super) async fn assign(cloud: &DigitalOcean, to: &Chosen, things: &[String]) -> Result<(), ProviderError> {
    let there = held(cloud, &to.id).await?;
    let things: Vec<&String> = things.iter().filter(|urn| !there.contains(*urn)).collect();
    if things.is_empty() {
        return Ok(());
    }
    let what = || {
        format!(
            "failed to put {} into the project `{}`",
            things.iter().map(|urn| urn.as_str()).collect::<Vec<_>>().join(", "),
            to.written
        )
    };
    let answer = cloud
        .client
        .put_many::<Assigned>(&["projects", &to.id, "resources"], json!({"resources": things}))
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

/// The project that the Droplet is marked with, as the file writes it; or what of these is not in it. None without a mark.
pub(super) async fn observed(
    cloud: &DigitalOcean,
    marks: &Marks,
    things: &[(Address, String)],
) -> Result<Option<String>, ProviderError> {
    let Some((id, written)) = marks.get(marks::PROJECT).and_then(|mark| mark.split_once(':')) else {
        return Ok(None);
    };
    if written.is_empty() {
        return Ok(None);
    }
    let there = held(cloud, id).await?;
    let elsewhere: Vec<String> = things
        .iter()
        .filter(|(_, urn)| !there.contains(urn))
        .map(|(address, _)| address.to_string())
        .collect();
    Ok(Some(match elsewhere.is_empty() {
        true => unescaped(written),
        false => format!("another ({})", elsewhere.join(", ")),
    }))
}

/// What is in a project.
async fn held(cloud: &DigitalOcean, id: &str) -> Result<BTreeSet<String>, ProviderError> {
    match cloud.client.list::<Assigned>(&["projects", id, "resources"], &[]).await {
        Ok(there) => Ok(there.into_iter().map(|one| one.urn).collect()),
        // It can be deleted only when nothing is in it any more.
        Err(gone) if gone.is_gone() => Ok(BTreeSet::new()),
        Err(other) => {
            let what = format!("failed to look what is in the project {id}");
            Err(error::failed(what, "project:read", other))
        }
    }
}

/// With what a mark may hold and keeps as it is: small letters and digits; every other byte as `-` and two digits.
fn escaped(name: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("-{other:02x}"),
    };
    name.bytes().map(one).collect()
}

/// What [`escaped`] wrote; what it did not write is read as it stands.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let (taken, after) = rest.split_at(letter.len_utf8());
        let digits = (letter == '-').then(|| after.get(..2)).flatten();
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.extend(taken.bytes());
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_how_the_file_writes_the_project() {
        for name in [
            "shop",
            "My Shop 2",
            "4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679",
            "Küche.de",
            "a-b",
        ] {
            let lineage = Lineage::from_bytes([7; 16]);
            let chosen = Chosen {
                id: "4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679".to_owned(),
                written: name.to_owned(),
            };
            let tag = marks::fact(&lineage, marks::PROJECT, &chosen.mark(&lineage));
            let read = Marks::read(Some(&vec![tag]));
            let (id, written) = read.get(marks::PROJECT).unwrap().split_once(':').unwrap();
            assert_eq!((id, unescaped(written).as_str()), (chosen.id.as_str(), name));
        }
    }

    #[test]
    fn a_name_that_no_tag_holds_is_left_out() {
        let lineage = Lineage::from_bytes([7; 16]);
        let chosen = Chosen {
            id: "4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679".to_owned(),
            written: "A".repeat(175),
        };
        assert_eq!(chosen.mark(&lineage), format!("{}:", chosen.id));
    }
}
