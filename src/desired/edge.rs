//! `[routes]`, `[edge]` and `[tls]` to the edge: Caddy as a Compose project of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::context::Context;
use super::routes::{self, Scope};
use super::tls::{self, Authority};
use super::{Body, DesiredEdge, DesiredFile, DesiredService, DesiredStack, Findings, Given, Jobs, Users};
use crate::environment::Sources;
use crate::environment::edge::EdgeTable;
use crate::names::StackName;
use crate::render::caddyfile::{COMPOSE, Guard, MAINTENANCE, Route, Settings, caddyfile};
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
    let authority = tls::authority(findings, sources, context, given, domain);
    let none = EdgeTable::default();
    let table = sources.environment.edge.as_ref().unwrap_or(&none);
    let headers = routes::headers(findings, &table.headers);
    let max_body = table
        .max_body
        .as_ref()
        .and_then(|text| routes::max_body(findings, text));
    let routes = all_routes(
        findings,
        &Scope {
            sources,
            context,
            given,
            domain,
            max_body: max_body.as_ref(),
        },
    );
    let email = sources.environment.tls.as_ref().and_then(|tls| tls.email.as_ref());
    let email = email.and_then(|text| findings.render(findings.file, text, &context.value));
    if routes.is_empty() {
        return None;
    }
    tls::uncovered(findings, sources, &routes);
    check_services(findings, sources);
    let Authority {
        certificates,
        files: of_authority,
        secret,
    } = authority;
    let settings = Settings {
        certificates,
        email,
        headers,
        compression: table.compression.unwrap_or(true),
        http3: table.http3.unwrap_or(true),
        snippets: !sources.beside.snippets.is_empty(),
    };
    let caddyfile = findings.template(caddyfile(&routes, &settings))?;
    let name = StackName::edge();
    let services = BTreeMap::from([("caddy".to_owned(), ServiceOverride::default())]);
    let compose = findings.template(compose_override(given.name, &name, network, &services))?;
    let mut files = BTreeMap::from([
        ("compose.yaml".to_owned(), text(COMPOSE)),
        (OVERRIDE.to_owned(), text(compose)),
        (".env".to_owned(), dot_env()),
        (
            "config/Caddyfile".to_owned(),
            DesiredFile {
                mode: if caddyfile.is_secret() {
                    super::stack::SECRET
                } else {
                    0o644
                },
                body: Body::Text(caddyfile),
            },
        ),
    ]);
    let page = sources.beside.maintenance.as_deref().unwrap_or(MAINTENANCE);
    files.insert("config/maintenance.html".to_owned(), raw(page));
    for (name, snippet) in &sources.beside.snippets {
        files.insert(format!("config/snippets/{name}"), text(snippet));
    }
    files.extend(
        of_authority
            .into_iter()
            .map(|(name, file)| (format!("config/{name}"), file)),
    );
    let of_users = routes.iter().flat_map(|route| route.guard.secrets());
    let secrets: BTreeSet<String> = of_users.cloned().chain(secret).collect();
    Some(DesiredEdge {
        stack: DesiredStack {
            secrets: secrets.into_iter().map(|name| (name, Users::Reload)).collect(),
            granted: BTreeMap::new(),
            name,
            needs: behind(sources, &routes),
            files,
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
        certificates: settings.certificates,
        http3: settings.http3,
    })
}

fn text(text: impl Into<String>) -> DesiredFile {
    DesiredFile {
        body: Body::Text(Rendered::new(text)),
        mode: 0o644,
    }
}

/// Of a page, only whether it is another one is told.
fn raw(text: &str) -> DesiredFile {
    DesiredFile {
        body: Body::Raw(text.as_bytes().to_vec()),
        mode: 0o644,
    }
}

fn dot_env() -> DesiredFile {
    let variables = BTreeMap::from([(
        "COMPOSE_FILE".to_owned(),
        Rendered::new(format!("compose.yaml:{OVERRIDE}")),
    )]);
    DesiredFile {
        body: Body::DotEnv(variables),
        mode: super::stack::SECRET,
    }
}

fn all_routes(findings: &mut Findings<'_>, scope: &Scope<'_>) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for (from, to) in &scope.sources.environment.routes {
        if let Some(route) = scope.route(findings, from, to) {
            if routes
                .iter()
                .any(|other| other.host == route.host && other.path == route.path)
            {
                findings.at(from.span(), "this is routed twice", "leave one of the two out");
            }
            routes.push(route);
        }
    }
    routes
}

/// The stacks whose services the routes lead to, or ask.
fn behind(sources: &Sources, routes: &[Route]) -> BTreeSet<StackName> {
    let asked = routes.iter().flat_map(|route| {
        let gate = match &route.guard {
            Guard::SignedIn(gate) => Some(gate),
            Guard::Open | Guard::Users { .. } => None,
        };
        route.upstream().into_iter().chain(gate)
    });
    let asked: BTreeSet<&String> = asked.map(|upstream| &upstream.service).collect();
    let serves = |services: &BTreeMap<String, _>| asked.iter().any(|service| services.contains_key(*service));
    let stacks = sources.stacks.iter();
    stacks
        .filter(|(_, stack)| serves(&stack.compose.services))
        .map(|(name, _)| name.clone())
        .collect()
}

/// The edge's own service takes a name on the shared network too.
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
