//! What works without network and machine: `init`, `validate`, `render`, `schema`, `completions`, `--help`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends at what it did not expect"
)]

#[path = "messages/project.rs"]
#[allow(dead_code, unused_macros, unused_imports)]
mod project;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use project::Project;
use serde_json::Value;

/// An environment with something of everything that is rendered.
const SHOP: &str = r#"
domain = "shop.example.com"
[machine.local]
[data]
volume_gib = 5
[tls]
mode  = "internal"
email = "ops@example.com"
[secrets]
API_KEY = { env = "SHOP_API_KEY" }
[stacks.postgres]
databases = ["app", "shop"]
[stacks.demo]
env = { API_KEY = "{{secrets.API_KEY}}" }
[routes]
"/"                            = "web:8000"
"/api/*"                       = "web:8000"
"admin.shop.example.com/deep/" = "web:8000"
"#;

fn done(project: &Project, args: &[&str]) -> String {
    let output = project.output(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn rendered(project: &Project, folder: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let out = project.root().join(folder);
    done(project, &["render", "demo", "--out", out.to_str().unwrap()]);
    let mut files = BTreeMap::new();
    let mut folders = vec![out.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                files.insert(path.strip_prefix(&out).unwrap().to_owned(), bytes);
            }
        }
    }
    files
}

