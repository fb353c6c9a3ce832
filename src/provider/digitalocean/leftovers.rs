//! The proof after a destroy: everything that is still marked as the owner's, of every kind that costs or blocks something.

use futures_util::future::{try_join, try_join5};

use super::error::{self, CallError};
use super::marks::{self, Marks};
use super::wire::{Snapshot, Volume};
use super::{DigitalOcean, droplet, firewall, key, operator, tag, volume};
use crate::provider::{KEPT, Owner, ProviderError};

/// See [`crate::provider::Provider::leftovers`].
pub(super) async fn leftovers(cloud: &DigitalOcean, owner: &Owner) -> Result<Vec<String>, ProviderError> {
    let ((droplets, snapshots), volumes, firewalls, keys, tags) = try_join5(
        try_join(droplet::all(cloud, owner), snapshots(cloud)),
        volume::list(cloud, &[]),
        firewall::list(cloud),
        key::list(cloud),
        tag::of_life(cloud, owner),
    )
    .await?;
    let mut left: Vec<String> = droplets
        .iter()
        .map(|one| format!("droplet: {} ({})", one.id, one.status))
        .collect();
    let is_ours = |tags: Option<&Vec<String>>| Marks::read(tags).is_of(owner);
    left.extend(volumes.iter().filter(|one| is_ours(one.tags.as_ref())).map(volume_line));
    let ours = snapshots.iter().filter(|one| is_ours(one.tags.as_ref()));
    left.extend(ours.map(|one| format!("snapshot: {}", one.id)));
    let for_runs = operator::of(owner, &firewalls);
    left.extend(for_runs.iter().map(|one| format!("firewall of a run: {}", one.id)));
    let walls = firewall::of(owner, firewalls.clone());
    left.extend(walls.iter().map(|one| format!("firewall: {}", one.id)));
    let name = marks::name(owner);
    left.extend(
        keys.iter()
            .filter(|key| key.name == name)
            .map(|key| format!("SSH key: {}", key.id)),
    );
    let start = marks::fact(&owner.lineage, marks::ADDRESS, "");
    for tag in tags {
        let name = tag.name.to_ascii_lowercase();
        match name.strip_prefix(&start) {
            Some(ip) => left.push(format!("reserved address: {}", ip.replace('_', "."))),
            None if tag.resources.is_none_or(|resources| resources.count == 0) => left.push(format!("tag: {name}")),
            // It is on something that is told already.
            None => {}
        }
    }
    Ok(left)
}

/// A data volume that hangs on nothing is one that was kept: taking it away is a step of its own, which fails when it does not.
fn volume_line(volume: &Volume) -> String {
    let region = volume.region.as_ref().map_or("", |region| region.slug.as_str());
    let line = format!("{} ({} GiB, {region})", volume.id, volume.size_gigabytes);
    match volume.droplet_ids.as_ref().is_none_or(Vec::is_empty) {
        true => format!("{KEPT}data volume {line}"),
        false => format!("data volume: {line}"),
    }
}

async fn snapshots(cloud: &DigitalOcean) -> Result<Vec<Snapshot>, ProviderError> {
    let listed: Result<Vec<Snapshot>, CallError> = cloud.client.list(&["snapshots"], &[]).await;
    match listed {
        // None of them is ours to take, so it is no reason to fail that they may not be seen.
        Err(forbidden) if forbidden.status() == Some(403) => Ok(Vec::new()),
        other => other.map_err(error::of("failed to look for snapshots", "snapshot:read")),
    }
}
