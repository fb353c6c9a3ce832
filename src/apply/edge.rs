//! The edge: reload with proof.

use std::time::Duration;

use serde::Deserialize;

use super::{ActError, RealWorld};
use crate::desired::DesiredStack;
use crate::note::Say;
use crate::remote::{RemoteCommand, Script, Session, SessionError};

/// What was meant, and what Caddy's admin API says that it runs.
#[derive(Deserialize)]
struct Loaded {
    meant: serde_json::Value,
    live: serde_json::Value,
}

/// The exit code of check-edge.sh for files that Caddy does not take.
const REFUSED: i32 = 65;

/// How long the image may take to come, and Caddy to read its files.
const CHECK: Duration = Duration::from_secs(600);

/// Has Caddy read a received release before any of it is put in place: a snippet of somebody's may be mistaken.
pub(super) async fn check(session: &Session, stack: &DesiredStack, digest: &str, say: Say<'_>) -> Result<(), ActError> {
    let images = stack.services.values().filter_map(|service| service.image.clone());
    let args = std::iter::once(digest.to_owned()).chain(images);
    let command = RemoteCommand::script(Script::CHECK_EDGE, args).within(CHECK);
    match session.run_ok(&command, say).await {
        Err(SessionError::CommandFailed {
            stderr,
            code: Some(REFUSED),
            ..
        }) => Err(ActError::Refused { reason: stderr }),
        other => other.map(|_| ()).map_err(ActError::from),
    }
}

/// Has Caddy take its files and compares what it runs with what was meant: a reload that says OK may have read an old
/// file (caddy#5735).
pub(super) async fn reload(session: &Session, say: Say<'_>) -> Result<(), ActError> {
    let command = RemoteCommand::script(Script::CADDY_RELOAD, [""; 0]);
    let output = match session.run_ok(&command, say).await {
        Err(SessionError::CommandFailed { stderr, .. }) => return Err(ActError::Edge { reason: stderr }),
        other => other?,
    };
    let Loaded { meant, live } = super::stacks::answer("caddy-reload", &output.stdout)?;
    if meant == live {
        return Ok(());
    }
    Err(ActError::Edge {
        reason: "Caddy runs another configuration than the one on its disk".into(),
    })
}

impl RealWorld<'_> {
    /// The root certificate of Caddy's own authority, PEM; none when certificates come from elsewhere.
    pub(super) async fn authority(&mut self, say: Say<'_>) -> Result<Option<String>, ActError> {
        let command = RemoteCommand::in_edge(["cat", "/data/caddy/pki/authorities/local/root.crt"])
            .named("read the authority's certificate");
        let output = self.session(say).await?.run(&command, say).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok((output.success() && text.contains("BEGIN CERTIFICATE")).then_some(text))
    }
}
