//! Everything of ours in a region, whoever's it is, and taking over one thing that is not ours yet.

mod adopt;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{Instance, InstanceLifecycleType, Tag, Volume, VolumeState, VolumeType};

use futures_util::future::{join_all, try_join5};
use jiff::Timestamp;

pub(super) use self::adopt::adopt;
use super::costs::{NoPrice, Price, Prices, WITHIN};
use super::tags::{self, ADDRESS, ROOT, Tags};
use super::{Aws, error};
use crate::provider::{Found, Money, ProviderError};

/// What a thing costs by, until the prices are known.
enum By {
    Size(String),
    Gib(u32),
    Address,
    Nothing,
    Unknown,
}

/// See [`crate::provider::Provider::find`].
pub(super) async fn find(aws: &Aws) -> Result<Vec<Found>, ProviderError> {
    let (instances, volumes, groups, addresses, keys) =
        try_join5(instances(aws), volumes(aws), groups(aws), addresses(aws), keys(aws)).await?;
    let all: Vec<(Found, By)> = [instances, volumes, groups, addresses, keys]
        .into_iter()
        .flatten()
        .collect();
    let prices = Known::ask(aws, &all).await;
    let mut found: Vec<Found> = all
        .into_iter()
        .map(|(found, by)| Found {
            monthly: prices.monthly(&by),
            ..found
        })
        .collect();
    found.sort_by(|one, other| {
        let key = |found: &Found| {
            let Found {
                environment,
                lineage,
                address,
                id,
                ..
            } = found;
            (environment.clone(), lineage.clone(), address.clone(), id.clone())
        };
        key(one).cmp(&key(other))
    });
    Ok(found)
}

/// Something with our tags. None when they are not whole: then it is not known what to do with it.
fn tagged(tags: &[Tag], id: Option<&str>, created: Option<&DateTime>) -> Option<Found> {
    let tags = Tags::read(tags);
    Some(Found {
        address: tags.address()?,
        id: id?.to_owned(),
        environment: tags.environment()?,
        lineage: tags.lineage()?,
        created: created.and_then(|time| Timestamp::from_second(time.secs()).ok()),
        expires: tags.expires(),
        monthly: None,
    })
}

async fn instances(aws: &Aws) -> Result<Vec<(Found, By)>, ProviderError> {
    let mut pages = aws
        .ec2
        .describe_instances()
        .filters(tags::of_anybody())
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|why| error::failed("failed to list the instances", "ec2:DescribeInstances", why))?;
        let instances = page
            .reservations()
            .iter()
            .flat_map(|reservation| reservation.instances());
        found.extend(instances.filter_map(instance));
    }
    Ok(found)
}

fn instance(described: &Instance) -> Option<(Found, By)> {
    let state = described.state()?.name()?.as_str();
    if matches!(state, "terminated" | "shutting-down") {
        return None;
    }
    let found = tagged(described.tags(), described.instance_id(), described.launch_time())?;
    let by = match (state, described.instance_lifecycle(), described.instance_type()) {
        ("stopped" | "stopping", ..) => By::Nothing,
        (_, Some(InstanceLifecycleType::Spot), _) | (.., None) => By::Unknown,
        (.., Some(size)) => By::Size(size.as_str().to_owned()),
    };
    Some((found, by))
}

async fn volumes(aws: &Aws) -> Result<Vec<(Found, By)>, ProviderError> {
    let mut pages = aws
        .ec2
        .describe_volumes()
        .filters(tags::of_anybody())
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|why| error::failed("failed to list the volumes", "ec2:DescribeVolumes", why))?;
        found.extend(page.volumes().iter().filter_map(volume));
    }
    Ok(found)
}

