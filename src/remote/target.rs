//! Where to and as whom: everything that decides which host is talked to and how it is recognised, and the ssh
//! configuration that says so to the `ssh` program.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ssh_key::{HashAlg, KnownHosts, PrivateKey, PublicKey};

use super::error::SessionError;
use crate::names::Endpoint;
use crate::secret::Secret;

/// A host, its pinned identity and the way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where sshd listens.
    pub endpoint: Endpoint,
    /// The user to log in as.
    pub user: String,
    /// The name under which the host key is pinned. A name of the machine's own, so that an address that the provider
    /// hands to another machine later does not clash.
    pub alias: String,
    /// The environment's file of pinned host keys. The only one that is believed; never written by ssh.
    pub known_hosts: PathBuf,
    /// What the login is proven with.
    pub key: ClientKey,
    /// A host to go through, as ssh's `-J` takes it.
    pub proxy_jump: Option<String>,
    /// Whether commands need `sudo` to run as root.
    pub escalate: bool,
    /// The `Host` of the person's ssh configuration whose settings count, where it is not `alias`.
    pub host: Option<String>,
    /// The person's own ssh configuration, read after ours: aliases, jump hosts and agent work as they are used to, but
    /// nothing in it weakens the check of the host key.
    pub ssh_config: Option<PathBuf>,
}

/// What a login is proven with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientKey {
    /// A private key in OpenSSH's format. It is on disk, mode 0600, only until the login is done.
    Generated(Secret),
    /// A private key file of the person's. One with a passphrase must be in the agent.
    File(PathBuf),
    /// The agent: the one key whose public half is in this file, or whatever the person's ssh would offer.
    Agent(Option<PathBuf>),
}

impl ClientKey {
    /// What people are told was offered, with the fingerprint where it can be known. Never the key.
    pub fn describe(&self) -> String {
        match self {
            Self::Generated(text) => match PrivateKey::from_openssh(text.expose()) {
                Ok(key) => format!("the environment's key {}", key.fingerprint(HashAlg::Sha256)),
                Err(_) => "the environment's key, which cannot be read".to_owned(),
            },
            Self::File(path) => {
                let mut public = path.clone().into_os_string();
                public.push(".pub");
                with_fingerprint(path, Path::new(&public))
            }
            Self::Agent(Some(path)) => format!("the agent's key {}", with_fingerprint(path, path)),
            Self::Agent(None) => "the keys of your ssh agent and configuration".to_owned(),
        }
    }
}

fn with_fingerprint(shown: &Path, public: &Path) -> String {
    match PublicKey::read_openssh_file(public) {
        Ok(key) => format!("{} {}", shown.display(), key.fingerprint(HashAlg::Sha256)),
        Err(_) => shown.display().to_string(),
    }
}

impl Target {
    /// What `ssh` is asked to reach.
    pub fn destination(&self) -> &str {
        self.host.as_deref().unwrap_or(&self.alias)
    }

    /// `address:port`, as people are told.
    pub fn place(&self) -> String {
        std::net::SocketAddr::new(self.endpoint.address, self.endpoint.ssh).to_string()
    }

    /// The fingerprints pinned for this host, as ssh prints them.
    pub fn pinned(&self) -> Vec<String> {
        let Ok(entries) = KnownHosts::read_file(&self.known_hosts) else {
            return Vec::new();
        };
        entries
            .iter()
            .filter(|entry| match entry.host_patterns() {
                ssh_key::known_hosts::HostPatterns::Patterns(patterns) => {
                    // With an alias, ssh looks for it alone, without the port.
                    patterns.contains(&self.alias)
                }
                // A hashed name: whose it is cannot be read.
                ssh_key::known_hosts::HostPatterns::HashedName { .. } => false,
            })
            .map(|entry| {
                let key = entry.public_key();
                format!("{} ({})", key.fingerprint(HashAlg::Sha256), key.algorithm())
            })
            .collect()
    }

    /// The `ssh -F` file. `identity` is where a generated key has been written.
    ///
    /// # Errors
    /// When a name or path cannot be written in an ssh configuration.
    pub(super) fn config(
        &self,
        identity: Option<&Path>,
        batch: bool,
        timeout: Duration,
    ) -> Result<String, SessionError> {
        let mut text = String::new();
        let mut line = |key: &str, value: &str| {
            let _ = writeln!(text, "  {key} {value}");
        };
        // ssh takes the first value it finds, so nothing below `Match all` can change what stands here.
        line("HostName", &self.endpoint.address.to_string());
        line("Port", &self.endpoint.ssh.to_string());
        line("User", word("user", &self.user)?);
        line("HostKeyAlias", word("host key alias", &self.alias)?);
        line("UserKnownHostsFile", &quoted(&self.known_hosts)?);
        line("GlobalKnownHostsFile", "/dev/null");
        line("KnownHostsCommand", "none");
        line("StrictHostKeyChecking", "yes");
        // Local machines have loopback addresses, for which this option would skip the check.
        line("NoHostAuthenticationForLocalhost", "no");
        line("VerifyHostKeyDNS", "no");
        line("CheckHostIP", "no");
        // The pins change by a step of the plan, not because a server offers other keys.
        line("UpdateHostKeys", "no");
        line("PreferredAuthentications", "publickey");
        match &self.key {
            ClientKey::Generated(_) => {
                if let Some(path) = identity {
                    line("IdentityFile", &quoted(path)?);
                }
                line("IdentitiesOnly", "yes");
                line("IdentityAgent", "none");
            }
            ClientKey::File(path) | ClientKey::Agent(Some(path)) => {
                line("IdentityFile", &quoted(path)?);
                line("IdentitiesOnly", "yes");
            }
            ClientKey::Agent(None) => {}
        }
        if let Some(jump) = &self.proxy_jump {
            line("ProxyJump", word("jump host", jump)?);
        }
        line("ServerAliveInterval", "5");
        line("ServerAliveCountMax", "6");
        line("ConnectTimeout", &timeout.as_secs().max(1).to_string());
        line("Compression", "no");
        line("ForwardAgent", "no");
        line("ForwardX11", "no");
        line("ClearAllForwardings", "yes");
        line("PermitLocalCommand", "no");
        line("RemoteCommand", "none");
        line("ControlMaster", "no");
        line("ControlPath", "none");
        line("LogLevel", "INFO");

        let mut config = format!("Host {}\n", word("host", self.destination())?);
        // Older versions of ssh lack this option, and have nothing that it would switch off.
        config.push_str("  IgnoreUnknown KnownHostsCommand\n");
        config.push_str(&text);
        config.push_str("Match all\n");
        if batch {
            // For the jump hosts as well: nobody can answer a question.
            config.push_str("  BatchMode yes\n");
        }
        if let Some(path) = &self.ssh_config {
            let _ = writeln!(config, "  Include {}", quoted(path)?);
        }
        config.push_str("  Include /etc/ssh/ssh_config\n");
        Ok(config)
    }
}

