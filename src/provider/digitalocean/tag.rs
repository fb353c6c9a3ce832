//! Tags as things of their own: made, put on, taken off, taken away. All of it may be done again and again.

use futures_util::future::try_join;
use serde_json::{Value, json};

use super::DigitalOcean;
use super::error::{self, CallError};
use super::marks::{self, Marks};
use super::wire::Tag;
use super::{droplet, volume};
use crate::provider::{Owner, ProviderError};

/// Something that can bear a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bearer {
    Droplet(u64),
    Volume(String),
}

impl Bearer {
    fn body(&self) -> Value {
        let (kind, id) = match self {
            Self::Droplet(id) => ("droplet", id.to_string()),
            Self::Volume(id) => ("volume", id.clone()),
        };
        json!({"resources": [{"resource_id": id, "resource_type": kind}]})
    }
}

/// Makes a tag, with no call that changes anything when it is there.
pub(super) async fn make(cloud: &DigitalOcean, name: &str) -> Result<(), ProviderError> {
    let what = || format!("failed to make the tag {name}");
    let there = || async {
        let there = cloud.client.find::<Tag>(&["tags", name]).await;
        there.map_err(error::of(what(), "tag:read"))
    };
    if there().await?.is_some() {
        return Ok(());
    }
    match cloud.client.put_on(&["tags"], json!({"name": name})).await {
        Ok(()) => Ok(()),
        // Somebody was faster.
        Err(refused) if matches!(refused.status(), Some(400 | 409 | 422)) => match there().await? {
            Some(_) => Ok(()),
            None => Err(error::failed(what(), "tag:create", refused)),
        },
        Err(other) => Err(error::failed(what(), "tag:create", other)),
    }
}

/// Takes a tag away, and so off everything. Nothing happens when it is gone.
pub(super) async fn delete(cloud: &DigitalOcean, name: &str) -> Result<(), ProviderError> {
    let what = || format!("failed to remove the tag {name}");
    cloud
        .client
        .delete(&["tags", name], None)
        .await
        .map_err(error::of(what(), "tag:delete"))
}

/// Brings a thing's tags to what they shall be, with no call when they are.
pub(super) async fn set(
    cloud: &DigitalOcean,
    bearer: &Bearer,
    wanted: &Marks,
    there: &Marks,
) -> Result<(), ProviderError> {
    let (set, drop) = wanted.missing(there);
    for name in set {
        make(cloud, name).await?;
        cloud
            .client
            .put_on(&["tags", name, "resources"], bearer.body())
            .await
            .map_err(error::of(format!("failed to tag {}", named(bearer)), "tag:create"))?;
    }
    for name in drop {
        let path = ["tags", name, "resources"];
        cloud
            .client
            .delete(&path, Some(bearer.body()))
            .await
            .map_err(error::of(
                format!("failed to take a tag off {}", named(bearer)),
                "tag:delete",
            ))?;
    }
    Ok(())
}

fn named(bearer: &Bearer) -> String {
    match bearer {
        Bearer::Droplet(id) => format!("the Droplet {id}"),
        Bearer::Volume(id) => format!("the volume {id}"),
    }
}

/// All tags of one life.
pub(super) async fn of_life(cloud: &DigitalOcean, owner: &Owner) -> Result<Vec<Tag>, ProviderError> {
    let start = marks::life(&owner.lineage);
    let mut tags = list(cloud).await?;
    tags.retain(|tag| {
        let name = tag.name.to_ascii_lowercase();
        name.strip_prefix(&start)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    });
    Ok(tags)
}

pub(super) async fn list(cloud: &DigitalOcean) -> Result<Vec<Tag>, ProviderError> {
    let listed: Result<Vec<Tag>, CallError> = cloud.client.list(&["tags"], &[]).await;
    listed.map_err(error::of("failed to list the tags of the account", "tag:read"))
}

/// Takes away the tags of a life at its end. While there is a Droplet or a volume with them, those stay that something bears;
/// and an address that is reserved keeps its own.
pub(super) async fn sweep(cloud: &DigitalOcean, owner: &Owner) -> Result<(), ProviderError> {
    let (droplets, data) = try_join(droplet::all(cloud, owner), volume::find(cloud, owner)).await?;
    let lives = !droplets.is_empty() || data.is_some();
    let address = marks::fact(&owner.lineage, marks::ADDRESS, "");
    for tag in of_life(cloud, owner).await? {
        let borne = tag.resources.as_ref().is_some_and(|resources| resources.count > 0);
        let stays = lives && borne || tag.name.to_ascii_lowercase().starts_with(&address);
        if !stays {
            delete(cloud, &tag.name).await?;
        }
    }
    Ok(())
}