fn volume(described: &Volume) -> Option<(Found, By)> {
    let is_root = Tags::read(described.tags()).get(ADDRESS) == Some(ROOT);
    match described.state() {
        Some(VolumeState::Deleted | VolumeState::Deleting) => return None,
        // A root disk lives and dies with its instance, which is in the list.
        Some(VolumeState::InUse) if is_root => return None,
        _ => {}
    }
    let found = tagged(described.tags(), described.volume_id(), described.create_time())?;
    let by = match (
        described.volume_type(),
        described.size().and_then(|gib| u32::try_from(gib).ok()),
    ) {
        (Some(VolumeType::Gp3), Some(gib)) => By::Gib(gib),
        _ => By::Unknown,
    };
    Some((found, by))
}

async fn groups(aws: &Aws) -> Result<Vec<(Found, By)>, ProviderError> {
    let mut pages = aws
        .ec2
        .describe_security_groups()
        .filters(tags::of_anybody())
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page =
            page.map_err(|why| error::failed("failed to list the security groups", "ec2:DescribeSecurityGroups", why))?;
        let groups = page.security_groups().iter();
        found.extend(groups.filter_map(|group| Some((tagged(group.tags(), group.group_id(), None)?, By::Nothing))));
    }
    Ok(found)
}

async fn addresses(aws: &Aws) -> Result<Vec<(Found, By)>, ProviderError> {
    let request = aws.ec2.describe_addresses().filters(tags::of_anybody());
    let answer = request
        .send()
        .await
        .map_err(|why| error::failed("failed to list the elastic IPs", "ec2:DescribeAddresses", why))?;
    let addresses = answer.addresses().iter();
    Ok(addresses
        .filter_map(|address| Some((tagged(address.tags(), address.allocation_id(), None)?, By::Address)))
        .collect())
}

async fn keys(aws: &Aws) -> Result<Vec<(Found, By)>, ProviderError> {
    let request = aws.ec2.describe_key_pairs().filters(tags::of_anybody());
    let answer = request
        .send()
        .await
        .map_err(|why| error::failed("failed to list the key pairs", "ec2:DescribeKeyPairs", why))?;
    let keys = answer.key_pairs().iter();
    Ok(keys
        .filter_map(|key| Some((tagged(key.tags(), key.key_pair_id(), key.create_time())?, By::Nothing)))
        .collect())
}

/// Prices, as far as they could be had in the time.
#[derive(Default)]
struct Known {
    sizes: BTreeMap<String, Price>,
    gib: Option<Price>,
    address: Option<Price>,
}

impl Known {
    async fn ask(aws: &Aws, all: &[(Found, By)]) -> Self {
        let mut sizes = BTreeSet::new();
        let (mut has_disks, mut has_addresses) = (false, false);
        for (_, by) in all {
            match by {
                By::Size(size) => _ = sizes.insert(size.clone()),
                By::Gib(_) => has_disks = true,
                By::Address => has_addresses = true,
                By::Nothing | By::Unknown => {}
            }
        }
        let prices = Prices::of(aws);
        let asked = async {
            let instances = join_all(sizes.into_iter().map(|size| {
                let prices = &prices;
                async move { Some((prices.instance(&size).await.ok()?, size)) }
            }));
            let disk = async { if has_disks { prices.disk().await } else { Err(NoPrice) } };
            let address = async {
                if has_addresses {
                    prices.address().await
                } else {
                    Err(NoPrice)
                }
            };
            let (instances, disk, address) = futures_util::future::join3(instances, disk, address).await;
            Self {
                sizes: instances
                    .into_iter()
                    .flatten()
                    .map(|(price, size)| (size, price))
                    .collect(),
                gib: disk.ok(),
                address: address.ok(),
            }
        };
        tokio::time::timeout(WITHIN, asked).await.unwrap_or_default()
    }

    fn monthly(&self, by: &By) -> Option<Money> {
        match by {
            By::Size(size) => self.sizes.get(size)?.hours(),
            By::Gib(gib) => self.gib?.times(u128::from(*gib)),
            By::Address => self.address?.hours(),
            By::Nothing => Some(Money(0)),
            By::Unknown => None,
        }
    }
}
