//! The real world: the provider and the host behind it.

use std::net::Ipv6Addr;
use std::time::Duration;

use tokio::time::sleep;

use super::{ActError, HostLease, Ledger, Outcome, World};
use crate::names::Endpoint;
use crate::note::{Note, Say};
use crate::plan::{Action, Plan, Step};
use crate::provider::{Caller, Owner, Provider, ProviderError};
use crate::remote::probe::Probe;
use crate::remote::{ConnectPolicy, Session, Target};
use crate::render::Bindings;
use crate::secret::Redactor;
use crate::state::{Bundle, BundleStore, Identity, KnownHosts};

/// How a host is reached, once its address is known.
pub trait Reach: Send + Sync {
    /// The target at an endpoint.
    fn target(&self, endpoint: &Endpoint) -> Target;
}

impl<F: Fn(&Endpoint) -> Target + Send + Sync> Reach for F {
    fn target(&self, endpoint: &Endpoint) -> Target {
        self(endpoint)
    }
}

/// How long a new machine may take until it lets us in. Under emulation, with both cores busy, about two minutes.
const FIRST_CONTACT: Duration = Duration::from_secs(15 * 60);

/// How long a machine that was set up before may take, booting included.
const CONTACT: Duration = Duration::from_secs(10 * 60);

/// How often the provider is asked whether a machine that does not answer runs at all. Most answer sooner.
const WATCH: Duration = Duration::from_secs(30);

/// The provider, the host, and what is needed to reach and to fill it.
pub struct RealWorld<'a> {
    /// The provider.
    pub provider: &'a Provider,
    /// Whose machine it is.
    pub owner: &'a Owner,
    /// How the host is reached.
    pub reach: &'a dyn Reach,
    /// The pinned host keys.
    pub known_hosts: &'a KnownHosts,
    /// Secrets and private keys; the first boot's host key is forgotten once it was replaced.
    pub bundle: &'a mut Bundle,
    /// Where the bundle is kept.
    pub bundle_store: &'a BundleStore,
    /// What opens the bundle.
    pub identity: &'a Identity,
    /// What the marks in texts stand for. Learns the machine's address.
    pub bindings: Bindings,
    /// Who runs this command, where the machine's firewall lets people in one by one.
    pub caller: Option<&'a Caller>,
    /// The machine's IPv6 address, once it is known.
    pub ipv6: Option<Ipv6Addr>,
    /// The connection, once there is one.
    pub session: Option<Session>,
    /// The host's lease, taken with the first step that changes the host.
    pub lease: &'a mut HostLease,
}

impl World for RealWorld<'_> {
    /// What the host says is shown and kept: the values of secrets are taken out of it here, before anybody hears it.
    async fn act(&mut self, step: &Step, ledger: &mut Ledger<'_>, say: Say<'_>) -> Result<Outcome, ActError> {
        let redactor = Redactor::new(self.bindings.secrets.values());
        let clean = |note: Note| say(note.mapped(|text| redactor.clean(&text)));
        let acted = self.take(step, ledger, &clean).await;
        acted.map_err(|why| why.mapped(&|text| redactor.clean(&text)))
    }

    async fn look(&mut self, say: Say<'_>) -> Result<Option<Probe>, ActError> {
        let redactor = Redactor::new(self.bindings.secrets.values());
        let key = self.bindings.fingerprints.clone();
        let seen = match self.session(say).await {
            Ok(session) => crate::observe::probe(session, &key, say).await.map_err(ActError::from),
            Err(why) => Err(why),
        };
        seen.map(Some).map_err(|why| why.mapped(&|text| redactor.clean(&text)))
    }
}

