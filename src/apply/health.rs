//! Waiting for health, and what a person sees when it does not come.

use std::time::Duration;

use serde::Deserialize;

use super::ActError;
use super::stacks::answer;
use crate::desired::DesiredStack;
use crate::names::StackName;
use crate::note::{Note, Say};
use crate::remote::{Pipe, RemoteCommand, Script, Session};

/// How long the services may take to become healthy, in seconds, when they do not say themselves (`start_period`) that they may take
/// longer.
const HEALTHY: u32 = 300;

/// The end of that, whatever they say: `health.sh` waits an hour at most.
const AT_MOST: Duration = Duration::from_secs(60 * 60 + 120);

/// One line of `health.sh`.
#[derive(Deserialize)]
struct Health {
    healthy: Option<bool>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    services: Vec<ServiceHealth>,
    #[serde(default)]
    disk: String,
    #[serde(default)]
    memory: String,
}

#[derive(Deserialize)]
struct ServiceHealth {
    name: String,
    verdict: String,
    #[serde(default)]
    health: Option<String>,
    #[serde(default)]
    state: serde_json::Value,
    #[serde(default)]
    logs: String,
}

pub(super) async fn healthy(session: &Session, stack: &DesiredStack, say: Say<'_>) -> Result<(), ActError> {
    let expected = stack
        .services
        .iter()
        .filter(|(_, service)| service.instances.is_some_and(|n| n > 0));
    wait_for_health(session, &stack.name, expected.map(|(name, _)| name.clone()), say).await
}

/// Waits until the containers of a stack serve; every expected service must have one.
pub(super) async fn wait_for_health(
    session: &Session,
    stack: &StackName,
    expected: impl Iterator<Item = String>,
    say: Say<'_>,
) -> Result<(), ActError> {
    let args: Vec<String> = [stack.to_string(), HEALTHY.to_string()]
        .into_iter()
        .chain(expected)
        .collect();
    let command = RemoteCommand::script(Script::HEALTH, args).within(AT_MOST);
    let last = std::sync::Mutex::new(String::new());
    let on_line = |pipe: Pipe, line: &str| {
        if pipe == Pipe::Stderr {
            return;
        }
        if let Ok(health) = serde_json::from_str::<Health>(line)
            && health.healthy.is_none()
        {
            let waiting: Vec<&str> = health
                .services
                .iter()
                .filter(|s| s.verdict == "wait")
                .map(|s| s.name.as_str())
                .collect();
            if !waiting.is_empty() {
                say(Note::Waiting(format!("{} to be healthy", waiting.join(", "))));
            }
        }
        if let Ok(mut last) = last.lock() {
            line.clone_into(&mut last);
        }
    };
    let output = session.run_lines(&command, &on_line, say).await?;
    if output.success() {
        return Ok(());
    }
    let last = last.lock().map(|last| last.clone()).unwrap_or_default();
    let health: Health = answer("health", last.as_bytes())?;
    Err(ActError::Unhealthy {
        stack: stack.to_string(),
        reason: health.reason.clone(),
        bundle: bundle(&health),
        now: String::new(),
    })
}

/// The failure bundle for people.
fn bundle(health: &Health) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for service in &health.services {
        let status = |key: &str| service.state.get(key).map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(out, "--- {} ({})", service.name, service.verdict);
        if let Some(health) = &service.health {
            let _ = writeln!(out, "health: {health}");
        }
        let _ = writeln!(out, "status: {} exit code: {}", status("Status"), status("ExitCode"));
        if let Some(check) = service
            .state
            .pointer("/Health/Log")
            .and_then(|log| log.as_array())
            .and_then(|log| log.last())
        {
            let output = check
                .get("Output")
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default()
                .trim();
            let code = check.get("ExitCode").map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(out, "last health check: exit code {code}: {output}");
        }
        let _ = writeln!(out, "{}", service.logs.trim_end());
    }
    let _ = write!(
        out,
        "--- disk\n{}\n--- memory\n{}",
        health.disk.trim_end(),
        health.memory.trim_end()
    );
    out
}
