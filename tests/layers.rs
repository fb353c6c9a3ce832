//! Which module may know which: data flows one way, and nothing on the right is known on the left.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Each module with what it may import beside itself. A path such as `remote::probe` allows that part only.
const LAYERS: [(&str, &[&str]); 20] = [
    ("names", &[]),
    ("secret", &[]),
    ("note", &[]),
    ("svg", &[]),
    ("certificate", &["secret"]),
    ("environment", &["certificate", "names", "secret"]),
    ("render", &["names", "secret"]),
    ("state", &["names", "secret"]),
    ("remote", &["names", "secret", "note"]),
    // `remote`: a host that was there before is its own provider, and is asked over SSH.
    ("provider", &["names", "secret", "note", "remote"]),
    // `provider`: the types of a machine that is asked for, and the aliases of images.
    ("desired", &["environment", "render", "names", "secret", "provider"]),
    (
        "observe",
        &["certificate", "provider", "remote", "note", "names", "secret"],
    ),
    // `provider` and `remote::probe`: the types of what is asked for and of what was seen.
    (
        "plan",
        &[
            "desired",
            "state",
            "observe",
            "remote::probe",
            "render",
            "provider",
            "names",
        ],
    ),
    (
        "planfile",
        &[
            "plan",
            "desired",
            "environment",
            "state::model::WRITER",
            "observe",
            "remote::probe",
            "provider",
            "names",
        ],
    ),
    (
        "apply",
        &[
            "plan", "desired", "state", "provider", "remote", "render", "observe", "names", "note", "secret",
        ],
    ),
    ("progress", &["apply::event", "names"]),
    // `progress`: the words for a run that ended, times and sizes.
    ("history", &["apply::event", "progress", "names", "svg"]),
    // `observe::outside`, `remote::audit`: the types of what was seen; `provider`: whose the host is.
    (
        "audit",
        &[
            "desired",
            "observe::outside::Outside",
            "remote::audit",
            "provider",
            "render",
            "names",
        ],
    ),
    ("graph", &["desired", "render", "names", "svg"]),
    ("cli", &["names"]),
];

/// Modules that see everything and are seen by nobody.
const ABOVE: [&str; 3] = ["commands", "lib", "main"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file: without comments, and without the tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths behind `crate::`, groups in braces taken apart: `crate::{a::B, c}` is `a::B` and `c`.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, rest) in code
        .match_indices("crate::")
        .map(|(at, word)| (at, &code[at + word.len()..]))
    {
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut start = 0;
            for (at, character) in group.char_indices() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => {
                        found.insert(path(&group[start..at]));
                        break;
                    }
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        found.insert(path(&group[start..at]));
                        start = at + 1;
                    }
                    _ => {}
                }
            }
        } else {
            found.insert(path(rest));
        }
    }
    found.remove("");
    found
}

fn path(text: &str) -> String {
    let text = text.trim_start();
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    text[..end.unwrap_or(text.len())].trim_end_matches(':').to_owned()
}

#[test]
fn every_module_imports_only_what_its_layer_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let allowed: BTreeMap<&str, &[&str]> = LAYERS.into_iter().collect();
    let mut wrong = BTreeSet::new();
    for file in files {
        let name = file.strip_prefix(&root).unwrap().with_extension("");
        let parts: Vec<String> = name.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let module = parts[0].as_str();
        let test = module == "fixture" || parts.iter().any(|part| part == "tests" || part.ends_with("_tests"));
        if test || ABOVE.contains(&module) {
            continue;
        }
        let Some(may) = allowed.get(module) else {
            panic!("src/{module} has no place in the layers: give it one above");
        };
        for import in imports(&code(&std::fs::read_to_string(&file).unwrap())) {
            let within = |layer: &str| import == layer || import.starts_with(&format!("{layer}::"));
            if !within(module) && !may.iter().any(|layer| within(layer)) {
                wrong.insert(format!("{} imports crate::{import}", name.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_planner_is_pure() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    for pure in ["plan", "planfile", "render", "desired", "graph"] {
        sources(&root.join(pure), &mut files);
    }
    let impure = [
        "async ",
        ".await",
        "tokio::",
        "std::fs",
        "std::net",
        "SystemTime",
        "Instant::now",
        "Timestamp::now",
        "getrandom",
        "std::env::var",
    ];
    for file in files
        .iter()
        .filter(|file| !file.components().any(|part| part.as_os_str() == "tests"))
    {
        let code = code(&std::fs::read_to_string(file).unwrap());
        for word in impure {
            assert!(!code.contains(word), "{} holds `{word}`", file.display());
        }
    }
}

#[test]
fn imports_are_found_in_every_shape() {
    let text = "use crate::names::{A, B};\nuse crate::{state::State, plan::{self, Step}, note};\nlet x = crate::secret::f(1);\n// crate::cli\n";
    let expected = ["names", "note", "plan", "secret::f", "state::State"];
    assert_eq!(imports(&code(text)).into_iter().collect::<Vec<_>>(), expected);
}
