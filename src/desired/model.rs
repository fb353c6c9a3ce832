//! What shall be: every default filled in, every template rendered, nothing left to fail because of what was written.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::walls::Grant;
use crate::names::{Digest, EnvironmentName, StackName};
use crate::provider::InstanceSpec;
use crate::render::caddyfile::{Certificates, Route};
use crate::render::{Bindings, Rendered};

/// The whole environment as it shall be.
#[derive(Debug, Clone)]
pub struct Desired {
    /// Its name.
    pub environment: EnvironmentName,
    /// Refuse to destroy it or to lose its data.
    pub protect: bool,
    /// The host name of its main page; the mark of the machine's address when none was given.
    pub domain: Rendered,
    /// The Docker network that every stack shares.
    pub network: String,
    /// The machine.
    pub instance: DesiredInstance,
    /// The host's base state.
    pub base: DesiredBase,
    /// The Compose projects, each after what it needs.
    pub stacks: Vec<DesiredStack>,
    /// The edge; none without routes.
    pub edge: Option<DesiredEdge>,
    /// What the services may take of the machine's memory.
    pub memory: super::MemoryPlan,
    /// What the marks in all texts stand for, as far as it is known.
    pub bindings: Bindings,
}

/// The machine as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredInstance {
    /// Everything but the user-data, which holds a mark.
    pub spec: InstanceSpec,
    /// The `#cloud-config`.
    pub user_data: Rendered,
    /// Digest of what only a first boot reads: the user-data without the parts that are converged over SSH.
    pub first_boot: Digest,
}

/// The host's base state as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredBase {
    /// The converge script.
    pub script: String,
}

impl DesiredBase {
    /// What the host writes down when this very script has run to its end.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.script)
    }
}

/// The edge as it shall be: Caddy as a stack of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredEdge {
    /// Its Compose project.
    pub stack: DesiredStack,
    /// What it serves.
    pub routes: Vec<Route>,
    /// Where certificates come from.
    pub certificates: Certificates,
    /// Whether HTTP/3 is served.
    pub http3: bool,
}

/// One Compose project as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredStack {
    /// Its name, also the Compose project's.
    pub name: StackName,
    /// The stacks that it needs; of the edge: those that its routes lead to.
    pub needs: BTreeSet<StackName>,
    /// Its files by path relative to its folder.
    pub files: BTreeMap<String, DesiredFile>,
    /// Its services, jobs included.
    pub services: BTreeMap<String, DesiredService>,
    /// One-shot services and when they run.
    pub jobs: Jobs,
    /// Archives of the images that no registry serves, by reference.
    pub archives: BTreeMap<String, ArchiveRef>,
    /// Who is made anew when a secret gets another value, by the secret's name.
    pub secrets: BTreeMap<String, Users>,
    /// What its services may beside what every container may.
    pub granted: BTreeMap<String, Grant>,
}

/// Who uses a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Users {
    /// These services.
    Services(BTreeSet<String>),
    /// Nobody can tell from the files: any service may.
    Stack,
    /// The edge, which takes it in without being made anew.
    Reload,
}

/// One-shot services and when they run, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Jobs {
    /// Before every deploy (migrations).
    pub before_deploy: Vec<String>,
    /// After every deploy, once the services are healthy.
    pub after_deploy: Vec<String>,
    /// Once in the life of the environment (seeding), after the first healthy deploy.
    pub once: Vec<String>,
}

/// An image archive on this computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveRef {
    /// Where it is.
    pub path: std::path::PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// The image's identifier, `sha256:…`.
    pub image_id: String,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredService {
    /// The image reference as written in the Compose file.
    pub image: Option<String>,
    /// Instances that shall run; none for a job, which runs only when called.
    pub instances: Option<u32>,
    /// Whether an instance that ended by itself is as it shall be: it is not meant to be started again.
    pub may_end: bool,
    /// The services of its stack that it waits for.
    pub after: BTreeSet<String>,
    /// Docker volumes that it keeps its data in, as its stack's file names them.
    pub volumes: BTreeSet<String>,
    /// Networks of its stack's own that it is in; `default` is the one that all stacks share. Empty when it is in that one alone.
    pub networks: BTreeSet<String>,
}

/// One file of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredFile {
    /// What is in it.
    pub body: Body,
    /// Permission bits. Files with secrets are 0600.
    pub mode: u32,
}

/// A file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Bytes as they came.
    Raw(Vec<u8>),
    /// Text that we rendered.
    Text(Rendered),
    /// Compose's `.env`: quoted when it is bound, because quoting depends on the real value.
    DotEnv(BTreeMap<String, Rendered>),
}

