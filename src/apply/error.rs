//! Why an apply ended early.

use thiserror::Error;

use super::Stop;
use super::ledger::KeepError;
use crate::names::Address;
use crate::provider::ProviderError;
use crate::remote::SessionError;
use crate::remote::archive::ArchiveError;
use crate::state::{BundleError, KeyError, KnownHostsError, LockError, StoreError};

/// The exit code with which the host's scripts say that its disk is full (`ENOSPC` on Linux).
const DISK_FULL: i32 = 28;

/// An apply that did not come to its end. What was done is in the state.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// One step failed.
    #[error("{address} failed")]
    Step {
        /// Which.
        address: Address,
        /// Why.
        #[source]
        why: Box<ActError>,
    },
    /// Somebody wanted an end.
    #[error("{by}{}", address.as_ref().map(|address| format!(" during {address}")).unwrap_or_default())]
    Interrupted {
        /// The step that was abandoned.
        address: Option<Address>,
        /// Who.
        by: Stop,
    },
    /// The state could not be written.
    #[error("failed to record what was done")]
    Keep(#[from] KeepError),
}

/// One step that did not come to its end.
#[derive(Debug, Error)]
pub enum ActError {
    /// The provider said no.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The host could not be reached, or a command failed there.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The host could not be looked at.
    #[error(transparent)]
    Observe(#[from] crate::observe::ObserveError),
    /// Files that cannot be packed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The pinned host keys could not be written.
    #[error(transparent)]
    KnownHosts(#[from] KnownHostsError),
    /// The bundle could not be written.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A key could not be made or read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The state could not be written in the middle of a step.
    #[error("failed to record what was done")]
    Keep(#[source] KeepError),
    /// The first boot or a converge run failed on the host.
    #[error("failed to bring the host to its base state: {reason}")]
    Converge {
        /// What the host says.
        reason: String,
    },
    /// New sshd settings and firewall let no new connection in, as far as we can tell: they go by themselves.
    #[error(
        "failed to come in by a new connection after sshd and firewall had changed; what was there before comes back by itself within a minute"
    )]
    Unconfirmed(#[source] SessionError),
    /// A service would get past the walls that nobody allowed to.
    #[error("failed to deploy `{stack}`: {}", listed.join("; "))]
    Published {
        /// Which stack.
        stack: String,
        /// Service and hole, one sentence each.
        listed: Vec<String>,
    },
    /// Services did not become healthy.
    #[error("failed to deploy `{stack}`: {reason}")]
    Unhealthy {
        /// Which stack.
        stack: String,
        /// What is wrong, one line.
        reason: String,
        /// What a person needs to see: states, last log lines, disk and memory.
        bundle: String,
        /// What serves now.
        now: String,
    },
    /// Caddy does not take the routes; nothing on the host has changed.
    #[error("failed to load the routes: {reason}")]
    Refused {
        /// Caddy's words.
        reason: String,
    },
    /// Caddy does not run what was meant.
    #[error("failed to load the routes: {reason}")]
    Edge {
        /// What is wrong.
        reason: String,
    },
    /// The host answered something that we do not understand.
    #[error("failed to read the answer of `{script}`: {begin:?}")]
    Answer {
        /// Which script.
        script: &'static str,
        /// The first bytes of the answer.
        begin: String,
        /// Where it goes wrong.
        #[source]
        why: serde_json::Error,
    },
    /// Somebody else is at the host, or it is not ours.
    #[error(transparent)]
    Barred(#[from] super::Barred),
    /// The host could not be asked whether somebody else is at it.
    #[error(transparent)]
    Lease(#[from] crate::remote::lease::LeaseError),
    /// Something that the tests broke on purpose.
    #[cfg(test)]
    #[error("injected: {0}")]
    Injected(String),
}

impl ApplyError {
    /// What the person can do about it.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Step { why, .. } => why.remedy(),
            Self::Interrupted { .. } => {
                Some("what was done is recorded; run the same command again to go on".to_owned())
            }
            Self::Keep(why) => unkept(why),
        }
    }
}

/// What to do about a state that was not written.
fn unkept(why: &KeepError) -> Option<String> {
    let store = why.downcast_ref::<StoreError>().map(StoreError::remedy);
    store.or_else(|| why.downcast_ref::<LockError>().map(LockError::remedy))
}

impl ActError {
    /// What the person can do about it.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Provider(error) => error.remedy.clone(),
            Self::Session(SessionError::CommandFailed { code: Some(DISK_FULL), .. }) => Some(
                "what served goes on serving. Make room on the host (`provision ssh NAME`, then `sudo docker system df`) \
                 and run apply again"
                    .to_owned(),
            ),
            Self::Session(error) => error.remedy(),
            Self::Published { .. } => {
                Some("nothing was changed. Only the edge is public: remove it and add a route, or allow it in [stacks.NAME.allow] with a reason".to_owned())
            }
            Self::Refused { .. } => Some(
                "nothing on the host has changed: mend the snippet of [edge] or the route that Caddy names, and run apply again".to_owned(),
            ),
            Self::Converge { .. } => Some(
                "mend the cause on the host or in the environment and run apply again: it goes on there. The log is \
                 /var/lib/provision/converge/log on the host (`provision ssh NAME`)"
                    .to_owned(),
            ),
            Self::Unhealthy { now, .. } => Some(now.clone()),
            Self::Unconfirmed(_) => Some(
                "nobody is locked out: wait a minute and log in as before. The new rules open what `sshd -T` names as its ports, 80 and \
                 443; an sshd that is reached in another way is cut off by them"
                    .to_owned(),
            ),
            Self::Barred(barred) => Some(barred.remedy()),
            Self::Lease(crate::remote::lease::LeaseError::Session(error)) => error.remedy(),
            Self::Bundle(error) => Some(error.remedy()),
            Self::Keep(why) => unkept(why),
            _ => None,
        }
    }

    /// The same with everything that came from the host put through `text`.
    #[must_use]
    pub fn mapped(self, text: &dyn Fn(String) -> String) -> Self {
        match self {
            Self::Session(error) => Self::Session(error.mapped(text)),
            Self::Observe(crate::observe::ObserveError::Session(error)) => {
                Self::Observe(crate::observe::ObserveError::Session(error.mapped(text)))
            }
            Self::Converge { reason } => Self::Converge { reason: text(reason) },
            Self::Refused { reason } => Self::Refused { reason: text(reason) },
            Self::Published { stack, listed } => Self::Published {
                stack,
                listed: listed.into_iter().map(text).collect(),
            },
            Self::Unhealthy {
                stack,
                reason,
                bundle,
                now,
            } => Self::Unhealthy {
                stack,
                reason: text(reason),
                bundle: text(bundle),
                now: text(now),
            },
            Self::Edge { reason } => Self::Edge { reason: text(reason) },
            Self::Answer { script, begin, why } => Self::Answer {
                script,
                begin: text(begin),
                why,
            },
            ours => ours,
        }
    }

    /// Lines worth printing below the error: the failure bundle.
    pub fn details(&self) -> Option<&str> {
        match self {
            Self::Unhealthy { bundle, .. } => Some(bundle),
            _ => None,
        }
    }
}
