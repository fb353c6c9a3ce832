//! Amazon Route 53.

use std::collections::{BTreeMap, BTreeSet};

use super::{InstanceSpec, Owner, Part, ProviderError, Reached};
use crate::names::Address;
use crate::note::Say;

/// The provider of names.
#[derive(Debug, Clone)]
pub struct Route53 {}

impl Route53 {
    /// A provider with the credentials of the ordinary chain.
    ///
    /// # Errors
    /// When they cannot be had.
    pub async fn connect(profile: Option<&str>, zone: Option<&str>) -> Result<Self, ProviderError> {
        let _ = (profile, zone);
        Err(ProviderError::new("failed: skeleton"))
    }
    /// The records of these names that are ours.
    pub async fn observe(
        &self,
        _owner: &Owner,
        _names: &BTreeSet<String>,
    ) -> Result<BTreeMap<Address, Part>, ProviderError> {
        Err(ProviderError::new("failed: skeleton"))
    }
    /// See [`super::Provider::ensure`].
    pub async fn ensure(
        &self,
        _owner: &Owner,
        _name: &str,
        _spec: &InstanceSpec,
        _at: &Reached,
        _say: Say<'_>,
    ) -> Result<Part, ProviderError> {
        Err(ProviderError::new("failed: skeleton"))
    }
    /// See [`super::Provider::remove`].
    pub async fn remove(&self, _owner: &Owner, _name: &str, _say: Say<'_>) -> Result<(), ProviderError> {
        Err(ProviderError::new("failed: skeleton"))
    }
}
