//! One run at a time per environment: a lease that its holder renews, and that dies with its holder.
//!
//! The lock is the document `state.lock`: who holds it, why, and until when. It is created only where there is none, and replaced
//! only by whoever names the content that is there: the [`Storage`] compares. A lease that ran out, or whose process is dead, is
//! taken over at once, so that neither `kill -9` nor a cancelled CI job ever needs a person. A holder that lost its lease (a
//! laptop that slept) finds out at [`Lock::verify`]; what it still writes is refused by the state's serial.
//!
//! Computers disagree about the time. So the end of a lease is written and judged by the storage's own clock, which a bucket's service
//! tells with every answer; and whoever waits takes a lease over, whatever it says, that was not renewed for a full lease by the
//! waiting computer's own counting.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::time::Instant;

use super::keys;
use super::process::{ProcessIdentity, who};
use super::storage::{Expect, Place, Storage, StorageError, Version};
use crate::names::hex;

#[cfg(test)]
mod tests;

pub(super) const FILE: &str = "state.lock";

/// How long a lease lasts without renewal. Only a holder on another computer, or in another container, makes anybody
/// wait for its end.
const LEASE: SignedDuration = SignedDuration::from_secs(90);

/// Four chances to renew a lease before it runs out.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// How often a waiting run looks again at a file, and at an object.
const POLL: Duration = Duration::from_millis(250);
const POLL_ELSEWHERE: Duration = Duration::from_secs(2);

/// How often a lease is written anew whose content changed under our own token.
const ATTEMPTS: u32 = 3;

/// Why the lock was not taken or not kept.
#[derive(Debug, Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error(
        "the environment is locked by {holder} (process {pid}), running `{command}` since {since}{}; the lease ends at {expires} unless it is renewed",
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
    #[error("failed to keep the lock {place}: {}", match holder {
        Some(holder) => format!("the lease ran out and {holder} took it over"),
        None => "the lease ran out, or the environment was destroyed".to_owned(),
    })]
    Lost {
        /// The lock.
        place: Place,
        /// `user@host` of the new holder, if there is one.
        holder: Option<String>,
    },
    /// It is not the JSON of a lock.
    #[error("failed to read the lock {place}")]
    Damaged {
        /// The lock.
        place: Place,
        /// Why.
        #[source]
        why: serde_json::Error,
    },
    /// Somebody else holds it than was expected, or nobody.
    #[error("refused to break the lock {place}: it is not the one that was looked at")]
    Changed {
        /// The lock.
        place: Place,
    },
    /// The storage refused.
    #[error("failed to {what} the lock {place}")]
    Storage {
        /// `take`, `renew`, `check`, `look at`, `break` or `release`.
        what: &'static str,
        /// The lock.
        place: Place,
        /// Why.
        #[source]
        why: StorageError,
    },
}

impl LockError {
    /// What the person can do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Held { expires, holder, .. } => format!(
                "wait until it is done, or let --lock-wait 5m do it. Should {holder} have crashed on another computer, the lock is free after {expires}"
            ),
            Self::Lost { .. } => {
                "nothing more was changed; run the command again, it continues from what is there".to_owned()
            }
            Self::Damaged { place, .. } => {
                format!(
                    "when no provision is at work on this environment, run `{}`",
                    place.removal()
                )
            }
            Self::Changed { .. } => "look at it again".to_owned(),
            Self::Storage { place, why, .. } => why
                .remedy()
                .unwrap_or_else(|| format!("check that you may write to {} and that there is room", place.folder())),
        }
    }
}

/// What the lock holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    tenure: Tenure,
    taken_over: Option<TakenOver>,
}

/// A lease that is ours, as the holder and its heartbeat know it.
#[derive(Debug, Clone)]
struct Tenure {
    storage: Storage,
    token: String,
    last: Arc<Mutex<Last>>,
}

/// What was last written of a lease, and whether it turned out to be somebody else's.
#[derive(Debug)]
struct Last {
    lease: Lease,
    version: Version,
    lost: Option<Option<String>>,
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

/// Who has the lock, as seen by somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Names this very lease; see [`Lock::break_lease`].
    pub token: String,
    /// `user@host`.
    pub holder: String,
    /// Its process.
    pub pid: u32,
    /// What it runs.
    pub command: String,
    /// Why, when it said so.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// When the lease ends if it is not renewed.
    pub expires: Timestamp,
    /// Whether nobody has to break it: its process is dead, or its lease ran out.
    pub is_free: bool,
}

/// A lease that a waiting run has seen unchanged since some moment.
struct Watched {
    version: Version,
    since: Instant,
}

