//! A volume's size and kind, changed while it is in use.

use std::time::Duration;

use aws_sdk_ec2::types::{Volume, VolumeModificationState, VolumeType};

use super::{BASELINE, strange_type};
use crate::note::Say;
use crate::provider::ProviderError;
use crate::provider::aws::wait::{self, Look};
use crate::provider::aws::{Aws, error, tags};

/// How long until the new size can be used. Optimising afterwards takes hours and hinders nobody.
const WITHIN: Duration = Duration::from_secs(600);

/// Grows a volume, and makes it gp3 with what every gp3 volume has, when somebody made it something else.
pub(super) async fn to_size(aws: &Aws, there: &Volume, gib: i32, say: Say<'_>) -> Result<(), ProviderError> {
    let id = there.volume_id().unwrap_or_default();
    let now = there.size().unwrap_or(gib);
    if now > gib {
        return Err(ProviderError::new(format!(
            "failed to bring the data volume {id} from {now} to {gib} GiB: no volume shrinks"
        ))
        .with_remedy(format!("write `volume_gib = {now}`")));
    }
    let (iops, throughput) = BASELINE;
    let strange = strange_type(there).is_some()
        || there.iops().is_some_and(|now| now != iops && now != 0)
        || there.throughput().is_some_and(|now| now != throughput && now != 0);
    if now == gib && !strange {
        return Ok(());
    }
    let what = || format!("failed to bring the data volume {id} from {now} to {gib} GiB");
    let mut request = aws.ec2.modify_volume().volume_id(id).size(gib);
    if strange {
        request = request.volume_type(VolumeType::Gp3).iops(iops).throughput(throughput);
    }
    match request.send().await {
        Ok(_) => {}
        Err(early) => {
            let code = error::code(&early).unwrap_or_default().to_owned();
            let error = error::failed(what(), "ec2:ModifyVolume", early);
            if !matches!(
                code.as_str(),
                "IncorrectModificationState" | "VolumeModificationRateExceeded"
            ) {
                return Err(error);
            }
            if strange || !is_growing_to(aws, id, gib).await? {
                return Err(error.with_remedy(
                    "a volume changes once in six hours and not while the last change is being optimised (`aws ec2 describe-volumes-modifications`): apply again then; until then write the old size",
                ));
            }
        }
    }
    wait::until("the data volume to have its new size", WITHIN, say, || async {
        let modifications = aws.ec2.describe_volumes_modifications().volume_ids(id).send().await;
        let modifications = match modifications {
            Ok(output) => output.volumes_modifications.unwrap_or_default(),
            // Not to be seen for some seconds.
            Err(early) if error::code(&early) == Some("InvalidVolumeModification.NotFound") => Vec::new(),
            Err(other) => return Err(error::failed(what(), "ec2:DescribeVolumesModifications", other)),
        };
        let latest = modifications
            .iter()
            .max_by_key(|change| change.start_time().map(|time| time.secs()));
        let Some(state) = latest.and_then(|change| change.modification_state()) else {
            return Ok(Look::NotYet("not begun".to_owned()));
        };
        match state {
            VolumeModificationState::Completed | VolumeModificationState::Optimizing => Ok(Look::Done(())),
            VolumeModificationState::Failed => {
                let said = latest
                    .and_then(|change| change.status_message())
                    .unwrap_or("no reason was given");
                Err(ProviderError::new(format!("{}: {said}", what())))
            }
            other => Ok(Look::NotYet(other.as_str().to_owned())),
        }
    })
    .await
}

/// Whether the change that a volume is in, or had last, is the one that is wanted. So it is when the answer to the call was lost
/// and the SDK repeated it, or when the run that made it was killed: the second call is refused.
///
/// # Errors
/// When the region cannot be asked.
pub(in crate::provider::aws) async fn is_growing_to(aws: &Aws, id: &str, gib: i32) -> Result<bool, ProviderError> {
    let request = aws.ec2.describe_volumes_modifications();
    let request = request.filters(tags::filter("volume-id", [id]));
    let what = format!("failed to look at the growth of {id}");
    let failed = |why| error::failed(what, "ec2:DescribeVolumesModifications", why);
    let output = request.send().await.map_err(failed)?;
    let changes = output.volumes_modifications().iter();
    let latest = changes.max_by_key(|change| change.start_time().map(|time| time.secs()));
    Ok(latest.is_some_and(|change| {
        change.target_size() == Some(gib) && change.modification_state() != Some(&VolumeModificationState::Failed)
    }))
}
