//! A mutex between processes for the few milliseconds in which the lock or the state file is compared and replaced.
//!
//! The kernel frees it with its holder. It guards a sibling file that is never replaced, because a lock on a file that
//! is renamed over is a lock on nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The file that is locked.
pub(super) const GUARD_FILE: &str = "state.lock.guard";

/// Holders need milliseconds; only one that was stopped in the middle makes the others wait this long.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);

/// The right to compare and replace files in one state folder, until it is dropped.
#[derive(Debug)]
pub(super) struct Guard {
    _file: File,
}

impl Guard {
    /// Waits for the right, at most [`PATIENCE`]. The folder must exist.
    pub(super) fn take(folder: &Path) -> io::Result<Self> {
        let path = folder.join(GUARD_FILE);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)?;
            match file.try_lock() {
                Ok(()) if is_at(&file, &path)? => return Ok(Self { _file: file }),
                // The folder was removed and made again while we waited: this file guards nothing any more.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(why)) => return Err(why),
            }
            if Instant::now() >= deadline {
                return Err(io::Error::new(
                    io::ErrorKind::WouldBlock,
                    format!(
                        "another process holds {} for more than {} seconds; is one stopped (Ctrl-Z)?",
                        path.display(),
                        PATIENCE.as_secs()
                    ),
                ));
            }
            thread::sleep(PAUSE);
        }
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match path.metadata() {
        Ok(there) => Ok(ours.ino() == there.ino() && ours.dev() == there.dev()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}
