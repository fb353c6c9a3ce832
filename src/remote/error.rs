//! Why a host could not be talked to, each reason with its own words and its own remedy.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Something went wrong between here and the host.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The host shows another key than the pinned one. Nothing was sent to it.
    #[error(
        "failed to recognise {place}: its host key is {}, but {} is pinned for `{alias}`",
        offered.as_deref().unwrap_or("another one"),
        listed(pinned)
    )]
    HostKeyMismatch {
        /// `address:port`.
        place: String,
        /// The name that the key is pinned under.
        alias: String,
        /// Fingerprints that are pinned.
        pinned: Vec<String>,
        /// The fingerprint that the host showed, where ssh told it.
        offered: Option<String>,
        /// The file with the pins.
        known_hosts: PathBuf,
    },
    /// No key is pinned for the host. Nothing was sent to it.
    #[error("failed to recognise {place}: no host key is pinned for `{alias}` in {}", known_hosts.display())]
    UnknownHostKey {
        /// `address:port`.
        place: String,
        /// The name that a key would be pinned under.
        alias: String,
        /// The file with the pins.
        known_hosts: PathBuf,
    },
    /// The host does not let this user in with this key.
    #[error("failed to log in to {place} as `{user}`: the host refused {key}")]
    Refused {
        /// `address:port`.
        place: String,
        /// The user.
        user: String,
        /// What was offered.
        key: String,
        /// What ssh said.
        #[source]
        why: SshSaid,
    },
    /// Nothing listens on the ssh port.
    #[error("failed to reach {place} within {}: the port is closed", seconds(*after))]
    PortClosed {
        /// `address:port`.
        place: String,
        /// How long it was tried.
        after: Duration,
        /// What the system said.
        #[source]
        why: io::Error,
    },
    /// The host did not get ready in time.
    #[error("failed to reach {place} within {}: {state}", seconds(*after))]
    Timeout {
        /// `address:port`.
        place: String,
        /// How long it was tried.
        after: Duration,
        /// What was seen last.
        state: String,
        /// What ssh said, when it got that far.
        #[source]
        why: Option<SshSaid>,
    },
    /// There is no `ssh` program here.
    #[error("failed to start `ssh`")]
    NoSshBinary {
        /// What the system said.
        #[source]
        why: io::Error,
    },
    /// ssh gave up for a reason that is none of the above.
    #[error("failed to connect to {place}")]
    Connect {
        /// `address:port`.
        place: String,
        /// What ssh said.
        #[source]
        why: SshSaid,
    },
    /// A name or path that an ssh configuration cannot hold.
    #[error("failed to write an ssh configuration: the {what} `{text}` has characters that ssh cannot read")]
    Unwritable {
        /// What it is.
        what: &'static str,
        /// As given.
        text: String,
    },
    /// The temporary files of a connection could not be made.
    #[error("failed to {what} {}", path.display())]
    Prepare {
        /// "create the folder", …
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        why: io::Error,
    },
    /// The connection ended while something ran. Whether that completed is not known.
    #[error("lost the connection to {place} during `{name}`")]
    Lost {
        /// `address:port`.
        place: String,
        /// What ran.
        name: String,
        /// What ssh said.
        #[source]
        why: SshSaid,
    },
    /// The host did not start the command although the connection stands.
    #[error("failed to start `{name}` on {place}")]
    NotStarted {
        /// `address:port`.
        place: String,
        /// What was to run.
        name: String,
        /// What ssh said.
        #[source]
        why: SshSaid,
    },
    /// A command ran and failed.
    #[error(
        "failed to run `{name}`: {}{}{}",
        code.map_or_else(|| "killed by a signal".to_owned(), |code| format!("exit code {code}")),
        if stderr.is_empty() { "" } else { "\n" },
        stderr
    )]
    CommandFailed {
        /// What ran.
        name: String,
        /// Its exit code; none when a signal ended it.
        code: Option<i32>,
        /// The last lines of its standard error.
        stderr: String,
    },
    /// A command took too long; the host ended it.
    #[error("failed to run `{name}`: no end after {}", seconds(*after))]
    CommandTimeout {
        /// What ran.
        name: String,
        /// The limit.
        after: Duration,
    },
    /// A command wrote more than anything of ours should.
    #[error("failed to run `{name}`: it wrote more than {} MiB", limit / 1024 / 1024)]
    TooMuchOutput {
        /// What ran.
        name: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// A command that is longer than a host takes.
    #[error("failed to run `{name}`: its arguments have {length} bytes, a Linux host takes {limit}")]
    TooLong {
        /// What was to run.
        name: String,
        /// Bytes.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// The file that a command was to read cannot be read.
    #[error("failed to read {} for `{name}`", path.display())]
    Input {
        /// What was to run.
        name: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        why: io::Error,
    },
}

impl SessionError {
    /// The same with everything that a command wrote put through `text`.
    #[must_use]
    pub fn mapped(self, text: &dyn Fn(String) -> String) -> Self {
        match self {
            Self::CommandFailed { name, code, stderr } => Self::CommandFailed {
                name,
                code,
                stderr: text(stderr),
            },
            Self::Lost { place, name, why } => Self::Lost {
                place,
                name,
                why: SshSaid(text(why.0)),
            },
            Self::NotStarted { place, name, why } => Self::NotStarted {
                place,
                name,
                why: SshSaid(text(why.0)),
            },
            other => other,
        }
    }

    /// What the person can do about it.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::HostKeyMismatch { known_hosts, alias, .. } => format!(
                "another machine may be answering at this address: compare with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` \
                 on the machine's own console; only if you know why the key changed, replace the line of `{alias}` in {}",
                known_hosts.display()
            ),
            Self::UnknownHostKey { known_hosts, alias, .. } => format!(
                "read the key on the machine's own console and add `{alias} ssh-ed25519 …` to {}",
                known_hosts.display()
            ),
            Self::Refused { user, .. } => format!(
                "check that `{user}` exists there and has this key in its authorized_keys; on a machine that never finished \
                 its first boot, look at its console"
            ),
            Self::PortClosed { .. } => {
                "check that the machine runs, that sshd runs on it, and that no firewall stands between".to_owned()
            }
            Self::Timeout { .. } => "look at the machine's console; run the command again to go on waiting".to_owned(),
            Self::NoSshBinary { .. } => {
                "install OpenSSH's client: `apt-get install openssh-client` (Debian, Ubuntu), `dnf install openssh-clients` \
                 (Fedora); macOS has it"
                    .to_owned()
            }
            Self::Lost { .. } => "run the command again: it goes on where it stopped".to_owned(),
            Self::CommandTimeout { .. } => "the host may be overloaded; run the command again".to_owned(),
            Self::CommandFailed { stderr, .. } if stderr.contains("sudo: a password is required") => {
                "let the user run sudo without a password, or use one who may".to_owned()
            }
            Self::NotStarted { why, .. } if why.0.contains("refused") => {
                "the host's sshd allows too few sessions: MaxSessions must be at least 10, its default".to_owned()
            }
            Self::Connect { .. }
            | Self::Unwritable { .. }
            | Self::Prepare { .. }
            | Self::NotStarted { .. }
            | Self::CommandFailed { .. }
            | Self::TooMuchOutput { .. }
            | Self::TooLong { .. }
            | Self::Input { .. } => return None,
        })
    }
}

/// What the `ssh` program wrote, as the last link of an error's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSaid(pub String);

impl SshSaid {
    /// The text without the noise that every failure has, or a sentence when there is none.
    pub(super) fn new(text: &str) -> Self {
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("@@@"))
            .collect();
        Self(match lines.len() {
            0 => "ssh gave no reason".to_owned(),
            n => lines[n.saturating_sub(8)..].join("\n"),
        })
    }
}

impl fmt::Display for SshSaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SshSaid {}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64().ceil())
}

fn listed(pinned: &[String]) -> String {
    if pinned.is_empty() {
        "another key".to_owned()
    } else {
        pinned.join(" or ")
    }
}
