//! Secrets and keys of one environment: opened, completed, and saved only by a command that changes something.

mod sources;
mod vaults;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::Failure;
use super::clouds::way;
use crate::desired::absolute;
use crate::environment::Sources;
use crate::environment::model::Machine;
use crate::names::Endpoint;
use crate::provider::ssh::{Way, own_config};
use crate::remote::{ClientKey, Target};
use crate::render::Bindings;
use crate::secret::{FingerprintKey, Secret};
use crate::state::bundle::{CLIENT_KEY, FINGERPRINTS, Former, HOST_KEY};
use crate::state::{Bundle, BundleStore, Identity, KnownHosts, SshKey, State, Store, random_password};

/// Characters of the key of all fingerprints: 256 bits.
const FINGERPRINT_KEY: usize = 43;

/// Who logs in to machines that we make.
const LOGIN: &str = "deploy";

/// Stands for the public half of a key that the next apply makes. As long as one is.
const TO_BE_MADE: &str = "ssh-ed25519 (made_by_the_next_apply_and_unknown_until_then_______________________)";

/// What is known before an apply, and stand-ins for what only an apply writes down.
pub struct Planned {
    /// Public keys that may log in, ours first.
    pub authorized_keys: Vec<String>,
    /// The public half of the first boot's host key.
    pub host_key_public: String,
    /// Whether the key of all fingerprints is written down already.
    fingerprints: bool,
    /// The secrets whose values were made just now, for this run alone.
    made: Vec<String>,
}

/// How somebody logs in.
#[derive(Clone)]
struct Login {
    user: String,
    key: ClientKey,
    proxy_jump: Option<String>,
    /// What the person's own ssh configuration calls the host.
    host: Option<String>,
}

/// What opens doors.
pub struct Keyring {
    /// The bundle with everything that is needed; not yet on disk when something was made just now.
    pub bundle: Bundle,
    /// Where it is kept.
    pub store: BundleStore,
    /// The pinned host keys.
    pub known_hosts: KnownHosts,
    /// Public keys that may log in, ours first.
    pub authorized_keys: Vec<String>,
    /// The public half of the first boot's host key.
    pub host_key_public: String,
    /// What a plan goes by, so that it is the same when it is made twice.
    pub planned: Planned,
    login: Login,
    secrets: BTreeMap<String, Secret>,
}

impl Keyring {
    /// Opens the bundle, asks every source for its secret, and makes in memory what is missing.
    ///
    /// # Errors
    /// As [`Keyring::unlock`], and every secret that cannot be had.
    pub async fn open(store: &Store, state: &State, sources: &Sources) -> Result<Self, Failure> {
        let mut keyring = Self::unlock(store, state, sources)?;
        let now = Timestamp::now();
        let known: BTreeSet<String> = keyring.bundle.secrets.keys().cloned().collect();
        keyring.secrets = sources::values(sources, &state.environment, &mut keyring.bundle, now, None).await?;
        let made = keyring.bundle.secrets.keys().filter(|name| !known.contains(*name));
        keyring.planned.made = made.cloned().collect();
        Ok(keyring)
    }

    /// Opens the bundle for a command that needs no secret's value. No source is asked, and only keys are made in memory.
    ///
    /// # Errors
    /// A bundle that does not open, a key file that cannot be read.
    pub fn unlock(store: &Store, state: &State, sources: &Sources) -> Result<Self, Failure> {
        let bundle_store = BundleStore::new(store.storage(), &state.lineage);
        let mut bundle = match bundle_store.exists()? {
            true => bundle_store.load(&Identity::load_existing()?)?.unwrap_or_default(),
            // A command that only looks must not make an identity.
            false => Bundle::default(),
        };
        let kept = |name: &str| bundle.keys.contains_key(name);
        let (knows_client, knows_host) = (kept(CLIENT_KEY), kept(HOST_KEY));
        let knows_fingerprints = kept(FINGERPRINTS);
        if !knows_fingerprints {
            bundle
                .keys
                .insert(FINGERPRINTS.to_owned(), random_password(FINGERPRINT_KEY)?);
        }
        let known_hosts = KnownHosts::new(store.storage(), store.folder(), &state.environment, &state.lineage);
        known_hosts.fetch()?;
        if let Machine::Ssh(ssh) = sources.environment.machine.get() {
            return Ok(Self::of_existing(
                way(ssh, &sources.environment.access),
                bundle,
                bundle_store,
                known_hosts,
                knows_fingerprints,
            ));
        }
        let access = &sources.environment.access;
        let (client_key, public) = match &access.ssh_key {
            Some(path) => own_key(&absolute(&sources.directory, path.get()))?,
            None => {
                let key = key(&mut bundle, CLIENT_KEY, &format!("provision {}", state.environment))?;
                (ClientKey::Generated(key.private_openssh), key.public_openssh)
            }
        };
        let host_key = key(&mut bundle, HOST_KEY, state.environment.as_str())?;
        let mut authorized_keys = vec![public.trim().to_owned()];
        authorized_keys.extend(access.authorized_keys.iter().map(|key| key.get().trim().to_owned()));
        let mut planned = Planned {
            authorized_keys: authorized_keys.clone(),
            host_key_public: host_key.public_openssh.clone(),
            fingerprints: knows_fingerprints,
            made: Vec::new(),
        };
        if let (None, false, Some(ours)) = (&access.ssh_key, knows_client, planned.authorized_keys.first_mut()) {
            *ours = TO_BE_MADE.to_owned();
        }
        if !knows_host {
            planned.host_key_public = TO_BE_MADE.to_owned();
        }
        Ok(Self {
            bundle,
            store: bundle_store,
            known_hosts,
            authorized_keys,
            host_key_public: host_key.public_openssh,
            planned,
            login: Login {
                user: LOGIN.to_owned(),
                key: client_key,
                proxy_jump: access.proxy_jump.as_ref().map(|jump| jump.get().clone()),
                host: None,
            },
            secrets: BTreeMap::new(),
        })
    }

