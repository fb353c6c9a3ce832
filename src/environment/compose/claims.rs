//! What services ask for beyond the walls of a container: ports and the network of the host, its files, its powers. As written, with
//! `${…}` in it: what a claim comes to is judged by `desired`, which knows the variables.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::diagnostic::{Place, Source};
use super::super::yaml::{Node, Value};
use super::ports::{self, Port};
use super::{is_on, names, used};

/// One thing that a service asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The service that gets it: of an `extends` the one that extends.
    pub service: String,
    /// Where it is written, which may be another file.
    pub place: Place,
    /// The folder, below the stack's, that relative paths in it start from.
    pub folder: String,
    /// What.
    pub asks: Asks,
    /// Values of variables that only the file has which includes it; those of the stack win.
    pub variables: Arc<BTreeMap<String, String>>,
}

/// What is asked for. Every text is as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    /// A port, `[[address:]host:]container[/protocol]`.
    Port(String),
    /// A port with a key for each part.
    LongPort(Port),
    /// `network_mode`, or what a network's driver or name is: some are the host's own.
    Network(String),
    /// A mount, `source:target[:mode]`.
    Mount(String),
    /// A mount with a key for each part, or a file behind a secret, a config or a volume.
    LongMount {
        /// The host's file or folder.
        source: String,
        /// Whether it can be written to.
        writable: bool,
    },
    /// `privileged`, of the service or of one of its hooks.
    Privileged(String),
    /// `use_api_socket`.
    ApiSocket(String),
    /// `pid`: whose processes it sees.
    Processes(String),
    /// An entry of `cap_add`.
    Capability(String),
    /// An entry of `devices`.
    Device(String),
    /// An entry of `device_cgroup_rules`.
    DeviceRule(String),
}

/// What one service of one document asks for itself, each with the key that it stands under and its place.
pub(super) struct Own {
    pub key: &'static str,
    pub place: Place,
    pub asks: Asks,
}

/// Everything that a service's own part of a document asks for.
pub(super) fn own(source: &Source, root: &Node, service: &Node) -> Vec<Own> {
    let mut found = Found {
        source,
        all: Vec::new(),
    };
    let get = |key: &str| service.get(key).map(|(_, value)| value);
    let below = |top: &str, name: &str| root.get(top)?.1.get(name).map(|(_, entry)| entry);
    for item in get("ports").map(Node::items).unwrap_or_default() {
        match &item.value {
            Value::Map(_) => {
                if let Some(port) = ports::port(source, item) {
                    found.add("ports", &item_place(item), Asks::LongPort(port));
                }
            }
            _ => found.text("ports", item, Asks::Port),
        }
    }
    for (key, asks) in [
        ("privileged", Asks::Privileged as fn(String) -> Asks),
        ("use_api_socket", Asks::ApiSocket),
    ] {
        if let Some((name, value)) = service.get(key).filter(|(_, value)| is_on(value)) {
            // Anything but a text here is wrong, and may be on all the same.
            let text = value.text().unwrap_or_else(|| "true".to_owned());
            let place = if value.span.is_empty() { &name.span } else { &value.span };
            found.add(key, place, asks(text));
        }
    }
    if let Some(mode) = get("network_mode") {
        found.text("network_mode", mode, Asks::Network);
    }
    if let Some(pid) = get("pid") {
        found.text("pid", pid, Asks::Processes);
    }
    for (key, asks) in [
        ("cap_add", Asks::Capability as fn(String) -> Asks),
        ("devices", Asks::Device),
        ("device_cgroup_rules", Asks::DeviceRule),
    ] {
        for item in get(key).map(Node::items).unwrap_or_default() {
            match item.get("source") {
                Some((_, source)) => found.text(key, source, asks),
                None => found.text(key, item, asks),
            }
        }
    }
    for hook in ["post_start", "pre_stop"] {
        for item in get(hook).map(Node::items).unwrap_or_default() {
            if let Some((_, value)) = item.get("privileged").filter(|(_, value)| is_on(value)) {
                found.text(hook, value, Asks::Privileged);
            }
        }
    }
    found.networks(service, &below);
    found.mounts(root, get("volumes"));
    for (key, top) in [("secrets", "secrets"), ("configs", "configs")] {
        for name in get(key).map(used).unwrap_or_default() {
            let file = below(top, &name).and_then(|entry| entry.get("file"));
            if let Some((file, source)) = file.and_then(|(_, file)| Some((file, file.text()?))) {
                let writable = false;
                found.add(key, &file.span, Asks::LongMount { source, writable });
            }
        }
    }
    found.all
}

