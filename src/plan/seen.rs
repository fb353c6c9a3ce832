//! What a look at the host shows of one address, in the words that the state keeps of it as facts. The same look right after
//! our own work and at the next plan gives the same words, unless somebody else was there in between.
//!
//! No digest of a stack's file is among them: files hold secrets, and a short one can be guessed from its digest. What a file
//! was is known to the manifest on the host, which the fact [`super::RELEASE`] vouches for; here stands only how it differs.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::stacks::{RELEASE, STACKS, image_id};
use crate::names::{Address, StackName};
use crate::remote::probe::{Base, Container, HostFile, Probe};
use crate::state::Record;

/// Facts by name.
pub type Facts = BTreeMap<String, String>;

/// The fact that says that the others of a stack were recorded.
pub const SEEN: &str = "seen";

/// What [`SEEN`] says, for people who read the state.
const SEEN_WHAT: &str = "containers, files and images as the last apply left them";

/// The facts of a host's base that somebody else changes and the converge script does not undo.
pub const FOREIGN: &str = "foreign rules";

/// What one container was like, as its fact has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<'a> {
    /// Its service.
    pub service: &'a str,
    /// `running`, `exited(137)`, …
    pub state: &'a str,
    /// The beginnings of its id, of its image's, and of its configuration's digest.
    pub id: &'a str,
    /// See `id`.
    pub image: &'a str,
    /// See `id`; empty where Compose did not tell.
    pub config: &'a str,
}

impl<'a> Seen<'a> {
    /// Reads a fact that [`stack`] wrote.
    pub fn parse(fact: &'a str) -> Option<Self> {
        let mut words = fact.split(' ');
        let mut word = || words.next();
        Some(Self {
            service: word()?,
            state: word()?,
            id: word()?,
            image: word()?,
            config: word().unwrap_or_default(),
        })
    }
}

/// Whether a fact of an address was seen on the host, in contrast to what our own work told.
pub fn is_seen(address: &Address, fact: &str) -> bool {
    let of_stack = ["container.", "image.", "file."];
    match address {
        Address::HostBase => true,
        Address::Stack(_) | Address::Edge => {
            fact == SEEN || fact == MANIFEST || of_stack.iter().any(|prefix| fact.starts_with(prefix))
        }
        _ => false,
    }
}

/// The fact that another release than ours is in place.
const MANIFEST: &str = "manifest";

/// The prefix of the facts that record from which configuration a service was made. Not seen: accepting a container that somebody
/// made from another one does not change what the files ask for.
pub const CONFIG: &str = "config.";

/// What is seen of the base.
pub fn base(probe: &Probe) -> Facts {
    let Base {
        sshd: _,
        daemon_json: _,
        firewall_script: _,
        firewall_live,
        docker,
        firewall_rules,
        foreign_rules,
        sshd_settings,
        files,
    } = &probe.base;
    let word = |yes: bool, is: &str, is_not: &str| Some(if yes { is } else { is_not }.to_owned());
    let mut facts: Vec<(String, Option<String>)> = base_digests(&probe.base)
        .into_iter()
        .map(|(name, digest)| (name.to_owned(), digest.clone()))
        .collect();
    let networks = probe.own_networks.iter();
    let networks: Vec<String> = networks.map(|(name, id)| format!("{name} {}", short(id))).collect();
    facts.extend([
        ("docker".to_owned(), word(*docker, "running", "does not answer")),
        ("firewall".to_owned(), word(*firewall_live, "loaded", "not loaded")),
        ("firewall rules".to_owned(), firewall_rules.clone()),
        (FOREIGN.to_owned(), foreign_rules.clone()),
        ("sshd settings".to_owned(), sshd_settings.clone()),
        // Only the daemon knows its networks.
        ("networks".to_owned(), docker.then(|| networks.join(", "))),
        ("converged".to_owned(), probe.converged.as_deref().map(short)),
    ]);
    facts.extend(files.iter().map(|(path, file)| {
        let HostFile {
            sha256, mode, owner, ..
        } = file;
        (path.clone(), Some(format!("{mode} {owner} {}", short(sha256))))
    }));
    facts.into_iter().filter_map(|(k, v)| Some((k, v?))).collect()
}

