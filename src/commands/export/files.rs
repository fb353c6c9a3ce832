//! A stack's files inside the one file: each that a service mounts becomes one of its `configs`, with its text.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::words::Variables;
use crate::commands::Failure;
use crate::desired::{Body, DesiredFile, DesiredStack};

/// What the configs of a stack are made from, and those that were made.
pub struct Files<'a> {
    stack: &'a DesiredStack,
    variables: &'a Variables,
    /// The configs at the top of the file.
    pub configs: Map<String, Value>,
}

impl<'a> Files<'a> {
    pub fn new(stack: &'a DesiredStack, variables: &'a Variables) -> Self {
        Self {
            stack,
            variables,
            configs: Map::new(),
        }
    }

    /// The configs in place of a mount of `source`, a file or a folder of the stack, at `target`.
    pub fn mounted(&mut self, source: &str, target: &str) -> Result<Vec<Value>, Failure> {
        let source = source.trim_start_matches("./").trim_end_matches('/');
        let below = format!("{source}/");
        let stack = self.stack;
        let found = stack.files.iter().filter_map(|(path, file)| {
            if path == source {
                return Some((path, file, target.to_owned()));
            }
            let inside = match source {
                "" | "." => path.as_str(),
                _ => path.strip_prefix(&below)?,
            };
            // What Compose itself reads is of no use to a service.
            let ours = matches!(path.as_str(), "compose.yaml" | "compose.provision.yaml" | ".env");
            (!ours).then(|| (path, file, format!("{}/{inside}", target.trim_end_matches('/'))))
        });
        found
            .map(|(path, file, target)| {
                let name = self.config(path, file)?;
                let mode = if file.mode & 0o111 == 0 { "0444" } else { "0555" };
                Ok(json!({"source": name, "target": target, "mode": mode}))
            })
            .collect()
    }

    /// A text of our own as a config.
    pub fn text(&mut self, name: &str, content: String) -> String {
        let name = self.name(name);
        self.configs.insert(name.clone(), json!({"content": content}));
        name
    }

    fn config(&mut self, path: &str, file: &DesiredFile) -> Result<String, Failure> {
        let content = match &file.body {
            Body::Text(text) => self.variables.literal(text),
            Body::Raw(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => text.replace('$', "$$"),
                Err(_) => {
                    return Err(Failure::input(
                        format!(
                            "stack `{}`: {path} is not a text, and one Compose file holds only texts",
                            self.stack.name
                        ),
                        "put it into an image",
                    ));
                }
            },
            Body::DotEnv(_) => String::new(),
        };
        Ok(self.text(path, content))
    }

    fn name(&self, path: &str) -> String {
        let plain = path.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        format!("{}_{}", self.stack.name, plain.trim_matches('_')).to_ascii_lowercase()
    }
}

/// The lines of a file of variables: names and values.
pub fn env_file(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| {
            let value = value.trim();
            let bare = ['"', '\'']
                .iter()
                .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
                .unwrap_or(value);
            (name.trim().to_owned(), bare.to_owned())
        })
        .collect()
}
