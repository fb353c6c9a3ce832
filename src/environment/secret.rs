//! What an environment file or a manifest says of one secret: where its value comes from, and whether an old value stays
//! beside a new one.

use jiff::{SignedDuration, Span, SpanRelativeTo, Unit};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// One secret as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Table")]
pub struct SecretEntry {
    /// Where its value comes from.
    pub source: SecretSource,
    /// How long the value before stays good beside a new one, counted from the apply that brought the new one out. Only of
    /// secrets that are kept in the bundle.
    pub retention: Option<SignedDuration>,
}

/// Where a secret's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// Made once, this many letters and digits long, and kept in the encrypted bundle.
    Generate(u16),
    /// Put into the encrypted bundle by a person: `provision secrets set`.
    Bundle,
    /// Read from an environment variable of the caller.
    Env(String),
    /// Read from a file, relative to the environment file; one trailing newline is dropped.
    File(String),
    /// The standard output of a command; one trailing newline is dropped.
    Command(Vec<String>),
    /// A parameter of AWS Systems Manager, decrypted.
    Ssm(Vaulted),
    /// A secret of AWS Secrets Manager; behind `#`, one key of a JSON object.
    SecretsManager(Vaulted),
}

/// A value in a vault of AWS.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vaulted {
    /// What it is called there.
    pub name: String,
    /// The region; that of `[machine.aws]` or of the AWS configuration without.
    pub region: Option<String>,
    /// The profile; that of `[machine.aws]` or of the AWS configuration without.
    pub profile: Option<String>,
}

impl SecretEntry {
    /// An entry without further settings.
    pub fn of(source: SecretSource) -> Self {
        Self {
            source,
            retention: None,
        }
    }
}

impl SecretSource {
    /// What a person reads of it.
    pub fn words(&self) -> String {
        match self {
            Self::Generate(length) => format!("generated, {length} long"),
            Self::Bundle => "set by hand".to_owned(),
            Self::Env(variable) => format!("variable {variable}"),
            Self::File(path) => format!("file {path}"),
            Self::Command(words) => format!("command {}", words.first().map_or("", String::as_str)),
            Self::Ssm(vaulted) => format!("ssm {}", vaulted.name),
            Self::SecretsManager(vaulted) => format!("secretsmanager {}", vaulted.name),
        }
    }

    /// Whether its value is kept in the bundle.
    pub fn is_kept(&self) -> bool {
        matches!(self, Self::Generate(_) | Self::Bundle)
    }
}

/// The table as serde reads it. That it has exactly one source and what goes with that is in the schema, which is checked
/// first, with the places of all mistakes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    generate: Option<u16>,
    bundle: Option<bool>,
    env: Option<String>,
    file: Option<String>,
    command: Option<Vec<String>>,
    ssm: Option<String>,
    secretsmanager: Option<String>,
    region: Option<String>,
    profile: Option<String>,
    retention: Option<String>,
}

impl TryFrom<Table> for SecretEntry {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let Table {
            generate,
            bundle,
            env,
            file,
            command,
            ssm,
            secretsmanager,
            region,
            profile,
            retention,
        } = table;
        let vaulted = |name| Vaulted { name, region, profile };
        let source = if let Some(length) = generate {
            SecretSource::Generate(length)
        } else if let Some(kept) = bundle {
            if !kept {
                return Err(
                    "`bundle` can only be true: the value is kept in the bundle, by `provision secrets set`".into(),
                );
            }
            SecretSource::Bundle
        } else if let Some(variable) = env {
            SecretSource::Env(variable)
        } else if let Some(path) = file {
            SecretSource::File(path)
        } else if let Some(words) = command {
            SecretSource::Command(words)
        } else if let Some(name) = ssm {
            SecretSource::Ssm(vaulted(name))
        } else if let Some(name) = secretsmanager {
            SecretSource::SecretsManager(vaulted(name))
        } else {
            return Err("a secret needs a source".into());
        };
        let retention = retention.map(|text| duration(&text)).transpose()?;
        Ok(Self { source, retention })
    }
}

/// A time such as `48h`, `7d` or `1h 30m`, from a minute to a year.
fn duration(text: &str) -> Result<SignedDuration, String> {
    let parsed = text.parse::<Span>().ok();
    let seconds = parsed.and_then(|span| span.total((Unit::Second, SpanRelativeTo::days_are_24_hours())).ok());
    seconds
        .filter(|seconds| (60.0..=31_536_000.0).contains(seconds))
        .and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| {
            format!("`{text}` is no time to keep an old value: write hours or days such as \"48h\" or \"7d\", from a minute to a year")
        })
}

impl JsonSchema for SecretEntry {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let retention = json_schema!({
            "description": "How long the value before stays good beside a new one, such as `48h`: as {{secrets.NAME_ROTATING_FROM}}.",
            "type": ["string", "null"],
        });
        let region = json_schema!({
            "description": "The region; that of [machine.aws] or of your AWS configuration without.",
            "type": ["string", "null"],
        });
        let profile = json_schema!({
            "description": "A profile of your AWS configuration; that of [machine.aws] without.",
            "type": ["string", "null"],
        });
        let one = |name: &str, schema: Schema, more: &[(&str, &Schema)]| {
            let mut properties = serde_json::Map::from_iter([(name.to_owned(), schema.to_value())]);
            properties.extend(
                more.iter()
                    .map(|(name, schema)| ((*name).to_owned(), (*schema).clone().to_value())),
            );
            serde_json::json!({
                "type": "object",
                "properties": properties,
                "required": [name],
                "additionalProperties": false,
            })
        };
        let text = |description: &str| json_schema!({"description": description, "type": "string"});
        let vault = [("region", &region), ("profile", &profile)];
        json_schema!({
            "description": "Where a secret's value comes from.",
            "oneOf": [
                one(
                    "generate",
                    json_schema!({
                        "description": "Made once, this many letters and digits long, and kept in the encrypted bundle.",
                        "type": "integer", "format": "uint16", "minimum": 8, "maximum": 4096,
                    }),
                    &[("retention", &retention)],
                ),
                one(
                    "bundle",
                    json_schema!({
                        "description": "Put into the encrypted bundle by `provision secrets set`.",
                        "type": "boolean",
                    }),
                    &[("retention", &retention)],
                ),
                one("env", text("Read from an environment variable of the caller."), &[]),
                one("file", text("Read from a file, relative to the environment file; one trailing newline is dropped."), &[]),
                one(
                    "command",
                    json_schema!({
                        "description": "The standard output of a command; one trailing newline is dropped.",
                        "type": "array", "items": {"type": "string"},
                    }),
                    &[],
                ),
                one("ssm", text("The name of a parameter of AWS Systems Manager; it is decrypted."), &vault),
                one(
                    "secretsmanager",
                    text("The name of a secret of AWS Secrets Manager; `name#key` is one key of a JSON object."),
                    &vault,
                ),
            ],
        })
    }
}

#[cfg(test)]
#[path = "secret/tests.rs"]
mod tests;
