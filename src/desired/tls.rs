//! `[tls]` to where certificates come from, and whether those that are given fit.

use std::collections::BTreeMap;

use super::context::Context;
use super::secrets::TLS_KEY;
use super::{Body, DesiredFile, Findings, Given};
use crate::environment::Sources;
use crate::environment::beside::EdgeFiles;
use crate::environment::edge::{Tls, TlsMode};
use crate::environment::model::Spanned;
use crate::names::Digest;
use crate::render::caddyfile::{Certificates, Route};
use crate::render::{Bindings, Mark, Rendered};

/// Where the files of certificates are in the edge's `config/`.
const FOLDER: &str = "tls";

/// Where certificates come from, and the files of the edge that this takes.
pub struct Authority {
    /// Where they come from.
    pub certificates: Certificates,
    /// Files by their path in `config/`.
    pub files: BTreeMap<String, DesiredFile>,
    /// The secret that the key is.
    pub secret: Option<String>,
}

impl Authority {
    fn of(certificates: Certificates) -> Self {
        Self {
            certificates,
            files: BTreeMap::new(),
            secret: None,
        }
    }
}

/// Works it out; what is mistaken is told, and something stands in for it.
pub fn authority(
    findings: &mut Findings<'_>,
    sources: &Sources,
    context: &Context,
    given: &Given<'_>,
    domain: &Rendered,
) -> Authority {
    let local = super::is_local(sources.environment.machine.get());
    let by_address = domain.marked() == Mark::Address.text();
    let none = Tls::default();
    let tls = sources.environment.tls.as_ref().unwrap_or(&none);
    let mode = tls.mode.as_ref().map_or_else(
        || match (tls.certificate.is_some(), tls.directory.is_some()) {
            (true, false) => TlsMode::Files,
            (false, false) if local || by_address => TlsMode::Internal,
            _ => TlsMode::Acme,
        },
        |mode| *mode.get(),
    );
    misplaced(findings, tls, mode);
    match mode {
        TlsMode::Internal => Authority::of(Certificates::Internal),
        TlsMode::Files => files(findings, sources, context, given, tls),
        TlsMode::Acme if tls.directory.is_some() => directory(findings, sources, tls),
        TlsMode::Acme | TlsMode::AcmeStaging => {
            if let Some(mode) = tls.mode.as_ref().filter(|_| local || by_address) {
                let why = if local {
                    "a machine on this computer"
                } else {
                    "a bare address"
                };
                findings.at(
                    mode.span(),
                    format!("no public authority gives a certificate to {why}"),
                    "use mode = \"internal\", give it a domain that the world can reach, or name an authority of your own with `directory`",
                );
            }
            Authority::of(match mode {
                TlsMode::AcmeStaging => Certificates::AcmeStaging,
                TlsMode::Acme | TlsMode::Internal | TlsMode::Files => Certificates::Acme,
            })
        }
    }
}

/// Keys that say nothing with this mode.
fn misplaced(findings: &mut Findings<'_>, tls: &Tls, mode: TlsMode) {
    let Tls {
        mode: _,
        email: _,
        certificate,
        key,
        directory,
        directory_root,
    } = tls;
    let of_files =
        [("certificate", certificate), ("key", key)].map(|(name, text)| (name, text, TlsMode::Files, "files"));
    let of_acme = [("directory", directory), ("directory_root", directory_root)]
        .map(|(name, text)| (name, text, TlsMode::Acme, "acme"));
    for (name, text, goes_with, word) in of_files.into_iter().chain(of_acme) {
        if let Some(text) = text.as_ref().filter(|_| mode != goes_with) {
            findings.at(
                text.span(),
                format!("`tls.{name}` goes with mode = \"{word}\""),
                "set that mode, or leave the key out",
            );
        }
    }
    if let (Some(root), None, TlsMode::Acme) = (directory_root, directory, mode) {
        findings.at(
            root.span(),
            "`tls.directory_root` goes with `tls.directory`",
            "name the directory that it is for",
        );
    }
}

