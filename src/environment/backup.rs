//! `[backup]` of `stack.toml`: what holds a stack's data, and how it is saved while it is in use.
//!
//! A recipe, carried out by nobody yet: it is decoded, checked and shown, so that a stack's author writes it down where
//! the stack is.

use schemars::JsonSchema;
use serde::Deserialize;

use super::compose::Compose;
use super::diagnostic::{Problem, Source};
use super::model::Spanned;

/// What must be saved to have a stack's data back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    /// The service that `save` and `restore` run in, while it runs.
    pub service: Option<Spanned<String>>,
    /// A program and its arguments that writes everything to its standard output.
    pub save: Vec<String>,
    /// A program and its arguments that reads it back from its standard input.
    pub restore: Vec<String>,
    /// Named volumes whose files are the backup.
    pub volumes: Vec<Spanned<String>>,
    /// Services that stand still while the volumes are read: what they write is not whole at every moment.
    pub stop: Vec<Spanned<String>>,
}

impl Backup {
    /// Whether there is nothing to save: a stack without data.
    pub fn is_empty(&self) -> bool {
        let Self {
            service,
            save,
            restore,
            volumes,
            stop,
        } = self;
        service.is_none() && save.is_empty() && restore.is_empty() && volumes.is_empty() && stop.is_empty()
    }

    /// What the types cannot say.
    pub(super) fn mistakes(&self, source: &Source) -> Vec<Problem> {
        let at = |key: &str| source.at(source.span_of(&["backup", key]));
        let mut found = Vec::new();
        match (&self.service, self.save.is_empty(), self.restore.is_empty()) {
            (Some(_), true, _) => found.push(
                at("service")
                    .says("a backup's `service` needs `save`")
                    .help("add `save = [\"program\", …]`, which writes everything to its standard output"),
            ),
            (Some(_), false, true) => found.push(
                at("save")
                    .says("what is saved must come back: `restore` is missing")
                    .help("add `restore = [\"program\", …]`, which reads what `save` wrote from its standard input"),
            ),
            (None, save, restore) if !(save && restore) => found.push(
                at(if save { "restore" } else { "save" })
                    .says("no service to run this in")
                    .help("add `service = \"…\"`, one of the Compose file that runs"),
            ),
            _ => {}
        }
        if let (Some(stop), true) = (self.stop.first(), self.volumes.is_empty()) {
            found.push(
                source
                    .at(stop.span())
                    .says("nothing is read while these stand still")
                    .help("add `volumes`, or take `stop` out"),
            );
        }
        found
    }

    /// Names that the Compose file does not have.
    pub(super) fn unknown(&self, source: &Source, compose: &Compose) -> Vec<Problem> {
        let services: Vec<&str> = compose.services.keys().map(String::as_str).collect();
        let volumes: Vec<&str> = compose.volumes.iter().map(|name| name.get().as_str()).collect();
        let asked = self.service.iter().chain(&self.stop);
        let asked = asked.map(|name| (name, "service", &services));
        asked
            .chain(self.volumes.iter().map(|name| (name, "volume", &volumes)))
            .filter(|(name, _, known)| !known.contains(&name.get().as_str()))
            .map(|(name, what, known)| {
                let help = match known.is_empty() {
                    true => format!("the Compose file has no {what}"),
                    false => format!("{what}s: {}", known.join(", ")),
                };
                let message = format!("there is no {what} `{}` to back up", name.get());
                source.at(name.span()).says(message).help(help)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::Manifest;
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let source = Source::new("stack.toml", text);
        let compose = Source::new("compose.yaml", "services:\n  db: {image: x}\nvolumes: {data: }\n");
        let compose = Compose::decode(&compose).unwrap();
        match Manifest::decode(&source) {
            Ok(manifest) => manifest.backup.unknown(&source, &compose),
            Err(problems) => problems.into_vec(),
        }
        .iter()
        .map(ToString::to_string)
        .collect()
    }

    #[test]
    fn a_whole_recipe_has_no_mistakes() {
        assert!(told("[backup]\nservice = \"db\"\nsave = [\"dump\"]\nrestore = [\"load\"]\n").is_empty());
        assert!(told("[backup]\nvolumes = [\"data\"]\nstop = [\"db\"]\n").is_empty());
        assert!(Backup::default().is_empty());
    }

    #[test]
    fn half_a_recipe_and_unknown_names_are_told_at_their_place() {
        assert_eq!(
            told("[backup]\nservice = \"db\"\n"),
            ["stack.toml:2:1: a backup's `service` needs `save`"]
        );
        assert_eq!(
            told("[backup]\nservice = \"db\"\nsave = [\"dump\"]\n"),
            ["stack.toml:3:1: what is saved must come back: `restore` is missing"]
        );
        assert_eq!(
            told("[backup]\nsave = [\"dump\"]\n"),
            ["stack.toml:2:1: no service to run this in"]
        );
        assert_eq!(
            told("[backup]\nstop = [\"db\"]\n"),
            ["stack.toml:2:9: nothing is read while these stand still"]
        );
        assert_eq!(
            told("[backup]\nvolumes = [\"dat\"]\nstop = [\"dbb\"]\n"),
            [
                "stack.toml:3:9: there is no service `dbb` to back up",
                "stack.toml:2:12: there is no volume `dat` to back up"
            ]
        );
    }
}
