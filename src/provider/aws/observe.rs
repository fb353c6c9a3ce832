//! What there is of one owner, in as few calls as can be: by tag, all at once; then what can only be asked for once the machine
//! is known, at once too.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Address as Described, Instance, KeyPairInfo, SecurityGroup, Tag, Volume};
use futures_util::future::{try_join, try_join3, try_join4};

use super::instance::{self, Beside};
use super::tags::{self, Tags};
use super::{Aws, address, error, firewall, image, key, settled, volume};
use crate::names::Address;
use crate::provider::{Owner, Part, ProviderError, Sight};

/// What a look at one kind of resource gives: everything with the owner's lineage, and what the state knows beside that.
trait Kind: Sized {
    /// Where it stands in plan and state.
    const ADDRESS: Address;
    /// The filter for an identifier.
    const ID: &'static str;
    async fn describe(aws: &Aws, filter: aws_sdk_ec2::types::Filter) -> Result<Vec<Self>, ProviderError>;
    fn id(&self) -> &str;
    fn tags(&self) -> &[Tag];
}

/// Looks by tag; and for what is recorded and did not come back so, once more by its identifier.
async fn look<T: Kind>(aws: &Aws, owner: &Owner) -> Result<Vec<T>, ProviderError> {
    let mut found = T::describe(aws, tags::of_owner(owner)).await?;
    if let Some(recorded) = owner.ids.get(&T::ADDRESS)
        && !found.iter().any(|one| one.id() == recorded)
    {
        let untagged = T::describe(aws, tags::filter(T::ID, [recorded])).await?;
        // What somebody gave to another environment meanwhile is not ours.
        found.extend(untagged.into_iter().filter(|one| {
            let lineage = Tags::read(one.tags()).lineage();
            lineage.is_none_or(|lineage| lineage == owner.lineage)
        }));
    }
    Ok(found)
}

/// The one at this kind's address: the recorded one, or else the first by its identifier.
fn chosen<'a, T: Kind>(owner: &Owner, found: &'a [T]) -> Option<&'a T> {
    let recorded = owner.ids.get(&T::ADDRESS).map(String::as_str);
    let ours = |one: &&T| {
        Some(one.id()) == recorded || Tags::read(one.tags()).get(tags::ADDRESS) == Some(&T::ADDRESS.to_string())
    };
    let mut ours: Vec<&T> = found.iter().filter(ours).collect();
    ours.sort_by_key(|one| (Some(one.id()) != recorded, one.id().to_owned()));
    ours.first().copied()
}

/// Everything with the owner's lineage.
struct All {
    instances: Vec<Instance>,
    volumes: Vec<Volume>,
    groups: Vec<SecurityGroup>,
    addresses: Vec<Described>,
    keys: Vec<KeyPairInfo>,
}

async fn all(aws: &Aws, owner: &Owner) -> Result<All, ProviderError> {
    let beside = async {
        match settled::look(aws, owner).await? {
            Some(tagged) => Ok((Some(tagged), Vec::new(), Vec::new())),
            None => {
                let (addresses, keys) =
                    try_join(look::<Described>(aws, owner), look::<KeyPairInfo>(aws, owner)).await?;
                Ok((None, addresses, keys))
            }
        }
    };
    let (instances, volumes, groups, (tagged, mut addresses, mut keys)) = try_join4(
        instance::all(aws, owner),
        look::<Volume>(aws, owner),
        look::<SecurityGroup>(aws, owner),
        beside,
    )
    .await?;
    if let Some(tagged) = tagged {
        let machine = instance::chosen(owner, &instances);
        (addresses, keys) = try_join(
            async {
                match tagged.addresses(aws, owner, machine) {
                    Some(known) => Ok(known),
                    None => look::<Described>(aws, owner).await,
                }
            },
            async {
                match tagged.key(aws, owner) {
                    Some(known) => Ok(vec![known]),
                    None => look::<KeyPairInfo>(aws, owner).await,
                }
            },
        )
        .await?;
    }
    Ok(All {
        instances,
        volumes,
        groups,
        addresses,
        keys,
    })
}

