//! What keeps a bucket from being used, each told apart from the others, with what to do about it.

use std::io;

use thiserror::Error;

/// Why a call to the service did not do what it was to do.
#[derive(Debug, Error)]
pub enum Trouble {
    /// There is no such bucket.
    #[error("there is no bucket `{bucket}`{}", at(endpoint))]
    NoBucket {
        /// Its name.
        bucket: String,
        /// The region that was asked.
        region: String,
        /// The service, where it is not AWS's own.
        endpoint: Option<String>,
    },
    /// It is in another region.
    #[error("the bucket `{bucket}` is in {}, not in {region}", there.as_deref().unwrap_or("another region"))]
    OtherRegion {
        /// Its name.
        bucket: String,
        /// The region that was asked.
        region: String,
        /// Where it is, when the service says so.
        there: Option<String>,
    },
    /// The credentials do not allow it.
    #[error("{action} on {resource} is not permitted{}", said(message))]
    NotPermitted {
        /// The permission, such as `s3:GetObject`.
        action: &'static str,
        /// What it is needed on.
        resource: String,
        /// The statement that gives all that is needed.
        statement: String,
        /// The service's words.
        message: Option<String>,
    },
    /// There are no credentials.
    #[error("there are no credentials for it{}: {why}", profile.as_ref().map(|name| format!(" by the profile `{name}`")).unwrap_or_default())]
    NoCredentials {
        /// The profile that was written.
        profile: Option<String>,
        /// What the chain of providers says.
        why: String,
    },
    /// The credentials are not valid there, or not any more.
    #[error("the credentials are not accepted ({code}{})", said(message))]
    BadCredentials {
        /// The service's code.
        code: String,
        /// Its words.
        message: Option<String>,
    },
    /// No region is known.
    #[error("the region of the bucket `{bucket}` is not known")]
    NoRegion {
        /// Its name.
        bucket: String,
    },
    /// The settings make no client.
    #[error("the bucket cannot be addressed: {why}")]
    Settings {
        /// Why.
        why: String,
    },
    /// No answer.
    #[error("{} does not answer: {why}", endpoint.as_deref().unwrap_or("S3"))]
    Unreachable {
        /// The service.
        endpoint: Option<String>,
        /// Why.
        why: String,
    },
    /// It writes where it was told not to.
    #[error("{} does not honour conditional writes: {what}", endpoint.as_deref().unwrap_or("the service"))]
    NotConditional {
        /// The service.
        endpoint: Option<String>,
        /// What it did.
        what: String,
    },
    /// Another answer.
    #[error("{action} on {resource} was answered with {}{}", code.as_deref().unwrap_or("an error"), said(message))]
    Answer {
        /// The permission that the call is about.
        action: &'static str,
        /// What it was about.
        resource: String,
        /// The service's code, or the HTTP status.
        code: Option<String>,
        /// The service's words.
        message: Option<String>,
    },
    /// No thread or runtime could be had.
    #[error("failed to begin a call")]
    Runtime(#[source] io::Error),
}

fn at(endpoint: &Option<String>) -> String {
    endpoint
        .as_ref()
        .map(|endpoint| format!(" at {endpoint}"))
        .unwrap_or_default()
}

fn said(message: &Option<String>) -> String {
    message
        .as_ref()
        .map(|message| format!(": {message}"))
        .unwrap_or_default()
}

impl Trouble {
    /// What the person can do.
    pub fn remedy(&self) -> String {
        match self {
            Self::NoBucket { bucket, region, endpoint } => {
                let service = endpoint.as_ref().map(|url| format!(" --endpoint-url {url}")).unwrap_or_default();
                format!(
                    "make it with `aws{service} s3 mb s3://{bucket} --region {region}` and keep it from the public, or correct `bucket` under [state]"
                )
            }
            Self::OtherRegion { there: Some(there), .. } => format!("write `region = \"{there}\"` under [state]"),
            Self::OtherRegion { there: None, .. } => "write the bucket's own `region` under [state]".to_owned(),
            Self::NotPermitted { statement, .. } => format!("let a policy of these credentials hold {statement}"),
            Self::NoCredentials { .. } => {
                "log in (`aws sso login`, `aws configure`), or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write `profile` under [state]".to_owned()
            }
            Self::BadCredentials { code, .. } => match code.as_str() {
                "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => {
                    "log in again (`aws sso login`) or renew the credentials, then run the command again".to_owned()
                }
                "RequestTimeTooSkewed" => "set this computer's clock".to_owned(),
                _ => "look at AWS_PROFILE, AWS_ACCESS_KEY_ID and `profile` under [state]: these credentials are of another account or service".to_owned(),
            },
            Self::NoRegion { .. } => {
                "write `region = \"…\"` under [state], or set AWS_REGION, or `region` in the profile of ~/.aws/config".to_owned()
            }
            Self::Settings { .. } => "correct `bucket`, `region` and `endpoint` under [state]".to_owned(),
            Self::Unreachable { .. } => {
                "look at the network, at `endpoint` and `region` under [state], and at AWS_ENDPOINT_URL; then run the command again".to_owned()
            }
            Self::NotConditional { .. } => {
                "two runs at once could overwrite each other's state there: upgrade the service, use another one (Amazon S3 honours them), or keep `backend = \"local\"`".to_owned()
            }
            Self::Answer { .. } => "run the command again; when it stays, the service's own log tells more".to_owned(),
            Self::Runtime(_) => "run the command again".to_owned(),
        }
    }
}
