//! `stack.toml`, the manifest beside a stack's Compose file: what the stack can be told, needs and offers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::backup::Backup;
use super::decode::document;
use super::diagnostic::{Problem, Problems, Source};
use super::model::{Parameter, Spanned, Text};
use super::secret::SecretEntry;

/// The keys of `[stacks.<name>]` that are ours and cannot be parameters.
const RESERVED: [&str; 5] = ["path", "files", "env", "scale", "allow"];

/// A stack's manifest. Templates see `parameters`, `secrets`, `vars`, `stacks.<other>.url.<key>` and `domain`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Manifest {
    /// What the stack is, in one sentence.
    pub description: String,
    /// Memory that the stack needs, in MiB.
    pub memory_mib: Option<u32>,
    /// Stacks that must be there, and are brought up before.
    pub requires: Vec<Spanned<String>>,
    /// What `[stacks.<name>]` of the environment file may set.
    pub parameters: BTreeMap<String, Declaration>,
    /// Secrets that the stack needs. The environment's own `[secrets]` entry of the same name wins.
    pub secrets: BTreeMap<String, Spanned<SecretEntry>>,
    /// Lines of the stack's `.env`, for the interpolation of its Compose file.
    pub env: BTreeMap<String, Text>,
    /// What is made for each item of a list parameter.
    pub each: BTreeMap<String, Each>,
    /// Connection URLs offered to other stacks as `{{stacks.<stack>.url.<name>}}`.
    pub urls: BTreeMap<String, Text>,
    /// Pages for administrators, `service:port`: a route to one needs a password, or a reason.
    pub admin: Vec<Spanned<String>>,
    /// Services that run and end.
    pub jobs: Jobs,
    /// What must be saved to have its data back, and how.
    pub backup: Backup,
}

/// `[parameters.<name>]`: without a default the environment must set it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// What it is for.
    #[serde(default)]
    pub help: String,
    /// `text`, `integer`, `boolean` or `list`; the type of the default when there is one.
    #[serde(rename = "type")]
    pub kind: Option<Spanned<ParameterKind>>,
    /// The value when the environment sets none.
    pub default: Option<Spanned<Parameter>>,
}

impl Declaration {
    /// What values it takes. A manifest that passed [`Manifest::decode`] says so in one way or the other.
    pub fn kind(&self) -> ParameterKind {
        match (&self.kind, &self.default) {
            (Some(kind), _) => *kind.get(),
            (None, Some(default)) => ParameterKind::of(default.get()),
            (None, None) => ParameterKind::Text,
        }
    }
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParameterKind {
    /// A text.
    Text,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// A list of texts.
    List,
}

impl ParameterKind {
    /// The type of a value.
    pub fn of(value: &Parameter) -> Self {
        match value {
            Parameter::Text(_) => Self::Text,
            Parameter::Integer(_) => Self::Integer,
            Parameter::Boolean(_) => Self::Boolean,
            Parameter::List(_) => Self::List,
        }
    }

    /// In words that fit behind "must be".
    pub fn words(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Boolean => "true or false",
            Self::List => "a list of texts",
        }
    }
}

/// `[each.<parameter>]`: made for every item of that list parameter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Each {
    /// A secret named `<stack>.<item>`.
    pub secret: Option<Spanned<SecretEntry>>,
    /// A connection URL offered to other stacks as `{{stacks.<stack>.url.<item>}}`; sees `{{item}}` and `{{secret}}`.
    pub url: Option<Text>,
}

/// `[jobs]`: services of the Compose file that do something and end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Jobs {
    /// Before the other services of a changed stack start: migrations. A failed one stops the deploy.
    pub before_deploy: Vec<Spanned<String>>,
    /// Once the others are healthy.
    pub after_deploy: Vec<Spanned<String>>,
    /// Once in the life of an environment: seeding.
    pub once: Vec<Spanned<String>>,
}

impl Jobs {
    /// Every job, in the order of the fields.
    pub fn all(&self) -> impl Iterator<Item = &Spanned<String>> {
        let Self {
            before_deploy,
            after_deploy,
            once,
        } = self;
        before_deploy.iter().chain(after_deploy).chain(once)
    }
}

impl Manifest {
    /// Reads a manifest; all mistakes at once.
    pub fn decode(source: &Source) -> Result<Self, Problems> {
        let manifest: Self = document(source)?;
        Problems::check(manifest.mistakes(source))?;
        Ok(manifest)
    }

