//! Amazon EC2.

mod address;
pub(in crate::provider) mod client;
mod costs;
pub(in crate::provider) mod error;
mod find;
mod firewall;
mod image;
mod instance;
mod key;
mod leftovers;
mod observe;
mod operator;
mod own;
mod rules;
mod settled;
mod tags;
pub mod vault;
mod volume;

use std::collections::BTreeMap;

use super::{Caller, Costs, Found, Instance, InstanceSpec, Owner, Part, ProviderError, Sight, newest, wait};
use crate::names::Address;
use crate::note::Say;

/// How the cloud is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The region; the one of the configuration without.
    pub region: Option<String>,
    /// The profile of `~/.aws/config`; the environment's choice without.
    pub profile: Option<String>,
}

/// The AWS provider.
#[derive(Debug, Clone)]
pub struct Aws {
    ec2: aws_sdk_ec2::Client,
    config: Box<aws_config::SdkConfig>,
    region: String,
    profile: Option<String>,
    opened: operator::Opened,
    seen: operator::Seen,
    newest: newest::Newest,
    settled: BTreeMap<Address, Part>,
    lean: bool,
}

impl Aws {
    /// One that asks nothing that can wait: see [`super::Provider::lean`].
    pub fn lean(self) -> Self {
        Self { lean: true, ..self }
    }

    /// One that knows what the state has settled, and so need not ask for what cannot have changed.
    pub fn knowing(self, settled: BTreeMap<Address, Part>) -> Self {
        Self { settled, ..self }
    }

    /// What finds this provider again.
    pub fn facts(&self) -> BTreeMap<String, String> {
        let mut facts = BTreeMap::from([
            ("provider".to_owned(), "aws".to_owned()),
            ("region".to_owned(), self.region.clone()),
        ]);
        if let Some(profile) = &self.profile {
            facts.insert("profile".to_owned(), profile.clone());
        }
        facts
    }
    /// See [`super::Provider::observe`].
    pub async fn observe(&self, owner: &Owner) -> Result<Sight, ProviderError> {
        observe::observe(self, owner).await
    }
    /// See [`super::Provider::create`].
    pub async fn create(
        &self,
        owner: &Owner,
        spec: &InstanceSpec,
        generation: u64,
        say: Say<'_>,
    ) -> Result<Instance, ProviderError> {
        instance::create(self, owner, spec, generation, say).await
    }
    /// See [`super::Provider::check`].
    ///
    /// # Errors
    /// What would keep a machine from being made.
    pub async fn check(&self, owner: &Owner, spec: &InstanceSpec, say: Say<'_>) -> Result<(), ProviderError> {
        instance::check(self, owner, spec, say).await
    }
    /// See [`super::Provider::fallen`].
    ///
    /// # Errors
    /// When the region cannot be asked.
    pub async fn has_power(&self, owner: &Owner) -> Result<bool, ProviderError> {
        instance::has_power(self, owner).await
    }
    /// See [`super::Provider::start`].
    pub async fn start(&self, owner: &Owner, say: Say<'_>) -> Result<Instance, ProviderError> {
        instance::start(self, owner, say).await
    }
    /// See [`super::Provider::resize`].
    pub async fn resize(&self, owner: &Owner, spec: &InstanceSpec, say: Say<'_>) -> Result<Instance, ProviderError> {
        instance::resize(self, owner, spec, say).await
    }
    /// See [`super::Provider::end`].
    pub async fn end(&self, owner: &Owner, spec: &InstanceSpec) -> Result<(), ProviderError> {
        instance::end(self, owner, spec).await
    }
    /// See [`super::Provider::destroy`]: terminates the instance and waits for its end. The data volume is a part of its own.
    pub async fn destroy(&self, owner: &Owner, say: Say<'_>) -> Result<(), ProviderError> {
        instance::destroy(self, owner, say).await
    }
    /// See [`super::Provider::ensure`].
    pub async fn ensure(
        &self,
        owner: &Owner,
        address: &Address,
        spec: &InstanceSpec,
        say: Say<'_>,
    ) -> Result<Part, ProviderError> {
        match address {
            Address::MachineKey => key::ensure(self, owner, spec, say).await,
            Address::MachineFirewall => firewall::ensure(self, owner, spec, say).await,
            Address::MachineVolume => volume::ensure(self, owner, spec, say).await,
            Address::MachineAddress => address::ensure(self, owner, spec, say).await,
            other => Err(super::no_such_part(other)),
        }
    }
    /// See [`super::Provider::remove`].
    pub async fn remove(&self, owner: &Owner, address: &Address, say: Say<'_>) -> Result<(), ProviderError> {
        match address {
            Address::MachineKey => key::remove(self, owner, say).await,
            Address::MachineFirewall => firewall::remove(self, owner, say).await,
            Address::MachineVolume => volume::remove(self, owner, say).await,
            Address::MachineAddress => address::remove(self, owner, say).await,
            other => Err(super::no_such_part(other)),
        }
    }
    /// See [`super::Provider::leftovers`].
    pub async fn leftovers(&self, owner: &Owner) -> Result<Vec<String>, ProviderError> {
        leftovers::leftovers(self, owner).await
    }
    /// See [`super::Provider::admit`].
    pub async fn admit(&self, owner: &Owner, caller: &Caller) -> Result<(), ProviderError> {
        operator::admit(self, owner, caller).await
    }
    /// See [`super::Provider::dismiss`].
    pub async fn dismiss(&self, owner: &Owner, caller: &Caller) -> Result<(), ProviderError> {
        operator::dismiss(self, owner, caller).await
    }
    /// See [`super::Provider::costs`].
    pub async fn costs(&self, spec: &InstanceSpec) -> Option<Costs> {
        costs::costs(self, spec).await
    }
    /// See [`super::Provider::find`].
    pub async fn find(&self) -> Result<Vec<Found>, ProviderError> {
        find::find(self).await
    }
    /// See [`super::Provider::adopt`].
    pub async fn adopt(&self, owner: &Owner, address: &Address, id: &str) -> Result<(), ProviderError> {
        find::adopt(self, owner, address, id).await
    }
}
