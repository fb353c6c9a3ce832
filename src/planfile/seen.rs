//! What was observed, as far as it stays the same while nobody does anything.
//!
//! Every field of an observation is named here, so that a new one does not compile until somebody has decided whether it
//! moves by itself. What does: clocks, counters, free space, what a kernel picks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::desired::Desired;
use crate::names::{Address, Digest, Endpoint, StackName};
use crate::observe::{Host, Observed};
use crate::plan::STACKS;
use crate::provider::{Instance, POWEROFF, Part, Power};
use crate::remote::probe::{Base, Container, Disk, HostFile, Image, Listener, Os, Probe};

/// Where Linux begins to hand out ports to programs that ask for none of their own (`ip_local_port_range`).
const EPHEMERAL: u16 = 32_768;

/// What was seen: by address, then by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seen(pub BTreeMap<String, BTreeMap<String, String>>);

impl Seen {
    /// Of an observation. `desired` tells which files on the host hold secrets: of those not even a digest is kept, because
    /// a guessed password could be tried against it.
    pub fn of(observed: &Observed, desired: Option<&Desired>) -> Self {
        let Observed {
            instance,
            parts,
            provider,
            // A newer image is out: nothing is done about it.
            news: _,
            obstacles,
            host,
        } = observed;
        let mut seen = Self::default();
        for (name, value) in provider {
            seen.put("provider", name, value);
        }
        if let Some(instance) = instance {
            seen.instance(instance);
        }
        for (address, part) in parts {
            seen.part(address, part);
        }
        for (address, obstacle) in obstacles {
            seen.put(address, "in the way", obstacle);
        }
        match host {
            // Whether it is looked at follows from the state and from the machine's power.
            Host::NotYet | Host::Off => {}
            Host::Seen(probe) => seen.probe(probe, desired),
        }
        seen
    }

    fn put(&mut self, address: impl ToString, name: impl ToString, value: impl ToString) {
        let of_address = self.0.entry(address.to_string()).or_default();
        of_address.insert(name.to_string(), value.to_string());
    }

    fn instance(&mut self, instance: &Instance) {
        let Instance {
            id,
            power,
            endpoint:
                Endpoint {
                    address,
                    ssh,
                    http,
                    https,
                },
            attributes,
            ipv6,
            facts,
        } = instance;
        let at = Address::MachineInstance;
        self.put(&at, "id", id);
        let power = match power {
            Power::On => "on",
            Power::Off => "off",
        };
        self.put(&at, "power", power);
        self.put(&at, "address", address);
        self.put(&at, "ports", format!("{ssh} {http} {https}"));
        if let Some(ipv6) = ipv6 {
            self.put(&at, "ipv6", ipv6);
        }
        // What becomes of the machine when it turns itself off is not asked by a plan, which has eight calls.
        for (name, value) in attributes.iter().filter(|(name, _)| *name != POWEROFF) {
            self.put(&at, name, value);
        }
        for (name, value) in facts {
            self.put(&at, format!("({name})"), value);
        }
    }

    fn part(&mut self, address: &Address, part: &Part) {
        let Part { id, attributes, facts } = part;
        self.put(address, "id", id);
        for (name, value) in attributes {
            self.put(address, name, value);
        }
        for (name, value) in facts {
            self.put(address, format!("({name})"), value);
        }
    }

    fn probe(&mut self, probe: &Probe, desired: Option<&Desired>) {
        let Probe {
            // The same for every probe that is read.
            probe: _,
            // A host that was restarted is the same host.
            boot_id: _,
            uptime_seconds: _,
            starting: _,
            clock: _,
            os,
            hostname,
            cloud_init,
            owner,
            converged,
            converge_failed,
            expires,
            base,
            host_key,
            files,
            // Of a stack with one short secret, that could be tried against it. What is in place is told file by file.
            releases: _,
            containers,
            images,
            networks,
            own_networks,
            volumes,
            listeners,
            disk,
            // What is free moves, and all of it is the machine's size less what a kernel takes.
            memory: _,
        } = probe;
        const HOST: &str = "host";
        let Os {
            id,
            version,
            arch,
            // Changes with updates that install themselves.
            kernel: _,
        } = os;
        let words = [id, version, arch].map(|word| word.as_deref().unwrap_or("unknown"));
        self.put(HOST, "system", words.join(" "));
        if let Some(hostname) = hostname {
            self.put(HOST, "hostname", hostname);
        }
        if let Some(owner) = owner {
            self.put(HOST, "owner", owner);
        }
        // Its other fields are times.
        if let Some(status) = cloud_init.get("status").and_then(|status| status.as_str()) {
            self.put(HOST, "cloud-init", status);
        }
        if let Some(key) = host_key {
            self.put(Address::HostIdentity, "host key", Digest::of(key).short());
        }
        if let Some(expires) = expires {
            self.put(Address::Ttl, "timer", expires);
        }
        self.base(base, converged.as_deref(), converge_failed.as_deref());
        for (path, file) in files {
            self.file(path, file, desired);
        }
        for container in containers {
            self.container(container);
        }
        for Image { id, tags } in images {
            // One without a name is what an older one leaves behind.
            for tag in tags {
                self.put(HOST, format!("image {tag}"), id);
            }
        }
        for network in networks {
            self.put(HOST, format!("network {network}"), "");
        }
        for (network, id) in own_networks {
            self.put(HOST, format!("network {network}, its id"), id);
        }
        for volume in volumes.iter().filter(|name| !is_anonymous(name)) {
            self.put(HOST, format!("volume {volume}"), "");
        }
        for listener in listeners {
            let Listener {
                proto,
                address,
                port,
                process,
            } = listener;
            // A program that asks the network something listens for the answer meanwhile.
            if proto == "tcp" || *port < EPHEMERAL {
                let process = process.as_deref().unwrap_or_default();
                self.put(HOST, format!("{proto} {address} port {port}"), process);
            }
        }
        for Disk {
            mount,
            total_bytes,
            free_bytes: _,
        } in disk
        {
            self.put(HOST, format!("disk {mount}"), format!("{total_bytes} bytes"));
        }
    }

