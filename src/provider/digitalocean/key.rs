//! `machine.key`: the public key that the first boot lets in, in the account's list of keys.
//!
//! An account has each key once. One that is there under another name is used and never taken away: it is somebody's.

use std::collections::BTreeMap;

use serde_json::json;

use super::error::{self, CallError};
use super::own::{once, shape};
use super::wire::Key;
use super::{DigitalOcean, marks, tag};
use crate::names::Address;
use crate::provider::spec::digitalocean::material;
use crate::provider::{Attributes, InstanceSpec, Owner, Part, ProviderError};

/// What observation tells of a key.
fn part(key: &Key) -> Part {
    Part {
        id: key.id.to_string(),
        attributes: Attributes::from([("public_key".to_owned(), material(&key.public_key))]),
        facts: BTreeMap::from([("name".to_owned(), key.name.clone())]),
    }
}

/// The key that the state knows. One that was never recorded is found when it is made.
pub(super) async fn observe(cloud: &DigitalOcean, owner: &Owner) -> Result<Option<Part>, ProviderError> {
    Ok(recorded(cloud, owner).await?.as_ref().map(part))
}

async fn recorded(cloud: &DigitalOcean, owner: &Owner) -> Result<Option<Key>, ProviderError> {
    let Some(id) = owner.ids.get(&Address::MachineKey) else {
        return Ok(None);
    };
    let found = cloud.client.find::<Key>(&["account", "keys", id]).await;
    found.map_err(error::of(
        format!("failed to look for the SSH key {id}"),
        "ssh_key:read",
    ))
}

/// All keys of the account. Ten such lists a minute are allowed (API, "Rate Limit"), so it is asked for only where one is
/// made or taken away.
pub(super) async fn list(cloud: &DigitalOcean) -> Result<Vec<Key>, ProviderError> {
    let listed: Result<Vec<Key>, CallError> = cloud.client.list(&["account", "keys"], &[]).await;
    listed.map_err(error::of("failed to list the SSH keys of the account", "ssh_key:read"))
}

/// Adds the key, or takes the one that is there.
pub(super) async fn ensure(cloud: &DigitalOcean, owner: &Owner, spec: &InstanceSpec) -> Result<Part, ProviderError> {
    let line = &shape(spec)?.public_key;
    let wanted = material(line);
    let right = |key: &Key| material(&key.public_key) == wanted;
    if let Some(key) = recorded(cloud, owner).await?.filter(right) {
        return Ok(part(&key));
    }
    let name = marks::name(owner);
    let mut right_one = None;
    for key in list(cloud).await? {
        if right(&key) {
            right_one = Some(key);
        } else if key.name == name {
            delete(cloud, &key).await?;
        }
    }
    if let Some(key) = right_one {
        return Ok(part(&key));
    }
    let body = json!({"name": name, "public_key": line.trim()});
    let made = once(
        cloud,
        || cloud.client.make::<Key>(&["account", "keys"], body.clone()),
        || async { Ok(list(cloud).await?.into_iter().find(right)) },
        error::of_ref("failed to add the SSH key", "ssh_key:create"),
    )
    .await;
    match made {
        Ok(key) => Ok(part(&key)),
        // Somebody was faster.
        Err(refused) => match list(cloud).await?.into_iter().find(right) {
            Some(key) => Ok(part(&key)),
            None => Err(refused),
        },
    }
}

/// Takes away the key of our name, and with it the last tags of this life.
pub(super) async fn remove(cloud: &DigitalOcean, owner: &Owner) -> Result<(), ProviderError> {
    let name = marks::name(owner);
    for key in list(cloud).await?.iter().filter(|key| key.name == name) {
        delete(cloud, key).await?;
    }
    tag::sweep(cloud, owner).await
}

async fn delete(cloud: &DigitalOcean, key: &Key) -> Result<(), ProviderError> {
    let id = key.id.to_string();
    cloud
        .client
        .delete(&["account", "keys", &id], None)
        .await
        .map_err(error::of(
            format!("failed to remove the SSH key {id}"),
            "ssh_key:delete",
        ))
}