impl RealWorld<'_> {
    async fn take(&mut self, step: &Step, ledger: &mut Ledger<'_>, say: Say<'_>) -> Result<Outcome, ActError> {
        if self.bindings.endpoint.is_none() {
            self.bindings.endpoint = ledger.state().endpoint();
        }
        if self.lease.is_due() {
            self.lease.renew().await?;
        }
        // A run that lost the lease stops where it is: somebody else is at the host.
        let renewal = self.lease.renewal();
        tokio::select! {
            biased;
            outcome = self.carry_out(step, ledger, say) => outcome,
            lost = renewal => Err(lost),
        }
    }

    /// Takes the host's lease before the first step where the host can be asked already, so that a run that may not change it
    /// does not begin.
    ///
    /// # Errors
    /// When somebody else is at the host, or it is not ours.
    pub async fn begin(&mut self, plan: &Plan, say: Say<'_>) -> Result<(), ActError> {
        let Some(session) = &self.session else { return Ok(()) };
        let touches = |step: &Step| !step.address.is_part();
        if plan.steps.iter().any(touches) {
            self.lease.hold(session, say).await?;
        }
        Ok(())
    }

    async fn carry_out(&mut self, step: &Step, ledger: &mut Ledger<'_>, say: Say<'_>) -> Result<Outcome, ActError> {
        match &step.action {
            Action::CreateInstance {
                spec,
                user_data,
                generation,
            } => self.create_instance(spec, user_data, *generation, say).await,
            Action::StartInstance => self.start_instance(say).await,
            Action::ResizeInstance { spec } => self.resize_instance(spec, say).await,
            Action::ReplaceInstance {
                spec,
                user_data,
                generation,
            } => self.replace_instance(spec, user_data, *generation, say).await,
            Action::DestroyInstance { keep_volume } => self.destroy_instance(*keep_volume, say).await,
            Action::EnsurePart { spec } => self.ensure_part(&step.address, spec, say).await,
            Action::RemovePart => self.remove_part(&step.address, say).await,
            Action::RotateHostKey => self.rotate_host_key(say).await,
            Action::PinHostKey { keys } => self.pin_host_key(keys, say).await,
            Action::SetEnd { spec } => self.set_end(ledger.state().life, spec, say).await,
            Action::Converge { script, unless_done } => self.converge(script, *unless_done, say).await,
            Action::Deploy(release) => self.deploy(release, ledger, say).await,
            Action::RemoveStack { stack, volumes } => self.remove_stack(stack, *volumes, say).await,
            Action::KeepPart | Action::Forget | Action::GoesWithMachine => Ok(Outcome::default()),
        }
    }

    /// The open connection, or a new one to a host whose key is pinned.
    pub(super) async fn session(&mut self, say: Say<'_>) -> Result<&Session, ActError> {
        self.connect(CONTACT, false, say).await
    }

    /// The open connection, or a new one to a machine that may be booting for the first time.
    pub(super) async fn first_session(&mut self, say: Say<'_>) -> Result<&Session, ActError> {
        self.connect(FIRST_CONTACT, true, say).await
    }

    async fn connect(&mut self, deadline: Duration, first_contact: bool, say: Say<'_>) -> Result<&Session, ActError> {
        if self.session.is_none() {
            let endpoint = self.bindings.endpoint.as_ref().ok_or_else(no_address)?;
            if let Some(caller) = self.caller {
                self.provider.admit(self.owner, caller).await?;
            }
            let target = self.reach.target(endpoint);
            let policy = ConnectPolicy {
                deadline,
                first_contact,
            };
            self.session = Some(tokio::select! {
                session = Session::connect(&target, policy, say) => session?,
                fallen = fall(self.provider, self.owner) => return Err(fallen.into()),
            });
        }
        let session = self.session.as_ref().ok_or_else(no_address)?;
        self.lease.hold(session, say).await?;
        Ok(session)
    }

    /// Ends the connection to a machine that is about to be stopped, or to go.
    pub(super) async fn part(&mut self) {
        self.hang_up().await;
        self.lease.forget();
    }

    /// Ends the connection: the host has another address or shows another key from now on.
    pub(super) async fn hang_up(&mut self) {
        self.lease.suspend();
        if let Some(session) = self.session.take() {
            session.close().await;
        }
    }
}

/// Ends when the provider says that the machine is off or gone.
async fn fall(provider: &Provider, owner: &Owner) -> ProviderError {
    loop {
        sleep(WATCH).await;
        if let Some(fallen) = provider.fallen(owner).await {
            return fallen;
        }
    }
}

fn no_address() -> ProviderError {
    ProviderError {
        what: "failed to reach the host: the state knows no address of its machine".to_owned(),
        remedy: Some("run apply again: it looks the machine up".to_owned()),
        why: None,
    }
}

/// What a destroy acts on: the provider alone, because everything else goes with the machine.
pub struct Removal<'a> {
    /// The provider.
    pub provider: &'a Provider,
    /// Whose machine it is.
    pub owner: &'a Owner,
}

impl World for Removal<'_> {
    async fn act(&mut self, step: &Step, _: &mut Ledger<'_>, say: Say<'_>) -> Result<Outcome, ActError> {
        match step.action {
            Action::DestroyInstance { keep_volume } => self.provider.destroy(self.owner, keep_volume, say).await?,
            Action::RemovePart => self.provider.remove(self.owner, &step.address, say).await?,
            _ => {}
        }
        Ok(Outcome::default())
    }
}
