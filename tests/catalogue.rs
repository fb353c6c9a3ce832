//! The stacks that come with the program: what each renders to, that it keeps the rules which a stack of ours keeps, and that
//! they layer in any combination. `docker compose config` is the judge where Compose is there.

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

use std::collections::BTreeMap;
use std::path::Path;

use judge::{compose_accepts, compose_says};
use project::Project;
use serde_json::Value;

/// Each stack with what an environment must say for it to work.
const STACKS: [(&str, &str); 18] = [
    ("demo", "[stacks.postgres]\n[stacks.demo]\n"),
    ("elasticsearch", "[stacks.elasticsearch]\n"),
    ("jaeger", "[stacks.elasticsearch]\n[stacks.jaeger]\n"),
    (
        "keycloak",
        "[stacks.postgres]\ndatabases = [\"keycloak\"]\n[stacks.keycloak]\nhostname = \"https://id.example.com\"\n",
    ),
    ("meilisearch", "[stacks.meilisearch]\n"),
    ("minio", "[stacks.minio]\nbuckets = [\"media\", \"backups\"]\n"),
    ("mongodb", "[stacks.mongodb]\ndatabases = [\"shop\"]\n"),
    ("monitoring", MONITORING),
    (
        "monitoring-cloud",
        "[stacks.monitoring-cloud]\nendpoint = \"https://otlp.example.com/otlp\"\n\
         [stacks.monitoring-cloud.allow]\notel-collector = { may = [\"docker-socket\"], reason = \"disks\" }\n",
    ),
    ("nats", "[stacks.nats]\nusers = [\"shop\", \"billing\"]\n"),
    ("nginx", "[stacks.nginx]\nfiles = \"../own\"\n"),
    (
        "postgres",
        "[stacks.postgres]\ndatabases = [\"app\", \"shop\"]\nschemas = [\"orders\", \"stock\"]\n",
    ),
    ("rabbitmq", "[stacks.rabbitmq]\nusers = [\"shop\", \"mail\"]\n"),
    ("redis", "[stacks.redis]\neviction = \"allkeys-lru\"\n"),
    ("redpanda", "[stacks.redpanda]\ntopics = [\"orders\", \"stock\"]\n"),
    (
        "static",
        "[stacks.static]\nfiles = \"../own\"\nfallback = \"/index.html\"\n",
    ),
    (
        "temporal",
        "[stacks.postgres]\ndatabases = [\"temporal\", \"temporal_visibility\"]\n[stacks.temporal]\n",
    ),
    ("typesense", "[stacks.typesense]\n"),
];

/// What measures the machine has to see it.
const MONITORING: &str = "[stacks.monitoring]\n[stacks.monitoring.allow]\n\
     node-exporter = { may = [\"docker-socket\", \"privileged\"], reason = \"disks and processes\" }\n";

/// The smallest machine that all of it fits.
const MACHINE: &str = "[machine.local]\nmemory_gib = 16\n";

fn project(environment: &str) -> Project {
    let project = Project::empty().with("OTLP_AUTHORIZATION", "Basic abc");
    project.write("environments/demo.toml", environment);
    project.write("own/index.html", "<!doctype html>\n");
    project.write(
        "own/site.conf",
        "location / { set $web http://web:8000; proxy_pass $web; }\n",
    );
    project
}

