//! Rules of a security group, one by one: as the cloud tells them, as people read them, as they shall be.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, PrefixListId, UserIdGroupPair};

use crate::provider::spec::cloud::ANYWHERE;
use crate::provider::{Attributes, SshFrom};

/// How the description of a rule begins that lets a caller in while it runs.
pub(super) const OPERATOR: &str = "provision operator ";
/// How [`Rule`] says "every protocol".
const ALL: &str = "-1";

/// One protocol, one range of ports, one other side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rule {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, a number, or `-1` for all.
    protocol: String,
    /// The ports; type and code of ICMP; nothing where the protocol has none.
    from: Option<i32>,
    to: Option<i32>,
    other: Other,
}

/// The other side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Other {
    Ipv4(String),
    Ipv6(String),
    PrefixList(String),
    /// A group, and whose it is where the cloud tells.
    Group(String, Option<String>),
}

/// Rules and what is written on each.
pub(super) type Rules = BTreeMap<Rule, Option<String>>;

impl Rule {
    /// One network on one port.
    pub(super) fn port(protocol: &str, port: u16, network: &str) -> Self {
        Self {
            protocol: protocol.to_owned(),
            from: Some(i32::from(port)),
            to: Some(i32::from(port)),
            other: Other::network(network),
        }
    }

    /// Everything to one network.
    fn everything(network: &str) -> Self {
        Self {
            protocol: ALL.to_owned(),
            from: None,
            to: None,
            other: Other::network(network),
        }
    }

    /// For a call, with what is written on it.
    pub(super) fn permission(&self, description: Option<&str>) -> IpPermission {
        let said = description.map(str::to_owned);
        let permission = IpPermission::builder()
            .ip_protocol(&self.protocol)
            .set_from_port(self.from)
            .set_to_port(self.to);
        match &self.other {
            Other::Ipv4(cidr) => permission.ip_ranges(IpRange::builder().cidr_ip(cidr).set_description(said).build()),
            Other::Ipv6(cidr) => {
                permission.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(cidr).set_description(said).build())
            }
            Other::PrefixList(id) => {
                permission.prefix_list_ids(PrefixListId::builder().prefix_list_id(id).set_description(said).build())
            }
            Other::Group(id, user) => permission.user_id_group_pairs(
                UserIdGroupPair::builder()
                    .group_id(id)
                    .set_user_id(user.clone())
                    .set_description(said)
                    .build(),
            ),
        }
        .build()
    }

    /// `tcp/80`, `tcp/8000-8100`, `icmp`, `all`.
    fn shown(&self) -> String {
        let name = match self.protocol.as_str() {
            ALL => return "all".to_owned(),
            "1" => "icmp",
            "6" => "tcp",
            "17" => "udp",
            "58" => "icmpv6",
            other => other,
        };
        match (self.from.filter(|from| *from >= 0), self.to.filter(|to| *to >= 0)) {
            (None, _) => name.to_owned(),
            (Some(from), Some(to)) if from != to && !name.starts_with("icmp") => format!("{name}/{from}-{to}"),
            (Some(from), _) => format!("{name}/{from}"),
        }
    }
}

impl Other {
    fn network(network: &str) -> Self {
        if network.contains(':') {
            Self::Ipv6(network.to_owned())
        } else {
            Self::Ipv4(network.to_owned())
        }
    }

    fn shown(&self) -> &str {
        let (Self::Ipv4(id) | Self::Ipv6(id) | Self::PrefixList(id) | Self::Group(id, _)) = self;
        id
    }
}

/// The cloud's permissions, one by one.
pub(super) fn flat(permissions: &[IpPermission]) -> Rules {
    let mut rules = Rules::new();
    for permission in permissions {
        let mut add = |other: Other, description: Option<&str>| {
            let rule = Rule {
                protocol: permission.ip_protocol().unwrap_or(ALL).to_owned(),
                from: permission.from_port().filter(|_| permission.ip_protocol() != Some(ALL)),
                to: permission.to_port().filter(|_| permission.ip_protocol() != Some(ALL)),
                other,
            };
            rules.insert(rule, description.filter(|text| !text.is_empty()).map(str::to_owned));
        };
        for range in permission.ip_ranges() {
            add(
                Other::Ipv4(range.cidr_ip().unwrap_or_default().to_owned()),
                range.description(),
            );
        }
        for range in permission.ipv6_ranges() {
            add(
                Other::Ipv6(range.cidr_ipv6().unwrap_or_default().to_owned()),
                range.description(),
            );
        }
        for list in permission.prefix_list_ids() {
            add(
                Other::PrefixList(list.prefix_list_id().unwrap_or_default().to_owned()),
                list.description(),
            );
        }
        for pair in permission.user_id_group_pairs() {
            let group = pair.group_id().or(pair.group_name()).unwrap_or_default().to_owned();
            add(
                Other::Group(group, pair.user_id().map(str::to_owned)),
                pair.description(),
            );
        }
    }
    rules
}

/// Whether a rule lets a caller in only while it runs: `admit` and `dismiss` have it in their hands.
pub(super) fn is_operators(description: Option<&str>) -> bool {
    description.is_some_and(|text| text.starts_with(OPERATOR))
}

/// What may come in.
pub(super) fn ingress(ssh_from: &SshFrom) -> BTreeSet<Rule> {
    let anywhere = || ANYWHERE.split(' ');
    let public = ssh_from.public().filter_map(|shown| {
        let (protocol, port) = shown.split_once('/')?;
        Some((protocol, port.parse().ok()?))
    });
    public
        .flat_map(|(protocol, port)| anywhere().map(move |network| Rule::port(protocol, port, network)))
        .chain(ssh_from.networks.iter().map(|network| Rule::port("tcp", 22, network)))
        .collect()
}

/// What may go out: everything, as in a group that is new.
pub(super) fn egress(ipv6: bool) -> BTreeSet<Rule> {
    let networks = ANYWHERE.split(' ').take(if ipv6 { 2 } else { 1 });
    networks.map(Rule::everything).collect()
}

/// Whether what may go out is as in a group that is new. The IPv6 half is there or not by the VPC's kind.
fn egress_is_usual(rules: &Rules) -> bool {
    let usual = egress(true);
    egress(false).iter().all(|rule| rules.contains_key(rule)) && rules.keys().all(|rule| usual.contains(rule))
}

/// Rules as attributes: protocol and port, from where.
pub(super) fn shown(ingress: &Rules, egress: &Rules, operator: bool) -> Attributes {
    let mut from: BTreeMap<String, BTreeSet<&str>> = BTreeMap::from([("tcp/22".to_owned(), BTreeSet::new())]);
    for (rule, description) in ingress {
        if !is_operators(description.as_deref()) {
            from.entry(rule.shown()).or_default().insert(rule.other.shown());
        }
    }
    let mut attributes: Attributes = from
        .into_iter()
        .map(|(port, networks)| {
            let operator = (operator && port == "tcp/22").then_some("operator");
            let words: Vec<&str> = operator.into_iter().chain(networks).collect();
            (port, words.join(" "))
        })
        .collect();
    if !egress_is_usual(egress) {
        let to: Vec<String> = egress
            .keys()
            .map(|rule| format!("{} to {}", rule.shown(), rule.other.shown()))
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
#[path = "rules_tests.rs"]
mod tests;