    /// The keyring of a host that was there before: who gets in and how it is recognised is not ours to make.
    fn of_existing(way: Way, bundle: Bundle, store: BundleStore, known_hosts: KnownHosts, fingerprints: bool) -> Self {
        Self {
            bundle,
            store,
            known_hosts,
            authorized_keys: Vec::new(),
            host_key_public: String::new(),
            planned: Planned {
                authorized_keys: Vec::new(),
                host_key_public: String::new(),
                fingerprints,
                made: Vec::new(),
            },
            login: Login {
                key: way.client_key(),
                host: Some(way.destination().to_owned()),
                user: way.user,
                proxy_jump: way.proxy_jump,
            },
            secrets: BTreeMap::new(),
        }
    }

    /// One secret's value, from wherever it comes. Nothing is made.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn value(&self, name: &str, sources: &Sources, state: &State) -> Result<Option<Secret>, Failure> {
        let mut bundle = self.bundle.clone();
        let now = Timestamp::now();
        let mut values = sources::values(sources, &state.environment, &mut bundle, now, Some(name)).await?;
        Ok(values.remove(name))
    }

    /// What marks stand for.
    pub fn bindings(&self, endpoint: Option<Endpoint>) -> Bindings {
        Bindings {
            endpoint,
            secrets: self.secrets.clone(),
            host_key: self.bundle.keys.get(HOST_KEY).cloned(),
            fingerprints: self
                .bundle
                .keys
                .get(FINGERPRINTS)
                .cloned()
                .map(FingerprintKey::new)
                .unwrap_or_default(),
        }
    }

    /// As [`Keyring::bindings`], with one value for every secret that is not written down yet.
    pub fn planned_bindings(&self, endpoint: Option<Endpoint>) -> Bindings {
        let mut bindings = self.bindings(endpoint);
        for name in &self.planned.made {
            bindings.secrets.insert(name.clone(), Secret::new(TO_BE_MADE));
        }
        if !self.planned.fingerprints {
            bindings.fingerprints = FingerprintKey::new(Secret::new(TO_BE_MADE));
        }
        bindings
    }

    /// How the host is reached, as a value that borrows nothing.
    pub fn reach(&self) -> impl Fn(&Endpoint) -> Target + Send + Sync + 'static {
        let (known_hosts, login) = (self.known_hosts.clone(), self.login.clone());
        move |endpoint| Target {
            endpoint: endpoint.clone(),
            user: login.user.clone(),
            alias: known_hosts.alias().to_owned(),
            known_hosts: known_hosts.path().to_owned(),
            key: login.key.clone(),
            proxy_jump: login.proxy_jump.clone(),
            escalate: login.user != "root",
            host: login.host.clone(),
            ssh_config: own_config(),
        }
    }

    /// Writes the bundle down before anything is made that depends on it. Says so when the person's identity is made now.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self) -> Result<Identity, Failure> {
        let (identity, made) = Identity::load_or_create()?;
        if made {
            super::terminal::tell(&format!("note: {}", identity.notice()));
        }
        if self.store.load(&identity)?.as_ref() != Some(&self.bundle) {
            self.store.save(&self.bundle, &identity)?;
        }
        Ok(identity)
    }

    /// Notes that every value is in use on the host: from now on the retention of the values before them counts.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn brought_out(&self) -> Result<(), Failure> {
        let waits = |former: &Former| former.succeeded.is_none();
        if !self.bundle.kept.values().flat_map(|kept| &kept.before).any(waits) {
            return Ok(());
        }
        let identity = Identity::load_existing()?;
        let mut bundle = self.store.load(&identity)?.unwrap_or_default();
        if bundle.brought_out(Timestamp::now()) {
            self.store.save(&bundle, &identity)?;
        }
        Ok(())
    }
}

fn key(bundle: &mut Bundle, name: &str, comment: &str) -> Result<SshKey, Failure> {
    if let Some(text) = bundle.keys.get(name) {
        return Ok(SshKey::from_private(text)?);
    }
    let key = SshKey::generate(comment)?;
    bundle.keys.insert(name.to_owned(), key.private_openssh.clone());
    Ok(key)
}

/// The person's own key: a private key file with its `.pub` beside, or a `.pub` whose private half is in the agent.
fn own_key(path: &Path) -> Result<(ClientKey, String), Failure> {
    let (key, public) = if path.extension().is_some_and(|extension| extension == "pub") {
        (ClientKey::Agent(Some(path.to_owned())), path.to_owned())
    } else {
        let mut public = path.as_os_str().to_owned();
        public.push(".pub");
        (ClientKey::File(path.to_owned()), PathBuf::from(public))
    };
    match std::fs::read_to_string(&public) {
        Ok(text) => Ok((key, text)),
        Err(error) => Err(Failure::input(
            format!("failed to read the public key {}: {error}", public.display()),
            "let `access.ssh_key` name a private key with its .pub file beside it, or leave it out to have one made",
        )),
    }
}
