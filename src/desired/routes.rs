//! One entry of `[routes]` to a route: where it is, what answers, who gets in.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::context::Context;
use super::{Findings, Given};
use crate::environment::Sources;
use crate::environment::edge::{Header, Route as Written, RouteTable};
use crate::environment::model::{Spanned, Text};
use crate::render::caddyfile::{Guard, Headers, Route, Target, Upstream};
use crate::render::{Mark, Rendered};

/// What bcrypt reads of a password, in bytes.
const LONGEST_PASSWORD: usize = 72;

/// What every route is made from.
pub struct Scope<'a> {
    /// What was written.
    pub sources: &'a Sources,
    /// What texts may name.
    pub context: &'a Context,
    /// What is known beside.
    pub given: &'a Given<'a>,
    /// The host of paths.
    pub domain: &'a Rendered,
    /// What a request may bring where a route says nothing.
    pub max_body: Option<&'a String>,
}

impl Scope<'_> {
    /// One route; none when something about it is wrong, which is said.
    pub fn route(&self, findings: &mut Findings<'_>, from: &Text, to: &Spanned<Written>) -> Option<Route> {
        let before = findings.problems.len();
        let (host, path) = self.from(findings, from)?;
        let short;
        let table = match to.get() {
            Written::Table(table) => table.as_ref(),
            Written::To(text) => {
                short = RouteTable {
                    to: Some(Spanned::at(text.clone(), to.span())),
                    ..RouteTable::default()
                };
                &short
            }
        };
        let target = self.target(findings, table, to.span())?;
        let strip = strip(findings, table, path.as_deref());
        let guard = self.guard(findings, table);
        match &target {
            Target::Service(upstream) => self.not_public(findings, table, upstream, to.span()),
            Target::Redirect(to) => self.not_in_circles(findings, table, (&host, to), strip.is_some()),
        }
        let headers = headers(findings, &table.headers);
        let max_body = table.max_body.as_ref().and_then(|text| max_body(findings, text));
        let max_body = max_body.or_else(|| self.max_body.cloned());
        (findings.problems.len() == before).then(|| Route {
            host,
            path,
            strip,
            max_body: max_body.filter(|_| matches!(target, Target::Service(_))),
            target,
            guard,
            headers,
        })
    }

    /// Host and path.
    fn from(&self, findings: &mut Findings<'_>, from: &Text) -> Option<(Rendered, Option<String>)> {
        let source = findings.render(findings.file, from, &self.context.value)?;
        let (host, path) = match source.marked().split_once('/') {
            Some((host, path)) => (host, Some(format!("/{path}"))),
            None => (source.marked(), None),
        };
        let host = if host.is_empty() {
            self.domain.clone()
        } else {
            Rendered::new(host)
        };
        if !super::is_host(&host) {
            findings.at(
                from.span(),
                format!("`{}` is not a host with an optional path", from.get()),
                "write \"shop.example.com\", \"shop.example.com/api/*\", or \"/api/*\" for a path on `domain`",
            );
        }
        let path = path.filter(|path| path != "/" && path != "/*");
        if path.as_ref().is_some_and(|path| {
            !path
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._~/*%+@".contains(&b))
        }) {
            findings.at(
                from.span(),
                "this path holds a character that a route cannot",
                "use a path such as /api/*",
            );
        }
        Some((host, path))
    }

    fn target(&self, findings: &mut Findings<'_>, table: &RouteTable, span: Range<usize>) -> Option<Target> {
        let RouteTable {
            to,
            redirect,
            strip: _,
            users: _,
            keep_authorization: _,
            forward_auth: _,
            headers: _,
            max_body,
            public,
        } = table;
        match (to, redirect) {
            (Some(to), None) => self.upstream(findings, to, true).map(Target::Service),
            (None, Some(redirect)) => {
                let idle = [("max_body", max_body), ("public", public)];
                for (name, text) in idle {
                    if let Some(text) = text {
                        findings.at(
                            text.span(),
                            format!("`{name}` does not go with `redirect`"),
                            "leave it out: no service answers here",
                        );
                    }
                }
                self.redirect(findings, redirect).map(Target::Redirect)
            }
            (Some(_), Some(redirect)) => {
                findings.at(
                    redirect.span(),
                    "a route has either `to` or `redirect`",
                    "keep one of them",
                );
                None
            }
            (None, None) => {
                findings.at(
                    span,
                    "this route leads nowhere",
                    "add to = \"service:port\", or redirect = \"https://…\"",
                );
                None
            }
        }
    }

    /// A service that there is, and a port.
    fn upstream(&self, findings: &mut Findings<'_>, to: &Text, may_be_h2c: bool) -> Option<Upstream> {
        let target = findings.render(findings.file, to, &self.context.value)?;
        let target = target.marked().to_owned();
        let (h2c, rest) = match target.strip_prefix("h2c://").filter(|_| may_be_h2c) {
            Some(rest) => (true, rest),
            None => (false, target.strip_prefix("http://").unwrap_or(&target)),
        };
        let parts = rest
            .split_once(':')
            .map(|(service, port)| (service, port.parse::<u16>()));
        let (service, port) = match parts {
            Some((service, Ok(port))) if !service.is_empty() && port > 0 => (service.to_owned(), port),
            _ => {
                let help = match may_be_h2c {
                    true => "write \"service:port\", such as \"web:8000\", or \"h2c://service:port\" for gRPC",
                    false => "write \"service:port\", such as \"oauth2-proxy:4180\"",
                };
                findings.at(to.span(), format!("`{target}` is not a service and its port"), help);
                return None;
            }
        };
        let known: BTreeSet<&str> = self
            .sources
            .stacks
            .values()
            .flat_map(|stack| stack.compose.services.keys())
            .map(String::as_str)
            .collect();
        if !known.contains(service.as_str()) {
            let help = match crate::environment::nearest(&service, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => "there is no stack yet: add [stacks.…]".to_owned(),
                None => format!("services: {}", known.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            findings.at(to.span(), format!("no stack has a service `{service}`"), help);
        }
        Some(Upstream { service, port, h2c })
    }

    /// `example.com`, `https://example.com/path`, or `/path` on the same host: without a slash at its end.
    fn redirect(&self, findings: &mut Findings<'_>, to: &Text) -> Option<Rendered> {
        let rendered = findings.render(findings.file, to, &self.context.value)?;
        let text = rendered.marked().trim_end_matches('/');
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme, rest),
            None => ("https", text),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/%+@:".contains(&b);
        let host_is_right = match host.is_empty() {
            true => text.starts_with('/') || rendered.marked() == "/",
            false => super::is_host(&Rendered::new(host)),
        };
        let right = ["http", "https"].contains(&scheme)
            && host_is_right
            && (port.is_empty() || port.parse::<u16>().is_ok())
            && path.bytes().all(plain)
            && !rendered.is_secret();
        if !right {
            findings.at(
                to.span(),
                format!("`{}` is nothing that a browser can be sent to", to.get()),
                "write a host (\"example.com\"), an address (\"https://example.com/path\"), or a path on the same host (\"/path\")",
            );
            return None;
        }
        if host.is_empty() {
            return Some(Rendered::new(path));
        }
        // The port that the outside uses for HTTPS is that of our own hosts alone.
        let ours = host == self.domain.marked()
            || self.sources.environment.routes.keys().any(|from| {
                let from = from.get().split('/').next().unwrap_or_default();
                !from.is_empty() && from.eq_ignore_ascii_case(host)
            });
        let outside = match ours && port.is_empty() && scheme == "https" {
            true => Mark::HttpsPort.text(),
            false => String::new(),
        };
        Some(Rendered::new(format!("{scheme}://{authority}{outside}{path}")))
    }

    fn not_in_circles(
        &self,
        findings: &mut Findings<'_>,
        table: &RouteTable,
        (host, to): (&Rendered, &Rendered),
        strips: bool,
    ) {
        let own = format!("https://{}{}", host.marked(), Mark::HttpsPort.text());
        let here = to.marked().is_empty() || to.marked() == own;
        if let Some(redirect) = table.redirect.as_ref().filter(|_| here && !strips) {
            findings.at(
                redirect.span(),
                "this redirect leads to itself",
                "send to another host, or take the path off with strip = true",
            );
        }
    }

    fn guard(&self, findings: &mut Findings<'_>, table: &RouteTable) -> Guard {
        if let (Some(gate), false) = (&table.forward_auth, table.users.is_empty()) {
            findings.at(
                gate.span(),
                "a route has either `users` or `forward_auth`",
                "keep one of them",
            );
        }
        let shown = table.keep_authorization.as_ref();
        if let Some(shown) = shown.filter(|_| table.users.is_empty()) {
            findings.at(
                shown.span(),
                "`keep_authorization` goes with `users`",
                "leave it out: only what `users` asked for is kept from the service",
            );
        }
        if let Some(gate) = &table.forward_auth {
            return self
                .upstream(findings, gate, false)
                .map_or(Guard::Open, Guard::SignedIn);
        }
        let mut secrets = BTreeMap::new();
        for (name, password) in &table.users {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.@".contains(&b);
            if name.get().is_empty() || !name.get().bytes().all(plain) {
                findings.at(
                    name.span(),
                    format!("`{}` cannot be the name of a user", name.get()),
                    "use letters, digits, `-`, `_`, `.` and `@`",
                );
            }
            let Some(secret) = super::tls::secret_of(findings, self.context, password) else {
                continue;
            };
            if let Some(value) = self.given.bindings.secrets.get(&secret) {
                let wrong = match value.expose().len() {
                    0 => Some("is empty"),
                    length if length > LONGEST_PASSWORD => Some("is longer than the 72 bytes that bcrypt reads"),
                    _ => None,
                };
                if let Some(wrong) = wrong {
                    findings.at(
                        password.span(),
                        format!("the secret `{secret}` {wrong}"),
                        "give it a value of 1 to 72 bytes, such as { generate = 32 }",
                    );
                }
            }
            secrets.insert(name.get().clone(), secret);
        }
        match secrets.is_empty() {
            true => Guard::Open,
            false => Guard::Users {
                secrets,
                shown: shown.is_some_and(|shown| *shown.get()),
            },
        }
    }

    /// A page for administrators needs a lock, or a reason why not.
    fn not_public(&self, findings: &mut Findings<'_>, table: &RouteTable, upstream: &Upstream, span: Range<usize>) {
        if let Some(reason) = table.public.as_ref().filter(|reason| reason.get().trim().is_empty()) {
            findings.at(reason.span(), "`public` is the reason, and there is none", "say why");
        }
        let locked = !table.users.is_empty() || table.forward_auth.is_some() || table.public.is_some();
        let Upstream { service, port, .. } = upstream;
        let page = format!("{service}:{port}");
        let owner = self.sources.stacks.values().find(|stack| {
            stack.compose.services.contains_key(service) && stack.manifest.admin.iter().any(|own| *own.get() == page)
        });
        if let Some(owner) = owner.filter(|_| !locked) {
            let span = table.to.as_ref().map_or(span, Spanned::span);
            findings.at(
                span,
                format!("`{page}` of the stack {} is for administrators, and would be public", owner.name),
                format!(
                    "ask for a password, {{ to = \"{page}\", users = {{ admin = \"{{{{secrets.NAME}}}}\" }} }}, or for a sign-in, \
                     forward_auth = \"oauth2-proxy:4180\"; or say why not, public = \"…\""
                ),
            );
        }
    }
}

/// What is taken off: the path of a pattern that ends in `/*`.
fn strip(findings: &mut Findings<'_>, table: &RouteTable, path: Option<&str>) -> Option<String> {
    let asked = table.strip.as_ref().filter(|strip| *strip.get())?;
    let prefix = path.and_then(|path| path.strip_suffix("/*"));
    match prefix.filter(|prefix| !prefix.is_empty() && !prefix.contains('*')) {
        Some(prefix) => Some(prefix.to_owned()),
        None => {
            findings.at(
                asked.span(),
                "`strip` takes a path off, and this route has none that it could",
                "write the route as a pattern such as \"/api/*\"",
            );
            None
        }
    }
}

/// Headers as Caddy takes them.
pub fn headers(findings: &mut Findings<'_>, written: &BTreeMap<Spanned<String>, Spanned<Header>>) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in written {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        if !name.get().bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) || !name.get().bytes().all(token) {
            findings.at(
                name.span(),
                format!("`{}` is not the name of a header", name.get()),
                "use letters, digits, `-` and `_`; false as value removes a header",
            );
            continue;
        }
        let kept = match value.get() {
            Header::Removed(false) => None,
            Header::Value(text) if text.is_empty() => None,
            Header::Value(text) => Some(text.clone()),
            Header::Removed(true) => {
                findings.at(
                    value.span(),
                    "a header cannot be `true`",
                    "give it a value; false removes it",
                );
                continue;
            }
        };
        let odd = |c: char| c == '`' || c.is_control();
        if kept
            .as_ref()
            .is_some_and(|text| text.contains(odd) || text.contains("{$") || text.contains("{{"))
        {
            findings.at(
                value.span(),
                "this value holds what a header of the edge cannot",
                "leave out backticks, line ends, `{$` and `{{`",
            );
            continue;
        }
        headers.insert(name.get().clone(), kept);
    }
    headers
}

/// A size in Caddy's words.
pub fn max_body(findings: &mut Findings<'_>, written: &Spanned<String>) -> Option<String> {
    let text = written.get().trim();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let known = ["B", "KB", "MB", "GB", "KiB", "MiB", "GiB"];
    let unit = unit.trim();
    if number.parse::<u32>().is_ok_and(|number| number > 0) && known.contains(&unit) {
        return Some(format!("{number}{unit}"));
    }
    findings.at(
        written.span(),
        format!("`{}` is not a size", written.get()),
        "write a whole number and KB, MB, GB, KiB, MiB or GiB, such as \"10MB\"",
    );
    None
}