/// The files that the script writes and every plan knew how to compare, by the names under which their digests are recorded.
pub fn base_digests(base: &Base) -> [(&'static str, &Option<String>); 3] {
    [
        ("sshd", &base.sshd),
        ("daemon.json", &base.daemon_json),
        ("firewall script", &base.firewall_script),
    ]
}

/// What is seen of a stack. Its images are those that the record names, and those that its containers were made from.
pub fn stack(name: &StackName, record: &Record, probe: &Probe) -> Facts {
    let mut facts = Facts::from([(SEEN.to_owned(), SEEN_WHAT.to_owned())]);
    let mut images: BTreeSet<&str> = recorded(record, &["image."]).collect();
    for container in of_stack(name, probe) {
        images.insert(&container.image_ref);
        facts.insert(format!("container.{}", container.name), words(container));
    }
    for reference in images {
        if let Some(id) = image_id(probe, reference) {
            facts.insert(format!("image.{reference}"), id.clone());
        }
    }
    let folder = format!("{STACKS}/{name}/");
    let files = probe.files.iter();
    let files = files.filter_map(|(path, file)| Some((path.strip_prefix(&folder)?, file)));
    let mut paths: BTreeMap<&str, Option<&HostFile>> = files.map(|(path, file)| (path, Some(file))).collect();
    for path in recorded(record, &["text.", "file."]) {
        paths.entry(path).or_default();
    }
    for (path, file) in paths {
        if let Some(how) = deviation(file) {
            facts.insert(format!("file.{path}"), how);
        }
    }
    match (probe.releases.get(name.as_str()), record.facts.get(RELEASE)) {
        (Some(placed), Some(ours)) if placed != ours => {
            facts.insert(MANIFEST.to_owned(), short(placed));
        }
        _ => {}
    }
    facts
}

/// The services of a stack with the digests of the configuration that they run with.
pub fn configs(name: &StackName, probe: &Probe) -> Facts {
    of_stack(name, probe)
        .filter(|container| !container.config.is_empty())
        .map(|container| (format!("{CONFIG}{}", container.service), short(&container.config)))
        .collect()
}

/// A stack's containers, jobs aside.
fn of_stack<'a>(name: &'a StackName, probe: &'a Probe) -> impl Iterator<Item = &'a Container> {
    let containers = probe.containers.iter();
    containers.filter(move |container| container.project == name.as_str() && !container.oneoff)
}

/// What the record names behind one of these prefixes.
fn recorded<'a>(record: &'a Record, prefixes: &'a [&str]) -> impl Iterator<Item = &'a str> {
    let names = record.attributes.keys().chain(record.facts.keys());
    names.filter_map(move |name| prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)))
}

/// How a file differs from what was put there.
fn deviation(file: Option<&HostFile>) -> Option<String> {
    let Some(file) = file else {
        return Some("missing".to_owned());
    };
    let HostFile {
        sha256,
        mode,
        owner,
        placed,
        placed_mode,
        modified,
    } = file;
    let mut how = Vec::new();
    if placed.as_ref().is_some_and(|placed| placed != sha256) {
        let when = modified.and_then(|seconds| Timestamp::from_second(seconds).ok());
        how.push(when.map_or_else(|| "edited".to_owned(), |when| format!("edited at {when}")));
    }
    if placed_mode.as_ref().is_some_and(|placed| placed != mode) {
        how.push(format!("mode {mode}"));
    }
    // Everything that we put there belongs to root.
    if !owner.is_empty() && owner != super::stacks::OWNER {
        how.push(format!("owner {owner}"));
    }
    (!how.is_empty()).then(|| how.join(", "))
}

/// Whether a container does what it is there for: one that may end has ended well.
fn serves(container: &Container) -> bool {
    let may_end = matches!(container.restart.as_str(), "no" | "on-failure");
    container.state == "running" || may_end && container.state == "exited" && container.exit_code == 0
}

fn words(container: &Container) -> String {
    let state = match container.state.as_str() {
        _ if serves(container) => "running".to_owned(),
        "exited" => format!("exited({})", container.exit_code),
        other => other.replace(' ', "-"),
    };
    let Container {
        service,
        id,
        image,
        config,
        ..
    } = container;
    let text = format!(
        "{service} {state} {} {} {}",
        short(id),
        short(image.trim_start_matches("sha256:")),
        short(config)
    );
    text.trim_end().to_owned()
}

/// Twelve digits, as Docker shows them.
pub fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}
