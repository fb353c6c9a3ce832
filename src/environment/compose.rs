//! A view of a Compose file: what the checks and the plan need to know, with its places. Everything else is ignored.
//!
//! The host's own `docker compose config` has the last word over `extends`, `include`, profiles and interpolation; this
//! view finds the mistakes that can be found without a host. `${…}` stays as it is written. What services ask of the host beyond a
//! container's walls, and their memory limits, are read through `extends` and `include` as well ([`claims`], [`memory`]).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::diagnostic::{Problem, Problems, Source};
use super::model::Spanned;
use super::yaml::{self, Node, Value};

pub mod claims;
mod follow;
pub mod memory;
mod ports;
mod variables;

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
    /// Where `include` stands.
    pub include: Option<Range<usize>>,
    /// Every `${NAME}` in a value, each place once.
    pub variables: Vec<Variable>,
    /// Names of the variables outside of `services`: what they change may be a matter of every service.
    pub shared_variables: BTreeSet<String>,
}

/// A service of a Compose file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Where its name stands.
    pub span: Range<usize>,
    /// The image as written.
    pub image: Option<Spanned<String>>,
    /// Where `build` stands.
    pub build: Option<Range<usize>>,
    /// Every entry of `ports`: all of them are reachable from outside, even those without a host port.
    pub ports: Vec<Port>,
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
    /// Whether it has a health check that is not switched off.
    pub healthcheck: bool,
    /// `deploy.replicas`, or `scale`, when it is a number.
    pub replicas: Option<u32>,
    /// `restart` as written.
    pub restart: Option<String>,
    /// `container_name`: such a service can run only once.
    pub container_name: Option<Spanned<String>>,
    /// Where `extends` stands.
    pub extends: Option<Range<usize>>,
    /// `mem_limit`, or `deploy.resources.limits.memory`, as written.
    pub memory: Option<Spanned<String>>,
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
        let mut view = View {
            source,
            problems: Vec::new(),
        };
        let compose = view.compose(&root);
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
            include: root.get("include").map(|(key, _)| key.span.clone()),
            variables: variables::variables(root),
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
                    let mut service = self.service(&key.name, node);
                    service.span = key.span.clone();
                    compose.services.insert(key.name.clone(), service);
                }
            }
            Some((_, other)) => self.wrong(other, "services", "a mapping of services"),
            None if compose.include.is_some() => {}
            None => {
                let problem = self.source.at(0..0).says("a Compose file needs `services`");
                self.problems
                    .push(problem.help("add `services:` with at least one service"));
            }
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
        compose.secret_variables = copied_variables(root, "secrets", |service| &service.secrets, &mut compose);
        compose.config_variables = copied_variables(root, "configs", |service| &service.configs, &mut compose);
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
        let key = |key: &str| node.get(key).map(|(key, _)| key.span.clone());
        let healthcheck = get("healthcheck").is_some_and(|check| {
            !check.get("disable").is_some_and(|(_, off)| is_on(off))
                && !check.get("test").is_some_and(|(_, test)| {
                    test.items()
                        .first()
                        .unwrap_or(test)
                        .text()
                        .is_some_and(|text| text == "NONE")
                })
        });
        Service {
            span: 0..0,
            image: self.scalar(name, "image", get("image")),
            build: key("build"),
            ports: self.ports(name, get("ports")),
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
            healthcheck,
            replicas: memory::replicas(node),
            restart: get("restart").and_then(Node::text),
            container_name: self.scalar(name, "container_name", get("container_name")),
            extends: key("extends"),
            memory: memory::limit(node).and_then(|(key, limit)| self.scalar(name, key, Some(limit))),
        }
    }

    fn ports(&mut self, service: &str, node: Option<&Node>) -> Vec<Port> {
        let items = self.list(service, "ports", node);
        let mut ports = Vec::new();
        for item in items {
            match ports::port(self.source, item) {
                Some(port) => ports.push(port),
                None => self.wrong(
                    item,
                    &format!("services.{service}.ports"),
                    "ports such as \"127.0.0.1:8080:80\"",
                ),
            }
        }
        ports
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

/// Secrets or configs that Compose copies out of a variable: whoever uses one uses the variable, and it must be set.
fn copied_variables(
    root: &Node,
    list: &str,
    used: impl Fn(&Service) -> &BTreeSet<String>,
    compose: &mut Compose,
) -> Vec<(String, Spanned<String>)> {
    let mut copied = Vec::new();
    let entries = root.get(list).into_iter().flat_map(|(_, node)| node.entries());
    for (key, entry) in entries {
        let Some(variable) = entry.get("environment").and_then(|(_, name)| spanned(name)) else {
            continue;
        };
        for service in compose.services.values_mut() {
            if used(service).contains(&key.name) || service.extends.is_some() {
                service.variables.insert(variable.get().clone());
            }
        }
        compose.variables.push(Variable {
            name: variable.get().clone(),
            span: variable.span(),
            required: true,
        });
        copied.push((key.name.clone(), variable));
    }
    copied
}

#[cfg(test)]
mod tests;
