//! The host's own lease around the steps that change the host: taken before the first of them, renewed beside the work, given
//! back at the end. A run that is killed leaves it to run out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::ActError;
use crate::names::{EnvironmentName, Lineage};
use crate::note::{Note, Say};
use crate::remote::Session;
use crate::remote::lease::{Answer, Ask, Holder, Lease, LeaseError, ask};
use crate::state::{KeyError, ProcessIdentity, random_token, who};

/// How long the lease lasts without renewal.
const LASTS: Duration = Duration::from_secs(90);

/// How often it is looked at whether a renewal is due.
const TICK: Duration = Duration::from_secs(1);

/// How often a waiting run asks again.
const POLL: Duration = Duration::from_secs(3);

/// How long giving it back may take, at the end of a run that may have lost its network.
const RELEASE: Duration = Duration::from_secs(5);

/// Why the host may not be changed.
#[derive(Debug, Error)]
pub enum Barred {
    /// Somebody else is at it.
    #[error(
        "the host is being changed by {}, running `{}` on `{}` since {}; its lease ends in {seconds} s unless it is renewed",
        holder.who, holder.command, holder.environment, holder.since
    )]
    Held {
        /// Who.
        holder: Box<Holder>,
        /// How long the lease lasts, by the host's clock.
        seconds: u64,
    },
    /// It is the machine of another environment, or of another life of this one.
    #[error("the host belongs to the lineage {owner}, and this state is of the lineage {ours}")]
    NotOurs {
        /// Whose it is.
        owner: Lineage,
        /// Who wants it.
        ours: Lineage,
    },
    /// It was ours and is not any more.
    #[error("failed to keep the host's lease: {}", match by {
        Some(holder) => format!("{} took it over, running `{}`", holder.who, holder.command),
        None => "somebody broke it, or the host was restarted".to_owned(),
    })]
    Lost {
        /// Who has it now.
        by: Option<Box<Holder>>,
    },
}

impl Barred {
    /// The exit code for it: locked, refused, or failed.
    pub fn code(&self) -> u8 {
        match self {
            Self::Held { .. } => 4,
            Self::NotOurs { .. } => 5,
            Self::Lost { .. } => 1,
        }
    }

    /// What the person can do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Held { holder, .. } => format!(
                "nothing on the host was changed. Wait until it is done, or let --lock-wait SECONDS do it. When {} is dead for sure: \
                 provision state unlock NAME --host",
                holder.who
            ),
            Self::NotOurs { .. } => "nothing on the host was changed. Two states think that this machine is theirs: work with the \
                                     one that made it, or give the host to this one: provision state unlock NAME --host --force"
                .to_owned(),
            Self::Lost { .. } => "run the command again: it goes on from what is there".to_owned(),
        }
    }
}

/// The lease of one run.
#[derive(Debug)]
pub struct HostLease {
    lineage: Lineage,
    holder: Holder,
    token: String,
    wait: Duration,
    lasts: Duration,
    held: bool,
    /// When it was taken or renewed last, by the clock on the wall: a computer that slept has to notice.
    renewed: Arc<Mutex<Timestamp>>,
    /// Where it is renewed; none while it is not held, or while nobody is connected.
    at: watch::Sender<Option<Session>>,
}

