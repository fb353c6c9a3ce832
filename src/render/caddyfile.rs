//! The Caddyfile of an environment's routes.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::{BuiltIn, Mark, RenderError, Rendered};

static CADDYFILE: BuiltIn = BuiltIn::new(include_str!("../../caddy/Caddyfile.hbs"));

/// The edge's Compose file.
pub const COMPOSE: &str = include_str!("../../caddy/compose.yaml");

/// What is shown while nothing answers, unless there is a page of one's own.
pub const MAINTENANCE: &str = include_str!("../../caddy/maintenance.html");

/// Where Caddy finds what is in `config/` of the edge's stack.
const CONFIG: &str = "/etc/caddy";

/// Where oauth2-proxy has its own pages.
const SIGN_IN: &str = "/oauth2/*";

/// One public path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// The host name, or the mark of the machine's address.
    pub host: Rendered,
    /// A path pattern such as `/api/*`; none for everything.
    pub path: Option<String>,
    /// What is taken off the path before a request goes on, such as `/api`.
    pub strip: Option<String>,
    /// What answers.
    pub target: Target,
    /// Who gets in.
    pub guard: Guard,
    /// Headers of the answer; none removes one.
    pub headers: Headers,
    /// What a request may bring at most, in Caddy's words.
    pub max_body: Option<String>,
}

/// Headers of an answer by name; without a value one is removed.
pub type Headers = BTreeMap<String, Option<String>>;

/// What answers at a route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A service.
    Service(Upstream),
    /// A redirect: scheme, host and path before those of the request.
    Redirect(Rendered),
}

/// A service's port inside the shared network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Upstream {
    /// The Compose service.
    pub service: String,
    /// Its port.
    pub port: u16,
    /// Whether it is spoken to in HTTP/2 without TLS, as gRPC asks for.
    pub h2c: bool,
}

/// Who gets in at a route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guard {
    /// Everybody.
    Open,
    /// Who knows a password.
    Users {
        /// The names of secrets by the names of users.
        secrets: BTreeMap<String, String>,
        /// Whether the service sees the password.
        shown: bool,
    },
    /// Who has signed in at an oauth2-proxy.
    SignedIn(Upstream),
}

/// Where certificates come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificates {
    /// Let's Encrypt.
    Acme,
    /// Let's Encrypt's staging service.
    AcmeStaging,
    /// Another authority that speaks ACME.
    Directory {
        /// The address of its directory.
        url: String,
        /// The name of the file in `config/` with the root that it is checked by.
        root: Option<String>,
    },
    /// Caddy's own authority.
    Internal,
    /// Files: their names in `config/`.
    Files {
        /// The certificate.
        certificate: String,
        /// Its key.
        key: String,
    },
}

impl Certificates {
    /// For people.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Acme => "certificates from Let's Encrypt",
            Self::AcmeStaging => "certificates from Let's Encrypt's staging service",
            Self::Directory { .. } => "certificates from an authority of your own",
            Self::Internal => "certificates of its own authority",
            Self::Files { .. } => "a certificate of your own",
        }
    }
}

/// What holds for all routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where certificates come from.
    pub certificates: Certificates,
    /// Whom the authority writes to.
    pub email: Option<Rendered>,
    /// Headers of every answer.
    pub headers: Headers,
    /// Whether answers are compressed.
    pub compression: bool,
    /// Whether HTTP/3 is served.
    pub http3: bool,
    /// Whether there are snippets in `config/snippets/`.
    pub snippets: bool,
}

impl Route {
    /// The service that answers; none at a redirect.
    pub fn upstream(&self) -> Option<&Upstream> {
        match &self.target {
            Target::Service(upstream) => Some(upstream),
            Target::Redirect(_) => None,
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, port, h2c } = self;
        let scheme = if *h2c { "h2c://" } else { "" };
        write!(f, "{scheme}{service}:{port}")
    }
}

impl Target {
    /// For people.
    pub fn shown(&self, known: &super::Bindings) -> String {
        match self {
            Self::Service(upstream) => upstream.to_string(),
            Self::Redirect(to) => {
                // Which port the outside uses is known later, and it is the usual one nearly always.
                let to = to.replace(|mark| match (mark, &known.endpoint) {
                    (Mark::HttpsPort, None) => String::new(),
                    (mark, _) => Rendered::new(mark.text()).shown(known),
                });
                format!("{to} (redirect)")
            }
        }
    }
}

impl Guard {
    /// For people; none when everybody gets in.
    pub fn words(&self) -> Option<String> {
        match self {
            Self::Open => None,
            Self::Users { .. } => Some("asks for a password".to_owned()),
            Self::SignedIn(Upstream { service, .. }) => Some(format!("{service} says who gets in")),
        }
    }

