//! Images: what an alias stands for, and whether a newer one is out.
//!
//! Aliases are found by the publisher's account and name pattern; both are published by Debian and Canonical. Never by name
//! alone: anybody may give an image any name.

use std::cmp::Reverse;

use aws_sdk_ec2::types::{ArchitectureType, Image as Described};

use super::{Aws, error, tags};
use crate::provider::{AwsShape, ProviderError};

/// Debian's account (wiki.debian.org/Cloud/AmazonEC2Image).
const DEBIAN: &str = "136693071363";
/// Canonical's account (documentation.ubuntu.com/aws).
const CANONICAL: &str = "099720109477";

/// An image that a machine can be made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The device of its root disk.
    pub root_device: String,
    /// How large a root disk has to be, in GiB.
    pub least_gib: u32,
}

/// What is to be known of a size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Whether it has CPU credits.
    pub burstable: bool,
}

/// Whose images an alias is looked for among, and how their names read.
struct Publisher {
    account: &'static str,
    pattern: String,
}

fn publisher(alias: &str, architecture: &str) -> Option<Publisher> {
    let arch = if architecture == "arm64" { "arm64" } else { "amd64" };
    let debian = |version: &str| (DEBIAN, format!("debian-{version}-{arch}-*"));
    // The folder is `hvm-ssd` or, for newer releases, `hvm-ssd-gp3`.
    let ubuntu = |release: &str| {
        (
            CANONICAL,
            format!("ubuntu/images/hvm-ssd*/ubuntu-{release}-{arch}-server-*"),
        )
    };
    let (account, pattern) = match alias {
        "debian-13" => debian("13"),
        "debian-12" => debian("12"),
        "ubuntu-24.04" => ubuntu("noble-24.04"),
        "ubuntu-22.04" => ubuntu("jammy-22.04"),
        _ => return None,
    };
    Some(Publisher { account, pattern })
}

/// What is known of a size in this region.
///
/// # Errors
/// When the region has no such size or cannot be asked.
pub async fn size(aws: &Aws, name: &str) -> Result<Size, ProviderError> {
    let filter = tags::filter("instance-type", [name]);
    let what = format!("failed to look up the size {name}");
    let output = aws
        .ec2
        .describe_instance_types()
        .filters(filter)
        .send()
        .await
        .map_err(|why| error::failed(what, "ec2:DescribeInstanceTypes", why))?;
    let described = output.instance_types().first().ok_or_else(|| {
        ProviderError::new(format!("failed to use the size {name}: {} has none such", aws.region))
            .with_remedy("write a `size` that the region has, such as \"t3.small\" or \"t4g.small\"")
    })?;
    let architectures = described
        .processor_info()
        .map(|info| info.supported_architectures())
        .unwrap_or_default();
    // Old sizes offer i386 beside x86_64.
    let known = [ArchitectureType::X8664, ArchitectureType::Arm64];
    let architecture = known
        .iter()
        .find(|known| architectures.contains(known))
        .ok_or_else(|| {
            ProviderError::new(format!("failed to use the size {name}: it is neither x86-64 nor arm64"))
                .with_remedy("write another size, such as \"t3.small\" or \"t4g.small\"")
        })?;
    Ok(Size {
        architecture: architecture.as_str().to_owned(),
        burstable: described.burstable_performance_supported().unwrap_or(false),
    })
}

/// The image that `shape` names, for its size's architecture.
///
/// # Errors
/// When there is none, or it is for another architecture.
pub async fn resolve(aws: &Aws, shape: &AwsShape, size: &Size) -> Result<Image, ProviderError> {
    let alias = &shape.image;
    let found = if alias.starts_with("ami-") {
        by_id(aws, alias).await?
    } else {
        newest(aws, alias, &size.architecture).await?
    };
    let described = found.ok_or_else(|| {
        ProviderError::new(format!(
            "failed to find the image {alias} for {} in {}",
            size.architecture, aws.region
        ))
        .with_remedy("write an image of this region as `image = \"ami-…\"`; publishers do not serve every region")
    })?;
    let architecture = described
        .architecture()
        .map_or("", |architecture| architecture.as_str());
    if architecture != size.architecture {
        return Err(ProviderError::new(format!(
            "failed to use the image {alias}: it is for {architecture}, and {} is {}",
            shape.size, size.architecture
        ))
        .with_remedy("write an image and a size of one architecture"));
    }
    Ok(image(&described))
}

