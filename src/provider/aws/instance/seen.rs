//! What an instance is like, in the words of [`AwsShape::attributes`](crate::provider::AwsShape::attributes).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use aws_sdk_ec2::types::{
    HttpTokensState, Instance as Described, InstanceAttributeName, InstanceLifecycleType,
    InstanceMetadataEndpointState, InstanceStateName as State, Volume,
};

use super::{id, state};
use crate::names::Endpoint;
use crate::provider::aws::tags::{self, Tags};
use crate::provider::aws::{Aws, error};
use crate::provider::{Attributes, EXPIRES, Instance, Owner, POWEROFF, Power, ProviderError};

/// What other calls tell of an instance.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// Its root volume.
    pub root: Option<Volume>,
    /// What happens when its CPU credits are used up, where that was asked for.
    pub credits: Option<String>,
    /// What becomes of it when it turns itself off, where that was asked for.
    pub poweroff: Option<String>,
    /// Its fixed address, which may be newer than what the instance tells itself.
    pub address: Option<IpAddr>,
}

/// The volume of an instance's root disk.
pub fn root_volume(machine: &Described) -> Option<&str> {
    let root = machine.root_device_name()?;
    let mut mappings = machine.block_device_mappings().iter();
    mappings
        .find(|mapping| mapping.device_name() == Some(root))?
        .ebs()?
        .volume_id()
}

/// Asks for what an instance does not tell itself.
///
/// # Errors
/// When the region cannot be asked.
pub async fn look_beside(aws: &Aws, machine: &Described) -> Result<Beside, ProviderError> {
    let (root, credits) = futures_util::future::try_join(root_of(aws, machine), credits_of(aws, machine)).await?;
    Ok(Beside {
        root,
        credits,
        poweroff: None,
        address: None,
    })
}

/// The root volume, found by its identifier.
///
/// # Errors
/// When the region cannot be asked.
pub async fn root_of(aws: &Aws, machine: &Described) -> Result<Option<Volume>, ProviderError> {
    let Some(volume) = root_volume(machine) else {
        return Ok(None);
    };
    let request = aws.ec2.describe_volumes().filters(tags::filter("volume-id", [volume]));
    let failed = |why| error::failed("failed to look at the root disk", "ec2:DescribeVolumes", why);
    Ok(request
        .send()
        .await
        .map_err(failed)?
        .volumes
        .unwrap_or_default()
        .into_iter()
        .next())
}

/// What happens when the CPU credits are used up; asked only where somebody asked for something.
///
/// # Errors
/// When the region cannot be asked.
pub async fn credits_of(aws: &Aws, machine: &Described) -> Result<Option<String>, ProviderError> {
    if Tags::read(machine.tags()).get(tags::CREDITS).is_none() {
        return Ok(None);
    }
    credits(aws, id(machine)).await
}

/// What happens when the CPU credits are used up: `standard` or `unlimited`.
///
/// # Errors
/// When the region cannot be asked.
pub async fn credits(aws: &Aws, id: &str) -> Result<Option<String>, ProviderError> {
    let request = aws.ec2.describe_instance_credit_specifications().instance_ids(id);
    let action = "ec2:DescribeInstanceCreditSpecifications";
    let failed = |why| error::failed("failed to look at the CPU credits", action, why);
    let output = request.send().await.map_err(failed)?;
    let first = output.instance_credit_specifications().first();
    Ok(first.and_then(|credits| credits.cpu_credits().map(str::to_owned)))
}

/// What becomes of the machine when it turns itself off; asked only where it has an end. A spot machine goes, and so no choice
/// is told of it.
///
/// # Errors
/// When the region cannot be asked.
pub async fn poweroff_of(aws: &Aws, owner: &Owner, machine: &Described) -> Result<Option<String>, ProviderError> {
    match owner.expires {
        Some(_) => poweroff(aws, machine).await,
        None => Ok(None),
    }
}

/// What becomes of the machine when it turns itself off: `stop` or `terminate`.
///
/// # Errors
/// When the region cannot be asked.
pub async fn poweroff(aws: &Aws, machine: &Described) -> Result<Option<String>, ProviderError> {
    if machine.instance_lifecycle() == Some(&InstanceLifecycleType::Spot) {
        return Ok(None);
    }
    let request = aws
        .ec2
        .describe_instance_attribute()
        .instance_id(id(machine))
        .attribute(InstanceAttributeName::InstanceInitiatedShutdownBehavior);
    let action = "ec2:DescribeInstanceAttribute";
    let what = "failed to look what becomes of machine.instance when it turns itself off";
    let output = request.send().await.map_err(|why| error::failed(what, action, why))?;
    let value = output.instance_initiated_shutdown_behavior();
    Ok(value.and_then(|value| value.value().map(str::to_owned)))
}

/// An instance in our own words.
///
/// # Errors
/// When it has no address at all.
pub fn seen(owner: &Owner, machine: &Described, beside: &Beside) -> Result<Instance, ProviderError> {
    let address = beside.address.or_else(|| address(machine)).ok_or_else(|| {
        ProviderError::new(format!(
            "failed to reach machine.instance ({}): it has no address",
            id(machine)
        ))
        .with_remedy("look at its network interface in the console; or terminate it and apply again")
    })?;
    let power = match state(machine) {
        State::Running | State::Pending => Power::On,
        _ => Power::Off,
    };
    Ok(Instance {
        id: id(machine).to_owned(),
        power,
        endpoint: Endpoint::standard(address),
        attributes: attributes(owner, machine, beside),
        ipv6: ipv6(machine),
        facts: facts(machine),
    })
}

