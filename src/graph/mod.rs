//! A picture of an environment: what the internet reaches and by which route, which service stands behind it, what needs what,
//! and where data is kept. Pure, and the same for the same files.

mod layout;
mod mermaid;
mod svg;
#[cfg(test)]
mod tests;

pub use mermaid::mermaid;
pub use svg::svg;

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::walls::Grant;
use crate::desired::{Desired, DesiredService, DesiredStack};
use crate::names::StackName;
use crate::render::{Mark, Rendered};

/// What stands for the machine's address in a route.
const ADDRESS: &str = "the machine's address ";

/// What is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The environment's name.
    pub environment: String,
    /// Where the machine is made, and what of its disk outlives it.
    pub machine: String,
    /// The network that all stacks share.
    pub network: String,
    /// What is public; none without routes.
    pub edge: Option<Edge>,
    /// The stacks in the order in which they come up.
    pub stacks: Vec<Stack>,
    /// Which stack needs which, by their places in `stacks`.
    pub needs: BTreeSet<(usize, usize)>,
}

/// The one service with published ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Its image.
    pub image: String,
    /// Where certificates come from.
    pub certificates: &'static str,
    /// What it serves.
    pub routes: Vec<Route>,
    /// Its volumes.
    pub volumes: BTreeSet<String>,
}

/// One public path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Host and path.
    pub from: String,
    /// Service and port, or the address of a redirect.
    pub to: String,
    /// Who gets in; none when everybody does.
    pub guard: Option<String>,
    /// The service, by the places of its stack and of itself there.
    pub target: Option<(usize, usize)>,
}

/// One stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Its name.
    pub name: String,
    /// Its services: those that run, then its jobs, each by name.
    pub services: Vec<Service>,
    /// Its volumes.
    pub volumes: BTreeSet<String>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// What it is.
    pub kind: Kind,
    /// The services of its stack that it waits for.
    pub after: BTreeSet<String>,
    /// The volumes that it mounts.
    pub volumes: BTreeSet<String>,
    /// Networks beside the shared one.
    pub networks: BTreeSet<String>,
    /// Whether it is in the shared network at all.
    pub shared: bool,
    /// What the environment file allows it beside what every container may.
    pub allowed: Vec<String>,
    /// Whether the outside reaches it by a port of these, past the edge.
    pub public: bool,
}

/// What a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// So many instances run.
    Runs(u32),
    /// It runs when it is called, and ends.
    Job(&'static str),
}

impl Picture {
    /// The services that the outside reaches past the edge, by the places of their stacks and of themselves there.
    fn open(&self) -> impl Iterator<Item = (usize, usize)> {
        let within = |(at, stack): (usize, &Stack)| {
            let places = stack.services.iter().enumerate();
            let open = places.filter(|(_, service)| service.public);
            open.map(|(place, _)| (at, place)).collect::<Vec<_>>()
        };
        self.stacks.iter().enumerate().flat_map(within)
    }

    /// What there is to draw of an environment.
    pub fn of(desired: &Desired) -> Self {
        let stacks: Vec<Stack> = desired.stacks.iter().map(stack).collect();
        let places: BTreeMap<&StackName, usize> =
            desired.stacks.iter().enumerate().map(|(at, s)| (&s.name, at)).collect();
        let needs = desired.stacks.iter().enumerate().flat_map(|(at, stack)| {
            let needed = stack.needs.iter().filter_map(|name| places.get(name).copied());
            needed.map(move |needed| (at, needed)).collect::<Vec<_>>()
        });
        let needs = needs.collect();
        let edge = desired.edge.as_ref().map(|edge| {
            let caddy = edge.stack.services.values().next();
            Edge {
                image: caddy.and_then(|caddy| caddy.image.clone()).unwrap_or_default(),
                certificates: edge.certificates.words(),
                routes: edge
                    .routes
                    .iter()
                    .map(|route| Route {
                        from: format!("{}{}", host(&route.host, desired), route.path.as_deref().unwrap_or("/")),
                        to: route.target.shown(&desired.bindings),
                        guard: route.guard.words(),
                        target: route.upstream().and_then(|upstream| target(&stacks, &upstream.service)),
                    })
                    .collect(),
                volumes: caddy.map(|caddy| caddy.volumes.clone()).unwrap_or_default(),
            }
        });
        let spec = &desired.instance.spec;
        let provider = spec.attributes().remove("provider").unwrap_or_default();
        let kept = match spec.volume_gib {
            Some(gib) => format!("volumes on a data volume of {gib} GiB that outlives it"),
            None => "volumes on its own disk".to_owned(),
        };
        Self {
            environment: desired.environment.to_string(),
            machine: format!("{provider}, {kept}"),
            network: desired.network.clone(),
            edge,
            stacks,
            needs,
        }
    }
}

fn host(host: &Rendered, desired: &Desired) -> String {
    match host.marked() == Mark::Address.text() {
        true => ADDRESS.to_owned(),
        false => host.shown(&desired.bindings),
    }
}

/// The first stack that has it: a name is one on the shared network.
fn target(stacks: &[Stack], service: &str) -> Option<(usize, usize)> {
    let within = |stack: &Stack| stack.services.iter().position(|own| own.name == service);
    stacks
        .iter()
        .enumerate()
        .find_map(|(at, stack)| Some((at, within(stack)?)))
}

fn stack(stack: &DesiredStack) -> Stack {
    let mut services: Vec<Service> = stack
        .services
        .iter()
        .map(|(name, own)| service(stack, name, own))
        .collect();
    services.sort_by_key(|service| matches!(service.kind, Kind::Job(_)));
    Stack {
        name: stack.name.to_string(),
        volumes: services.iter().flat_map(|service| service.volumes.clone()).collect(),
        services,
    }
}

fn service(stack: &DesiredStack, name: &String, service: &DesiredService) -> Service {
    let DesiredService {
        image,
        instances,
        may_end: _,
        after,
        volumes,
        networks,
    } = service;
    let kind = match instances {
        Some(count) => Kind::Runs(*count),
        None if stack.jobs.before_deploy.contains(name) => Kind::Job("job before each deploy"),
        None if stack.jobs.after_deploy.contains(name) => Kind::Job("job after each deploy"),
        None if stack.jobs.once.contains(name) => Kind::Job("job that runs once"),
        None => Kind::Job("runs when called"),
    };
    let grant = stack.granted.get(name);
    Service {
        allowed: grant.map(Grant::words).unwrap_or_default(),
        public: grant.is_some_and(|grant| grant.walls().next().is_some()),
        name: name.clone(),
        image: image.clone().unwrap_or_else(|| "built on the host".to_owned()),
        kind,
        after: after.clone(),
        volumes: volumes.clone(),
        shared: networks.is_empty() || networks.contains("default"),
        networks: networks
            .iter()
            .filter(|network| *network != "default")
            .cloned()
            .collect(),
    }
}
