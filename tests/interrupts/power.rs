//! A machine that goes off while a run waits for it.

use std::process::{Command, Stdio};

use crate::project::{DEMO, Project};
use crate::run::{Run, kept, signal};

/// Nobody waits a quarter of an hour for a machine that will not answer: the provider is asked.
#[test]
fn a_machine_that_goes_off_is_not_waited_for() {
    let project = Project::empty();
    let image = project.root().join("base.qcow2");
    let made = Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", image.to_str().unwrap(), "64M"])
        .status();
    let system = format!("qemu-system-{}", std::env::consts::ARCH);
    let there = Command::new(&system).arg("--version").stdout(Stdio::null()).status();
    if !made.is_ok_and(|status| status.success()) || there.is_err() {
        println!("skipped: there is no {system} here");
        return;
    }
    let machine = format!("image = {image:?}\nacceleration = \"tcg\"\nmemory_gib = 1\ndisk_gib = 4");
    project.write(
        "environments/demo.toml",
        &DEMO.replace("image = \"base.qcow2\"", &machine),
    );
    project.write("web/compose.yaml", "services:\n  web:\n    image: web:1\n");
    let run = Run::begin(&mut project.command(&["apply", "demo", "--yes"]));
    // There is nothing on its disk.
    run.until("waiting for sshd");
    let machines = project.root().join("home/state/provision/machines");
    let folder = std::fs::read_dir(machines).unwrap().next().unwrap().unwrap().path();
    let pid = std::fs::read_to_string(folder.join("pid")).unwrap();
    signal(pid.trim().parse().unwrap(), "KILL");
    let (code, said) = run.end();
    let said = said.join("\n");
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("went off while its sshd was waited for"), "{said}");
    assert!(said.contains(folder.join("serial.log").to_str().unwrap()), "{said}");
    let state = kept(&project, "state.json");
    assert_eq!(state["resources"]["machine.instance"]["status"], "present", "{state:#}");
    // What comes next is what is said.
    let planned = project.output(&["plan", "demo"]);
    let planned = String::from_utf8_lossy(&planned.stdout).into_owned();
    assert!(planned.contains("power (drift): off → on"), "{planned}");
    let destroyed = project.output(&["destroy", "demo", "--yes"]);
    assert!(
        destroyed.status.success(),
        "{}",
        String::from_utf8_lossy(&destroyed.stderr)
    );
}
