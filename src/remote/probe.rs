//! What the host says about itself: the JSON of `probe.sh`, as types.
//!
//! A host that is half made answers too, so everything but the version may be missing.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use super::command::RemoteCommand;
use super::scripts::Script;

/// The version of the format that this program reads.
pub const VERSION: u64 = 1;

/// Everything that one probe saw.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Probe {
    /// The version of the format.
    pub probe: u64,
    /// Changes with every boot.
    #[serde(default)]
    pub boot_id: Option<String>,
    /// The operating system.
    #[serde(default, deserialize_with = "or_default")]
    pub os: Os,
    /// The host's name.
    #[serde(default)]
    pub hostname: Option<String>,
    /// The host's clock, in seconds since 1970.
    #[serde(default)]
    pub clock: Option<i64>,
    /// What `cloud-init status --format json` says; null where there is no cloud-init.
    #[serde(default)]
    pub cloud_init: serde_json::Value,
    /// The lineage that the host belongs to: that of whoever changed it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The digest of the converge script that completed.
    #[serde(default)]
    pub converged: Option<String>,
    /// Why the last converge failed.
    #[serde(default)]
    pub converge_failed: Option<String>,
    /// When it turns itself off, in seconds since 1970; none when no timer runs.
    #[serde(default)]
    pub expires: Option<i64>,
    /// What the converge script is responsible for.
    #[serde(default, deserialize_with = "or_default")]
    pub base: Base,
    /// The public half of the host's ed25519 key, in OpenSSH's format.
    #[serde(default)]
    pub host_key: Option<String>,
    /// The files of all stacks, by absolute path.
    #[serde(default, deserialize_with = "or_default")]
    pub files: BTreeMap<String, HostFile>,
    /// The digest of the manifest in place, by stack: of the release that was put there last. Stable.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub releases: BTreeMap<String, String>,
    /// All containers; those that no Compose project made have an empty project.
    #[serde(default, deserialize_with = "or_default")]
    pub containers: Vec<Container>,
    /// The container images.
    #[serde(default, deserialize_with = "or_default")]
    pub images: Vec<Image>,
    /// The names of Docker's networks.
    #[serde(default, deserialize_with = "or_default")]
    pub networks: Vec<String>,
    /// Docker's networks that bear our label, with their ids. Stable: a restart keeps them.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub own_networks: BTreeMap<String, String>,
    /// The names of Docker's volumes.
    #[serde(default, deserialize_with = "or_default")]
    pub volumes: Vec<String>,
    /// What listens.
    #[serde(default, deserialize_with = "or_default")]
    pub listeners: Vec<Listener>,
    /// File systems that matter: `/`, the data volume, Docker's.
    #[serde(default, deserialize_with = "or_default")]
    pub disk: Vec<Disk>,
    /// Memory.
    #[serde(default, deserialize_with = "or_default")]
    pub memory: Memory,
    /// Seconds since boot.
    #[serde(default)]
    pub uptime_seconds: Option<u64>,
    /// Whether systemd is still at work on the start of the host: what it has not come to yet is not amiss.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "std::ops::Not::not")]
    pub starting: bool,
}

/// The operating system, as `/etc/os-release` and `uname` have it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Os {
    /// `debian`, `ubuntu`, …
    #[serde(default)]
    pub id: Option<String>,
    /// `13`, `24.04`, …
    #[serde(default)]
    pub version: Option<String>,
    /// `x86_64`, `aarch64`, …
    #[serde(default)]
    pub arch: Option<String>,
    /// The kernel's release.
    #[serde(default)]
    pub kernel: Option<String>,
}

/// The parts of the host's base: digests of files, and whether the live things are as they should.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Base {
    /// SHA-256 of our sshd settings.
    #[serde(default)]
    pub sshd: Option<String>,
    /// SHA-256 of Docker's settings.
    #[serde(default)]
    pub daemon_json: Option<String>,
    /// SHA-256 of the firewall script.
    #[serde(default)]
    pub firewall_script: Option<String>,
    /// Whether our rules are loaded.
    #[serde(default, deserialize_with = "or_default")]
    pub firewall_live: bool,
    /// Whether Docker's daemon answers.
    #[serde(default, deserialize_with = "or_default")]
    pub docker: bool,
    /// The rules that decide what gets in: those of our chains, and whatever stands before them where they are called. Without
    /// counters and handles. Stable across reboots and restarts of Docker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall_rules: Option<String>,
    /// Rules of others in the input chain, and nftables of others, by name. They open nothing that ours close. Stable unless
    /// somebody else's program changes its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign_rules: Option<String>,
    /// What sshd makes of all its files: who gets in, and how. Stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sshd_settings: Option<String>,
    /// The other files that the converge script writes, by absolute path. Stable but for the time in it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, HostFile>,
}

