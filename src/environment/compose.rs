//! A view of a Compose file: what the checks and the plan need to know, with its places. Everything else is ignored.
//!
//! The host's own `docker compose config` has the last word over `extends`, `include`, profiles and interpolation; this
//! view finds the mistakes that can be found without a host. `${…}` stays as it is written. Of one file the view is [`Compose::decode`];
//! of a stack it is the whole that all its files make together ([`follow()`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::diagnostic::{Problem, Problems, Source};
use super::model::Spanned;
use super::yaml::{self, Node, Value};

pub mod claims;
mod follow;
pub mod memory;
mod ports;
mod variables;
mod whole;

pub(super) use follow::{Followed, follow};
pub use ports::{Parts, Port};
pub use variables::{Variable, filled};

/// A Compose file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compose {
    /// Services by name.
    pub services: BTreeMap<String, Service>,
    /// Names of the top-level `volumes`.
    pub volumes: Vec<Spanned<String>>,
    /// Names of the top-level `networks`.
    pub networks: Vec<Spanned<String>>,
    /// Files that top-level `secrets` are read from, with the secrets' names.
    pub secret_files: Vec<(String, Spanned<String>)>,
    /// Files that top-level `configs` are read from, with the configs' names.
    pub config_files: Vec<(String, Spanned<String>)>,
    /// Variables that top-level `secrets` are read from, with the secrets' names.
    pub secret_variables: Vec<(String, Spanned<String>)>,
    /// Variables that top-level `configs` are read from, with the configs' names.
    pub config_variables: Vec<(String, Spanned<String>)>,
    /// Every `${NAME}` in a value, each place once.
    pub variables: Vec<Variable>,
    /// Names of the variables outside of `services`: what they change may be a matter of every service.
    pub shared_variables: BTreeSet<String>,
}

/// A service of a Compose file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// The image as written.
    pub image: Option<Spanned<String>>,
    /// Names under `networks`; none means `default`.
    pub networks: Vec<Spanned<String>>,
    /// Bind mounts of the host's files, with the source as written: relative to the stack's folder, or absolute.
    pub binds: Vec<Spanned<String>>,
    /// Docker volumes that it mounts, by name; those without a name are left out.
    pub volumes: BTreeSet<String>,
    /// Files of variables; those with `required: false` are left out.
    pub env_files: Vec<Spanned<String>>,
    /// Names of the variables that it takes from `.env`: `${NAME}`, and entries of `environment` without a value.
    pub variables: BTreeSet<String>,
    /// Names under `secrets`.
    pub secrets: BTreeSet<String>,
    /// Names under `configs`.
    pub configs: BTreeSet<String>,
    /// Names of the profiles; a service with one does not start by itself.
    pub profiles: Vec<String>,
    /// Services it waits for.
    pub depends_on: Vec<Spanned<String>>,
    /// `deploy.replicas`, or `scale`, when it is a number.
    pub replicas: Option<u32>,
    /// `restart` as written.
    pub restart: Option<String>,
    /// `container_name`: of such a service there can be only one instance.
    pub container_name: Option<Spanned<String>>,
    /// `mem_limit`, or `deploy.resources.limits.memory`, as written.
    pub memory: Option<Spanned<String>>,
    /// Values of variables that only the file has which includes it; those of the stack win.
    pub defaults: Arc<BTreeMap<String, String>>,
}

impl Service {
    /// A bind mount's source that lies in the stack's own folder.
    pub fn relative_binds(&self) -> impl Iterator<Item = &Spanned<String>> {
        self.binds.iter().filter(|bind| bind.get().starts_with('.'))
    }
}

impl Compose {
    /// Reads a Compose file; all mistakes that the view sees at once.
    pub fn decode(source: &Source) -> Result<Self, Problems> {
        let root = yaml::parse(source)?;
        if root.get("services").is_none() && root.get("include").is_none() {
            let problem = source.at(0..0).says("a Compose file needs `services`");
            return Err(problem.help("add `services:` with at least one service").into());
        }
        Self::read(source, &root)
    }

    /// The view of what was parsed, which may be a part of a stack that has no services of its own.
    fn read(source: &Source, root: &Node) -> Result<Self, Problems> {
        let mut view = View {
            source,
            problems: Vec::new(),
        };
        let compose = view.compose(root);
        Problems::check(view.problems)?;
        Ok(compose)
    }
}

