//! Values of secrets that lie in AWS: parameters of Systems Manager, secrets of Secrets Manager.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use futures_util::StreamExt as _;
use futures_util::stream;

use super::Access;
use super::client::configuration;
use super::error::{code, failed};
use crate::provider::ProviderError;
use crate::secret::Secret;

/// How many calls are under way at once. Systems Manager answers 40 a second (its default quota for `GetParameter`).
const AT_ONCE: usize = 8;

/// Where a value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vault {
    /// Systems Manager's Parameter Store.
    Ssm,
    /// Secrets Manager.
    SecretsManager,
}

/// One value that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// Where it lies.
    pub vault: Vault,
    /// What it is called there; for Secrets Manager maybe with `#key`.
    pub name: String,
    /// The region; that of the configuration without.
    pub region: Option<String>,
    /// The profile; the environment's choice without.
    pub profile: Option<String>,
}

impl Wanted {
    fn access(&self) -> (Option<String>, Option<String>) {
        (self.region.clone(), self.profile.clone())
    }
}

/// Asks for values, several at once. The answers are in the order of the questions.
pub async fn fetch(wanted: Vec<Wanted>) -> Vec<Result<Secret, ProviderError>> {
    let mut configurations = BTreeMap::new();
    for one in &wanted {
        let (region, profile) = one.access();
        if !configurations.contains_key(&(region.clone(), profile.clone())) {
            let configuration = configuration(&Access {
                region: region.clone(),
                profile: profile.clone(),
            })
            .await;
            configurations.insert((region, profile), configuration);
        }
    }
    fetch_with(wanted, |one| configurations.get(&one.access()).cloned()).await
}

/// As [`fetch`], over configurations that are made already.
pub async fn fetch_with(
    wanted: Vec<Wanted>,
    configuration: impl Fn(&Wanted) -> Option<SdkConfig>,
) -> Vec<Result<Secret, ProviderError>> {
    let asked: Vec<_> = wanted
        .into_iter()
        .map(|one| {
            let config = configuration(&one);
            async move { value(&one, config).await }
        })
        .collect();
    stream::iter(asked).buffered(AT_ONCE).collect().await
}

async fn value(wanted: &Wanted, config: Option<SdkConfig>) -> Result<Secret, ProviderError> {
    let Some(config) = config.filter(|config| config.region().is_some()) else {
        return Err(
            ProviderError::new(format!("failed to read `{}` from AWS: no region is known", wanted.name)).with_remedy(
                "write `region = \"…\"` beside it, or under [machine.aws], or set AWS_REGION, or `region` in the profile of ~/.aws/config",
            ),
        );
    };
    match wanted.vault {
        Vault::Ssm => parameter(&config, &wanted.name).await,
        Vault::SecretsManager => secret(&config, &wanted.name).await,
    }
}

async fn parameter(config: &SdkConfig, name: &str) -> Result<Secret, ProviderError> {
    let what = format!("failed to read the parameter `{name}` of Systems Manager");
    let client = aws_sdk_ssm::Client::new(config);
    let answer = client.get_parameter().name(name).with_decryption(true).send().await;
    let answer = answer.map_err(|error| {
        let remedy = match code(&error) {
            Some("ParameterNotFound") => Some(not_there(
                config,
                "aws ssm put-parameter --type SecureString --name",
                name,
            )),
            Some("InvalidKeyId") => {
                Some("the key that it is encrypted with is gone or disabled: look at KMS".to_owned())
            }
            _ => None,
        };
        with_remedy(failed(&*what, "ssm:GetParameter", error), remedy)
    })?;
    let value = answer.parameter().and_then(|parameter| parameter.value());
    value.map(Secret::new).ok_or_else(|| ProviderError::new(what))
}

async fn secret(config: &SdkConfig, name: &str) -> Result<Secret, ProviderError> {
    let (id, key) = match name.rsplit_once('#') {
        Some((id, key)) => (id, Some(key)),
        None => (name, None),
    };
    let what = format!("failed to read the secret `{id}` of Secrets Manager");
    let client = aws_sdk_secretsmanager::Client::new(config);
    let answer = client.get_secret_value().secret_id(id).send().await;
    let answer = answer.map_err(|error| {
        let remedy = match code(&error) {
            Some("ResourceNotFoundException") => Some(not_there(config, "aws secretsmanager create-secret --name", id)),
            Some("InvalidRequestException") => {
                Some("it may be marked for deletion: `aws secretsmanager restore-secret`".to_owned())
            }
            Some("DecryptionFailure") => {
                Some("the key that it is encrypted with is gone or not yours to use: look at KMS".to_owned())
            }
            _ => None,
        };
        with_remedy(failed(&*what, "secretsmanager:GetSecretValue", error), remedy)
    })?;
    let Some(text) = answer.secret_string() else {
        return Err(ProviderError::new(what)
            .because("it holds bytes and no text")
            .with_remedy("store it as text: `aws secretsmanager put-secret-value --secret-string`"));
    };
    match key {
        None => Ok(Secret::new(text)),
        Some(key) => {
            of_object(text, key).map_err(|(why, remedy)| ProviderError::new(what).because(why).with_remedy(remedy))
        }
    }
}

/// One text of a JSON object. What is there instead is never quoted: it is somebody's secret.
fn of_object(text: &str, key: &str) -> Result<Secret, (String, String)> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(|_| {
        (
            "it is no JSON object".to_owned(),
            format!("leave `#{key}` out to take it whole"),
        )
    })?;
    match object.get(key) {
        Some(serde_json::Value::String(text)) => Ok(Secret::new(text)),
        Some(serde_json::Value::Number(number)) => Ok(Secret::new(number.to_string())),
        Some(_) => Err((
            format!("its key `{key}` is no text"),
            "name a key that holds a text or a number".to_owned(),
        )),
        None => {
            let keys: Vec<&str> = object.keys().map(String::as_str).collect();
            Err((format!("it has no key `{key}`"), format!("it has: {}", keys.join(", "))))
        }
    }
}

fn with_remedy(error: ProviderError, remedy: Option<String>) -> ProviderError {
    match remedy {
        Some(remedy) => error.with_remedy(remedy),
        None => error,
    }
}

fn not_there(config: &SdkConfig, command: &str, name: &str) -> String {
    let region = config.region().map(ToString::to_string).unwrap_or_default();
    format!("look at the name and at the region ({region}); it is made with `{command} {name} …`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_of_an_object_is_taken_and_nothing_is_quoted() {
        let text = r#"{"user": "shop", "password": "hunter2", "port": 5432, "more": {}}"#;
        assert_eq!(of_object(text, "password").unwrap().expose(), "hunter2");
        assert_eq!(of_object(text, "port").unwrap().expose(), "5432");
        for (text, key) in [
            (text, "pass"),
            (text, "more"),
            ("hunter2", "password"),
            ("[\"hunter2\"]", "x"),
        ] {
            let (why, remedy) = of_object(text, key).unwrap_err();
            assert!(!format!("{why}{remedy}").contains("hunter2"), "{why}: {remedy}");
        }
    }
}
