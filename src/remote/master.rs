//! The one `ssh` process of a run: started, understood when it fails, and never left behind.
//!
//! It runs `cat` on the host and holds its standard input from here. However this program ends, even by `kill -9`, the
//! pipe closes, `cat` ends, and with its last channel so does the master.

use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::error::{SessionError, SshSaid};
use super::target::{ClientKey, Target};
use crate::secret::IDENTITY_VARIABLE;

/// How long one connection may take to be made, key exchange included: slow for a machine under emulation.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// How long a whole login may take: the server gives it 120 s, and asks name servers that may not answer.
const LOGIN_LIMIT: Duration = Duration::from_secs(45);

/// Socket paths have at most 104 bytes (macOS; 108 on Linux), of which ssh needs 17 for a temporary suffix.
const LONGEST_FOLDER: usize = 60;

/// What ssh writes is kept up to this.
const SAID_LIMIT: usize = 16 * 1024;

/// The files that an `ssh` process is started with.
#[derive(Debug)]
pub(super) struct Files {
    folder: TempDir,
    key: Option<PathBuf>,
}

impl Files {
    pub(super) fn write(target: &Target, batch: bool) -> Result<Self, SessionError> {
        let parent = short_folder();
        let folder = tempfile::Builder::new()
            .prefix("provision-")
            .rand_bytes(8)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&parent)
            .map_err(|why| SessionError::Prepare {
                what: "create a folder in",
                path: parent,
                why,
            })?;
        let key = match &target.key {
            ClientKey::Generated(text) => {
                let path = folder.path().join("key");
                // ssh takes a key without its last line end for a broken one.
                private(&path, &[text.expose().trim_end().as_bytes(), b"\n"])?;
                Some(path)
            }
            ClientKey::File(_) | ClientKey::Agent(_) => None,
        };
        let files = Self { folder, key };
        let config = target.config(files.key.as_deref(), batch, CONNECT_LIMIT)?;
        private(&files.config(), &[config.as_bytes()])?;
        Ok(files)
    }

    pub(super) fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("mux")
    }

    /// The key has done its work once the login is done.
    fn forget_key(&mut self) {
        if let Some(path) = self.key.take() {
            // Else it goes with the folder.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Writes a file that only this user can read.
fn private(path: &Path, parts: &[&[u8]]) -> Result<(), SessionError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| parts.iter().try_for_each(|part| file.write_all(part)))
        .map_err(|why| SessionError::Prepare {
            what: "write",
            path: path.to_owned(),
            why,
        })
}

/// A folder for sockets whose path is short enough, in memory where the system offers that.
fn short_folder() -> PathBuf {
    std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .into_iter()
        .chain([std::env::temp_dir()])
        .find(|path| path.is_absolute() && path.is_dir() && path.as_os_str().len() <= LONGEST_FOLDER)
        .unwrap_or_else(|| PathBuf::from("/tmp"))
}

/// A running master.
#[derive(Debug)]
pub(super) struct Master {
    files: Files,
    child: Mutex<Child>,
    _stdin: Option<ChildStdin>,
    said: Arc<Mutex<Vec<u8>>>,
}

/// Why a master did not come up, as far as waiting matters.
#[derive(Debug)]
pub(super) enum Failed {
    /// Waiting may help: the other side hung up, or was too slow.
    NotYet(SshSaid),
    /// The key was refused: waiting helps when the user does not exist yet.
    Refused(SshSaid),
    /// Waiting does not help.
    Final(SessionError),
}

impl From<SessionError> for Failed {
    fn from(why: SessionError) -> Self {
        Self::Final(why)
    }
}