/// A mapping is marked at its first key: the whole of it is many lines.
fn item_place(item: &Node) -> std::ops::Range<usize> {
    let target = item.get("target").or_else(|| item.get("source"));
    target.map_or(item.span.clone(), |(key, value)| {
        key.span.start..value.span.end.max(key.span.start)
    })
}

struct Found<'s> {
    source: &'s Source,
    all: Vec<Own>,
}

impl Found<'_> {
    fn add(&mut self, key: &'static str, span: &std::ops::Range<usize>, asks: Asks) {
        self.all.push(Own {
            key,
            place: self.source.at(span.clone()),
            asks,
        });
    }

    fn text(&mut self, key: &'static str, node: &Node, asks: impl Fn(String) -> Asks) {
        if let Some(text) = node.text() {
            self.add(key, &node.span, asks(text));
        }
    }

    /// Networks that are the host's own under another name.
    fn networks<'n>(&mut self, service: &Node, below: &dyn Fn(&str, &str) -> Option<&'n Node>) {
        let written = service.get("networks").map(|(_, node)| names(node));
        let written = match written {
            Some(written) => written.into_iter().map(|name| name.get().clone()).collect(),
            None if service.get("network_mode").is_none() => vec!["default".to_owned()],
            None => Vec::new(),
        };
        for name in written {
            let Some(network) = below("networks", &name) else {
                continue;
            };
            for key in ["driver", "name"] {
                if let Some((_, value)) = network.get(key) {
                    self.text("networks", value, Asks::Network);
                }
            }
            if let Some((external, _)) = network
                .get("external")
                .filter(|(_, on)| is_on(on) && network.get("name").is_none())
            {
                self.add("networks", &external.span, Asks::Network(name));
            }
        }
    }

    fn mounts(&mut self, root: &Node, volumes: Option<&Node>) {
        for item in volumes.map(Node::items).unwrap_or_default() {
            let text = |key: &str| item.get(key).and_then(|(_, value)| value.text());
            let name = match &item.value {
                Value::Map(_) => {
                    let Some(source) = text("source") else { continue };
                    let read_only = item.get("read_only").is_some_and(|(_, on)| is_on(on));
                    if text("type").as_deref() != Some("volume") {
                        let asks = Asks::LongMount {
                            source: source.clone(),
                            writable: !read_only,
                        };
                        self.add("volumes", &item_place(item), asks);
                    }
                    source
                }
                _ => {
                    let Some(text) = item.text() else { continue };
                    self.add("volumes", &item.span, Asks::Mount(text.clone()));
                    ports::split_outside_braces(&text)
                        .first()
                        .map(|name| (*name).to_owned())
                        .unwrap_or_default()
                }
            };
            self.behind(root, &name);
        }
    }

    /// The folder of the host that a named volume stands for: the options of the driver `local` can bind any.
    fn behind(&mut self, root: &Node, name: &str) {
        let volumes = root.get("volumes").into_iter().flat_map(|(_, node)| node.entries());
        // Which one a variable means is not known here: any of them.
        for (_, volume) in volumes.filter(|(key, _)| key.name == name || name.contains('$')) {
            let device = volume
                .get("driver_opts")
                .and_then(|(_, options)| options.get("device"))
                .and_then(|(_, device)| Some((device.span.clone(), device.text()?)));
            if let Some((span, source)) = device {
                let writable = true;
                self.add("volumes", &span, Asks::LongMount { source, writable });
            }
        }
    }
}

/// What every service of a configuration asks for that Compose has resolved: nothing is left to follow or to fill in.
pub fn resolved(config: &serde_json::Value) -> Vec<Claim> {
    let source = Source::new("docker compose config", "");
    let root = Node::from(config);
    let services = root.get("services").into_iter().flat_map(|(_, node)| node.entries());
    services
        .flat_map(|(name, service)| {
            own(&source, &root, service).into_iter().map(|own| Claim {
                service: name.name.clone(),
                place: own.place,
                folder: String::new(),
                asks: own.asks,
                variables: Arc::default(),
            })
        })
        .collect()
}
