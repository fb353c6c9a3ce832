//! The larger systems of `environments/`, on the machines that they ask for and as they stand there, but for their names' zone and their
//! certificates: they apply and serve. PostgreSQL, Redis, RabbitMQ, nginx, Caddy, Prometheus and the applications in Node, Python and Go are the real
//! programs; what Debian does not have is stood in for by a program that listens where it would, and says so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::lab::{Lab, until};

/// An event platform: three instances consume one queue, and end in good order.
pub fn events(lab: &Lab) {
    if !begin(lab) {
        return;
    }
    let needs = &json(lab, "/")["needs"];
    for need in ["database", "amqp", "redis"] {
        assert_eq!(needs[need], true, "{needs}");
    }
    let orders = order(lab, 12);
    until("all orders to be accepted, paid and notified", MINUTES, || {
        happened(lab, "notified") == 12
    });
    assert_eq!(instances(lab, "accepted").len(), 3, "three share one queue");
    // Out of Redis.
    assert_eq!(json(lab, &format!("/orders/{}", orders[0]))["last"], "notified");
    // With what the Compose file says of each.
    let said = lab.on_host(
        "sudo docker inspect --format '{{.State.Health.Status}} {{.Config.Healthcheck.StartPeriod}} {{.HostConfig.Memory}} \
         {{.HostConfig.MemoryReservation}} {{.HostConfig.NanoCpus}}' platform-order-service-1 platform-order-service-2 platform-order-service-3",
    );
    let each = format!("healthy 900000000000 {} {} 500000000\n", 128 << 20, 64 << 20);
    assert_eq!(said, each.repeat(3));
    // Asked to end, it says so on standard output and ends with 0; the others go on.
    let said = lab.on_host(
        "sudo docker stop platform-order-service-2 >/dev/null; sudo docker logs platform-order-service-2; \
         sudo docker inspect --format '{{.State.ExitCode}}' platform-order-service-2",
    );
    let mut lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.pop(), Some("0"), "{said}");
    let log: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect();
    assert_eq!(log.last().unwrap()["event"], "ended", "{said}");
    assert!(log.iter().all(|line| line["service"] == "order-service"), "{said}");
    order(lab, 4);
    until("the others to take the next ones", MINUTES, || {
        happened(lab, "notified") == 16
    });
    lab.on_host("sudo docker start platform-order-service-2");
    prometheus_measures(lab);
    end(lab);
}

/// A product-passport platform: each service behind the gateway, each with its own schema.
pub fn passport(lab: &Lab) {
    if !begin(lab) {
        return;
    }
    let services = [
        ("/api/products", "product"),
        ("/api/passports", "passport"),
        ("/api/registry", "registry"),
        ("/api/trust", "trust"),
        ("/api/issuers", "issuer"),
        ("/api/notifications", "notifier"),
        ("/", "portal"),
    ];
    let paths = services.map(|(path, _)| path);
    // To each the same, and each has only its own.
    requests(lab, &["--data", "{\"name\": \"a lamp\"}"], &paths);
    for ((path, service), answer) in services.iter().zip(requests(lab, &[], &paths)) {
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["service"], *service, "{path}: {answer}");
        assert_eq!(answer["schema"], *service, "{path}: {answer}");
        assert_eq!(answer["entries"], serde_json::json!(["a lamp"]), "{path}: {answer}");
    }
    let schemas = lab.on_host(
        "sudo docker exec postgres-postgres-1 psql -U postgres -d platform -Atc \
         \"select nspname || ' ' || pg_get_userbyid(nspowner) from pg_namespace\"",
    );
    for (_, schema) in services {
        assert!(
            schemas.lines().any(|line| line == format!("{schema} {schema}")),
            "{schema} in\n{schemas}"
        );
    }
    let stranger = lab.on_host(
        "sudo docker exec postgres-postgres-1 psql -U product -d platform -Atc 'select name from passport.entries' 2>&1 || true",
    );
    assert!(stranger.contains("permission denied for schema passport"), "{stranger}");
    only_the_edge_publishes(lab);
    end(lab);
}

/// A headless commerce suite: migrated before it starts, seeded once, its master key rotated.
pub fn suite(lab: &Lab) {
    if !begin(lab) {
        return;
    }
    assert_eq!(graphql(lab, "{ health }")["health"], "healthy");
    let pages = requests(lab, &[], &["/", "/admin"]);
    for (page, part) in pages.iter().zip(["kettle, 49.00", "3 products"]) {
        assert!(page.contains(part), "{part} in {page}");
    }
    its_tables_were_there_before_it_started(lab);
    only_the_edge_tells_who_asks(lab);

    let customer = graphql(lab, "mutation { addCustomer(email: \"ada@example.com\") }");
    assert_eq!(customer["addCustomer"], 1);
    lab.ok(&["secrets", "rotate", lab.name, "SUITE_MASTER_KEY"]);
    let applied = lab.ok(&["apply", lab.name, "--yes"]);
    assert!(applied.contains("stack.shop"), "{applied}");
    let known = "a…@example.com";
    assert_eq!(
        graphql(lab, "{ customer(id: 1) }")["customer"],
        known,
        "the key before is readable"
    );
    let encrypted = lab.on_host(
        "sudo docker exec shop-api-1 sh -c 'python3 /app/worker.py encrypt-anew && python3 /app/worker.py encrypt-anew'",
    );
    let rows: Vec<Value> = encrypted
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["rows"].clone())
        .collect();
    assert_eq!(rows, [1, 0], "what was under the key before is under the present one");
    assert_eq!(graphql(lab, "{ customer(id: 1) }")["customer"], known);
    assert_eq!(sql(lab, "suite", "SELECT count(*) FROM seeds"), "1", "seeded once");
    only_the_edge_publishes(lab);
    end(lab);
}

