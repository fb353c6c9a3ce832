//! Container images in `docker save` archives: what the archive holds, read without unpacking it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use tar::{Archive, Entries};
use thiserror::Error;

/// Docker's own limit for the small files of an archive is far below.
const MAX_MANIFEST: u64 = 4 * 1024 * 1024;

/// An archive that holds the image it was named for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageArchive {
    /// The image's name as the environment file writes it.
    pub reference: String,
    /// The archive.
    pub path: PathBuf,
    /// Size of the archive.
    pub bytes: u64,
    /// The digest of the image's configuration, `sha256:…`: what Docker calls the image's ID.
    pub image_id: String,
    /// Paths of the layers inside the archive, the base first.
    pub layers: Vec<String>,
}

/// Why an archive cannot be used.
#[derive(Debug, Error)]
pub enum ImageError {
    /// There is no such file.
    #[error("the image archive {} does not exist", path.display())]
    Missing {
        /// The archive.
        path: PathBuf,
        /// The image that it should hold.
        reference: String,
    },
    /// It cannot be read to its end.
    #[error("failed to read the image archive {}", path.display())]
    Unreadable {
        /// The archive.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is not a `docker save` archive: {why}", path.display())]
    NotAnArchive {
        /// The archive.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// It holds other images.
    #[error("{} does not hold {reference}, but {}", path.display(), if held.is_empty() { "an image without a name".to_owned() } else { held.join(", ") })]
    OtherImage {
        /// The archive.
        path: PathBuf,
        /// The image that was looked for.
        reference: String,
        /// The names inside.
        held: Vec<String>,
    },
}

impl ImageError {
    /// The remedy.
    pub fn help(&self) -> String {
        match self {
            Self::Missing { path, reference } => {
                format!("make it with `docker save {reference} -o {}`", path.display())
            }
            Self::Unreadable { .. } => "is the file complete, and readable for you?".to_owned(),
            Self::NotAnArchive { .. } => {
                "`docker save` writes what is needed; plain tar and gzip are understood".to_owned()
            }
            Self::OtherImage { reference, held, .. } => match held.first() {
                Some(name) => format!("name the entry \"{name}\", or save {reference} with `docker save {reference}`"),
                None => format!("save it by its name: `docker save {reference}`"),
            },
        }
    }
}

/// One image in an archive's `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl ImageArchive {
    /// Reads what `path` holds. A plain archive is also checked for missing layers; of a gzipped one only so much is
    /// unpacked as it takes to find its manifest.
    pub fn read(reference: &str, path: &Path) -> Result<Self, ImageError> {
        let unreadable = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => ImageError::Missing {
                path: path.to_owned(),
                reference: reference.to_owned(),
            },
            _ => ImageError::Unreadable {
                path: path.to_owned(),
                source,
            },
        };
        let broken = |why: String| ImageError::NotAnArchive {
            path: path.to_owned(),
            why,
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        let mut magic = [0; 2];
        let zipped = match file.read_exact(&mut magic) {
            Ok(()) => magic == [0x1f, 0x8b],
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(unreadable(error)),
        };
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;

        let contents = if zipped {
            let mut archive = Archive::new(MultiGzDecoder::new(BufReader::new(file)));
            archive.entries().and_then(|entries| Contents::scan(entries, true))
        } else {
            let mut archive = Archive::new(file);
            archive
                .entries_with_seek()
                .and_then(|entries| Contents::scan(entries, false))
        };
        let contents = contents.map_err(|error| broken(error.to_string()))?;
        let manifest = contents
            .manifest
            .ok_or_else(|| broken("it has no manifest.json; is the file cut short?".to_owned()))?;
        let images: Vec<Saved> =
            serde_json::from_slice(&manifest).map_err(|error| broken(format!("its manifest.json: {error}")))?;

        let wanted = normal(reference);
        let tags = |image: &Saved| image.repo_tags.clone().unwrap_or_default();
        let Some(image) = images
            .iter()
            .find(|image| tags(image).iter().any(|tag| normal(tag) == wanted))
        else {
            return Err(ImageError::OtherImage {
                path: path.to_owned(),
                reference: reference.to_owned(),
                held: images.iter().flat_map(tags).collect(),
            });
        };
        if !zipped && let Some(lost) = image.layers.iter().find(|layer| !contents.names.contains(*layer)) {
            return Err(broken(format!("the layer {lost} is missing; is the file cut short?")));
        }
        let digest = config_digest(&image.config).ok_or_else(|| {
            broken(format!(
                "the configuration `{}` is not named by its digest",
                image.config
            ))
        })?;
        Ok(Self {
            reference: reference.to_owned(),
            path: path.to_owned(),
            bytes,
            image_id: format!("sha256:{digest}"),
            layers: image.layers.clone(),
        })
    }
}

struct Contents {
    manifest: Option<Vec<u8>>,
    names: BTreeSet<String>,
}

impl Contents {
    fn scan<R: Read>(entries: Entries<'_, R>, stop_at_manifest: bool) -> io::Result<Self> {
        let mut contents = Self {
            manifest: None,
            names: BTreeSet::new(),
        };
        for entry in entries {
            let mut entry = entry.map_err(|error| match contents.names.is_empty() {
                true => io::Error::other("it is not a tar archive"),
                false => error,
            })?;
            let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
            if name == "manifest.json" {
                let mut text = Vec::new();
                entry.by_ref().take(MAX_MANIFEST).read_to_end(&mut text)?;
                contents.manifest = Some(text);
                if stop_at_manifest {
                    break;
                }
            }
            contents.names.insert(name);
        }
        Ok(contents)
    }
}

/// `<hex>.json` in older archives, `blobs/sha256/<hex>` in newer ones.
fn config_digest(config: &str) -> Option<&str> {
    let name = config.rsplit('/').next()?;
    let digest = name.strip_suffix(".json").unwrap_or(name);
    (digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit())).then_some(digest)
}

/// The name with what Docker leaves out: `postgres` is `postgres:latest`, and so is `docker.io/library/postgres`.
pub fn normal(reference: &str) -> String {
    let name = reference.strip_prefix("docker.io/").unwrap_or(reference);
    let name = name.strip_prefix("library/").unwrap_or(name);
    let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains(':'));
    if has_tag || name.contains('@') {
        name.to_owned()
    } else {
        format!("{name}:latest")
    }
}

#[cfg(test)]
#[path = "image/tests.rs"]
mod tests;
