//! Steps of the stacks layer: one deploy, from files to health, and back when it fails.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::health::{healthy, wait_for_health};
use super::{ActError, Ledger, Outcome, RealWorld};
use crate::desired::walls::refused;
use crate::desired::{ArchiveRef, DesiredStack};
use crate::names::StackName;
use crate::note::{Note, Say};
use crate::plan::{RELEASE, Release, attributes, job_fact, once_fact};
use crate::remote::archive::{Archive, ArchiveEntry};
use crate::remote::{RemoteCommand, Script, Session, Stdin};

/// How long Compose may take to pull, build, create and start.
const UP: Duration = Duration::from_secs(30 * 60);

/// How long a job may take: migrations of a large database.
const JOB: Duration = Duration::from_secs(60 * 60);

/// How long sending and loading an image may take.
const LOAD: Duration = Duration::from_secs(60 * 60);

/// A file of every release, which nobody reads: it makes the release's digest one that cannot be guessed.
const SEAL: &str = ".provision-seal";

impl RealWorld<'_> {
    /// Images, files, jobs, services, health. When the services do not become healthy, the release that served before is
    /// put back.
    pub(super) async fn deploy(
        &mut self,
        release: &Release,
        ledger: &mut Ledger<'_>,
        say: Say<'_>,
    ) -> Result<Outcome, ActError> {
        let stack = &release.stack;
        let archive = self.pack(stack)?;
        let session = self.session(say).await?;
        for (reference, image) in &release.archives {
            load_image(session, reference, image, say).await?;
        }
        for (reference, id) in &release.retag {
            name_image(session, reference, id, say).await?;
        }
        for name in &release.aside {
            set_aside(session, &stack.name, name, say).await?;
        }
        let before = present_release(session, &stack.name, say).await?;
        receive(session, &stack.name, &archive, say).await?;
        match release.edge {
            true => super::edge::check(session, stack, archive.digest.as_str(), say).await?,
            false => refuse_holes(session, stack, archive.digest.as_str(), say).await?,
        }
        activate(session, &stack.name, archive.digest.as_str(), say).await?;
        match serve(session, release, ledger, say).await {
            Ok(()) => {}
            Err(failure) => {
                let before = before.filter(|digest| digest != archive.digest.as_str());
                return Err(roll_back(session, release, before, failure, say).await);
            }
        }
        let mut outcome = Outcome {
            attributes: Some(attributes(stack, &self.bindings)),
            ..Outcome::default()
        };
        outcome.facts.insert(RELEASE.into(), archive.digest.to_string());
        if release.edge
            && let Some(authority) = self.authority(say).await?
        {
            outcome.facts.insert("authority".into(), authority);
        }
        Ok(outcome)
    }

    pub(super) async fn remove_stack(
        &mut self,
        stack: &StackName,
        volumes: bool,
        say: Say<'_>,
    ) -> Result<Outcome, ActError> {
        let mut args = vec![stack.to_string()];
        if volumes {
            args.push("--volumes".into());
        }
        let command = RemoteCommand::script(Script::REMOVE_STACK, args).within(UP);
        self.session(say).await?.run_ok(&command, say).await?;
        Ok(Outcome::default())
    }

    fn pack(&self, stack: &DesiredStack) -> Result<Archive, ActError> {
        let entry = |path: &str, bytes, mode| ArchiveEntry {
            path: path.to_owned(),
            bytes,
            mode,
        };
        let mut entries: Vec<ArchiveEntry> = stack
            .files
            .iter()
            .map(|(path, file)| entry(path, file.bind(&self.bindings), file.mode))
            .collect();
        // The release's digest stands in the state, and its files hold secrets: without something that cannot be guessed among
        // them, a weak secret could be.
        let all: String = entries
            .iter()
            .map(|file| format!("{} {}\n", crate::names::Digest::of(&file.bytes), file.path))
            .collect();
        if let Some(seal) = self.bindings.fingerprints.digest(&all) {
            entries.push(entry(SEAL, seal.into_bytes(), 0o600));
        }
        Ok(Archive::pack(entries)?)
    }
}

