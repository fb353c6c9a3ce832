//! `provision status`: machine, host, services, routes with their certificates, disk and memory.

use std::path::Path;

use comfy_table::{ContentArrangement, Table, presets};
use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use super::Failure;
use super::applied::Applied;
use super::caller::{admitted, caller};
use super::clouds::provider;
use super::life::away;
use super::project::{hang_up, look, owner};
use super::shown::waiting;
use super::stop::{stop_on_signal, until_stopped};
use super::terminal::print;
use crate::certificate::covers;
use crate::cli;
use crate::desired::Desired;
use crate::observe::{Host, Observed, certificates::Certificate};
use crate::provider::Power;
use crate::remote::Probe;

/// Everything that `status` tells.
#[derive(Serialize)]
struct Report {
    environment: String,
    machine: Machine,
    /// When it takes itself down.
    expires: Option<Timestamp>,
    host: Option<HostReport>,
    services: Vec<Service>,
    /// Worth knowing: a newer image than the machine's.
    news: Vec<String>,
    routes: Vec<RouteReport>,
}

#[derive(Serialize)]
struct Machine {
    state: &'static str,
    id: Option<String>,
    address: Option<String>,
}

#[derive(Serialize)]
struct HostReport {
    os: String,
    kernel: Option<String>,
    uptime_seconds: Option<u64>,
    converged: bool,
    docker: bool,
    firewall: bool,
    memory_total_bytes: u64,
    memory_available_bytes: u64,
    disk: Vec<crate::remote::probe::Disk>,
}

#[derive(Serialize)]
struct Service {
    stack: String,
    service: String,
    container: String,
    state: String,
    health: Option<String>,
    restarts: u64,
    started_at: Option<String>,
}

#[derive(Serialize)]
struct RouteReport {
    route: String,
    upstream: String,
    /// Who gets in, when not everybody does.
    guard: Option<String>,
    certificate_expires: Option<Timestamp>,
}

/// Looks and prints.
pub async fn run(directory: &Path, operator: Option<&IpNet>, args: &cli::Status) -> Result<(), Failure> {
    let Applied {
        sources,
        state,
        keyring,
        desired,
        ..
    } = Applied::open(directory, &args.environment)?;
    let provider = provider(&sources.environment, &state).await?;
    let caller = caller(&desired.instance.spec, operator).await?;
    let seen = async {
        let (observed, session) = look(&provider, &state, &desired, caller.as_ref(), &keyring, &waiting).await?;
        let certificates = match &session {
            Some(session) => crate::observe::certificates::read(session, &waiting).await?,
            None => Vec::new(),
        };
        hang_up(session).await;
        Ok((observed, certificates))
    };
    let stop = stop_on_signal();
    let work = until_stopped(&stop, seen);
    let (observed, certificates) = admitted(&provider, &owner(&state), caller.as_ref(), work).await?;
    let mut report = report(&desired, &observed, &certificates);
    report.expires = state.life.map(|life| life.ends);
    if args.json {
        let text =
            serde_json::to_string_pretty(&report).map_err(|why| Failure::other("failed to write the status", why))?;
        return print(&format!("{text}\n"));
    }
    print(&shown(&report, Timestamp::now()))
}

fn report(desired: &Desired, observed: &Observed, certificates: &[Certificate]) -> Report {
    let machine = match &observed.instance {
        None => Machine {
            state: "absent",
            id: None,
            address: None,
        },
        Some(instance) => Machine {
            state: match instance.power {
                Power::On => "on",
                Power::Off => "off",
            },
            id: Some(instance.id.clone()),
            address: Some(instance.endpoint.address.to_string()),
        },
    };
    let probe = match &observed.host {
        Host::Seen(probe) => Some(probe.as_ref()),
        Host::NotYet | Host::Off => None,
    };
    let routes = desired.edge.iter().flat_map(|edge| &edge.routes).map(|route| {
        let host = route.host.shown(&desired.bindings);
        RouteReport {
            certificate_expires: certificates.iter().find(|c| covers(&c.names, &host)).map(|c| c.expires),
            route: format!("{host}{}", route.path.as_deref().unwrap_or("/")),
            upstream: route.target.shown(&desired.bindings),
            guard: route.guard.words(),
        }
    });
    Report {
        environment: desired.environment.to_string(),
        machine,
        expires: None,
        host: probe.map(|probe| host(desired, probe)),
        services: probe.map(services).unwrap_or_default(),
        news: observed.news.clone(),
        routes: routes.collect(),
    }
}

