//! `provision state`: what is recorded is looked at and worked on by hand, and never without a copy.

use std::path::PathBuf;

use serde_json::Value;

use crate::project::Project;
use crate::state::{APPLIED, with_state};

/// Runs it, insists on its exit code, and tells both outputs.
#[track_caller]
fn ends(project: &Project, args: &[&str], code: i32) -> String {
    let output = project.output(args);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    said
}

fn state(project: &Project) -> Value {
    let text = std::fs::read_to_string(project.root().join(".provision/demo/state.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The copy that a command says it kept.
#[track_caller]
fn copy(said: &str) -> String {
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("note: the state as it was is kept as "));
    let path = PathBuf::from(line.unwrap_or_else(|| panic!("no copy is told:\n{said}")));
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn what_is_forgotten_can_be_put_back() {
    let project = with_state(APPLIED);
    let said = ends(&project, &["state", "rm", "demo", "stack.postgres", "--yes"], 0);
    assert_eq!(copy(&said), APPLIED);
    assert!(state(&project)["resources"].get("stack.postgres").is_none());
    let serial = state(&project)["serial"].as_u64().unwrap();
    ends(&project, &["state", "rm", "demo", "stack.postgres", "--yes"], 3);

    project.write("before.json", APPLIED);
    ends(&project, &["state", "push", "demo", "before.json"], 5);
    let said = ends(&project, &["state", "push", "demo", "before.json", "--force"], 0);
    assert!(copy(&said).contains(&format!("\"serial\": {serial}")));
    let now = state(&project);
    assert!(now["resources"].get("stack.postgres").is_some());
    assert!(
        now["serial"].as_u64().unwrap() > serial,
        "who still has the other one cannot write it"
    );
}

#[test]
fn what_is_pulled_can_be_pushed() {
    let project = with_state(APPLIED);
    let pulled = ends(&project, &["state", "pull", "demo"], 0);
    assert_eq!(pulled, APPLIED);
    project.write("changed.json", &pulled.replace("t3.small", "t3.medium"));
    let said = ends(&project, &["state", "push", "demo", "changed.json"], 0);
    assert!(said.contains("as serial 15"), "{said}");
    // Whoever pulled before cannot push any more.
    ends(&project, &["state", "push", "demo", "changed.json"], 5);
}

#[test]
fn a_damaged_state_is_put_aside_by_force() {
    let project = with_state("{\"version\": 1, \"ser");
    assert_eq!(ends(&project, &["state", "pull", "demo"], 0), "{\"version\": 1, \"ser");
    project.write("good.json", APPLIED);
    ends(&project, &["state", "push", "demo", "good.json"], 1);
    let said = ends(&project, &["state", "push", "demo", "good.json", "--force"], 0);
    assert_eq!(copy(&said), "{\"version\": 1, \"ser");
    assert_eq!(state(&project)["serial"], 15);
}
