//! `[machine.digitalocean]`.

use std::collections::BTreeSet;

use super::Findings;
use super::cloud::ssh_from;
use crate::environment::Sources;
use crate::environment::model::{self, AddressKind, Spanned};
use crate::provider::DigitalOceanShape;
use crate::provider::spec::cloud::IMAGES;

/// What our own tags begin with.
const OURS: &str = "provision";

/// The longest tag (API, tags).
const TAG: usize = 255;

/// What `[machine.digitalocean]` asks for; none when something is wrong, which is said. Whether there is such a size or region, only
/// the vendor knows.
pub fn shape(
    findings: &mut Findings<'_>,
    sources: &Sources,
    machine: &model::DigitalOcean,
    public_key: &str,
) -> Option<DigitalOceanShape> {
    let before = findings.problems.len();
    let shape = DigitalOceanShape {
        region: slug(findings, "region", &machine.region, "write one such as \"fra1\""),
        size: slug(findings, "size", &machine.size, "write one such as \"s-1vcpu-2gb\""),
        image: image(findings, &machine.image),
        static_address: machine.address == AddressKind::Static,
        ipv6: machine.ipv6,
        monitoring: machine.monitoring,
        backups: machine.backups,
        grow_disk: machine.grow_disk,
        vpc: machine.vpc.as_ref().map(|id| vpc(findings, id)),
        project: machine.project.as_ref().map(|project| project.get().clone()),
        public_key: public_key.trim().to_owned(),
        ssh_from: ssh_from(findings, sources),
        tags: tags(findings, &machine.tags),
    };
    (findings.problems.len() == before).then_some(shape)
}

/// A word of the vendor's: lower-case letters, digits and `-`.
fn slug(findings: &mut Findings<'_>, name: &str, text: &Spanned<String>, help: &str) -> String {
    if !is_slug(text.get()) {
        findings.at(text.span(), format!("`{name}` cannot be `{}`", text.get()), help);
    }
    text.get().clone()
}

fn is_slug(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(fits)
}

fn image(findings: &mut Findings<'_>, text: &Spanned<String>) -> String {
    let name = text.get();
    // Slugs of the vendor have three parts and more: one with fewer is a mistaken alias.
    let is_one = is_slug(name) && (name.matches('-').count() > 1 || name.bytes().all(|byte| byte.is_ascii_digit()));
    if !IMAGES.contains(&name.as_str()) && !is_one {
        let help = match crate::environment::nearest(name, IMAGES.into_iter()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "write {}, a slug such as \"debian-13-x64\", or the number of an image of your own in quotes",
                IMAGES.join(", ")
            ),
        };
        findings.at(text.span(), format!("there is no image alias `{name}`"), help);
    }
    name.clone()
}

/// A VPC has a UUID. Its name may be that of several.
fn vpc(findings: &mut Findings<'_>, text: &Spanned<String>) -> String {
    let id = text.get();
    let parts: Vec<&str> = id.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    if lengths != [8, 4, 4, 4, 12]
        || !parts
            .iter()
            .all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        findings.at(
            text.span(),
            format!("`vpc` cannot be `{id}`"),
            "write its identifier, such as \"5a4981aa-9653-4bd1-bef5-d6bff52042e4\": `doctl vpcs list`",
        );
    }
    id.to_ascii_lowercase()
}

fn tags(findings: &mut Findings<'_>, tags: &[Spanned<String>]) -> BTreeSet<String> {
    for tag in tags {
        let text = tag.get();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-:".contains(&byte);
        if text.is_empty() || text.len() > TAG || !text.bytes().all(fits) {
            findings.at(
                tag.span(),
                format!("`{text}` cannot be a tag"),
                "a tag has 1 to 255 letters, digits, `:`, `-` and `_`",
            );
        } else if text.to_ascii_lowercase() == OURS || text.to_ascii_lowercase().starts_with("provision:") {
            findings.at(
                tag.span(),
                format!("the tag `{text}` is not yours to set"),
                "choose one that is not `provision` and does not begin with `provision:`",
            );
        }
    }
    tags.iter().map(|tag| tag.get().to_ascii_lowercase()).collect()
}