    /// What the types cannot say.
    fn mistakes(&self, source: &Source) -> Vec<Problem> {
        let mut found = Vec::new();
        for (name, declaration) in &self.parameters {
            let at = source.at(source.span_of(&["parameters", name]));
            if RESERVED.contains(&name.as_str()) {
                found.push(at.says(format!("no parameter can be called `{name}`")).help(
                    "`path`, `files`, `env`, `scale` and `allow` of [stacks.<name>] have a meaning of their own",
                ));
            }
            match (&declaration.kind, &declaration.default) {
                (None, None) => found.push(
                    at.says(format!("parameter `{name}` has neither `type` nor `default`"))
                        .help("add `default = …`, or `type = \"text\"` (or integer, boolean, list) to require a value"),
                ),
                (Some(kind), Some(default)) if *kind.get() != ParameterKind::of(default.get()) => found.push(
                    source
                        .at(default.span())
                        .says(format!(
                            "the default of parameter `{name}` must be {}",
                            kind.get().words()
                        ))
                        .help("let `type` and `default` agree; with a default, `type` can go"),
                ),
                _ => {}
            }
        }
        found.extend(self.backup.mistakes(source));
        for name in self.each.keys() {
            let declared = self.parameters.get(name).map(Declaration::kind);
            if declared != Some(ParameterKind::List) {
                found.push(
                    source
                        .at(source.span_of(&["each", name]))
                        .says(format!("[each.{name}] needs a list parameter `{name}`"))
                        .help(format!(
                            "add [parameters.{name}] with `type = \"list\"` or a list as default"
                        )),
                );
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn problems(text: &str) -> String {
        let source = Source::new("compose/x/stack.toml", text);
        Manifest::decode(&source).unwrap_err().render(false, 100)
    }

    #[test]
    fn a_whole_manifest_has_no_problems() {
        let text = r#"
description = "PostgreSQL 17"
memory_mib = 256
requires = ["redis"]

[parameters.databases]
help = "Databases to make, each with a user of its own."
default = []
[parameters.version]
help = "Major version."
type = "integer"

[secrets]
POSTGRES_PASSWORD = { generate = 32 }

[env]
POSTGRES_PASSWORD = "{{secrets.POSTGRES_PASSWORD}}"

[each.databases]
secret = { generate = 32 }
url = "postgres://{{item}}:{{secret}}@postgres:5432/{{item}}"

[urls]
admin = "postgres://postgres@postgres:5432"

[jobs]
before_deploy = ["migrate"]
once = ["seed"]
"#;
        let manifest = Manifest::decode(&Source::new("stack.toml", text)).unwrap();
        assert_eq!(manifest.parameters["databases"].kind(), ParameterKind::List);
        assert_eq!(manifest.parameters["version"].kind(), ParameterKind::Integer);
        let jobs: Vec<&String> = manifest.jobs.all().map(Spanned::get).collect();
        assert_eq!(jobs, ["migrate", "seed"]);
    }

    #[test]
    fn an_empty_manifest_is_one() {
        assert_eq!(
            Manifest::decode(&Source::new("stack.toml", "")).unwrap(),
            Manifest::default()
        );
    }

    #[test]
    fn every_mistake_of_a_manifest_is_told() {
        assert_snapshot!(problems("descripton = \"x\"\n[parameters.a]\ntype = \"txt\"\n[jobs]\nonce = \"seed\"\n"), @r#"
          error: unknown key `descripton`
           ,-[compose/x/stack.toml:1:1]
         1 | descripton = "x"
           : ^^^^^|^^^^
           :      `-- unknown
         2 | [parameters.a]
           `----
          help: did you mean `description`? there are: admin, backup, description, each, env, jobs,
                memory_mib, parameters, requires, secrets, urls

          error: `parameters.a.type` cannot be `txt`
           ,-[compose/x/stack.toml:3:8]
         2 | [parameters.a]
         3 | type = "txt"
           :        ^^|^^
           :          `-- unknown
         4 | [jobs]
           `----
          help: did you mean `text`? it is one of text, integer, boolean, list

          error: `jobs.once` must be a list of texts, not a text
           ,-[compose/x/stack.toml:5:8]
         4 | [jobs]
         5 | once = "seed"
           :        ^^^^^^
           `----
          help: write ["seed"]

        3 problems found
        "#);
    }

    #[test]
    fn mistakes_between_keys_are_told() {
        assert_snapshot!(problems("[parameters.path]\nhelp = \"x\"\n[parameters.n]\nhelp = \"x\"\ntype = \"integer\"\ndefault = \"3\"\n[each.n]\nurl = \"x\"\n"), @r#"
          error: no parameter can be called `path`
           ,-[compose/x/stack.toml:1:13]
         1 | [parameters.path]
           :             ^^^^
         2 | help = "x"
           `----
          help: `path`, `files`, `env`, `scale` and `allow` of [stacks.<name>] have a meaning of their own

          error: parameter `path` has neither `type` nor `default`
           ,-[compose/x/stack.toml:1:13]
         1 | [parameters.path]
           :             ^^^^
         2 | help = "x"
           `----
          help: add `default = …`, or `type = "text"` (or integer, boolean, list) to require a value

          error: the default of parameter `n` must be a whole number
           ,-[compose/x/stack.toml:6:11]
         5 | type = "integer"
         6 | default = "3"
           :           ^^^
         7 | [each.n]
           `----
          help: let `type` and `default` agree; with a default, `type` can go

          error: [each.n] needs a list parameter `n`
           ,-[compose/x/stack.toml:7:7]
         6 | default = "3"
         7 | [each.n]
           :       ^
         8 | url = "x"
           `----
          help: add [parameters.n] with `type = "list"` or a list as default

        4 problems found
        "#);
    }
}
