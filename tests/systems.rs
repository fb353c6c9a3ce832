//! The five systems: each environment of `environments/` is valid, its first plan is the one in `tests/systems/`, and Compose
//! takes every stack of it, where it is there.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends at what it did not expect"
)]

#[allow(dead_code)]
mod judge;
#[path = "messages/project.rs"]
#[allow(dead_code, unused_macros, unused_imports)]
mod project;

use std::path::{Path, PathBuf};

use judge::{compose_accepts, compose_says};
use project::Project;
use provision::desired::{Desired, Given, Users, desire};
use provision::environment::load;
use provision::names::EnvironmentName;
use provision::observe::Observed;
use provision::plan::{Allowed, plan, render_plan};
use provision::render::Bindings;
use provision::state::State;
use serde_json::{Value, json};

const SYSTEMS: [&str; 13] = [
    "analytics",
    "commerce-cloud",
    "commerce-external",
    "commerce-mongodb",
    "commerce-mongodb-events",
    "commerce-monitored",
    "commerce-postgres",
    "commerce-postgres-events",
    "events",
    "passport",
    "suite",
    "suite-droplet",
    "suite-vps",
];

/// The folder of environments as it is in the repository.
fn project() -> Project {
    let project = Project::empty()
        .with("DATABASE_URL", "postgres://shop:correct-horse@db.example.net/shop")
        .with("OTLP_AUTHORIZATION", "Basic correct-horse");
    copy(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("environments"),
        &project.root().join("environments"),
    );
    project
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn name(text: &str) -> EnvironmentName {
    text.parse().unwrap()
}

fn fresh(environment: &str) -> (State, Observed) {
    let state = json!({
        "environment": environment, "lineage": "07070707070707070707070707070707", "outputs": {}, "resources": {}, "serial": 0,
        "version": 1, "written_by": "provision 0.1.0"
    });
    let observed = json!({"host": "not_yet", "instance": null, "provider": {"provider": "memory"}});
    (
        serde_json::from_value(state).unwrap(),
        serde_json::from_value(observed).unwrap(),
    )
}

fn desired(project: &Project, environment: &str) -> Desired {
    let (state, _) = fresh(environment);
    let name = name(environment);
    let sources = load(&project.root(), &name).unwrap();
    let given = Given {
        name: &name,
        lineage: &state.lineage,
        authorized_keys: &["ssh-ed25519 AAAA operator".to_owned()],
        host_key_public: "ssh-ed25519 BBBB host",
        bindings: &Bindings::default(),
    };
    desire(&sources, &given).unwrap()
}

#[test]
fn every_environment_of_the_repository_is_looked_at() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("environments");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()?
                .strip_suffix(".toml")
                .map(str::to_owned)
        })
        // These two are looked at in tests/cli.rs.
        .filter(|name| !["demo", "prod-aws"].contains(&name.as_str()))
        .collect();
    files.sort();
    assert_eq!(files, SYSTEMS);
}

