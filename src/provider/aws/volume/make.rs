//! A new volume, once however often it is asked for.

use std::time::Duration;

use aws_sdk_ec2::types::{ResourceType, Volume, VolumeState, VolumeType};
use tokio::time::Instant;

use super::{find, lives, one, vanished};
use crate::names::Address;
use crate::note::Say;
use crate::provider::aws::own::Machine;
use crate::provider::aws::tags::{self, ENCRYPTION, Tags};
use crate::provider::aws::wait::{self, Look};
use crate::provider::aws::{Aws, error};
use crate::provider::{AwsShape, InstanceSpec, Owner, ProviderError};

/// How long a new volume may take. Blank ones are there within seconds.
const CREATED_WITHIN: Duration = Duration::from_secs(180);
/// How many tokens are tried: each stands for one that was made and removed.
const ATTEMPTS: u32 = 5;
/// How long a volume that was made may be hidden until it counts as one that is gone. Mostly it is a second.
const SEEN_WITHIN: Duration = Duration::from_secs(20);

/// Makes a blank one in the machine's zone. The token of a volume that was made before gives that one back, or a refusal where
/// the tags are not the same to the second: when it is not to be seen it is gone, and another token is derived.
pub(super) async fn create(
    aws: &Aws,
    owner: &Owner,
    spec: &InstanceSpec,
    shape: &AwsShape,
    gib: i32,
    machine: &Machine,
    say: Say<'_>,
) -> Result<Volume, ProviderError> {
    let asked = shape.kms_key.as_deref().unwrap_or("default key");
    let tags = Tags::of(owner, &Address::MachineVolume, spec).with(ENCRYPTION, asked);
    let size = gib.to_string();
    let mut before = String::new();
    for attempt in 1..=ATTEMPTS {
        let beside = [machine.zone.as_str(), &size, asked, &before];
        let request = aws
            .ec2
            .create_volume()
            .client_token(tags::token(owner, &Address::MachineVolume, 0, &beside))
            .availability_zone(&machine.zone)
            .volume_type(VolumeType::Gp3)
            .size(gib)
            .encrypted(true)
            .set_kms_key_id(shape.kms_key.clone())
            .tag_specifications(tags.specification(ResourceType::Volume));
        match request.send().await {
            Ok(made) => {
                let id = made.volume_id().unwrap_or_default();
                if appears(say, || async { Ok(one(aws, id).await?.filter(lives)) })
                    .await?
                    .is_some()
                {
                    return ready(aws, id, say).await;
                }
                before = id.to_owned();
            }
            Err(used) if error::code(&used) == Some("IdempotentParameterMismatch") && attempt < ATTEMPTS => {
                if let Some(there) = appears(say, || find(aws, owner)).await? {
                    return ready(aws, there.volume_id().unwrap_or_default(), say).await;
                }
                before = format!("{before}+");
            }
            Err(other) => {
                let what = format!("failed to make a data volume of {gib} GiB in {}", machine.zone);
                return Err(error::failed(what, "ec2:CreateVolume", other));
            }
        }
    }
    Err(vanished("that was made a moment ago"))
}

/// What comes to be seen of a volume that was made; none when it is gone.
async fn appears<L, F>(say: Say<'_>, look: L) -> Result<Option<Volume>, ProviderError>
where
    L: Fn() -> F,
    F: Future<Output = Result<Option<Volume>, ProviderError>> + Send,
{
    let end = Instant::now() + SEEN_WITHIN;
    let look = &look;
    wait::until("the data volume to be seen", SEEN_WITHIN * 2, say, move || {
        let seen = look();
        async move {
            match seen.await? {
                Some(there) => Ok(Look::Done(Some(there))),
                None if Instant::now() > end => Ok(Look::Done(None)),
                None => Ok(Look::NotYet("not seen yet".to_owned())),
            }
        }
    })
    .await
}

/// Waits until a volume is made. It may not be seen for some seconds.
pub(super) async fn ready(aws: &Aws, id: &str, say: Say<'_>) -> Result<Volume, ProviderError> {
    wait::until("the data volume to be made", CREATED_WITHIN, say, || async {
        let Some(there) = one(aws, id).await? else {
            return Ok(Look::NotYet("not seen yet".to_owned()));
        };
        match there.state() {
            Some(VolumeState::Available | VolumeState::InUse) => Ok(Look::Done(there)),
            Some(VolumeState::Error) => Err(ProviderError::new(format!(
                "failed to make the data volume {id}: its state is `error`"
            ))
            .with_remedy(
                "mostly the KMS key may not be used, or is disabled: mend that, delete the volume, apply again",
            )),
            state => Ok(Look::NotYet(
                state.map_or("in no state", VolumeState::as_str).to_owned(),
            )),
        }
    })
    .await
}
