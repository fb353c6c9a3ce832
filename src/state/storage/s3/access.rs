//! The way to the bucket: credentials, region and endpoint, all from the ecosystem's own places.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::default_provider::region::DefaultRegionChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;

use super::Trouble;
use super::wire::causes;
use crate::state::backend::Bucket;

/// Where a service of one's own ignores regions, it still wants one named: the usual one.
const NOWHERE: &str = "us-east-1";

/// Credentials that end sooner than this are asked for again.
const MARGIN: Duration = Duration::from_secs(120);

/// How the service is reached.
#[derive(Debug)]
pub struct Access {
    pub region: String,
    /// Where it is not AWS's own.
    pub endpoint: Option<String>,
    pub keys: Keys,
}

impl Access {
    /// What the file says, and then the ordinary chain: environment, profiles (single sign-on, assumed roles), web identity,
    /// container and instance metadata; `AWS_ENDPOINT_URL_S3` before `AWS_ENDPOINT_URL`.
    pub async fn find(bucket: &Bucket) -> Result<Self, Trouble> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        let mut region = bucket.region.clone().map(Region::new);
        if let Some(profile) = &bucket.profile {
            if region.is_none() {
                region = DefaultRegionChain::builder()
                    .profile_name(profile)
                    .build()
                    .region()
                    .await;
            }
            // The ordinary chain would take keys of variables before those of the profile that the file names.
            let credentials = ProfileFileCredentialsProvider::builder()
                .profile_name(profile)
                .configure(&ProviderConfig::default().with_region(region.clone()))
                .build();
            loader = loader.profile_name(profile).credentials_provider(credentials);
        }
        if let Some(region) = region {
            loader = loader.region(region);
        }
        Self::of(bucket, &loader.load().await)
    }

    /// What the file says, and then a configuration that is made already.
    pub fn of(bucket: &Bucket, config: &SdkConfig) -> Result<Self, Trouble> {
        let of_s3 = || std::env::var("AWS_ENDPOINT_URL_S3").ok().filter(|url| !url.is_empty());
        let endpoint = bucket.endpoint.clone().or_else(of_s3);
        let endpoint = endpoint.or_else(|| config.endpoint_url().map(str::to_owned));
        let region = match (config.region(), &endpoint) {
            (Some(region), _) => region.to_string(),
            (None, Some(_)) => NOWHERE.to_owned(),
            (None, None) => {
                return Err(Trouble::NoRegion {
                    bucket: bucket.bucket.clone(),
                });
            }
        };
        Ok(Self {
            region,
            endpoint,
            keys: Keys {
                provider: config.credentials_provider(),
                profile: bucket.profile.clone(),
                held: Arc::default(),
            },
        })
    }
}

/// Credentials, asked for before each call and kept until they end. The library is given what is held, so that their absence is
/// told by us and not as its own trouble.
#[derive(Debug, Clone)]
pub struct Keys {
    provider: Option<SharedCredentialsProvider>,
    profile: Option<String>,
    held: Arc<Mutex<Option<Held>>>,
}

#[derive(Debug, Clone)]
struct Held {
    credential: Arc<AwsCredential>,
    ends: Option<SystemTime>,
}

impl Keys {
    /// Makes sure that there are credentials which last for the next call.
    pub async fn refresh(&self) -> Result<(), Trouble> {
        let lasts = |held: &Held| held.ends.is_none_or(|ends| SystemTime::now() + MARGIN < ends);
        if self.held().as_ref().is_some_and(lasts) {
            return Ok(());
        }
        let missing = |why: String| Trouble::NoCredentials {
            profile: self.profile.clone(),
            why,
        };
        let provider = self
            .provider
            .as_ref()
            .ok_or_else(|| missing("no provider of credentials is known".to_owned()))?;
        let given = provider.provide_credentials().await;
        let given = given.map_err(|why| missing(causes(&why)))?;
        let held = Held {
            credential: Arc::new(AwsCredential {
                key_id: given.access_key_id().to_owned(),
                secret_key: given.secret_access_key().to_owned(),
                token: given.session_token().map(str::to_owned),
            }),
            ends: given.expiry(),
        };
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(())
    }

    fn held(&self) -> Option<Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl CredentialProvider for Keys {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        self.held()
            .map(|held| held.credential)
            .ok_or(object_store::Error::NotImplemented {
                operation: "a call without credentials".to_owned(),
                implementer: "provision".to_owned(),
            })
    }
}
