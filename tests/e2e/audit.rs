//! Holes in the walls of a real host: the audit finds each, and says nothing of the walls that hold.

use std::collections::BTreeSet;
use std::net::TcpListener;

use serde_json::Value;

use super::lab::Lab;

/// Runs an audit; tells its violations and its notes, by rule.
fn audit(lab: &Lab) -> (BTreeSet<String>, BTreeSet<String>) {
    let output = lab.run(&["audit", lab.name, "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |severity: &str| {
        let findings = report["findings"].as_array().unwrap().iter();
        let own = findings.filter(|finding| finding["severity"] == severity);
        own.map(|finding| finding["rule"].as_str().unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    };
    let bad = of("violation");
    assert_eq!(
        output.status.code(),
        Some(if bad.is_empty() { 0 } else { 5 }),
        "{report:#}"
    );
    assert_eq!(report["private"], bad.is_empty(), "{report:#}");
    lab.say(&format!("audit: {bad:?}"));
    (bad, of("note"))
}

fn rules(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A hole in each wall: the rule that finds it, what opens it and what closes it.
const HOLES: [(&str, &str, &str); 7] = [
    (
        "published-port",
        "sudo docker run -d --name hole --user 1 -p 5999:5999 --entrypoint sleep postgres:17 infinity",
        "sudo docker rm -f hole",
    ),
    (
        "docker-socket",
        "sudo docker run -d --name hole --user 1 -v /var/run/docker.sock:/s:ro --entrypoint sleep postgres:17 infinity",
        "sudo docker rm -f hole",
    ),
    (
        "privileged",
        "sudo docker run -d --name hole --user 1 --privileged --entrypoint sleep postgres:17 infinity",
        "sudo docker rm -f hole",
    ),
    (
        "host-network",
        "sudo docker run -d --name hole --user 1 --network host --entrypoint sleep postgres:17 infinity",
        "sudo docker rm -f hole",
    ),
    (
        "firewall-input",
        "sudo nft insert rule inet provision input tcp dport 5998 counter accept",
        "sudo /usr/local/lib/provision/firewall",
    ),
    (
        "firewall-docker",
        "sudo iptables -I DOCKER-USER 1 -p tcp --dport 5999 -j ACCEPT",
        "sudo iptables -D DOCKER-USER -p tcp --dport 5999 -j ACCEPT",
    ),
    (
        "sshd-login",
        "echo 'PasswordAuthentication yes' | sudo tee /etc/ssh/sshd_config.d/00-hole.conf >/dev/null",
        "sudo rm /etc/ssh/sshd_config.d/00-hole.conf",
    ),
];

/// A sound host, a hole in one wall after the other, all of them at once, and a sound host again.
pub fn audit_finds_every_hole(lab: &Lab) {
    let (bad, notes) = audit(lab);
    assert_eq!(bad, rules(&[]), "a sound host");
    assert!(!notes.contains("unreached"), "HTTPS and HTTP/3 are reached: {notes:?}");

    let mut close_last = "true";
    for (rule, open, close) in HOLES {
        lab.on_host(&format!("set -e; {close_last} >/dev/null; {open}"));
        let (bad, _) = audit(lab);
        assert_eq!(bad, rules(&[rule]), "the other walls hold");
        close_last = close;
    }

    lab.on_host(&format!(
        "set -e; {close_last}; sudo docker tag postgres:17 hole:1; sudo docker run -d --name hole-one --user 1 -p 5999:5999 --entrypoint sleep postgres:17 infinity;
         sudo docker run -d --name hole-two --privileged --network host -v /var/run/docker.sock:/var/run/docker.sock \
           -e API_TOKEN=t0ken-of-the-hole --entrypoint sleep hole:1 infinity;
         sudo nft insert rule inet provision input tcp dport 5998 counter accept;
         sudo iptables -I DOCKER-USER 1 -p tcp --dport 5999 -j ACCEPT;
         echo 'PasswordAuthentication yes' | sudo tee /etc/ssh/sshd_config.d/00-hole.conf >/dev/null"
    ));
    // What answers at the machine's address is reached from outside, whoever it is.
    let outside = TcpListener::bind((lab.output("address"), 0)).unwrap();
    let (bad, notes) = audit(lab);
    assert_eq!(
        bad,
        rules(&[
            "docker-socket",
            "firewall-docker",
            "firewall-input",
            "host-network",
            "outside-port",
            "privileged",
            "published-port",
            "sshd-login",
        ])
    );
    assert!(
        notes.contains("environment") && notes.contains("root") && notes.contains("tag"),
        "{notes:?}"
    );
    let shown = lab.run(&["audit", lab.name]);
    let shown = format!(
        "{}{}",
        String::from_utf8_lossy(&shown.stdout),
        String::from_utf8_lossy(&shown.stderr)
    );
    let port = outside.local_addr().unwrap().port();
    assert!(
        shown.contains("API_TOKEN") && shown.contains("NOT PRIVATE") && shown.contains(&port.to_string()),
        "{shown}"
    );
    assert!(!shown.contains("t0ken-of-the-hole"), "{shown}");

    drop(outside);
    lab.on_host(
        "set -e; sudo docker rm -f hole-one hole-two; sudo docker rmi hole:1; sudo rm /etc/ssh/sshd_config.d/00-hole.conf; \
         sudo iptables -D DOCKER-USER -p tcp --dport 5999 -j ACCEPT; sudo /usr/local/lib/provision/firewall",
    );
    let told = lab.ok(&["apply", lab.name, "--yes"]);
    assert!(told.contains("audit: private as seen on the host"), "{told}");
    assert_eq!(audit(lab).0, rules(&[]), "repaired");
}
