//! HTTP/3, asked for by a client that speaks nothing else (`http3.py`): curl of today's distributions does not speak it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::lab;
use super::world::World;
use super::{is, shop};

/// The lab's Python, when it has what speaks HTTP/3; none, and a word, without it.
fn python() -> Option<PathBuf> {
    let python = lab::folder()?.join("python/bin/python");
    let found = Command::new(&python).args(["-c", "import aioquic"]).output();
    if found.is_ok_and(|found| found.status.success()) {
        return Some(python);
    }
    println!("skipped: the lab's Python with aioquic is not there; `tests/lab/python` makes it");
    None
}

/// What came back, if it could be asked.
pub fn asked(world: &World, root: &Path, more: &[&str]) -> Option<Output> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/edge/http3.py");
    let args = [&[script, root.to_str().unwrap()], more].concat();
    Some(world.command(python()?.to_str().unwrap(), &args).output().unwrap())
}

/// Whether anything waits for it.
pub fn has_udp_443(world: &World) -> bool {
    let tables = world.done("cat", &["/proc/net/udp", "/proc/net/udp6"]);
    tables.lines().any(|line| {
        line.split_whitespace()
            .nth(1)
            .is_some_and(|local| local.ends_with(":01BB"))
    })
}

#[test]
fn requests_reach_their_services_over_http3() {
    let Some(shop) = shop() else { return };
    // Where the header `alt-svc` sends to.
    assert!(has_udp_443(shop));
    let ask = |more: &[&str]| {
        let output = asked(shop, &shop.root("edge"), more)?;
        assert!(
            output.status.success(),
            "{more:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Some(String::from_utf8_lossy(&output.stdout).to_lowercase())
    };
    let Some(answer) = ask(&["https://shop.test/h3?b=1", "X-Forwarded-For:198.51.100.7"]) else {
        return;
    };
    is(
        &answer,
        "http/3 200",
        &[
            "\nget /h3?b=1\n",
            "port 8000",
            "x-forwarded-for: 127.0.0.1\n",
            "x-frame-options: deny",
        ],
        &["198.51.100.7"],
    );
    let panel = ask(&["https://shop.test/panel/"]).unwrap();
    is(&panel, "http/3 401", &["www-authenticate: basic"], &["port 3000"]);
    let moved = ask(&["https://www.shop.test/a?b=1"]).unwrap();
    is(&moved, "http/3 308", &["location: https://shop.test/a?b=1\n"], &[]);
    shop.wait("its line in the log", || {
        let log = shop.log("edge");
        log.lines()
            .any(|line| line.contains("\"uri\":\"/h3?b=1\"") && line.contains("\"proto\":\"HTTP/3.0\""))
    });
}
