//! The life of an environment, the same wherever its machine is: interrupted, applied, nothing to do, changed, drifted, destroyed.
//! A file of a provider's holds only what differs there.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use super::lab::{Lab, reaches, until};

/// Where a machine is.
pub trait Place {
    /// Where the first apply is killed: the step, and words of it.
    const CUT: (&'static str, &'static str) = ("stack.postgres", "deploy");

    /// Writes the environment's file.
    fn write(&self, lab: &Lab);

    /// What answers, and what does not, once it is applied.
    fn is_as_asked_for(&self, lab: &Lab);

    /// What happens only here.
    fn days(&self, lab: &Lab);

    /// Destroys it, and proves that nothing is left.
    fn end(&self, lab: &Lab);
}

/// The whole life.
pub fn live<P: Place>(lab: &Lab, place: &P) {
    place.write(lab);
    killed_in_the_middle(lab, P::CUT);
    lab.ok(&["apply", lab.name, "--yes"]);
    place.is_as_asked_for(lab);
    assert!(the_row_is_there(lab));
    a_second_apply_touches_nothing(lab);
    a_changed_route_touches_only_the_edge(lab);
    drift_is_seen_and_repaired(lab);
    place.days(lab);
    place.end(lab);
}

/// `kill -9` in the middle of a step: the lock is taken over, and the next apply goes on from there.
fn killed_in_the_middle(lab: &Lab, (address, words): (&str, &str)) {
    let mut apply = lab.start(&["apply", lab.name, "--yes"]);
    let mut there = false;
    for line in BufReader::new(apply.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        eprintln!("{line}");
        if line.contains(address) && line.contains(words) {
            there = true;
            break;
        }
    }
    std::thread::sleep(Duration::from_secs(1));
    apply.kill().unwrap();
    apply.wait().unwrap();
    assert!(there, "the apply ended before it came to {address}");
    let resources = &lab.state()["resources"];
    assert_eq!(resources["machine.instance"]["status"], "present");
    assert_eq!(resources[address]["status"], "intended");
}

pub fn the_page_is_served(lab: &Lab) {
    let url = lab.output("url");
    assert!(lab.curl(&[&url]).contains("<html"), "a page");
    lab.curl(&[
        "--data",
        "name=e2e&message=a row that must outlive much",
        &format!("{url}/entries"),
    ]);
    assert!(the_row_is_there(lab));
}

pub fn the_row_is_there(lab: &Lab) -> bool {
    let url = lab.output("url");
    lab.curl(&["-H", "Accept: application/json", &format!("{url}/entries")])
        .contains("a row that must outlive much")
}

pub fn only_the_edge_is_public(lab: &Lab) {
    let address = lab.output("address");
    for (port, open) in [(443, true), (5432, false), (8000, false), (2019, false)] {
        assert_eq!(reaches(&address, port), open, "port {port} at {address}");
    }
    let listeners = lab.on_host("sudo ss -Hltn");
    assert!(
        !listeners.contains(":5432") && !listeners.contains(":8000"),
        "{listeners}"
    );
    lab.on_host("sudo docker info --format '{{.DockerRootDir}}' | grep -x /data/docker");
    // The second wall stands on its own: a container that publishes a port is not reached from another interface.
    lab.on_host("sudo nft list table inet provision | grep -q 'policy drop'");
    lab.on_host("sudo iptables -S PROVISION-DOCKER | grep -q ctorigdstport");
    lab.on_host("! sudo grep -Eqi '^ *PasswordAuthentication +yes' /etc/ssh/sshd_config.d/00-provision.conf");
}

/// Identifier and start time of every container.
pub fn containers(lab: &Lab) -> Vec<String> {
    let list = lab.on_host(
        "sudo docker ps -aq | xargs sudo docker inspect --format '{{.Name}} {{.Id}} {{.State.StartedAt}}' | sort",
    );
    list.lines().map(str::to_owned).collect()
}

pub fn of<'a>(containers: &'a [String], name: &str) -> Vec<&'a String> {
    containers
        .iter()
        .filter(|line| line.starts_with(&format!("/{name}-")))
        .collect()
}

fn a_second_apply_touches_nothing(lab: &Lab) {
    let before = containers(lab);
    let serial = lab.state()["serial"].clone();
    assert!(lab.ok(&["apply", lab.name, "--yes"]).contains("nothing to do"));
    assert_eq!(containers(lab), before);
    assert_eq!(lab.state()["serial"], serial, "a no-op writes no state");
    assert!(lab.ok(&["status", lab.name]).contains("healthy"));
    lab.is_settled();
}

fn a_changed_route_touches_only_the_edge(lab: &Lab) {
    let before = containers(lab);
    edit(
        lab,
        "\"/\" = \"web:8000\"",
        "\"/\" = \"web:8000\"\n\"/entries*\" = \"web:8000\"",
    );
    let plan = lab.fails(2, &["plan", lab.name, "--detailed-exitcode"]);
    assert!(plan.contains("~ edge.caddy") && !plan.contains("stack."), "{plan}");
    lab.ok(&["apply", lab.name, "--yes"]);
    // Caddy itself is reloaded, not restarted.
    assert_eq!(containers(lab), before);
    assert!(the_row_is_there(lab));
    lab.is_settled();
}

fn drift_is_seen_and_repaired(lab: &Lab) {
    let before = containers(lab);
    lab.on_host(
        "sudo docker stop demo-web-1 && echo '# by hand' | sudo tee -a /opt/provision/stacks/edge/config/Caddyfile",
    );
    lab.on_host("sudo nft delete table inet provision");
    let plan = lab.fails(2, &["plan", lab.name, "--detailed-exitcode"]);
    for drift in ["service web (drift)", "config/Caddyfile (drift)", "firewall (drift)"] {
        assert!(plan.contains(drift), "{drift} in\n{plan}");
    }
    assert!(!plan.contains("stack.postgres"), "{plan}");
    lab.ok(&["apply", lab.name, "--yes"]);
    assert_eq!(of(&containers(lab), "postgres"), of(&before, "postgres"));
    lab.on_host("sudo /usr/local/lib/provision/firewall check");
    assert!(the_row_is_there(lab));
    lab.is_settled();
}

pub fn edit(lab: &Lab, from: &str, to: &str) {
    replace(&lab.environment(), from, to);
}

pub fn replace(path: &std::path::Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} holds {from}", path.display());
    std::fs::write(path, text.replace(from, to)).unwrap();
}

pub fn the_row_comes_back(lab: &Lab) {
    until("the page", Duration::from_secs(180), || {
        let certificate = lab.output("ca_certificate");
        let curl = std::process::Command::new("curl")
            .args(["-sf", "--max-time", "10", "--cacert", &certificate, &lab.output("url")])
            .output();
        curl.is_ok_and(|output| output.status.success())
    });
    assert!(the_row_is_there(lab), "the row outlives it");
}
