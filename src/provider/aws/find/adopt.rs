//! Taking over one resource: it has to be there, of the right kind, and nobody else's.

use aws_sdk_ec2::types::{Instance, Tag};

use super::super::own::is_gone;
use super::super::tags::{ADDRESS, ENCRYPTION, ENVIRONMENT, LINEAGE, NAME, ROOT, Tags, VERSION};
use super::super::{Aws, error, firewall};
use crate::names::Address;
use crate::provider::{Owner, ProviderError};

/// What identifiers of EC2 begin with, by what they are for.
const KINDS: [(Address, &str, &str); 5] = [
    (Address::MachineKey, "key-", "a key pair"),
    (Address::MachineFirewall, "sg-", "a security group"),
    (Address::MachineVolume, "vol-", "a volume"),
    (Address::MachineInstance, "i-", "an instance"),
    (Address::MachineAddress, "eipalloc-", "an elastic IP's allocation"),
];

/// See [`crate::provider::Provider::adopt`].
pub(in crate::provider::aws) async fn adopt(
    aws: &Aws,
    owner: &Owner,
    address: &Address,
    id: &str,
) -> Result<(), ProviderError> {
    let what = format!("failed to take over {address} {id}");
    let Some((_, prefix, kind)) = KINDS.iter().find(|(known, ..)| known == address) else {
        return Err(match address {
            Address::Dns(name) => ProviderError::new(what).with_remedy(format!(
                "say in the zone that it is ours, by a TXT record `_provision.{name}` with the value \"provision lineage={} environment={}\"; apply then takes it over",
                owner.lineage, owner.environment
            )),
            _ => ProviderError::new(format!("{what}: it is nothing that AWS has"))
                .with_remedy("what is on the machine is found by looking: apply"),
        });
    };
    if !id.starts_with(prefix) {
        return Err(ProviderError::new(format!("{what}: that is not {kind}"))
            .with_remedy(format!("give an identifier that begins with `{prefix}`")));
    }
    let there = look(aws, address, id, &what).await?;
    let Some(There {
        tags,
        beside,
        name,
        root,
    }) = there
    else {
        return Err(
            ProviderError::new(format!("{what}: it is not there")).with_remedy(format!(
                "look for it in {}: the region is the one of the environment",
                aws.region
            )),
        );
    };
    // Under another name it would be deleted at once for one of ours.
    if let Some(other) = name.filter(|name| *name != owner.machine_name()) {
        return Err(
            ProviderError::new(format!("{what}: its name is {other}, not {}", owner.machine_name()))
                .with_remedy("leave it to others: apply imports the key under its own name"),
        );
    }
    if let Some(other) = tags.get(LINEAGE).filter(|other| *other != owner.lineage.as_str()) {
        let environment = tags.get(ENVIRONMENT).unwrap_or("unknown");
        return Err(ProviderError::new(format!(
            "{what}: it belongs to the environment {environment}, lineage {other}"
        ))
        .with_remedy(format!(
            "when that one is no more, take the tag {LINEAGE} away from it first"
        )));
    }
    if let Some(other) = tags.get(ADDRESS).filter(|other| *other != address.to_string()) {
        return Err(ProviderError::new(format!("{what}: its tags say that it is {other}"))
            .with_remedy(format!("give {other} as its address")));
    }
    mark(aws, owner, id, &address.to_string(), beside).await?;
    match root {
        Some(volume) => mark(aws, owner, &volume, ROOT, Vec::new()).await,
        None => Ok(()),
    }
}