impl DesiredFile {
    /// The bytes that go to the host.
    pub fn bind(&self, bindings: &Bindings) -> Vec<u8> {
        match &self.body {
            Body::Raw(bytes) => bytes.clone(),
            Body::Text(text) => text.bind(bindings).into_bytes(),
            Body::DotEnv(variables) => dot_env(variables, |text| text.bind(bindings)).into_bytes(),
        }
    }

    /// The text for people and for the state; none for bytes that came from elsewhere.
    pub fn shown(&self, known: &Bindings) -> Option<String> {
        match &self.body {
            Body::Raw(_) => None,
            Body::Text(text) => Some(text.shown(known)),
            Body::DotEnv(variables) => Some(dot_env(variables, |text| text.shown(known))),
        }
    }

    /// A digest of what goes to the host that may be published: of secrets, only their fingerprints are in it. The machine's
    /// address is not: it is not known at the first apply and must not make a difference at the second.
    pub fn fingerprint(&self, bindings: &Bindings) -> Digest {
        Digest::of(match &self.body {
            Body::Raw(bytes) => return Digest::of(bytes),
            Body::Text(text) => text.fingerprinted(bindings),
            Body::DotEnv(variables) => dot_env(variables, |text| text.fingerprinted(bindings)),
        })
    }

    /// Whether the real bytes hold a secret.
    pub fn is_secret(&self) -> bool {
        match &self.body {
            Body::Raw(_) => false,
            Body::Text(text) => text.is_secret(),
            Body::DotEnv(variables) => variables.values().any(Rendered::is_secret),
        }
    }
}

impl DesiredFile {
    /// The names of the secrets in it.
    pub fn secret_names(&self) -> Vec<String> {
        let texts: Vec<&Rendered> = match &self.body {
            Body::Raw(_) => Vec::new(),
            Body::Text(text) => vec![text],
            Body::DotEnv(variables) => variables.values().collect(),
        };
        texts.into_iter().flat_map(Rendered::secret_names).collect()
    }
}

impl DesiredStack {
    /// The digest of everything that was written for this stack, without secrets and without what is not known yet: it
    /// differs exactly when the person's files do.
    pub fn written(&self) -> Digest {
        let mut text = String::new();
        for (path, file) in &self.files {
            let content = match &file.body {
                Body::Raw(bytes) => Digest::of(bytes),
                Body::Text(rendered) => Digest::of(rendered.marked()),
                Body::DotEnv(variables) => Digest::of(dot_env(variables, |value| value.marked().to_owned())),
            };
            text.push_str(&format!("{content} {:04o} {path}\n", file.mode));
        }
        for (reference, archive) in &self.archives {
            text.push_str(&format!("image {reference} {}\n", archive.image_id));
        }
        Digest::of(text)
    }
}

/// Lines for Compose's dotenv reader: single quotes take everything literally; a value with a quote or a line end goes into
/// double quotes, where `\`, `"`, `$` and line ends are escaped.
fn dot_env(variables: &BTreeMap<String, Rendered>, value: impl Fn(&Rendered) -> String) -> String {
    let mut out = String::from("# Written by provision. Compose reads it for ${…} in compose.yaml.\n");
    for (name, text) in variables {
        let value = value(text);
        if value.contains(['\'', '\n', '\r']) {
            let escaped = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('$', "\\$")
                .replace('\n', "\\n")
                .replace('\r', "\\r");
            out.push_str(&format!("{name}=\"{escaped}\"\n"));
        } else {
            out.push_str(&format!("{name}='{value}'\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Mark;
    use crate::secret::Secret;

    #[test]
    fn dot_env_quotes_what_compose_would_read_otherwise() {
        let variables = BTreeMap::from([
            ("A".to_owned(), Rendered::new("plain $HOME \"x\" #y")),
            ("B".to_owned(), Rendered::new("it's $5\\")),
            ("C".to_owned(), Rendered::new(Mark::Secret("S".into()).text())),
        ]);
        let file = DesiredFile {
            body: Body::DotEnv(variables),
            mode: 0o600,
        };
        let bindings = Bindings {
            secrets: BTreeMap::from([("S".to_owned(), Secret::new("two\nlines"))]),
            ..Bindings::default()
        };
        let bound = String::from_utf8(file.bind(&bindings)).unwrap();
        assert_eq!(
            bound.lines().skip(1).collect::<Vec<_>>(),
            ["A='plain $HOME \"x\" #y'", r#"B="it's \$5\\""#, r#"C="two\nlines""#]
        );
        assert!(file.shown(&bindings).unwrap().contains("C='(secret)'"));
        assert!(file.is_secret());
    }
}
