//! The tags of a machine that is there, and the end of its environment's life.

use aws_sdk_ec2::types::{AttributeValue, Instance as Described, InstanceLifecycleType, Tag, Volume};

use super::id;
use super::launch::{machine_tags, root_tags};
use crate::names::Address;
use crate::provider::aws::tags::{self, Tags};
use crate::provider::aws::{Aws, error};
use crate::provider::{AwsShape, GONE, InstanceSpec, Owner, ProviderError};

/// Sets the tags of the machine, its network interface and its root disk; and, when the end of the environment is another one,
/// that of everything.
///
/// # Errors
/// When tags cannot be written.
pub async fn set(
    aws: &Aws,
    owner: &Owner,
    spec: &InstanceSpec,
    shape: &AwsShape,
    machine: &Described,
    root: Option<&Volume>,
) -> Result<(), ProviderError> {
    let there = Tags::read(machine.tags());
    let mut wanted = machine_tags(owner, spec, shape);
    // What a machine was made from stays so: these say what it is, not what the next one shall be.
    for made in [tags::IMAGE, tags::MARKET, tags::SUBNET, tags::IPV6] {
        wanted = wanted.left_as(made, &there);
    }
    // The machine's own mark is written last: a run that was cut off before it begins again.
    if wanted.get(tags::TTL) != there.get(tags::TTL) {
        shutdown(aws, machine, spec).await?;
        let (set, drop) = wanted.end();
        let others = everything(aws, owner)
            .await?
            .into_iter()
            .filter(|other| other != id(machine));
        write(aws, others.collect(), set, drop).await?;
    }
    if let Some(root) = root
        && let Some(volume) = root.volume_id()
    {
        let there = Tags::read(root.tags());
        let wanted = root_tags(owner, spec, shape).left_as(tags::ENCRYPTION, &there);
        let (set, drop) = wanted.missing(&there);
        write(aws, vec![volume.to_owned()], set, drop).await?;
    }
    let (set, drop) = wanted.missing(&there);
    let interfaces = machine.network_interfaces().iter();
    let mut ids: Vec<String> = interfaces
        .filter_map(|interface| interface.network_interface_id().map(str::to_owned))
        .collect();
    ids.push(id(machine).to_owned());
    write(aws, ids, set, drop).await
}

/// Marks everything of this owner with its end, or with none, and the machine goes when it turns itself off at it.
///
/// # Errors
/// When it cannot be written.
pub async fn end(aws: &Aws, owner: &Owner, spec: &InstanceSpec) -> Result<(), ProviderError> {
    let there = super::all(aws, owner).await?;
    if let Some(machine) = super::chosen(owner, &there)
        && let Some(poweroff) = super::seen::poweroff(aws, machine).await?
        && (poweroff == GONE) != spec.ttl_seconds.is_some()
    {
        shutdown(aws, machine, spec).await?;
    }
    let (set, drop) = Tags::of(owner, &Address::MachineInstance, spec).end();
    let marked = marked(aws, tags::EXPIRES, owner.expires.map(|expires| expires.to_string())).await?;
    let wrong = |id: &String| marked.contains(id) != owner.expires.is_some();
    write(
        aws,
        everything(aws, owner).await?.into_iter().filter(wrong).collect(),
        set,
        drop,
    )
    .await
}

/// What becomes of the machine when it turns itself off: it goes when it has an end. A spot machine goes anyway.
async fn shutdown(aws: &Aws, machine: &Described, spec: &InstanceSpec) -> Result<(), ProviderError> {
    if machine.instance_lifecycle() == Some(&InstanceLifecycleType::Spot) {
        return Ok(());
    }
    let wanted = if spec.ttl_seconds.is_some() { GONE } else { "stop" };
    let value = AttributeValue::builder().value(wanted).build();
    let request = aws.ec2.modify_instance_attribute().instance_id(id(machine));
    let what = "failed to say what becomes of machine.instance when it turns itself off";
    let failed = |why| error::failed(what, "ec2:ModifyInstanceAttribute", why);
    let request = request.instance_initiated_shutdown_behavior(value);
    request.send().await.map(|_| ()).map_err(failed)
}

/// The identifiers of everything of this owner.
async fn everything(aws: &Aws, owner: &Owner) -> Result<Vec<String>, ProviderError> {
    marked(aws, tags::LINEAGE, Some(owner.lineage.to_string())).await
}

/// The identifiers of everything that bears a tag.
async fn marked(aws: &Aws, key: &str, value: Option<String>) -> Result<Vec<String>, ProviderError> {
    let filters = std::iter::once(tags::filter("key", [key]));
    let filters = filters.chain(value.map(|value| tags::filter("value", [value])));
    let request = aws.ec2.describe_tags().set_filters(Some(filters.collect()));
    let mut pages = request.into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page =
            page.map_err(|why| error::failed("failed to look for what is tagged as ours", "ec2:DescribeTags", why))?;
        found.extend(
            page.tags
                .unwrap_or_default()
                .into_iter()
                .filter_map(|tag| tag.resource_id),
        );
    }
    Ok(found)
}

async fn write(aws: &Aws, ids: Vec<String>, set: Vec<Tag>, drop: Vec<Tag>) -> Result<(), ProviderError> {
    let named = ids.join(", ");
    if ids.is_empty() {
        return Ok(());
    }
    if !set.is_empty() {
        let request = aws
            .ec2
            .create_tags()
            .set_resources(Some(ids.clone()))
            .set_tags(Some(set));
        let failed = |why| error::failed(format!("failed to tag {named}"), "ec2:CreateTags", why);
        request.send().await.map_err(failed)?;
    }
    if !drop.is_empty() {
        let request = aws.ec2.delete_tags().set_resources(Some(ids)).set_tags(Some(drop));
        let failed = |why| error::failed(format!("failed to take tags off {named}"), "ec2:DeleteTags", why);
        request.send().await.map_err(failed)?;
    }
    Ok(())
}
