//! The host's firewall, rule by rule: not whether it is the text that we wrote, but what it lets in.

use std::collections::BTreeSet;

use super::host::ssh_ports;
use super::{Allowed, Finding, Rule};
use crate::remote::audit::Walls;

/// What is public beside sshd.
const WEB: [u16; 2] = [80, 443];

/// The ports that may be let in.
pub struct Open {
    /// The host's own sshd, the edge, and what the environment file allows.
    tcp: BTreeSet<u16>,
    /// HTTP/3, and what the environment file allows.
    udp: BTreeSet<u16>,
    /// To containers: all but sshd's.
    containers: BTreeSet<u16>,
}

impl Open {
    /// Those of an environment.
    pub fn of(allowed: &Allowed, walls: &Walls) -> Self {
        let more = |protocol: &str| allowed.open(protocol).into_keys();
        Self {
            tcp: ssh_ports(walls).into_iter().chain(WEB).chain(more("tcp")).collect(),
            udp: std::iter::once(443).chain(more("udp")).collect(),
            containers: WEB.into_iter().chain(more("tcp")).collect(),
        }
    }

    /// What may come in, in words.
    fn words(&self, host: bool) -> &'static str {
        let allowed = self.containers.len() > WEB.len() || self.udp.len() > 1;
        match (host, allowed) {
            (true, false) => "ssh, http and https",
            (true, true) => "ssh, http, https and what is allowed",
            (false, false) => "http and https",
            (false, true) => "http, https and what is allowed",
        }
    }
}

/// The bridge of our network on a host of others.
const BRIDGE: &str = "br-provision";

/// The input chain: everything that is not for a container passes it. As a guest, we close only what comes from our network.
pub fn input(walls: &Walls, open: &Open, guest: bool) -> Vec<Finding> {
    let finding = |what: String| Finding::new(Rule::FirewallInput, "inet provision", what);
    let Some(table) = &walls.nft else {
        return vec![finding(
            "the table is not loaded: every port of the host is open".to_owned(),
        )];
    };
    let lines: Vec<&str> = table.lines().map(str::trim).collect();
    let mut findings = Vec::new();
    if guest {
        let from_us = format!("iifname \"{BRIDGE}\" ");
        let own: Vec<&str> = lines
            .iter()
            .filter_map(|line| line.strip_prefix(from_us.as_str()))
            .collect();
        if own.last() != Some(&"drop") {
            findings.push(finding(
                "what our containers send to the host is not dropped".to_owned(),
            ));
        }
        let wide = own
            .iter()
            .filter(|line| is_verdict(line) && !is_ours(line, &WEB.into(), &[443].into()));
        findings
            .extend(wide.map(|line| finding(format!("lets our containers reach more than http and https: {line}"))));
        return findings;
    }
    if !lines
        .iter()
        .any(|line| line.contains("hook input") && line.contains("policy drop"))
    {
        findings.push(finding("the input chain does not drop what nothing lets in".to_owned()));
    }
    let wide = lines
        .iter()
        .filter(|line| is_verdict(line) && !is_ours(line, &open.tcp, &open.udp));
    findings.extend(wide.map(|line| finding(format!("lets in more than {}: {line}", open.words(true)))));
    findings
}

/// Whether a rule may let something in.
fn is_verdict(line: &str) -> bool {
    let word = |wanted: &str| line.split([' ', '"', ',', '}']).any(|word| word == wanted);
    ["accept", "jump", "goto", "queue", "vmap"].into_iter().any(word)
}

/// Whether a rule of the input chain lets in only what is meant to be let in.
fn is_ours(line: &str, tcp: &BTreeSet<u16>, udp: &BTreeSet<u16>) -> bool {
    let rule = line.split(" comment ").next().unwrap_or_default();
    let Some(rule) = rule.strip_suffix("accept").map(str::trim_end) else {
        return false;
    };
    if let Some(ports) = rule.strip_prefix("tcp dport ") {
        return only(ports, tcp);
    }
    if let Some(ports) = rule.strip_prefix("udp dport ") {
        return only(ports, udp);
    }
    let words: Vec<&str> = rule
        .split([' ', ',', '{', '}'])
        .filter(|word| !word.is_empty())
        .collect();
    matches!(
        words.as_slice(),
        ["ct", "state", "established", "related"]
            | ["ct", "state", "related", "established"]
            | ["iif", "lo" | "\"lo\""]
            | ["iif", "1"]
            | ["meta", "l4proto", "icmp" | "1", "ipv6-icmp" | "58"]
            | ["udp", "sport", "67", "udp", "dport", "68"]
            | ["ip6", "saddr", "fe80::/10", "udp", "dport", "546"]
    )
}

