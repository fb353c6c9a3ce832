//! DigitalOcean: Droplets and what belongs to them, and its name servers, over its API v2.

mod access;
mod address;
mod client;
mod costs;
mod dns;
mod droplet;
mod error;
mod find;
mod firewall;
mod image;
mod key;
mod leftovers;
mod marks;
mod observe;
mod operator;
mod own;
mod project;
mod rules;
mod tag;
mod volume;
mod wire;

use std::collections::BTreeMap;

pub use access::{Access, Token};
pub use client::Patience;
pub use dns::{Dns, SERVED_BY};

use self::client::Client;
use super::newest::Newest;
use super::{Caller, Costs, Found, Instance, InstanceSpec, Owner, Part, ProviderError, Sight};
use crate::names::Address;
use crate::note::Say;

/// The provider of Droplets.
#[derive(Debug, Clone)]
pub struct DigitalOcean {
    client: Client,
    context: Option<String>,
    opened: operator::Opened,
    seen: operator::Seen,
    newest: Newest,
    lean: bool,
}

impl DigitalOcean {
    /// A provider with the token of the user's configuration. Calls nothing.
    ///
    /// # Errors
    /// When there is no token.
    pub fn connect(access: &Access) -> Result<Self, ProviderError> {
        Ok(Self {
            context: access.context.clone(),
            newest: Newest::of_user(),
            ..Self::with_client(Client::connect(access)?)
        })
    }

    /// A provider that speaks to `address` with `token`, and has this patience.
    ///
    /// # Errors
    /// When a token may not be sent to that address.
    pub fn at(address: &str, token: &Token, patience: Patience) -> Result<Self, ProviderError> {
        Ok(Self::with_client(Client::new(
            access::address(address)?,
            token,
            patience,
        )?))
    }

    fn with_client(client: Client) -> Self {
        Self {
            client,
            context: None,
            opened: Default::default(),
            seen: Default::default(),
            newest: Newest::default(),
            lean: false,
        }
    }

    /// One that asks nothing that can wait: see [`super::Provider::lean`].
    pub fn lean(self) -> Self {
        Self { lean: true, ..self }
    }

    /// What finds this provider again.
    pub fn facts(&self) -> BTreeMap<String, String> {
        let mut facts = BTreeMap::from([("provider".to_owned(), "digitalocean".to_owned())]);
        facts.extend(self.context.clone().map(|context| ("context".to_owned(), context)));
        facts
    }

    /// See [`super::Provider::observe`].
    ///
    /// # Errors
    /// When the account cannot be asked.
    pub async fn observe(&self, owner: &Owner) -> Result<Sight, ProviderError> {
        observe::observe(self, owner).await
    }
    /// See [`super::Provider::create`].
    ///
    /// # Errors
    /// When the Droplet cannot be made, or does not come up.
    pub async fn create(
        &self,
        owner: &Owner,
        spec: &InstanceSpec,
        generation: u64,
        say: Say<'_>,
    ) -> Result<Instance, ProviderError> {
        droplet::create(self, owner, spec, generation, say).await
    }
    /// See [`super::Provider::check`].
    ///
    /// # Errors
    /// What would keep a Droplet from being made.
    pub async fn check(&self, spec: &InstanceSpec) -> Result<(), ProviderError> {
        droplet::check(self, spec).await
    }
    /// See [`super::Provider::fallen`].
    ///
    /// # Errors
    /// When the account cannot be asked.
    pub async fn has_power(&self, owner: &Owner) -> Result<bool, ProviderError> {
        droplet::has_power(self, owner).await
    }
    /// See [`super::Provider::start`].
    ///
    /// # Errors
    /// When there is none or it does not start.
    pub async fn start(&self, owner: &Owner, say: Say<'_>) -> Result<Instance, ProviderError> {
        droplet::start(self, owner, say).await
    }
    /// See [`super::Provider::resize`].
    ///
    /// # Errors
    /// When there is none or the change cannot be made.
    pub async fn resize(&self, owner: &Owner, spec: &InstanceSpec, say: Say<'_>) -> Result<Instance, ProviderError> {
        droplet::resize(self, owner, spec, say).await
    }
    /// See [`super::Provider::end`].
    ///
    /// # Errors
    /// When it cannot be marked.
    pub async fn end(&self, owner: &Owner, spec: &InstanceSpec) -> Result<(), ProviderError> {
        droplet::end(self, owner, spec).await
    }
    /// See [`super::Provider::destroy`]. The data volume is a part of its own.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn destroy(&self, owner: &Owner, say: Say<'_>) -> Result<(), ProviderError> {
        droplet::destroy(self, owner, say).await
    }
    /// See [`super::Provider::ensure`].
    ///
    /// # Errors
    /// When it cannot be done.
    pub async fn ensure(
        &self,
        owner: &Owner,
        address: &Address,
        spec: &InstanceSpec,
        say: Say<'_>,
    ) -> Result<Part, ProviderError> {
        match address {
            Address::MachineKey => key::ensure(self, owner, spec).await,
            Address::MachineFirewall => firewall::ensure(self, owner, spec, say).await,
            Address::MachineVolume => volume::ensure(self, owner, spec, say).await,
            Address::MachineAddress => address::ensure(self, owner, spec, say).await,
            other => Err(super::no_such_part(other)),
        }
    }
    /// See [`super::Provider::remove`].
    ///
    /// # Errors
    /// When it is left.
    pub async fn remove(&self, owner: &Owner, address: &Address, say: Say<'_>) -> Result<(), ProviderError> {
        match address {
            Address::MachineKey => key::remove(self, owner).await,
            Address::MachineFirewall => firewall::remove(self, owner).await,
            Address::MachineVolume => volume::remove(self, owner, say).await,
            Address::MachineAddress => address::remove(self, owner, say).await,
            other => Err(super::no_such_part(other)),
        }
    }
    /// See [`super::Provider::leftovers`].
    ///
    /// # Errors
    /// When the account cannot be asked.
    pub async fn leftovers(&self, owner: &Owner) -> Result<Vec<String>, ProviderError> {
        leftovers::leftovers(self, owner).await
    }
    /// See [`super::Provider::admit`].
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn admit(&self, owner: &Owner, caller: &Caller) -> Result<(), ProviderError> {
        operator::admit(self, owner, caller).await
    }
    /// See [`super::Provider::dismiss`].
    ///
    /// # Errors
    /// When it cannot be closed.
    pub async fn dismiss(&self, owner: &Owner, caller: &Caller) -> Result<(), ProviderError> {
        operator::dismiss(self, owner, caller).await
    }
    /// See [`super::Provider::costs`].
    pub async fn costs(&self, spec: &InstanceSpec) -> Option<Costs> {
        costs::costs(self, spec).await
    }
    /// See [`super::Provider::find`].
    ///
    /// # Errors
    /// When the account cannot be asked.
    pub async fn find(&self) -> Result<Vec<Found>, ProviderError> {
        find::find(self).await
    }
    /// See [`super::Provider::adopt`].
    ///
    /// # Errors
    /// When it is not fit for that.
    pub async fn adopt(&self, owner: &Owner, address: &Address, id: &str) -> Result<(), ProviderError> {
        find::adopt(self, owner, address, id).await
    }
}
