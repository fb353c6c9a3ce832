//! What several parts need: the shape, the owner's Droplet, things that are made once.

use tokio::time::sleep;

use super::DigitalOcean;
use super::droplet;
use super::error::CallError;
use super::wire::Droplet;
use crate::provider::{DigitalOceanShape, InstanceSpec, Owner, ProviderError, Shape};

/// How often something is made anew that was not there after its making went wrong.
const ATTEMPTS: u32 = 4;
/// How often something is looked for that may have been made. A call that is under way may show its effect late.
const LOOKS: u32 = 4;

/// The vendor's part of a specification.
pub(super) fn shape(spec: &InstanceSpec) -> Result<&DigitalOceanShape, ProviderError> {
    match &spec.shape {
        Shape::DigitalOcean(shape) => Ok(shape),
        _ => Err(ProviderError::new(
            "failed to read what the machine shall be: it is not meant for DigitalOcean",
        )),
    }
}

/// Makes something once, although the API knows no token for that: when it is not known what became of the call, it is looked
/// for, several times, and made again only when it is not there.
pub(super) async fn once<T, M, L>(
    cloud: &DigitalOcean,
    make: impl Fn() -> M,
    look: impl Fn() -> L,
    failed: impl Fn(CallError) -> ProviderError,
) -> Result<T, ProviderError>
where
    M: Future<Output = Result<T, CallError>>,
    L: Future<Output = Result<Option<T>, ProviderError>>,
{
    let mut attempt = 0;
    loop {
        attempt += 1;
        let error = match make().await {
            Ok(made) => return Ok(made),
            Err(error) => error,
        };
        if !error.is_unclear() {
            return Err(failed(error));
        }
        for look_number in 0..LOOKS {
            sleep(cloud.client.patience().pause * 2_u32.pow(look_number)).await;
            if let Some(made) = look().await? {
                return Ok(made);
            }
        }
        if attempt >= ATTEMPTS {
            return Err(failed(error));
        }
    }
}

/// The Droplet that a part has to hang on.
pub(super) async fn needed_machine(cloud: &DigitalOcean, owner: &Owner, what: &str) -> Result<Droplet, ProviderError> {
    let found = droplet::all(cloud, owner).await?;
    droplet::chosen(owner, &found).cloned().ok_or_else(|| {
        ProviderError::new(format!("failed to {what}: there is no Droplet"))
            .with_remedy("somebody destroyed it meanwhile: apply again, it is made anew")
    })
}
