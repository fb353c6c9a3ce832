//! `[routes]` and `[tls]` to the edge: Caddy as a Compose project of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::context::Context;
use super::{Body, DesiredEdge, DesiredFile, DesiredService, DesiredStack, Findings, Given, Jobs};
use crate::environment::Sources;
use crate::environment::model::{Text, TlsMode};
use crate::names::StackName;
use crate::render::caddyfile::{COMPOSE, Certificates, Route, caddyfile};
use crate::render::compose::{OVERRIDE, ServiceOverride, compose_override};
use crate::render::{Bindings, Rendered};

/// The edge's image, as in its Compose file.
pub const IMAGE: &str = "caddy:2";

/// The edge's volumes, as in its Compose file.
const VOLUMES: [&str; 2] = ["data", "state"];

/// The edge; none without routes or when something is wrong, which is said.
pub fn edge(
    findings: &mut Findings<'_>,
    sources: &Sources,
    context: &Context,
    given: &Given<'_>,
    network: &str,
    domain: &Rendered,
) -> Option<DesiredEdge> {
    let certificates = certificates(findings, sources, domain);
    let tls = sources.environment.tls.as_ref();
    let email = tls
        .and_then(|tls| tls.email.as_ref())
        .and_then(|text| findings.render(findings.file, text, &context.value));
    let mut routes: Vec<Route> = Vec::new();
    for (from, to) in &sources.environment.routes {
        if let Some(route) = route(findings, sources, context, domain, from, to) {
            if routes
                .iter()
                .any(|other| other.host == route.host && other.path == route.path)
            {
                findings.at(from.span(), "this is routed twice", "leave one of the two out");
            }
            routes.push(route);
        }
    }
    if routes.is_empty() {
        return None;
    }
    check_services(findings, sources);
    let caddyfile = findings.template(caddyfile(&routes, certificates, email.as_ref()))?;
    let name = StackName::edge();
    let services = BTreeMap::from([("caddy".to_owned(), ServiceOverride::default())]);
    let compose = findings.template(compose_override(given.name, &name, network, &services))?;
    let text = |text: Rendered| DesiredFile {
        body: Body::Text(text),
        mode: 0o644,
    };
    let dot_env = BTreeMap::from([(
        "COMPOSE_FILE".to_owned(),
        Rendered::new(format!("compose.yaml:{OVERRIDE}")),
    )]);
    Some(DesiredEdge {
        stack: DesiredStack {
            secrets: BTreeMap::new(),
            granted: BTreeMap::new(),
            name,
            needs: behind(sources, &routes),
            files: BTreeMap::from([
                ("compose.yaml".to_owned(), text(Rendered::new(COMPOSE))),
                (OVERRIDE.to_owned(), text(Rendered::new(compose))),
                (
                    ".env".to_owned(),
                    DesiredFile {
                        body: Body::DotEnv(dot_env),
                        mode: 0o600,
                    },
                ),
                ("config/Caddyfile".to_owned(), text(caddyfile)),
            ]),
            services: BTreeMap::from([(
                "caddy".to_owned(),
                DesiredService {
                    image: Some(IMAGE.to_owned()),
                    instances: Some(1),
                    may_end: false,
                    after: BTreeSet::new(),
                    volumes: VOLUMES.map(str::to_owned).into(),
                    networks: BTreeSet::new(),
                },
            )]),
            jobs: Jobs::default(),
            archives: super::stack::archive(sources, IMAGE).into_iter().collect(),
        },
        routes,
        internal_authority: certificates == Certificates::Internal,
    })
}

fn certificates(findings: &mut Findings<'_>, sources: &Sources, domain: &Rendered) -> Certificates {
    let local = super::is_local(sources.environment.machine.get());
    let by_address = domain.marked() == crate::render::Mark::Address.text();
    let Some(mode) = sources.environment.tls.as_ref().and_then(|tls| tls.mode.as_ref()) else {
        return if local || by_address {
            Certificates::Internal
        } else {
            Certificates::Acme
        };
    };
    match mode.get() {
        TlsMode::Internal => Certificates::Internal,
        acme if local || by_address => {
            let why = if local {
                "a machine on this computer"
            } else {
                "a bare address"
            };
            findings.at(
                mode.span(),
                format!("no public authority gives a certificate to {why}"),
                "use mode = \"internal\", or give it a domain that the world can reach",
            );
            match acme {
                TlsMode::AcmeStaging => Certificates::AcmeStaging,
                TlsMode::Acme | TlsMode::Internal => Certificates::Acme,
            }
        }
        TlsMode::Acme => Certificates::Acme,
        TlsMode::AcmeStaging => Certificates::AcmeStaging,
    }
}

fn route(
    findings: &mut Findings<'_>,
    sources: &Sources,
    context: &Context,
    domain: &Rendered,
    from: &Text,
    to: &Text,
) -> Option<Route> {
    let before = findings.problems.len();
    let source = findings.render(findings.file, from, &context.value)?;
    let target = findings.render(findings.file, to, &context.value)?;
    let (host, path) = match source.marked().split_once('/') {
        Some((host, path)) => (host, Some(format!("/{path}"))),
        None => (source.marked(), None),
    };
    let host = if host.is_empty() {
        domain.clone()
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
    let target = target.marked().to_owned();
    let (service, port) = match target
        .split_once(':')
        .map(|(service, port)| (service, port.parse::<u16>()))
    {
        Some((service, Ok(port))) if !service.is_empty() && port > 0 => (service.to_owned(), port),
        _ => {
            findings.at(
                to.span(),
                format!("`{target}` is not a service and its port"),
                "write \"service:port\", such as \"web:8000\"",
            );
            return None;
        }
    };
    let known: BTreeSet<&str> = sources
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
    (findings.problems.len() == before).then_some(Route {
        host,
        path,
        service,
        port,
    })
}

/// The edge's own service takes a name on the shared network too.
/// The stacks whose services the routes lead to.
fn behind(sources: &Sources, routes: &[Route]) -> BTreeSet<StackName> {
    let serves = |services: &BTreeMap<_, _>| routes.iter().any(|route| services.contains_key(&route.service));
    let stacks = sources.stacks.iter();
    stacks
        .filter(|(_, stack)| serves(&stack.compose.services))
        .map(|(name, _)| name.clone())
        .collect()
}

fn check_services(findings: &mut Findings<'_>, sources: &Sources) {
    for (name, stack) in &sources.stacks {
        let clash = name.as_str() == StackName::edge().as_str() || stack.compose.services.contains_key("caddy");
        if clash {
            let span = findings.file.span_of(&["stacks", name.as_str()]);
            findings.at(
                span,
                format!("stack `{name}` clashes with the edge"),
                "a stack cannot be called `edge`, and no service `caddy`: the edge is made from [routes]",
            );
        }
    }
}

/// Where the outside reaches the main page.
pub fn url(domain: &Rendered, bindings: &Bindings) -> String {
    let host = domain.bind(bindings);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    match bindings.endpoint.as_ref().map(|endpoint| endpoint.https) {
        Some(443) | None => format!("https://{host}"),
        Some(port) => format!("https://{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::compose::Compose;
    use crate::environment::diagnostic::Source;

    #[test]
    fn what_is_said_of_the_edge_is_in_its_compose_file() {
        let compose = Compose::decode(&Source::new("compose.yaml", COMPOSE)).unwrap();
        let caddy = &compose.services["caddy"];
        assert_eq!(caddy.image.as_ref().unwrap().get(), IMAGE);
        assert_eq!(caddy.volumes, VOLUMES.map(str::to_owned).into());
    }
}