fn image(described: &Described) -> Image {
    let root = described.root_device_name().unwrap_or("/dev/xvda");
    let mappings = described.block_device_mappings().iter();
    let least = mappings
        .filter(|mapping| mapping.device_name() == Some(root))
        .filter_map(|mapping| mapping.ebs()?.volume_size())
        .max();
    Image {
        id: described.image_id().unwrap_or_default().to_owned(),
        name: described.name().unwrap_or_default().to_owned(),
        root_device: root.to_owned(),
        least_gib: least.and_then(|gib| u32::try_from(gib).ok()).unwrap_or(0),
    }
}

/// What is told when an image that is newer than `current` is out for the alias. None for an `ami-…`.
///
/// # Errors
/// When the region cannot be asked.
pub async fn news(aws: &Aws, alias: &str, architecture: &str, current: &str) -> Result<Option<String>, ProviderError> {
    if publisher(alias, architecture).is_none() {
        return Ok(None);
    }
    match aws.newest.known(current, aws.lean) {
        Some(told) => return Ok(told),
        None if aws.lean => return Ok(None),
        None => {}
    }
    let newest = newest(aws, alias, architecture)
        .await?
        .map(|described| image(&described));
    let told = newest.filter(|image| image.id != current).map(|image| {
        format!(
            "a newer {alias} image is out: {} ({}); replacing machine.instance takes it",
            image.id, image.name
        )
    });
    aws.newest.note(current, told.as_deref());
    Ok(told)
}

async fn newest(aws: &Aws, alias: &str, architecture: &str) -> Result<Option<Described>, ProviderError> {
    let Some(Publisher { account, pattern }) = publisher(alias, architecture) else {
        return Err(
            ProviderError::new(format!("failed to find the image {alias}: no such alias is known")).with_remedy(
                format!(
                    "write one of {}, or `ami-…`",
                    crate::provider::spec::cloud::IMAGES.join(", ")
                ),
            ),
        );
    };
    let output = aws
        .ec2
        .describe_images()
        .owners(account)
        .filters(tags::filter("name", [pattern]))
        .filters(tags::filter("architecture", [architecture]))
        .filters(tags::filter("state", ["available"]))
        .filters(tags::filter("root-device-type", ["ebs"]))
        .send()
        .await
        .map_err(|why| {
            error::failed(
                format!("failed to look for images of {alias}"),
                "ec2:DescribeImages",
                why,
            )
        })?;
    Ok(latest(output.images.unwrap_or_default()))
}

/// The newest by its date, which sorts as text; of two of one date that of the greater name, so that it is always the same.
fn latest(mut images: Vec<Described>) -> Option<Described> {
    images.sort_by_cached_key(|image| {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Reverse((text(image.creation_date()), text(image.name()), text(image.image_id())))
    });
    images.into_iter().next()
}

async fn by_id(aws: &Aws, id: &str) -> Result<Option<Described>, ProviderError> {
    let output = aws
        .ec2
        .describe_images()
        .filters(tags::filter("image-id", [id]))
        .include_deprecated(true)
        .send()
        .await
        .map_err(|why| error::failed(format!("failed to look up the image {id}"), "ec2:DescribeImages", why))?;
    Ok(output.images.unwrap_or_default().into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(id: &str, date: &str) -> Described {
        Described::builder()
            .image_id(id)
            .name(format!("name of {id}"))
            .creation_date(date)
            .build()
    }

    #[test]
    fn the_newest_image_is_taken_whatever_their_order() {
        let old = described("ami-old", "2025-08-09T00:00:00.000Z");
        let new = described("ami-new", "2026-01-02T00:00:00.000Z");
        let between = described("ami-between", "2025-12-31T23:59:59.000Z");
        let id = |images: Vec<Described>| latest(images).and_then(|image| image.image_id);
        assert_eq!(
            id(vec![old.clone(), new.clone(), between.clone()]).as_deref(),
            Some("ami-new")
        );
        assert_eq!(id(vec![new, between, old]).as_deref(), Some("ami-new"));
        assert_eq!(id(Vec::new()), None);
    }

    #[test]
    fn every_alias_has_a_publisher_on_both_architectures() {
        for alias in crate::provider::spec::cloud::IMAGES {
            let amd = publisher(alias, "x86_64").unwrap();
            assert!(amd.pattern.contains("amd64"), "{}", amd.pattern);
            let arm = publisher(alias, "arm64").unwrap();
            assert!(arm.pattern.contains("arm64"), "{}", arm.pattern);
            assert_eq!(amd.account, arm.account);
        }
        assert!(publisher("ami-123", "x86_64").is_none());
    }
}
