//! Why a document was not read or written.

use std::io;

use thiserror::Error;

/// Why a document was not read or written. What was to be done, and to which document, is said by whoever wanted it.
#[derive(Debug, Error)]
pub enum StorageError {
    /// Something else is there than was expected.
    #[error("somebody else wrote it meanwhile")]
    Conflict,
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] io::Error),
    /// The service refused, or did not answer.
    #[cfg(feature = "aws")]
    #[error(transparent)]
    S3(#[from] Box<super::s3::Trouble>),
}

impl StorageError {
    /// What the person can do, when that does not depend on what was wanted.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Conflict => Some("run the command again: it begins with what is there now".to_owned()),
            Self::File(_) => None,
            #[cfg(feature = "aws")]
            Self::S3(trouble) => Some(trouble.remedy()),
        }
    }

    /// Whether there is no room.
    pub fn is_full(&self) -> bool {
        let Self::File(why) = self else { return false };
        matches!(
            why.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    }
}