fn rendered(project: &Project) -> BTreeMap<String, String> {
    let out = project.root().join("out");
    let output = project.output(&["render", "demo", "--out", out.to_str().unwrap()]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let mut files = BTreeMap::new();
    let mut folders = vec![out.join("stacks")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(out.join("stacks")).unwrap().display().to_string();
                files.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}

fn built_in() -> Vec<String> {
    let output = Project::empty().output(&["stacks", "--json"]);
    let stacks: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    stacks
        .iter()
        .map(|stack| stack["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_stack_of_the_catalogue_is_looked_at_here() {
    let here: Vec<&str> = STACKS.iter().map(|(name, _)| *name).collect();
    assert_eq!(built_in(), here);
}

/// What is rendered: files that templates make, the variables, the override. Files that go as they are, are in `compose/`.
#[test]
fn each_stack_renders_to_what_was_agreed() {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("catalogue/snapshots");
    settings.set_omit_expression(true);
    for (name, environment) in STACKS {
        let project = project(&format!("{MACHINE}{environment}"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose").join(name);
        let files = rendered(&project);
        let of_stack = files.iter().filter_map(|(path, text)| {
            let path = path.strip_prefix(&format!("{name}/"))?;
            let as_it_is = std::fs::read_to_string(source.join(path)).is_ok_and(|own| own == *text);
            Some(match as_it_is {
                true => format!("=== {path} goes as it is\n"),
                false => format!("=== {path}\n{text}\n"),
            })
        });
        settings.bind(|| insta::assert_snapshot!(name, of_stack.collect::<String>()));
        compose_accepts(&project.root().join("out/stacks").join(name));
    }
}

/// The rules of the catalogue, each for every service that runs.
#[test]
fn every_service_keeps_the_rules() {
    for (name, _) in STACKS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose").join(name);
        let text = std::fs::read_to_string(folder.join("compose.yaml")).unwrap();
        let compose: Value = serde_saphyr::from_str(&text).unwrap();
        assert!(folder.join("README.md").exists(), "{name} has a README");
        let mut checked = Vec::new();
        for (service, written) in compose["services"].as_object().unwrap() {
            let at = format!("{name}/{service}");
            let image = written["image"].as_str().unwrap_or_default();
            let (_, tag) = image
                .rsplit_once(':')
                .unwrap_or_else(|| panic!("{at}: {image} has no tag"));
            assert!(
                tag.contains(|c: char| c.is_ascii_digit()),
                "{at}: {image} names a version"
            );
            assert!(written.get("ports").is_none(), "{at} publishes nothing");
            assert!(written.get("privileged").is_none(), "{at} is not privileged");
            assert!(!written.to_string().contains("docker.sock"), "{at} does not see Docker");
            let options = written["security_opt"].to_string();
            assert!(options.contains("no-new-privileges:true"), "{at}: {options}");
            // The demo shows how little a stack needs. PostgreSQL's image takes over its folder as root, and goes on as postgres.
            if !["demo", "postgres"].contains(&name) {
                assert_eq!(written["cap_drop"], serde_json::json!(["ALL"]), "{at} has no powers");
                let kept = written["cap_add"].as_array().cloned().unwrap_or_default();
                assert!(kept.iter().all(|power| power == "NET_BIND_SERVICE"), "{at}: {kept:?}");
            }
            if written.get("profiles").is_some() {
                continue;
            }
            assert_eq!(written["restart"], "unless-stopped", "{at}");
            assert!(written["mem_limit"].is_string(), "{at} has a memory limit");
            if name != "demo" {
                let log = &written["logging"]["options"];
                assert!(
                    log["max-size"].is_string() && log["max-file"].is_string(),
                    "{at} bounds its log"
                );
            }
            if written.get("healthcheck").is_some() {
                checked.push(service.as_str());
            }
        }
        let running: Vec<&str> = compose["services"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, written)| written.get("profiles").is_none())
            .map(|(service, _)| service.as_str())
            .collect();
        // An image with nothing in it that could ask: a neighbour asks instead.
        let asked_by_a_neighbour = |service: &&str| checked.contains(&format!("{service}-health").as_str());
        let unchecked: Vec<&&str> = running
            .iter()
            .filter(|service| !checked.contains(service) && !asked_by_a_neighbour(service))
            .collect();
        assert!(unchecked.is_empty(), "{name}: nobody asks {unchecked:?} how they are");
        a_stack_with_data_says_how_it_is_saved(name, &compose);
    }
}

fn a_stack_with_data_says_how_it_is_saved(name: &str, compose: &Value) {
    let output = Project::empty().output(&["stacks", name, "--json"]);
    let stack: Value = serde_json::from_slice(&output.stdout).unwrap();
    let saved = !stack["backup"]["save"].as_array().unwrap().is_empty()
        || !stack["backup"]["volumes"].as_array().unwrap().is_empty();
    // The collector's volume says how far it has read.
    let keeps = compose.get("volumes").is_some() && name != "monitoring-cloud";
    assert_eq!(saved, keeps, "{name} has data and says how it is saved, or has none");
    assert_eq!(
        stack["memory_mib"],
        limits(compose),
        "{name} needs what its services may take"
    );
}

/// The sum of the limits of all services that run, in MiB.
fn limits(compose: &Value) -> u64 {
    let services = compose["services"].as_object().unwrap().values();
    let running = services.filter(|service| service.get("profiles").is_none());
    running
        .map(|service| {
            let written = service["mem_limit"].as_str().unwrap();
            let default = written
                .rsplit_once(":-")
                .map_or(written, |(_, default)| default.trim_end_matches('}'));
            match default.split_at(default.len() - 1) {
                (number, "m") => number.parse::<u64>().unwrap(),
                (number, "g") => number.parse::<u64>().unwrap() * 1024,
                _ => panic!("{written}"),
            }
        })
        .sum()
}

/// All of them together: no two services of one name, and an order that needs no circle.
#[test]
fn all_stacks_layer_on_one_network() {
    let mut environment = format!("network = \"ecom-net\"\n{MACHINE}");
    environment
        .push_str("[stacks.postgres]\ndatabases = [\"app\", \"keycloak\", \"temporal\", \"temporal_visibility\"]\n");
    for (name, _) in STACKS
        .iter()
        .filter(|(name, _)| !["postgres", "monitoring-cloud"].contains(name))
    {
        match *name {
            "monitoring" => environment.push_str(MONITORING),
            _ => environment.push_str(&format!("[stacks.{name}]\n")),
        }
    }
    let project = project(&environment);
    let files = rendered(&project);
    for (path, text) in files
        .iter()
        .filter(|(path, _)| path.ends_with("compose.provision.yaml"))
    {
        assert!(text.contains("name: ecom-net"), "{path}: {text}");
    }
    let compose_files = files.keys().filter(|path| path.ends_with("/compose.yaml"));
    assert_eq!(compose_files.count(), STACKS.len() - 1);
}

/// A stack of one's own in many files: what it includes is routed to, scaled, and on the shared network, as Compose itself sees it.
#[test]
fn included_services_are_the_stacks_own() {
    let project = project(&format!(
        "{MACHINE}[stacks.app]\npath = \"../app\"\nscale = {{ worker = 2 }}\n[routes]\n\"/\" = \"worker:8000\"\n"
    ));
    project.write("app/compose.yaml", "include: [more/compose.yaml]\n");
    project.write("app/stack.toml", "[jobs]\nbefore_deploy = [\"migrate\"]\n");
    project.write(
        "app/more/compose.yaml",
        "services:\n  worker:\n    image: app:1\n    env_file: [worker.env]\n    extends: {file: base.yaml, service: base}\n  \
         migrate:\n    image: app:1\n    profiles: [jobs]\n",
    );
    project.write(
        "app/more/base.yaml",
        "services:\n  base:\n    image: base:1\n    volumes: [\"./conf:/conf:ro\"]\n",
    );
    project.write("app/more/worker.env", "A=1\n");
    project.write("app/more/conf/app.conf", "fast = true\n");
    let files = rendered(&project);
    let ours: Value = serde_saphyr::from_str(&files["app/compose.provision.yaml"]).unwrap();
    let worker = &ours["services"]["worker"];
    assert_eq!(worker["scale"], 2);
    assert!(
        worker["labels"]["provision.files"].is_string(),
        "its files are its own: {worker}"
    );
    if let Some(said) = compose_says(&project.root().join("out/stacks/app"), &[], &[]) {
        let seen: Value = serde_saphyr::from_str(&said).unwrap();
        assert_eq!(seen["services"]["worker"]["labels"], worker["labels"]);
        assert_eq!(seen["services"]["worker"]["image"], "app:1");
        assert_eq!(seen["networks"]["default"]["external"], true);
    }
    // Who changes a file that only an included service sees, makes that one anew.
    project.write("app/more/conf/app.conf", "fast = false\n");
    let changed: Value = serde_saphyr::from_str(&rendered(&project)["app/compose.provision.yaml"]).unwrap();
    assert_ne!(changed["services"]["worker"], *worker);
    assert_eq!(changed["services"]["migrate"], ours["services"]["migrate"]);
    // Found by its name, so no other stack may have it.
    project.write("other/compose.yaml", "services:\n  worker:\n    image: other:1\n");
    let file = project.root().join("environments/demo.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        text.replace("[routes]", "[stacks.other]\npath = \"../other\"\n[routes]"),
    )
    .unwrap();
    let output = project.output(&["validate", "demo"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("worker"), "{told}");
}

/// Logs are read from where Docker keeps them, which a data volume moves.
#[test]
fn monitoring_finds_dockers_logs() {
    for (more, root) in [("", "/var/lib/docker"), ("[data]\nvolume_gib = 5\n", "/data/docker")] {
        let files = rendered(&project(&format!("{MACHINE}{more}{MONITORING}")));
        let env = &files["monitoring/.env"];
        assert!(env.contains(&format!("DOCKER_ROOT='{root}'")), "{env}");
    }
}

/// Nothing that is rendered holds a secret, and no environment of a container does.
#[test]
fn secrets_are_files_in_the_container() {
    for (name, _) in STACKS.iter().filter(|(name, _)| *name != "demo") {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose").join(name);
        let manifest = std::fs::read_to_string(folder.join("stack.toml")).unwrap();
        let compose: Value =
            serde_saphyr::from_str(&std::fs::read_to_string(folder.join("compose.yaml")).unwrap()).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let variables = manifest
            .get("env")
            .and_then(|env| env.as_table())
            .cloned()
            .unwrap_or_default();
        for (variable, value) in &variables {
            let is_secret = ["secret}}", "secrets.", ".secret.", "password"]
                .iter()
                .any(|word| value.as_str().unwrap().contains(word));
            let services = compose["services"].to_string();
            assert!(
                !is_secret || !services.contains(&format!("${{{variable}")),
                "{name}: {variable} stands in a container's environment or arguments"
            );
        }
    }
}
