//! What one container may, and what leads to it.

use std::net::IpAddr;

use super::{Allowed, Finding, Rule, is_edge, name};
use crate::remote::audit::Container;

/// Folders of the host that hold Docker's socket, or with which a container can take the host over.
const HOST: [&str; 9] = [
    "/",
    "/run",
    "/var",
    "/var/run",
    "/var/lib",
    "/var/lib/docker",
    "/etc",
    "/root",
    "/run/containerd",
];

/// Capabilities that are as good as root of the host.
const ROOT: [&str; 7] = [
    "ALL",
    "SYS_ADMIN",
    "SYS_MODULE",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "DAC_READ_SEARCH",
    "BPF",
];

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
    let mut findings = ports(container, &subject);
    let mut say = |rule, what: String| findings.push(Finding::new(rule, &subject, what));
    let sockets = container
        .mounts
        .iter()
        .filter(|mount| mount.kind == "bind")
        .map(|mount| mount.source.as_str());
    for source in sockets.filter(|source| is_host(source)) {
        say(Rule::DockerSocket, format!("{source} of the host is mounted"));
    }
    if container.privileged {
        say(Rule::Privileged, "runs privileged".to_owned());
    }
    if container.pid_mode == "host" {
        say(Rule::Privileged, "sees the host's processes".to_owned());
    }
    for capability in &container.cap_add {
        let capability = capability.strip_prefix("CAP_").unwrap_or(capability);
        if ROOT.contains(&capability) {
            say(Rule::Privileged, format!("has the capability {capability}"));
        }
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

fn ports(container: &Container, subject: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (inside, bounds) in &container.ports {
        for bound in bounds.iter().flatten() {
            let loopback = bound.ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
            let web = matches!(
                (bound.port.as_str(), inside.rsplit('/').next()),
                ("80" | "443", Some("tcp")) | ("443", Some("udp"))
            );
            if is_edge(&container.project) && web {
                continue;
            }
            let ip = if bound.ip.is_empty() { "0.0.0.0" } else { &bound.ip };
            let what = format!("port {} of {ip} leads to its {inside}", bound.port);
            let rule = if loopback { Rule::LoopbackPort } else { Rule::Published };
            findings.push(Finding::new(rule, subject, what));
        }
    }
    findings
}

fn is_host(source: &str) -> bool {
    let plain = if source.len() > 1 {
        source.trim_end_matches('/')
    } else {
        source
    };
    HOST.contains(&plain) || plain.ends_with("/docker.sock") || plain.ends_with("/containerd.sock")
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
