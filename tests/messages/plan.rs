//! Saved plans: what is told of one that cannot be used, and of one that is stale. No machine is needed: of an environment
//! that was never applied everything is planned.

use std::os::unix::fs::PermissionsExt as _;

use crate::project::{DEMO, Project, snapshot, told};

/// What differs from run to run in a plan.
const FILTERS: [(&str, &str); 4] = [
    (r"[0-9a-f]{12} \(first boot", "[digest] (first boot"),
    (r"[0-9a-f]{64}", "[digest]"),
    (r"[0-9a-f]{32}", "[lineage]"),
    (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "[time]"),
];

/// What differs from run to run in a comment.
const COMMENT: [(&str, &str); 3] = [
    (r"at \d{4}-\d\d-\d\d \d\d:\d\d UTC", "at [time]"),
    (r"[0-9a-f]{12} \(first boot", "[digest] (first boot"),
    // Cut where the folder's name is long.
    (r"image \[root\][^|]*\|", "image [path] |"),
];

/// A project with a plan in `demo.plan`.
fn planned(args: &[&str]) -> Project {
    let project = Project::new(DEMO);
    let output = project.output(&[&["plan", "demo", "--out", "demo.plan"], args].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    project
}

fn with_plan(change: impl Fn(String) -> String) -> Project {
    let project = planned(&[]);
    let text = std::fs::read_to_string(project.root().join("demo.plan")).unwrap();
    project.write("demo.plan", &change(text));
    project
}

told! {
    plan_that_is_saved: Project::new(DEMO), ["plan", "demo", "--out", "demo.plan"];
    plan_of_a_part: Project::new(DEMO), ["plan", "demo", "--target", "stack.web"];
    plan_for_an_unknown_target: Project::new(DEMO), ["plan", "demo", "--target", "stack.wbe"];
    plan_for_a_target_of_no_kind: Project::new(DEMO), ["plan", "demo", "--target", "web"];
    plan_that_replaces_what_cannot_be: Project::new(DEMO), ["plan", "demo", "--replace", "host.base"];
    plan_to_destroy_what_was_never_applied: Project::new(DEMO), ["plan", "demo", "--destroy"];
    plan_to_destroy_a_part: Project::new(DEMO), ["plan", "demo", "--destroy", "--target", "stack.web"];
    plan_over_another_file: Project::new(DEMO), ["plan", "demo", "--out", "environments/demo.toml"];
    plan_into_no_folder: Project::new(DEMO), ["plan", "demo", "--out", "missing/demo.plan"];
    apply_of_no_file: Project::new(DEMO), ["apply", "demo.plan"];
    apply_of_a_file_that_is_no_plan: Project::new(DEMO), ["apply", "environments/demo.toml"];
    apply_of_other_json: with_plan(|_| "{\"format\": \"else\", \"version\": 1}".into()), ["apply", "demo.plan"];
    apply_of_a_plan_that_is_cut_short: with_plan(|text| text[..text.find("\"environment\"").unwrap() + 9].into()), ["apply", "demo.plan"];
    apply_of_a_newer_plan: with_plan(|text| text.replace("\"version\": 1", "\"version\": 7").replace("provision 0.1.0", "provision 9.0.0")), ["apply", "demo.plan"];
    apply_of_a_damaged_plan: with_plan(|text| text.replace("\"serial\": 0", "\"serial\": -1")), ["apply", "demo.plan"];
    apply_of_a_plan_that_is_refused: with_plan(|text| text.replace("\"refusals\": []", "\"refusals\": [\"it cannot be\"]")), ["apply", "demo.plan"];
    apply_of_a_plan_with_options: planned(&[]), ["apply", "demo.plan", "--target", "stack.web"];
    apply_of_a_plan_of_an_environment_that_is_gone: {
        let project = planned(&[]);
        std::fs::remove_file(project.root().join("environments/demo.toml")).unwrap();
        project.write("environments/prod.toml", DEMO);
        project
    }, ["apply", "demo.plan"];
    apply_of_a_name_with_a_space: Project::new(DEMO), ["apply", "my demo"];
    stale_plan_after_an_edit: {
        let project = planned(&["--target", "stack.web"]);
        project.write("web/compose.yaml", "services:\n  web:\n    image: web:2\n");
        project.write("environments/demo.toml", &DEMO.replace("8000", "9000"));
        project.write("web/more.txt", "new");
        project
    }, ["apply", "demo.plan"];
    stale_plan_after_another_apply: {
        let project = planned(&[]);
        project.write(".provision/demo/state.json", crate::state::APPLIED);
        project
    }, ["apply", "demo.plan"];
    stale_plan_that_was_changed_by_hand: with_plan(|text| text.replace("\"web:1\"", "\"web:2\"")), ["apply", "demo.plan"];
    stale_plan_of_a_program_that_renders_otherwise: with_plan(|text| {
        let base = text.find("\"host.base\": \"").unwrap() + 14;
        let mut text = text.replace("provision 0.1.0", "provision 0.0.9");
        text.replace_range(base..base + 4, "0000");
        text
    }), ["apply", "demo.plan"];
    show_a_plan: planned(&[]), ["show", "demo.plan"];
    show_what_writes_over_the_terminal: with_plan(|text| text.replace("\"web:1\"", "\"\\u001b[2Jweb\"")), ["show", "demo.plan"];
    show_of_no_file: Project::new(DEMO), ["show", "demo.plan"];
}

#[test]
fn show_a_plan_as_a_comment() {
    let project = planned(&["--target", "stack.web"]);
    let told = project.run(&["show", "demo.plan", "--format", "markdown"]);
    snapshot("show_a_plan_as_a_comment", &told, &COMMENT);
}

#[test]
fn show_a_plan_as_json() {
    let project = planned(&[]);
    let shown = project.output(&["show", "demo.plan", "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let saved: serde_json::Value =
        serde_json::from_slice(&std::fs::read(project.root().join("demo.plan")).unwrap()).unwrap();
    assert_eq!(shown, saved);
    assert!(
        project
            .output(&["plan", "demo", "--out", "again.plan"])
            .status
            .success()
    );
    let mut again: serde_json::Value =
        serde_json::from_slice(&std::fs::read(project.root().join("again.plan")).unwrap()).unwrap();
    // A plan of what was never applied begins another life each time, whose name is the host's.
    again["created_at"] = saved["created_at"].clone();
    again["made_from"]["lineage"] = saved["made_from"]["lineage"].clone();
    again["made_from"]["rendered"]["machine.instance"] = saved["made_from"]["rendered"]["machine.instance"].clone();
    assert_eq!(again, saved);
    let mut text = serde_json::to_string_pretty(&saved).unwrap();
    text = text.replace(&project.root().display().to_string(), "[root]");
    snapshot("show_a_plan_as_json", &text, &FILTERS);
}

#[test]
fn a_plan_is_for_its_owner_and_written_whole() {
    let project = planned(&[]);
    let path = project.root().join("demo.plan");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read_to_string(&path).unwrap();
    // One that is there, even half of one, is written over; nothing is left beside it.
    project.write("demo.plan", &before[..100]);
    assert!(project.output(&["plan", "demo", "--out", "demo.plan"]).status.success());
    let after = std::fs::read_to_string(&path).unwrap();
    assert_eq!(after.len(), before.len());
    let beside = std::fs::read_dir(project.root()).unwrap();
    let beside: Vec<_> = beside.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        !beside.iter().any(|name| name.to_string_lossy().starts_with(".tmp")),
        "{beside:?}"
    );
    // A plan leaves nothing else: no state, no keys, no identity.
    assert!(!project.root().join(".provision").exists());
    assert!(!project.root().join("home/config").exists());
}

/// Secrets from a variable, a file, a program and a generator: none of them is in any form of a plan.
#[test]
fn no_secret_is_in_a_plan() {
    let project = Project::new(&format!(
        "{DEMO}\n[stacks.postgres]\n\n[secrets]\nA = {{ env = \"CANARY\" }}\nB = {{ file = \"canary\" }}\nC = {{ command = [\"echo\", \"canary-of-a-command\"] }}\nD = {{ generate = 32 }}\n"
    ).replace("path = \"../web\"\n", "path = \"../web\"\nenv = { A = \"{{secrets.A}}\", B = \"{{secrets.B}}\", C = \"x{{secrets.C}}\", D = \"{{secrets.D}}\" }\n"))
    .with("CANARY", "canary-of-a-variable");
    project.write("environments/canary", "canary-of-a-file\n");
    project.write(
        "web/compose.yaml",
        "services:\n  web:\n    image: web:1\n    environment: {A: \"${A}\", B: \"${B}\", C: \"${C}\", D: \"${D}\"}\n",
    );
    for form in [&["--json"][..], &["--format", "markdown"], &[]] {
        let output = project.output(&[&["plan", "demo", "--out", "demo.plan"], form].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
        let saved = std::fs::read_to_string(project.root().join("demo.plan")).unwrap();
        for text in [saved, error, String::from_utf8(output.stdout).unwrap()] {
            assert!(!text.contains("canary-of"), "{text}");
        }
    }
}

/// Of an environment that nothing was made of, a plan is the same each time: else none could ever be applied.
#[test]
fn a_first_plan_still_holds_when_nothing_changed() {
    let project = planned(&[]);
    // There is no image to make a machine of, which is told after the plan was found to hold.
    let output = project.output(&["apply", "demo.plan"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("machine.instance") && !told.contains("stale"), "{told}");
}
