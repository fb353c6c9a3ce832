//! Rules of a firewall, one by one: as the cloud tells them, as people read them, as they shall be.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::wire;
use crate::provider::spec::cloud::ANYWHERE;
use crate::provider::{Attributes, SshFrom};

/// How the API says "every port".
const ALL: &str = "0";

/// One protocol, one range of ports, one other side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rule {
    /// `tcp`, `udp` or `icmp`.
    protocol: String,
    /// `22`, `8000-9000`, or `0` for all.
    ports: String,
    /// A network, or `droplet 1`, `tag x` and the like.
    other: String,
}

impl Rule {
    fn new(protocol: &str, ports: &str, other: impl Into<String>) -> Self {
        let ports = match ports {
            "" | "all" | "1-65535" | "0-65535" => ALL,
            _ if protocol == "icmp" => ALL,
            other => other,
        };
        Self {
            protocol: protocol.to_owned(),
            ports: ports.to_owned(),
            other: other.into(),
        }
    }

    /// Whether the other side is a network, and not something of the vendor's.
    pub(super) fn is_of_a_network(&self) -> bool {
        !self.other.contains(' ')
    }

    /// `tcp/80`, `tcp`, `icmp`.
    fn shown(&self) -> String {
        match self.ports.as_str() {
            ALL => self.protocol.clone(),
            ports => format!("{}/{ports}", self.protocol),
        }
    }
}

/// The cloud's rules, one by one.
pub(super) fn flat(rules: Option<&Vec<wire::Rule>>) -> BTreeSet<Rule> {
    let mut found = BTreeSet::new();
    for rule in rules.into_iter().flatten() {
        let wire::Others {
            addresses,
            droplet_ids,
            load_balancer_uids,
            kubernetes_ids,
            tags,
        } = &rule.others;
        let addresses = addresses.iter().flatten().map(|address| network(address));
        let droplets = droplet_ids.iter().flatten().map(|id| format!("droplet {id}"));
        let named = |kind: &'static str, list: &Option<Vec<String>>| {
            let names: Vec<String> = list.iter().flatten().map(|name| format!("{kind} {name}")).collect();
            names
        };
        let others = addresses
            .chain(droplets)
            .chain(named("load balancer", load_balancer_uids))
            .chain(named("cluster", kubernetes_ids))
            .chain(named("tag", tags));
        let ports = rule.ports.as_deref().unwrap_or_default();
        found.extend(others.map(|other| Rule::new(&rule.protocol, ports, other)));
    }
    found
}

/// A network as it is written in a file: an address alone is one of one.
fn network(address: &str) -> String {
    let parsed = address.parse::<ipnet::IpNet>().ok();
    let single = || address.parse::<std::net::IpAddr>().ok().map(ipnet::IpNet::from);
    parsed
        .or_else(single)
        .map_or_else(|| address.to_owned(), |network| network.to_string())
}

/// What may come in.
pub(super) fn inbound(ssh_from: &SshFrom) -> BTreeSet<Rule> {
    let public = ssh_from.public().filter_map(|shown| shown.split_once('/'));
    public
        .flat_map(|(protocol, port)| {
            ANYWHERE
                .split(' ')
                .map(move |network| Rule::new(protocol, port, network))
        })
        .chain(ssh_from.networks.iter().map(|network| Rule::new("tcp", "22", network)))
        .collect()
}

/// What may go out: everything. Without a rule nothing could.
pub(super) fn outbound() -> BTreeSet<Rule> {
    let anywhere = || ANYWHERE.split(' ');
    ["tcp", "udp", "icmp"]
        .into_iter()
        .flat_map(|protocol| anywhere().map(move |network| Rule::new(protocol, ALL, network)))
        .collect()
}

/// SSH from one network.
pub(super) fn ssh(network: &str) -> BTreeSet<Rule> {
    BTreeSet::from([Rule::new("tcp", "22", network)])
}

