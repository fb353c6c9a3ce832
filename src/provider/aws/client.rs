//! The way to the cloud: credentials, region, endpoint and retries, all from the ecosystem's own places.

use aws_config::default_provider::region::DefaultRegionChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use std::collections::BTreeMap;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_ec2::error::DisplayErrorContext;

use super::newest::Newest;
use super::{Access, Aws};
use crate::provider::ProviderError;

/// How often a call is made before its failure counts. The adaptive mode slows down by itself when the service throttles.
const ATTEMPTS: u32 = 8;

/// How long one attempt may take. `RunInstances` answers within seconds; a connection that says nothing for longer is dead.
const ATTEMPT: Duration = Duration::from_secs(45);

impl Aws {
    /// A provider for one region, with the credentials of the ordinary chain: environment, profiles (single sign-on, assumed
    /// roles), web identity, container and instance metadata. `AWS_ENDPOINT_URL` and its siblings are honoured. Calls nothing.
    ///
    /// # Errors
    /// When no region is known.
    pub async fn connect(access: &Access) -> Result<Self, ProviderError> {
        let config = configuration(access).await;
        let aws = Self::with_config(&config, access.profile.clone())?;
        Ok(Self {
            newest: Newest::of_user(),
            ..aws
        })
    }

    /// A provider over a configuration that is made already.
    ///
    /// # Errors
    /// When it has no region.
    pub fn with_config(config: &SdkConfig, profile: Option<String>) -> Result<Self, ProviderError> {
        let region = config.region().map(Region::to_string).ok_or_else(|| {
            ProviderError::new("failed to reach AWS: no region is known").with_remedy(
                "write `region = \"…\"` under [machine.aws], or set AWS_REGION, or `region` in the profile of ~/.aws/config",
            )
        })?;
        Ok(Self {
            ec2: aws_sdk_ec2::Client::new(config),
            config: Box::new(config.clone()),
            region,
            profile,
            opened: Default::default(),
            seen: Default::default(),
            newest: Default::default(),
            settled: BTreeMap::new(),
            lean: false,
        })
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }
}

/// The credentials of a profile. Their absence is told with the profile's name, also by the second call that fails for it.
#[derive(Debug)]
struct OfProfile {
    name: String,
    credentials: ProfileFileCredentialsProvider,
}

impl ProvideCredentials for OfProfile {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            self.credentials.provide_credentials().await.map_err(|why| {
                let why = DisplayErrorContext(&why).to_string();
                CredentialsError::not_loaded(format!("no credentials by the profile `{}`: {why}", self.name))
            })
        })
    }
}

/// The configuration of every client of ours, also of those that serve names.
pub(in crate::provider) async fn configuration(access: &Access) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::adaptive().with_max_attempts(ATTEMPTS))
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).build());
    if let Ok(name) = AppName::new("provision") {
        loader = loader.app_name(name);
    }
    let mut region = access.region.clone().map(Region::new);
    if let Some(profile) = &access.profile {
        if region.is_none() {
            let chain = DefaultRegionChain::builder().profile_name(profile).build();
            region = chain.region().await;
        }
        // The ordinary chain would take keys of variables before those of the profile that the file names: another account's,
        // maybe.
        let credentials = ProfileFileCredentialsProvider::builder()
            .profile_name(profile)
            .configure(&ProviderConfig::default().with_region(region.clone()))
            .build();
        let credentials = OfProfile {
            name: profile.clone(),
            credentials,
        };
        loader = loader.profile_name(profile).credentials_provider(credentials);
    }
    if let Some(region) = region {
        loader = loader.region(region);
    }
    loader.load().await
}
