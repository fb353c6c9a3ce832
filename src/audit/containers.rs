//! What one container may, and what leads to it.

use std::net::IpAddr;

use super::{Allowed, Finding, Rule, is_edge, name};
use crate::desired::Power;
use crate::desired::walls::{Grant, HostPort, is_root_capability, is_root_device, takes_host};
use crate::remote::audit::{Container, Device, Mount};

/// Parts of the names of variables that hold secrets.
const SECRET: [&str; 11] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "APIKEY",
    "API_KEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
    "MASTER_KEY",
    "CREDENTIAL",
];

/// Names that have such a part and tell where the secret is, or something about it.
const ABOUT: [&str; 8] = ["_FILE", "_PATH", "_DIR", "_URL", "_ID", "_TTL", "_LENGTH", "_NAME"];

/// Everything about one.
pub fn one(container: &Container, allowed: &Allowed) -> Vec<Finding> {
    let subject = name(&container.project, &container.service, &container.name);
    let grant = allowed.grant(&container.project, &container.service);
    let mut findings = ports(container, grant, &subject);
    let mut say = |rule, what: String| {
        let finding = Finding::new(rule, &subject, what);
        let reason = grant.filter(|grant| power(rule).is_some_and(|power| grant.powers.contains(&power)));
        findings.push(match reason {
            Some(grant) => finding.allowed(&grant.reason),
            None => finding,
        });
    };
    let mounts = container.mounts.iter().filter(|mount| mount.kind == "bind");
    for Mount { source, .. } in mounts.filter(|mount| takes_host(&mount.source, mount.writable)) {
        say(Rule::DockerSocket, format!("{source} of the host is mounted"));
    }
    if container.privileged {
        say(Rule::Privileged, "runs privileged".to_owned());
    }
    if container.pid_mode == "host" {
        say(Rule::Privileged, "sees the host's processes".to_owned());
    }
    for capability in container.cap_add.iter().filter(|name| is_root_capability(name)) {
        let capability = capability.strip_prefix("CAP_").unwrap_or(capability);
        say(Rule::Privileged, format!("has the capability {capability}"));
    }
    for Device { path } in container.devices.iter().filter(|device| is_root_device(&device.path)) {
        say(Rule::Privileged, format!("has the device {path}"));
    }
    for rule in container
        .device_rules
        .iter()
        .filter(|rule| rule.starts_with(['a', 'b']))
    {
        say(Rule::Privileged, format!("has the devices {rule}"));
    }
    if container.network_mode == "host" {
        say(Rule::HostNetwork, "uses the host's own network".to_owned());
    }
    if is_root(&container.user) {
        say(Rule::Root, "starts as root".to_owned());
    }
    if !container.image.contains("@sha256:")
        && !container.image.starts_with("sha256:")
        && !allowed.pinned.contains(&container.image)
    {
        say(Rule::Tag, format!("{} is a tag, not a digest", container.image));
    }
    findings.extend(environment(container, allowed, &subject));
    findings
}

/// The word of the environment file that allows what a rule finds.
fn power(rule: Rule) -> Option<Power> {
    match rule {
        Rule::DockerSocket => Some(Power::DockerSocket),
        Rule::Privileged => Some(Power::Privileged),
        Rule::HostNetwork => Some(Power::HostNetwork),
        _ => None,
    }
}

fn ports(container: &Container, grant: Option<&Grant>, subject: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (inside, bounds) in &container.ports {
        for bound in bounds.iter().flatten() {
            let ip = bound.ip.parse::<IpAddr>().ok();
            let web = matches!(
                (bound.port.as_str(), inside.rsplit('/').next()),
                ("80" | "443", Some("tcp")) | ("443", Some("udp"))
            );
            if is_edge(&container.project) && web {
                continue;
            }
            let shown = if bound.ip.is_empty() { "0.0.0.0" } else { &bound.ip };
            let what = format!("port {} of {shown} leads to its {inside}", bound.port);
            let rule = match ip.is_some_and(|ip| ip.is_loopback()) {
                true => Rule::LoopbackPort,
                false => Rule::Published,
            };
            let finding = Finding::new(rule, subject, what);
            let leads = |port: &&HostPort| {
                port.port.to_string() == bound.port
                    && format!("{}/{}", port.target, port.protocol) == *inside
                    && (port.address.is_none() || port.address == ip)
            };
            let reason = grant.filter(|grant| grant.ports.iter().any(|port| leads(&port)));
            findings.push(match reason {
                Some(grant) => finding.allowed(&grant.reason),
                None => finding,
            });
        }
    }
    findings
}

fn is_root(user: &str) -> bool {
    matches!(user.split(':').next(), None | Some("" | "0" | "root"))
}

fn environment(container: &Container, allowed: &Allowed, subject: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for variable in &container.env {
        let Some(value) = &variable.value else { continue };
        let known = allowed.secrets.get(value);
        let inside = variable.password.as_ref();
        let what = match (known, inside, looks_secret(&variable.name)) {
            (Some(secret), ..) => format!("{} is the secret {secret}", variable.name),
            (None, Some(password), _) => match allowed.secrets.get(password) {
                Some(secret) => format!("{} is a URL with the secret {secret}", variable.name),
                None => format!("{} is a URL with a password", variable.name),
            },
            (None, None, true) => format!("{} looks like a secret", variable.name),
            (None, None, false) => continue,
        };
        findings.push(Finding::new(Rule::Environment, subject, what));
    }
    findings
}

fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET.iter().any(|part| name.contains(part)) && !ABOUT.iter().any(|end| name.ends_with(end))
}
