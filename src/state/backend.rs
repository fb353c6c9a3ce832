//! Which storage an environment's documents lie in: what its file says, and what this computer remembers.
//!
//! A backend in S3 is remembered in `backend.json` in the environment's local folder. So `destroy`, `output` and `status` find the state
//! when the environment's file is gone, and a file that names another backend than the one in use is noticed: taken at its
//! word, it would begin a second life of everything.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::storage::Storage;
use super::store::StoreError;

const FILE: &str = "backend.json";

/// Where documents are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Backend {
    /// In `.provision/` of the project.
    #[default]
    Local,
    /// In a bucket.
    S3(Bucket),
}

/// A bucket, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its name.
    pub bucket: String,
    /// The beginning of all keys, without a slash at its end; keys begin with the environment's name without.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Its region; that of the AWS configuration without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The service, where it is not AWS's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The profile of the AWS configuration whose credentials are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

impl Bucket {
    /// Whether both are the same objects, however they are reached.
    fn is_same(&self, other: &Self) -> bool {
        self.bucket == other.bucket && self.key == other.key && self.endpoint == other.endpoint
    }
}

impl Backend {
    /// Whether both are the same documents, however they are reached.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Local, Self::Local) => true,
            (Self::S3(ours), Self::S3(theirs)) => ours.is_same(theirs),
            _ => false,
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("on this computer"),
            Self::S3(Bucket {
                bucket, key, endpoint, ..
            }) => {
                write!(f, "in s3://{bucket}")?;
                if !key.is_empty() {
                    write!(f, "/{key}")?;
                }
                match endpoint {
                    Some(endpoint) => write!(f, " at {endpoint}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// What this computer remembers of a backend in S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    #[serde(flatten)]
    pub(super) bucket: Bucket,
    /// Whether the service has shown that it honours conditional writes.
    #[serde(default)]
    pub(super) proved: bool,
}

/// What is remembered in an environment's local folder.
pub(super) fn recall(folder: &Path) -> Result<Option<Memory>, StoreError> {
    let (storage, damaged) = (Storage::local(folder), |why: serde_json::Error| StoreError::Read {
        place: Storage::local(folder).place(FILE),
        why: std::io::Error::from(why).into(),
    });
    match storage.get(FILE) {
        Ok(Some((bytes, _))) => serde_json::from_slice(&bytes).map(Some).map_err(damaged),
        Ok(None) => Ok(None),
        Err(why) => Err(StoreError::Read {
            place: storage.place(FILE),
            why,
        }),
    }
}

/// Remembers a backend in S3, or forgets the one there was.
pub(super) fn remember(folder: &Path, memory: Option<&Memory>) -> Result<(), StoreError> {
    let storage = Storage::local(folder);
    let any = super::storage::Expect::Any;
    let done = match memory {
        Some(memory) => serde_json::to_vec_pretty(memory)
            .map_err(|why| std::io::Error::from(why).into())
            .and_then(|bytes| storage.put(FILE, &bytes, &any).map(drop)),
        None => storage.remove(FILE, &any),
    };
    done.map_err(|why| StoreError::Write {
        place: storage.place(FILE),
        why,
    })
}

/// The backend that is remembered in an environment's local folder, if one is.
///
/// # Errors
/// When the memory cannot be read.
pub fn remembered(folder: &Path) -> Result<Option<Backend>, StoreError> {
    Ok(recall(folder)?.map(|memory| Backend::S3(memory.bucket)))
}
