//! The instance profile, which is associated with a machine and can be exchanged as it runs.

use std::time::Duration;

use aws_sdk_ec2::types::{IamInstanceProfileAssociationState as Association, Instance as Described};

use super::launch::instance_profile;
use super::{describe, id, seen};
use crate::note::Say;
use crate::provider::aws::wait::{self, Look};
use crate::provider::aws::{Aws, error, tags};
use crate::provider::{AwsShape, ProviderError};

/// How long an instance profile may take to be on or off.
const TO_ASSOCIATE: Duration = Duration::from_secs(120);

/// Gives the machine the profile that it shall have, or takes the one that it has.
///
/// # Errors
/// When a change is refused or does not show in time.
pub async fn set(aws: &Aws, machine: &Described, shape: &AwsShape, say: Say<'_>) -> Result<(), ProviderError> {
    let arn = machine.iam_instance_profile().and_then(|profile| profile.arn());
    let right = match (arn, &shape.instance_profile) {
        (None, None) => true,
        (Some(arn), Some(asked)) => seen::is_profile(arn, asked),
        _ => false,
    };
    if right {
        return Ok(());
    }
    let what = "failed to change the instance profile of machine.instance";
    let there = associated(aws, id(machine)).await?;
    match (there, &shape.instance_profile) {
        (Some(there), Some(wanted)) => {
            let request = aws
                .ec2
                .replace_iam_instance_profile_association()
                .association_id(there)
                .iam_instance_profile(instance_profile(wanted));
            let failed = |why| error::failed(what, "ec2:ReplaceIamInstanceProfileAssociation", why);
            request.send().await.map_err(failed)?;
        }
        (Some(there), None) => {
            let request = aws.ec2.disassociate_iam_instance_profile().association_id(there);
            let failed = |why| error::failed(what, "ec2:DisassociateIamInstanceProfile", why);
            request.send().await.map_err(failed)?;
        }
        (None, Some(wanted)) => {
            let profile = instance_profile(wanted);
            let request = aws.ec2.associate_iam_instance_profile();
            let request = request.instance_id(id(machine)).iam_instance_profile(profile);
            let failed = |why| error::failed(what, "ec2:AssociateIamInstanceProfile", why);
            request.send().await.map_err(failed)?;
        }
        (None, None) => {}
    }
    let wanted = shape.instance_profile.as_deref();
    wait::until("the instance profile to change", TO_ASSOCIATE, say, || async {
        let now = describe(aws, tags::filter("instance-id", [id(machine)])).await?;
        let arn = now.first().and_then(|machine| machine.iam_instance_profile()?.arn());
        Ok(match (arn, wanted) {
            (None, None) => Look::Done(()),
            (Some(arn), Some(wanted)) if seen::is_profile(arn, wanted) => Look::Done(()),
            (arn, _) => Look::NotYet(arn.unwrap_or("without").to_owned()),
        })
    })
    .await
}

/// The association of the instance's profile.
async fn associated(aws: &Aws, id: &str) -> Result<Option<String>, ProviderError> {
    let request = aws.ec2.describe_iam_instance_profile_associations();
    let request = request.filters(tags::filter("instance-id", [id]));
    let action = "ec2:DescribeIamInstanceProfileAssociations";
    let failed = |why| error::failed("failed to look for the instance profile", action, why);
    let found = request
        .send()
        .await
        .map_err(failed)?
        .iam_instance_profile_associations
        .unwrap_or_default();
    let lives = |state: Option<&Association>| matches!(state, Some(Association::Associated | Association::Associating));
    Ok(found
        .into_iter()
        .find(|one| lives(one.state()))
        .and_then(|one| one.association_id))
}