    fn base(&mut self, base: &Base, converged: Option<&str>, failed: Option<&str>) {
        let Base {
            sshd,
            daemon_json,
            firewall_script,
            firewall_live,
            docker,
            firewall_rules,
            // Those of others, which may change by themselves; they open nothing.
            foreign_rules: _,
            sshd_settings,
            files,
        } = base;
        let at = Address::HostBase;
        let digests = [
            ("sshd", sshd),
            ("daemon.json", daemon_json),
            ("firewall script", firewall_script),
        ];
        for (name, digest) in digests {
            if let Some(digest) = digest {
                self.put(&at, name, digest);
            }
        }
        for (name, text) in [("firewall rules", firewall_rules), ("sshd settings", sshd_settings)] {
            if let Some(text) = text {
                self.put(&at, name, Digest::of(text).short());
            }
        }
        for (path, file) in files {
            // None of these holds a secret.
            let HostFile {
                sha256, mode, owner, ..
            } = file;
            self.put(&at, path, format!("{sha256}, mode {mode}, {owner}"));
        }
        self.put(&at, "firewall", if *firewall_live { "loaded" } else { "not loaded" });
        self.put(&at, "docker", if *docker { "answers" } else { "does not answer" });
        self.put(&at, "converged", converged.unwrap_or("never"));
        if let Some(failed) = failed {
            self.put(&at, "converge failed", failed);
        }
    }

    fn file(&mut self, path: &str, file: &HostFile, desired: Option<&Desired>) {
        let HostFile {
            sha256,
            mode,
            owner,
            // Of the release, which is named by itself.
            placed: _,
            placed_mode: _,
            // An equal file may be written again.
            modified: _,
        } = file;
        let below = path.strip_prefix(STACKS).and_then(|rest| rest.strip_prefix('/'));
        let Some((stack, name)) = below.and_then(|rest| rest.split_once('/')) else {
            return;
        };
        let wanted = desired.and_then(|desired| {
            let edge = desired.edge.iter().map(|edge| &edge.stack);
            let stack = desired.stacks.iter().chain(edge).find(|s| s.name.as_str() == stack)?;
            Some((stack.files.get(name)?, &desired.bindings))
        });
        let content = match wanted {
            Some((wanted, bindings)) if wanted.is_secret() => {
                match Digest::of(wanted.bind(bindings)).as_str() == sha256 {
                    true => "as written",
                    false => "other than written",
                }
            }
            Some(_) => sha256,
            // It may hold a secret of a stack that is written no more.
            None => "there",
        };
        let value = format!("{content}, mode {mode}, {owner}");
        self.put(of_project(stack), format!("file {name}"), value);
    }

    fn container(&mut self, container: &Container) {
        let Container {
            name,
            id,
            image,
            image_ref,
            project,
            service,
            // They come with the container: it is another one when they change.
            labels: _,
            state,
            // Comes and goes while a service is busy; nothing is planned for it.
            health: _,
            started_at: _,
            restart_count: _,
            exit_code,
            oneoff,
            restart,
            // These come with the container, too.
            config: _,
            ports: _,
        } = container;
        if *oneoff {
            // A job, or somebody's shell.
            return;
        }
        let at = of_project(project);
        let ended = match state.as_str() {
            "exited" => format!("{state} with {exit_code}"),
            _ => state.clone(),
        };
        let named = |what: &str| format!("container {name}{what}");
        self.put(&at, named(""), ended);
        self.put(&at, named(", its id"), id);
        self.put(&at, named(", its image"), format!("{image_ref} {image}"));
        self.put(&at, named(", its service"), service);
        self.put(&at, named(", its restart policy"), restart);
    }
}

/// The address of a Compose project; of a foreign one, its name.
fn of_project(project: &str) -> String {
    match project.parse::<StackName>() {
        Ok(name) if name == StackName::edge() => Address::Edge.to_string(),
        Ok(name) => Address::Stack(name).to_string(),
        Err(_) => format!("project {project}"),
    }
}

/// Docker names a volume that nobody named with 64 hexadecimal digits.
fn is_anonymous(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|b| b.is_ascii_hexdigit())
}
