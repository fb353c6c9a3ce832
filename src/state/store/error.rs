//! Why a state was not read or written, each with what to do about it.

use std::path::PathBuf;

use thiserror::Error;

use super::super::backend::Backend;
use super::super::storage::{Place, StorageError};
use crate::names::{EnvironmentName, Lineage};

/// Why a state was not read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The storage refused.
    #[error("failed to read {} {place}", what_of(place))]
    Read {
        /// The document.
        place: Place,
        /// Why.
        #[source]
        why: StorageError,
    },
    /// It is not JSON, or not the JSON of a state.
    #[error("failed to read the state {place}: damaged at line {line}, column {column}: `{excerpt}`")]
    Damaged {
        /// The state.
        place: Place,
        /// From 1; 0 when the damage has no place.
        line: usize,
        /// From 1; 0 when the damage has no place.
        column: usize,
        /// The beginning of that line.
        excerpt: String,
        /// The newest backup that is sound.
        backup: Option<Place>,
        /// Why.
        #[source]
        why: serde_json::Error,
    },
    /// A later version of the shape.
    #[error(
        "failed to read the state {place}: its version is {version}, written by `{written_by}`, and this is `{}`, which reads up to version {}",
        super::super::model::WRITER,
        super::super::model::VERSION
    )]
    Newer {
        /// The state.
        place: Place,
        /// Its version.
        version: u32,
        /// Who wrote it.
        written_by: String,
    },
    /// It belongs to another environment.
    #[error("refused the state {place}: it belongs to the environment `{found}`, not to `{expected}`")]
    OtherEnvironment {
        /// The state.
        place: Place,
        /// The environment that was asked for.
        expected: EnvironmentName,
        /// The environment in it.
        found: EnvironmentName,
    },
    /// It belongs to another life of the environment.
    #[error(
        "refused to write the state {place}: it has the lineage {found}, and this run loaded {expected}: the environment was destroyed and made again meanwhile"
    )]
    OtherLineage {
        /// The state.
        place: Place,
        /// What this run has.
        expected: Lineage,
        /// What is there.
        found: Lineage,
    },
    /// Somebody else wrote it.
    #[error(
        "refused to write the state {place}: this run loaded serial {loaded}, and `{written_by}` wrote serial {found} meanwhile"
    )]
    Moved {
        /// The state.
        place: Place,
        /// What this run loaded.
        loaded: u64,
        /// What is there.
        found: u64,
        /// Who wrote that.
        written_by: String,
    },
    /// It was there and is gone.
    #[error(
        "refused to write the state {place}: this run loaded serial {serial}, and {}: the environment was destroyed or {} moved meanwhile",
        if place.is_path() { "the file is gone" } else { "it is gone" },
        if place.is_path() { "its folder" } else { "its state" }
    )]
    Vanished {
        /// The state.
        place: Place,
        /// What this run loaded.
        serial: u64,
    },
    /// The storage refused to write.
    #[error("failed to write {place}{}", if place.is_path() { "; the state on disk is the one from before" } else { "" })]
    Write {
        /// The document or folder.
        place: Place,
        /// Why.
        #[source]
        why: StorageError,
    },
    /// The state was written, its copy was not.
    #[error("failed to back up serial {serial} of the state to {place}; the state itself is written")]
    Backup {
        /// The backup.
        place: Place,
        /// What was written.
        serial: u64,
        /// Why.
        #[source]
        why: StorageError,
    },
    /// What was destroyed could not be put away.
    #[error("failed to move {from} to {to}")]
    Archive {
        /// The environment's documents.
        from: Place,
        /// Where its state is kept.
        to: Place,
        /// Why.
        #[source]
        why: StorageError,
    },
    /// The documents lie in another backend than the one that is written.
    #[error("the state of `{environment}` is {there}, and its file says that it is {written}")]
    Elsewhere {
        /// Whose.
        environment: EnvironmentName,
        /// Where they are, as far as this computer knows.
        there: Box<Backend>,
        /// What the environment's file says.
        written: Box<Backend>,
        /// What this computer knows that by.
        memory: PathBuf,
    },
    /// Something is there already.
    #[error("refused to copy the state to {place}: there is another one")]
    Taken {
        /// Where.
        place: Place,
    },
    /// It is not here any more.
    #[error("the state is not here any more: {by} moved it to {to} at {at}, as {place} says")]
    MovedAway {
        /// What says so.
        place: Place,
        /// Where it is.
        to: String,
        /// `user@host`.
        by: String,
        /// When.
        at: jiff::Timestamp,
    },
    /// A backend that was left out.
    #[error("this build keeps no state in S3")]
    NotBuilt,
}

