//! The larger systems of `environments/`, as they stand there but for the machine, their names' zone and their certificates: they
//! apply and serve. PostgreSQL, Redis, RabbitMQ, nginx, Node and Caddy are the real programs; what Debian does not have
//! is stood in for by a program that listens where it would.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::lab::Lab;

/// The archive that holds every stand-in.
const STAND_IN: &str = "standin_1.tar";

/// Programs that Debian has.
const REAL: [&str; 6] = [
    "caddy:2",
    "events-platform:1",
    "nginx:1.30-alpine",
    "postgres:17",
    "rabbitmq:4.3-management",
    "redis:8.10-alpine",
];

/// An event platform: three instances consume one queue, and end in good order.
pub fn events(lab: &Lab) {
    if !begin(lab, 8) {
        return;
    }
    let answer = json(lab, "/");
    for need in ["database", "amqp", "redis"] {
        assert_eq!(answer["needs"][need], true, "{answer}");
    }
    let instances = lab.on_host("sudo docker ps --format '{{.Names}} {{.Status}}' | grep '^platform-order-service-'");
    assert_eq!(instances.matches("(healthy)").count(), 3, "{instances}");
    // Asked to end, it says so on standard output and ends with 0.
    lab.on_host("sudo docker stop platform-order-service-2");
    let said = lab.on_host("sudo docker logs platform-order-service-2; sudo docker inspect --format '{{.State.ExitCode}}' platform-order-service-2");
    assert!(
        said.contains("\"event\":\"ended\"") && said.ends_with("\n0\n"),
        "{said}"
    );
    lab.on_host("sudo docker start platform-order-service-2");
    limits_and_reservations(lab, "platform-order-service-1", 128, 64);
    end(lab);
}

/// A product-passport platform: each service behind the gateway, each with its own schema.
pub fn passport(lab: &Lab) {
    if !begin(lab, 4) {
        return;
    }
    for (path, service) in [("/api/products", "product"), ("/api/trust", "trust"), ("/", "portal")] {
        let answer = json(lab, path);
        let who = answer["stand-in"].as_str().unwrap();
        assert!(who.ends_with(service), "{path}: {answer}");
    }
    let schemas = lab.on_host("sudo docker exec postgres-postgres-1 psql -U postgres -d platform -Atc \"select nspname || ' ' || pg_get_userbyid(nspowner) from pg_namespace\"");
    for schema in [
        "product", "passport", "registry", "trust", "issuer", "portal", "notifier",
    ] {
        assert!(
            schemas.lines().any(|line| line == format!("{schema} {schema}")),
            "{schema} in\n{schemas}"
        );
    }
    only_the_edge_publishes(lab);
    end(lab);
}

/// A headless commerce suite: migrated before it starts, seeded once, its master key rotated.
pub fn suite(lab: &Lab) {
    if !begin(lab, 8) {
        return;
    }
    for (path, service) in [("/graphql", "suite:app"), ("/", "storefront"), ("/admin", "admin")] {
        let answer = json(lab, path);
        assert!(answer["stand-in"].is_string(), "{service}: {answer}");
    }
    let before = lab.on_host("sudo docker exec shop-api-1 cat /run/secrets/master_key");
    lab.ok(&["secrets", "rotate", lab.name, "SUITE_MASTER_KEY"]);
    let applied = lab.ok(&["apply", lab.name, "--yes"]);
    assert!(
        applied.contains("stack.shop") && !applied.contains("job seed"),
        "seeded once: {applied}"
    );
    let after = lab.on_host("sudo docker exec shop-api-1 cat /run/secrets/master_key");
    let kept = lab.on_host("sudo docker exec shop-api-1 cat /run/secrets/master_keys_before");
    assert!(before != after && kept == before, "the key before stays readable");
    only_the_edge_publishes(lab);
    end(lab);
}

