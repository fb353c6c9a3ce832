//! The Caddyfile of an environment's routes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Mark, RenderError, Rendered, render};

const CADDYFILE: &str = include_str!("../../caddy/Caddyfile.hbs");

/// The edge's Compose file.
pub const COMPOSE: &str = include_str!("../../caddy/compose.yaml");

/// One public path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// The host name, or the mark of the machine's address.
    pub host: Rendered,
    /// A path pattern such as `/api/*`; none for everything.
    pub path: Option<String>,
    /// The Compose service that answers.
    pub service: String,
    /// Its port inside the shared network.
    pub port: u16,
}

/// Where certificates come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificates {
    /// Let's Encrypt.
    Acme,
    /// Let's Encrypt's staging service.
    AcmeStaging,
    /// Caddy's own authority.
    Internal,
}

/// Renders the Caddyfile.
///
/// # Errors
/// When the template in this repository is broken.
pub fn caddyfile(
    routes: &[Route],
    certificates: Certificates,
    email: Option<&Rendered>,
) -> Result<Rendered, RenderError> {
    let mut hosts: BTreeMap<&Rendered, Vec<&Route>> = BTreeMap::new();
    for route in routes {
        hosts.entry(&route.host).or_default().push(route);
    }
    let sites: Vec<Value> = hosts
        .iter()
        .map(|(host, routes)| {
            let mut routes = routes.clone();
            // The longest pattern first; Caddy sorts alike, but a person reads top down.
            routes.sort_by_key(|route| {
                (
                    std::cmp::Reverse(route.path.as_ref().map_or(0, String::len)),
                    route.path.clone(),
                )
            });
            json!({
                "host": host.marked(),
                "catches_all": routes.iter().any(|route| route.path.is_none()),
                "routes": routes.iter().map(|route| json!({
                    "path": route.path,
                    "upstream": format!("{}:{}", route.service, route.port),
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    let default_host = hosts
        .keys()
        .next()
        .map_or_else(|| Mark::Address.text(), |host| host.marked().to_owned());
    render(
        CADDYFILE,
        &json!({
            "email": email.map(Rendered::marked),
            "internal": certificates == Certificates::Internal,
            "staging": certificates == Certificates::AcmeStaging,
            "https_port": Mark::HttpsPort.text(),
            "default_host": default_host,
            "sites": sites,
        }),
    )
}
