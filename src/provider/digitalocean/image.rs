//! What an alias of an image stands for.
//!
//! The vendor's slugs follow the newest build of a release: so the number of the image is kept, and a newer one is news.

use super::DigitalOcean;
use super::error;
use super::wire::{Droplet, Image};
use crate::provider::ProviderError;
use crate::provider::spec::cloud::IMAGES;

/// The vendor's slug of an alias; a slug or a number stays what it is.
fn slug(name: &str) -> String {
    match IMAGES.contains(&name) {
        true => format!("{}-x64", name.replace('.', "-")),
        false => name.to_owned(),
    }
}

pub(super) async fn resolve(cloud: &DigitalOcean, name: &str) -> Result<Image, ProviderError> {
    let found = cloud.client.find::<Image>(&["images", &slug(name)]).await;
    let found = found.map_err(error::of(
        format!("failed to look for the image `{name}`"),
        "image:read",
    ))?;
    found.ok_or_else(|| {
        ProviderError::new(format!(
            "failed to find the image `{name}`: DigitalOcean has none of this name"
        ))
        .with_remedy(format!(
            "write {}, a slug of `doctl compute image list-distribution`, or the number of an image of your own",
            IMAGES.join(", ")
        ))
    })
}

/// Whether a newer image is out for the alias that a Droplet was made from.
pub(super) async fn news(
    cloud: &DigitalOcean,
    asked: &str,
    droplet: &Droplet,
) -> Result<Option<String>, ProviderError> {
    let Some(current) = droplet.image.as_ref().and_then(|image| image.id) else {
        return Ok(None);
    };
    if asked.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let key = format!("do-{current}");
    if let Some(known) = cloud.newest.known(&key, cloud.lean) {
        return Ok(known);
    }
    if cloud.lean {
        return Ok(None);
    }
    let newest = resolve(cloud, asked).await?;
    let since = newest
        .created_at
        .as_deref()
        .and_then(|at| at.split('T').next())
        .unwrap_or_default();
    let told = newest.id.filter(|id| *id != current).map(|id| {
        format!("{asked} has a newer image, {id} of {since}; the machine has {current}: `--replace machine.instance` makes it anew from that")
    });
    cloud.newest.note(&key, told.as_deref());
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_a_slug_of_the_vendors() {
        assert_eq!(slug("debian-13"), "debian-13-x64");
        assert_eq!(slug("ubuntu-24.04"), "ubuntu-24-04-x64");
        assert_eq!(slug("fedora-44-x64"), "fedora-44-x64");
        assert_eq!(slug("166598327"), "166598327");
    }
}
