//! Every reader of a file that somebody could hand us: whatever is in it, the answer is a value or a message with a place in that
//! file, soon, and never a panic, an overflow of the stack or a hang.
//!
//! Real files are mutated at random; a failing input is made small and shown. `PROVISION_FUZZ_CASES` says how many a reader gets.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's helpers are tests too; clippy's own exception knows only functions marked as one"
)]

#[path = "fuzz/mutate.rs"]
mod mutate;

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutate::{Mutation, mutations};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use provision::desired::{Given, desire};
use provision::environment::compose::Compose;
use provision::environment::decode::decode;
use provision::environment::diagnostic::{Problems, Source};
use provision::environment::manifest::Manifest;
use provision::environment::{LoadError, load};
use provision::names::{EnvironmentName, Lineage};
use provision::plan::render_outline;
use provision::planfile::{PlanFile, markdown};
use provision::remote::Probe;
use provision::render::Bindings;
use provision::state::Store;

/// Longer than any reader takes for 1 MiB, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// What Linux gives a program's main thread, in bytes.
const STACK: usize = 8 << 20;

/// Cases a reader, when nobody says otherwise: some seconds each in a debug build.
const CASES: u32 = 1500;

/// The worst YAML there is for a reader that follows references.
const LAUGHS: &str = "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\n\
    e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]\ng: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f]\nservices: {web: {image: *g, ports: *g}}\n";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every file below a folder whose name ends so.
fn files(folder: &str, ending: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut folders = vec![repository(folder)];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                found.push(fs::read(&path).unwrap());
            }
        }
    }
    assert!(!found.is_empty(), "no {ending} below {folder}");
    found
}