impl HostLease {
    /// For a run of `command` that works from the state of this lineage. Nothing is asked yet. `wait` is how long to wait for
    /// another holder.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn new(
        environment: &EnvironmentName,
        lineage: &Lineage,
        command: &str,
        wait: Duration,
    ) -> Result<Self, KeyError> {
        Ok(Self {
            lineage: lineage.clone(),
            holder: Holder {
                who: who(),
                command: command.to_owned(),
                environment: environment.to_string(),
                since: now().to_string(),
                process: serde_json::to_value(ProcessIdentity::current()).unwrap_or_default(),
            },
            token: random_token()?,
            wait,
            lasts: LASTS,
            held: false,
            renewed: Arc::new(Mutex::new(Timestamp::UNIX_EPOCH)),
            at: watch::Sender::new(None),
        })
    }

    /// One that lasts for another time without renewal.
    #[must_use]
    pub fn lasting(self, lasts: Duration) -> Self {
        Self { lasts, ..self }
    }

    /// Makes sure that the host may be changed over this connection: takes the lease unless it is held already.
    ///
    /// # Errors
    /// [`Barred`] when somebody else has it, or the host is not ours; nothing on the host was changed then.
    pub async fn hold(&mut self, session: &Session, say: Say<'_>) -> Result<(), ActError> {
        if self.held {
            self.at.send_replace(Some(session.clone()));
            return Ok(());
        }
        let end = Instant::now() + self.wait;
        let mut dead: Option<String> = None;
        loop {
            let take = Ask::Take {
                token: &self.token,
                seconds: self.lasts.as_secs(),
                lineage: &self.lineage,
                holder: &self.holder,
                instead: dead.as_deref(),
            };
            let Answer { ours, lease, owner } = ask(session, &take, say).await?;
            if ours {
                break;
            }
            if let Some(owner) = owner.filter(|owner| *owner != self.lineage) {
                let ours = self.lineage.clone();
                return Err(Barred::NotOurs { owner, ours }.into());
            }
            let Some(Lease { token, seconds, holder }) = lease else {
                // It ran out between the two looks of the script.
                continue;
            };
            if is_dead(&holder) && dead.as_ref() != Some(&token) {
                dead = Some(token);
                continue;
            }
            if Instant::now() >= end {
                let holder = Box::new(holder);
                return Err(Barred::Held { holder, seconds }.into());
            }
            say(Note::Waiting(format!("{} to be done with the host", holder.who)));
            sleep(POLL).await;
        }
        self.held = true;
        self.note(now());
        self.at.send_replace(Some(session.clone()));
        Ok(())
    }

    /// The connection is about to end; the host stays.
    pub fn suspend(&mut self) {
        self.at.send_replace(None);
    }

    /// The host is about to be stopped or to go: what comes back has to be asked anew.
    pub fn forget(&mut self) {
        self.suspend();
        self.held = false;
    }

    /// Renews the lease whenever that is due, for as long as it is polled. It ends only when the lease was lost; a renewal that
    /// fails for another reason is tried again, and the connection's troubles are told by whoever works over it.
    pub fn renewal(&self) -> impl Future<Output = ActError> + Send + use<> {
        let (at, token, renewed) = (self.at.subscribe(), self.token.clone(), Arc::clone(&self.renewed));
        let (lasts, often) = (self.lasts, self.often());
        async move {
            loop {
                let due = last(&renewed) + often <= now();
                let session = at.borrow().clone().filter(|_| due);
                if let Some(session) = session {
                    let asked = now();
                    match renew(&session, &token, lasts).await {
                        Ok(Answer { ours: true, .. }) => set(&renewed, asked),
                        Ok(Answer { lease, .. }) => {
                            let by = lease.map(|lease| Box::new(lease.holder));
                            return Barred::Lost { by }.into();
                        }
                        Err(_) => {}
                    }
                }
                sleep(TICK).await;
            }
        }
    }

    /// Whether a renewal is due before anything else is done: steps may be far apart, and computers sleep.
    pub fn is_due(&self) -> bool {
        self.held && last(&self.renewed) + self.often() <= now()
    }

    /// When it is renewed: two more chances are left after one that fails.
    fn often(&self) -> SignedDuration {
        SignedDuration::try_from(self.lasts / 3).unwrap_or(SignedDuration::MAX)
    }

    /// Renews it now, where it is held and somebody is connected.
    ///
    /// # Errors
    /// When it was lost.
    pub async fn renew(&mut self) -> Result<(), ActError> {
        let session = self.at.borrow().clone();
        let Some(session) = session else { return Ok(()) };
        let asked = now();
        let Answer { ours, lease, .. } = renew(&session, &self.token, self.lasts).await?;
        if !ours {
            let by = lease.map(|lease| Box::new(lease.holder));
            return Err(Barred::Lost { by }.into());
        }
        self.note(asked);
        Ok(())
    }

    /// Gives it back over this connection, where it is held. What goes wrong here costs nothing: it runs out.
    pub async fn release(&mut self, session: Option<&Session>) {
        self.suspend();
        if let (Some(session), true) = (session, std::mem::take(&mut self.held)) {
            let token = &self.token;
            let _ = timeout(RELEASE, ask(session, &Ask::Release { token }, &|_| ())).await;
        }
    }

    fn note(&self, at: Timestamp) {
        set(&self.renewed, at);
    }
}

async fn renew(session: &Session, token: &str, lasts: Duration) -> Result<Answer, LeaseError> {
    let seconds = lasts.as_secs();
    ask(session, &Ask::Renew { token, seconds }, &|_| ()).await
}

/// Whether a holder is known to be dead: a process of this computer that is no more.
fn is_dead(holder: &Holder) -> bool {
    serde_json::from_value::<ProcessIdentity>(holder.process.clone())
        .is_ok_and(|process| process.is_dead(&ProcessIdentity::current()))
}

fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn last(renewed: &Mutex<Timestamp>) -> Timestamp {
    *renewed.lock().unwrap_or_else(PoisonError::into_inner)
}

fn set(renewed: &Mutex<Timestamp>, at: Timestamp) {
    *renewed.lock().unwrap_or_else(PoisonError::into_inner) = at;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_dead_only_when_its_own_computer_knows() {
        let lease = HostLease::new(
            &"shop".parse().unwrap(),
            &Lineage::from_bytes([1; 16]),
            "apply",
            Duration::ZERO,
        )
        .unwrap();
        let mut holder = lease.holder;
        assert!(!is_dead(&holder), "it is this process");
        holder.process["pid"] = (u32::MAX - 1).into();
        assert!(is_dead(&holder));
        holder.process["host"] = "elsewhere".into();
        assert!(!is_dead(&holder));
        holder.process = serde_json::Value::Null;
        assert!(!is_dead(&holder), "in doubt it lives");
    }
}
