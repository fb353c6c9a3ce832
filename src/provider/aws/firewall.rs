//! `machine.firewall`: a security group of our own.
//!
//! What is missing is opened before what is foreign is closed, each by itself: nothing that is right is touched, so nobody
//! who works on the machine is cut off.

mod set;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ec2::types::{ResourceType, SecurityGroup};

pub(super) use self::set::close;
use super::own::{is_gone, is_nobody_elses, retag, shape};
use super::rules;
use super::tags::{self, Tags, VPC, filter};
use super::wait::{self, Look};
use super::{Aws, error};
use crate::names::Address;
use crate::note::Say;
use crate::provider::{AwsShape, InstanceSpec, Owner, Part, ProviderError};

/// Whether the caller's own address is let in while it runs: `yes` or `no`.
pub(super) const SSH_FROM_OPERATOR: &str = "provision:ssh-from-operator";
/// How long an instance that is terminated may hold its group.
const FREE_WITHIN: Duration = Duration::from_secs(300);

/// What observation tells of a security group.
pub(super) fn part(described: &SecurityGroup, owner: &Owner) -> Part {
    let tags = Tags::read(described.tags());
    let mut attributes = rules::shown(
        &rules::flat(described.ip_permissions()),
        &rules::flat(described.ip_permissions_egress()),
        lets_operator_in(&tags),
    );
    let vpc = described.vpc_id().map(str::to_owned);
    let asked = vpc.clone().filter(|_| tags.get(VPC).is_some());
    attributes.extend(asked.map(|vpc| ("vpc".to_owned(), vpc)));
    attributes.extend(tags.shown(owner).map(|tags| ("tags".to_owned(), tags)));
    Part {
        id: described.group_id().unwrap_or_default().to_owned(),
        attributes,
        facts: BTreeMap::from_iter(vpc.map(|vpc| ("vpc".to_owned(), vpc))),
    }
}

pub(super) fn lets_operator_in(tags: &Tags) -> bool {
    tags.get(SSH_FROM_OPERATOR) == Some("yes")
}

/// Makes the group or takes the one that is there, and sets its rules.
pub(super) async fn ensure(aws: &Aws, owner: &Owner, spec: &InstanceSpec, say: Say<'_>) -> Result<Part, ProviderError> {
    let shape = shape(spec)?;
    let operator = if shape.ssh_from.operator { "yes" } else { "no" };
    let mut wanted = Tags::of(owner, &Address::MachineFirewall, spec).with(SSH_FROM_OPERATOR, operator);
    if let Some(vpc) = &shape.vpc {
        wanted = wanted.with(VPC, vpc);
    }
    let mut there = find(aws, owner).await?;
    let id = if there.is_empty() {
        create(aws, owner, shape, &wanted).await?
    } else {
        let there = there.swap_remove(0);
        let id = there.group_id().unwrap_or_default().to_owned();
        fits_subnet(aws, &there, shape).await?;
        retag(aws, &id, &wanted, &Tags::read(there.tags())).await?;
        id
    };
    let set = set::to(aws, &id, shape, say).await?;
    // Tags may be seen later than rules; they are as they were written.
    let now = SecurityGroup::builder()
        .group_id(&id)
        .set_vpc_id(set.vpc_id)
        .set_ip_permissions(set.ip_permissions)
        .set_ip_permissions_egress(set.ip_permissions_egress)
        .set_tags(Some(wanted.list()))
        .build();
    Ok(part(&now, owner))
}

/// Deletes the group. What was terminated a moment ago still holds it for a while.
pub(super) async fn remove(aws: &Aws, owner: &Owner, say: Say<'_>) -> Result<(), ProviderError> {
    for there in find(aws, owner).await? {
        let id = there.group_id().unwrap_or_default();
        let remedy = format!(
            "something of somebody else's uses the group: `aws ec2 describe-network-interfaces --filters Name=group-id,Values={id}`, or a rule of another group names it; take it out there, then run it again"
        );
        wait::until_or(&remedy, "the firewall to be free", FREE_WITHIN, say, || async {
            match aws.ec2.delete_security_group().group_id(id).send().await {
                Ok(_) => Ok(Look::Done(())),
                Err(gone) if is_gone(error::code(&gone)) => Ok(Look::Done(())),
                Err(busy) if error::code(&busy) == Some("DependencyViolation") => {
                    Ok(Look::NotYet("still in use".to_owned()))
                }
                Err(other) => {
                    let what = format!("failed to delete the security group {id}");
                    Err(error::failed(what, "ec2:DeleteSecurityGroup", other))
                }
            }
        })
        .await?;
    }
    Ok(())
}

/// Those of this owner, the one in the state first.
pub(super) async fn find(aws: &Aws, owner: &Owner) -> Result<Vec<SecurityGroup>, ProviderError> {
    let recorded = owner.ids.get(&Address::MachineFirewall);
    let by_tag = aws
        .ec2
        .describe_security_groups()
        .set_filters(Some(tags::at(owner, &Address::MachineFirewall)));
    let answer = by_tag.send().await.map_err(look)?;
    let mut found = answer.security_groups.unwrap_or_default();
    if found.is_empty()
        && let Some(id) = recorded
    {
        found.extend(one(aws, id).await?);
    }
    Ok(of(owner, found))
}