/// Runs a checker on a file when this computer has it.
fn check(program: &str, args: &[&str], folder: &Path) {
    let output = Command::new(program)
        .args(args)
        .current_dir(folder)
        .env("HOME", folder)
        .stdin(Stdio::null())
        .output();
    match output {
        Err(_) => println!("skipped: {program} is not installed"),
        Ok(output) => assert!(
            output.status.success(),
            "{program} {args:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}

#[test]
fn what_init_writes_is_valid_and_renders() {
    for provider in ["local", "aws", "digitalocean"] {
        let project = Project::empty();
        done(&project, &["init", "demo", "--provider", provider]);
        assert_eq!(
            project.run(&["validate", "demo"]),
            "exit code 0\n--- stderr\ndemo is valid: 2 stacks, 1 route\n"
        );
        assert!(rendered(&project, "out").contains_key(Path::new("cloud-init/user-data")));
    }
    // A host that was there before has had its first boot; its file does not say how much memory it has.
    let project = Project::empty();
    done(&project, &["init", "demo", "--provider", "ssh"]);
    assert!(
        project
            .run(&["validate", "demo"])
            .starts_with("exit code 0\n--- stderr\ndemo is valid: 2 stacks, 1 route\n")
    );
    let files = rendered(&project, "out");
    assert!(
        !files.contains_key(Path::new("cloud-init/user-data"))
            && files.contains_key(Path::new("host/usr/local/lib/provision/converge"))
    );
}

#[test]
fn the_examples_are_valid() {
    let project = Project::empty();
    let demo = include_str!("../environments/demo.toml");
    // The archives are built by `make lab`.
    let (demo, _) = demo.rsplit_once("[images]").unwrap();
    project.write("environments/demo.toml", demo);
    done(&project, &["validate", "demo"]);
    project.write(
        "environments/prod-aws.toml",
        include_str!("../environments/prod-aws.toml"),
    );
    done(&project, &["validate", "prod-aws"]);
}

#[test]
fn an_environment_is_drawn_without_network_or_machine() {
    let project = Project::new(SHOP);
    let svg = done(&project, &["graph", "demo"]);
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    for word in [
        "shop.example.com/api/*",
        "admin.shop.example.com/deep/",
        "to web:8000",
        ">postgres<",
        "5 GiB",
    ] {
        assert!(svg.contains(word), "{word} in\n{svg}");
    }
    let file = project.root().join("demo.svg");
    done(&project, &["graph", "demo", "--out", file.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), svg);
    check("xmllint", &["--noout", "demo.svg"], &project.root());
    assert!(done(&project, &["graph", "demo", "--format", "mermaid"]).starts_with("flowchart LR\n"));
    let told = project.run(&["graph", "demo", "--out", "nowhere/demo.svg"]);
    assert!(
        told.starts_with("exit code 1\n") && told.contains("failed to write nowhere/demo.svg"),
        "{told}"
    );
}

#[test]
fn what_was_never_applied_cannot_be_audited() {
    let told = Project::new(SHOP).run(&["audit", "demo"]);
    assert!(
        told.starts_with("exit code 3\n") && told.contains("provision apply demo"),
        "{told}"
    );
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    let project = Project::new(SHOP);
    let first = rendered(&project, "first");
    assert_eq!(first, rendered(&project, "second"));
    let listed = done(&project, &["render", "demo"]);
    assert_eq!(listed.lines().count(), first.len());
}

#[test]
fn no_secret_is_rendered() {
    let project = Project::new(SHOP).with("SHOP_API_KEY", "correct-horse-battery");
    for (path, bytes) in rendered(&project, "out") {
        let text = String::from_utf8_lossy(&bytes);
        for secret in ["correct-horse-battery", "PRIVATE KEY", "AGE-SECRET-KEY"] {
            assert!(!text.contains(secret), "{} holds {secret}", path.display());
        }
    }
    let env = std::fs::read_to_string(project.root().join("out/stacks/demo/.env")).unwrap();
    assert!(
        env.contains("API_KEY=(secret)") || env.contains("API_KEY='(secret)'"),
        "{env}"
    );
}

#[test]
fn what_is_rendered_passes_the_checks_of_its_own_tools() {
    let project = Project::new(SHOP);
    let files = rendered(&project, "out");
    let out = project.root().join("out");
    check("cloud-init", &["schema", "--config-file", "cloud-init/user-data"], &out);
    let script = files
        .keys()
        .find(|path| path.starts_with("host") && path.ends_with("converge"));
    let script = script
        .or_else(|| files.keys().find(|path| path.starts_with("host")))
        .unwrap();
    check("sh", &["-n", script.to_str().unwrap()], &out);
    check("shellcheck", &["--severity=style", script.to_str().unwrap()], &out);
    let caddyfile = files.keys().find(|path| path.ends_with("Caddyfile")).unwrap();
    let args = [
        "adapt",
        "--adapter",
        "caddyfile",
        "--config",
        caddyfile.to_str().unwrap(),
    ];
    check("caddy", &args, &out);
}

#[test]
fn the_schema_describes_what_can_be_written() {
    let project = Project::empty();
    let schema: Value = serde_json::from_str(&done(&project, &["schema"])).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["required"], serde_json::json!(["machine"]));
    assert_eq!(schema["additionalProperties"], false);
    references(&schema, &schema);
    // Every key of the demo is one of the schema.
    let demo: toml::Table = include_str!("../environments/demo.toml").parse().unwrap();
    for key in demo.keys() {
        assert!(schema["properties"].get(key).is_some(), "{key}");
    }
    let local = &schema["$defs"]["Local"]["properties"];
    for key in demo["machine"]["local"].as_table().unwrap().keys() {
        assert!(local.get(key).is_some(), "machine.local.{key}");
    }
}

/// Every `$ref` leads somewhere.
fn references(root: &Value, value: &Value) {
    match value {
        Value::Object(map) => {
            if let Some(target) = map.get("$ref").and_then(Value::as_str) {
                assert!(root.pointer(target.trim_start_matches('#')).is_some(), "{target}");
            }
            map.values().for_each(|value| references(root, value));
        }
        Value::Array(list) => list.iter().for_each(|value| references(root, value)),
        _ => {}
    }
}

#[test]
fn completions_for_every_shell() {
    let project = Project::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(done(&project, &["completions", shell]).contains("destroy"), "{shell}");
    }
    let bash = done(&project, &["completions", "bash"]);
    project.write("completions.bash", &bash);
    check("bash", &["-n", "completions.bash"], &project.root());
}

#[test]
fn help_is_tidy() {
    let help = done(&Project::empty(), &["--help"]);
    assert!(!help.contains("\n\n\n") && help.ends_with("interrupted\n"), "{help}");
    let listed = |line: &&str| line.starts_with("  ") && line.as_bytes()[2].is_ascii_lowercase();
    for command in help
        .lines()
        .filter(listed)
        .filter_map(|line| line.split_whitespace().next())
    {
        done(&Project::empty(), &[command, "--help"]);
    }
}

/// Every key of the model stands in `docs/environment.md`, and no other does.
#[test]
fn the_guide_names_every_key() {
    let schema: Value = serde_json::from_str(&done(&Project::empty(), &["schema"])).unwrap();
    let mut keys = Vec::new();
    let tables = [
        ("", &schema),
        ("machine.aws.", &schema["$defs"]["Aws"]),
        ("machine.local.", &schema["$defs"]["Local"]),
        ("machine.digitalocean.", &schema["$defs"]["DigitalOcean"]),
        ("machine.ssh.", &schema["$defs"]["Ssh"]),
        ("machine.local.boot.", &schema["$defs"]["Boot"]),
        ("data.", &schema["$defs"]["Data"]),
        ("access.", &schema["$defs"]["Access"]),
        ("dns.", &schema["$defs"]["Dns"]),
        ("tls.", &schema["$defs"]["Tls"]),
        ("edge.", &schema["$defs"]["EdgeTable"]),
        ("routes.ROUTE.", &schema["$defs"]["RouteTable"]),
        ("state.", &schema["$defs"]["StateTable"]),
        ("stacks.NAME.", &schema["$defs"]["Stack"]),
        ("stacks.NAME.allow.SERVICE.", &schema["$defs"]["Allow"]),
    ];
    for (prefix, table) in tables {
        let properties = table["properties"].as_object().unwrap_or_else(|| panic!("{prefix}"));
        keys.extend(properties.keys().map(|key| format!("{prefix}{key}")));
    }
    let guide = include_str!("../docs/environment.md");
    let rows = guide
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut told: Vec<String> = rows.map(|(key, _)| key.to_owned()).collect();
    keys.sort();
    told.sort();
    assert_eq!(told, keys);
}