/// Hands mutated `seeds` to a reader, which looks at what comes of it. On as much stack as the program's main thread has.
fn fuzz(seeds: &[Vec<u8>], share: u32, read: impl Fn(&[u8]) -> Result<(), TestCaseError> + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let run = thread.spawn_scoped(scope, || fuzz_here(seeds, share, read)).unwrap();
        if let Err(panic) = run.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn fuzz_here(seeds: &[Vec<u8>], share: u32, read: impl Fn(&[u8]) -> Result<(), TestCaseError>) {
    for seed in seeds {
        read(seed).unwrap();
    }
    let cases = std::env::var("PROVISION_FUZZ_CASES").map_or(CASES, |text| text.parse().unwrap());
    let mut runner = TestRunner::new(Config {
        cases: (cases / share).max(1),
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..Config::default()
    });
    let slowest = Cell::new(Duration::ZERO);
    let result = runner.run(&(0..seeds.len(), mutations()), |(seed, mutations)| {
        let bytes = mutated(seeds, seed, &mutations);
        let begun = Instant::now();
        read(&bytes)?;
        slowest.set(slowest.get().max(begun.elapsed()));
        prop_assert!(begun.elapsed() < PATIENCE, "it took {:?}", begun.elapsed());
        Ok(())
    });
    if let Err(proptest::test_runner::TestError::Fail(why, (seed, mutations))) = result {
        let input = mutated(seeds, seed, &mutations);
        panic!("{why}\nwith this file:\n{}", String::from_utf8_lossy(&input));
    }
    result.unwrap();
    println!("the slowest of {cases} took {:?}", slowest.get());
}

fn mutated(seeds: &[Vec<u8>], seed: usize, mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = seeds[seed].clone();
    for mutation in mutations {
        mutation.apply(&mut bytes, seeds);
    }
    bytes
}

/// Mistakes can be shown, stand where the file is, and say something.
fn shown(problems: &Problems) -> Result<(), TestCaseError> {
    let text = problems.render(false, 100);
    prop_assert!(!text.trim().is_empty());
    for problem in problems.iter() {
        prop_assert!(!problem.message.is_empty());
        if let Some(source) = &problem.source {
            let span = &problem.span;
            prop_assert!(source.text.get(span.clone()).is_some(), "{span:?} is not in the file");
        }
    }
    Ok(())
}

fn understood<T>(result: Result<T, Problems>) -> Result<(), TestCaseError> {
    result.map_or_else(|problems| shown(&problems), |_| Ok(()))
}

fn text(bytes: &[u8], read: impl FnOnce(Source) -> Result<(), TestCaseError>) -> Result<(), TestCaseError> {
    match Source::from_bytes("file", bytes.to_vec()) {
        Ok(source) => read(source),
        Err(problems) => shown(&problems),
    }
}

#[test]
fn environment_files() {
    fuzz(&files("environments", ".toml"), 1, |bytes| {
        text(bytes, |source| understood(decode(&source)))
    });
}

#[test]
fn manifests_of_stacks() {
    fuzz(&files("compose", "stack.toml"), 1, |bytes| {
        text(bytes, |source| understood(Manifest::decode(&source)))
    });
}

#[test]
fn compose_files() {
    fuzz(&files("compose", ".yaml"), 1, |bytes| {
        text(bytes, |source| understood(Compose::decode(&source)))
    });
}

#[test]
fn references_to_references_to_references_are_refused_soon() {
    let begun = Instant::now();
    let problems = Compose::decode(&Source::new("file", LAUGHS)).unwrap_err();
    assert!(shown(&problems).is_ok());
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn a_variable_in_the_default_of_a_variable_and_so_on_costs_no_stack() {
    let begun = Instant::now();
    let nested = format!("services: {{web: {{image: '{}'}}}}", "${A:-".repeat(100_000));
    assert!(Compose::decode(&Source::new("file", nested)).is_ok());
    let closed = format!(
        "services: {{web: {{image: '{}{}'}}}}",
        "${A:-".repeat(100_000),
        "}".repeat(100_000)
    );
    assert!(Compose::decode(&Source::new("file", closed)).is_ok());
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn states() {
    let folder = tempfile::tempdir().unwrap();
    let name: EnvironmentName = "demo".parse().unwrap();
    let store = Store::new(folder.path(), &name);
    store.prepare().unwrap();
    fuzz(&files("tests/state", ".json"), 1, |bytes| {
        fs::write(store.folder().join("state.json"), bytes).unwrap();
        match store.load() {
            Ok(state) => prop_assert!(state.is_some()),
            Err(why) => prop_assert!(!why.to_string().is_empty() && !why.remedy().is_empty()),
        }
        Ok(())
    });
}

#[test]
fn probes() {
    let mut seeds = Vec::new();
    for observed in files("tests/cases", "observed.json") {
        let observed: serde_json::Value = serde_json::from_slice(&observed).unwrap();
        if let Some(probe) = observed["host"].get("seen") {
            seeds.push(serde_json::to_vec_pretty(probe).unwrap());
        }
    }
    assert!(!seeds.is_empty());
    fuzz(&seeds, 1, |bytes| {
        if let Err(why) = Probe::parse(bytes) {
            let text = why.to_string();
            prop_assert!(
                text.starts_with("failed to read the host's probe") && text.len() < 2000,
                "{text}"
            );
        }
        Ok(())
    });
}

/// Saved plans, through to what is shown of them: a plan comes from another computer's run.
#[test]
fn saved_plans() {
    fuzz(&files("src/planfile/tests", ".json"), 1, |bytes| {
        match PlanFile::parse(bytes) {
            Ok(plan) => {
                prop_assert!(!render_outline(&plan.plan, false).is_empty());
                prop_assert!(!markdown(&plan).is_empty());
                let again = plan.pretty().map_err(|why| TestCaseError::fail(why.to_string()))?;
                prop_assert!(
                    PlanFile::parse(again.as_bytes()).is_ok(),
                    "it does not read what it wrote"
                );
            }
            Err(why) => prop_assert!(!why.to_string().is_empty() && !why.remedy().is_empty()),
        }
        Ok(())
    });
}

/// The three kinds of files in their places, through to what shall be.
#[test]
fn whole_projects() {
    let folder = tempfile::tempdir().unwrap();
    let name: EnvironmentName = "demo".parse().unwrap();
    for folder_of in ["environments", "shop"] {
        fs::create_dir_all(folder.path().join(folder_of)).unwrap();
    }
    let written = [
        (
            "environments/demo.toml",
            "[machine.local]\nimage = \"/images/debian-13.qcow2\"\n[vars]\nwho = \"you\"\n[secrets]\nKEY = { generate = 32 }\n[stacks.postgres]\ndatabases = [\"shop\"]\n\
            [stacks.shop]\npath = \"../shop\"\nwho = \"{{vars.who}}\"\nenv = { URL = \"{{stacks.postgres.url.shop}}\", KEY = \"{{secrets.KEY}}\" }\nscale = { web = 2 }\n[routes]\n\"/api/*\" = \"web:80\"\n\"/\" = \"web:80\"\n",
        ),
        (
            "shop/stack.toml",
            "requires = [\"postgres\"]\nmemory_mib = 64\n[parameters.who]\nhelp = \"who\"\ndefault = \"me\"\n[env]\nWHO = \"{{parameters.who}}\"\n[jobs]\nbefore_deploy = [\"migrate\"]\n",
        ),
        (
            "shop/compose.yaml",
            "services:\n  web:\n    image: \"shop:${TAG:-1}\"\n    env_file: [.env]\n    networks: [provision]\n    healthcheck: {test: [CMD, \"true\"]}\n  migrate:\n    image: shop:1\n    profiles: [job]\nnetworks:\n  provision: {external: true}\n",
        ),
    ];
    let keys = ["ssh-ed25519 AAAA somebody".to_owned()];
    for (mutated, _) in written {
        for (path, text) in written {
            fs::write(folder.path().join(path), text).unwrap();
        }
        let seeds = [fs::read(folder.path().join(mutated)).unwrap()];
        fuzz(&seeds, 4, |bytes| {
            fs::write(folder.path().join(mutated), bytes).unwrap();
            let sources = match load(folder.path(), &name) {
                Ok(sources) => sources,
                Err(LoadError::Problems(problems)) => return shown(&problems),
                Err(other) => return Err(TestCaseError::fail(other.to_string())),
            };
            let given = Given {
                name: &name,
                lineage: &Lineage::from_bytes([1; 16]),
                authorized_keys: &keys,
                host_key_public: "ssh-ed25519 BBBB demo",
                bindings: &Bindings::default(),
            };
            understood(desire(&sources, &given))
        });
    }
}
