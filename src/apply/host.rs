//! Steps of the host layer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::{ActError, Outcome, RealWorld};
use crate::names::Digest;
use crate::note::{Note, Say};
use crate::plan::seen_of_base;
use crate::remote::{ConnectPolicy, RemoteCommand, Script, Session, SessionError, Stdin};
use crate::render::cloud_init::CONVERGE_PATH;
use crate::secret::FingerprintKey;
use crate::state::PublicKey;
use crate::state::bundle::HOST_KEY;

/// How long a first boot may take: packages over a slow link, under emulation.
const FIRST_BOOT: Duration = Duration::from_secs(30 * 60);

/// How long one look at the first boot blocks on the host, in seconds.
const LOOK: &str = "10";

/// How often a converge run over SSH is looked at. It writes to its log; one part of it may take minutes.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How long a converge run over SSH may take.
const CONVERGE: Duration = Duration::from_secs(30 * 60);

/// How long sshd and firewall may take to change.
const WAYS: Duration = Duration::from_secs(6 * 60);

/// How long we have to come in again once they have changed, in seconds.
const CONFIRM: &str = "60";

/// How long we try: the word itself takes a moment, too.
const CONFIRM_BY: Duration = Duration::from_secs(50);

/// The answer of `wait-first-boot.sh`.
#[derive(Deserialize)]
struct FirstBoot {
    cloud_init: Option<serde_json::Value>,
    part: Option<String>,
    said: Option<String>,
    converged: Option<String>,
    failed: Option<String>,
}

impl FirstBoot {
    /// The part at work, and the last line of what it wrote (headings aside).
    fn doing(&self) -> Option<String> {
        let part = self.part.as_deref()?;
        let said = self.said.as_deref().map(str::trim);
        Some(match said.filter(|said| !said.is_empty() && !said.starts_with("== ")) {
            Some(said) => format!("{part} ({said})"),
            None => part.to_owned(),
        })
    }
}

impl RealWorld<'_> {
    /// The key of the first boot stands in user-data, which stays readable: it is believed for this one connection.
    pub(super) async fn rotate_host_key(&mut self, say: Say<'_>) -> Result<Outcome, ActError> {
        let session = self.first_session(say).await?;
        let prepared = rotate(session, "prepare", say).await?;
        // Both are believed until the new one has been seen on a connection of its own.
        self.known_hosts.add(&prepared)?;
        let session = self.first_session(say).await?;
        let active = rotate(session, "activate", say).await?;
        self.hang_up().await;
        let before = self.known_hosts.keys()?;
        self.known_hosts.set(std::slice::from_ref(&active))?;
        let session = match self.session(say).await {
            Ok(session) => session,
            Err(error) => {
                // Not seen: go on believing what was believed, so that the next run gets in.
                self.known_hosts.set(&before)?;
                return Err(error);
            }
        };
        rotate(session, "drop", say).await?;
        if self.bundle.keys.remove(HOST_KEY).is_some() {
            self.bundle_store.save(self.bundle, self.identity)?;
        }
        let facts = BTreeMap::from([("fingerprint".to_owned(), active.fingerprint_sha256())]);
        Ok(Outcome {
            facts,
            ..Outcome::default()
        })
    }

    /// Waits for a first boot that is under way, then runs the script (unless this very one has run, where that is enough).
    pub(super) async fn converge(
        &mut self,
        script: &str,
        unless_done: bool,
        say: Say<'_>,
    ) -> Result<Outcome, ActError> {
        let digest = Digest::of(script);
        let session = self.session(say).await?;
        let seen = wait_for_first_boot(session, say).await?;
        if unless_done && seen.converged.as_deref() == Some(digest.as_str()) && seen.failed.is_none() {
            return base_facts(session, say).await;
        }
        self.bring(script, say).await
    }

    /// Runs the script as the host stands: what cannot shut us out, then sshd and firewall under guard, then the rest.
    async fn bring(&mut self, script: &str, say: Say<'_>) -> Result<Outcome, ActError> {
        let session = self.session(say).await?;
        let put = RemoteCommand::new("install", ["-D", "-m", "0755", "/dev/stdin", CONVERGE_PATH])
            .reading(Stdin::Bytes(script.as_bytes().to_vec()))
            .named("write the converge script");
        session.run_ok(&put, say).await?;
        run_script(session, &[CONVERGE_PATH, "before"], say).await?;
        self.change_the_ways_in(say).await?;
        let session = self.session(say).await?;
        run_script(session, &[CONVERGE_PATH], say).await?;
        base_facts(session, say).await
    }

    /// New sshd settings and firewall stay only when we come in by a new connection afterwards and say so: a timer on the host
    /// brings back what was there before.
    async fn change_the_ways_in(&mut self, say: Say<'_>) -> Result<(), ActError> {
        let words = ["change", CONFIRM, CONVERGE_PATH, "sshd", "firewall"];
        let change = RemoteCommand::script(Script::GUARD, words).within(WAYS);
        match self.session(say).await?.run(&change, say).await {
            Ok(output) if !output.success() => {
                return Err(ActError::Converge {
                    reason: output.stderr_tail(),
                });
            }
            Ok(output) if output.stdout.trim_ascii_end().ends_with(b"unchanged") => return Ok(()),
            Ok(_) => {}
            // It may be this very change that cut us off.
            Err(SessionError::Lost { .. }) => self.hang_up().await,
            Err(other) => return Err(other.into()),
        }
        let endpoint = self.bindings.endpoint.clone();
        let target = endpoint.map(|endpoint| self.reach.target(&endpoint));
        let Some(target) = target else { return Ok(()) };
        say(Note::Waiting(
            "a new connection, to confirm sshd and firewall".to_owned(),
        ));
        let policy = ConnectPolicy {
            deadline: CONFIRM_BY,
            first_contact: false,
        };
        let session = Session::connect(&target, policy, say)
            .await
            .map_err(ActError::Unconfirmed)?;
        let confirm = RemoteCommand::script(Script::GUARD, ["confirm"]);
        let confirmed = session.run_ok(&confirm, say).await;
        session.close().await;
        confirmed.map_err(ActError::Unconfirmed)?;
        Ok(())
    }

    /// Believes the keys by which a host was recognised that was there before, and them alone. They are its own and stay.
    pub(super) async fn pin_host_key(&mut self, keys: &str, say: Say<'_>) -> Result<Outcome, ActError> {
        let before = self.known_hosts.keys()?;
        let keys: Result<Vec<PublicKey>, _> = keys.lines().map(str::parse).collect();
        let keys = keys?;
        self.known_hosts.set(&keys)?;
        self.hang_up().await;
        if let Err(error) = self.session(say).await {
            self.known_hosts.set(&before)?;
            return Err(error);
        }
        let shown: Vec<String> = keys.iter().map(PublicKey::fingerprint_sha256).collect();
        Ok(Outcome {
            facts: BTreeMap::from([("fingerprint".to_owned(), shown.join(", "))]),
            ..Outcome::default()
        })
    }
}