/// Jobs, services, health: what runs, in order.
async fn serve(session: &Session, release: &Release, ledger: &mut Ledger<'_>, say: Say<'_>) -> Result<(), ActError> {
    let stack = &release.stack;
    for name in &release.before {
        job(session, &stack.name, name, say).await?;
        ledger.fact(&job_fact(name), now())?;
    }
    up(session, &stack.name, release.recreate, say).await?;
    healthy(session, stack, say).await?;
    if release.edge {
        super::edge::reload(session, say).await?;
    }
    for name in &release.after {
        job(session, &stack.name, name, say).await?;
        ledger.fact(&job_fact(name), now())?;
    }
    for name in &release.once {
        job(session, &stack.name, name, say).await?;
        // Recorded at once: a later failure must not run it again.
        ledger.fact(&once_fact(name), now())?;
    }
    Ok(())
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

/// Puts the release that served before back, and says in the error what serves now.
async fn roll_back(
    session: &Session,
    release: &Release,
    before: Option<String>,
    failure: ActError,
    say: Say<'_>,
) -> ActError {
    let name = &release.stack.name;
    let (stack, reason, bundle) = match failure {
        ActError::Unhealthy {
            stack, reason, bundle, ..
        } => (stack, reason, bundle),
        ActError::Edge { reason } => (name.to_string(), reason, String::new()),
        ActError::Session(why @ crate::remote::SessionError::CommandFailed { .. }) => {
            (name.to_string(), why.to_string(), String::new())
        }
        // The connection is gone or the state cannot be written: the next run goes on from here.
        other => return other,
    };
    let Some(digest) = before else {
        let now = "nothing served before; mend it and run apply again".to_owned();
        return ActError::Unhealthy {
            stack,
            reason,
            bundle,
            now,
        };
    };
    say(Note::Warning(format!(
        "{name} failed: {reason}; putting the release before back"
    )));
    let back = async {
        let restore = RemoteCommand::script(Script::RESTORE_STACK, [name.as_str(), &digest]);
        session.run_ok(&restore, say).await?;
        activate(session, name, &digest, say).await?;
        up(session, name, false, say).await?;
        // Its services may have had other names: whatever there is must serve.
        wait_for_health(session, name, std::iter::empty(), say).await?;
        if release.edge {
            super::edge::reload(session, say).await?;
        }
        Ok::<(), ActError>(())
    };
    let short: String = digest.chars().take(12).collect();
    let now = match back.await {
        Ok(()) => format!("rolled back: release {short} serves again; mend it and run apply again"),
        Err(error) => format!("putting release {short} back failed too ({error}): look with `provision ssh`"),
    };
    ActError::Unhealthy {
        stack,
        reason,
        bundle,
        now,
    }
}

/// Sends an image unless the host has it: the archive's own identifier decides, not its tag.
async fn load_image(session: &Session, reference: &str, image: &ArchiveRef, say: Say<'_>) -> Result<(), ActError> {
    let inspect = RemoteCommand::new("docker", ["image", "inspect", "--format", "{{.Id}}", reference]);
    let output = session.run(&inspect, say).await?;
    if output.success() && String::from_utf8_lossy(&output.stdout).trim() == image.image_id {
        return Ok(());
    }
    // Somebody may have given its name to another one.
    let tag = RemoteCommand::new("docker", ["tag", &image.image_id, reference]);
    if session.run(&tag, say).await?.success() {
        return Ok(());
    }
    let load = RemoteCommand::new("docker", ["load", "--quiet"])
        .reading(Stdin::Packed(image.path.clone()))
        .named(format!("send image {reference}"))
        .within(LOAD);
    session.run_ok(&load, say).await?;
    Ok(())
}

/// Gives an image that is on the host its name back.
async fn name_image(session: &Session, reference: &str, id: &str, say: Say<'_>) -> Result<(), ActError> {
    let tag = RemoteCommand::new("docker", ["tag", id, reference]);
    session.run_ok(&tag, say).await?;
    Ok(())
}

/// Stops a container of somebody else and gives its name free. It stays, since it may hold something.
async fn set_aside(session: &Session, stack: &StackName, name: &str, say: Say<'_>) -> Result<(), ActError> {
    let command = RemoteCommand::script(Script::SET_ASIDE, [stack.as_str(), name]);
    let output = session.run_ok(&command, say).await?;
    let told = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !told.is_empty() {
        say(Note::Warning(told));
    }
    Ok(())
}

/// The digest of the release in place.
async fn present_release(session: &Session, stack: &StackName, say: Say<'_>) -> Result<Option<String>, ActError> {
    let path = format!("{}/{stack}/.digest", crate::plan::STACKS);
    let output = session.run(&RemoteCommand::new("cat", [path]), say).await?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok((output.success() && !text.is_empty()).then_some(text))
}

async fn receive(session: &Session, stack: &StackName, archive: &Archive, say: Say<'_>) -> Result<(), ActError> {
    let args = [
        stack.to_string(),
        archive.digest.to_string(),
        archive.unpacked.to_string(),
    ];
    let command = RemoteCommand::script_reading(Script::RECEIVE_STACK, args, Stdin::Bytes(archive.bytes.clone()));
    session.run_ok(&command, say).await?;
    Ok(())
}

async fn activate(session: &Session, stack: &StackName, digest: &str, say: Say<'_>) -> Result<(), ActError> {
    let command = RemoteCommand::script(Script::ACTIVATE_STACK, [stack.as_str(), digest]);
    session.run_ok(&command, say).await?;
    Ok(())
}

async fn up(session: &Session, stack: &StackName, recreate: bool, say: Say<'_>) -> Result<(), ActError> {
    say(Note::Waiting("compose".into()));
    let mut args = vec![stack.to_string()];
    args.extend(recreate.then(|| "--force-recreate".to_owned()));
    let command = RemoteCommand::script(Script::UP_STACK, args).within(UP);
    let lines = std::sync::Mutex::new(std::collections::VecDeque::new());
    let on_line = |_: crate::remote::Pipe, line: &str| {
        if let Ok(mut lines) = lines.lock() {
            lines.push_back(line.to_owned());
            if lines.len() > 20 {
                lines.pop_front();
            }
        }
    };
    let output = session.run_lines(&command, &on_line, say).await?;
    if output.success() {
        return Ok(());
    }
    let last = lines
        .lock()
        .map(|lines| lines.iter().cloned().collect::<Vec<_>>().join("\n"))
        .unwrap_or_default();
    Err(ActError::Unhealthy {
        stack: stack.to_string(),
        reason: "docker compose up failed".into(),
        bundle: last,
        now: String::new(),
    })
}

async fn job(session: &Session, stack: &StackName, name: &str, say: Say<'_>) -> Result<(), ActError> {
    say(Note::Waiting(format!("the job {name}")));
    let command = RemoteCommand::script(Script::JOB, [stack.as_str(), name])
        .named(format!("job {name} of {stack}"))
        .within(JOB);
    let on_line = |_: crate::remote::Pipe, line: &str| say(Note::Line(format!("{name}: {line}")));
    session.run_lines(&command, &on_line, say).await?.checked(&command)?;
    Ok(())
}

/// Asks Compose itself what would get past the walls: it sees through `extends`, `include`, anchors, profiles and variables.
async fn refuse_holes(session: &Session, stack: &DesiredStack, digest: &str, say: Say<'_>) -> Result<(), ActError> {
    let name = &stack.name;
    let folder = format!("/opt/provision/incoming/{name}-{digest}");
    let command = RemoteCommand::script(Script::CHECK_COMPOSE, [name.as_str(), folder.as_str()]);
    let output = session.run_ok(&command, say).await?;
    let config: serde_json::Value = answer("check-compose", &output.stdout)?;
    let listed = refused(name, &config, &stack.granted);
    if listed.is_empty() {
        return Ok(());
    }
    Err(ActError::Published {
        stack: name.to_string(),
        listed,
    })
}

/// Reads the JSON that a script of ours prints.
pub(super) fn answer<T: DeserializeOwned>(script: &'static str, bytes: &[u8]) -> Result<T, ActError> {
    serde_json::from_slice(bytes).map_err(|why| ActError::Answer {
        script,
        // Resolved Compose files hold secrets: of those nothing is quoted.
        begin: match script {
            "check-compose" => "(not shown)".to_owned(),
            _ => String::from_utf8_lossy(bytes.get(..bytes.len().min(200)).unwrap_or_default()).into_owned(),
        },
        why,
    })
}
