//! One connection to one host. The only user of the `openssh` crate.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use super::command::{RemoteCommand, Stdin};
use super::error::{SessionError, SshSaid};
use super::master::{self, Failed, Master};
use super::output::{Exit, Output};
use super::reach::{self, Seen};
use super::streams::{self, Feed, OnLine};
use super::target::Target;
use crate::note::{Note, Say};

/// sshd allows ten sessions a connection (`MaxSessions`); one holds the connection open, and one that has answered is
/// counted for a moment more.
const CONCURRENT: usize = 8;

/// How often a channel is asked for again, with pauses that grow by this (4.2 s in all).
const OPEN_AGAIN: u32 = 20;
const PAUSE_OPEN: Duration = Duration::from_millis(20);

/// Linux runs no program with an argument longer than 128 KiB, and sshd passes the whole command as one.
const LONGEST_COMMAND: usize = 128 * 1024 - 1;

/// How much later than the host we give a command up.
const GRACE: Duration = Duration::from_secs(20);

/// How long one look at the ssh port waits for an answer.
const LOOK: Duration = Duration::from_secs(4);

/// A login that takes longer than this is told, and told again.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Pauses between looks at a port while a machine boots: short at first, then steady.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_LONGEST: Duration = Duration::from_millis(500);

/// Pause after a refused login. OpenSSH 9.8 and later shuts out an address that fails more often than once in five
/// seconds (`PerSourcePenalties`, authfail:5s, min:15s).
const PAUSE_REFUSED: Duration = Duration::from_secs(6);

/// How patiently to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectPolicy {
    /// Give up after this.
    pub deadline: Duration,
    /// The machine may be booting for the first time: look at the port before `ssh` is started, and take a refused key
    /// for a user that does not exist yet. A wrong host key is final all the same.
    pub first_contact: bool,
}

/// How often the host was asked, for `make bench`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// ssh connections made by this session: 1.
    pub connections: u32,
    /// Times `ssh` was started until that one stood.
    pub attempts: u32,
    /// Commands run. Each costs two round trips: open a channel, run in it.
    pub commands: u32,
}

/// A connection that stands. Commands run side by side on it, at most eight at a time; a clone is the same connection, which
/// ends with the last of them.
#[derive(Debug, Clone)]
pub struct Session(Arc<Line>);

#[derive(Debug)]
struct Line {
    mux: openssh::Session,
    master: Master,
    place: String,
    escalate: bool,
    slots: Semaphore,
    attempts: u32,
    commands: AtomicU32,
}

