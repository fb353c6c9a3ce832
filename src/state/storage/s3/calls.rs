//! The calls to the service: each bounded in time and in attempts, and made again only where that cannot do harm.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ClientOptions, GetOptions, HeaderValue, ObjectStore as _, ObjectStoreExt as _, PutMode,
    PutOptions, PutPayload, RetryConfig, UpdateVersion,
};

use super::Trouble;
use super::access::{Access, Keys};
use super::wire::{Clock, Heard, Wire};
use crate::names::hex;
use crate::state::backend::Bucket;
use crate::state::keys;

/// How long one attempt may take. Documents are small; a service that says nothing for so long is not there. All attempts together
/// end well before a lease does.
const ATTEMPT: Duration = Duration::from_secs(12);
const CONNECT: Duration = Duration::from_secs(6);

/// How often a call is made before its failure counts.
const ATTEMPTS: u32 = 4;

/// The pause after the first failed attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(250);

/// The metadata that tells whose write an object is.
const TOKEN: &str = "provision-write";

/// An `ETag` that no object of ours has: of a content that is never written.
const STALE: &str = "\"00000000000000000000000000000000\"";

/// How many try at once whether only one of them can create an object.
const WRITERS: usize = 8;

/// What must be there.
pub enum Expected {
    Nothing,
    Tag(String),
    Anything,
}

/// An object.
pub struct Found {
    pub bytes: Vec<u8>,
    pub tag: String,
    token: Option<String>,
}

/// An object of a list.
pub struct Listed {
    pub key: String,
    pub size: u64,
    pub modified: Timestamp,
}

/// A client for one bucket.
#[derive(Debug)]
pub struct Connection {
    store: AmazonS3,
    wire: Wire,
    keys: Keys,
    bucket: Bucket,
    region: String,
    endpoint: Option<String>,
}

/// How an attempt failed.
enum Failed {
    /// The condition does not hold, by the service's word.
    Condition,
    /// There is no answer, or one that says nothing about whether it was done.
    Unknown(Trouble),
    /// It was not done, and trying again helps nothing.
    Final(Trouble),
}