/// `UPDATE=1` writes the plans anew.
#[test]
fn each_system_has_its_first_plan() {
    let project = project();
    let mut wrong = Vec::new();
    for system in SYSTEMS {
        let output = project.output(&["validate", system]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let desired = desired(&project, system);
        let (state, observed) = fresh(system);
        let planned = plan(&desired, &state, &observed, Allowed::default());
        let script = desired.base.digest();
        let memory = desired.memory;
        let text = format!(
            "{}memory limits: {} MiB of {}\n",
            render_plan(&planned, false).replace(script.short(), "CONVERGE-SCRIPT"),
            memory.limits_mib,
            // How much a server has that is there already, only it knows.
            memory
                .machine_mib
                .map_or("what the server has".to_owned(), |mib| format!("{mib} MiB"))
        );
        let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/systems/{system}.txt"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &text).unwrap();
        } else if std::fs::read_to_string(&path).unwrap_or_default() != text {
            wrong.push(format!("--- {system}\n{text}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "run UPDATE=1 when this is meant\n{}",
        wrong.join("\n")
    );
}

/// A port that is allowed is let in by the provider's firewall and by the host's, and the plan shows both.
#[test]
fn what_is_allowed_opens_every_wall() {
    let project = project();
    let broker = "services:\n  broker:\n    image: broker:1\n    mem_limit: 16m\n    ports: [\"8883:8883\", \"127.0.0.1:9000:9000\"]\n";
    project.write("broker/compose.yaml", broker);
    let allow = "\n[stacks.broker]\npath = \"../broker\"\n[stacks.broker.allow]\n\
         broker = { ports = [\"8883:8883\", \"127.0.0.1:9000:9000\"], reason = \"devices speak MQTT\" }\n";
    for system in ["commerce-external", "suite-droplet", "suite-vps"] {
        let file = format!("environments/{system}.toml");
        let before = desired(&project, system);
        let written = std::fs::read_to_string(project.root().join(&file)).unwrap();
        project.write(&file, &format!("{written}{allow}"));
        let after = desired(&project, system);
        let (state, observed) = fresh(system);
        let shown = |desired: &Desired| render_plan(&plan(desired, &state, &observed, Allowed::default()), false);
        let more: Vec<String> = shown(&after)
            .lines()
            .filter(|line| line.contains("8883") || line.contains("9000"))
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let of_cloud: &[&str] = if system == "suite-vps" {
            &[]
        } else {
            &["tcp/8883 0.0.0.0/0 ::/0"]
        };
        assert_eq!(more, of_cloud, "{system}");
        assert!(after.base.script.contains("80, 443, 8883 } accept"));
        assert!(after.base.script.contains("--ctorigdstport 8883 "));
        assert!(!after.base.script.contains("9000"), "a loopback port opens nothing");
        assert_ne!(before.base.digest(), after.base.digest());
        assert_eq!(
            before.instance.first_boot, after.instance.first_boot,
            "no new machine for it"
        );
    }
}

/// Their pictures in the documents are those that the program draws. `UPDATE=1` draws them anew.
#[test]
fn each_system_is_drawn() {
    let project = project();
    let mut wrong = Vec::new();
    for system in ["analytics", "commerce-postgres-events", "events", "passport", "suite"] {
        let output = project.output(&["graph", system]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/systems/{system}.svg"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &output.stdout).unwrap();
        } else if std::fs::read(&path).unwrap_or_default() != output.stdout {
            wrong.push(system);
        }
    }
    assert!(wrong.is_empty(), "run UPDATE=1 when this is meant: {wrong:?}");
}

#[test]
fn compose_takes_every_stack_of_every_system() {
    let project = project();
    for system in SYSTEMS {
        let out = project.root().join("out").join(system);
        let output = project.output(&["render", system, "--out", out.to_str().unwrap()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for stack in std::fs::read_dir(out.join("stacks")).unwrap() {
            compose_accepts(&stack.unwrap().path());
        }
    }
}

/// Three instances share one queue, each with its own limits and reservations.
#[test]
fn the_event_platform_scales_one_service() {
    let project = project();
    let desired = desired(&project, "events");
    let platform = desired
        .stacks
        .iter()
        .find(|stack| stack.name.as_str() == "platform")
        .unwrap();
    assert_eq!(platform.services["order-service"].instances, Some(3));
    assert_eq!(platform.services["payment-service"].instances, Some(1));
    let order: Vec<&str> = desired.stacks.iter().map(|stack| stack.name.as_str()).collect();
    let at = |name: &str| order.iter().position(|other| *other == name).unwrap();
    for before in ["postgres", "rabbitmq", "redis", "jaeger"] {
        assert!(at(before) < at("platform"), "{before} in {order:?}");
    }
    assert!(at("elasticsearch") < at("jaeger"));
    let out = project.root().join("events");
    project.output(&["render", "events", "--out", out.to_str().unwrap()]);
    if let Some(said) = compose_says(&out.join("stacks/platform"), &[], &[]) {
        let said: Value = serde_saphyr::from_str(&said).unwrap();
        let service = &said["services"]["order-service"];
        assert_eq!(service["deploy"]["resources"]["limits"]["memory"], "134217728");
        assert_eq!(service["deploy"]["resources"]["reservations"]["memory"], "67108864");
        assert_eq!(
            service["scale"].as_u64().or(service["deploy"]["replicas"].as_u64()),
            Some(3)
        );
        assert_eq!(service["stop_grace_period"], "30s");
    }
}

/// A new password makes anew who uses it, and nobody else: also where Compose copies it out of a variable.
#[test]
fn a_secret_out_of_a_variable_has_its_users() {
    let desired = desired(&project(), "commerce-postgres-events");
    let users = |stack: &str, secret: &str| {
        let stack = desired
            .stacks
            .iter()
            .find(|other| other.name.as_str() == stack)
            .unwrap();
        match &stack.secrets[secret] {
            Users::Services(services) => services.iter().cloned().collect::<Vec<_>>().join(" "),
            Users::Stack => "all".to_owned(),
            Users::Reload => "reload".to_owned(),
        }
    };
    assert_eq!(users("redis", "REDIS_PASSWORD"), "redis");
    assert_eq!(users("shop", "REDIS_PASSWORD"), "migrate shop");
    assert_eq!(users("rabbitmq", "rabbitmq.shop"), "rabbitmq");
    assert_eq!(users("postgres", "postgres.shop"), "databases");
}

/// Seven owners of seven schemas, and nothing but the edge is public.
#[test]
fn the_passport_platform_gives_each_service_its_own_schema() {
    let project = project();
    let out = project.root().join("out");
    project.output(&["render", "passport", "--out", out.to_str().unwrap()]);
    let env = std::fs::read_to_string(out.join("stacks/services/.env")).unwrap();
    for service in [
        "product", "passport", "registry", "trust", "issuer", "portal", "notifier",
    ] {
        let line = format!(
            "{}_DATABASE_URL='postgres://{service}:(secret)@postgres:5432/platform'",
            service.to_uppercase()
        );
        assert!(env.contains(&line), "{line} in\n{env}");
    }
    let schemas = std::fs::read_to_string(out.join("stacks/postgres/secrets/schemas")).unwrap();
    assert_eq!(schemas.lines().filter(|line| !line.is_empty()).count(), 7);
}

#[test]
fn one_file_holds_the_analytics_site() {
    let project = project();
    let out = project.root().join("coolify/compose.yaml");
    std::fs::create_dir(out.parent().unwrap()).unwrap();
    let output = project.output(&["export", "compose", "analytics", "--out", out.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&out).unwrap();
    snapshot("export-analytics", &text);
    let Some(said) = compose_says(out.parent().unwrap(), &[], &[]) else {
        return;
    };
    let said: Value = serde_saphyr::from_str(&said).unwrap();
    let router = &said["services"]["router"];
    assert_eq!(router["depends_on"]["backend"]["condition"], "service_healthy");
    let own = include_str!("../environments/analytics/site/nginx/nginx.conf");
    let carried = said["configs"].as_object().unwrap().values().next().unwrap();
    // Compose shows a `$` as it would have to be written.
    assert_eq!(carried["content"].as_str().unwrap().replace("$$", "$"), own);
}

/// Jobs, scale, volumes of one name in two stacks, secrets in files, variables and lists: all of it in one file, and no value.
#[test]
fn one_file_holds_a_whole_system_without_its_secrets() {
    let project = project();
    for system in SYSTEMS {
        let folder = project.root().join("exported").join(system);
        std::fs::create_dir_all(&folder).unwrap();
        let out = folder.join("compose.yaml");
        let output = project.output(&["export", "compose", system, "--out", out.to_str().unwrap()]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
        let text = std::fs::read_to_string(&out).unwrap();
        assert!(
            !text.contains("correct-horse") && !text.contains("(secret)"),
            "{system} shows a secret"
        );
        assert!(!text.contains('\u{E0F0}'), "{system} holds a mark");
        let list = told
            .lines()
            .find_map(|line| line.strip_prefix("set these where it runs: "));
        let names: Vec<&str> = list.map(|list| list.split(", ").collect()).unwrap_or_default();
        let variables: Vec<(&str, &str)> = names.iter().map(|name| (*name, "value")).collect();
        if let Some(said) = compose_says(&folder, &[], &variables) {
            let said: Value = serde_saphyr::from_str(&said).unwrap();
            for (service, written) in said["services"].as_object().unwrap() {
                assert!(written.get("ports").is_none(), "{system}/{service}");
                let mounts = written["volumes"].as_array().cloned().unwrap_or_default();
                let own = mounts.iter().filter(|mount| mount["type"] == "bind");
                for mount in own {
                    let source = mount["source"].as_str().unwrap();
                    assert!(
                        !source.starts_with(folder.to_str().unwrap()),
                        "{system}/{service} needs {source}"
                    );
                }
            }
        }
        if system == "commerce-postgres-events" {
            snapshot("export-commerce-postgres-events", &text);
        }
    }
}

/// Every way in which a Compose file names files, volumes, secrets and order, in one stack beside another with the same names.
#[test]
fn one_file_keeps_what_stacks_say() {
    let project = Project::empty();
    project.write(
        "environments/demo.toml",
        "[machine.local]\n[secrets]\nKEY = { generate = 32 }\n[stacks.one]\npath = \"../one\"\nenv = { KEY = \"{{secrets.KEY}}\", TAG = \"1$x\" }\n\
         scale = { web = 3 }\n[stacks.two]\npath = \"../two\"\n",
    );
    project.write(
        "one/compose.yaml",
        "services:\n  web:\n    image: web:${TAG}\n    build: .\n    env_file: [web.env]\n    environment: [A=own, K=$KEY]\n\
         \x20   volumes: [\"./conf:/etc/web:ro\", \"data:/data\", {type: volume, source: data, target: /more}, \"/srv:/srv\", tmp]\n\
         \x20   secrets: [whole, {source: part, target: /etc/part}, file]\n    configs: [{source: own, target: /etc/own}]\n    read_only: true\n\
         \x20   depends_on: [cache]\n    healthcheck: {test: [\"CMD\", \"true\"]}\n\
         \x20 cache: {image: \"cache:${CACHE_TAG:-2}\", container_name: the-cache}\n  migrate: {image: \"web:1\", profiles: [jobs]}\n  seed: {image: \"web:1\", profiles: [jobs]}\n\
         volumes: {data: }\nsecrets:\n  whole: {environment: KEY}\n  part: {environment: PART}\n  file: {file: ./conf/key}\n\
         configs:\n  own: {content: \"tag ${TAG}\"}\n",
    );
    project.write(
        "one/stack.toml",
        "[env]\nPART = \"key={{secrets.KEY}}\"\n[jobs]\nbefore_deploy = [\"migrate\"]\nonce = [\"seed\"]\n",
    );
    project.write("one/web.env", "# of the program\nA=file\nB='two words'\n\nC=$5\n");
    project.write("one/conf/web.conf", "price = $5\n");
    project.write("one/conf/key.hbs", "{{secrets.KEY}}\n");
    project.write(
        "two/compose.yaml",
        "services:\n  other:\n    image: other:1\n    volumes: [\"data:/data\"]\nvolumes: {data: }\n",
    );
    project.write("two/stack.toml", "requires = [\"one\"]\n");
    let output = project.output(&["export", "compose", "demo"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    let text = String::from_utf8(output.stdout).unwrap();
    snapshot("export-everything", &format!("{text}--- standard error\n{told}"));
    let folder = project.root().join("exported");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("compose.yaml"), &text).unwrap();
    if let Some(said) = compose_says(&folder, &[], &[("KEY", "s3cret")]) {
        let said: Value = serde_saphyr::from_str(&said).unwrap();
        let web = &said["services"]["web"];
        assert_eq!(web["image"], "web:1$$x");
        assert_eq!(
            web["environment"],
            json!({"A": "own", "B": "two words", "C": "$$5", "K": "s3cret"})
        );
        assert_eq!(
            said["services"]["other"]["depends_on"]["web"]["condition"],
            "service_healthy"
        );
    }
}

/// What is no text cannot stand in a Compose file.
#[test]
fn a_file_that_is_no_text_cannot_be_exported() {
    let project = Project::empty();
    project.write(
        "environments/demo.toml",
        "[machine.local]\n[stacks.one]\npath = \"../one\"\n",
    );
    project.write(
        "one/compose.yaml",
        "services:\n  web:\n    image: web:1\n    volumes: [\"./logo.png:/logo.png\"]\n",
    );
    std::fs::write(project.root().join("one/logo.png"), [0x89, 0x50, 0xff, 0x00]).unwrap();
    let output = project.output(&["export", "compose", "demo"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("logo.png is not a text"), "{told}");
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("systems/snapshots");
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