fn host(desired: &Desired, probe: &Probe) -> HostReport {
    HostReport {
        os: format!(
            "{} {}",
            probe.os.id.as_deref().unwrap_or("?"),
            probe.os.version.as_deref().unwrap_or("?")
        ),
        kernel: probe.os.kernel.clone(),
        uptime_seconds: probe.uptime_seconds,
        converged: probe.converged.as_deref() == Some(desired.base.digest().as_str()),
        docker: probe.base.docker,
        firewall: probe.base.firewall_live,
        memory_total_bytes: probe.memory.total_bytes,
        memory_available_bytes: probe.memory.available_bytes,
        disk: probe.disk.clone(),
    }
}

fn services(probe: &Probe) -> Vec<Service> {
    let mut services: Vec<Service> = probe
        .containers
        .iter()
        .filter(|container| !container.oneoff && !container.project.is_empty())
        .map(|container| Service {
            stack: container.project.clone(),
            service: container.service.clone(),
            container: container.name.clone(),
            state: container.state.clone(),
            health: container.health.clone(),
            restarts: container.restart_count,
            started_at: container.started_at.clone(),
        })
        .collect();
    services.sort_by(|a, b| a.container.cmp(&b.container));
    services
}

fn shown(report: &Report, now: Timestamp) -> String {
    let Report {
        environment,
        machine,
        expires,
        host,
        services,
        news,
        routes,
    } = report;
    let address = machine.address.as_deref().unwrap_or("no address");
    let mut out = format!("{environment}: machine {}, {address}\n", machine.state);
    if let Some(expires) = expires {
        let verb = if *expires > now { "ends" } else { "ended" };
        out.push_str(&format!("{verb}: {expires} ({})\n", away(*expires, now)));
    }
    if let Some(host) = host {
        let word = |good: bool, yes: &'static str, no: &'static str| if good { yes } else { no };
        out.push_str(&format!(
            "host: {}, up {}, {}, Docker {}, firewall {}\n",
            host.os,
            host.uptime_seconds.map_or_else(|| "?".to_owned(), duration),
            word(host.converged, "converged", "NOT CONVERGED"),
            word(host.docker, "answers", "DOES NOT ANSWER"),
            word(host.firewall, "loaded", "NOT LOADED"),
        ));
        out.push_str(&format!(
            "memory: {} of {} free\n",
            gib(host.memory_available_bytes),
            gib(host.memory_total_bytes)
        ));
        for disk in &host.disk {
            out.push_str(&format!(
                "disk {}: {} of {} free\n",
                disk.mount,
                gib(disk.free_bytes),
                gib(disk.total_bytes)
            ));
        }
    }
    for news in news {
        out.push_str(&format!("note: {news}\n"));
    }
    if !services.is_empty() {
        let mut table = table(["stack", "service", "state", "health", "restarts", "started"]);
        for service in services {
            table.add_row([
                service.stack.as_str(),
                &service.service,
                &service.state,
                service.health.as_deref().unwrap_or("no check"),
                &service.restarts.to_string(),
                service
                    .started_at
                    .as_deref()
                    .map_or("", |time| time.get(..19).unwrap_or(time)),
            ]);
        }
        out.push_str(&format!("\n{table}\n"));
    }
    if !routes.is_empty() {
        let mut table = table(["route", "to", "certificate until"]);
        for route in routes {
            let expires = route
                .certificate_expires
                .map_or_else(|| "none yet".to_owned(), |time| time.to_string());
            let to = match &route.guard {
                Some(guard) => format!("{}, {guard}", route.upstream),
                None => route.upstream.clone(),
            };
            table.add_row([&route.route, &to, &expires]);
        }
        out.push_str(&format!("\n{table}\n"));
    }
    out
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    table
}

fn gib(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 30;
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