impl Lock {
    /// Takes the lock of an environment, trying for as long as `wait`. `command` and `reason` are what others are told who want it
    /// meanwhile.
    ///
    /// # Errors
    /// [`LockError::Held`] when somebody else holds it to the end of the wait; or when the lock cannot be read or written.
    pub async fn acquire(
        storage: &Storage,
        command: &str,
        reason: Option<&str>,
        wait: Duration,
    ) -> Result<Self, LockError> {
        let deadline = Instant::now() + wait;
        let poll = if storage.is_local() { POLL } else { POLL_ELSEWHERE };
        let mut watched = None;
        loop {
            match Self::attempt(storage, command, reason, &mut watched) {
                Err(LockError::Held { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(poll.min(deadline - Instant::now())).await;
                }
                result => return result,
            }
        }
    }

    /// Takes the lock now or not at all.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub fn try_acquire(storage: &Storage, command: &str, reason: Option<&str>) -> Result<Self, LockError> {
        Self::attempt(storage, command, reason, &mut None)
    }

    fn attempt(
        storage: &Storage,
        command: &str,
        reason: Option<&str>,
        watched: &mut Option<Watched>,
    ) -> Result<Self, LockError> {
        let failed = |why| failed("take", storage, why);
        let process = ProcessIdentity::current();
        for _ in 0..ATTEMPTS {
            let found = read(storage, "take")?;
            let now = storage.now();
            let taken_over = match &found {
                None => None,
                Some((lease, version)) => {
                    let dead = lease.process.is_dead(&process);
                    if !dead && now < lease.expires && !unchanged_for_a_lease(watched, version) {
                        return Err(lease.clone().held());
                    }
                    Some(TakenOver {
                        holder: lease.holder.clone(),
                        command: lease.command.clone(),
                        since: lease.since,
                        dead,
                    })
                }
            };
            let lease = Lease {
                holder: who(),
                command: command.to_owned(),
                reason: reason.map(str::to_owned),
                since: now,
                expires: now + LEASE,
                token: token().map_err(failed)?,
                process: process.clone(),
            };
            let expect = Expect::unchanged(found.as_ref().map(|(_, version)| version));
            match write(storage, &lease, &expect) {
                Ok(version) => {
                    let tenure = Tenure {
                        storage: storage.clone(),
                        token: lease.token.clone(),
                        last: Arc::new(Mutex::new(Last {
                            lease,
                            version,
                            lost: None,
                        })),
                    };
                    return Ok(Self { tenure, taken_over });
                }
                // Somebody was faster; who, is seen in the next round.
                Err(StorageError::Conflict) => {}
                Err(why) => return Err(failed(why)),
            }
        }
        Err(failed(StorageError::Conflict))
    }

    /// Whose lock was taken over, if one was.
    pub fn taken_over(&self) -> Option<&TakenOver> {
        self.taken_over.as_ref()
    }

    /// Makes sure that the lock is still ours. Cheap; for the moment before each step. A file is read again. An object is not: the
    /// heartbeat writes it all the time, on condition that it is ours, and the state's own condition refuses what comes too late.
    ///
    /// # Errors
    /// [`LockError::Lost`] when it is not; or when the lock cannot be read.
    pub fn verify(&self) -> Result<(), LockError> {
        let storage = &self.tenure.storage;
        let expires = match storage.is_local() {
            true => self.tenure.read("check")?.0.expires,
            false => {
                let last = self.tenure.last();
                if let Some(holder) = &last.lost {
                    return Err(self.tenure.lost(holder.clone()));
                }
                last.lease.expires
            }
        };
        match storage.now() < expires {
            true => Ok(()),
            false => Err(self.tenure.lost(None)),
        }
    }

    /// Makes the lease last again for its full time, even when it ran out and nobody took it.
    ///
    /// # Errors
    /// [`LockError::Lost`] when somebody took it over; or when the lock cannot be read or written.
    pub fn renew(&self) -> Result<(), LockError> {
        self.tenure.renew()
    }

    /// Renews the lease from a task of its own until the handle is dropped or the lock is lost. A renewal that fails for
    /// another reason is tried again at the next beat; [`Lock::verify`] tells when none succeeded in time. Only within a
    /// tokio runtime.
    pub fn heartbeat(&self) -> Heartbeat {
        self.heartbeat_every(HEARTBEAT)
    }

