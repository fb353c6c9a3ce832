//! `provision secrets …`: values into the bundle and out of it, without a machine.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends at what it did not expect"
)]

#[path = "messages/project.rs"]
#[allow(dead_code, unused_macros, unused_imports)]
mod project;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use project::Project;
use serde_json::Value;

const MARKER: &str = "canary-6f1d-value";

/// A stack of two services that use three secrets.
fn shop() -> Project {
    let project = Project::new(
        "\
[machine.local]
image = \"base.qcow2\"

[secrets]
APP_KEY = { generate = 32, retention = \"48h\" }
STRIPE_KEY = { bundle = true }
TOKEN = { env = \"TOKEN\" }

[stacks.web]
path = \"../web\"
env = { APP_KEY = \"{{secrets.APP_KEY}}\", BEFORE = \"{{secrets.APP_KEY_ROTATING_FROM}}\", STRIPE = \"{{secrets.STRIPE_KEY}}\", TOKEN = \"{{secrets.TOKEN}}\" }

[routes]
\"/\" = \"web:8000\"
",
    );
    project.write(
        "web/compose.yaml",
        "\
services:
  web:
    image: web:1
    environment: [APP_KEY, BEFORE]
  worker:
    image: web:1
    environment: { STRIPE: '${STRIPE}', TOKEN: '${TOKEN}' }
",
    );
    project.with("TOKEN", "token-of-the-shell")
}

fn text(output: &Output) -> String {
    let both = [output.stderr.as_slice(), &output.stdout].concat();
    String::from_utf8(both).unwrap()
}

fn done(project: &Project, args: &[&str]) -> String {
    let output = project.output(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn given(project: &Project, args: &[&str], input: &str) -> Output {
    let mut child = project
        .command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// An editor that runs a script on the file, `$1`.
fn editor(project: &Project, script: &str) -> String {
    let path = project.write("editor", &format!("#!/bin/sh\nset -eu\n{script}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

fn edit(project: &Project, script: &str) -> Output {
    let editor = editor(project, script);
    project
        .command(&["secrets", "edit", "demo"])
        .env("EDITOR", editor)
        .output()
        .unwrap()
}

/// Every file below the project's folder.
fn files(project: &Project) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![project.root()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files
}

#[test]
fn what_is_set_is_got_and_lies_nowhere_in_the_clear() {
    let project = shop();
    let set = given(
        &project,
        &["secrets", "set", "demo", "STRIPE_KEY"],
        &format!("{MARKER}\n"),
    );
    assert!(set.status.success(), "{}", text(&set));
    let told = text(&set);
    assert!(told.contains("set STRIPE_KEY\n  stack.web restarts worker\n"), "{told}");
    assert!(!told.contains(MARKER), "{told}");
    assert_eq!(
        done(&project, &["secrets", "get", "demo", "STRIPE_KEY"]),
        format!("{MARKER}\n")
    );
    assert_eq!(
        done(&project, &["secrets", "get", "demo", "STRIPE_KEY", "--raw"]),
        MARKER
    );
    assert_eq!(
        done(&project, &["secrets", "get", "demo", "TOKEN", "--raw"]),
        "token-of-the-shell"
    );
    for path in files(&project) {
        let bytes = fs::read(&path).unwrap();
        let found = bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes());
        assert!(!found, "{}", path.display());
    }
    let again = given(&project, &["secrets", "set", "demo", "STRIPE_KEY"], MARKER);
    assert_eq!(again.status.code(), Some(3), "{}", text(&again));
}

#[test]
fn a_list_tells_everything_but_values() {
    let project = shop();
    given(&project, &["secrets", "set", "demo", "STRIPE_KEY"], MARKER);
    given(&project, &["secrets", "set", "demo", "APP_KEY"], &format!("{MARKER}-1"));
    done(&project, &["secrets", "rotate", "demo", "APP_KEY"]);
    let table = done(&project, &["secrets", "list", "demo"]);
    let json = done(&project, &["secrets", "list", "demo", "--json"]);
    assert!(!format!("{table}{json}").contains(MARKER), "{table}{json}");
    for word in [
        "APP_KEY",
        "generated, 32 long",
        "variable TOKEN",
        "set by hand",
        "the next apply brings it out",
    ] {
        assert!(table.contains(word), "{word} in\n{table}");
    }
    let list: Vec<Value> = serde_json::from_str(&json).unwrap();
    let app = list.iter().find(|secret| secret["name"] == "APP_KEY").unwrap();
    assert_eq!((&app["by"], &app["kept"]), (&"generated".into(), &true.into()));
    assert_eq!(app["retention_seconds"], 48 * 3600);
    assert_eq!(app["before"][0]["until"], Value::Null);
    assert_eq!(app["used_by"][0]["then"], "restarts web");
}

#[test]
fn a_rotation_keeps_the_value_before() {
    let project = shop();
    given(&project, &["secrets", "set", "demo", "APP_KEY"], "first-value");
    let told = project.output(&["secrets", "rotate", "demo", "APP_KEY"]);
    let told = text(&told);
    for word in [
        "rotated APP_KEY",
        "stack.web restarts web",
        "{{secrets.APP_KEY_ROTATING_FROM}}",
        "provision apply demo",
    ] {
        assert!(told.contains(word), "{word} in\n{told}");
    }
    let value = done(&project, &["secrets", "get", "demo", "APP_KEY", "--raw"]);
    assert_eq!(value.len(), 32);
    assert!(!told.contains(&value));
    let former = ["secrets", "get", "demo", "APP_KEY_ROTATING_FROM", "--raw"];
    assert_eq!(done(&project, &former), "first-value");
    done(&project, &["secrets", "rotate", "demo", "APP_KEY"]);
    assert_eq!(done(&project, &former), format!("{value},first-value"));
}

#[test]
fn one_wrong_name_rotates_nothing() {
    let project = shop();
    given(&project, &["secrets", "set", "demo", "APP_KEY"], "first-value");
    let refused = project.output(&["secrets", "rotate", "demo", "APP_KEY", "STRIPE_KEY"]);
    assert_eq!(refused.status.code(), Some(3));
    assert_eq!(
        done(&project, &["secrets", "get", "demo", "APP_KEY", "--raw"]),
        "first-value"
    );
}

#[test]
fn an_edit_is_saved_and_its_file_is_gone() {
    let project = shop();
    given(&project, &["secrets", "set", "demo", "STRIPE_KEY"], "before");
    let seen = project.root().join("seen");
    let script = format!(
        "stat -c '%a %n' \"$1\" >{0}; cp \"$1\" {0}.copy; sed -i 's/before/a \\\\\"quoted\\\\\" value/' \"$1\"; : >\"$1~\"",
        seen.display()
    );
    let output = edit(&project, &script);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("set STRIPE_KEY"), "{}", text(&output));
    let seen_file = fs::read_to_string(&seen).unwrap();
    let (mode, path) = seen_file.trim().split_once(' ').unwrap();
    assert_eq!(mode, "600");
    let path = PathBuf::from(path);
    assert!(!path.exists() && !path.parent().unwrap().exists(), "nothing is left");
    assert!(path.starts_with("/dev/shm") || !PathBuf::from("/dev/shm").is_dir());
    let shown = fs::read_to_string(project.root().join("seen.copy")).unwrap();
    assert!(
        shown.contains("# APP_KEY = \"\"") || shown.contains("no value yet"),
        "{shown}"
    );
    assert!(
        !shown.contains("TOKEN"),
        "what comes from elsewhere is not edited here: {shown}"
    );
    assert_eq!(
        done(&project, &["secrets", "get", "demo", "STRIPE_KEY", "--raw"]),
        "a \"quoted\" value"
    );
}

#[test]
fn an_edit_that_cannot_be_read_is_neither_saved_nor_lost() {
    let project = shop();
    given(&project, &["secrets", "set", "demo", "STRIPE_KEY"], "before");
    let output = edit(&project, "sed -i 's/\"before\"/\"never-lost/' \"$1\"");
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    let told = text(&output);
    assert!(!told.contains("never-lost"), "{told}");
    let kept = told
        .split("what you wrote is in ")
        .nth(1)
        .and_then(|rest| rest.lines().next())
        .unwrap();
    assert!(fs::read_to_string(kept).unwrap().contains("never-lost"));
    fs::remove_dir_all(PathBuf::from(kept).parent().unwrap()).unwrap();
    assert_eq!(
        done(&project, &["secrets", "get", "demo", "STRIPE_KEY", "--raw"]),
        "before"
    );
}

#[test]
fn an_edit_that_changes_nothing_writes_nothing() {
    let project = shop();
    given(&project, &["secrets", "set", "demo", "STRIPE_KEY"], "before");
    let bundle = project.root().join(".provision/demo/secrets.age");
    let before = fs::read(&bundle).unwrap();
    let output = edit(&project, "true");
    assert!(text(&output).contains("nothing was changed"), "{}", text(&output));
    assert_eq!(fs::read(&bundle).unwrap(), before);
    assert_eq!(edit(&project, "exit 1").status.code(), Some(3));
}

/// The program that is asked for one secret is not handed the key to all of them.
#[test]
fn a_command_does_not_see_the_identity() {
    let project = Project::new(
        "\
[machine.local]
image = \"base.qcow2\"
[secrets]
SEEN = { command = [\"sh\", \"-c\", \"echo identity:${PROVISION_IDENTITY:-none}\"] }
[stacks.web]
path = \"../web\"
[routes]
\"/\" = \"web:8000\"
",
    )
    .with("PROVISION_IDENTITY", "AGE-SECRET-KEY-1");
    assert_eq!(
        done(&project, &["secrets", "get", "demo", "SEEN", "--raw"]),
        "identity:none"
    );
}

/// `init` makes the identity and says once what to back up.
#[test]
fn init_makes_an_identity_once() {
    let project = Project::empty();
    let identity = project.root().join("home/config/provision/identity");
    let first = text(&project.output(&["init", "one"]));
    assert!(first.contains("Back it up"), "{first}");
    assert_eq!(fs::metadata(&identity).unwrap().permissions().mode() & 0o777, 0o600);
    let second = text(&project.output(&["init", "two"]));
    assert!(!second.contains("Back it up"), "{second}");
    assert!(!format!("{first}{second}").contains("AGE-SECRET-KEY"));
    let given = Project::empty().with("PROVISION_IDENTITY", fs::read_to_string(&identity).unwrap());
    assert!(!text(&given.output(&["init", "three"])).contains("Back it up"));
    assert!(!given.root().join("home/config").exists());
}
