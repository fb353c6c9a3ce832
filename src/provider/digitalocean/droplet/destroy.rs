//! Taking the Droplet away.

use std::time::Duration;

use super::{all, by_id, chosen};
use crate::note::Say;
use crate::provider::digitalocean::marks::Marks;
use crate::provider::digitalocean::wire::Droplet;
use crate::provider::digitalocean::{DigitalOcean, error};
use crate::provider::wait::{self, Look};
use crate::provider::{Owner, ProviderError};

/// How long one may take to be gone. Until then it holds its volume and its address.
const TO_END: Duration = Duration::from_secs(600);

/// Destroys the Droplet, and what an interrupted run made beside it, each by its identifier, and waits until they are gone. A
/// volume that is attached stays, and so does a Droplet that somebody else made with a copy of our tags:
/// [`leftovers`](crate::provider::Provider::leftovers) tells of it.
///
/// # Errors
/// When one does not end in time.
pub(in crate::provider::digitalocean) async fn destroy(
    cloud: &DigitalOcean,
    owner: &Owner,
    say: Say<'_>,
) -> Result<(), ProviderError> {
    let there = all(cloud, owner).await?;
    let machine = chosen(owner, &there).map(|droplet| droplet.id);
    let ours = |droplet: &&Droplet| Some(droplet.id) == machine || made_by_us(owner, droplet);
    for droplet in there.iter().filter(ours) {
        remove(cloud, droplet.id, say).await?;
    }
    Ok(())
}

/// Whether it was made by a call of ours.
pub(super) fn made_by_us(owner: &Owner, droplet: &Droplet) -> bool {
    droplet.name == owner.machine_name() && Marks::read(droplet.tags.as_ref()).is_of(owner)
}

/// Destroys one and waits until it is gone.
pub(super) async fn remove(cloud: &DigitalOcean, id: u64, say: Say<'_>) -> Result<(), ProviderError> {
    let text = id.to_string();
    wait::until(&format!("machine.instance to be gone ({id})"), TO_END, say, || async {
        if by_id(cloud, &text).await?.is_none() {
            return Ok(Look::Done(()));
        }
        // Again at each look: it has the same effect however often it is asked for.
        match cloud.client.delete(&["droplets", &text], None).await {
            Ok(()) => Ok(Look::NotYet("being destroyed".to_owned())),
            Err(busy) if busy.is_busy() => Ok(Look::NotYet("busy with something else".to_owned())),
            Err(other) => {
                let what = format!("failed to destroy machine.instance ({id})");
                Err(error::failed(what, "droplet:delete", other))
            }
        }
    })
    .await
}
