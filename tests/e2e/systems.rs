//! Two of the five systems on one machine, one after the other: an analytics site (Flask, FastAPI, DuckDB, nginx), then beside
//! it a commerce application in Go with PostgreSQL and Redis. Stacks and applications are those of the repository,
//! the programs are Debian's and PyPI's.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::lab::{Lab, reaches, until};

const SITE: [&str; 4] = [
    "caddy:2",
    "nginx:1.30-alpine",
    "analytics-frontend:1",
    "analytics-backend:1",
];
const SHOP: [&str; 3] = ["postgres:17", "redis:8.10-alpine", "commerce-shop:1"];

pub fn tell(lab: &Lab) {
    let missing: Vec<&&str> = SITE.iter().chain(&SHOP).filter(|image| !lab.has_image(image)).collect();
    if !missing.is_empty() {
        lab.say(&format!(
            "skipped: no archives of {missing:?}; `tests/lab/containers` builds them"
        ));
        return;
    }
    lab.write_system(&site("\"/\" = \"router:8080\""), &SITE);
    lab.ok(&["apply", lab.name, "--yes"]);
    the_site_counts_its_visits(lab);
    its_file_outlives_its_process(lab);
    lab.is_settled();

    let before = containers(lab, "site-");
    let routes = "\"/\" = \"router:8080\"\n\"/orders*\" = \"shop:8080\"\n\"/healthz\" = \"shop:8080\"";
    let all: Vec<&str> = SITE.iter().chain(&SHOP).copied().collect();
    lab.write_system(&format!("{}{}", shop(""), site(routes)), &all);
    lab.ok(&["apply", lab.name, "--yes"]);
    assert_eq!(containers(lab, "site-"), before, "the site beside it is not touched");
    the_shop_takes_orders(lab);
    every_wall_of_a_container_stands(lab);
    migrations_run_at_each_deploy(lab, routes, &all);
    lab.ok(&["destroy", lab.name, "--yes"]);
}

fn environments() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("environments")
        .display()
        .to_string()
}

fn site(routes: &str) -> String {
    format!(
        "[stacks.site]\npath = \"{}/analytics/site\"\n\n[routes]\n{routes}\n",
        environments()
    )
}

/// As in `environments/commerce-postgres.toml`, with two instances, and Redis beside it.
fn shop(more: &str) -> String {
    format!(
        "[stacks.postgres]\ndatabases = [\"shop\"]\n[stacks.redis]\n\
         [stacks.shop]\npath = \"{}/commerce/shop\"\nscale = {{ shop = 2 }}\n[stacks.shop.env]\n\
         DATABASE_URL = \"{{{{stacks.postgres.url.shop}}}}\"\n\
         REDIS_URL = \"{{{{stacks.redis.url.default}}}}\"\n{more}\n",
        environments()
    )
}

fn get(lab: &Lab, path: &str) -> String {
    lab.curl(&[&format!("{}{path}", lab.output("url"))])
}

fn json(lab: &Lab, path: &str) -> Value {
    serde_json::from_str(&get(lab, path)).unwrap()
}

fn post(lab: &Lab, path: &str, body: &str) -> Value {
    let url = format!("{}{path}", lab.output("url"));
    let answer = lab.curl(&["-H", "Content-Type: application/json", "--data", body, &url]);
    serde_json::from_str(&answer).unwrap()
}

/// Names and start times of the containers whose name begins so.
fn containers(lab: &Lab, prefix: &str) -> Vec<String> {
    let list =
        lab.on_host("sudo docker ps -q | xargs sudo docker inspect --format '{{.Name}} {{.State.StartedAt}}' | sort");
    let of = format!("/{prefix}");
    list.lines()
        .filter(|line| line.starts_with(&of))
        .map(str::to_owned)
        .collect()
}

fn the_site_counts_its_visits(lab: &Lab) {
    // Through the edge and the inner nginx: pages from Flask, numbers from FastAPI.
    assert!(get(lab, "/about").contains("<h1>About</h1>"));
    post(lab, "/api/visits", "{\"page\": \"/pricing\", \"seconds\": 4.5}");
    let page = get(lab, "/");
    assert!(page.contains("<td>/pricing</td><td>1</td>"), "{page}");
    assert_eq!(json(lab, "/api/visits")["count"], 3);
    assert_eq!(json(lab, "/api/health")["status"], "healthy");
    let address = lab.output("address");
    for port in [5000, 8000, 8080] {
        assert!(!reaches(&address, port), "port {port} at {address}");
    }
}