impl Connection {
    pub async fn open(bucket: &Bucket, config: Option<&aws_config::SdkConfig>, clock: Clock) -> Result<Self, Trouble> {
        let Access { region, endpoint, keys } = match config {
            Some(config) => Access::of(bucket, config)?,
            None => Access::find(bucket).await?,
        };
        let wire = Wire::new(clock);
        let options = ClientOptions::new()
            .with_timeout(ATTEMPT)
            .with_connect_timeout(CONNECT)
            .with_user_agent(HeaderValue::from_static(concat!(
                "provision/",
                env!("CARGO_PKG_VERSION")
            )))
            .with_allow_http(endpoint.as_ref().is_some_and(|url| url.starts_with("http://")));
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&bucket.bucket)
            .with_region(&region)
            .with_credentials(Arc::new(keys.clone()))
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_http_connector(wire.clone())
            .with_client_options(options)
            // Attempts are ours: only we know what a second one may mean.
            .with_retry(RetryConfig {
                max_retries: 0,
                ..RetryConfig::default()
            });
        builder = match &endpoint {
            Some(endpoint) => builder.with_endpoint(endpoint),
            None if region.starts_with("cn-") => builder.with_endpoint(format!("https://s3.{region}.amazonaws.com.cn")),
            // A name with dots is no host name that the service's certificate covers.
            None => builder.with_virtual_hosted_style_request(!bucket.bucket.contains('.')),
        };
        let store = builder
            .build()
            .map_err(|why| Trouble::Settings { why: why.to_string() })?;
        Ok(Self {
            store,
            wire,
            keys,
            bucket: bucket.clone(),
            region,
            endpoint,
        })
    }

    pub async fn get(&self, key: &str) -> Result<Option<Found>, Trouble> {
        self.repeat("s3:GetObject", key, async || {
            let result = match self.store.get_opts(&Path::from(key), GetOptions::default()).await {
                Ok(result) => result,
                Err(error @ object_store::Error::NotFound { .. }) => {
                    let heard = self.wire.heard();
                    return match heard.code.as_deref() {
                        Some("NoSuchBucket") => Err((error, heard)),
                        _ => Ok(None),
                    };
                }
                Err(error) => return Err((error, self.wire.heard())),
            };
            let tag = result.meta.e_tag.clone().unwrap_or_default();
            let token = result
                .attributes
                .get(&Attribute::Metadata(TOKEN.into()))
                .map(|token| token.as_ref().to_owned());
            let bytes = result.bytes().await.map_err(|error| {
                let silence = Some(error.to_string());
                (
                    error,
                    Heard {
                        silence,
                        ..Heard::default()
                    },
                )
            })?;
            Ok(Some(Found {
                bytes: bytes.to_vec(),
                tag,
                token,
            }))
        })
        .await
    }

    /// Writes on a condition. The tag of what is there then, or `None` when something else is there.
    pub async fn put(&self, key: &str, bytes: &[u8], expected: Expected) -> Result<Option<String>, Trouble> {
        let token = token()?;
        let mut mode = match &expected {
            Expected::Nothing => PutMode::Create,
            Expected::Tag(tag) => update(tag),
            Expected::Anything => PutMode::Overwrite,
        };
        let mut pause = PAUSE;
        for attempt in 1.. {
            let failed = match self.put_once(key, bytes, mode.clone(), Some(&token)).await {
                Ok(tag) => return Ok(Some(tag)),
                Err(Failed::Final(trouble)) => return Err(trouble),
                Err(failed) => failed,
            };
            // A write of ours whose answer was lost is told from somebody else's by the object itself.
            let found = self.get(key).await?;
            match (&found, &expected) {
                (Some(found), _) if found.token.as_deref() == Some(&token) => return Ok(Some(found.tag.clone())),
                // What was removed on condition counts as nothing.
                (Some(found), Expected::Nothing) if found.bytes.is_empty() => mode = update(&found.tag),
                (None, Expected::Nothing) | (_, Expected::Anything) => {}
                (Some(found), Expected::Tag(tag)) if found.tag == *tag => {}
                _ => return Ok(None),
            }
            if attempt >= ATTEMPTS {
                return Err(match failed {
                    Failed::Unknown(trouble) | Failed::Final(trouble) => trouble,
                    Failed::Condition => self.not_conditional("it refuses a write whose condition holds".to_owned()),
                });
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Ok(None)
    }

    pub async fn delete(&self, key: &str) -> Result<(), Trouble> {
        self.repeat("s3:DeleteObject", key, async || {
            match self.store.delete(&Path::from(key)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err((error, self.wire.heard())),
            }
        })
        .await
    }

    /// The objects right under a prefix, and the prefixes under it.
    pub async fn list(&self, prefix: &str) -> Result<(Vec<Listed>, Vec<String>), Trouble> {
        let found = self
            .repeat("s3:ListBucket", "", async || {
                let listed = self.store.list_with_delimiter(Some(&Path::from(prefix))).await;
                listed.map_err(|error| (error, self.wire.heard()))
            })
            .await?;
        let objects = found.objects.into_iter().map(|object| Listed {
            key: object.location.to_string(),
            size: object.size,
            modified: Timestamp::from_millisecond(object.last_modified.timestamp_millis())
                .unwrap_or(Timestamp::UNIX_EPOCH),
        });
        let prefixes = found.common_prefixes.iter().map(|prefix| format!("{prefix}/"));
        Ok((objects.collect(), prefixes.collect()))
    }

    /// Sees with an object of its own that what is there is neither created again nor replaced by whoever has seen something else.
    pub async fn prove(&self, prefix: &str) -> Result<(), Trouble> {
        let key = format!("{prefix}conditional-writes-{}", token()?);
        let seen = match self.conditions(&key).await {
            Ok(()) => self.at_once(&format!("{key}-at-once")).await,
            Err(trouble) => Err(trouble),
        };
        let removed = self
            .delete(&key)
            .await
            .and(self.delete(&format!("{key}-at-once")).await);
        seen.and(removed)
    }

    async fn conditions(&self, key: &str) -> Result<(), Trouble> {
        let Some(tag) = self.put(key, b"one", Expected::Nothing).await? else {
            return Err(self.not_conditional("it refuses to create an object that is not there".to_owned()));
        };
        for (mode, what) in [
            (
                PutMode::Create,
                "it created an object over one that was there (If-None-Match)",
            ),
            (update(STALE), "it replaced an object that had changed (If-Match)"),
        ] {
            match self.put_once(key, b"two", mode, None).await {
                Err(Failed::Condition) => {}
                Ok(_) => return Err(self.not_conditional(what.to_owned())),
                Err(Failed::Unknown(trouble) | Failed::Final(trouble)) => return Err(trouble),
            }
        }
        match self.put(key, b"three", Expected::Tag(tag)).await? {
            Some(_) => Ok(()),
            None => Err(self.not_conditional("it refuses a write whose condition holds".to_owned())),
        }
    }

    /// A service may compare first and write then: one after another, it looks right. So several create the same object at once.
    async fn at_once(&self, key: &str) -> Result<(), Trouble> {
        let writers = (0..WRITERS).map(|_| self.put_once(key, b"one", PutMode::Create, None));
        let ended = futures_util::future::join_all(writers).await;
        // Who was refused, and why, is all the same: answers that come at once are not told apart on the wire.
        match ended.iter().filter(|ended| ended.is_ok()).count() {
            0 | 1 => Ok(()),
            won => Err(self.not_conditional(format!("{won} of {WRITERS} created the same object at once"))),
        }
    }

    async fn put_once(&self, key: &str, bytes: &[u8], mode: PutMode, token: Option<&str>) -> Result<String, Failed> {
        self.keys.refresh().await.map_err(Failed::Final)?;
        let conditional = mode != PutMode::Overwrite;
        let mut options = PutOptions::from(mode);
        if let Some(token) = token {
            let mut attributes = Attributes::new();
            attributes.insert(Attribute::Metadata(TOKEN.into()), token.to_owned().into());
            options.attributes = attributes;
        }
        let payload = PutPayload::from(bytes.to_vec());
        let error = match self.store.put_opts(&Path::from(key), payload, options).await {
            Ok(written) => return Ok(written.e_tag.unwrap_or_default()),
            Err(error) => error,
        };
        let heard = self.wire.heard();
        match (heard.status, heard.code.as_deref()) {
            // 409 is another conditional write at the same time. 404 is If-Match of what is not there; of the bucket it is not.
            (Some(412 | 409 | 304), _) if conditional => Err(Failed::Condition),
            (Some(404), code) if conditional && code != Some("NoSuchBucket") => Err(Failed::Condition),
            (Some(501), _) | (Some(400), Some("NotImplemented" | "InvalidArgument")) if conditional => {
                let said = heard
                    .message
                    .or(heard.code)
                    .unwrap_or_else(|| "not implemented".to_owned());
                Err(Failed::Final(self.not_conditional(format!("it answers “{said}”"))))
            }
            _ => {
                let again = is_passing(&heard);
                let trouble = self.trouble("s3:PutObject", key, error, heard);
                Err(if again {
                    Failed::Unknown(trouble)
                } else {
                    Failed::Final(trouble)
                })
            }
        }
    }

    /// A call that may be made any number of times.
    async fn repeat<T>(
        &self,
        action: &'static str,
        key: &str,
        call: impl AsyncFn() -> Result<T, (object_store::Error, Heard)>,
    ) -> Result<T, Trouble> {
        let mut pause = PAUSE;
        let mut attempt = 1;
        loop {
            self.keys.refresh().await?;
            let (error, heard) = match call().await {
                Ok(result) => return Ok(result),
                Err(failed) => failed,
            };
            if attempt >= ATTEMPTS || !is_passing(&heard) {
                return Err(self.trouble(action, key, error, heard));
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
            attempt += 1;
        }
    }

    fn not_conditional(&self, what: String) -> Trouble {
        Trouble::NotConditional {
            endpoint: self.endpoint.clone(),
            what,
        }
    }

    fn trouble(&self, action: &'static str, key: &str, error: object_store::Error, heard: Heard) -> Trouble {
        let Heard {
            status,
            code,
            message,
            region,
            silence,
            ..
        } = heard;
        let bucket = self.bucket.bucket.clone();
        if let Some(why) = silence {
            return Trouble::Unreachable {
                endpoint: self.endpoint.clone(),
                why,
            };
        }
        let resource = match key {
            "" => format!("arn:aws:s3:::{bucket}"),
            key => format!("arn:aws:s3:::{bucket}/{key}"),
        };
        match (code.as_deref(), status) {
            (Some("NoSuchBucket"), _) => Trouble::NoBucket {
                bucket,
                region: self.region.clone(),
                endpoint: self.endpoint.clone(),
            },
            (Some("PermanentRedirect" | "AuthorizationHeaderMalformed" | "TemporaryRedirect"), _)
            | (_, Some(301 | 307)) => Trouble::OtherRegion {
                bucket,
                region: self.region.clone(),
                there: region,
            },
            (
                Some(
                    code @ ("InvalidAccessKeyId"
                    | "SignatureDoesNotMatch"
                    | "ExpiredToken"
                    | "ExpiredTokenException"
                    | "InvalidToken"
                    | "TokenRefreshRequired"
                    | "RequestTimeTooSkewed"
                    | "InvalidSecurity"
                    | "NotSignedUp"),
                ),
                _,
            )
            | (Some(code), Some(401)) => Trouble::BadCredentials {
                code: code.to_owned(),
                message,
            },
            (_, Some(403)) => Trouble::NotPermitted {
                action,
                resource,
                statement: self.statement(),
                message,
            },
            (_, None) => Trouble::Settings { why: error.to_string() },
            (_, Some(status)) => Trouble::Answer {
                action,
                resource,
                code: Some(code.unwrap_or_else(|| format!("status {status}"))),
                message,
            },
        }
    }

    /// All that is needed, in the policy's own words. Without the right to list, what is not there is answered as not permitted.
    fn statement(&self) -> String {
        let bucket = &self.bucket.bucket;
        let key = match self.bucket.key.trim_matches('/') {
            "" => String::new(),
            key => format!("{key}/"),
        };
        format!(
            "{{\"Effect\": \"Allow\", \"Action\": [\"s3:GetObject\", \"s3:PutObject\", \"s3:DeleteObject\"], \"Resource\": \"arn:aws:s3:::{bucket}/{key}*\"}} and {{\"Effect\": \"Allow\", \"Action\": \"s3:ListBucket\", \"Resource\": \"arn:aws:s3:::{bucket}\"}}"
        )
    }
}

/// Whether the same call may end otherwise the next time.
fn is_passing(heard: &Heard) -> bool {
    match heard.status {
        Some(status) => {
            matches!(status, 408 | 429 | 500 | 502..=599)
                || matches!(
                    heard.code.as_deref(),
                    Some("SlowDown" | "Throttling" | "RequestTimeout" | "InternalError")
                )
        }
        None => heard.silence.is_some(),
    }
}

fn update(tag: &str) -> PutMode {
    PutMode::Update(UpdateVersion {
        e_tag: Some(tag.to_owned()),
        version: None,
    })
}

fn token() -> Result<String, Trouble> {
    let mut bytes = [0_u8; 12];
    keys::fill(&mut bytes, "make a token").map_err(|why| Trouble::Runtime(std::io::Error::other(why)))?;
    Ok(hex(&bytes))
}
