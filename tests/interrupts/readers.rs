//! Readers that go away, and outputs that take no more.

use std::fs::File;
use std::process::Stdio;

use crate::project::{DEMO, Project};
use crate::run::{Run, left_in_order, stream, until_kept, waiting};

const APPLIED: &str = include_str!("../state/v1-demo.json");

fn applied() -> Project {
    let project = Project::new(DEMO);
    project.write(".provision/demo/state.json", APPLIED);
    project
}

/// Exit code and standard error, with a standard output whose reader is gone.
fn unread(project: &Project, args: &[&str]) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = project
        .command(args)
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The same, with one that takes no more bytes.
fn full(project: &Project, args: &[&str]) -> (Option<i32>, String) {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = project
        .command(args)
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn what_only_reads_ends_quietly_when_nobody_reads_it() {
    let project = applied();
    for args in [
        ["output", "demo"].as_slice(),
        &["output", "demo", "--json"],
        &["schema"],
        &["schema", "events"],
    ] {
        assert_eq!(unread(&project, args), (Some(0), String::new()), "{args:?}");
    }
    let (code, said) = unread(&project, &["plan", "demo", "--json"]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
}

#[test]
fn an_output_that_is_full_is_told() {
    let project = applied();
    for args in [["output", "demo"].as_slice(), &["schema"], &["plan", "demo", "--json"]] {
        let (code, said) = full(&project, args);
        assert_eq!(code, Some(1), "{args:?}: {said}");
        assert!(
            said.contains("failed to write") && said.contains("No space left on device"),
            "{args:?}: {said}"
        );
    }
}

#[test]
fn nothing_is_begun_when_the_events_cannot_be_told() {
    let project = applied();
    let before = std::fs::read(project.root().join(".provision/demo/state.json")).unwrap();
    for (lost, words) in [
        (
            unread as fn(&Project, &[&str]) -> _,
            "stopped because nobody reads the events",
        ),
        (full, "failed to write the events to standard output"),
    ] {
        for command in ["apply", "destroy"] {
            let (code, said) = lost(&project, &[command, "demo", "--yes", "--json"]);
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains(words), "{said}");
            let after = std::fs::read(project.root().join(".provision/demo/state.json")).unwrap();
            assert!(
                before == after && !project.root().join(".provision/demo/history").exists(),
                "{command}: {said}"
            );
        }
    }
}

/// `provision apply demo 2>&1 | head -1`: it goes on without its audience.
#[test]
fn a_reader_of_words_that_goes_away_stops_nothing() {
    let project = waiting();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = project.command(&["apply", "demo", "--yes"]);
    let mut child = command
        .stdout(writer.try_clone().unwrap())
        .stderr(writer)
        .spawn()
        .unwrap();
    drop((command, reader));
    until_kept(&project, ".provision/demo/history/0001.json", "machine.instance");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it ended");
    crate::run::signal(child.id(), "TERM");
    assert_eq!(crate::run::ends(&mut child).code(), Some(130));
    left_in_order(&project, "interrupted");
}

/// A reader of lines that goes away in the middle: the step at work is brought to its end; here it has none, so that a signal
/// must still be heard.
#[test]
fn a_signal_is_heard_though_nobody_reads_the_lines() {
    let project = waiting();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = project.command(&["apply", "demo", "--yes", "--json"]);
    let run = Run::begin(command.stdout(writer));
    drop(command);
    until_kept(&project, ".provision/demo/state.json", "intended");
    drop(reader);
    run.signal("TERM");
    let (code, said) = run.end();
    assert_eq!(code, Some(130), "{said:#?}");
    left_in_order(&project, "interrupted");
}

#[test]
fn every_end_has_its_summary() {
    let refused = Project::new(&format!("protect = true\n{DEMO}"));
    refused.write(".provision/demo/state.json", APPLIED);
    for (project, args, result, code) in [
        (
            Project::new("machine = 1\n"),
            ["apply", "demo", "--yes"].as_slice(),
            "bad_input",
            3,
        ),
        (Project::new(DEMO), &["apply", "nowhere", "--yes"], "bad_input", 3),
        (Project::new(DEMO), &["apply", "demo"], "bad_input", 3),
        (Project::new(DEMO), &["apply", "demo", "--yes"], "failed", 1),
        (Project::new(DEMO), &["plan", "demo"], "done", 0),
        (
            Project::new(DEMO),
            &["plan", "demo", "--detailed-exitcode"],
            "pending",
            2,
        ),
        (Project::new(DEMO), &["destroy", "demo", "--yes"], "done", 0),
        (refused, &["destroy", "demo", "--yes"], "refused", 5),
    ] {
        let output = project.output(&[args, &["--json"]].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let summary = stream(&text);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert_eq!(
            (&summary["result"], &summary["exit_code"]),
            (&result.into(), &code.into()),
            "{text}"
        );
        let wrong = !["done", "pending"].contains(&result);
        assert_eq!(summary.get("error").is_some(), wrong, "{text}");
        if args[0] == "plan" {
            assert_eq!(summary["changes"]["create"], 5, "{text}");
            assert_eq!(text.matches("\"event\":\"planned\"").count(), 5, "{text}");
        }
    }
}

#[tokio::test]
async fn a_locked_environment_has_its_summary() {
    let project = applied();
    let folder = project.root().join(".provision/demo");
    let lock = provision::state::Lock::try_acquire(&provision::state::Storage::local(&folder), "apply", None).unwrap();
    let output = project.output(&["apply", "demo", "--yes", "--json"]);
    drop(lock);
    assert_eq!(output.status.code(), Some(4));
    let summary = stream(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(summary["result"], "locked");
    let what = summary["error"]["what"].as_str().unwrap();
    assert!(what.starts_with("the environment is locked by"), "{what}");
}

#[test]
fn the_page_names_every_event_and_every_field_of_the_summary() {
    let page = include_str!("../../docs/events.md");
    let schema = provision::progress::stream::schema();
    let mut names: Vec<String> = Vec::new();
    for event in schema["oneOf"].as_array().unwrap() {
        names.push(event["properties"]["event"]["const"].as_str().unwrap().to_owned());
        names.extend(event["properties"].as_object().unwrap().keys().cloned());
    }
    assert!(names.len() > 40, "{schema:#}");
    for name in names {
        assert!(
            page.contains(&format!("`{name}`")),
            "docs/events.md does not name `{name}`"
        );
    }
}
