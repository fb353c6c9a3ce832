//! The memory plan: what all services together may take must fit the machine. Who lets it overflow finds out when the
//! kernel ends a process, mostly the database.

use std::collections::BTreeMap;

use super::{Body, DesiredEdge, DesiredStack, Findings};
use crate::environment::Sources;
use crate::environment::compose::memory;
use crate::environment::compose::{Compose, Service, filled};
use crate::environment::diagnostic::Source;
use crate::environment::model::Machine;
use crate::provider::InstanceSpec;
use crate::render::Rendered;

/// MiB that are left for the kernel, Docker, sshd and the journal.
pub const RESERVED_MIB: u64 = 256;

const MIB: u64 = 1024 * 1024;

/// How many of the biggest are named.
const NAMED: usize = 5;

/// What the services may take together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The sum of all limits in MiB.
    pub limits_mib: u64,
    /// What the machine has, in MiB; none when its size does not tell without asking the provider.
    pub machine_mib: Option<u64>,
}

impl MemoryPlan {
    /// What to say when nothing could be checked.
    pub fn note(&self) -> Option<String> {
        (self.machine_mib.is_none() && self.limits_mib > 0).then(|| {
            format!(
                "the memory limits add up to {}; how much the machine has is not known here, so nobody checked that it is enough",
                shown(self.limits_mib)
            )
        })
    }
}

/// A service with a limit, times its instances.
struct Share {
    name: String,
    instances: u64,
    mib: u64,
}

/// Adds up the limits, and tells it when they do not fit.
pub fn plan(
    findings: &mut Findings<'_>,
    sources: &Sources,
    stacks: &[DesiredStack],
    edge: Option<&DesiredEdge>,
    spec: Option<&InstanceSpec>,
) -> MemoryPlan {
    let mut shares = Vec::new();
    for stack in stacks {
        if let Some(source) = sources.stacks.get(&stack.name) {
            let running = running(&source.compose, stack);
            let of_stack = shares_of(&running, stack);
            let limited: u64 = of_stack.iter().map(|share| share.mib * share.instances).sum();
            // Services without a limit: what their author says that the stack needs.
            let needed = u64::from(source.manifest.memory_mib.unwrap_or_default());
            if running.len() > of_stack.len() && needed > limited {
                shares.push(Share {
                    name: format!("stack {}", stack.name),
                    instances: 1,
                    mib: needed,
                });
            } else {
                shares.extend(of_stack);
            }
        }
    }
    if let Some(edge) = edge
        && let Ok(compose) = Compose::decode(&Source::new("caddy/compose.yaml", crate::render::caddyfile::COMPOSE))
    {
        shares.extend(shares_of(&running(&compose, &edge.stack), &edge.stack));
    }
    let limits_mib = shares.iter().map(|share| share.mib * share.instances).sum();
    let machine_mib = spec.and_then(InstanceSpec::memory_mib).map(u64::from);
    if let Some(machine) = machine_mib
        && limits_mib + RESERVED_MIB > machine
    {
        overflow(findings, sources, &mut shares, limits_mib, machine);
    }
    MemoryPlan {
        limits_mib,
        machine_mib,
    }
}

/// A service that runs, with how many instances.
type Running<'c> = (&'c String, &'c Service, u64);

fn running<'c>(compose: &'c Compose, stack: &DesiredStack) -> Vec<Running<'c>> {
    let services = compose.services.iter();
    services
        .filter_map(|(name, service)| Some((name, service, u64::from(stack.services.get(name)?.instances?))))
        .collect()
}

fn shares_of(running: &[Running<'_>], stack: &DesiredStack) -> Vec<Share> {
    let none = BTreeMap::new();
    let variables = match stack.files.get(".env").map(|file| &file.body) {
        Some(Body::DotEnv(variables)) => variables,
        _ => &none,
    };
    let share = |(name, service, instances): &Running<'_>| {
        let value = |name: &str| match variables.get(name) {
            Some(text) => plain(text),
            None => service.defaults.get(name).cloned(),
        };
        let bytes = memory::bytes(&filled(service.memory.as_ref()?.get(), &value)?)?;
        Some(Share {
            name: (*name).clone(),
            instances: *instances,
            mib: bytes.div_ceil(MIB),
        })
    };
    running.iter().filter_map(share).collect()
}

/// A variable's text; a secret tells nothing.
fn plain(text: &Rendered) -> Option<String> {
    (!text.is_secret()).then(|| text.marked().to_owned())
}

fn overflow(findings: &mut Findings<'_>, sources: &Sources, shares: &mut [Share], limits: u64, machine: u64) {
    shares.sort_by(|a, b| {
        let of = |share: &Share| share.mib * share.instances;
        of(b).cmp(&of(a)).then_with(|| a.name.cmp(&b.name))
    });
    let biggest: Vec<String> = shares
        .iter()
        .take(NAMED)
        .map(|share| match share.instances {
            1 => format!("{} {}", share.name, shown(share.mib)),
            n => format!("{} {n} × {}", share.name, shown(share.mib)),
        })
        .collect();
    let (table, key) = match sources.environment.machine.get() {
        Machine::Local(_) => ("local", "memory_gib"),
        Machine::Aws(_) => ("aws", "size"),
        Machine::DigitalOcean(_) => ("digitalocean", "size"),
        Machine::Ssh(_) => ("ssh", "host"),
    };
    let span = match findings.file.span_of(&["machine", table, key]) {
        span if span.is_empty() => sources.environment.machine.span(),
        span => span,
    };
    findings.at(
        span,
        format!(
            "the memory limits of all services add up to {}, and the machine has {}",
            shown(limits),
            shown(machine)
        ),
        format!(
            "{} of it are left for the system itself. The biggest: {}. Lower a limit, run fewer instances, or take a larger machine (`{key}`)",
            shown(RESERVED_MIB),
            biggest.join(", ")
        ),
    );
}

fn shown(mib: u64) -> String {
    match mib {
        mib if mib >= 1024 && mib % 1024 == 0 => format!("{} GiB", mib / 1024),
        mib if mib >= 1024 => {
            let tenths = (mib * 10 + 512) / 1024;
            format!("{}.{} GiB", tenths / 10, tenths % 10)
        }
        mib => format!("{mib} MiB"),
    }
}
