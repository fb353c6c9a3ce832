//! The rules of a security group, brought to what they shall be.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_ec2::types::{IpPermission, SecurityGroup};

use super::one;
use crate::note::Say;
use crate::provider::aws::own::is_gone;
use crate::provider::aws::rules::{self, Rule, Rules};
use crate::provider::aws::wait::{self, Look};
use crate::provider::aws::{Aws, error};
use crate::provider::{AwsShape, ProviderError};

/// What is written on a rule that was a caller's and became one that stays.
const SHALL_STAY: &str = "provision ssh_from";
/// How long until the cloud shows the rules as they were set.
const SET_WITHIN: Duration = Duration::from_secs(90);

/// Sets what is missing and closes what is foreign, until the cloud shows nothing else.
pub(super) async fn to(aws: &Aws, id: &str, shape: &AwsShape, say: Say<'_>) -> Result<SecurityGroup, ProviderError> {
    // What a caller opened for itself may become everybody's below: it must look before it closes it.
    aws.opened.forget();
    aws.seen.forget();
    let ingress = rules::ingress(&shape.ssh_from);
    let egress = rules::egress(shape.ipv6);
    wait::until(
        "the firewall's rules to be as they were set",
        SET_WITHIN,
        say,
        || async {
            let Some(there) = one(aws, id).await? else {
                return Ok(Look::NotYet("not seen yet".to_owned()));
            };
            let seen = rules::flat(there.ip_permissions());
            let out = rules::flat(there.ip_permissions_egress());
            // The IPv6 half of what may go out is there or not by the VPC's kind; it is never too much.
            let may_stay = rules::egress(true);
            let missing = (absent(&ingress, &seen), absent(&egress, &out));
            let foreign = (strange(&ingress, &seen), strange(&may_stay, &out));
            let borrowed = borrowed(&ingress, &seen);
            let lists = [&missing.0, &missing.1, &foreign.0, &foreign.1, &borrowed];
            if lists.iter().all(|list| list.is_empty()) {
                return Ok(Look::Done(there));
            }
            keep(aws, id, borrowed).await?;
            open(aws, id, missing.0, missing.1).await?;
            close(aws, id, foreign.0, foreign.1).await?;
            Ok(Look::NotYet("not as it was set".to_owned()))
        },
    )
    .await
}

fn absent(wanted: &BTreeSet<Rule>, there: &Rules) -> Vec<IpPermission> {
    let absent = wanted.iter().filter(|rule| !there.contains_key(rule));
    absent.map(|rule| rule.permission(None)).collect()
}

/// What stands there and shall not. Rules of callers are not touched here: this run's own is among them.
fn strange(may_stay: &BTreeSet<Rule>, there: &Rules) -> Vec<IpPermission> {
    there
        .iter()
        .filter(|(rule, said)| !may_stay.contains(rule) && !rules::is_operators(said.as_deref()))
        .map(|(rule, _)| rule.permission(None))
        .collect()
}

/// What shall stay and stands there only for a caller: a rule is there once, whoever needs it.
fn borrowed(wanted: &BTreeSet<Rule>, there: &Rules) -> Vec<IpPermission> {
    there
        .iter()
        .filter(|(rule, said)| wanted.contains(rule) && rules::is_operators(said.as_deref()))
        .map(|(rule, _)| rule.permission(Some(SHALL_STAY)))
        .collect()
}

/// Makes callers' rules our own, by what is written on them.
async fn keep(aws: &Aws, id: &str, rules: Vec<IpPermission>) -> Result<(), ProviderError> {
    if rules.is_empty() {
        return Ok(());
    }
    let request = aws.ec2.update_security_group_rule_descriptions_ingress().group_id(id);
    match request.set_ip_permissions(Some(rules)).send().await {
        Ok(_) => Ok(()),
        Err(gone) if is_gone(error::code(&gone)) => Ok(()),
        Err(other) => {
            let what = format!("failed to keep a rule of the security group {id}");
            Err(error::failed(
                what,
                "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
                other,
            ))
        }
    }
}

async fn open(aws: &Aws, id: &str, ingress: Vec<IpPermission>, egress: Vec<IpPermission>) -> Result<(), ProviderError> {
    let what = format!("failed to open ports of the security group {id}");
    // There already, or the group itself not everywhere yet: the next look tells.
    let harmless = |code: Option<&str>| code == Some("InvalidPermission.Duplicate") || is_gone(code);
    if !ingress.is_empty() {
        let request = aws.ec2.authorize_security_group_ingress().group_id(id);
        match request.set_ip_permissions(Some(ingress)).send().await {
            Ok(_) => {}
            Err(raced) if harmless(error::code(&raced)) => {}
            Err(other) => return Err(error::failed(what, "ec2:AuthorizeSecurityGroupIngress", other)),
        }
    }
    if !egress.is_empty() {
        let request = aws.ec2.authorize_security_group_egress().group_id(id);
        match request.set_ip_permissions(Some(egress)).send().await {
            Ok(_) => {}
            Err(raced) if harmless(error::code(&raced)) => {}
            Err(other) => return Err(error::failed(what, "ec2:AuthorizeSecurityGroupEgress", other)),
        }
    }
    Ok(())
}

/// Closes rules; one that is closed already is as it shall be.
pub(in crate::provider::aws) async fn close(
    aws: &Aws,
    id: &str,
    ingress: Vec<IpPermission>,
    egress: Vec<IpPermission>,
) -> Result<(), ProviderError> {
    let what = format!("failed to close ports of the security group {id}");
    if !ingress.is_empty() {
        let request = aws.ec2.revoke_security_group_ingress().group_id(id);
        match request.set_ip_permissions(Some(ingress)).send().await {
            Ok(_) => {}
            Err(gone) if is_gone(error::code(&gone)) => {}
            Err(other) => return Err(error::failed(what, "ec2:RevokeSecurityGroupIngress", other)),
        }
    }
    if !egress.is_empty() {
        let request = aws.ec2.revoke_security_group_egress().group_id(id);
        match request.set_ip_permissions(Some(egress)).send().await {
            Ok(_) => {}
            Err(gone) if is_gone(error::code(&gone)) => {}
            Err(other) => return Err(error::failed(what, "ec2:RevokeSecurityGroupEgress", other)),
        }
    }
    Ok(())
}