impl StoreError {
    /// What the person can do.
    pub fn remedy(&self) -> String {
        let of_service = match self {
            Self::Read { why, .. } | Self::Write { why, .. } | Self::Backup { why, .. } | Self::Archive { why, .. } => {
                why.remedy()
            }
            _ => None,
        };
        if let Some(remedy) = of_service {
            return remedy;
        }
        match self {
            Self::Read { place, .. } => format!("check that {place} is a file you may read"),
            Self::Damaged {
                place,
                backup: Some(backup),
                ..
            } => format!(
                "restore the newest sound backup with `{}`; provision then looks at the machine and continues",
                place.copy_from(backup)
            ),
            Self::Damaged { place, .. } => format!(
                "there is no sound backup beside it in {}/{}; bring back a copy of the file. Do not simply delete it: provision would forget the machine",
                place.folder(), super::BACKUPS
            ),
            Self::Newer { written_by, .. } => format!("upgrade to `{written_by}` or newer"),
            Self::OtherEnvironment { place, found, .. } => format!(
                "was {place} copied or renamed from `{found}`? Move it back there; every environment has a folder of its own"
            ),
            Self::OtherLineage { .. } | Self::Moved { .. } | Self::Vanished { .. } => {
                "somebody else worked on the environment while this run did: run the command again, it continues from what is there now".to_owned()
            }
            Self::Write { why, place } if why.is_full() => {
                format!("make room on the file system of {place} and run the command again")
            }
            Self::Write { place, .. } => {
                format!("check that you may write to {}, then run the command again", place.folder())
            }
            Self::Backup { place, .. } => {
                format!("check that you may write to {} and that there is room", place.folder())
            }
            Self::Archive { from, .. } => {
                format!("everything of the environment is destroyed; remove {from} by hand if it is still there")
            }
            Self::Elsewhere { environment, there, memory, .. } => {
                let moved = match **there {
                    Backend::Local => String::new(),
                    Backend::S3(_) => format!(" When it was moved by hand, remove {}", memory.display()),
                };
                format!("`provision state migrate {environment}` moves it to where the file says; or let [state] say where it is.{moved}")
            }
            Self::Taken { place } => format!("look at it first; when nobody needs it, move it away (`{}`)", place.removal()),
            Self::MovedAway { place, .. } => format!(
                "write that place as [state] in the environment's file, or fetch the file of whoever moved it. When the environment \
                 shall begin anew here, `{}`",
                place.removal()
            ),
            Self::NotBuilt => "build it with its default features: cargo build --release".to_owned(),
        }
    }
}

impl StoreError {
    /// The same about bytes that came from somewhere else.
    pub(super) fn of(self, from: &Place) -> Self {
        let elsewhere = from.clone();
        match self {
            Self::Damaged {
                line,
                column,
                excerpt,
                why,
                ..
            } => Self::Damaged {
                place: elsewhere,
                line,
                column,
                excerpt,
                backup: None,
                why,
            },
            Self::Newer {
                version, written_by, ..
            } => Self::Newer {
                place: elsewhere,
                version,
                written_by,
            },
            Self::OtherEnvironment { expected, found, .. } => Self::OtherEnvironment {
                place: elsewhere,
                expected,
                found,
            },
            other => other,
        }
    }
}

/// The state itself, or one of the documents beside it.
fn what_of(place: &Place) -> &'static str {
    match place.to_string().ends_with(super::STATE_FILE) {
        true => "the state",
        false => "the document",
    }
}

/// The beginning of a line, for a message. Line 0 (an error without a place) is the beginning of the file.
pub(super) fn excerpt(bytes: &[u8], line: usize) -> String {
    const LENGTH: usize = 60;
    let line = bytes
        .split(|byte| *byte == b'\n')
        .nth(line.saturating_sub(1))
        .unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    let mut characters = text.trim().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut excerpt: String = characters.by_ref().take(LENGTH).collect();
    if characters.next().is_some() {
        excerpt.push('…');
    }
    excerpt
}
