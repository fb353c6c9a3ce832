//! What is asked for in the same words at every cloud: who reaches port 22, and `[dns]`.

use std::collections::BTreeSet;

use super::Findings;
use crate::environment::Sources;
use crate::environment::model::{DnsProvider, Machine};
use crate::provider::{DnsKind, DnsSpec, SshFrom};
use crate::render::Rendered;

/// The word for the caller's own address.
const OPERATOR: &str = "operator";

/// Who may reach port 22.
pub fn ssh_from(findings: &mut Findings<'_>, sources: &Sources) -> SshFrom {
    let Some(list) = &sources.environment.access.ssh_from else {
        return SshFrom {
            operator: true,
            ..SshFrom::default()
        };
    };
    let mut from = SshFrom::default();
    for text in list {
        if text.get() == OPERATOR {
            from.operator = true;
            continue;
        }
        match text.get().parse::<ipnet::IpNet>() {
            Ok(network) if network == network.trunc() => {
                from.networks.insert(network.to_string());
            }
            Ok(network) => findings.at(
                text.span(),
                format!("`{network}` is an address inside a network"),
                format!("write the network, `{}`", network.trunc()),
            ),
            Err(_) => findings.at(
                text.span(),
                format!("`{}` is neither `operator` nor a network", text.get()),
                "write a CIDR block such as \"203.0.113.7/32\" or \"2001:db8::/48\"",
            ),
        }
    }
    from
}

/// A zone's name in the form of the names in it. An identifier, which is what is written where two zones have one name, stays
/// as it is: it has no dot, and what it holds only its provider knows.
fn zone_name(written: &str) -> String {
    match written.trim_end_matches('.') {
        id if !id.contains('.') => id.to_owned(),
        name => name.to_ascii_lowercase(),
    }
}

/// The names that shall lead to the machine: every host of a route, and the domain.
pub fn dns<'a>(
    findings: &mut Findings<'_>,
    sources: &Sources,
    domain: &'a Rendered,
    hosts: impl Iterator<Item = &'a Rendered>,
) -> Option<DnsSpec> {
    let dns = sources.environment.dns.as_ref()?;
    // A host that is the machine's address has no record.
    let names: BTreeSet<String> = hosts
        .chain([domain])
        .filter(|host| !host.has_marks())
        .map(|host| host.marked().to_ascii_lowercase())
        .collect();
    let span = findings.file.span_of(&["dns"]);
    if names.is_empty() {
        findings.at(
            span.clone(),
            "there is no name to make a record for",
            "set `domain`, or write hosts in [routes]",
        );
    }
    if matches!(sources.environment.machine.get(), Machine::Local(_)) {
        findings.at(
            span,
            "a machine on this computer has no address for the world's DNS",
            "take [dns] out, or use another machine",
        );
    }
    let zone = dns.zone.as_ref().map(|zone| (zone, zone_name(zone.get())));
    if let Some((written, zone)) = &zone
        && zone.contains('.')
        && let Some(outside) = names
            .iter()
            .find(|name| *name != zone && !name.ends_with(&format!(".{zone}")))
    {
        findings.at(
            written.span(),
            format!("`{outside}` is not in the zone `{zone}`"),
            "take `zone` out: the longest hosted zone that fits each name is used",
        );
    }
    let ipv6 = match sources.environment.machine.get() {
        Machine::Aws(aws) => aws.ipv6,
        Machine::DigitalOcean(droplet) => droplet.ipv6,
        Machine::Local(_) | Machine::Ssh(_) => false,
    };
    Some(DnsSpec {
        provider: match dns.provider {
            DnsProvider::Route53 => DnsKind::Route53,
            DnsProvider::DigitalOcean => DnsKind::DigitalOcean,
        },
        zone: zone.map(|(_, zone)| zone),
        names,
        ipv6,
    })
}