/// See [`crate::provider::Provider::observe`].
///
/// # Errors
/// When the region cannot be asked.
pub async fn observe(aws: &Aws, owner: &Owner) -> Result<Sight, ProviderError> {
    let All {
        instances,
        volumes,
        groups,
        addresses,
        keys,
    } = all(aws, owner).await?;
    aws.seen.note(owner, &groups);
    let machine = instance::chosen(owner, &instances);
    let id = machine.map(instance::id);

    let mut parts = BTreeMap::new();
    let mut tell = |address: Address, part: Option<Part>| {
        if let Some(part) = part {
            parts.insert(address, part);
        }
    };
    tell(
        Address::MachineKey,
        chosen(owner, &keys).map(|found| key::part(found, owner)),
    );
    tell(
        Address::MachineFirewall,
        chosen(owner, &groups).map(|found| firewall::part(found, owner)),
    );
    let living: Vec<Volume> = volumes.iter().filter(|volume| stays(volume)).cloned().collect();
    tell(
        Address::MachineVolume,
        chosen(owner, &living).map(|found| volume::part(found, owner, id)),
    );
    let fixed = chosen(owner, &addresses);
    tell(
        Address::MachineAddress,
        fixed.map(|found| address::part(found, owner, id)),
    );

    let Some(machine) = machine else {
        return Ok(Sight {
            parts,
            ..Sight::default()
        });
    };
    let root = instance::root_volume(machine);
    let known = volumes.into_iter().find(|volume| volume.volume_id() == root);
    let (root, credits, poweroff, news) = try_join4(
        async {
            match known {
                Some(known) => Ok(Some(known)),
                None => instance::root_of(aws, machine).await,
            }
        },
        instance::credits_of(aws, machine),
        instance::poweroff_of(aws, owner, machine),
        news(aws, machine),
    )
    .await?;
    let on_it = fixed.filter(|fixed| fixed.instance_id() == id);
    let beside = Beside {
        root,
        credits,
        poweroff,
        address: on_it.and_then(|fixed| fixed.public_ip()?.parse().ok()),
    };
    Ok(Sight {
        instance: Some(instance::seen(owner, machine, &beside)?),
        parts,
        news: news.into_iter().collect(),
        obstacles: BTreeMap::new(),
    })
}

/// Whether a newer image is out for the alias that the machine was made from.
async fn news(aws: &Aws, machine: &Instance) -> Result<Option<String>, ProviderError> {
    let tags = Tags::read(machine.tags());
    let architecture = machine.architecture().map_or("", |architecture| architecture.as_str());
    match (tags.get(tags::IMAGE), machine.image_id()) {
        (Some(alias), Some(current)) => image::news(aws, alias, architecture, current).await,
        _ => Ok(None),
    }
}

/// Whether a volume is there to stay.
pub fn stays(volume: &Volume) -> bool {
    use aws_sdk_ec2::types::VolumeState::{Deleted, Deleting};
    !matches!(volume.state(), Some(Deleted | Deleting))
}

impl Kind for Volume {
    const ADDRESS: Address = Address::MachineVolume;
    const ID: &'static str = "volume-id";
    async fn describe(aws: &Aws, filter: aws_sdk_ec2::types::Filter) -> Result<Vec<Self>, ProviderError> {
        let failed = |why| error::failed("failed to look for volumes", "ec2:DescribeVolumes", why);
        let output = aws
            .ec2
            .describe_volumes()
            .filters(filter)
            .send()
            .await
            .map_err(failed)?;
        Ok(output.volumes.unwrap_or_default())
    }
    fn id(&self) -> &str {
        self.volume_id().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tags()
    }
}

impl Kind for SecurityGroup {
    const ADDRESS: Address = Address::MachineFirewall;
    const ID: &'static str = "group-id";
    async fn describe(aws: &Aws, filter: aws_sdk_ec2::types::Filter) -> Result<Vec<Self>, ProviderError> {
        let failed = |why| error::failed("failed to look for security groups", "ec2:DescribeSecurityGroups", why);
        let output = aws
            .ec2
            .describe_security_groups()
            .filters(filter)
            .send()
            .await
            .map_err(failed)?;
        Ok(output.security_groups.unwrap_or_default())
    }
    fn id(&self) -> &str {
        self.group_id().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tags()
    }
}

impl Kind for Described {
    const ADDRESS: Address = Address::MachineAddress;
    const ID: &'static str = "allocation-id";
    async fn describe(aws: &Aws, filter: aws_sdk_ec2::types::Filter) -> Result<Vec<Self>, ProviderError> {
        let failed = |why| error::failed("failed to look for addresses", "ec2:DescribeAddresses", why);
        let output = aws
            .ec2
            .describe_addresses()
            .filters(filter)
            .send()
            .await
            .map_err(failed)?;
        Ok(output.addresses.unwrap_or_default())
    }
    fn id(&self) -> &str {
        self.allocation_id().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tags()
    }
}

impl Kind for KeyPairInfo {
    const ADDRESS: Address = Address::MachineKey;
    const ID: &'static str = "key-pair-id";
    async fn describe(aws: &Aws, filter: aws_sdk_ec2::types::Filter) -> Result<Vec<Self>, ProviderError> {
        let failed = |why| error::failed("failed to look for key pairs", "ec2:DescribeKeyPairs", why);
        let request = aws.ec2.describe_key_pairs().include_public_key(true).filters(filter);
        Ok(request.send().await.map_err(failed)?.key_pairs.unwrap_or_default())
    }
    fn id(&self) -> &str {
        self.key_pair_id().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tags()
    }
}
