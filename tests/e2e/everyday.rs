//! What happens to the demo's two stacks in everyday life, wherever their machine is.

use std::io::{BufRead as _, BufReader};

use super::audit::audit_finds_every_hole;
use super::drift::everything_done_by_hand_is_seen_and_repaired;
use super::lab::{Lab, signal};
use super::life::{containers, of, replace, the_row_is_there};

/// All of it, where this process is the machine's network.
pub fn everyday(lab: &Lab, network: i32) {
    what_the_client_says_of_itself_is_dropped(lab);
    a_changed_compose_file_touches_only_its_stack(lab);
    everything_done_by_hand_is_seen_and_repaired(lab);
    audit_finds_every_hole(lab);
    an_unhealthy_release_is_rolled_back(lab);
    a_network_that_vanishes_is_told(lab, network);
    a_full_disk_is_told(lab);
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
    edit_compose(lab, "GET /healthz", "GET /no-such-page");
    edit_compose(lab, "retries: 3", "retries: 1");
    edit_compose(lab, "start_period: 120s", "start_period: 10s");
    let failure = lab.fails(1, &["apply", lab.name, "--yes"]);
    assert!(
        failure.contains("rolled back") && failure.contains("last health check"),
        "{failure}"
    );
    assert!(the_row_is_there(lab), "the release before serves again");
    edit_compose(lab, "GET /no-such-page", "GET /healthz");
    edit_compose(lab, "retries: 1", "retries: 3");
    edit_compose(lab, "start_period: 10s", "start_period: 120s");
    lab.ok(&["apply", lab.name, "--yes"]);
    lab.is_settled();
}

/// A network that is frozen is as one that is gone: no packet comes back, and no connection is closed.
fn a_network_that_vanishes_is_told(lab: &Lab, network: i32) {
    edit_compose(lab, "mem_limit: 300m", "mem_limit: 290m");
    let mut apply = lab.start(&["apply", lab.name, "--yes"]);
    let mut said = Vec::new();
    let mut frozen = false;
    for line in BufReader::new(apply.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        eprintln!("{line}");
        if !frozen && line.contains("stack.demo: update") {
            signal(network, "STOP");
            frozen = true;
        }
        said.push(line);
    }
    signal(network, "CONT");
    assert!(frozen, "the apply ended before it came to the stack");
    assert_eq!(apply.wait().unwrap().code(), Some(1));
    let last = said.last().unwrap();
    assert!(last.ends_with("not done: stack.demo (begun)"), "{last}");
    assert_eq!(lab.state()["resources"]["stack.demo"]["status"], "intended");
    lab.ok(&["apply", lab.name, "--yes"]);
    assert!(the_row_is_there(lab));
    lab.is_settled();
}

fn a_full_disk_is_told(lab: &Lab) {
    lab.on_host("sudo sh -c 'fallocate -l $(($(df --output=avail -B1 / | tail -1) - 65536)) /var/full'");
    edit_compose(lab, "mem_limit: 290m", "mem_limit: 280m");
    let failure = lab.fails(1, &["apply", lab.name, "--yes"]);
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
    lab.ok(&["apply", lab.name, "--yes"]);
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