/// A name that stands in the configuration as one word.
fn word<'a>(what: &'static str, text: &'a str) -> Result<&'a str, SessionError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_@:,[]".contains(&b);
    if !text.is_empty() && !text.starts_with('-') && text.bytes().all(plain) {
        Ok(text)
    } else {
        Err(SessionError::Unwritable {
            what,
            text: text.to_owned(),
        })
    }
}

/// A path in ssh's quotes. ssh expands `%x` and `${X}` in some paths and has no way to write a quote in all versions.
fn quoted(path: &Path) -> Result<String, SessionError> {
    match path.to_str() {
        Some(text) if !text.contains(['"', '\\', '\n', '\r']) && !text.contains("${") => {
            Ok(format!("\"{}\"", text.replace('%', "%%")))
        }
        _ => Err(SessionError::Unwritable {
            what: "path",
            text: path.display().to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target {
            endpoint: Endpoint::standard([127, 77, 0, 1].into()),
            user: "deploy".to_owned(),
            alias: "demo-0a1b2c3d".to_owned(),
            known_hosts: "/home/a b/.provision/demo/known_hosts".into(),
            key: ClientKey::Generated(Secret::new("PRIVATE")),
            proxy_jump: None,
            escalate: true,
            host: None,
            ssh_config: Some("/home/a b/.ssh/config".into()),
        }
    }

    #[test]
    fn the_configuration_leaves_nothing_that_matters_to_others() {
        let text = target()
            .config(Some(Path::new("/run/p/key")), true, Duration::from_secs(20))
            .unwrap();
        insta::assert_snapshot!(text, @r#"
        Host demo-0a1b2c3d
          IgnoreUnknown KnownHostsCommand
          HostName 127.77.0.1
          Port 22
          User deploy
          HostKeyAlias demo-0a1b2c3d
          UserKnownHostsFile "/home/a b/.provision/demo/known_hosts"
          GlobalKnownHostsFile /dev/null
          KnownHostsCommand none
          StrictHostKeyChecking yes
          NoHostAuthenticationForLocalhost no
          VerifyHostKeyDNS no
          CheckHostIP no
          UpdateHostKeys no
          PreferredAuthentications publickey
          IdentityFile "/run/p/key"
          IdentitiesOnly yes
          IdentityAgent none
          ServerAliveInterval 5
          ServerAliveCountMax 6
          ConnectTimeout 20
          Compression no
          ForwardAgent no
          ForwardX11 no
          ClearAllForwardings yes
          PermitLocalCommand no
          RemoteCommand none
          ControlMaster no
          ControlPath none
          LogLevel INFO
        Match all
          BatchMode yes
          Include "/home/a b/.ssh/config"
          Include /etc/ssh/ssh_config
        "#);
    }

    #[test]
    fn names_and_paths_cannot_add_options() {
        let broken = |change: &dyn Fn(&mut Target)| {
            let mut target = target();
            change(&mut target);
            target.config(None, true, Duration::from_secs(20)).is_err()
        };
        assert!(!broken(&|_| {}));
        assert!(broken(&|target| target.alias = "a\nProxyCommand evil".to_owned()));
        assert!(broken(&|target| target.alias = "*".to_owned()));
        assert!(broken(&|target| target.user = "-oProxyCommand=evil".to_owned()));
        assert!(broken(&|target| target.proxy_jump = Some("a b".to_owned())));
        assert!(broken(&|target| target.known_hosts = "/a\"b".into()));
        assert!(broken(&|target| target.known_hosts = "/a/${HOME}".into()));
    }

    #[test]
    fn only_this_hosts_pins_count() {
        let folder = tempfile::tempdir().unwrap();
        let mut target = target();
        target.known_hosts = folder.path().join("known_hosts");
        assert!(target.pinned().is_empty());
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIILTPbYpBTTA2aaY0yCu/EWMrMFxDlQL1GvmDTGBRgAA";
        std::fs::write(&target.known_hosts, format!("other {key}\ndemo-0a1b2c3d {key}\n")).unwrap();
        insta::assert_snapshot!(target.pinned().join("\n"), @r"
        SHA256:YHo5uCm7YUHmtFuxmKy/F780NlnraPezEyowwF4jqj4 (ssh-ed25519)
        ");
    }

    #[test]
    fn a_key_that_was_offered_is_named_but_not_shown() {
        assert_eq!(target().key.describe(), "the environment's key, which cannot be read");
        assert!(!format!("{:?}", target()).contains("PRIVATE"));
    }
}
