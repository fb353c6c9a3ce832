//! One run at a time per environment: a lease that its holder renews, and that dies with its holder.
//!
//! The lock is the file `state.lock`: who holds it, why, and until when. It is compared and replaced under a
//! `guard`. A lease that ran out, or whose process is dead, is taken over at once, so that neither `kill -9` nor
//! a cancelled CI job ever needs a person. A holder that lost its lease (a laptop that slept) finds out at
//! [`Lock::verify`]; what it still writes is refused by the state's serial.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::time::Instant;

use super::atomic;
use super::guard::Guard;
use super::keys;
use super::process::{ProcessIdentity, who};
use crate::names::hex;

#[cfg(test)]
mod tests;

const FILE: &str = "state.lock";

/// How long a lease lasts without renewal. Only a holder on another computer, or in another container, makes anybody
/// wait for its end.
const LEASE: SignedDuration = SignedDuration::from_secs(90);

/// Four chances to renew a lease before it runs out.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// How often a waiting run looks again.
const POLL: Duration = Duration::from_millis(250);

/// Why the lock was not taken or not kept.
#[derive(Debug, Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error(
        "the environment is locked by {holder} (process {pid}), running `{command}` since {since}{}",
        reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default()
    )]
    Held {
        /// `user@host`.
        holder: String,
        /// Its process.
        pid: u32,
        /// What it runs.
        command: String,
        /// Why, when it said so.
        reason: Option<String>,
        /// Since when.
        since: Timestamp,
        /// When the lease ends if it is not renewed.
        expires: Timestamp,
    },
    /// It was ours and is not any more.
    #[error("failed to keep the lock {}: {}", path.display(), match holder {
        Some(holder) => format!("the lease ran out and {holder} took it over"),
        None => "the lease ran out, or the environment was destroyed".to_owned(),
    })]
    Lost {
        /// The lock file.
        path: PathBuf,
        /// `user@host` of the new holder, if there is one.
        holder: Option<String>,
    },
    /// It is not the JSON of a lock.
    #[error("failed to read the lock {}", path.display())]
    Damaged {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        why: serde_json::Error,
    },
    /// The operating system refused.
    #[error("failed to {what} the lock {}", path.display())]
    File {
        /// `take`, `renew`, `check` or `release`.
        what: &'static str,
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        why: io::Error,
    },
}

impl LockError {
    /// What the person can do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Held { expires, holder, .. } => format!(
                "wait until it is done, or let --lock-wait SECONDS do it. Should {holder} have crashed on another computer, the lock is free after {expires}"
            ),
            Self::Lost { .. } => {
                "nothing more was changed; run the command again, it continues from what is there".to_owned()
            }
            Self::Damaged { path, .. } => {
                format!(
                    "when no provision is at work on this environment, remove {}",
                    path.display()
                )
            }
            Self::File { path, .. } => {
                format!(
                    "check that you may write to {} and that there is room",
                    path.parent().unwrap_or(path).display()
                )
            }
        }
    }
}

/// What the lock file holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Lease {
    holder: String,
    command: String,
    #[serde(default)]
    reason: Option<String>,
    since: Timestamp,
    expires: Timestamp,
    token: String,
    process: ProcessIdentity,
}

/// The lock on one environment. Dropping it releases it.
#[derive(Debug)]
pub struct Lock {
    folder: PathBuf,
    token: String,
    taken_over: Option<TakenOver>,
}

/// A lock that somebody left behind and that was taken over. It prints as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenOver {
    /// `user@host`.
    pub holder: String,
    /// What it ran.
    pub command: String,
    /// Since when.
    pub since: Timestamp,
    /// Whether its process is dead; otherwise its lease ran out.
    pub dead: bool,
}

impl fmt::Display for TakenOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            holder,
            command,
            since,
            dead,
        } = self;
        let how = if *dead {
            "its process is dead"
        } else {
            "its lease ran out"
        };
        write!(f, "took over the lock of {holder} (`{command}` since {since}): {how}")
    }
}

impl Lock {
    /// Takes the lock of the environment in `folder`, trying for as long as `wait`. `command` and `reason` are what
    /// others are told who want it meanwhile.
    ///
    /// # Errors
    /// [`LockError::Held`] when somebody else holds it to the end of the wait; or when the lock cannot be read or written.
    pub async fn acquire(
        folder: &Path,
        command: &str,
        reason: Option<&str>,
        wait: Duration,
    ) -> Result<Self, LockError> {
        let deadline = Instant::now() + wait;
        loop {
            match Self::try_acquire(folder, command, reason) {
                Err(LockError::Held { .. }) if Instant::now() < deadline => tokio::time::sleep(POLL).await,
                result => return result,
            }
        }
    }

    /// Takes the lock now or not at all.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub fn try_acquire(folder: &Path, command: &str, reason: Option<&str>) -> Result<Self, LockError> {
        let path = folder.join(FILE);
        let take = |why| file_error("take", &path, why);
        atomic::make_folder(folder).map_err(take)?;
        let _guard = Guard::take(folder).map_err(take)?;
        let process = ProcessIdentity::current();
        let now = Timestamp::now();

