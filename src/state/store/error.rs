//! Why a state was not read or written, each with what to do about it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::names::{EnvironmentName, Lineage};

/// Why a state was not read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The operating system refused the file.
    #[error("failed to read the state {}", path.display())]
    Read {
        /// The state file.
        path: PathBuf,
        /// Why.
        #[source]
        why: io::Error,
    },
    /// It is not JSON, or not the JSON of a state.
    #[error("failed to read the state {}: damaged at line {line}, column {column}: `{excerpt}`", path.display())]
    Damaged {
        /// The state file.
        path: PathBuf,
        /// From 1; 0 when the damage has no place.
        line: usize,
        /// From 1; 0 when the damage has no place.
        column: usize,
        /// The beginning of that line.
        excerpt: String,
        /// The newest backup that is sound.
        backup: Option<PathBuf>,
        /// Why.
        #[source]
        why: serde_json::Error,
    },
    /// A later version of the shape.
    #[error(
        "failed to read the state {}: its version is {version}, written by `{written_by}`, and this is `{}`, which reads up to version {}",
        path.display(), super::super::model::WRITER, super::super::model::VERSION
    )]
    Newer {
        /// The state file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// Who wrote it.
        written_by: String,
    },
    /// It belongs to another environment.
    #[error("refused the state {}: it belongs to the environment `{found}`, not to `{expected}`", path.display())]
    OtherEnvironment {
        /// The state file.
        path: PathBuf,
        /// The environment that was asked for.
        expected: EnvironmentName,
        /// The environment in the file.
        found: EnvironmentName,
    },
    /// It belongs to another life of the environment.
    #[error(
        "refused to write the state {}: it has the lineage {found}, and this run loaded {expected}: the environment was destroyed and made again meanwhile",
        path.display()
    )]
    OtherLineage {
        /// The state file.
        path: PathBuf,
        /// What this run has.
        expected: Lineage,
        /// What is on disk.
        found: Lineage,
    },
    /// Somebody else wrote it.
    #[error(
        "refused to write the state {}: this run loaded serial {loaded}, and `{written_by}` wrote serial {found} meanwhile",
        path.display()
    )]
    Moved {
        /// The state file.
        path: PathBuf,
        /// What this run loaded.
        loaded: u64,
        /// What is on disk.
        found: u64,
        /// Who wrote that.
        written_by: String,
    },
    /// It was there and is gone.
    #[error(
        "refused to write the state {}: this run loaded serial {serial}, and the file is gone: the environment was destroyed or its folder moved meanwhile",
        path.display()
    )]
    Vanished {
        /// The state file.
        path: PathBuf,
        /// What this run loaded.
        serial: u64,
    },
    /// The operating system refused to write; what was there is still there.
    #[error("failed to write {}; the state on disk is the one from before", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        why: io::Error,
    },
    /// The state was written, its copy was not.
    #[error("failed to back up serial {serial} of the state to {}; the state itself is written", path.display())]
    Backup {
        /// The backup.
        path: PathBuf,
        /// What was written.
        serial: u64,
        /// Why.
        #[source]
        why: io::Error,
    },
    /// The folder of a destroyed environment could not be put away.
    #[error("failed to move {} to {}", from.display(), to.display())]
    Archive {
        /// The environment's folder.
        from: PathBuf,
        /// Where its state is kept.
        to: PathBuf,
        /// Why.
        #[source]
        why: io::Error,
    },
}

impl StoreError {
    /// What the person can do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Read { path, .. } => format!("check that {} is a file you may read", path.display()),
            Self::Damaged {
                path,
                backup: Some(backup),
                ..
            } => format!(
                "restore the newest sound backup with `cp {} {}`; provision then looks at the machine and continues",
                backup.display(),
                path.display()
            ),
            Self::Damaged { path, .. } => format!(
                "there is no sound backup beside it in {}; bring back a copy of the file. Do not simply delete it: provision would forget the machine",
                path.with_file_name(super::BACKUPS).display()
            ),
            Self::Newer { written_by, .. } => format!("upgrade to `{written_by}` or newer"),
            Self::OtherEnvironment { path, found, .. } => format!(
                "was {} copied or renamed from `{found}`? Move it back there; every environment has a folder of its own",
                path.display()
            ),
            Self::OtherLineage { .. } | Self::Moved { .. } | Self::Vanished { .. } => {
                "somebody else worked on the environment while this run did: run the command again, it continues from what is there now".to_owned()
            }
            Self::Write { why, path } if out_of_space(why) => {
                format!("make room on the file system of {} and run the command again", path.display())
            }
            Self::Write { path, .. } => format!(
                "check that you may write to {}, then run the command again",
                path.parent().unwrap_or(path).display()
            ),
            Self::Backup { path, .. } => {
                format!("check that you may write to {} and that there is room", path.parent().unwrap_or(path).display())
            }
            Self::Archive { from, .. } => {
                format!("everything of the environment is destroyed; remove {} by hand if it is still there", from.display())
            }
        }
    }
}

fn out_of_space(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
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
