//! The environment file that `provision init` writes: commented, and it applies as it is.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::names::EnvironmentName;

/// The providers that a machine can come from, by the name of their table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// `[machine.aws]`
    Aws,
    /// `[machine.digitalocean]`
    DigitalOcean,
    /// `[machine.local]`
    Local,
    /// `[machine.ssh]`
    Ssh,
}

/// A name that is no provider's.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("`{0}` is not a provider: there are aws, digitalocean, local and ssh")]
pub struct UnknownProvider(String);

impl FromStr for Provider {
    type Err = UnknownProvider;
    fn from_str(text: &str) -> Result<Self, UnknownProvider> {
        match text {
            "aws" => Ok(Self::Aws),
            "digitalocean" => Ok(Self::DigitalOcean),
            "local" => Ok(Self::Local),
            "ssh" => Ok(Self::Ssh),
            other => Err(UnknownProvider(other.to_owned())),
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aws => "aws",
            Self::DigitalOcean => "digitalocean",
            Self::Local => "local",
            Self::Ssh => "ssh",
        })
    }
}

/// The text of a new environment's file.
pub fn template(name: &EnvironmentName, provider: Provider) -> String {
    let machine = match provider {
        Provider::Aws => include_str!("template/aws.toml"),
        Provider::DigitalOcean => include_str!("template/digitalocean.toml"),
        Provider::Local => include_str!("template/local.toml"),
        Provider::Ssh => include_str!("template/ssh.toml"),
    };
    include_str!("template/environment.toml")
        .replace("@machine@\n", machine)
        .replace("@name@", name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::decode::decode;
    use crate::environment::diagnostic::Source;
    use crate::environment::schema::schema;

    const PROVIDERS: [Provider; 4] = [Provider::Aws, Provider::DigitalOcean, Provider::Local, Provider::Ssh];

    fn demo(provider: Provider) -> String {
        template(&"demo".parse().unwrap(), provider)
    }

    /// The file with every commented setting switched on.
    fn uncommented(provider: Provider) -> String {
        let line = |line: &str| {
            line.strip_prefix("#: ")
                .or(line.strip_prefix("#:"))
                .unwrap_or(line)
                .to_owned()
                + "\n"
        };
        demo(provider).lines().map(line).collect()
    }

    #[test]
    fn the_template_has_no_problems() {
        for provider in PROVIDERS {
            let environment = decode(&Source::new("environments/demo.toml", demo(provider))).unwrap();
            let stacks: Vec<&String> = environment.stacks.keys().map(|key| key.get()).collect();
            assert_eq!(stacks, ["demo", "postgres"]);
            let routes: Vec<_> = environment
                .routes
                .iter()
                .map(|(key, to)| (key.get().as_str(), to.get().short()))
                .collect();
            assert_eq!(routes, [("/", Some("web:8000"))]);
        }
    }

    #[test]
    fn what_it_comments_out_has_no_problems_either() {
        for provider in PROVIDERS {
            let source = Source::new("environments/demo.toml", uncommented(provider));
            if let Err(problems) = decode(&source) {
                panic!("{}", problems.render(false, 120));
            }
        }
    }

    #[test]
    fn every_key_of_the_file_is_in_it() {
        let schema = schema();
        for (provider, definition) in [
            (Provider::Aws, "Aws"),
            (Provider::DigitalOcean, "DigitalOcean"),
            (Provider::Local, "Local"),
            (Provider::Ssh, "Ssh"),
        ] {
            let table: toml::Table = toml::from_str(&uncommented(provider)).unwrap();
            let keys = |value: &serde_json::Value| -> Vec<String> {
                value["properties"].as_object().unwrap().keys().cloned().collect()
            };
            for key in keys(&schema) {
                assert!(table.contains_key(&key), "`{key}` is not mentioned");
            }
            for (name, definition) in [("access", "Access"), ("dns", "Dns")] {
                for key in keys(&schema["$defs"][definition]) {
                    assert!(table[name].get(&key).is_some(), "`{name}.{key}` is not mentioned");
                }
            }
            for key in keys(&schema["$defs"][definition]) {
                let machine = &table["machine"][provider.to_string()];
                assert!(
                    machine.get(&key).is_some(),
                    "`machine.{provider}.{key}` is not mentioned"
                );
            }
        }
    }
}
