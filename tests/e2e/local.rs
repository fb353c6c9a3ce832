//! What happens to a machine of this computer alone.

use std::time::Duration;

use super::everyday::everyday;
use super::lab::{Lab, alive, kill, until};
use super::life::{Place, only_the_edge_is_public, the_page_is_served, the_row_comes_back};

/// A page that is written once, and a secret that its service knows.
const PAGE: &str = "\
services:
  web:
    image: busybox:1
    env_file: web.env
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

/// It comes from a variable of whoever applies.
const MARKER: &str = "marker-of-a-variable-3f60c9";

/// What only a virtual machine can tell, with as little on it as that takes.
pub fn first_day(lab: &mut Lab) {
    lab.set("MARKER", MARKER);
    let lab = &*lab;
    let archives = lab.archives_of(&[("caddy:2", "caddy_2.tar"), ("busybox:1", "busybox_1.tar")]);
    let stacks = "[secrets]\nMARKER = { env = \"MARKER\" }\n\n[stacks.demo]\npath = \"../page\"\n";
    lab.write_local(stacks, &archives);
    std::fs::create_dir(lab.path("page")).unwrap();
    std::fs::write(lab.path("page/compose.yaml"), PAGE).unwrap();
    std::fs::write(lab.path("page/web.env.hbs"), "MARKER={{secrets.MARKER}}\n").unwrap();
    lab.ok(&["apply", lab.name, "--yes"]);
    only_the_edge_is_public(lab);
    lab.is_settled();
    let page = || lab.curl(&[&format!("{}/entries", lab.output("url"))]);
    let written = page();
    its_power_fails(lab);
    assert_eq!(page(), written, "the data volume outlives it");
    lab.on_host(&format!(
        "sudo docker exec demo-web-1 sh -c 'test \"$MARKER\" = {MARKER}'"
    ));
    nobody_else_knows(lab, MARKER);
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
    nobody_else_knows(lab, &secret);
    let inspected = lab.on_host("sudo docker ps -aq | xargs sudo docker inspect");
    assert!(!inspected.contains(&secret), "the secret is in docker inspect");
}

/// Not the state, not the machine's files, and not its process, which stays.
fn nobody_else_knows(lab: &Lab, secret: &str) {
    let own = lab.path(&format!(".provision/{}", lab.name));
    let (machine, pid) = lab.qemu();
    let process = std::path::PathBuf::from(format!("/proc/{pid}"));
    let files = [
        (&own, "state.json"),
        (&own, "secrets.age"),
        (&machine, "seed.img"),
        (&machine, "serial.log"),
        (&machine, "machine.json"),
        (&machine, "qemu.log"),
        (&process, "environ"),
        (&process, "cmdline"),
    ];
    for file in files.map(|(folder, name)| folder.join(name)) {
        let bytes = std::fs::read(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "the secret is in {}", file.display());
    }
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
