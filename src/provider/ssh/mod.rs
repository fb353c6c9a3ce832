//! Hosts that were there before: any Debian or Ubuntu server with SSH. Nothing is made and nothing is paid for; the host is looked at
//! before anything is put there, and left as it was found.
//!
//! Who logs in, with what, and by what the host is recognised are the person's own: their keys, agent and ssh configuration, and a
//! fingerprint or known_hosts entry. Until the host is settled, the provider's own connection is handed on to whoever looks at it
//! next; from then on its keys are pinned like those of every other machine, and the provider connects only to leave.

mod identity;
mod leave;
mod preflight;
mod way;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tempfile::NamedTempFile;

use self::leave::There;
use self::preflight::Preflight;
pub use self::way::{Way, own_config};
use super::{Attributes, Found, Instance, Owner, Power, ProviderError, Sight};
use crate::names::Address;
use crate::note::Say;
use crate::remote::{ConnectPolicy, Session, SessionError, Target};

/// The fact that has the host's keys, one a line.
pub const HOST_KEYS: &str = "host_keys";

/// The fact that has their fingerprints, for people.
pub const FINGERPRINTS: &str = "fingerprints";

/// How long a host that runs already may take to let us in.
const REACH: Duration = Duration::from_secs(60);

/// How long it may take to tell what it is like.
const LOOK: Duration = Duration::from_secs(60);

/// A host that was there before.
#[derive(Debug)]
pub struct Ssh {
    way: Way,
    /// The keys that were believed when the host was settled.
    pinned: Option<String>,
    /// Where it was found then.
    address: Option<IpAddr>,
    /// The keys by which it was recognised in this run.
    recognised: Mutex<Option<String>>,
    /// The connection that the last look opened, until somebody takes it.
    session: Mutex<Option<Session>>,
    /// What stays after a destroy by this process.
    stays: Mutex<Vec<String>>,
}

impl Ssh {
    /// A host that is reached this way; `known` is what the state recorded of it.
    pub fn new(way: Way, known: &BTreeMap<String, String>) -> Self {
        Self {
            way,
            pinned: known.get(HOST_KEYS).cloned(),
            address: known.get("address").and_then(|text| text.parse().ok()),
            recognised: Mutex::default(),
            session: Mutex::default(),
            stays: Mutex::default(),
        }
    }

    /// What finds the host again when the environment's file is gone.
    pub fn facts(&self) -> BTreeMap<String, String> {
        let Way {
            host,
            port,
            user,
            ssh_config,
            fingerprint: _,
            proxy_jump,
            key: _,
        } = &self.way;
        let mut facts = BTreeMap::from([
            ("provider".to_owned(), "ssh".to_owned()),
            ("user".to_owned(), user.clone()),
        ]);
        let port = port.map(|port| port.to_string());
        for (name, value) in [
            ("host", host),
            ("port", &port),
            ("ssh_config", ssh_config),
            ("proxy_jump", proxy_jump),
        ] {
            facts.extend(value.clone().map(|value| (name.to_owned(), value)));
        }
        facts
    }

    /// The host, and whatever keeps it from being used. One that is settled is not asked here: whoever looks at what is on it
    /// does that.
    ///
    /// # Errors
    /// When the host is not recognised or cannot be reached.
    pub async fn observe(&self, owner: &Owner) -> Result<Sight, ProviderError> {
        if let Some(pinned) = self.settled(owner) {
            return Ok(Sight {
                instance: Some(self.instance(pinned).await?),
                ..Sight::default()
            });
        }
        let (instance, seen) = self.look(owner).await?;
        let now = Timestamp::now().as_second();
        let problems = seen.problems(&self.way.user, &owner.lineage, now);
        let obstacle = (!problems.is_empty()).then(|| (Address::MachineInstance, problems.join("\n")));
        if obstacle.is_some() {
            self.hang_up().await;
        }
        Ok(Sight {
            instance: Some(instance),
            obstacles: obstacle.into_iter().collect(),
            ..Sight::default()
        })
    }

    /// The connection that the last look opened. It is handed on once.
    pub fn session(&self) -> Option<Session> {
        hold(&self.session).take()
    }

    /// The host as it is found and reached from now on: there is nothing to make, to start or to resize.
    ///
    /// # Errors
    /// As [`Ssh::observe`].
    pub async fn find_it(&self, owner: &Owner) -> Result<Instance, ProviderError> {
        if let Some(pinned) = self.settled(owner) {
            return self.instance(pinned).await;
        }
        let recognised = hold(&self.recognised).clone();
        match recognised {
            Some(keys) => self.instance(&keys).await,
            None => {
                let (instance, _) = self.look(owner).await?;
                self.hang_up().await;
                Ok(instance)
            }
        }
    }

    /// Takes all of ours away and leaves the rest as it is.
    ///
    /// # Errors
    /// When the host cannot be reached or something is left.
    pub async fn destroy(&self, owner: &Owner, keep_volumes: bool, say: Say<'_>) -> Result<(), ProviderError> {
        let session = self.connect_again(owner).await?;
        let left = leave::leave(&session, owner, keep_volumes, say).await;
        // Also to look afterwards.
        *hold(&self.session) = Some(session);
        *hold(&self.stays) = left?;
        Ok(())
    }

