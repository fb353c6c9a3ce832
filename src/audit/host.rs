//! The host itself: what listens, who gets in over SSH, what waits to be installed.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Finding, Rule};
use crate::remote::audit::Walls;

/// Lists of packages that are older than this tell little: unattended-upgrades fetches them every day.
const OLD: i64 = 4 * 24 * 3600;

/// UDP ports that every machine with DHCP has: its answers, for IPv4 and IPv6.
const DHCP: [u16; 2] = [68, 546];

/// The ports that sshd is set to.
pub fn ssh_ports(walls: &Walls) -> BTreeSet<u16> {
    let text = walls.sshd.root.as_deref().unwrap_or_default();
    let ports: BTreeSet<u16> = text
        .lines()
        .filter_map(|line| line.strip_prefix("port ")?.trim().parse().ok())
        .collect();
    if ports.is_empty() { BTreeSet::from([22]) } else { ports }
}

/// Programs that listen for more than the host itself.
pub fn listeners(walls: &Walls) -> Vec<Finding> {
    let ssh = ssh_ports(walls);
    let mut findings = Vec::new();
    for listener in &walls.listeners {
        let loopback = listener.address.parse::<IpAddr>().is_ok_and(|address| match address {
            IpAddr::V4(four) => four.is_loopback(),
            IpAddr::V6(six) => six.is_loopback() || six.to_ipv4_mapped().is_some_and(|four| four.is_loopback()),
        });
        let known = match listener.proto.as_str() {
            "tcp" => ssh.contains(&listener.port) || [80, 443].contains(&listener.port),
            _ => listener.port == 443 || DHCP.contains(&listener.port),
        };
        // What Docker publishes is told of the container.
        if loopback || known || listener.process.as_deref() == Some("docker-proxy") {
            continue;
        }
        let process = listener.process.as_deref().unwrap_or("something");
        findings.push(Finding::new(
            Rule::Listener,
            format!("{}:{}/{}", listener.address, listener.port, listener.proto),
            format!("{process} listens; only the firewall keeps it private"),
        ));
    }
    findings
}

/// Who gets in over SSH, and how.
pub fn sshd(walls: &Walls) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (user, text) in [("root", &walls.sshd.root), ("us", &walls.sshd.login)] {
        let subject = format!("sshd for {user}");
        let Some(text) = text else {
            findings.push(Finding::new(Rule::Unseen, subject, "`sshd -T` does not answer"));
            continue;
        };
        for line in text.lines() {
            match line.trim() {
                "passwordauthentication yes"
                | "kbdinteractiveauthentication yes"
                | "permitemptypasswords yes"
                | "hostbasedauthentication yes"
                | "permitrootlogin yes"
                | "pubkeyauthentication no" => {
                    findings.push(Finding::new(Rule::SshdLogin, &subject, line.trim()));
                }
                "permitrootlogin prohibit-password"
                | "permitrootlogin without-password"
                | "permitrootlogin forced-commands-only" => {
                    findings.push(Finding::new(Rule::SshdRoot, &subject, line.trim()));
                }
                _ => {}
            }
        }
    }
    findings
}

/// What waits, and how much is known of it.
pub fn updates(walls: &Walls) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(updates) = &walls.updates {
        let count = updates.security.len();
        if count > 0 {
            let names = updates
                .security
                .iter()
                .take(5)
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            let more = if count > 5 { ", …" } else { "" };
            findings.push(Finding::new(
                Rule::Updates,
                "packages",
                format!("{count} security updates wait: {names}{more}"),
            ));
        }
        let age = updates.listed.map(|listed| walls.clock - listed);
        if age.is_none_or(|age| age > OLD) {
            let what = match age {
                Some(age) => format!("the lists of packages are {} days old", age / (24 * 3600)),
                None => "there are no lists of packages".to_owned(),
            };
            findings.push(Finding::new(Rule::Updates, "package lists", what));
        }
    }
    if walls.reboot {
        findings.push(Finding::new(Rule::Updates, "reboot", "an update waits for a reboot"));
    }
    findings
}