/// For a call: networks only, as nothing else is ours. `side` is `sources` or `destinations`. A list that is empty is left out,
/// as the API does not take one.
pub(super) fn body(rules: &BTreeSet<Rule>, side: &str) -> Vec<Value> {
    let mut by_port: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for rule in rules {
        by_port
            .entry((&rule.protocol, &rule.ports))
            .or_default()
            .push(&rule.other);
    }
    let one = |((protocol, ports), addresses): ((&str, &str), Vec<&str>)| {
        let mut rule = json!({"protocol": protocol, "ports": ports});
        rule[side] = json!({"addresses": addresses});
        rule
    };
    by_port.into_iter().map(one).collect()
}

/// Rules as attributes: protocol and port, from where.
pub(super) fn shown(inbound: &BTreeSet<Rule>, outgoing: &BTreeSet<Rule>, operator: bool) -> Attributes {
    let mut from: BTreeMap<String, BTreeSet<&str>> = BTreeMap::from([("tcp/22".to_owned(), BTreeSet::new())]);
    for rule in inbound {
        from.entry(rule.shown()).or_default().insert(&rule.other);
    }
    let mut attributes: Attributes = from
        .into_iter()
        .map(|(port, networks)| {
            let operator = (operator && port == "tcp/22").then_some("operator");
            let words: Vec<&str> = operator.into_iter().chain(networks).collect();
            (port, words.join(" "))
        })
        .collect();
    if *outgoing != outbound() {
        let to: Vec<String> = outgoing
            .iter()
            .map(|rule| format!("{} to {}", rule.shown(), rule.other))
            .collect();
        let shown = if to.is_empty() {
            "nothing".to_owned()
        } else {
            to.join(", ")
        };
        attributes.insert("egress".to_owned(), shown);
    }
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from() -> SshFrom {
        SshFrom {
            operator: true,
            networks: ["203.0.113.7/32".to_owned(), "2001:db8::/48".to_owned()].into(),
            ..SshFrom::default()
        }
    }

    /// As the API gives back what it is sent.
    fn sent(rules: &BTreeSet<Rule>, side: &str) -> BTreeSet<Rule> {
        let rules: Vec<wire::Rule> = serde_json::from_value(Value::Array(body(rules, side))).unwrap();
        flat(Some(&rules))
    }

    #[test]
    fn what_is_sent_is_what_comes_back() {
        assert_eq!(sent(&inbound(&from()), "sources"), inbound(&from()));
        assert_eq!(sent(&outbound(), "destinations"), outbound());
        let shown = shown(&inbound(&from()), &outbound(), true);
        let told: Vec<String> = shown.iter().map(|(port, from)| format!("{port}: {from}")).collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        tcp/22: operator 2001:db8::/48 203.0.113.7/32
        tcp/443: 0.0.0.0/0 ::/0
        tcp/80: 0.0.0.0/0 ::/0
        udp/443: 0.0.0.0/0 ::/0
        ");
    }

    #[test]
    fn one_rule_has_many_forms() {
        let rules = |text: &str| flat(Some(&serde_json::from_str(text).unwrap()));
        let all = BTreeSet::from([Rule::new("tcp", "0", "203.0.113.7/32")]);
        for ports in ["0", "all", "1-65535"] {
            let text =
                format!(r#"[{{"protocol": "tcp", "ports": "{ports}", "sources": {{"addresses": ["203.0.113.7"]}}}}]"#);
            assert_eq!(rules(&text), all, "{ports}");
        }
        let foreign = rules(r#"[{"protocol": "icmp", "sources": {"droplet_ids": [7], "tags": ["web"]}}]"#);
        let shown = shown(&foreign, &BTreeSet::new(), false);
        assert_eq!(shown["icmp"], "droplet 7 tag web");
        assert_eq!(shown["egress"], "nothing");
        assert_eq!(shown["tcp/22"], "");
    }
}