struct View<'s> {
    source: &'s Source,
    problems: Vec<Problem>,
}

impl View<'_> {
    fn compose(&mut self, root: &Node) -> Compose {
        let mut compose = Compose {
            variables: variables::variables(self.source, root),
            shared_variables: root
                .entries()
                // What stands under `x-…` counts where it is used.
                .filter(|(key, _)| key.name != "services" && !key.name.starts_with("x-"))
                .flat_map(|(_, node)| variables::names(node))
                .collect(),
            ..Compose::default()
        };
        match root.get("services") {
            Some((_, services)) if matches!(services.value, Value::Map(_)) => {
                for (key, node) in services.entries() {
                    let service = self.service(&key.name, node);
                    compose.services.insert(key.name.clone(), service);
                }
            }
            Some((_, other)) => self.wrong(other, "services", "a mapping of services"),
            None => {}
        }
        for (name, into) in [("volumes", &mut compose.volumes), ("networks", &mut compose.networks)] {
            if let Some((_, node)) = root.get(name) {
                into.extend(
                    node.entries()
                        .map(|(key, _)| Spanned::at(key.name.clone(), key.span.clone())),
                );
            }
        }
        for (name, into) in [
            ("secrets", &mut compose.secret_files),
            ("configs", &mut compose.config_files),
        ] {
            let entries = root.get(name).into_iter().flat_map(|(_, node)| node.entries());
            into.extend(entries.filter_map(|(key, entry)| {
                let (_, file) = entry.get("file")?;
                Some((key.name.clone(), spanned(file)?))
            }));
        }
        for (name, into) in [
            ("secrets", &mut compose.secret_variables),
            ("configs", &mut compose.config_variables),
        ] {
            let entries = root.get(name).into_iter().flat_map(|(_, node)| node.entries());
            for (key, entry) in entries {
                let Some(variable) = entry.get("environment").and_then(|(_, name)| spanned(name)) else {
                    continue;
                };
                compose.variables.push(Variable {
                    name: variable.get().clone(),
                    place: self.source.at(variable.span()),
                    required: true,
                });
                into.push((key.name.clone(), variable));
            }
        }
        compose
    }

    fn service(&mut self, name: &str, node: &Node) -> Service {
        if !matches!(node.value, Value::Map(_)) {
            self.wrong(node, &format!("services.{name}"), "a mapping");
            return Service::default();
        }
        let get = |key: &str| {
            node.get(key)
                .map(|(_, value)| value)
                .filter(|value| !matches!(value.value, Value::Null))
        };
        self.check_ports(name, get("ports"));
        Service {
            image: self.scalar(name, "image", get("image")),
            networks: get("networks").map(names).unwrap_or_default(),
            binds: self
                .list(name, "volumes", get("volumes"))
                .iter()
                .filter_map(bind)
                .collect(),
            volumes: get("volumes")
                .map(|node| node.items().iter().filter_map(volume).collect())
                .unwrap_or_default(),
            env_files: get("env_file").map(env_files).unwrap_or_default(),
            variables: variables::names(node).chain(passed_on(get("environment"))).collect(),
            secrets: get("secrets").map(used).unwrap_or_default(),
            configs: get("configs").map(used).unwrap_or_default(),
            profiles: get("profiles")
                .map(|node| node.items().iter().filter_map(Node::text).collect())
                .unwrap_or_default(),
            depends_on: get("depends_on").map(names).unwrap_or_default(),
            replicas: memory::replicas(node),
            restart: get("restart").and_then(Node::text),
            container_name: self.scalar(name, "container_name", get("container_name")),
            memory: memory::limit(node).and_then(|(key, limit)| self.scalar(name, key, Some(limit))),
            defaults: Arc::default(),
        }
    }

    fn check_ports(&mut self, service: &str, node: Option<&Node>) {
        for item in self.list(service, "ports", node) {
            if ports::port(self.source, item).is_none() {
                let path = format!("services.{service}.ports");
                self.wrong(item, &path, "ports such as \"127.0.0.1:8080:80\"");
            }
        }
    }

    fn list<'n>(&mut self, service: &str, key: &str, node: Option<&'n Node>) -> &'n [Node] {
        match node {
            None => &[],
            Some(node) => {
                if !matches!(node.value, Value::List(_)) {
                    self.wrong(node, &format!("services.{service}.{key}"), "a list");
                }
                node.items()
            }
        }
    }

    fn scalar(&mut self, service: &str, key: &str, node: Option<&Node>) -> Option<Spanned<String>> {
        let node = node?;
        let text = spanned(node);
        if text.is_none() {
            self.wrong(node, &format!("services.{service}.{key}"), "a text");
        }
        text
    }

    fn wrong(&mut self, node: &Node, path: &str, must: &str) {
        let message = match node.value {
            Value::Null => format!("`{path}` is empty, it must be {must}"),
            _ => format!("`{path}` must be {must}, not {}", node.words()),
        };
        self.problems.push(self.source.at(node.span.clone()).says(message));
    }
}

