//! What happens to a machine of this computer alone.

use std::time::Duration;

use super::everyday::everyday;
use super::lab::{Lab, alive, kill, until};
use super::life::{Place, only_the_edge_is_public, the_page_is_served, the_row_comes_back};

/// A page that is written once.
const PAGE: &str = "\
services:
  web:
    image: busybox:1
    volumes: [data:/data]
    command:
      - sh
      - -c
      - |
        test -e /data/entries || cat /proc/sys/kernel/random/uuid >/data/entries
        sync; exec httpd -f -p 8000 -h /data
volumes:
  data:
";

/// What only a virtual machine can tell, with as little on it as that takes.
pub fn first_day(lab: &Lab) {
    let archives = lab.archives_of(&[("caddy:2", "caddy_2.tar"), ("busybox:1", "busybox_1.tar")]);
    lab.write_local("[stacks.demo]\npath = \"../page\"\n", &archives);
    std::fs::create_dir(lab.path("page")).unwrap();
    std::fs::write(lab.path("page/compose.yaml"), PAGE).unwrap();
    lab.ok(&["apply", lab.name, "--yes"]);
    only_the_edge_is_public(lab);
    lab.is_settled();
    let page = || lab.curl(&[&format!("{}/entries", lab.output("url"))]);
    let written = page();
    its_power_fails(lab);
    assert_eq!(page(), written, "the data volume outlives it");
    nothing_is_left(lab);
}

/// This computer.
pub struct Local;

impl Place for Local {
    fn write(&self, lab: &Lab) {
        let stacks = "[stacks.postgres]\ndatabases = [\"app\"]\n\n[stacks.demo]\n";
        lab.write_local(stacks, &lab.archives(&[]));
    }

    fn is_as_asked_for(&self, lab: &Lab) {
        the_page_is_served(lab);
        only_the_edge_is_public(lab);
    }

    fn days(&self, lab: &Lab) {
        // A machine that is frozen answers as one behind a network that is gone.
        everyday(lab, lab.qemu().1);
        its_power_fails(lab);
        the_row_comes_back(lab);
        no_secret_is_where_it_must_not_be(lab);
    }

    fn end(&self, lab: &Lab) {
        nothing_is_left(lab);
    }
}

fn its_power_fails(lab: &Lab) {
    let (_, pid) = lab.qemu();
    lab.say(&format!("kill -9 of QEMU ({pid})"));
    kill(pid);
    until("QEMU to be gone", Duration::from_secs(20), || !alive(pid));
    let plan = lab.fails(2, &["plan", lab.name, "--detailed-exitcode"]);
    assert!(plan.contains("power (drift): off → on"), "{plan}");
    lab.ok(&["apply", lab.name, "--yes"]);
}

fn no_secret_is_where_it_must_not_be(lab: &Lab) {
    let secret = lab.on_host("sudo cat /opt/provision/stacks/postgres/secrets/password");
    assert_eq!(secret.len(), 32, "a generated secret");
    let (machine, _) = lab.qemu();
    for file in [
        lab.path(&format!(".provision/{}/state.json", lab.name)),
        lab.path(&format!(".provision/{}/secrets.age", lab.name)),
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

fn nothing_is_left(lab: &Lab) {
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