/// What there is to know of a thing before it is taken over.
#[derive(Default)]
struct There {
    tags: Tags,
    /// Marks that only this kind has.
    beside: Vec<(&'static str, String)>,
    /// The name of a key pair.
    name: Option<String>,
    /// The root disk of an instance.
    root: Option<String>,
}

async fn look(aws: &Aws, address: &Address, id: &str, what: &str) -> Result<Option<There>, ProviderError> {
    /// The first thing of an answer; none when there is none.
    macro_rules! first {
        ($call:ident, $ids:ident, $list:ident, $action:literal) => {
            match aws.ec2.$call().$ids(id).send().await {
                Ok(answer) => answer.$list.unwrap_or_default().into_iter().next(),
                Err(gone) if is_gone(error::code(&gone)) => None,
                Err(other) => return Err(error::failed(what, $action, other)),
            }
        };
    }
    let there = match address {
        Address::MachineKey => {
            let key = first!(describe_key_pairs, key_pair_ids, key_pairs, "ec2:DescribeKeyPairs");
            key.map(|key| There {
                name: key.key_name().map(str::to_owned),
                ..There::of(key.tags())
            })
        }
        Address::MachineFirewall => {
            let group = first!(
                describe_security_groups,
                group_ids,
                security_groups,
                "ec2:DescribeSecurityGroups"
            );
            group.map(|group| {
                let mut there = There::of(group.tags());
                if there.tags.get(firewall::SSH_FROM_OPERATOR).is_none() {
                    there.beside.push((firewall::SSH_FROM_OPERATOR, "no".to_owned()));
                }
                there
            })
        }
        Address::MachineAddress => {
            let address = first!(describe_addresses, allocation_ids, addresses, "ec2:DescribeAddresses");
            address.map(|address| There::of(address.tags()))
        }
        Address::MachineVolume => {
            let volume = first!(describe_volumes, volume_ids, volumes, "ec2:DescribeVolumes");
            let volume = volume
                .filter(|volume| !matches!(volume.state().map(|state| state.as_str()), Some("deleting" | "deleted")));
            match volume {
                None => None,
                Some(volume) => {
                    let mut there = There::of(volume.tags());
                    let key = volume.kms_key_id().unwrap_or_default();
                    if volume.encrypted() == Some(true)
                        && there.tags.get(ENCRYPTION).is_none()
                        && is_default_key(aws, key).await
                    {
                        there.beside.push((ENCRYPTION, "default key".to_owned()));
                    }
                    Some(there)
                }
            }
        }
        _ => {
            let reservation = first!(describe_instances, instance_ids, reservations, "ec2:DescribeInstances");
            let instances = reservation
                .and_then(|reservation| reservation.instances)
                .unwrap_or_default();
            let living = instances.into_iter().find(|instance| {
                let state = instance.state().and_then(|state| state.name());
                !matches!(state.map(|state| state.as_str()), Some("shutting-down" | "terminated"))
            });
            living.map(|instance| There {
                root: root(&instance),
                ..There::of(instance.tags())
            })
        }
    };
    Ok(there)
}

impl There {
    fn of(tags: &[Tag]) -> Self {
        Self {
            tags: Tags::read(tags),
            ..Self::default()
        }
    }
}

fn root(instance: &Instance) -> Option<String> {
    let device = instance.root_device_name()?;
    let mappings = instance.block_device_mappings().iter();
    let root = mappings
        .into_iter()
        .find(|mapping| mapping.device_name() == Some(device))?;
    root.ebs()?.volume_id().map(str::to_owned)
}

/// Whether a disk is encrypted with what the account takes when nothing is said. The key that AWS itself made for that cannot
/// be looked up by EC2's means: it counts, as few have named another one. Not permitted to ask: then the key itself is shown.
async fn is_default_key(aws: &Aws, key: &str) -> bool {
    let answer = aws.ec2.get_ebs_default_kms_key_id().send().await;
    let default = answer.ok().and_then(|answer| answer.kms_key_id);
    default.is_some_and(|default| default.ends_with("alias/aws/ebs") || default == key)
}

async fn mark(
    aws: &Aws,
    owner: &Owner,
    id: &str,
    address: &str,
    beside: Vec<(&'static str, String)>,
) -> Result<(), ProviderError> {
    let mut tags = Tags::default()
        .with(ENVIRONMENT, owner.environment.as_str())
        .with(LINEAGE, owner.lineage.as_str())
        .with(ADDRESS, address)
        .with(VERSION, env!("CARGO_PKG_VERSION"))
        .with(NAME, owner.machine_name());
    for (key, value) in beside {
        tags = tags.with(key, value);
    }
    let request = aws.ec2.create_tags().resources(id).set_tags(Some(tags.list()));
    request
        .send()
        .await
        .map(drop)
        .map_err(|why| error::failed(format!("failed to tag {id}"), "ec2:CreateTags", why))
}
