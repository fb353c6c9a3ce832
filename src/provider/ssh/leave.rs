//! Leaving a host that stays: everything of ours goes, nothing else does, and a look proves it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::names::StackName;
use crate::note::{Note, Say};
use crate::provider::{KEPT, Owner, ProviderError, STAYS};
use crate::remote::{RemoteCommand, Script, Session, SessionError};

/// Takes the base back, or looks what is there: `look|base LINEAGE`.
const LEAVE: Script = Script::new("leave", include_str!("leave.sh"));

/// How long another run at the host is waited for: one that was killed holds its lease for this long.
const HELD: Duration = Duration::from_secs(100);

/// How often it is asked whether it is done.
const ASK: Duration = Duration::from_secs(3);

/// How long a stack may take to stop: containers get ten seconds each.
const STACK: Duration = Duration::from_secs(300);

/// What there is of ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct There {
    /// Whose the host is, when it is not ours.
    other: Option<String>,
    /// For how many seconds somebody else is at work.
    held: Option<u64>,
    stacks: Vec<String>,
    /// The volumes of our stacks.
    pub volumes: Vec<String>,
    images: Vec<String>,
    packages: String,
    /// Files of others in folders of our stacks.
    files: Vec<String>,
    /// Everything that goes.
    left: Vec<String>,
}

impl There {
    fn parse(text: &str) -> Self {
        let mut there = Self::default();
        for line in text.lines() {
            let Some((word, rest)) = line.split_once(' ') else {
                continue;
            };
            let rest = rest.trim().to_owned();
            match word {
                "other" => there.other = Some(rest),
                "held" => there.held = rest.parse().ok(),
                "stack" => there.stacks.push(rest),
                "volume" => there.volumes.push(rest),
                "image" => there.images.push(rest),
                "packages" => there.packages = rest,
                "file" => there.files.push(rest),
                "left" => there.left.push(rest),
                _ => {}
            }
        }
        there
    }

    /// Looks.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub async fn look(session: &Session, owner: &Owner, say: Say<'_>) -> Result<Self, SessionError> {
        let command = RemoteCommand::script(LEAVE, ["look", owner.lineage.as_str()]);
        let output = session.run_ok(&command, say).await?;
        Ok(Self::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    /// What stays after a destroy, and why it does.
    fn stays(&self, keep_volumes: bool) -> Vec<String> {
        let mut stays = Vec::new();
        if keep_volumes {
            stays.extend(self.volumes.iter().map(|volume| format!("{KEPT}volume {volume}")));
        }
        if !self.images.is_empty() {
            stays.push(format!(
                "{STAYS}the images {} (docker image rm)",
                self.images.join(", ")
            ));
        }
        if !self.packages.is_empty() {
            stays.push(format!(
                "{STAYS}the packages that were installed for it: {} (apt-get purge)",
                self.packages
            ));
        }
        stays
    }

    /// What is left after a destroy. Files of others and volumes are no trouble.
    pub fn leftovers(&self) -> Vec<String> {
        if self.other.is_some() {
            return Vec::new();
        }
        let files = self.files.iter().map(|file| format!("{KEPT}file {file}"));
        let stacks = self.stacks.iter().filter(|_| self.files.is_empty());
        self.left
            .iter()
            .cloned()
            .chain(stacks.map(|stack| format!("stack {stack}")))
            .chain(files)
            .collect()
    }
}

/// Takes everything back. Gives what stays on purpose.
///
/// # Errors
/// When the host belongs to somebody else, somebody else is at work on it, or something could not be removed.
pub async fn leave(
    session: &Session,
    owner: &Owner,
    keep_volumes: bool,
    say: Say<'_>,
) -> Result<Vec<String>, ProviderError> {
    let end = Instant::now() + HELD;
    let there = loop {
        let there = There::look(session, owner, say).await.map_err(failed)?;
        match there.held {
            None => break there,
            Some(seconds) if Instant::now() < end => {
                say(Note::Waiting(format!(
                    "the run at work on the host; its lease ends in {seconds} s"
                )));
                sleep(ASK).await;
            }
            Some(_) => {
                return Err(
                    ProviderError::new("failed to leave the host: another run is at work on it")
                        .with_remedy("wait until it is done; nothing was removed"),
                );
            }
        }
    };
    if let Some(other) = &there.other {
        // What was ours was taken over or destroyed, and is not ours to remove.
        say(Note::Warning(format!(
            "the host belongs to the lineage {other} now: nothing on it was touched"
        )));
        return Ok(Vec::new());
    }
    if there.left.is_empty() && there.stacks.is_empty() {
        return Ok(Vec::new());
    }
    // The edge first: nothing reaches what is about to go.
    let mut stacks = there.stacks.clone();
    stacks.sort_by_key(|stack| *stack != StackName::edge().as_str());
    for stack in &stacks {
        say(Note::Waiting(format!("stack {stack} to stop")));
        let volumes: &[&str] = if keep_volumes { &[] } else { &["--volumes"] };
        let words = [stack.as_str()].into_iter().chain(volumes.iter().copied());
        let command = RemoteCommand::script(Script::REMOVE_STACK, words).within(STACK);
        session.run_ok(&command, say).await.map_err(failed)?;
    }
    say(Note::Waiting("firewall, sshd settings and files to go".to_owned()));
    let command = RemoteCommand::script(LEAVE, ["base", owner.lineage.as_str()]);
    session.run_ok(&command, say).await.map_err(failed)?;
    Ok(there.stays(keep_volumes))
}

pub fn failed(why: SessionError) -> ProviderError {
    let remedy = why.remedy();
    let error = ProviderError::new("failed to leave the host").because(why);
    error.with_remedy(remedy.unwrap_or_else(|| "run destroy again: it goes on from there".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_told_and_what_is_left_is_a_failure() {
        let text = "stack edge\nstack postgres\nvolume postgres_data\nimage caddy:2\npackages docker.io docker-cli \n\
                    left container edge-caddy-1\nleft file /var/lib/provision\nfile /opt/provision/stacks/app/data/x\n";
        let there = There::parse(text);
        assert_eq!(there.stays(true)[0], "kept: volume postgres_data");
        assert_eq!(
            there.stays(false),
            [
                "stays: the images caddy:2 (docker image rm)",
                "stays: the packages that were installed for it: docker.io docker-cli (apt-get purge)"
            ]
        );
        assert_eq!(
            there.leftovers(),
            [
                "container edge-caddy-1",
                "file /var/lib/provision",
                "kept: file /opt/provision/stacks/app/data/x"
            ]
        );
        assert!(
            There::parse("other 00\nleft file /var/lib/provision\n")
                .leftovers()
                .is_empty()
        );
    }
}