/// Its public address. Without one it can only be reached from within its network, at its private one: so it is with a
/// machine that is off, and with one whose fixed address is not attached yet.
fn address(machine: &Described) -> Option<IpAddr> {
    let public = machine.public_ip_address().and_then(|address| address.parse().ok());
    public.or_else(|| machine.private_ip_address()?.parse().ok())
}

fn ipv6(machine: &Described) -> Option<Ipv6Addr> {
    let interfaces = machine.network_interfaces().iter();
    let mut addresses = interfaces.flat_map(|interface| interface.ipv6_addresses());
    addresses.find_map(|address| address.ipv6_address()?.parse().ok())
}

fn facts(machine: &Described) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let mut fact = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            facts.insert(name.to_owned(), value.to_owned());
        }
    };
    fact("image_id", machine.image_id());
    fact(
        "zone",
        machine.placement().and_then(|placement| placement.availability_zone()),
    );
    fact("subnet", machine.subnet_id());
    fact("vpc", machine.vpc_id());
    fact("root_volume", root_volume(machine));
    // A state that is written anew has to count on from here: a token is good for one machine.
    fact("generation", Tags::read(machine.tags()).get(tags::GENERATION));
    facts
}

fn attributes(owner: &Owner, machine: &Described, beside: &Beside) -> Attributes {
    let tags = Tags::read(machine.tags());
    let mut attributes = Attributes::from([("provider".to_owned(), "aws".to_owned())]);
    let mut tell = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            attributes.insert(name.to_owned(), value);
        }
    };
    tell("size", machine.instance_type().map(|size| size.as_str().to_owned()));
    tell("image", image(machine, &tags));
    tell("market", Some(market(machine, &tags)));
    tell("metadata", metadata(machine));
    tell("instance_profile", profile(machine, &tags));
    // What was not asked for is not told: a subnet may give every machine an IPv6 address, and the default one is anyone's.
    tell(
        "subnet",
        tags.get(tags::SUBNET).and(machine.subnet_id().map(str::to_owned)),
    );
    let has_ipv6 = if ipv6(machine).is_some() { "yes" } else { "no" };
    tell("ipv6", tags.get(tags::IPV6).map(|_| has_ipv6.to_owned()));
    tell("cpu_credits", beside.credits.clone());
    tell("ttl", tags.get(tags::TTL).map(str::to_owned));
    // That it is missing is told where it should be there.
    let missing = owner.expires.map(|_| "none");
    tell(EXPIRES, tags.get(tags::EXPIRES).or(missing).map(str::to_owned));
    tell(POWEROFF, beside.poweroff.clone());
    tell("tags", tags.shown(owner));
    if let Some(root) = &beside.root {
        tell("disk_gib", root.size().map(|gib| gib.to_string()));
        tell("encryption", encryption(root));
    }
    attributes
}

/// The image as it was asked for. Of a machine that lost its tags the alias is not known, and so nothing is told.
fn image(machine: &Described, tags: &Tags) -> Option<String> {
    let asked = tags.get(tags::IMAGE)?;
    if asked.starts_with("ami-") {
        return machine.image_id().map(str::to_owned);
    }
    Some(asked.to_owned())
}

/// The market as it was asked for: an ordinary machine that took the place of a spot one is no difference.
fn market(machine: &Described, tags: &Tags) -> String {
    let spot = machine.instance_lifecycle() == Some(&InstanceLifecycleType::Spot);
    let is = if spot { "spot" } else { "on-demand" };
    tags.get(tags::MARKET).unwrap_or(is).to_owned()
}

fn metadata(machine: &Described) -> Option<String> {
    let options = machine.metadata_options()?;
    if options.http_endpoint() == Some(&InstanceMetadataEndpointState::Disabled) {
        return Some("off".to_owned());
    }
    let tokens = match options.http_tokens() {
        Some(HttpTokensState::Required) => "v2 tokens",
        _ => "v1 allowed",
    };
    let hops = options.http_put_response_hop_limit().unwrap_or(1);
    let plural = if hops == 1 { "" } else { "s" };
    Some(format!("{tokens}, {hops} hop{plural}"))
}

/// The instance profile, as it was asked for where it is that one. One that nobody asked for is told too.
fn profile(machine: &Described, tags: &Tags) -> Option<String> {
    let asked = tags.get(tags::PROFILE);
    match (machine.iam_instance_profile().and_then(|profile| profile.arn()), asked) {
        (None, None) => None,
        (None, Some(_)) => Some("none".to_owned()),
        (Some(arn), Some(asked)) if is_profile(arn, asked) => Some(asked.to_owned()),
        (Some(arn), _) => Some(arn.rsplit('/').next().unwrap_or(arn).to_owned()),
    }
}

/// Whether an ARN is what was asked for by name or ARN.
pub fn is_profile(arn: &str, asked: &str) -> bool {
    arn == asked || arn.rsplit('/').next() == Some(asked)
}

/// How a disk is encrypted: as it was asked for where it is that key, the key otherwise. A key may be asked for by an alias
/// that the disk does not show; it cannot change after that, so what was asked for stays true.
pub fn encryption(volume: &Volume) -> Option<String> {
    if volume.encrypted() != Some(true) {
        return Some("none".to_owned());
    }
    let asked = Tags::read(volume.tags()).get(tags::ENCRYPTION).map(str::to_owned);
    asked.or_else(|| volume.kms_key_id().map(str::to_owned))
}