/// Whether a set such as `{ 22, 80 }` or a single port holds nothing else.
fn only(ports: &str, open: &BTreeSet<u16>) -> bool {
    let ports = ports.trim_start_matches('{').trim_end_matches('}');
    ports
        .split(',')
        .all(|port| port.trim().parse().is_ok_and(|port| open.contains(&port)))
}

/// The way to containers, which does not pass the input chain.
pub fn docker(walls: &Walls, open: &Open, guest: bool) -> Vec<Finding> {
    let mut findings = family("iptables", walls.iptables.as_deref(), open, guest);
    if walls.ipv6 {
        findings.extend(family("ip6tables", walls.ip6tables.as_deref(), open, guest));
    }
    findings
}

fn family(name: &str, rules: Option<&str>, let_in: &Open, guest: bool) -> Vec<Finding> {
    let finding = |chain: &str, what: String| Finding::new(Rule::FirewallDocker, format!("{name} {chain}"), what);
    let Some(rules) = rules else {
        return vec![finding("filter", "its rules are not there".to_owned())];
    };
    let of = |chain: &str| {
        let begins = format!("-A {chain} ");
        rules
            .lines()
            .filter(|line| line.starts_with(&begins))
            .collect::<Vec<_>>()
    };
    let mut findings = Vec::new();
    for (chain, jump) in [
        ("FORWARD", "-A FORWARD -j DOCKER-USER"),
        ("DOCKER-USER", "-A DOCKER-USER -j PROVISION-DOCKER"),
    ] {
        let lines = of(chain);
        // Where Docker has no rules, nothing leads to containers: older ones leave IPv6 alone.
        if chain == "FORWARD" && name == "ip6tables" && !rules.lines().any(|line| line == "-N DOCKER") {
            continue;
        }
        let Some(at) = lines.iter().position(|line| *line == jump) else {
            findings.push(finding(chain, format!("`{jump}` is missing: published ports are open")));
            continue;
        };
        // A guest takes FORWARD as it is, and stands first in what Docker leaves to its users.
        if guest && chain == "FORWARD" {
            continue;
        }
        let before = lines[..at].iter().filter(|line| !is_closing(line));
        findings.extend(before.map(|line| finding(chain, format!("stands before our rules: {line}"))));
    }
    let own = of("PROVISION-DOCKER");
    let closes = |line: &&str| line.ends_with("-j DROP");
    let closed = match guest {
        true => own.contains(&"-A PROVISION-DOCKER -j DROP"),
        false => {
            let published = own.iter().any(|line| closes(line) && line.contains("--ctstate DNAT"));
            published && own.iter().filter(|line| closes(line)).count() >= 3
        }
    };
    if !closed {
        findings.push(finding(
            "PROVISION-DOCKER",
            "what comes from outside is not dropped".to_owned(),
        ));
    }
    // What comes after the last DROP lets in nothing more.
    let last = own.iter().rposition(closes).unwrap_or(own.len());
    let open = own[..last]
        .iter()
        .filter(|line| !(is_closing(line) || is_meant(line, let_in) || guest && is_others(line)));
    findings.extend(open.map(|line| {
        finding(
            "PROVISION-DOCKER",
            format!("lets in more than {}: {line}", let_in.words(false)),
        )
    }));
    findings
}

fn is_closing(line: &str) -> bool {
    line.contains(" -j DROP") || line.contains(" -j REJECT")
}

/// What is not for our network.
fn is_others(line: &str) -> bool {
    line == format!("-A PROVISION-DOCKER ! -o {BRIDGE} -j RETURN")
}

/// Answers, what containers themselves send, and the edge's ports.
fn is_meant(line: &str, open: &Open) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |option: &str| {
        words
            .iter()
            .position(|word| *word == option)
            .and_then(|at| words.get(at + 1))
            .copied()
    };
    if words.contains(&"!") || after("-j") != Some("RETURN") {
        return false;
    }
    let state = after("--ctstate");
    let answers = matches!(state, Some("RELATED,ESTABLISHED" | "ESTABLISHED,RELATED"));
    let from_containers = after("-i").is_some_and(|name| name.starts_with("docker") || name.starts_with("br-"));
    let port = after("--ctorigdstport").and_then(|port| port.parse().ok());
    let edge = match after("-p") {
        Some("tcp") => port.is_some_and(|port| open.containers.contains(&port)),
        Some("udp") => port.is_some_and(|port| open.udp.contains(&port)),
        _ => false,
    };
    answers || from_containers || edge
}
