//! What there is: read from the provider and from the host, never written.

pub mod certificates;
pub mod outside;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::names::{Address, Endpoint};
use crate::note::{Note, Say};
use crate::provider::{Caller, Instance, Owner, Part, Power, Provider, ProviderError, Sight};
use crate::remote::probe::{Probe, ProbeError};
use crate::remote::{ConnectPolicy, Session, SessionError, Target};
use crate::secret::FingerprintKey;

/// Everything that was observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// The machine; none when there is none.
    pub instance: Option<Instance>,
    /// What belongs to it and was made apart.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<Address, Part>,
    /// What finds the provider again that was asked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub provider: BTreeMap<String, String>,
    /// Worth knowing, without anything to be done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub news: Vec<String>,
    /// What stands in the way and is not ours to take away.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub obstacles: BTreeMap<Address, String>,
    /// The host on it.
    pub host: Host,
}

impl Observed {
    /// Where the machine is reached, when it runs.
    pub fn endpoint(&self) -> Option<Endpoint> {
        let running = self.instance.as_ref().filter(|instance| instance.power == Power::On);
        running.map(|instance| instance.endpoint.clone())
    }
}

/// What is known of the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Host {
    /// There is no machine, or none that was ever set up: nothing to look at.
    NotYet,
    /// The machine has no power: what is on it will be looked at once it runs.
    Off,
    /// It was looked at.
    Seen(Box<Probe>),
}

impl Host {
    /// The probe, when there is one.
    pub fn probe(&self) -> Option<&Probe> {
        match self {
            Self::Seen(probe) => Some(probe),
            Self::NotYet | Self::Off => None,
        }
    }
}

/// Why the world could not be looked at.
#[derive(Debug, Error)]
pub enum ObserveError {
    /// The provider did not answer.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The host could not be reached.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The host answered something else than a probe.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

/// How long a host that has been set up may take to answer: it may just be booting.
const REACH: Duration = Duration::from_secs(300);

/// How long one probe may take. Under emulation with forty containers it takes some seconds.
const PROBE: Duration = Duration::from_secs(90);

/// How long the start of a host that has been set up may take until what it has not come to by then counts as missing.
const START: Duration = Duration::from_secs(300);

/// Looks at the machine, at what belongs to it and, when `target` says how an already known host is reached, at the host.
///
/// `names` are the host names that it has or shall have. `caller` is let in first where the machine's firewall opens only for
/// the time of a command. `key` is that of the environment's fingerprints. The session that was opened for the probe is handed on, so that a run needs one connection.
///
/// # Errors
/// When the provider or a host that should be there cannot be asked.
pub async fn observe(
    provider: &Provider,
    owner: &Owner,
    names: &BTreeSet<String>,
    caller: Option<&Caller>,
    key: &FingerprintKey,
    target: impl FnOnce(&Instance) -> Option<Target>,
    say: Say<'_>,
) -> Result<(Observed, Option<Session>), ObserveError> {
    let Sight {
        instance,
        parts,
        news,
        obstacles,
    } = provider.observe(owner, names).await?;
    let mut observed = Observed {
        instance,
        parts,
        provider: provider.facts(),
        news,
        obstacles,
        host: Host::NotYet,
    };
    let Some(instance) = &observed.instance else {
        return Ok((observed, None));
    };
    if instance.power == Power::Off {
        observed.host = Host::Off;
        return Ok((observed, None));
    }
    if observed.obstacles.contains_key(&Address::MachineInstance) {
        // What stands in the way of a host that was there before is told before more is asked of it.
        return Ok((observed, None));
    }
    let session = match provider.session() {
        Some(session) => session,
        None => {
            let Some(target) = target(instance) else {
                return Ok((observed, None));
            };
            if let Some(caller) = caller {
                provider.admit(owner, caller).await?;
            }
            let policy = ConnectPolicy {
                deadline: REACH,
                first_contact: false,
            };
            Session::connect(&target, policy, say).await?
        }
    };
    observed.host = Host::Seen(Box::new(started(&session, key, say).await?));
    Ok((observed, Some(session)))
}

/// Looks at a host once its start has come to Docker and the firewall: a machine that was switched on a moment ago, by us or by
/// somebody else, lacks nothing yet.
async fn started(session: &Session, key: &FingerprintKey, say: Say<'_>) -> Result<Probe, ObserveError> {
    let end = Instant::now() + START;
    loop {
        let probe = probe(session, key, say).await?;
        if !probe.is_coming_up() || Instant::now() >= end {
            return Ok(probe);
        }
        say(Note::Waiting("the host to finish its start".into()));
        sleep(Duration::from_secs(2)).await;
    }
}

/// Looks at a host over an open session: one command. What Docker tells of a configuration's digest is keyed before anybody sees it:
/// its variables are in it, and a weak secret among them could be guessed from a published state.
///
/// # Errors
/// When the command fails or prints no probe.
pub async fn probe(session: &Session, key: &FingerprintKey, say: Say<'_>) -> Result<Probe, ObserveError> {
    let output = session.run_ok(&Probe::command().within(PROBE), say).await?;
    let mut probe = Probe::parse(&output.stdout)?;
    for container in &mut probe.containers {
        container.config = match container.config.as_str() {
            "" => String::new(),
            config => key.digest(config).unwrap_or_default(),
        };
    }
    Ok(probe)
}