impl Master {
    /// Starts ssh and waits until it has logged in.
    pub(super) async fn start(target: &Target, limit: Duration) -> Result<Self, Failed> {
        let files = Files::write(target, true)?;
        let socket = files.socket();
        let mut child = Command::new("ssh")
            .env_remove(IDENTITY_VARIABLE)
            .arg("-F")
            .arg(files.config())
            .args(["-M", "-T", "-o", "ControlPersist=no", "-S"])
            .arg(&socket)
            .args(["--", target.destination(), "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A Ctrl-C at the terminal is for this program, which still needs the connection to finish cleanly.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|why| SessionError::NoSshBinary { why })?;
        let stdin = child.stdin.take();
        let said = Arc::new(Mutex::new(Vec::new()));
        let drained = child.stderr.take().map(|stderr| drain(stderr, Arc::clone(&said)));

        let end = Instant::now() + limit.min(LOGIN_LIMIT);
        loop {
            // The socket appears under its name when the login is done and ssh listens on it.
            if socket.exists() {
                let mut files = files;
                files.forget_key();
                return Ok(Self {
                    files,
                    child: Mutex::new(child),
                    _stdin: stdin,
                    said,
                });
            }
            match child.try_wait() {
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => {
                    if let Some(drained) = drained {
                        // A jump host's ssh may keep the pipe open for longer than that.
                        let _ = tokio::time::timeout(Duration::from_secs(1), drained).await;
                    }
                    return Err(understand(target, &text_of(&said)));
                }
            }
            if Instant::now() >= end {
                let _ = child.kill().await;
                let text = text_of(&said);
                return Err(Failed::NotYet(SshSaid::new(if text.trim().is_empty() {
                    "the login did not end in time"
                } else {
                    &text
                })));
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.files.socket()
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it still runs. One that just lost its connection gets a moment to end.
    pub(super) async fn alive(&self) -> bool {
        for _ in 0..20 {
            if !matches!(self.child().try_wait(), Ok(None)) {
                return false;
            }
            sleep(Duration::from_millis(10)).await;
        }
        true
    }

    /// What ssh has said since it was started.
    pub(super) fn said(&self) -> String {
        text_of(&self.said)
    }

    /// The process number, for tests that look for what is left.
    pub(super) fn process(&self) -> Option<u32> {
        self.child().id()
    }

    /// Ends it. Everything that mattered has been answered, so there is nothing to wait for on the wire.
    pub(super) async fn end(&self) {
        let _ = self.child().start_kill();
        while matches!(self.child().try_wait(), Ok(None)) {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

fn drain(mut stderr: tokio::process::ChildStderr, said: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut buffer = [0; 1024];
        while let Ok(n @ 1..) = stderr.read(&mut buffer).await {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() < SAID_LIMIT {
                said.extend_from_slice(&buffer[..n]);
            }
        }
    })
}

fn text_of(said: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&said.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}

/// Reads ssh's words, which is all that it offers. They are the same in every language and in all versions since 7.
fn understand(target: &Target, text: &str) -> Failed {
    let said = SshSaid::new(text);
    let host_key = text.contains("HOST IDENTIFICATION HAS CHANGED") || text.contains("Host key verification failed");
    // A jump host has keys and users of its own; what it is about shows by the name.
    if host_key && (target.proxy_jump.is_none() || text.contains(&format!("for {} ", target.alias))) {
        let pinned = target.pinned();
        return Failed::Final(if pinned.is_empty() {
            SessionError::UnknownHostKey {
                place: target.place(),
                alias: target.alias.clone(),
                known_hosts: target.known_hosts.clone(),
            }
        } else {
            SessionError::HostKeyMismatch {
                place: target.place(),
                alias: target.alias.clone(),
                pinned,
                offered: text
                    .split_whitespace()
                    .find(|word| word.starts_with("SHA256:"))
                    .map(|word| word.trim_end_matches('.').to_owned()),
                known_hosts: target.known_hosts.clone(),
            }
        });
    }
    let ours = format!("{}@{}: ", target.user, target.endpoint.address);
    let denied = text.contains("Permission denied (") || text.contains("Too many authentication failures");
    if denied && (target.proxy_jump.is_none() || text.contains(&ours)) {
        return Failed::Refused(said);
    }
    let passing = [
        "onnection",
        "imed out",
        "imeout",
        "unreachable",
        "No route",
        "kex_exchange",
        "booting up",
        "roken pipe",
    ];
    if !host_key && !denied && (text.trim().is_empty() || passing.iter().any(|word| text.contains(word))) {
        return Failed::NotYet(said);
    }
    Failed::Final(SessionError::Connect {
        place: target.place(),
        why: said,
    })
}

/// Whether the person's ssh configuration leads to this host through another one, so that its port cannot be looked at
/// from here.
pub(super) async fn goes_through_another(target: &Target) -> Result<bool, SessionError> {
    if target.proxy_jump.is_some() {
        return Ok(true);
    }
    if target.ssh_config.is_none() {
        return Ok(false);
    }
    let files = Files::write(target, true)?;
    let output = Command::new("ssh")
        .env_remove(IDENTITY_VARIABLE)
        .arg("-F")
        .arg(files.config())
        .args(["-G", "--", target.destination()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|why| SessionError::NoSshBinary { why })?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().any(|line| {
        line.split_once(' ')
            .is_some_and(|(key, value)| matches!(key, "proxyjump" | "proxycommand") && value != "none")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Endpoint;
    use crate::secret::Secret;

    fn target(proxy_jump: Option<&str>) -> Target {
        Target {
            endpoint: Endpoint::standard([203, 0, 113, 5].into()),
            user: "deploy".to_owned(),
            alias: "demo-1".to_owned(),
            known_hosts: "/nonexistent".into(),
            key: ClientKey::Generated(Secret::new("")),
            proxy_jump: proxy_jump.map(str::to_owned),
            escalate: true,
            host: None,
            ssh_config: None,
        }
    }

    fn kind(jump: Option<&str>, text: &str) -> &'static str {
        match understand(&target(jump), text) {
            Failed::NotYet(_) => "not yet",
            Failed::Refused(_) => "refused",
            Failed::Final(SessionError::UnknownHostKey { .. }) => "unknown",
            Failed::Final(SessionError::HostKeyMismatch { .. }) => "mismatch",
            Failed::Final(SessionError::Connect { .. }) => "final",
            Failed::Final(_) => "other",
        }
    }

    #[test]
    fn what_ssh_says_is_told_apart() {
        for (text, expected) in [
            (
                "ssh: connect to host 203.0.113.5 port 22: Connection refused\r\n",
                "not yet",
            ),
            (
                "ssh: connect to host 203.0.113.5 port 22: No route to host\r\n",
                "not yet",
            ),
            (
                "kex_exchange_identification: read: Connection reset by peer\r\n",
                "not yet",
            ),
            ("Connection timed out during banner exchange\r\n", "not yet"),
            (
                "\"System is booting up. Unprivileged users are not permitted to log in yet.\"\nConnection closed by 203.0.113.5 port 22\n",
                "not yet",
            ),
            ("deploy@203.0.113.5: Permission denied (publickey).\r\n", "refused"),
            (
                "No ED25519 host key is known for demo-1 and you have requested strict checking.\r\nHost key verification failed.\r\n",
                "unknown",
            ),
            ("/tmp/config: line 3: Bad configuration option: nonsense\n", "final"),
            (
                "Could not resolve hostname bastion: Name or service not known\n",
                "final",
            ),
        ] {
            assert_eq!(kind(None, text), expected, "{text}");
        }
    }

    #[test]
    fn a_jump_hosts_troubles_are_not_the_hosts() {
        let text = "No ED25519 host key is known for bastion and you have requested strict checking.\r\nHost key verification failed.\r\n\
                    Connection closed by UNKNOWN port 65535\r\n";
        assert_eq!(kind(Some("bastion"), text), "final");
        let text = "me@bastion: Permission denied (publickey).\r\nConnection closed by UNKNOWN port 65535\r\n";
        assert_eq!(kind(Some("bastion"), text), "final");
        let text = "deploy@203.0.113.5: Permission denied (publickey).\r\n";
        assert_eq!(kind(Some("bastion"), text), "refused");
    }
}
