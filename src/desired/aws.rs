//! `[machine.aws]` and `[dns]`.

use std::collections::{BTreeMap, BTreeSet};

use super::Findings;
use crate::environment::Sources;
use crate::environment::model::{self, AddressKind, Credits, DnsProvider, Machine, Spanned, Text};
use crate::provider::spec::aws::IMAGES;
use crate::provider::{AwsShape, CpuCredits, DnsKind, DnsSpec, SshFrom};
use crate::render::Rendered;

/// The word for the caller's own address.
const OPERATOR: &str = "operator";

/// Tag keys that are not the user's: AWS's own, and ours.
const RESERVED: [&str; 3] = ["aws:", "provision:", "Name"];

/// What `[machine.aws]` asks for; none when something is wrong, which is said.
pub fn shape(
    findings: &mut Findings<'_>,
    sources: &Sources,
    machine: &model::Aws,
    public_key: &str,
) -> Option<AwsShape> {
    let before = findings.problems.len();
    let shape = AwsShape {
        region: machine
            .region
            .as_ref()
            .map(|region| word(findings, "region", region, "", "write one such as \"eu-central-1\"")),
        size: size(findings, &machine.size),
        image: image(findings, &machine.image),
        static_address: machine.address == AddressKind::Static,
        subnet: machine.subnet.as_ref().map(|id| {
            word(
                findings,
                "subnet",
                id,
                "subnet-",
                "write its id, such as \"subnet-0123456789abcdef0\"",
            )
        }),
        vpc: machine.vpc.as_ref().map(|id| {
            word(
                findings,
                "vpc",
                id,
                "vpc-",
                "write its id, such as \"vpc-0123456789abcdef0\"",
            )
        }),
        instance_profile: machine.instance_profile.as_ref().map(|name| name.get().clone()),
        spot: machine.spot,
        ipv6: machine.ipv6,
        cpu_credits: machine.cpu_credits.map(|credits| match credits {
            Credits::Standard => CpuCredits::Standard,
            Credits::Unlimited => CpuCredits::Unlimited,
        }),
        kms_key: machine.kms_key.as_ref().map(|key| key.get().clone()),
        public_key: public_key.trim().to_owned(),
        ssh_from: ssh_from(findings, sources),
        tags: tags(findings, &machine.tags),
    };
    (findings.problems.len() == before).then_some(shape)
}

/// An identifier of the vendor: lower-case letters, digits and `-` behind its prefix.
fn word(findings: &mut Findings<'_>, name: &str, text: &Spanned<String>, prefix: &str, help: &str) -> String {
    let rest = text.get().strip_prefix(prefix).unwrap_or_default();
    let good = !rest.is_empty()
        && rest
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !good {
        findings.at(text.span(), format!("`{name}` cannot be `{}`", text.get()), help);
    }
    text.get().clone()
}

fn size(findings: &mut Findings<'_>, text: &Text) -> String {
    let good = text.get().split_once('.').is_some_and(|(family, size)| {
        let plain = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        plain(family) && plain(size)
    });
    if !good {
        findings.at(
            text.span(),
            format!("`{}` is not an instance type", text.get()),
            "write one such as \"t3.small\" or \"t4g.medium\" (arm64)",
        );
    }
    text.get().clone()
}

fn image(findings: &mut Findings<'_>, text: &Text) -> String {
    let name = text.get();
    if !IMAGES.contains(&name.as_str()) && !name.starts_with("ami-") {
        let help = match crate::environment::nearest(name, IMAGES.into_iter()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write {} or the id of an image, `ami-…`", IMAGES.join(", ")),
        };
        findings.at(text.span(), format!("there is no image alias `{name}`"), help);
    }
    name.clone()
}

fn ssh_from(findings: &mut Findings<'_>, sources: &Sources) -> SshFrom {
    let Some(list) = &sources.environment.access.ssh_from else {
        return SshFrom {
            operator: true,
            networks: BTreeSet::new(),
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

fn tags(findings: &mut Findings<'_>, tags: &BTreeMap<Spanned<String>, Text>) -> BTreeMap<String, String> {
    for (key, value) in tags {
        if RESERVED.iter().any(|word| key.get().starts_with(word)) && (key.get() == "Name" || key.get().contains(':')) {
            findings.at(
                key.span(),
                format!("the tag `{}` is not yours to set", key.get()),
                "choose a key that is not `Name` and begins neither with `aws:` nor with `provision:`",
            );
        } else if key.get().is_empty() || key.get().chars().count() > 128 || value.get().chars().count() > 256 {
            findings.at(
                key.span(),
                "this tag is too long or has no key",
                "a key has 1 to 128 characters, a value at most 256",
            );
        }
    }
    tags.iter()
        .map(|(key, value)| (key.get().clone(), value.get().clone()))
        .collect()
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
        Machine::Local(_) | Machine::Ssh(_) => false,
    };
    Some(DnsSpec {
        provider: match dns.provider {
            DnsProvider::Route53 => DnsKind::Route53,
        },
        zone: zone.map(|(_, zone)| zone),
        names,
        ipv6,
    })
}