/// Of these groups the firewalls of this owner, the one in the state first.
pub(super) fn of(owner: &Owner, mut groups: Vec<SecurityGroup>) -> Vec<SecurityGroup> {
    let recorded = owner.ids.get(&Address::MachineFirewall).map(String::as_str);
    let marked = Address::MachineFirewall.to_string();
    let ours = |group: &SecurityGroup| {
        let tags = Tags::read(group.tags());
        tags.is_of(owner) && tags.get(tags::ADDRESS) == Some(&marked)
    };
    if groups.iter().any(ours) {
        groups.retain(ours);
    } else {
        groups.retain(|group| group.group_id() == recorded && is_nobody_elses(group.tags(), owner));
    }
    groups.sort_by_cached_key(|group| {
        let id = group.group_id().map(str::to_owned);
        (id.as_deref() != recorded, id)
    });
    groups
}

async fn one(aws: &Aws, id: &str) -> Result<Option<SecurityGroup>, ProviderError> {
    match aws.ec2.describe_security_groups().group_ids(id).send().await {
        Ok(output) => Ok(output.security_groups.unwrap_or_default().into_iter().next()),
        Err(gone) if is_gone(error::code(&gone)) => Ok(None),
        Err(other) => Err(look(other)),
    }
}

fn look<E>(why: aws_sdk_ec2::error::SdkError<E>) -> ProviderError
where
    E: aws_sdk_ec2::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    error::failed(
        "failed to look for the security group",
        "ec2:DescribeSecurityGroups",
        why,
    )
}

/// Makes the group. No token makes that happen once: its name does, within its VPC.
async fn create(aws: &Aws, owner: &Owner, shape: &AwsShape, tags: &Tags) -> Result<String, ProviderError> {
    let name = owner.machine_name();
    let vpc = vpc(aws, shape).await?;
    let request = aws
        .ec2
        .create_security_group()
        .group_name(&name)
        .description(format!("provision, environment {}", owner.environment))
        .vpc_id(&vpc)
        .tag_specifications(tags.specification(ResourceType::SecurityGroup));
    let what = format!("failed to make the security group `{name}` in {vpc}");
    let taken = match request.send().await {
        Ok(output) => return Ok(output.group_id.unwrap_or_default()),
        Err(taken) if error::code(&taken) == Some("InvalidGroup.Duplicate") => {
            error::failed(what.clone(), "ec2:CreateSecurityGroup", taken)
        }
        Err(other) => return Err(error::failed(what, "ec2:CreateSecurityGroup", other)),
    };
    let filters = vec![filter("group-name", [name.as_str()]), filter("vpc-id", [vpc.as_str()])];
    let answer = aws
        .ec2
        .describe_security_groups()
        .set_filters(Some(filters))
        .send()
        .await
        .map_err(look)?;
    match answer.security_groups().first() {
        Some(there) if Tags::read(there.tags()).is_of(owner) => Ok(there.group_id().unwrap_or_default().to_owned()),
        Some(there) => {
            let id = there.group_id().unwrap_or_default();
            Err(
                ProviderError::new(format!("{what}: {id} has this name and is not ours")).with_remedy(format!(
                    "when nobody needs it: `aws ec2 delete-security-group --group-id {id}`, then apply again"
                )),
            )
        }
        None => Err(taken),
    }
}

/// The VPC that the machine will be in.
async fn vpc(aws: &Aws, shape: &AwsShape) -> Result<String, ProviderError> {
    if let Some(vpc) = &shape.vpc {
        return Ok(vpc.clone());
    }
    if let Some(subnet) = &shape.subnet {
        return vpc_of(aws, subnet).await;
    }
    let what = "failed to find the account's default VPC";
    let request = aws.ec2.describe_vpcs().filters(filter("is-default", ["true"]));
    let answer = request
        .send()
        .await
        .map_err(|why| error::failed(what, "ec2:DescribeVpcs", why))?;
    match answer.vpcs().first().and_then(|vpc| vpc.vpc_id()) {
        Some(id) => Ok(id.to_owned()),
        None => Err(ProviderError::new(format!("{what}: there is none in {}", aws.region)).with_remedy(error::NO_VPC)),
    }
}

async fn vpc_of(aws: &Aws, subnet: &str) -> Result<String, ProviderError> {
    let what = format!("failed to find the VPC of the subnet {subnet}");
    let request = aws.ec2.describe_subnets().subnet_ids(subnet);
    let answer = request
        .send()
        .await
        .map_err(|why| error::failed(what.clone(), "ec2:DescribeSubnets", why))?;
    let found = answer.subnets().first().and_then(|subnet| subnet.vpc_id());
    found.map(str::to_owned).ok_or_else(|| ProviderError::new(what))
}

/// A group is of one VPC for ever, and an instance takes only groups of its own.
async fn fits_subnet(aws: &Aws, there: &SecurityGroup, shape: &AwsShape) -> Result<(), ProviderError> {
    let Some(subnet) = &shape.subnet else {
        return Ok(());
    };
    let vpc = vpc_of(aws, subnet).await?;
    if there.vpc_id() == Some(vpc.as_str()) {
        return Ok(());
    }
    let id = there.group_id().unwrap_or_default();
    let old = there.vpc_id().unwrap_or_default();
    Err(ProviderError::new(format!(
        "failed to use the firewall {id} for a machine in {subnet}: the subnet is in {vpc}, the firewall in {old}"
    ))
    .with_remedy(format!(
        "an environment cannot move to another VPC: write a subnet of {old}, or destroy it and apply again"
    )))
}