fn spanned(node: &Node) -> Option<Spanned<String>> {
    node.text().map(|text| Spanned::at(text, node.span.clone()))
}

/// Names given as a list, or as the keys of a mapping.
fn names(node: &Node) -> Vec<Spanned<String>> {
    let keys = node
        .entries()
        .map(|(key, _)| Spanned::at(key.name.clone(), key.span.clone()));
    keys.chain(node.items().iter().filter_map(spanned)).collect()
}

/// Names of top-level `secrets` or `configs` that a service uses: `name`, or `{source: name, …}`.
fn used(node: &Node) -> BTreeSet<String> {
    let name = |item: &Node| match item.get("source") {
        Some((_, source)) => source.text(),
        None => item.text(),
    };
    node.items().iter().filter_map(name).collect()
}

/// Entries of `environment` without a value: Compose takes it from `.env`.
fn passed_on(node: Option<&Node>) -> Vec<String> {
    let Some(node) = node else { return Vec::new() };
    let empty = node
        .entries()
        .filter(|(_, value)| matches!(value.value, Value::Null))
        .map(|(key, _)| key.name.clone());
    let bare = node
        .items()
        .iter()
        .filter_map(Node::text)
        .filter(|text| !text.contains('='));
    empty.chain(bare).collect()
}

/// Anything but a plain "no" counts: `${PRIVILEGED}` may well be on.
fn is_on(node: &Node) -> bool {
    match &node.value {
        Value::Boolean(on) => *on,
        Value::Null => false,
        Value::Text(text) => !matches!(text.to_lowercase().as_str(), "false" | "no" | "off" | "n" | ""),
        _ => true,
    }
}

/// `./conf:/etc/app:ro`, or `{type: bind, source: ./conf, …}`.
fn bind(node: &Node) -> Option<Spanned<String>> {
    if let Value::Map(_) = node.value {
        let kind = node.get("type").and_then(|(_, kind)| kind.text());
        return match kind.as_deref() {
            Some("bind") => node.get("source").and_then(|(_, source)| spanned(source)),
            _ => None,
        };
    }
    let text = node.text()?;
    let (source, _) = ports::split_outside_braces(&text)
        .first()
        .copied()
        .zip(text.contains(':').then_some(()))?;
    let is_path = source.starts_with(['.', '/', '~']);
    is_path.then(|| Spanned::at(source.to_owned(), node.span.clone()))
}

/// `data:/var/lib/app`, or `{type: volume, source: data, …}`.
fn volume(node: &Node) -> Option<String> {
    if let Value::Map(_) = node.value {
        let kind = node.get("type").and_then(|(_, kind)| kind.text());
        return match kind.as_deref() {
            Some("volume") => node.get("source").and_then(|(_, source)| source.text()),
            _ => None,
        };
    }
    let text = node.text()?;
    let (name, rest) = text.split_once(':')?;
    // Anything else is a path, or not known before the host fills it in.
    let named = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) && !name.starts_with(['.', '-']);
    (named && !rest.is_empty()).then(|| name.to_owned())
}

fn env_files(node: &Node) -> Vec<Spanned<String>> {
    let one = std::slice::from_ref(node);
    let items = if let Value::List(items) = &node.value {
        items
    } else {
        one
    };
    let path = |item: &Node| match item.get("path") {
        Some((_, path)) => {
            let required = item.get("required").is_none_or(|(_, required)| is_on(required));
            required.then(|| spanned(path)).flatten()
        }
        None => spanned(item),
    };
    items.iter().filter_map(path).collect()
}

#[cfg(test)]
mod tests;
