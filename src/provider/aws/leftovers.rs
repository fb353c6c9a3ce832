//! The proof after a destroy: everything that still bears the owner's tags, of every kind that costs or blocks something.

use aws_sdk_ec2::types::{Snapshot, Volume, VolumeState};
use futures_util::future::{try_join, try_join5};

use super::tags::{self, Tags};
use super::{Aws, error, instance, observe};
use crate::names::Address;
use crate::provider::{KEPT, Owner, ProviderError};

/// See [`crate::provider::Provider::leftovers`].
///
/// # Errors
/// When the region cannot be asked.
pub async fn leftovers(aws: &Aws, owner: &Owner) -> Result<Vec<String>, ProviderError> {
    let by_tag = || tags::of_owner(owner);
    let ((instances, snapshots), volumes, groups, addresses, keys) = try_join5(
        try_join(instance::all(aws, owner), snapshots(aws, owner)),
        async {
            let failed = |why| error::failed("failed to look for volumes", "ec2:DescribeVolumes", why);
            aws.ec2
                .describe_volumes()
                .filters(by_tag())
                .send()
                .await
                .map_err(failed)
        },
        async {
            let failed = |why| error::failed("failed to look for security groups", "ec2:DescribeSecurityGroups", why);
            aws.ec2
                .describe_security_groups()
                .filters(by_tag())
                .send()
                .await
                .map_err(failed)
        },
        async {
            let failed = |why| error::failed("failed to look for addresses", "ec2:DescribeAddresses", why);
            aws.ec2
                .describe_addresses()
                .filters(by_tag())
                .send()
                .await
                .map_err(failed)
        },
        async {
            let failed = |why| error::failed("failed to look for key pairs", "ec2:DescribeKeyPairs", why);
            aws.ec2
                .describe_key_pairs()
                .filters(by_tag())
                .send()
                .await
                .map_err(failed)
        },
    )
    .await?;
    // A terminated instance is shown for an hour and is nothing any more.
    let instances = instances
        .iter()
        .filter(|machine| instance::state(machine).as_str() != "terminated");
    let mut left: Vec<String> = instances
        .map(|machine| {
            format!(
                "instance: {} ({})",
                instance::id(machine),
                instance::state(machine).as_str()
            )
        })
        .collect();
    left.extend(
        volumes
            .volumes()
            .iter()
            .filter(|volume| observe::stays(volume))
            .map(volume_line),
    );
    left.extend(
        snapshots
            .iter()
            .map(|one| format!("snapshot: {}", one.snapshot_id().unwrap_or_default())),
    );
    left.extend(addresses.addresses().iter().map(|one| {
        let id = one.allocation_id().unwrap_or_default();
        format!("address: {} ({id})", one.public_ip().unwrap_or_default())
    }));
    let groups = groups.security_groups().iter();
    left.extend(groups.map(|one| format!("security group: {}", one.group_id().unwrap_or_default())));
    let keys = keys.key_pairs().iter();
    left.extend(keys.map(|one| format!("key pair: {}", one.key_pair_id().unwrap_or_default())));
    Ok(left)
}

/// A data volume that nothing hangs on is one that was kept: taking it away is a step of its own, which fails when it does not.
fn volume_line(volume: &Volume) -> String {
    let is_data = Tags::read(volume.tags()).get(tags::ADDRESS) == Some(&Address::MachineVolume.to_string());
    let id = volume.volume_id().unwrap_or_default();
    let size = volume.size().unwrap_or_default();
    let zone = volume.availability_zone().unwrap_or_default();
    match (is_data, volume.state()) {
        (true, Some(VolumeState::Available)) => format!("{KEPT}data volume {id} ({size} GiB, {zone})"),
        (true, _) => format!("data volume: {id} ({size} GiB, {zone})"),
        (false, _) => format!("volume: {id} ({size} GiB, {zone})"),
    }
}

async fn snapshots(aws: &Aws, owner: &Owner) -> Result<Vec<Snapshot>, ProviderError> {
    let mut pages = aws
        .ec2
        .describe_snapshots()
        .owner_ids("self")
        .filters(tags::of_owner(owner))
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|why| error::failed("failed to look for snapshots", "ec2:DescribeSnapshots", why))?;
        found.extend(page.snapshots.unwrap_or_default());
    }
    Ok(found)
}