/// One file of a stack or of the base.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostFile {
    /// SHA-256 of its content.
    pub sha256: String,
    /// Four octal digits.
    pub mode: String,
    /// `user:group`.
    #[serde(default, deserialize_with = "or_default")]
    pub owner: String,
    /// SHA-256 of what was put there last, as the stack's manifest has it. Stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<String>,
    /// The mode that it was given then. Stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed_mode: Option<String>,
    /// When it was last written to, in seconds since 1970. Not stable: an equal file may be written again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<i64>,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// The id of its image.
    #[serde(default, deserialize_with = "or_default")]
    pub image: String,
    /// The image as the compose file names it.
    #[serde(default, deserialize_with = "or_default")]
    pub image_ref: String,
    /// The Compose project.
    #[serde(default, deserialize_with = "or_default")]
    pub project: String,
    /// The Compose service.
    #[serde(default, deserialize_with = "or_default")]
    pub service: String,
    /// Its labels that are ours.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// `running`, `exited`, …
    #[serde(default, deserialize_with = "or_default")]
    pub state: String,
    /// `healthy`, `unhealthy`, `starting`; none without a health check.
    #[serde(default)]
    pub health: Option<String>,
    /// When it was started, RFC 3339.
    #[serde(default)]
    pub started_at: Option<String>,
    /// How often Docker restarted it.
    #[serde(default, deserialize_with = "or_default")]
    pub restart_count: u64,
    /// The exit code of its last end.
    #[serde(default, deserialize_with = "or_default")]
    pub exit_code: i64,
    /// Whether it is a job (`docker compose run`) and no service.
    #[serde(default, deserialize_with = "or_default")]
    pub oneoff: bool,
    /// Docker's restart policy: `no`, `always`, `unless-stopped`, `on-failure`. Stable.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub restart: String,
    /// Compose's digest of the configuration that it was made from. Stable.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub config: String,
    /// The host's ports that lead to it, such as `0.0.0.0:5432/tcp`. Stable.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
}

/// One container image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Image {
    /// Its id.
    pub id: String,
    /// Its names, `repository:tag`.
    #[serde(default, deserialize_with = "or_default")]
    pub tags: Vec<String>,
}

/// One open port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Listener {
    /// `tcp` or `udp`.
    pub proto: String,
    /// The address; `*` or `0.0.0.0` or `::` for all.
    pub address: String,
    /// The port.
    pub port: u16,
    /// The name of the program.
    #[serde(default)]
    pub process: Option<String>,
}

/// One file system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Disk {
    /// Where it is mounted.
    pub mount: String,
    /// Its size.
    #[serde(default, deserialize_with = "or_default")]
    pub total_bytes: u64,
    /// What is free for others than root.
    #[serde(default, deserialize_with = "or_default")]
    pub free_bytes: u64,
}

/// Memory of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// All of it.
    #[serde(default, deserialize_with = "or_default")]
    pub total_bytes: u64,
    /// What programs can still get.
    #[serde(default, deserialize_with = "or_default")]
    pub available_bytes: u64,
}

/// `null` is as good as missing.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The host's answer is not a probe.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// It is no JSON of this shape.
    #[error("failed to read the host's probe, which begins with {begin:?}")]
    Decode {
        /// The first 200 bytes.
        begin: String,
        /// Where it goes wrong.
        #[source]
        why: serde_json::Error,
    },
    /// It is of another version.
    #[error("failed to read the host's probe: it has version {found}, this program reads {VERSION}")]
    Version {
        /// What it says.
        found: u64,
    },
}

impl Probe {
    /// The command whose output [`Probe::parse`] reads.
    pub fn command() -> RemoteCommand {
        RemoteCommand::script(Script::PROBE, [""; 0])
    }