        let taken_over = match read(&path, "take")? {
            None => None,
            Some(lease) => {
                let dead = lease.process.is_dead(&process);
                if !dead && now < lease.expires {
                    return Err(lease.held());
                }
                Some(TakenOver {
                    holder: lease.holder,
                    command: lease.command,
                    since: lease.since,
                    dead,
                })
            }
        };
        let mut bytes = [0_u8; 16];
        keys::fill(&mut bytes, "make a token").map_err(|e| take(io::Error::other(e)))?;
        let lease = Lease {
            holder: who(),
            command: command.to_owned(),
            reason: reason.map(str::to_owned),
            since: now,
            expires: now + LEASE,
            token: hex(&bytes),
            process,
        };
        write(&path, &lease).map_err(take)?;
        Ok(Self {
            folder: folder.to_owned(),
            token: lease.token,
            taken_over,
        })
    }

    /// Whose lock was taken over, if one was.
    pub fn taken_over(&self) -> Option<&TakenOver> {
        self.taken_over.as_ref()
    }

    /// Makes sure that the lock is still ours. Cheap; for the moment before each step.
    ///
    /// # Errors
    /// [`LockError::Lost`] when it is not; or when the lock cannot be read.
    pub fn verify(&self) -> Result<(), LockError> {
        let lease = ours(&self.folder, &self.token, "check")?;
        if Timestamp::now() < lease.expires {
            Ok(())
        } else {
            Err(LockError::Lost {
                path: self.folder.join(FILE),
                holder: None,
            })
        }
    }

    /// Makes the lease last again for its full time, even when it ran out and nobody took it.
    ///
    /// # Errors
    /// [`LockError::Lost`] when somebody took it over; or when the lock cannot be read or written.
    pub fn renew(&self) -> Result<(), LockError> {
        renew(&self.folder, &self.token)
    }

    /// Renews the lease from a task of its own until the handle is dropped or the lock is lost. A renewal that fails for
    /// another reason is tried again at the next beat; [`Lock::verify`] tells when none succeeded in time. Only within a
    /// tokio runtime.
    pub fn heartbeat(&self) -> Heartbeat {
        self.heartbeat_every(HEARTBEAT)
    }

    fn heartbeat_every(&self, period: Duration) -> Heartbeat {
        let (folder, token) = (self.folder.clone(), self.token.clone());
        Heartbeat(tokio::spawn(async move {
            loop {
                tokio::time::sleep(period).await;
                let (folder, token) = (folder.clone(), token.clone());
                let renewed = tokio::task::spawn_blocking(move || renew(&folder, &token)).await;
                if matches!(renewed, Ok(Err(LockError::Lost { .. }))) {
                    return;
                }
            }
        }))
    }

    /// Gives the lock back. Nothing happens when it is not ours any more.
    ///
    /// # Errors
    /// When the lock cannot be read or removed; its lease then runs out.
    pub fn release(self) -> Result<(), LockError> {
        self.remove()
    }

    fn remove(&self) -> Result<(), LockError> {
        let path = self.folder.join(FILE);
        let release = |why| file_error("release", &path, why);
        let _guard = match Guard::take(&self.folder) {
            Ok(guard) => guard,
            // The environment was destroyed and its folder removed: the usual end.
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(why) => return Err(release(why)),
        };
        match ours(&self.folder, &self.token, "release") {
            Ok(_) => fs::remove_file(&path).map_err(release),
            Err(LockError::Lost { .. }) => Ok(()),
            Err(why) => Err(why),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Nobody is there to be told; what is left behind is taken over, because this process will be dead.
        let _ = self.remove();
    }
}

/// Keeps a lock's lease alive until it is dropped.
#[derive(Debug)]
pub struct Heartbeat(tokio::task::JoinHandle<()>);

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Lease {
    fn held(self) -> LockError {
        LockError::Held {
            holder: self.holder,
            pid: self.process.pid,
            command: self.command,
            reason: self.reason,
            since: self.since,
            expires: self.expires,
        }
    }
}

fn renew(folder: &Path, token: &str) -> Result<(), LockError> {
    let path = folder.join(FILE);
    let lost = |why: io::Error| match why.kind() {
        io::ErrorKind::NotFound => LockError::Lost {
            path: path.clone(),
            holder: None,
        },
        _ => file_error("renew", &path, why),
    };
    let _guard = Guard::take(folder).map_err(lost)?;
    let mut lease = ours(folder, token, "renew")?;
    lease.expires = Timestamp::now() + LEASE;
    write(&path, &lease).map_err(lost)
}

/// The lease on disk, if it is the one with this token.
fn ours(folder: &Path, token: &str, what: &'static str) -> Result<Lease, LockError> {
    let path = folder.join(FILE);
    match read(&path, what)? {
        Some(lease) if lease.token == token => Ok(lease),
        other => Err(LockError::Lost {
            path,
            holder: other.map(|lease| lease.holder),
        }),
    }
}

fn read(path: &Path, what: &'static str) -> Result<Option<Lease>, LockError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|why| LockError::Damaged {
                path: path.to_owned(),
                why,
            }),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(file_error(what, path, why)),
    }
}

fn write(path: &Path, lease: &Lease) -> io::Result<()> {
    let bytes = serde_json::to_vec_pretty(lease)?;
    atomic::write(path, &bytes, atomic::PRIVATE)
}

fn file_error(what: &'static str, path: &Path, why: io::Error) -> LockError {
    LockError::File {
        what,
        path: path.to_owned(),
        why,
    }
}
