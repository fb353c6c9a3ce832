//! Base images: a file of the user's, or a download that is verified and kept by its checksum.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::dirs::private_folder;
use super::record::Base;
use super::tools::Tools;
use super::{disk, download};
use crate::names::Digest;
use crate::note::{Note, Say};
use crate::provider::{LocalImage, ProviderError, Sha512Source};

/// The image that an alias stands for: `debian-13` is Debian's generic cloud image for `x86_64` or `aarch64`
/// (`std::env::consts::ARCH`), verified against the checksums that Debian publishes beside it.
pub fn alias(name: &str, arch: &str) -> Option<LocalImage> {
    const DEBIAN_13: &str = "https://cloud.debian.org/images/cloud/trixie/latest";
    let arch = match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        _ => return None,
    };
    (name == "debian-13").then(|| LocalImage::Url {
        url: format!("{DEBIAN_13}/debian-13-generic-{arch}.qcow2"),
        sha512: Sha512Source::SumsUrl(format!("{DEBIAN_13}/SHA512SUMS")),
    })
}

/// Has the image as a file and looks at it.
pub async fn ensure(image: &LocalImage, tools: &Tools, cache: &Path, say: Say<'_>) -> Result<Base, ProviderError> {
    let (path, sha512) = match image {
        // A link may point elsewhere tomorrow; the root disk needs the file that it points to today.
        LocalImage::Path(path) => (std::fs::canonicalize(path).unwrap_or_else(|_| path.clone()), None),
        LocalImage::Url { url, sha512 } => {
            private_folder(cache)?;
            let digest = match sha512 {
                Sha512Source::Digest(digest) => digest.to_ascii_lowercase(),
                Sha512Source::SumsUrl(sums) => published(url, sums, cache, say).await?,
            };
            (fetch(url, &digest, cache, say).await?, Some(digest))
        }
    };
    let (length, modified) = stamp(&path)?;
    let format = disk::info(tools, &path).await?.format;
    Ok(Base {
        path,
        format,
        length,
        modified,
        sha512,
    })
}

/// Length and time of last change of a base: what tells that it is still the one a disk was made on.
fn stamp(path: &Path) -> Result<(u64, u64), ProviderError> {
    let failed = |why: std::io::Error| {
        ProviderError::new(format!("failed to find the base image `{}`", path.display()))
            .because(why)
            .with_remedy("check `image` in the environment file: an existing file, or a url with its sha512")
    };
    let found = std::fs::metadata(path).map_err(failed)?;
    if !found.is_file() {
        return Err(failed(std::io::Error::other("it is not a file")));
    }
    let modified = found
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let nanos = modified.map_or(0, |age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
    Ok((found.len(), nanos))
}

/// Checks before a start that the base of an existing disk is there and unchanged; fetches a download again that was
/// cleared from the cache.
pub async fn check(base: &Base, image: &LocalImage, cache: &Path, say: Say<'_>) -> Result<(), ProviderError> {
    if let (false, LocalImage::Url { url, .. }, Some(digest)) = (base.path.exists(), image, &base.sha512) {
        private_folder(cache)?;
        let fetched = fetch(url, digest, cache, say).await?;
        if fetched == base.path {
            return Ok(());
        }
    }
    let broken = |what: String| {
        ProviderError::new(what).with_remedy(
            "put the image back as it was, or replace the machine: its root disk holds only the differences to it",
        )
    };
    let (length, modified) =
        stamp(&base.path).map_err(|_| broken(format!("failed to find the base image `{}`", base.path.display())))?;
    // A downloaded image was verified and is never written again; only its times may differ after it was fetched anew.
    if length != base.length || (base.sha512.is_none() && modified != base.modified) {
        return Err(broken(format!(
            "failed to use the root disk: its base image `{}` has changed since the machine was made",
            base.path.display()
        )));
    }
    Ok(())
}

/// The file of a verified download, fetched when the cache does not have it.
async fn fetch(url: &str, digest: &str, cache: &Path, say: Say<'_>) -> Result<PathBuf, ProviderError> {
    if digest.len() != 128 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(
            ProviderError::new(format!("failed to verify `{url}`: `{digest}` is not a SHA-512"))
                .with_remedy("give 128 hexadecimal digits"),
        );
    }
    // Half of it is enough to be unique and keeps the name within every file system's limit.
    let path = cache.join(format!("{}.img", digest.get(..64).unwrap_or(digest)));
    if !path.is_file() {
        download::verified(url, digest, &path, say).await?;
    }
    Ok(path)
}

/// The digest that the publisher's list gives for the image now; the last one known when the publisher is out of reach
/// and the image is in the cache.
async fn published(url: &str, sums: &str, cache: &Path, say: Say<'_>) -> Result<String, ProviderError> {
    let name = url.rsplit('/').next().unwrap_or(url);
    let remembered = cache.join(format!("{}.sha512", Digest::of(url).short()));
    match download::text(sums).await {
        Ok(list) => {
            let digest = find_sum(&list, name).ok_or_else(|| {
                ProviderError::new(format!("failed to find `{name}` in the checksums at {sums}"))
                    .with_remedy("check the url, or give the image's sha512 itself")
            })?;
            super::record::write_atomically(&remembered, digest.as_bytes())?;
            Ok(digest)
        }
        Err(error) => match std::fs::read_to_string(&remembered) {
            Ok(digest)
                if cache
                    .join(format!("{}.img", digest.get(..64).unwrap_or_default()))
                    .is_file() =>
            {
                say(Note::Warning(format!(
                    "{error}; using the image of `{name}` that was downloaded before"
                )));
                Ok(digest)
            }
            _ => Err(error),
        },
    }
}

/// One line of a `SHA512SUMS` file: digest, blanks, perhaps `*` for binary, name.
fn find_sum(list: &str, name: &str) -> Option<String> {
    list.lines().find_map(|line| {
        let (digest, file) = line.split_once(char::is_whitespace)?;
        (file.trim_start().trim_start_matches('*') == name).then(|| digest.to_ascii_lowercase())
    })
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
