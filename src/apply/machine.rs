//! Steps of the machine layer.

use super::{ActError, Outcome, RealWorld};
use crate::names::{Address, Endpoint};
use crate::note::Say;
use crate::provider::{Instance, InstanceSpec, Part, Reached};
use crate::render::Rendered;
use crate::state::bundle::HOST_KEY;
use crate::state::model::endpoint_facts;
use crate::state::{PublicKey, SshKey};

impl RealWorld<'_> {
    pub(super) async fn create_instance(
        &mut self,
        spec: &InstanceSpec,
        user_data: &Rendered,
        generation: u64,
        say: Say<'_>,
    ) -> Result<Outcome, ActError> {
        self.part().await;
        // Pinned before the machine exists: the first connection is verified like every other.
        if let Some(key) = self.bundle.keys.get(HOST_KEY) {
            let key = SshKey::from_private(key)?;
            let public: PublicKey = key.public_openssh.parse()?;
            self.known_hosts.set(&[public])?;
        }
        let spec = InstanceSpec {
            user_data: user_data.bind(&self.bindings),
            ..spec.clone()
        };
        let instance = self.provider.create(self.owner, &spec, generation, say).await?;
        Ok(self.reached(instance))
    }

    pub(super) async fn start_instance(&mut self, say: Say<'_>) -> Result<Outcome, ActError> {
        self.part().await;
        let instance = self.provider.start(self.owner, say).await?;
        Ok(self.reached(instance))
    }

    pub(super) async fn resize_instance(&mut self, spec: &InstanceSpec, say: Say<'_>) -> Result<Outcome, ActError> {
        self.part().await;
        let instance = self.provider.resize(self.owner, spec, say).await?;
        Ok(self.reached(instance))
    }

    pub(super) async fn replace_instance(
        &mut self,
        spec: &InstanceSpec,
        user_data: &Rendered,
        generation: u64,
        say: Say<'_>,
    ) -> Result<Outcome, ActError> {
        // What keeps the next machine from being made is told while this one is there.
        let next = InstanceSpec {
            user_data: user_data.bind(&self.bindings),
            ..spec.clone()
        };
        self.provider.check(self.owner, &next, say).await?;
        self.part().await;
        let keeps_volume = spec.volume_gib.is_some();
        self.provider.destroy(self.owner, keeps_volume, say).await?;
        self.create_instance(spec, user_data, generation, say).await
    }

    pub(super) async fn destroy_instance(&mut self, keep_volume: bool, say: Say<'_>) -> Result<Outcome, ActError> {
        self.part().await;
        self.provider.destroy(self.owner, keep_volume, say).await?;
        Ok(Outcome::default())
    }

    pub(super) async fn ensure_part(
        &mut self,
        address: &Address,
        spec: &InstanceSpec,
        say: Say<'_>,
    ) -> Result<Outcome, ActError> {
        let at = Reached {
            address: self.bindings.endpoint.as_ref().map(|endpoint| endpoint.address),
            ipv6: self.ipv6,
        };
        let Part { id, attributes, facts } = self.provider.ensure(self.owner, address, spec, &at, say).await?;
        if *address == Address::MachineAddress {
            self.hang_up().await;
            self.bindings.endpoint = facts
                .get("address")
                .and_then(|text| text.parse().ok())
                .map(Endpoint::standard);
        }
        Ok(Outcome {
            id: Some(id),
            facts,
            attributes: Some(attributes),
        })
    }

    pub(super) async fn remove_part(&mut self, address: &Address, say: Say<'_>) -> Result<Outcome, ActError> {
        if *address == Address::MachineAddress {
            self.hang_up().await;
        }
        self.provider.remove(self.owner, address, say).await?;
        Ok(Outcome::default())
    }

    fn reached(&mut self, instance: Instance) -> Outcome {
        let Instance {
            id,
            power: _,
            endpoint,
            attributes,
            ipv6,
            facts,
        } = instance;
        let mut known = facts;
        known.extend(endpoint_facts(&endpoint));
        if let Some(acceleration) = attributes.get("accelerator") {
            known.insert("accelerator".into(), acceleration.clone());
        }
        if let Some(ipv6) = ipv6 {
            known.insert("ipv6".into(), ipv6.to_string());
        }
        self.bindings.endpoint = Some(endpoint);
        self.ipv6 = ipv6;
        Outcome {
            id: Some(id),
            facts: known,
            attributes: None,
        }
    }
}