/// Runs the converge script, and tells where it is while it works.
async fn run_script(session: &Session, words: &[&str], say: Say<'_>) -> Result<(), ActError> {
    let run = RemoteCommand::new("sh", words.iter().copied())
        .named("converge")
        .within(CONVERGE);
    // What holds already is looked at more than once.
    let on_line = |_: crate::remote::Pipe, line: &str| {
        if !line.ends_with("unchanged") {
            say(Note::Line(line.to_owned()));
        }
    };
    let mut running = std::pin::pin!(session.run_lines(&run, &on_line, say));
    let output = loop {
        match timeout(LOOK_EVERY, &mut running).await {
            Ok(output) => break output?,
            Err(_) => {
                // What keeps this look from an answer, the run itself will tell.
                let seen = look(session, "0", "", say).await.ok();
                let doing = seen.and_then(|seen| seen.doing());
                say(Note::Waiting(doing.unwrap_or_else(|| "the converge script".to_owned())));
            }
        }
    };
    match output.success() {
        true => Ok(()),
        false => Err(ActError::Converge {
            reason: output.stderr_tail(),
        }),
    }
}

/// What the script wrote, so that a later plan sees when somebody else writes it. No container's digest is recorded of that look,
/// so that it needs no key.
async fn base_facts(session: &Session, say: Say<'_>) -> Result<Outcome, ActError> {
    let probe = crate::observe::probe(session, &FingerprintKey::default(), say).await?;
    Ok(Outcome {
        facts: seen_of_base(&probe),
        ..Outcome::default()
    })
}

async fn rotate(session: &Session, verb: &str, say: Say<'_>) -> Result<PublicKey, ActError> {
    let command = RemoteCommand::script(Script::ROTATE_HOST_KEY, [verb]);
    let output = session.run_ok(&command, say).await?;
    Ok(String::from_utf8_lossy(&output.stdout).parse()?)
}

/// Where the script is, as soon as that is another part than `last`, `seconds` later at the latest.
async fn look(session: &Session, seconds: &str, last: &str, say: Say<'_>) -> Result<FirstBoot, ActError> {
    let command = RemoteCommand::script(Script::WAIT_FIRST_BOOT, [seconds, last]);
    let output = session.run_ok(&command, say).await?;
    super::stacks::answer("wait-first-boot", &output.stdout)
}

async fn wait_for_first_boot(session: &Session, say: Say<'_>) -> Result<FirstBoot, ActError> {
    let deadline = Instant::now() + FIRST_BOOT;
    let mut last = String::new();
    loop {
        let seen = look(session, LOOK, &last, say).await?;
        let running = seen
            .cloud_init
            .as_ref()
            .and_then(|status| status.get("status"))
            .and_then(serde_json::Value::as_str)
            .is_some_and(|status| status == "running" || status == "not started");
        // A failed part, a finished script, a boot that ended: what comes next is ours to do over SSH.
        if !running && seen.part.is_none() {
            return Ok(seen);
        }
        if Instant::now() > deadline {
            return Err(ActError::Converge {
                reason: format!(
                    "the first boot did not end within {} minutes; it was at `{}`",
                    FIRST_BOOT.as_secs() / 60,
                    seen.part.as_deref().unwrap_or("cloud-init")
                ),
            });
        }
        say(Note::Waiting(match seen.doing() {
            None => "cloud-init".to_owned(),
            Some(part) => format!("the first boot: {part}"),
        }));
        last = seen.part.unwrap_or_default();
        if last.is_empty() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doing(part: Option<&str>, said: Option<&str>) -> Option<String> {
        let answer =
            serde_json::json!({"cloud_init": null, "part": part, "said": said, "converged": null, "failed": null});
        serde_json::from_value::<FirstBoot>(answer).unwrap().doing()
    }

    #[test]
    fn the_part_at_work_is_told_with_its_last_line() {
        let said = "no package index: Failed to fetch http://mirror/ (for 7s); trying again";
        assert_eq!(doing(Some("packages"), Some(said)), Some(format!("packages ({said})")));
        assert_eq!(
            doing(Some("packages"), Some("== packages")).as_deref(),
            Some("packages")
        );
        assert_eq!(doing(Some("packages"), None).as_deref(), Some("packages"));
        assert_eq!(doing(None, Some("left of a power cut")), None);
    }
}
