//! What happens to a machine of this computer alone.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use super::audit::audit_finds_every_hole;
use super::drift::everything_done_by_hand_is_seen_and_repaired;
use super::lab::{Lab, alive, kill, signal, until};
use super::life::{
    Place, containers, of, only_the_edge_is_public, replace, the_page_is_served, the_row_comes_back, the_row_is_there,
};

/// This computer.
pub struct Local;

impl Place for Local {
    fn write(&self, lab: &Lab) {
        lab.write_environment();
    }

    fn is_as_asked_for(&self, lab: &Lab) {
        the_page_is_served(lab);
        what_the_client_says_of_itself_is_dropped(lab);
        only_the_edge_is_public(lab);
    }

    fn days(&self, lab: &Lab) {
        a_changed_compose_file_touches_only_its_stack(lab);
        everything_done_by_hand_is_seen_and_repaired(lab);
        audit_finds_every_hole(lab);
        an_unhealthy_release_is_rolled_back(lab);
        a_network_that_vanishes_is_told(lab);
        a_full_disk_is_told(lab);
        a_power_failure_keeps_the_data(lab);
        no_secret_is_where_it_must_not_be(lab);
    }

    fn end(&self, lab: &Lab) {
        nothing_is_left(lab);
    }
}

/// The application learns from the edge alone where a request comes from.
fn what_the_client_says_of_itself_is_dropped(lab: &Lab) {
    let url = lab.output("url");
    let host = url.trim_start_matches("https://");
    let page = format!("{url}/headers");
    let forged = [
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Port: 666",
        "X-Real-IP: 6.6.6.6",
        "Forwarded: for=6.6.6.6;host=evil.example;proto=http",
        "X_Forwarded_For: 6.6.6.6",
        "True-Client-IP: 6.6.6.6",
        "X-Client-IP: 6.6.6.6",
    ];
    let mut args: Vec<&str> = forged.iter().flat_map(|header| ["-H", header]).collect();
    args.push(&page);
    let received: Vec<(String, String)> = serde_json::from_str(&lab.curl(&args)).unwrap();
    let of = |name: &str| -> Vec<&str> {
        let same = received.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(of("X-Forwarded-Proto"), ["https"]);
    assert_eq!(of("X-Forwarded-Host"), [host]);
    let client: std::net::IpAddr = of("X-Forwarded-For")[0].parse().unwrap();
    assert_eq!(
        of("X-Forwarded-For"),
        [client.to_string()],
        "one address, the one that connected"
    );
    assert_eq!(of("X-Real-IP"), [client.to_string()]);
    for (name, value) in &received {
        assert!(
            !value.contains("6.6.6.6") && !value.contains("evil.example") && value != "666",
            "{name}: {value}"
        );
    }
    for gone in [
        "Forwarded",
        "X-Forwarded-Port",
        "X_Forwarded_For",
        "True-Client-IP",
        "X-Client-IP",
    ] {
        assert!(of(gone).is_empty(), "{gone} in {received:?}");
    }
}

fn a_changed_compose_file_touches_only_its_stack(lab: &Lab) {
    let before = containers(lab);
    own_demo(lab);
    edit_compose(lab, "mem_limit: 256m", "mem_limit: 300m");
    let plan = lab.fails(2, &["plan", lab.name, "--detailed-exitcode"]);
    assert!(
        plan.contains("~ stack.demo") && plan.contains("+     mem_limit: 300m"),
        "{plan}"
    );
    assert!(
        !plan.contains("stack.postgres") && !plan.contains("edge.caddy"),
        "{plan}"
    );
    lab.ok(&["apply", lab.name, "--yes"]);
    let after = containers(lab);
    for untouched in ["postgres", "edge"] {
        assert_eq!(of(&after, untouched), of(&before, untouched));
    }
    assert_ne!(of(&after, "demo"), of(&before, "demo"));
    assert!(the_row_is_there(lab));
    lab.is_settled();
}

fn an_unhealthy_release_is_rolled_back(lab: &Lab) {
    edit_compose(
        lab,
        "http://127.0.0.1:8000/healthz",
        "http://127.0.0.1:8000/no-such-page",
    );
    edit_compose(lab, "retries: 3", "retries: 1");
    edit_compose(lab, "start_period: 120s", "start_period: 10s");
    let failure = lab.fails(1, &["apply", "demo", "--yes"]);
    assert!(
        failure.contains("rolled back") && failure.contains("last health check"),
        "{failure}"
    );
    assert!(the_row_is_there(lab), "the release before serves again");
    edit_compose(
        lab,
        "http://127.0.0.1:8000/no-such-page",
        "http://127.0.0.1:8000/healthz",
    );
    edit_compose(lab, "retries: 1", "retries: 3");
    edit_compose(lab, "start_period: 10s", "start_period: 120s");
    lab.ok(&["apply", "demo", "--yes"]);
    lab.is_settled();
}

/// A machine that is frozen answers as one behind a network that is gone: no packet comes back, and no connection is closed.
fn a_network_that_vanishes_is_told(lab: &Lab) {
    edit_compose(lab, "mem_limit: 300m", "mem_limit: 290m");
    let (_, pid) = lab.qemu();
    let mut apply = lab.start(&["apply", "demo", "--yes"]);
    let mut said = Vec::new();
    let mut frozen = false;
    for line in BufReader::new(apply.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        eprintln!("{line}");
        if !frozen && line.contains("stack.demo: update") {
            signal(pid, "STOP");
            frozen = true;
        }
        said.push(line);
    }
    signal(pid, "CONT");
    assert!(frozen, "the apply ended before it came to the stack");
    assert_eq!(apply.wait().unwrap().code(), Some(1));
    let last = said.last().unwrap();
    assert!(last.ends_with("not done: stack.demo (begun)"), "{last}");
    assert_eq!(lab.state()["resources"]["stack.demo"]["status"], "intended");
    lab.ok(&["apply", "demo", "--yes"]);
    assert!(the_row_is_there(lab));
    lab.is_settled();
}

fn a_full_disk_is_told(lab: &Lab) {
    lab.on_host("sudo sh -c 'fallocate -l $(($(df --output=avail -B1 / | tail -1) - 65536)) /var/full'");
    edit_compose(lab, "mem_limit: 290m", "mem_limit: 280m");
    let failure = lab.fails(1, &["apply", "demo", "--yes"]);
    let told = failure
        .find("\nerror:")
        .map_or("", |begin| failure[begin..].trim_start());
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("../messages/snapshots");
    settings.set_omit_expression(true);
    settings.add_filter(r"\d+ (KiB|MiB)", "[size]");
    settings.bind(|| insta::assert_snapshot!("disk_full_on_the_host", told));
    assert!(the_row_is_there(lab), "what served goes on serving");
    lab.on_host("sudo rm /var/full");
    lab.ok(&["apply", "demo", "--yes"]);
}

fn a_power_failure_keeps_the_data(lab: &Lab) {
    let (_, pid) = lab.qemu();
    lab.say(&format!("kill -9 of QEMU ({pid})"));
    kill(pid);
    until("QEMU to be gone", Duration::from_secs(20), || !alive(pid));
    let plan = lab.fails(2, &["plan", "demo", "--detailed-exitcode"]);
    assert!(plan.contains("power (drift): off → on"), "{plan}");
    lab.ok(&["apply", "demo", "--yes"]);
    the_row_comes_back(lab);
}

fn no_secret_is_where_it_must_not_be(lab: &Lab) {
    let secret = lab.on_host("sudo cat /opt/provision/stacks/postgres/secrets/password");
    assert_eq!(secret.len(), 32, "a generated secret");
    let (machine, _) = lab.qemu();
    for file in [
        lab.path(".provision/demo/state.json"),
        lab.path(".provision/demo/secrets.age"),
        machine.join("seed.img"),
        machine.join("serial.log"),
        machine.join("machine.json"),
    ] {
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "the secret is in {}", file.display());
    }
    let inspected = lab.on_host("sudo docker ps -aq | xargs sudo docker inspect");
    assert!(!inspected.contains(&secret), "the secret is in docker inspect");
}

pub fn nothing_is_left(lab: &Lab) {
    let (machine, pid) = lab.qemu();
    lab.fails(3, &["destroy", lab.name]);
    assert!(alive(pid), "without consent nothing happens");
    lab.ok(&["destroy", lab.name, "--yes"]);
    until("QEMU to end", Duration::from_secs(10), || !alive(pid));
    assert!(!machine.exists(), "no disk");
    let addresses = lab.path("home/.local/state/provision/addresses");
    assert_eq!(std::fs::read_dir(addresses).unwrap().count(), 0, "no address");
    assert!(!lab.path(&format!(".provision/{}", lab.name)).exists(), "no state");
    let kept = lab.path(".provision/_destroyed");
    assert_eq!(std::fs::read_dir(kept).unwrap().count(), 1, "a backup of the state");
}

fn edit_compose(lab: &Lab, from: &str, to: &str) {
    replace(&lab.path("compose/demo/compose.yaml"), from, to);
}

/// A folder of the built-in stack's name wins over it.
fn own_demo(lab: &Lab) {
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("compose/demo");
    let to = lab.path("compose/demo");
    std::fs::create_dir_all(&to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