fn directory(findings: &mut Findings<'_>, sources: &Sources, tls: &Tls) -> Authority {
    let url = tls.directory.as_ref().map(|url| (url.get().clone(), url.span()));
    let (url, span) = url.unwrap_or_default();
    let plain = |c: char| c.is_ascii_graphic() && !"{}\"`\\".contains(c);
    if !url
        .strip_prefix("https://")
        .is_some_and(|rest| !rest.is_empty() && rest.chars().all(plain))
    {
        findings.at(
            span,
            format!("`{url}` is not the directory of an authority"),
            "write its whole address, such as https://ca.internal/acme/acme/directory",
        );
    }
    let mut authority = Authority::of(Certificates::Acme);
    let root = sources.beside.root.as_ref().map(|pem| {
        let name = format!("{FOLDER}/{}.root.pem", Digest::of(pem).short());
        authority.files.insert(name.clone(), text(Rendered::new(pem), 0o644));
        name
    });
    authority.certificates = Certificates::Directory { url, root };
    authority
}

fn files(findings: &mut Findings<'_>, sources: &Sources, context: &Context, given: &Given<'_>, tls: &Tls) -> Authority {
    let stand_in = Authority::of(Certificates::Internal);
    let (Some(_), Some(key)) = (&tls.certificate, &tls.key) else {
        let span = match (&tls.mode, &tls.certificate) {
            (Some(mode), _) => mode.span(),
            (None, Some(certificate)) => certificate.span(),
            (None, None) => findings.file.span_of(&["tls"]),
        };
        findings.at(
            span,
            "mode = \"files\" needs `certificate` and `key`",
            "write certificate = \"shop.crt\" and key = \"shop.key\", or key = \"{{secrets.TLS_KEY}}\"",
        );
        return stand_in;
    };
    let secret = match tls.key_path() {
        Some(_) => TLS_KEY.to_owned(),
        None => match secret_of(findings, context, key) {
            Some(secret) => secret,
            None => return stand_in,
        },
    };
    let EdgeFiles { certificate, .. } = &sources.beside;
    // What is wrong with the file was told when it was read.
    let Some(certificate) = certificate else {
        return stand_in;
    };
    // That of a file was looked at when it was read.
    if let (None, Some(value)) = (tls.key_path(), given.bindings.secrets.get(&secret))
        && let Err((what, help)) = certificate.belongs(value)
    {
        findings.at(key.span(), what, help);
    }
    // By the names of its files Caddy sees that there is another one: it takes none that looks like the one before.
    let name = Digest::of(&certificate.pem);
    let (public, private) = (
        format!("{FOLDER}/{}.crt", name.short()),
        format!("{FOLDER}/{}.key", name.short()),
    );
    Authority {
        files: BTreeMap::from([
            (public.clone(), text(Rendered::new(&certificate.pem), 0o644)),
            (
                private.clone(),
                text(Rendered::new(Mark::Secret(secret.clone()).text()), super::stack::SECRET),
            ),
        ]),
        secret: Some(secret),
        certificates: Certificates::Files {
            certificate: public,
            key: private,
        },
    }
}

/// The one secret that a text is.
pub fn secret_of(findings: &mut Findings<'_>, context: &Context, text: &Spanned<String>) -> Option<String> {
    let rendered = findings.render(findings.file, text, &context.value)?;
    let mut names = rendered.secret_names();
    match (names.next(), names.next()) {
        (Some(name), None) if rendered.marked() == Mark::Secret(name.clone()).text() => Some(name),
        _ => {
            findings.at(
                text.span(),
                "this must be one secret and nothing else",
                "write \"{{secrets.NAME}}\", with NAME in [secrets]",
            );
            None
        }
    }
}

/// Hosts that an own certificate is not for.
pub fn uncovered(findings: &mut Findings<'_>, sources: &Sources, routes: &[Route]) {
    let (Some(certificate), Some(written)) = (
        &sources.beside.certificate,
        sources
            .environment
            .tls
            .as_ref()
            .and_then(|tls| tls.certificate.as_ref()),
    ) else {
        return;
    };
    let hosts: std::collections::BTreeSet<String> = routes
        .iter()
        .filter(|route| !route.host.has_marks())
        .map(|route| route.host.shown(&Bindings::default()))
        .filter(|host| !certificate.covers(host))
        .collect();
    if !hosts.is_empty() {
        let hosts: Vec<String> = hosts.into_iter().collect();
        findings.at(
            written.span(),
            format!("this certificate is not for {}", hosts.join(", ")),
            format!(
                "it is for {}: have one made for all hosts in [routes]",
                certificate.names.join(", ")
            ),
        );
    }
}

fn text(text: Rendered, mode: u32) -> DesiredFile {
    DesiredFile {
        body: Body::Text(text),
        mode,
    }
}