/// What an emulated machine may take for what takes a second elsewhere.
const MINUTES: Duration = Duration::from_secs(300);

/// Orders so many, and gives their names.
fn order(lab: &Lab, count: usize) -> Vec<String> {
    let path = format!("/orders?[1-{count}]");
    let answers = requests(lab, &["--data", "{\"item\": \"a kettle\"}"], &[&path]);
    let orders = answers.iter().map(|answer| {
        let answer: Value = serde_json::from_str(answer).unwrap();
        answer["order"].as_str().unwrap().to_owned()
    });
    orders.collect()
}

/// How often this was recorded, by instance.
fn instances(lab: &Lab, kind: &str) -> BTreeMap<String, u64> {
    let events = json(lab, "/events");
    let of_kind = events.as_array().unwrap().iter().filter(|event| event["kind"] == kind);
    of_kind
        .map(|event| {
            let instance = event["instance"].as_str().unwrap().to_owned();
            (instance, event["count"].as_u64().unwrap())
        })
        .collect()
}

fn happened(lab: &Lab, kind: &str) -> u64 {
    instances(lab, kind).values().sum()
}

/// Every target answers, and the machine is measured.
fn prometheus_measures(lab: &Lab) {
    let ask = |query: &str| {
        let said = lab.on_host(&format!(
            "sudo docker exec monitoring-prometheus-1 wget -q -O - 'http://127.0.0.1:9090/api/v1/query?query={query}'"
        ));
        serde_json::from_str::<Value>(&said).unwrap()["data"]["result"].clone()
    };
    let up = ask("up");
    for job in ["prometheus", "machine", "containers"] {
        let of_job = up
            .as_array()
            .unwrap()
            .iter()
            .find(|found| found["metric"]["job"] == job);
        assert_eq!(of_job.unwrap()["value"][1], "1", "{job} in {up}");
    }
    let memory = ask("node_memory_MemTotal_bytes");
    let bytes: f64 = memory[0]["value"][1].as_str().unwrap().parse().unwrap();
    assert!(bytes > 7e9, "{memory}");
}

/// By the clock of the machine, which both go by.
fn its_tables_were_there_before_it_started(lab: &Lab) {
    let started = lab.on_host("sudo docker inspect --format '{{.State.StartedAt}}' shop-api-1");
    let before = format!("SELECT max(at) < '{}' FROM migrations", started.trim());
    assert_eq!(sql(lab, "suite", &before), "t");
}

/// Whoever sends a header of a proxy is not believed, unless it is the edge; and the edge drops what a client sends.
fn only_the_edge_tells_who_asks(lab: &Lab) {
    let address = lab.on_host(
        "sudo docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' shop-storefront-1; \
         sudo docker exec shop-storefront-1 wget -q -O - --header 'X-Forwarded-For: 203.0.113.9' \
         --header 'Content-Type: application/json' --post-data '{\"query\":\"{ client }\"}' http://api:8000/graphql",
    );
    let (own, answer) = address.split_once('\n').unwrap();
    let answer: Value = serde_json::from_str(answer).unwrap();
    let client = answer["data"]["client"].as_str().unwrap();
    assert!(own.split(' ').any(|address| address == client), "{own}: {answer}");
    let client = graphql(lab, "{ client }")["client"].clone();
    // The computer that this test runs on, as the machine sees it.
    assert_eq!(client, "10.0.2.2");
}

fn graphql(lab: &Lab, query: &str) -> Value {
    let body = serde_json::json!({ "query": query }).to_string();
    let args = ["--header", "X-Forwarded-For: 203.0.113.9", "--json", &body];
    let answers = requests(lab, &args, &["/graphql"]);
    serde_json::from_str::<Value>(&answers[0]).unwrap()["data"].clone()
}

/// As the database's owner.
fn sql(lab: &Lab, database: &str, query: &str) -> String {
    let script = format!("sudo docker exec -i postgres-postgres-1 psql -U {database} -d {database} -At");
    lab.on_host_reading(&script, query).trim().to_owned()
}