    fn heartbeat_every(&self, period: Duration) -> Heartbeat {
        let tenure = self.tenure.clone();
        Heartbeat(tokio::spawn(async move {
            loop {
                tokio::time::sleep(period).await;
                let tenure = tenure.clone();
                let renewed = tokio::task::spawn_blocking(move || tenure.renew()).await;
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
        self.tenure.end()
    }

    /// Who has the lock of an environment; `None` when nobody has.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn look(storage: &Storage) -> Result<Option<Holder>, LockError> {
        let Some((lease, _)) = read(storage, "look at")? else {
            return Ok(None);
        };
        let is_free = lease.expires <= storage.now() || lease.process.is_dead(&ProcessIdentity::current());
        Ok(Some(Holder {
            token: lease.token,
            holder: lease.holder,
            pid: lease.process.pid,
            command: lease.command,
            reason: lease.reason,
            since: lease.since,
            expires: lease.expires,
            is_free,
        }))
    }

    /// Takes the lock away from whoever has it, if it is still the lease with this token. The holder finds out at its next step, and
    /// what it still writes is refused.
    ///
    /// # Errors
    /// [`LockError::Changed`] when it is another lease by now, or none; or when the lock cannot be read or written.
    pub fn break_lease(storage: &Storage, token: &str) -> Result<(), LockError> {
        let changed = || LockError::Changed {
            place: storage.place(FILE),
        };
        for _ in 0..ATTEMPTS {
            let Some((_, version)) = read(storage, "break")?.filter(|(lease, _)| lease.token == token) else {
                return Err(changed());
            };
            match storage.remove(FILE, &Expect::Seen(version)) {
                Ok(()) => return Ok(()),
                // It was renewed, or given back.
                Err(StorageError::Conflict) => {}
                Err(why) => return Err(failed("break", storage, why)),
            }
        }
        Err(changed())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Nobody is there to be told; what is left behind is taken over, because this process will be dead.
        let _ = self.tenure.end();
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

impl Tenure {
    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self, holder: Option<String>) -> LockError {
        LockError::Lost {
            place: self.storage.place(FILE),
            holder,
        }
    }

    /// The lease that is there, if it is ours.
    fn read(&self, what: &'static str) -> Result<(Lease, Version), LockError> {
        match read(&self.storage, what)? {
            Some((lease, version)) if lease.token == self.token => Ok((lease, version)),
            other => Err(self.lost(other.map(|(lease, _)| lease.holder))),
        }
    }

    /// One at a time: the heartbeat and the holder would else take each other for somebody.
    fn renew(&self) -> Result<(), LockError> {
        let mut last = self.last();
        for _ in 0..ATTEMPTS {
            if let Some(holder) = &last.lost {
                return Err(self.lost(holder.clone()));
            }
            let lease = Lease {
                expires: self.storage.now() + LEASE,
                ..last.lease.clone()
            };
            match write(&self.storage, &lease, &Expect::Seen(last.version.clone())) {
                Ok(version) => {
                    (last.lease, last.version) = (lease, version);
                    return Ok(());
                }
                Err(StorageError::Conflict) => match self.read("renew") {
                    Ok((lease, version)) => (last.lease, last.version) = (lease, version),
                    Err(error) => {
                        if let LockError::Lost { holder, .. } = &error {
                            last.lost = Some(holder.clone());
                        }
                        return Err(error);
                    }
                },
                Err(why) => return Err(failed("renew", &self.storage, why)),
            }
        }
        Err(failed("renew", &self.storage, StorageError::Conflict))
    }

    fn end(&self) -> Result<(), LockError> {
        let mut last = self.last();
        for _ in 0..ATTEMPTS {
            if last.lost.is_some() {
                return Ok(());
            }
            match self.storage.remove(FILE, &Expect::Seen(last.version.clone())) {
                Ok(()) => {
                    last.lost = Some(None);
                    return Ok(());
                }
                Err(StorageError::Conflict) => match self.read("release") {
                    Ok((_, version)) => last.version = version,
                    // It is not ours any more, or the environment was destroyed and its folder removed: the usual end.
                    Err(LockError::Lost { .. }) => return Ok(()),
                    Err(why) => return Err(why),
                },
                Err(why) => return Err(failed("release", &self.storage, why)),
            }
        }
        Err(failed("release", &self.storage, StorageError::Conflict))
    }
}

/// Whether a waiting run has seen this very content for a full lease: its holder would have renewed it.
fn unchanged_for_a_lease(watched: &mut Option<Watched>, version: &Version) -> bool {
    match watched {
        Some(seen) if seen.version == *version => seen.since.elapsed() > LEASE.unsigned_abs(),
        _ => {
            *watched = Some(Watched {
                version: version.clone(),
                since: Instant::now(),
            });
            false
        }
    }
}

fn read(storage: &Storage, what: &'static str) -> Result<Option<(Lease, Version)>, LockError> {
    match storage.get(FILE) {
        Ok(Some((bytes, version))) => match serde_json::from_slice(&bytes) {
            Ok(lease) => Ok(Some((lease, version))),
            Err(why) => Err(LockError::Damaged {
                place: storage.place(FILE),
                why,
            }),
        },
        Ok(None) => Ok(None),
        Err(why) => Err(failed(what, storage, why)),
    }
}

fn write(storage: &Storage, lease: &Lease, expect: &Expect) -> Result<Version, StorageError> {
    let bytes = serde_json::to_vec_pretty(lease).map_err(io::Error::from)?;
    storage.put(FILE, &bytes, expect)
}

fn failed(what: &'static str, storage: &Storage, why: StorageError) -> LockError {
    LockError::Storage {
        what,
        place: storage.place(FILE),
        why,
    }
}

fn token() -> Result<String, StorageError> {
    let mut bytes = [0_u8; 16];
    keys::fill(&mut bytes, "make a token").map_err(io::Error::other)?;
    Ok(hex(&bytes))
}
