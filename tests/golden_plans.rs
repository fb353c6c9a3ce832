//! Golden plans: `tests/cases/<name>/{environment.toml, state.json, observed.json}` must give `plan.txt`.
//!
//! `UPDATE=1 cargo test` writes them anew: the library's tests write what goes in, this one what comes out. Look at the
//! difference before you commit it.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::path::Path;

use provision::desired::{Desired, Given, desire, secrets};
use provision::environment::load;
use provision::observe::Observed;
use provision::plan::{Allowed, plan, render_plan};
use provision::render::Bindings;
use provision::secret::{FingerprintKey, Secret};
use provision::state::State;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the environment file asks for, with secrets that are easy to find where they must not be.
fn desired(environment: &str, state: &State) -> Desired {
    let project = tempfile::tempdir().unwrap();
    let folder = project.path().join("environments");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(format!("{}.toml", state.environment)), environment).unwrap();
    let sources = load(project.path(), &state.environment).unwrap();
    let values = secrets::sources(&sources)
        .into_keys()
        .map(|name| (name.clone(), Secret::new(format!("5ecret-{name}"))));
    let bindings = Bindings {
        endpoint: state.endpoint(),
        secrets: values.collect::<BTreeMap<_, _>>(),
        fingerprints: FingerprintKey::new(Secret::new("of the fixture")),
        host_key: None,
    };
    let given = Given {
        name: &state.environment,
        lineage: &state.lineage,
        authorized_keys: &["ssh-ed25519 AAAA operator".to_owned()],
        host_key_public: "ssh-ed25519 BBBB demo",
        bindings: &bindings,
    };
    desire(&sources, &given).unwrap()
}

#[test]
fn every_case_gives_its_plan() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut folders: Vec<_> = std::fs::read_dir(&cases)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    assert!(folders.len() >= 9, "{folders:?}");
    let mut wrong = Vec::new();
    for case in folders {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let state: State = serde_json::from_str(&read(&case.join("state.json"))).unwrap();
        let desired = desired(&read(&case.join("environment.toml")), &state);
        let script = desired.base.digest();
        let filled = |file: &str| {
            read(&case.join(file))
                .replace("CONVERGE-SCRIPT", script.as_str())
                .replace("FIRST-BOOT", desired.instance.first_boot.as_str())
        };
        let state: State = serde_json::from_str(&filled("state.json")).unwrap();
        let observed: Observed = serde_json::from_str(&filled("observed.json")).unwrap();
        let planned = plan(&desired, &state, &observed, Allowed::default());
        let text = render_plan(&planned, false).replace(script.short(), "CONVERGE-SCRIPT");
        assert!(
            !text.contains("5ecret") && !format!("{planned:?}").contains("5ecret"),
            "{name} shows a secret"
        );
        let nothing_to_do = ["settled", "drift-recorded"].contains(&name.as_str());
        assert_eq!(planned.is_empty(), nothing_to_do, "{name}:\n{text}");
        let path = case.join("plan.txt");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &text).unwrap();
        } else if read(&path) != text {
            wrong.push(format!("--- {name}\n{text}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "these plans are others than those in tests/cases; when that is meant, run UPDATE=1 cargo test\n{}",
        wrong.join("\n")
    );
}