impl Session {
    /// Connects, waiting for a machine that boots, and says what it waits for.
    ///
    /// # Errors
    /// At once when the host shows a wrong or unknown key, when ssh is missing, and, unless it is a first contact, when
    /// it refuses our key. At the deadline otherwise.
    pub async fn connect(target: &Target, policy: ConnectPolicy, say: Say<'_>) -> Result<Self, SessionError> {
        let start = Instant::now();
        let end = start + policy.deadline;
        let place = target.place();
        let port = target.endpoint.ssh;
        // Looking first costs a connection. It pays only where ssh would probably be started in vain.
        let mut look_first = policy.first_contact && target.proxy_jump.is_none();
        let mut through_another = None;
        let mut pause = PAUSE_FIRST;
        let mut attempts = 0;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let seen = match look_first {
                true => {
                    Some(reach::look(std::net::SocketAddr::new(target.endpoint.address, port), LOOK.min(left)).await)
                }
                false => None,
            };
            let (state, last) = match seen {
                Some(seen @ (Seen::Closed(_) | Seen::NoBanner)) => {
                    if through_another.is_none() {
                        let through = master::goes_through_another(target).await?;
                        through_another = Some(through);
                        if through {
                            look_first = false;
                            continue;
                        }
                    }
                    (seen.describe(port), Last::Seen(seen))
                }
                Some(Seen::Banner) | None => {
                    attempts += 1;
                    let left = end.saturating_duration_since(Instant::now());
                    match log_in(target, left.max(Duration::from_secs(1)), &place, say).await {
                        Ok(master) => return Ok(Self::on(master, target, place, attempts)),
                        Err(Failed::Final(why)) => return Err(why),
                        Err(Failed::Refused(why)) if !policy.first_contact => return Err(refused(target, why)),
                        Err(Failed::Refused(why)) => {
                            pause = PAUSE_REFUSED;
                            (Seen::Banner.describe(port), Last::Refused(why))
                        }
                        Err(Failed::NotYet(why)) => {
                            let state = match look_first {
                                true => Seen::Banner.describe(port),
                                false => first_line(&why),
                            };
                            look_first = target.proxy_jump.is_none() && through_another != Some(true);
                            (state, Last::Said(why))
                        }
                    }
                }
            };
            say(Note::Waiting(format!("sshd at {place} ({state})")));
            if Instant::now() + pause >= end {
                let after = start.elapsed();
                return Err(match last {
                    Last::Seen(Seen::Closed(why)) if why.kind() == io::ErrorKind::ConnectionRefused => {
                        SessionError::PortClosed { place, after, why }
                    }
                    Last::Seen(_) => SessionError::Timeout {
                        place,
                        after,
                        state,
                        why: None,
                    },
                    Last::Refused(why) => refused(target, why),
                    Last::Said(why) => SessionError::Timeout {
                        place,
                        after,
                        state,
                        why: Some(why),
                    },
                });
            }
            sleep(pause).await;
            pause = (pause * 3 / 2).min(PAUSE_LONGEST);
        }
    }

    fn on(master: Master, target: &Target, place: String, attempts: u32) -> Self {
        Self(Arc::new(Line {
            mux: openssh::Session::resume_mux(master.socket().into_boxed_path(), None),
            master,
            place,
            escalate: target.escalate,
            slots: Semaphore::new(CONCURRENT),
            attempts,
            commands: AtomicU32::new(0),
        }))
    }

    /// Runs a command to its end, whatever its exit code. A long input is reported as [`Note::Bytes`].
    ///
    /// # Errors
    /// When it could not be run to its end: connection lost, too slow, too much output, input unreadable.
    pub async fn run(&self, command: &RemoteCommand, say: Say<'_>) -> Result<Output, SessionError> {
        self.execute(command, None, say).await
    }

    /// Runs a command that has to succeed.
    ///
    /// # Errors
    /// Those of [`Session::run`], and [`SessionError::CommandFailed`] for an exit code other than 0.
    pub async fn run_ok(&self, command: &RemoteCommand, say: Say<'_>) -> Result<Output, SessionError> {
        self.run(command, say).await?.checked(command)
    }

    /// Runs a command and hands over every line that it writes, while it runs. [`Output::stdout`] stays empty.
    ///
    /// # Errors
    /// Those of [`Session::run`].
    pub async fn run_lines(
        &self,
        command: &RemoteCommand,
        on_line: OnLine<'_>,
        say: Say<'_>,
    ) -> Result<Output, SessionError> {
        self.execute(command, Some(on_line), say).await
    }

    async fn execute(
        &self,
        command: &RemoteCommand,
        on_line: Option<OnLine<'_>>,
        say: Say<'_>,
    ) -> Result<Output, SessionError> {
        let words = command.words(self.0.escalate);
        let length = words.iter().map(|word| streams::quoted_length(word) + 1).sum();
        if length > LONGEST_COMMAND {
            return Err(SessionError::TooLong {
                name: command.name.clone(),
                length,
                limit: LONGEST_COMMAND,
            });
        }
        let feed = Feed::open(command).await?;
        // The semaphore is never closed.
        let _slot = self.0.slots.acquire().await.ok();
        self.0.commands.fetch_add(1, Ordering::Relaxed);

        // The login shell replaces itself: one process less on the host.
        let mut remote = self.0.mux.command("exec");
        remote
            .args(&words)
            .stdin(match command.stdin {
                Stdin::None => openssh::Stdio::null(),
                Stdin::Bytes(_) | Stdin::File(_) | Stdin::Packed(_) => openssh::Stdio::piped(),
            })
            .stdout(openssh::Stdio::piped())
            .stderr(openssh::Stdio::piped());
        let started = Instant::now();
        let whole = async {
            let mut refusals = 0;
            let mut child = loop {
                match remote.spawn().await {
                    Ok(child) => break child,
                    // The server still counts a session that has answered already. Nothing was run yet.
                    Err(why) if refusals < OPEN_AGAIN && chain(&why).contains("refused") => {
                        refusals += 1;
                        sleep(PAUSE_OPEN * refusals).await;
                    }
                    Err(why) => return Err(self.broken(command, &why, false).await),
                }
            };
            let input = child.stdin().take();
            let stdout = streams::stdout(child.stdout().take(), command, on_line);
            let stderr = streams::stderr(child.stderr().take(), on_line);
            let finished = async {
                // Outputs to their end first: `wait` closes the control socket as soon as the exit code is there, and
                // ssh then throws away what it has not written yet.
                let (stdout, stderr) = tokio::try_join!(stdout, async { Ok(stderr.await) })?;
                Ok((stdout, stderr, child.wait().await))
            };
            let fed = async {
                match feed.into(input, say).await {
                    // Its end is the command's business.
                    Ok(()) => std::future::pending().await,
                    Err(why) => why,
                }
            };
            let (stdout, stderr, status) = tokio::select! {
                finished = finished => finished?,
                why = fed => return Err(why),
            };
            let exit = match status {
                Ok(status) => Exit::from(status),
                // The crate takes 127 for an error of its own.
                Err(openssh::Error::Remote(_)) => Exit::Code(127),
                Err(why) => match self.broken(command, &why, true).await {
                    SessionError::NotStarted { .. } => Exit::Signal,
                    lost => return Err(lost),
                },
            };
            Ok(Output { exit, stdout, stderr })
        };
        let too_slow = || SessionError::CommandTimeout {
            name: command.name.clone(),
            after: command.timeout,
        };
        let output = timeout(command.timeout + GRACE, whole)
            .await
            .map_err(|_| too_slow())??;
        // What the host's `timeout` answers when it had to end a command, with TERM or then with KILL.
        if matches!(output.exit, Exit::Code(124 | 137)) && started.elapsed() >= command.timeout {
            return Err(too_slow());
        }
        Ok(output)
    }

    /// A connection that is gone is another thing than a command that could not be started or was killed.
    async fn broken(&self, command: &RemoteCommand, why: &openssh::Error, running: bool) -> SessionError {
        let (place, name) = (self.0.place.clone(), command.name.clone());
        let gone =
            matches!(why, openssh::Error::Disconnected | openssh::Error::Master(_)) || !self.0.master.alive().await;
        let said = self.0.master.said();
        let why = SshSaid::new(&match said.trim() {
            "" => chain(why),
            said if gone => said.to_owned(),
            _ => chain(why),
        });
        if gone || (running && self.0.mux.check().await.is_err()) {
            SessionError::Lost { place, name, why }
        } else {
            SessionError::NotStarted { place, name, why }
        }
    }

    /// What this session has cost so far.
    pub fn count(&self) -> Counts {
        Counts {
            connections: 1,
            attempts: self.0.attempts,
            commands: self.0.commands.load(Ordering::Relaxed),
        }
    }

    /// The process number of the ssh master, while it runs.
    pub fn process(&self) -> Option<u32> {
        self.0.master.process()
    }

    /// Ends the connection, for all clones of the session, and waits until ssh is gone. Dropping the last of them ends it too,
    /// without waiting.
    pub async fn close(self) {
        self.0.master.end().await;
    }
}

/// Starts ssh, and says so when it takes its time.
async fn log_in(target: &Target, limit: Duration, place: &str, say: Say<'_>) -> Result<Master, Failed> {
    let mut starting = std::pin::pin!(Master::start(target, limit));
    loop {
        match timeout(TELL_EVERY, &mut starting).await {
            Ok(result) => return result,
            Err(_) => say(Note::Waiting(format!("sshd at {place} (logging in)"))),
        }
    }
}

/// What was known at the last try.
enum Last {
    Seen(Seen),
    Said(SshSaid),
    Refused(SshSaid),
}

fn refused(target: &Target, why: SshSaid) -> SessionError {
    SessionError::Refused {
        place: target.place(),
        user: target.user.clone(),
        key: target.key.describe(),
        why,
    }
}

fn first_line(said: &SshSaid) -> String {
    said.0.lines().last().unwrap_or_default().to_owned()
}

/// An error with all its causes: the crate's own texts leave ssh's words to the source.
fn chain(why: &dyn std::error::Error) -> String {
    let mut text = why.to_string();
    let mut next = why.source();
    while let Some(why) = next {
        text.push_str(": ");
        text.push_str(&why.to_string());
        next = why.source();
    }
    text
}
