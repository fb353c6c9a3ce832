//! The GitHub action: its steps run as GitHub runs them, one bash each, in an environment with nothing of the caller's, with
//! the real program; and the workflow in `docs/` keeps to it.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// A file serving many, on this computer: planned without a machine.
const PILOT: &str = "ttl = \"8h\"\n[machine.local]\nimage = \"base.qcow2\"\n[vars]\ncustomer = { needed = \"whose pilot it is\" }\n\
                     [stacks.web]\npath = \"../web\"\n[routes]\n\"{{vars.customer}}.pilots.example.com\" = \"web:8000\"\n";

/// Takes the calls of `gh` down and has one comment of ours, when the test says so.
const GH: &str = r#"#!/bin/sh
printf '%s\n' "$*" >>"$HOME/gh-calls"
case "$*" in *--jq*) cat "$HOME/gh-comment" 2>/dev/null || true ;; *body=@*) cp "${5#body=@}" "$HOME/gh-body" ;; esac
"#;

fn read(path: &str) -> Value {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// A runner: a folder, and what the steps of one job leave for each other.
struct Runner {
    folder: tempfile::TempDir,
    action: Value,
    outputs: BTreeMap<String, String>,
}

/// One step that has run.
struct Ran {
    code: i32,
    said: String,
}

impl Runner {
    fn new() -> Self {
        let runner = Self {
            folder: tempfile::tempdir().unwrap(),
            action: read("action.yml"),
            outputs: BTreeMap::new(),
        };
        runner.write("project/environments/pilot.toml", PILOT);
        runner.write("project/web/compose.yaml", "services:\n  web:\n    image: web:1\n");
        for folder in ["home", "temp", "bin"] {
            std::fs::create_dir_all(runner.path(folder)).unwrap();
        }
        runner.program("gh", GH);
        // Never a link: what a test puts in its place must not be written through it.
        let real = format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_provision"));
        runner.program("provision", &real);
        runner
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    fn text(&self, relative: &str) -> String {
        std::fs::read_to_string(self.path(relative)).unwrap_or_default()
    }

    fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn program(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        self.write(&format!("bin/{name}"), text);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.path(&format!("bin/{name}")), mode).unwrap();
    }

    /// What GitHub puts in place of `${{ … }}`, of the expressions that the action uses.
    fn expression(&self, text: &str, inputs: &BTreeMap<&str, &str>) -> String {
        let one = |word: &str| match word.split('.').collect::<Vec<_>>().as_slice() {
            ["inputs", name] => {
                let default = &self.action["inputs"][*name]["default"];
                let default = default.as_str().filter(|default| !default.contains("${{"));
                let given = inputs.get(name).map(|value| (*value).to_owned());
                given.unwrap_or_else(|| default.unwrap_or_default().to_owned())
            }
            ["steps", "run", "outputs", name] => self.outputs.get(*name).cloned().unwrap_or_default(),
            other => panic!("an expression that this test does not know: {other:?}"),
        };
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${{") {
            let (inside, after) = after.split_once("}}").unwrap();
            out.push_str(before);
            let values = inside.split("||").map(|word| one(word.trim()));
            out.push_str(&values.into_iter().find(|value| !value.is_empty()).unwrap_or_default());
            rest = after;
        }
        out + rest
    }

    /// Runs one step as GitHub does: `bash --noprofile --norc -eo pipefail FILE`.
    fn step(&mut self, id: &str, inputs: &[(&str, &str)]) -> Ran {
        let inputs: BTreeMap<&str, &str> = inputs.iter().copied().collect();
        let steps = self.action["runs"]["steps"].as_array().unwrap().clone();
        let step = steps.iter().find(|step| step["id"] == id).unwrap();
        self.write("temp/step.sh", step["run"].as_str().unwrap());
        for file in ["output", "path", "summary"] {
            self.write(&format!("temp/{file}"), "");
        }
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        let mut command = Command::new("/bin/bash");
        command
            .args(["--noprofile", "--norc", "-eo", "pipefail"])
            .arg(self.path("temp/step.sh"))
            .current_dir(self.path("project"))
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .env("RUNNER_TEMP", self.path("temp"))
            .env("GITHUB_OUTPUT", self.path("temp/output"))
            .env("GITHUB_PATH", self.path("temp/path"))
            .env("GITHUB_STEP_SUMMARY", self.path("temp/summary"))
            .env("GITHUB_REPOSITORY", "ada/shop")
            .stdin(Stdio::null());
        for (name, value) in step["env"].as_object().unwrap() {
            command.env(name, self.expression(value.as_str().unwrap(), &inputs));
        }
        let output = command.output().unwrap();
        for line in self.text("temp/output").lines() {
            let (name, value) = line.split_once('=').unwrap();
            self.outputs.insert(name.to_owned(), value.to_owned());
        }
        let said = [output.stdout, output.stderr].concat();
        Ran {
            code: output.status.code().unwrap(),
            said: String::from_utf8_lossy(&said).into_owned(),
        }
    }
}

const ACME: &[(&str, &str)] = &[
    ("environment", "pilot"),
    ("name", "pilot-acme"),
    ("vars", "customer=acme\n"),
];

fn with<'a>(command: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("command", command)], ACME, more].concat()
}

#[test]
fn a_plan_is_a_comment_that_is_rewritten() {
    let mut runner = Runner::new();
    let inputs = with("plan", &[("comment-on", "42"), ("token", "t0ken")]);
    let ran = runner.step("run", &inputs);
    assert_eq!(ran.code, 0, "{}", ran.said);
    assert_eq!(runner.outputs["plan-exitcode"], "2");
    let plan = std::fs::read_to_string(&runner.outputs["plan"]).unwrap();
    assert!(plan.starts_with("<!-- provision: pilot-acme -->\n"), "{plan}");
    assert!(
        plan.contains("machine.instance") && plan.contains("vars.customer"),
        "{plan}"
    );
    assert_eq!(runner.text("temp/summary"), plan);

    assert_eq!(runner.step("comment", &inputs).code, 0);
    assert_eq!(runner.text("home/gh-body"), plan);
    assert!(
        runner
            .text("home/gh-calls")
            .contains("--method POST repos/ada/shop/issues/42/comments")
    );
    runner.write("home/gh-comment", "7\n8\n");
    assert_eq!(runner.step("comment", &inputs).code, 0);
    assert!(
        runner
            .text("home/gh-calls")
            .contains("--method PATCH repos/ada/shop/issues/comments/7 ")
    );
}

#[test]
fn a_plan_that_cannot_be_made_fails_and_the_comment_says_so() {
    let mut runner = Runner::new();
    let ran = runner.step(
        "run",
        &[
            ("command", "plan"),
            ("environment", "pilot"),
            ("vars", "custommer=acme"),
        ],
    );
    assert_eq!(ran.code, 3, "{}", ran.said);
    assert!(ran.said.contains("did you mean `customer`?"), "{}", ran.said);
    assert_eq!(runner.outputs["plan-exitcode"], "3");
    let plan = std::fs::read_to_string(&runner.outputs["plan"]).unwrap();
    assert!(
        plan.starts_with("<!-- provision: pilot -->\n") && plan.contains("exit code 3"),
        "{plan}"
    );
}

#[test]
fn what_was_typed_is_no_command() {
    let mut runner = Runner::new();
    let evil = "customer=$(touch ../evil)`touch ../evil`; touch ../evil";
    let ran = runner.step("run", &[("command", "plan"), ("environment", "pilot"), ("vars", evil)]);
    assert_ne!(ran.code, 0, "{}", ran.said);
    assert!(ran.said.contains("is not a host"), "{}", ran.said);
    assert!(!runner.path("evil").exists());
    for step in runner.action["runs"]["steps"].as_array().unwrap() {
        assert!(!step["run"].as_str().unwrap().contains("${{"), "{}", step["id"]);
    }
}

#[test]
fn destroying_and_sweeping_nothing_is_done() {
    let mut runner = Runner::new();
    let ran = runner.step("run", &with("destroy", &[]));
    assert_eq!(ran.code, 0, "{}", ran.said);
    assert!(ran.said.contains("nothing to destroy"), "{}", ran.said);
    let ran = runner.step("run", &[("command", "gc"), ("provider", "local")]);
    assert_eq!(ran.code, 0, "{}", ran.said);
    assert!(ran.said.contains("nothing is past its time"), "{}", ran.said);
    assert_eq!(runner.step("run", &with("aply", &[])).code, 3);
    assert_eq!(runner.step("run", &[("command", "apply")]).code, 3);
}

#[test]
fn an_apply_tells_where_it_is_and_one_that_fails_fails() {
    let mut runner = Runner::new();
    // There is no QEMU on this runner.
    let ran = runner.step("run", &with("apply", &[]));
    assert_eq!(ran.code, 1, "{}", ran.said);
    assert!(runner.outputs.is_empty());

    // An apply that went well, as far as this can be had without a machine: the real program tells what was recorded.
    let state = runner.path("project/.provision/pilot-acme/state.json");
    let mut recorded: Value = serde_json::from_str(&std::fs::read_to_string(&state).unwrap()).unwrap();
    assert_eq!(recorded["file"], "pilot");
    assert_eq!(recorded["vars"]["customer"], "acme");
    assert!(recorded["life"]["ends"].is_string());
    recorded["outputs"] = serde_json::json!({"address": "127.77.0.1", "url": "https://acme.pilots.example.com"});
    std::fs::write(&state, recorded.to_string()).unwrap();
    std::fs::rename(runner.path("bin/provision"), runner.path("bin/real")).unwrap();
    runner.program(
        "provision",
        "#!/bin/sh\n[ \"$1\" != apply ] || exit 0\nexec real \"$@\"\n",
    );
    let ran = runner.step("run", &with("apply", &[]));
    assert_eq!(ran.code, 0, "{}", ran.said);
    assert_eq!(runner.outputs["address"], "127.77.0.1");
    assert_eq!(runner.outputs["url"], "https://acme.pilots.example.com");
    assert_eq!(runner.outputs.get("expires"), None);
}

#[test]
fn a_release_is_checked_and_put_on_the_path() {
    let mut runner = Runner::new();
    let ran = runner.step("install", &[]);
    assert_eq!((ran.code, runner.text("temp/path").as_str()), (0, ""), "{}", ran.said);

    runner.program("provision", "#!/bin/sh\necho provision 9.9.9\n");
    let archive = runner.path("release.tar.gz");
    let packed = Command::new("tar")
        .args(["-czf"])
        .arg(&archive)
        .arg("-C")
        .arg(runner.path(""))
        .arg("bin/provision")
        .status();
    assert!(packed.unwrap().success());
    std::fs::remove_file(runner.path("bin/provision")).unwrap();
    let ran = runner.step("install", &[]);
    assert_eq!(ran.code, 1, "{}", ran.said);
    assert!(
        ran.said.contains("::error::there is no provision on PATH"),
        "{}",
        ran.said
    );

    let archive = archive.to_str().unwrap();
    let ran = runner.step("install", &[("archive", archive), ("sha256", &"0".repeat(64))]);
    assert_eq!((ran.code, runner.text("temp/path").as_str()), (1, ""), "{}", ran.said);
    let ran = runner.step("install", &[("archive", archive)]);
    assert_eq!(ran.code, 0, "{}", ran.said);
    assert!(ran.said.contains("provision 9.9.9"), "{}", ran.said);
    let folder = runner.text("temp/path");
    assert!(Path::new(folder.trim()).join("provision").is_file(), "{folder}");
    let ran = runner.step("install", &[("archive", "https://127.0.0.1:1/release.tar.gz")]);
    assert_eq!(ran.code, 1, "{}", ran.said);
    assert!(ran.said.contains("needs its `sha256`"), "{}", ran.said);
}

#[test]
fn the_scripts_are_sound() {
    let runner = Runner::new();
    let found = Command::new("shellcheck")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if found.is_err() {
        return;
    }
    for step in runner.action["runs"]["steps"].as_array().unwrap() {
        runner.write("temp/step.sh", step["run"].as_str().unwrap());
        let script = runner.path("temp/step.sh");
        let output = Command::new("shellcheck")
            .args(["--shell=bash"])
            .arg(script)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Every key of the workflow's that names something of the action's is one of its own.
#[test]
fn the_workflow_keeps_to_the_action_and_gives_away_nothing() {
    let (action, workflow) = (read("action.yml"), read("docs/workflows/pilot.yml"));
    let inputs = action["inputs"].as_object().unwrap();
    let mut commands = Vec::new();
    for (name, job) in workflow["jobs"].as_object().unwrap() {
        let permissions = job["permissions"].as_object().unwrap();
        let writes: Vec<&String> = permissions
            .iter()
            .filter(|(_, may)| *may == "write")
            .map(|(what, _)| what)
            .collect();
        let expected: &[&str] = if name == "plan" {
            &["id-token", "pull-requests"]
        } else {
            &["id-token"]
        };
        let mut writes: Vec<&str> = writes.into_iter().map(String::as_str).collect();
        writes.sort_unstable();
        assert_eq!(writes, expected, "{name}");
        assert!(job["if"].is_string(), "{name} runs at every event");
        for step in job["steps"].as_array().unwrap() {
            if !step["uses"].as_str().unwrap().contains("/provision@") {
                continue;
            }
            let with = step["with"].as_object().unwrap();
            for input in with.keys() {
                assert!(inputs.contains_key(input), "{name}: the action has no input {input}");
            }
            commands.push(with["command"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(workflow["permissions"], serde_json::json!({}));
    assert!(workflow["on"].get("pull_request_target").is_none());
    assert_eq!(workflow["concurrency"]["cancel-in-progress"], false);
    commands.sort();
    assert_eq!(commands, ["apply", "destroy", "gc", "plan"]);
}