    /// What is left of ours, and what stays on purpose.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub async fn leftovers(&self, owner: &Owner) -> Result<Vec<String>, ProviderError> {
        let session = match self.session() {
            Some(session) => session,
            None => self.connect_again(owner).await?,
        };
        let there = There::look(&session, owner, &|_| {}).await;
        session.close().await;
        let mut left = there.map_err(leave::failed)?.leftovers();
        left.extend(hold(&self.stays).iter().cloned());
        Ok(left)
    }

    /// What the host itself remembers of whose it is.
    ///
    /// # Errors
    /// As [`Ssh::observe`].
    pub async fn find(&self) -> Result<Vec<Found>, ProviderError> {
        // Nobody's yet: only the name under which the keys are pinned for this one connection comes from it.
        let nobody = Owner {
            environment: "host"
                .parse()
                .map_err(|why| ProviderError::new("failed to name the host").because(Box::new(why)))?,
            lineage: crate::names::Lineage::from_bytes([0; 16]),
            ids: BTreeMap::new(),
            expires: None,
        };
        let (instance, seen) = self.look(&nobody).await?;
        self.hang_up().await;
        let environment = seen.environment.and_then(|name| name.parse().ok());
        let found = seen.owner.zip(environment).map(|(lineage, environment)| Found {
            address: Address::MachineInstance,
            id: instance.id,
            environment,
            lineage,
            created: None,
            expires: None,
            monthly: None,
        });
        Ok(found.into_iter().collect())
    }

    /// The keys of a host that is settled and is still meant.
    fn settled(&self, owner: &Owner) -> Option<&str> {
        let pinned = self.pinned.as_deref()?;
        let meant = |wanted: &String| identity::have(pinned, wanted);
        let known = owner.ids.contains_key(&Address::MachineInstance);
        (known && self.way.fingerprint.as_ref().is_none_or(meant)).then_some(pinned)
    }

    /// A connection to a host that is as it was settled, or that a first apply was cut off on.
    async fn connect_again(&self, owner: &Owner) -> Result<Session, ProviderError> {
        let place = self.way.place(self.address).await?;
        let keys = match &self.pinned {
            Some(pinned) => pinned.clone(),
            None => identity::keys(&self.way, &place).await?,
        };
        self.connect(owner, &place, &keys).await
    }

    /// Recognises the host, logs in, and looks whether it is fit.
    async fn look(&self, owner: &Owner) -> Result<(Instance, Preflight), ProviderError> {
        let place = self.way.place(self.address).await?;
        let keys = identity::keys(&self.way, &place).await?;
        let session = self.connect(owner, &place, &keys).await?;
        let said = session.run_ok(&Preflight::command().within(LOOK), &|_| {}).await;
        let said = said.map_err(|why| unreachable(&place.name, why))?;
        let text = String::from_utf8_lossy(&said.stdout);
        let seen = Preflight::parse(&text).ok_or_else(|| {
            let first: String = text.lines().next().unwrap_or_default().chars().take(200).collect();
            ProviderError::new(format!(
                "failed to look at the host {}: it answered `{first}`",
                place.name
            ))
            .with_remedy(format!("give `{}` a shell that runs commands", self.way.user))
        })?;
        *hold(&self.session) = Some(session);
        *hold(&self.recognised) = Some(keys.clone());
        Ok((self.shown(&place, &keys), seen))
    }

    async fn connect(&self, owner: &Owner, place: &way::Place, keys: &str) -> Result<Session, ProviderError> {
        let alias = owner.machine_name();
        let mut known_hosts = NamedTempFile::new()
            .map_err(|why| ProviderError::new("failed to write the host's keys where ssh reads them").because(why))?;
        for key in keys.lines() {
            writeln!(known_hosts, "{alias} {key}").map_err(|why| {
                ProviderError::new("failed to write the host's keys where ssh reads them").because(why)
            })?;
        }
        let target = Target {
            endpoint: place.endpoint.clone(),
            user: self.way.user.clone(),
            alias,
            known_hosts: known_hosts.path().to_owned(),
            key: self.way.client_key(),
            proxy_jump: self.way.proxy_jump.clone(),
            escalate: self.way.user != "root",
            host: Some(self.way.destination().to_owned()),
            ssh_config: own_config(),
        };
        let policy = ConnectPolicy {
            deadline: REACH,
            first_contact: false,
        };
        let connected = Session::connect(&target, policy, &|_| {}).await;
        connected.map_err(|why| unreachable(&place.name, why))
    }

    async fn hang_up(&self) {
        let session = self.session();
        if let Some(session) = session {
            session.close().await;
        }
    }

    async fn instance(&self, keys: &str) -> Result<Instance, ProviderError> {
        Ok(self.shown(&self.way.place(self.address).await?, keys))
    }

    fn shown(&self, place: &way::Place, keys: &str) -> Instance {
        Instance {
            id: place.name.clone(),
            power: Power::On,
            endpoint: place.endpoint.clone(),
            attributes: Attributes::new(),
            ipv6: None,
            facts: BTreeMap::from([
                (HOST_KEYS.to_owned(), keys.to_owned()),
                (FINGERPRINTS.to_owned(), identity::fingerprints(keys)),
            ]),
        }
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unreachable(name: &str, why: SessionError) -> ProviderError {
    let remedy = match &why {
        SessionError::Refused { .. } => Some(
            "let your own ssh log in first: the keys of your agent and ssh configuration are used, or the one that `access.ssh_key` names"
                .to_owned(),
        ),
        other => other.remedy(),
    };
    let error = ProviderError::new(format!("failed to look at the host {name}")).because(why);
    match remedy {
        Some(remedy) => error.with_remedy(remedy),
        None => error,
    }
}