    /// The secrets that it needs.
    pub fn secrets(&self) -> impl Iterator<Item = &String> {
        let secrets = match self {
            Self::Users { secrets, .. } => Some(secrets),
            Self::Open | Self::SignedIn(_) => None,
        };
        secrets.into_iter().flat_map(BTreeMap::values)
    }
}

/// Renders the Caddyfile.
///
/// # Errors
/// When the template in this repository is broken.
pub fn caddyfile(routes: &[Route], settings: &Settings) -> Result<Rendered, RenderError> {
    let Settings {
        certificates,
        email,
        headers,
        compression,
        http3,
        snippets,
    } = settings;
    let mut hosts: BTreeMap<&Rendered, Vec<&Route>> = BTreeMap::new();
    for route in routes {
        hosts.entry(&route.host).or_default().push(route);
    }
    let sites: Vec<Value> = hosts.iter().map(|(host, routes)| site(host, routes.clone())).collect();
    let default_host = hosts
        .keys()
        .next()
        .map_or_else(|| Mark::Address.text(), |host| host.marked().to_owned());
    let (directory, root) = match certificates {
        Certificates::Directory { url, root } => (Some(url), root.as_ref()),
        _ => (None, None),
    };
    let (certificate, key) = match certificates {
        Certificates::Files { certificate, key } => (Some(certificate), Some(key)),
        _ => (None, None),
    };
    let placed = |name: Option<&String>| name.map(|name| format!("{CONFIG}/{name}"));
    CADDYFILE.render(&json!({
        "email": email.as_ref().map(Rendered::marked),
        "internal": *certificates == Certificates::Internal,
        "staging": *certificates == Certificates::AcmeStaging,
        "directory": directory,
        "root": placed(root),
        "certificate": placed(certificate),
        "key": placed(key),
        "http3": http3,
        "compression": compression,
        "headers": lines(headers),
        "snippets": snippets,
        "signed_in": routes.iter().any(|route| matches!(route.guard, Guard::SignedIn(_))),
        "https_port": Mark::HttpsPort.text(),
        "default_host": default_host,
        "sites": sites,
    }))
}

fn site(host: &Rendered, mut routes: Vec<&Route>) -> Value {
    // The longest pattern first; Caddy sorts alike, but a person reads top down.
    routes.sort_by_key(|route| {
        (
            std::cmp::Reverse(route.path.as_ref().map_or(0, String::len)),
            route.path.clone(),
        )
    });
    let gates = routes.iter().filter_map(|route| match &route.guard {
        Guard::SignedIn(gate) => Some(gate),
        Guard::Open | Guard::Users { .. } => None,
    });
    // Where somebody has a route of that name, it is theirs.
    let taken = routes.iter().any(|route| route.path.as_deref() == Some(SIGN_IN));
    let gate = gates.into_iter().next().filter(|_| !taken);
    json!({
        "host": host.marked(),
        "catches_all": routes.iter().any(|route| route.path.is_none()),
        "proxies": routes.iter().any(|route| route.upstream().is_some()),
        "limited": routes.iter().any(|route| route.max_body.is_some()),
        "gate": gate.map(|gate| gate.to_string()),
        "routes": routes.into_iter().map(handle).collect::<Vec<_>>(),
    })
}

fn handle(route: &Route) -> Value {
    let Route {
        host: _,
        path,
        strip,
        target,
        guard,
        headers,
        max_body,
    } = route;
    let (users, gate, hidden) = match guard {
        Guard::Open => (Vec::new(), None, false),
        Guard::Users { secrets, shown } => {
            let user = |(name, secret): (&String, &String)| json!({"name": name, "hash": Mark::PasswordHash(secret.clone()).text()});
            (secrets.iter().map(user).collect(), None, !shown)
        }
        Guard::SignedIn(gate) => (Vec::new(), Some(gate.to_string()), false),
    };
    json!({
        "path": path,
        "strip": strip,
        "upstream": route.upstream().map(ToString::to_string),
        "redirect": match target {
            Target::Redirect(to) => Some(to.marked()),
            Target::Service(_) => None,
        },
        "users": users,
        "gate": gate,
        "hidden": hidden,
        "headers": lines(headers),
        "max_body": max_body,
    })
}

/// As Caddy's directive `header` has them. Values hold no backtick.
fn lines(headers: &Headers) -> Vec<String> {
    let line = |(name, value): (&String, &Option<String>)| match value {
        Some(value) => format!("{name} `{value}`"),
        None => format!("-{name}"),
    };
    headers.iter().map(line).collect()
}
