//! Compose projects of others, and nasty ones of our own: what they publish and ask for is found as Compose itself finds it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends at what it did not expect"
)]

#[allow(dead_code)]
mod judge;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use provision::desired::walls::{self, Found, holes};
use provision::environment::diagnostic::Source;
use provision::environment::stack::load_stack;
use provision::names::{Digest, StackName};
use serde_json::Value;

const COMPOSE_FILES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
];

/// A published port: service, protocol, host's address and port, container's port.
type Port = (String, String, String, String, String);

/// The variables of a project's `.env`.
fn variables(folder: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(folder.join(".env")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines
        .map(|(name, value)| {
            let value = value.split(" #").next().unwrap_or_default();
            (name.trim().to_owned(), value.trim().to_owned())
        })
        .collect()
}

/// What is found in a project; none with the words about what is wrong with it.
fn read(folder: &Path) -> Result<(BTreeSet<String>, Vec<Found>), String> {
    let name: StackName = "sample".parse().unwrap();
    let root = folder.parent().unwrap();
    let at = Source::new("sample.toml", "").at(0..0);
    let stack = load_stack(&name, Some(folder), None, root, &at).map_err(|problems| problems.to_string())?;
    let variables = variables(folder);
    let found = holes(&name, &stack.claims, &|name| variables.get(name).cloned());
    Ok((stack.compose.services.keys().cloned().collect(), found))
}

/// The digest of a project's Compose file, for what was found once to be compared with the same bytes alone.
fn digest(folder: &Path) -> String {
    let file = COMPOSE_FILES
        .iter()
        .map(|file| folder.join(file))
        .find(|path| path.is_file());
    Digest::of(std::fs::read(file.unwrap()).unwrap()).short().to_owned()
}

fn summary(folder: &Path, more: &str) -> String {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let name = format!("{name}{more}");
    match read(folder) {
        Ok((services, found)) => {
            let services: Vec<String> = services.into_iter().collect();
            let mut text = format!("{name}: {}\n", services.join(" "));
            for hole in found {
                let ports: Vec<String> = hole.ports.iter().map(ToString::to_string).collect();
                let shown = match (ports.is_empty(), hole.power) {
                    (false, _) => format!(" = {}", ports.join(" ")),
                    (true, Some(power)) => format!(" = {}", power.word()),
                    (true, None) => " = any".to_owned(),
                };
                let _ = writeln!(text, "  {} {} {}{shown}", hole.place, hole.service, hole.what);
            }
            text
        }
        Err(problems) => {
            let lines: String = problems.lines().map(|line| format!("  {line}\n")).collect();
            format!("{name}: is refused\n{lines}")
        }
    }
}

fn ours(found: &[Found]) -> BTreeSet<Port> {
    let mut ports = BTreeSet::new();
    for hole in found.iter().filter(|hole| hole.power.is_none()) {
        for port in &hole.ports {
            ports.insert((
                hole.service.clone(),
                port.protocol.clone(),
                port.address.map(|address| address.to_string()).unwrap_or_default(),
                port.port.to_string(),
                port.target.to_string(),
            ));
        }
        if hole.ports.is_empty() {
            ports.insert((
                hole.service.clone(),
                "any".into(),
                String::new(),
                String::new(),
                String::new(),
            ));
        }
    }
    ports
}

/// What Compose makes of a project; none, with a word, of one that it refuses.
fn config(mut compose: Command, folder: &Path) -> Result<Value, String> {
    let output = compose
        .args([
            "--project-name",
            "sample",
            "--profile",
            "*",
            "config",
            "--format",
            "json",
        ])
        .current_dir(folder)
        .env_clear()
        .envs(["PATH", "HOME"].map(|name| (name, std::env::var(name).unwrap_or_default())))
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

/// The sentences about everything but ports.
fn powers(found: &[Found]) -> BTreeSet<String> {
    let others = found.iter().filter(|hole| hole.power.is_some());
    others
        .map(|hole| format!("service `{}` {}", hole.service, hole.what))
        .collect()
}

fn theirs(config: &Value) -> BTreeSet<Port> {
    let mut ports = BTreeSet::new();
    for (service, entry) in config["services"].as_object().unwrap() {
        for port in entry["ports"].as_array().into_iter().flatten() {
            let text = |key: &str| match &port[key] {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            let address = Some(text("host_ip")).filter(|address| address != "0.0.0.0" && address != "::");
            ports.insert(match text("published") {
                none if none.is_empty() => (
                    service.clone(),
                    "any".into(),
                    String::new(),
                    String::new(),
                    String::new(),
                ),
                published => (
                    service.clone(),
                    text("protocol"),
                    address.unwrap_or_default(),
                    published,
                    text("target"),
                ),
            });
        }
    }
    ports
}

fn projects(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries
        .filter(|path| COMPOSE_FILES.iter().any(|file| path.join(file).is_file()))
        .collect();
    found.sort();
    found
}

/// What Compose finds in each of these projects is found here: the same ports, and whatever else its own reading asks for beyond the walls.
fn compare(folder: &Path) {
    let (mut same, mut refused) = (0, 0);
    for project in projects(folder) {
        let Some(compose) = judge::compose() else { return };
        match (config(compose, &project), read(&project)) {
            (Ok(config), Ok((_, found))) => {
                assert_eq!(ours(&found), theirs(&config), "{}", project.display());
                let beyond = powers(&found);
                for known in walls::refused(&"sample".parse().unwrap(), &config, &BTreeMap::new()) {
                    let is_port = known.contains("` publishes ");
                    assert!(
                        is_port || beyond.contains(&known),
                        "{}: {known} in {beyond:?}",
                        project.display()
                    );
                }
                same += 1;
            }
            // What we refuse, Compose may take: files from elsewhere.
            (_, Err(why)) => {
                println!("{} is refused: {why}", project.display());
                refused += 1;
            }
            (Err(why), Ok(_)) => {
                println!("Compose refuses {}: {why}", project.display());
                refused += 1;
            }
        }
    }
    println!("{same} projects publish what Compose says, {refused} are refused");
}

fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples")
}

/// Compares with what is written down; `UPDATE=1` writes it.
fn golden(file: &str, found: &str) {
    let path = own().join(file);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(&path).unwrap(), "see {}", path.display());
}

#[test]
fn what_our_samples_ask_for_is_found_at_its_line() {
    let found: String = projects(&own()).iter().map(|project| summary(project, "")).collect();
    golden("found.txt", &found);
}

#[test]
fn compose_finds_the_same_ports_in_our_samples() {
    compare(&own());
}

#[test]
fn a_collection_of_others_is_read_as_compose_reads_it() {
    let Some(folder) = std::env::var_os("PROVISION_SAMPLES").map(PathBuf::from) else {
        println!("skipped: PROVISION_SAMPLES names no collection of Compose projects");
        return;
    };
    let written = std::fs::read_to_string(own().join("awesome-compose.txt")).unwrap_or_default();
    let mut all = String::new();
    for project in projects(&folder) {
        let bytes = format!(" ({})", digest(&project));
        let found = summary(&project, &bytes);
        // Those that were read before, byte for byte, are found the same again.
        if written.contains(&bytes) && std::env::var_os("UPDATE").is_none() {
            assert!(written.contains(&found), "{found}");
        }
        all.push_str(&found);
    }
    if std::env::var_os("UPDATE").is_some() {
        golden("awesome-compose.txt", &all);
    }
    compare(&folder);
}
