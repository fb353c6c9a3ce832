//! Steps of the machine layer.

use super::{ActError, Outcome, RealWorld};
use crate::note::Say;
use crate::provider::{Instance, InstanceSpec};
use crate::render::Rendered;
use crate::state::bundle::HOST_KEY;
use crate::state::model::endpoint_facts;
use crate::state::{PublicKey, SshKey};

impl RealWorld<'_> {
    pub(super) async fn create_instance(
        &mut self,
        spec: &InstanceSpec,
        user_data: &Rendered,
        say: Say<'_>,
    ) -> Result<Outcome, ActError> {
        self.hang_up().await;
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
        let instance = self.provider.create(self.owner, &spec, say).await?;
        Ok(self.reached(instance))
    }

    pub(super) async fn start_instance(&mut self, say: Say<'_>) -> Result<Outcome, ActError> {
        self.hang_up().await;
        let instance = self.provider.start(self.owner, say).await?;
        Ok(self.reached(instance))
    }

    pub(super) async fn resize_instance(&mut self, spec: &InstanceSpec, say: Say<'_>) -> Result<Outcome, ActError> {
        self.hang_up().await;
        let instance = self.provider.resize(self.owner, spec, say).await?;
        Ok(self.reached(instance))
    }

    pub(super) async fn replace_instance(
        &mut self,
        spec: &InstanceSpec,
        user_data: &Rendered,
        say: Say<'_>,
    ) -> Result<Outcome, ActError> {
        self.hang_up().await;
        self.provider
            .destroy(self.owner, spec.volume_gib.is_some(), say)
            .await?;
        self.create_instance(spec, user_data, say).await
    }

    pub(super) async fn destroy_instance(&mut self, keep_volume: bool, say: Say<'_>) -> Result<Outcome, ActError> {
        self.hang_up().await;
        self.provider.destroy(self.owner, keep_volume, say).await?;
        Ok(Outcome::default())
    }

    fn reached(&mut self, instance: Instance) -> Outcome {
        let Instance {
            id,
            power: _,
            endpoint,
            attributes,
        } = instance;
        let mut facts = endpoint_facts(&endpoint);
        if let Some(acceleration) = attributes.get("accelerator") {
            facts.insert("accelerator".into(), acceleration.clone());
        }
        self.bindings.endpoint = Some(endpoint);
        Outcome {
            id: Some(id),
            facts,
            attributes: None,
        }
    }
}