/// Applies the system of this lab's name; false, and a word, where its images are not built.
fn begin(lab: &Lab) -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("environments");
    let text = std::fs::read_to_string(folder.join(format!("{}.toml", lab.name))).unwrap();
    let mut environment: toml::Table = text.parse().unwrap();
    for gone in ["protect", "dns"] {
        environment.remove(gone);
    }
    environment.insert("tls".into(), toml::Value::Table("mode = \"internal\"".parse().unwrap()));
    if environment.contains_key("secrets") {
        // The vaults that they come from are not here.
        for (_, from) in environment["secrets"].as_table_mut().unwrap() {
            *from = toml::Value::Table("generate = 32".parse().unwrap());
        }
    }
    std::fs::create_dir_all(lab.path("environments")).unwrap();
    let copies = [("compose", "compose"), ("environments", "stacks")];
    for (from, to) in copies {
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(from), &lab.path(to));
    }
    for (_, stack) in environment["stacks"].as_table_mut().unwrap() {
        for key in ["path", "files"] {
            if let Some(relative) = stack.get(key).and_then(|path| path.as_str()) {
                let copied = format!("../stacks/{relative}");
                stack.as_table_mut().unwrap().insert(key.into(), copied.into());
            }
        }
    }
    let mut archives = toml::Table::new();
    let recipes = recipes();
    for image in images(lab, environment["stacks"].as_table().unwrap()) {
        let file = format!("{}.tar", recipes[&image]);
        let archive = lab.archive(&file);
        if !archive.exists() {
            lab.say(&format!("skipped: no {file}; `make lab-machines` builds it"));
            return false;
        }
        archives.insert(image, archive.to_str().unwrap().into());
    }
    environment.insert("images".into(), toml::Value::Table(archives));
    std::fs::write(lab.environment(), environment.to_string()).unwrap();
    lab.ok(&["apply", lab.name, "--yes"]);
    assert!(lab.ok(&["apply", lab.name, "--yes"]).contains("nothing to do"));
    true
}

/// Stacks as they are, but for one thing: a health check is a program that starts, which costs an emulated machine seconds. Twenty
/// services that ask as often as they would elsewhere leave it no time to do anything else.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_name() == "compose.yaml" {
            let written = std::fs::read_to_string(entry.path()).unwrap();
            let seldom = written.lines().map(|line| {
                let (name, value) = line.split_once(": ").unwrap_or_default();
                match name.trim() {
                    "interval" => format!("{name}: 5m\n"),
                    "start_period" => format!("{name}: 15m\n"),
                    "start_interval" => format!("{name}: {}s\n", 5 * seconds(value)),
                    "timeout" => format!("{name}: 60s\n"),
                    _ => format!("{line}\n"),
                }
            });
            std::fs::write(target, seldom.collect::<String>()).unwrap();
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn seconds(text: &str) -> u64 {
    text.strip_suffix('s').unwrap().parse().unwrap()
}

/// Which of the lab's recipes makes an image: one for each that Debian's packages make, and one that stands in for the others.
fn recipes() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/container");
    let mut made = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let Ok(text) = std::fs::read_to_string(entry.path().join("recipe.toml")) else {
            continue;
        };
        let recipe: toml::Table = text.parse().unwrap();
        let tags = recipe
            .get("tags")
            .and_then(|tags| tags.as_array())
            .into_iter()
            .flatten();
        for tag in tags.chain(recipe.get("tag")) {
            let name = entry.file_name().into_string().unwrap();
            made.insert(tag.as_str().unwrap().to_owned(), name);
        }
    }
    made
}

/// The images that its stacks and the edge name.
fn images(lab: &Lab, stacks: &toml::Table) -> BTreeSet<String> {
    let mut found = BTreeSet::from(["caddy:2".to_owned()]);
    for (name, stack) in stacks {
        let folder = match stack.get("path").and_then(|path| path.as_str()) {
            Some(own) => lab.path("environments").join(own),
            None => lab.path("compose").join(name),
        };
        let compose = std::fs::read_to_string(folder.join("compose.yaml")).unwrap();
        let named = compose.lines().filter_map(|line| line.trim().strip_prefix("image: "));
        found.extend(named.map(str::to_owned));
    }
    found
}

fn json(lab: &Lab, path: &str) -> Value {
    serde_json::from_str(&requests(lab, &[], &[path])[0]).unwrap()
}

/// One after another over one connection: each costs an emulated machine a second otherwise. Each answer is a line.
fn requests(lab: &Lab, args: &[&str], paths: &[&str]) -> Vec<String> {
    let url = lab.output("url");
    let host = url.trim_start_matches("https://").to_owned();
    let resolve = format!("{host}:443:{}", lab.output("address"));
    let urls: Vec<String> = paths.iter().map(|path| format!("{url}{path}")).collect();
    let args = ["--resolve", &resolve].into_iter().chain(args.iter().copied());
    let args: Vec<&str> = args.chain(urls.iter().map(String::as_str)).collect();
    lab.curl(&args).lines().map(str::to_owned).collect()
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