/// Applies the system of this lab's name; false, and a word, where its images are not built.
fn begin(lab: &Lab, memory_gib: u32) -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("environments");
    let text = std::fs::read_to_string(folder.join(format!("{}.toml", lab.name))).unwrap();
    let mut environment: toml::Table = text.parse().unwrap();
    for gone in ["protect", "dns"] {
        environment.remove(gone);
    }
    let machine = format!(
        "local = {{ image = {:?}, disk_gib = 16, memory_gib = {memory_gib} }}\n",
        lab.image()
    );
    environment.insert("machine".into(), toml::Value::Table(machine.parse().unwrap()));
    environment.insert("tls".into(), toml::Value::Table("mode = \"internal\"".parse().unwrap()));
    if environment.contains_key("secrets") {
        // The vaults that they come from are not here.
        for (_, from) in environment["secrets"].as_table_mut().unwrap() {
            *from = toml::Value::Table("generate = 32".parse().unwrap());
        }
    }
    for (_, stack) in environment["stacks"].as_table_mut().unwrap() {
        for key in ["path", "files"] {
            if let Some(relative) = stack
                .get(key)
                .and_then(|path| path.as_str())
                .map(|path| folder.join(path))
            {
                let absolute = relative.to_str().unwrap().to_owned();
                stack.as_table_mut().unwrap().insert(key.into(), absolute.into());
            }
        }
    }
    let mut archives = toml::Table::new();
    for image in images(environment["stacks"].as_table().unwrap()) {
        let file = match REAL.contains(&image.as_str()) {
            true => format!("{}.tar", image.replace(':', "_")),
            false => STAND_IN.to_owned(),
        };
        let archive = lab.archive(&file);
        if !archive.exists() {
            lab.say(&format!("skipped: no {file}; `make lab-machines` builds it"));
            return false;
        }
        archives.insert(image, archive.to_str().unwrap().into());
    }
    environment.insert("images".into(), toml::Value::Table(archives));
    std::fs::create_dir_all(lab.path("environments")).unwrap();
    std::fs::write(lab.environment(), environment.to_string()).unwrap();
    lab.ok(&["apply", lab.name, "--yes"]);
    assert!(lab.ok(&["apply", lab.name, "--yes"]).contains("nothing to do"));
    true
}

/// The images that its stacks and the edge name.
fn images(stacks: &toml::Table) -> BTreeSet<String> {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose");
    let folder = |(name, stack): (&String, &toml::Value)| match stack.get("path").and_then(|path| path.as_str()) {
        Some(own) => own.into(),
        None => built_in.join(name),
    };
    let mut found = BTreeSet::from(["caddy:2".to_owned()]);
    for stack in stacks.iter().map(folder) {
        let compose = std::fs::read_to_string(stack.join("compose.yaml")).unwrap();
        let named = compose.lines().filter_map(|line| line.trim().strip_prefix("image: "));
        found.extend(named.map(str::to_owned));
    }
    found
}

fn json(lab: &Lab, path: &str) -> Value {
    let url = lab.output("url");
    let host = url.trim_start_matches("https://").to_owned();
    let resolve = format!("{host}:443:{}", lab.output("address"));
    serde_json::from_str(&lab.curl(&["--resolve", &resolve, &format!("{url}{path}")])).unwrap()
}

fn limits_and_reservations(lab: &Lab, container: &str, limit_mib: u64, reserved_mib: u64) {
    let said = lab.on_host(&format!(
        "sudo docker inspect --format '{{{{.HostConfig.Memory}}}} {{{{.HostConfig.MemoryReservation}}}}' {container}"
    ));
    assert_eq!(said.trim(), format!("{} {}", limit_mib << 20, reserved_mib << 20));
}

fn only_the_edge_publishes(lab: &Lab) {
    let published = lab.on_host("sudo docker ps --format '{{.Names}} {{.Ports}}' | grep -- '->' | cut -d' ' -f1");
    assert_eq!(published.trim(), "edge-caddy-1");
}

fn end(lab: &Lab) {
    let report = lab.run(&["audit", lab.name]);
    assert!(report.status.success(), "{}", super::lab::text(&report));
    lab.ok(&["destroy", lab.name, "--yes"]);
}
