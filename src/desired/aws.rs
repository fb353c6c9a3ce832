//! `[machine.aws]`.

use std::collections::BTreeMap;

use super::Findings;
use super::cloud::ssh_from;
use crate::environment::Sources;
use crate::environment::model::{self, AddressKind, Credits, Spanned, Text};
use crate::provider::spec::cloud::IMAGES;
use crate::provider::{AwsShape, CpuCredits};

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
