//! Where the documents of one environment lie: a folder of this computer, or a bucket of an S3-compatible service.
//!
//! A document is a name such as `state.json` or `history/0007.json` and some bytes. It is replaced whole or not at all, and
//! only by whoever says what it replaces ([`Expect`]): everything above that must not lose a write is built on this one
//! comparison, which the storage itself makes. Nothing here knows what is in a document.

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::names::hex;

mod error;
mod local;
#[cfg(feature = "aws")]
pub mod s3;
#[cfg(test)]
mod tests;

pub use error::StorageError;
pub use local::Local;
#[cfg(feature = "aws")]
pub use s3::S3;

/// Where the documents of one environment lie.
#[derive(Debug, Clone)]
pub enum Storage {
    /// A folder of this computer.
    Local(Local),
    /// Objects in a bucket.
    #[cfg(feature = "aws")]
    S3(S3),
}

/// Which content of a document was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// Of a document that has no version but its content.
    fn of(bytes: &[u8]) -> Self {
        Self(hex(&Sha256::digest(bytes)))
    }
}

/// What must be there for a document to be replaced or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Absent,
    /// What was seen, unchanged.
    Seen(Version),
    /// Anything or nothing. Only for what nobody else writes, or where the last word may win.
    Any,
}

impl Expect {
    /// That nothing has changed since a document was read.
    pub fn unchanged(seen: Option<&Version>) -> Self {
        seen.map_or(Self::Absent, |version| Self::Seen(version.clone()))
    }
}

/// One document of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its name within the environment.
    pub name: String,
    /// When it was written last, by the storage's clock.
    pub modified: Timestamp,
}

/// Where a document or a folder of documents is, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A path of this computer.
    Path(PathBuf),
    /// An object, or the beginning of objects' keys.
    Object {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The service, where it is not AWS's own.
        endpoint: Option<String>,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Object { bucket, key, .. } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

impl Place {
    /// Whether it is one of this computer.
    pub fn is_path(&self) -> bool {
        matches!(self, Self::Path(_))
    }

    /// What it lies in.
    pub fn folder(&self) -> Self {
        match self {
            Self::Path(path) => Self::Path(path.parent().unwrap_or(path).to_owned()),
            Self::Object { bucket, key, endpoint } => Self::Object {
                bucket: bucket.clone(),
                key: key.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned(),
                endpoint: endpoint.clone(),
            },
        }
    }

    /// The command that puts a copy of another document here.
    pub fn copy_from(&self, other: &Self) -> String {
        match (self, other) {
            (Self::Path(_), Self::Path(_)) => format!("cp {other} {self}"),
            _ => format!("{} s3 cp {other} {self}", self.client()),
        }
    }

    /// The command that removes the document.
    pub fn removal(&self) -> String {
        match self {
            Self::Path(path) => format!("rm {}", path.display()),
            Self::Object { .. } => format!("{} s3 rm {self}", self.client()),
        }
    }

    fn client(&self) -> String {
        match self {
            Self::Object {
                endpoint: Some(endpoint),
                ..
            } => format!("aws --endpoint-url {endpoint}"),
            _ => "aws".to_owned(),
        }
    }
}

impl Storage {
    /// A folder of this computer. Nothing is read or made.
    pub fn local(folder: &Path) -> Self {
        Self::Local(Local::new(folder))
    }

    /// Reads a document. `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get(&self, name: &str) -> Result<Option<(Vec<u8>, Version)>, StorageError> {
        match self {
            Self::Local(local) => local.get(name),
            #[cfg(feature = "aws")]
            Self::S3(s3) => s3.get(name),
        }
    }

    /// Replaces a document, whole or not at all.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when something else is there than was expected, and it still is; or when it cannot be
    /// written.
    pub fn put(&self, name: &str, bytes: &[u8], expect: &Expect) -> Result<Version, StorageError> {
        match self {
            Self::Local(local) => local.put(name, bytes, expect),
            #[cfg(feature = "aws")]
            Self::S3(s3) => s3.put(name, bytes, expect),
        }
    }

    /// Removes a document; one that is not there is removed already, if anything is expected at all.
    ///
    /// # Errors
    /// As [`Storage::put`].
    pub fn remove(&self, name: &str, expect: &Expect) -> Result<(), StorageError> {
        match self {
            Self::Local(local) => local.remove(name, expect),
            #[cfg(feature = "aws")]
            Self::S3(s3) => s3.remove(name, expect),
        }
    }

    /// The documents whose names begin with `folder/`, and not those of folders in it, sorted by name. The empty name is the
    /// environment's own folder.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn list(&self, folder: &str) -> Result<Vec<Document>, StorageError> {
        match self {
            Self::Local(local) => local.list(folder),
            #[cfg(feature = "aws")]
            Self::S3(s3) => s3.list(folder),
        }
    }

    /// The names of the folders of documents, sorted.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn folders(&self) -> Result<Vec<String>, StorageError> {
        match self {
            Self::Local(local) => local.folders(),
            #[cfg(feature = "aws")]
            Self::S3(s3) => s3.folders(),
        }
    }

    /// The time by the storage's own clock, which is the same for everybody who uses it: that of the bucket's service, as far as
    /// it has been heard of, and this computer's for a folder.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::Local(_) => Timestamp::now(),
            #[cfg(feature = "aws")]
            Self::S3(s3) => s3.now(),
        }
    }

    /// Where a document is. The empty name is all of them.
    pub fn place(&self, name: &str) -> Place {
        match self {
            Self::Local(local) => Place::Path(local.path(name)),
            #[cfg(feature = "aws")]
            Self::S3(s3) => s3.place(name),
        }
    }

    /// Whether the documents are files of this computer, which others can read as they are.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local(_))
    }

    /// Makes sure that documents can be written, and only by whoever says what they replace.
    ///
    /// # Errors
    /// When the folder cannot be made, or the service does not keep that promise.
    pub fn prepare(&self) -> Result<(), StorageError> {
        match self {
            Self::Local(local) => local.prepare(),
            #[cfg(feature = "aws")]
            Self::S3(s3) => s3.prove(),
        }
    }
}