    /// Reads the output of `probe.sh`.
    ///
    /// # Errors
    /// When it is not JSON, lacks what every probe has, or is of another version.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProbeError> {
        let probe: Self = serde_json::from_slice(bytes).map_err(|why| ProbeError::Decode {
            begin: String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned(),
            why,
        })?;
        match probe.probe {
            VERSION => Ok(probe),
            found => Err(ProbeError::Version { found }),
        }
    }

    /// Whether a host that has been set up is still on its way to Docker and the firewall after a start.
    pub fn is_coming_up(&self) -> bool {
        self.starting && self.converged.is_some() && !(self.base.docker && self.base.firewall_live)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_host_comes_up_until_docker_and_the_firewall_are_there() {
        let mut probe = Probe {
            converged: Some("digest".into()),
            starting: true,
            ..Probe::default()
        };
        assert!(probe.is_coming_up());
        probe.base.firewall_live = true;
        assert!(probe.is_coming_up());
        probe.base.docker = true;
        assert!(!probe.is_coming_up(), "what else starts is no matter of ours");
        probe.base.docker = false;
        probe.starting = false;
        assert!(!probe.is_coming_up(), "it is up, and Docker is not");
        probe.starting = true;
        probe.converged = None;
        assert!(!probe.is_coming_up(), "its first boot has a wait of its own");
    }

    #[test]
    fn a_host_that_is_half_made_answers_too() {
        let expected = Probe {
            probe: 1,
            ..Probe::default()
        };
        assert_eq!(Probe::parse(br#"{"probe":1}"#).unwrap(), expected);
        let nulls = br#"{"probe":1,"boot_id":null,"os":null,"hostname":null,"clock":null,"cloud_init":null,"converged":null,
            "converge_failed":null,"base":null,"host_key":null,"files":null,"containers":null,"images":null,"networks":null,
            "volumes":null,"listeners":null,"disk":null,"memory":null,"uptime_seconds":null,"later":{}}"#;
        assert_eq!(Probe::parse(nulls).unwrap(), expected);
    }

    #[test]
    fn a_whole_probe_is_read() {
        let text = br#"{"probe":1,"boot_id":"4f","os":{"id":"debian","version":"13","arch":"x86_64","kernel":"6.12"},
            "hostname":"demo","clock":1763719000,"cloud_init":{"status":"done","errors":[]},"converged":"ab","converge_failed":null,
            "base":{"sshd":"aa","daemon_json":null,"firewall_script":"bb","firewall_live":true,"docker":true},
            "host_key":"ssh-ed25519 AAAA root@demo","files":{"/opt/provision/stacks/app/.env":{"sha256":"cc","mode":"0600","owner":"root:root"}},
            "containers":[{"name":"app-web-1","id":"1","image":"sha256:2","image_ref":"web:1","project":"app","service":"web",
            "labels":{"provision.stack":"app"},"state":"running","health":"healthy","started_at":"2026-11-21T09:00:00Z",
            "restart_count":0,"exit_code":0,"oneoff":false}],"images":[{"id":"sha256:2","tags":["web:1"]}],"networks":["bridge"],
            "volumes":["app_data"],"listeners":[{"proto":"tcp","address":"0.0.0.0","port":22,"process":"sshd"}],
            "disk":[{"mount":"/","total_bytes":10,"free_bytes":5}],"memory":{"total_bytes":2,"available_bytes":1},"uptime_seconds":60}"#;
        let probe = Probe::parse(text).unwrap();
        assert_eq!(probe.containers[0].health.as_deref(), Some("healthy"));
        assert_eq!(probe.files["/opt/provision/stacks/app/.env"].mode, "0600");
        assert_eq!((probe.listeners[0].port, probe.memory.available_bytes), (22, 1));
        assert_eq!(probe.cloud_init["status"], "done");
        let again = serde_json::to_vec(&probe).unwrap();
        assert_eq!(Probe::parse(&again).unwrap(), probe);
    }

    #[test]
    fn what_is_no_probe_is_quoted() {
        let error = Probe::parse(b"sudo: unable to resolve host demo\n{}").unwrap_err();
        insta::assert_snapshot!(error, @r#"failed to read the host's probe, which begins with "sudo: unable to resolve host demo\n{}""#);
        let error = Probe::parse(br#"{"probe":2}"#).unwrap_err();
        insta::assert_snapshot!(error, @"failed to read the host's probe: it has version 2, this program reads 1");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Probe::parse(&bytes);
        }

        #[test]
        fn no_cut_makes_it_panic(cut in 0_usize..60) {
            let text = r#"{"probe":1,"os":{"id":"ö"},"disk":[{"mount":"/"}],"x":1}"#.as_bytes();
            let _ = Probe::parse(&text[..cut.min(text.len())]);
        }
    }
}