fn its_file_outlives_its_process(lab: &Lab) {
    lab.on_host("sudo docker restart -t 20 site-backend-1");
    until("the backend", Duration::from_secs(300), || {
        lab.on_host("sudo docker inspect --format '{{.State.Health.Status}}' site-backend-1")
            .trim()
            == "healthy"
    });
    assert_eq!(
        json(lab, "/api/visits")["count"],
        3,
        "what was counted is there after a restart"
    );
    // A new container, the same volume.
    lab.on_host("sudo docker rm -f site-backend-1");
    lab.ok(&["apply", lab.name, "--yes"]);
    assert_eq!(json(lab, "/api/visits")["count"], 3, "and in a new container");
}

fn the_shop_takes_orders(lab: &Lab) {
    let order = post(lab, "/orders", "{\"item\": \"a kettle\", \"pieces\": 2}");
    assert_eq!(order["id"], 1);
    assert_eq!(json(lab, "/orders")[0]["item"], "a kettle");
    let health = json(lab, "/healthz");
    for service in ["database", "redis"] {
        assert_eq!(health[service], "ok", "{health}");
    }
    assert_eq!(containers(lab, "shop-shop-").len(), 2, "two instances");
    // The stacks of the catalogue, each with its own password, do what they say.
    lab.on_host("sudo docker exec redis-redis-1 redis-cli ping | grep -q NOAUTH");
    lab.on_host("sudo docker exec redis-redis-1 sh -c 'REDISCLI_AUTH=$(cat /run/secrets/password) redis-cli set k v' | grep -q OK");
}

/// What is said of a container of ours, looked at from the host.
fn every_wall_of_a_container_stands(lab: &Lab) {
    let address = lab.output("address");
    for port in [5432, 6379, 8080] {
        assert!(!reaches(&address, port), "port {port} at {address}");
    }
    let password =
        lab.on_host("sudo awk '$1 == \"shop\" { printf \"%s\", $2 }' /opt/provision/stacks/postgres/secrets/databases");
    assert_eq!(password.len(), 32, "a generated password");
    let inspected = lab.on_host("sudo docker ps -aq | xargs sudo docker inspect");
    assert!(!inspected.contains(&password), "a password is in docker inspect");
    let running = lab.on_host("ps -e -o args");
    assert!(!running.contains(&password), "a password is in the list of processes");
    // Not root, and with nothing of root's.
    let who = lab.on_host(
        "sudo docker top redis-redis-1 -o pid,uid,args | tail -n 1; sudo docker top shop-shop-1 -o pid,uid,args | tail -n 1",
    );
    assert!(who.contains(" 999 ") && who.contains(" 65532 "), "{who}");
    lab.on_host("sudo docker inspect shop-shop-1 | grep -q no-new-privileges");
    // Measured and logged by stack and service, without access to Docker.
    lab.on_host("test -d /sys/fs/cgroup/provision.slice/provision-shop.slice/provision-shop-shop.slice");
    lab.on_host("sudo sh -c 'grep -hs com.docker.compose.service.*shop /var/lib/docker/containers/*/*-json.log' | grep -q listening");
}

fn migrations_run_at_each_deploy(lab: &Lab, routes: &str, images: &[&str]) {
    let before = containers(lab, "postgres-");
    let more = "OTEL_EXPORTER_OTLP_ENDPOINT = \"\"\nMONGODB_URL = \"\"";
    lab.write_system(
        &format!("{}{}", shop(more).replace("shop = 2 }", "shop = 1 }"), site(routes)),
        images,
    );
    let applied = lab.ok(&["apply", lab.name, "--yes"]);
    assert!(applied.contains("stack.shop"), "{applied}");
    assert_eq!(containers(lab, "postgres-"), before, "the database is not touched");
    assert_eq!(containers(lab, "shop-shop-").len(), 1, "one instance is left");
    assert_eq!(json(lab, "/orders")[0]["pieces"], 2, "the order is still there");
    lab.is_settled();
}
