//! The host's own lease, as `lease.sh` keeps it: who may change the host now, and whose host it is.
//!
//! The lock beside the state lets one run at a time work from that state. This one guards against two states, in two places,
//! that both think the machine is theirs.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::{RemoteCommand, Script, Session, SessionError};
use crate::names::Lineage;
use crate::note::Say;

/// Who holds the lease, in the words that others are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// `user@host`.
    pub who: String,
    /// What it runs, such as `apply`.
    pub command: String,
    /// On which environment.
    pub environment: String,
    /// Since when, by the holder's clock: for people, nothing is decided by it.
    pub since: String,
    /// Its process, in words that only its own computer understands.
    #[serde(default)]
    pub process: Value,
}

/// A lease that has not run out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Lease {
    /// What its holder proves itself with.
    pub token: String,
    /// How long it lasts from now on, by the host's clock.
    pub seconds: u64,
    /// Who.
    pub holder: Holder,
}

/// What the host answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub ours: bool,
    /// The lease that there is now.
    pub lease: Option<Lease>,
    /// The life of an environment that the host belongs to; none before its first deploy.
    pub owner: Option<Lineage>,
}

/// Why nothing is known of the lease.
#[derive(Debug, Error)]
pub enum LeaseError {
    /// The host could not be asked.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// It answered something that we do not understand.
    #[error("failed to read the answer of `lease`: {begin:?}")]
    Answer {
        /// The first letters of it.
        begin: String,
        /// Where it goes wrong.
        #[source]
        why: serde_json::Error,
    },
}

/// What is asked of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask<'a> {
    /// To have it, or to have it again.
    Take {
        /// What we prove ourselves with.
        token: &'a str,
        /// How long it shall last.
        seconds: u64,
        /// Whose host it has to be, if it is anybody's.
        lineage: &'a Lineage,
        /// Who we are.
        holder: &'a Holder,
        /// Whose lease we may take away: one that is known to be dead.
        instead: Option<&'a str>,
    },
    /// That it lasts for so long from now on.
    Renew {
        /// Ours.
        token: &'a str,
        /// How long.
        seconds: u64,
    },
    /// To give it back.
    Release {
        /// Ours.
        token: &'a str,
    },
    /// What there is.
    Show,
    /// To take it away from whoever has this one.
    Break {
        /// The one that was seen.
        token: &'a str,
    },
    /// That the host belongs to another life of the environment.
    Own {
        /// The one that was seen.
        old: &'a Lineage,
        /// The one it shall belong to.
        new: &'a Lineage,
    },
}

impl Ask<'_> {
    /// The command that asks it.
    pub fn command(&self) -> RemoteCommand {
        let text = |text: &str| text.to_owned();
        let words = match self {
            Self::Take {
                token,
                seconds,
                lineage,
                holder,
                instead,
            } => {
                // A holder is made of texts and JSON: there is nothing in it that could not be written.
                let holder = serde_json::to_string(holder).unwrap_or_else(|_| "{}".to_owned());
                let words = [
                    text("take"),
                    text(token),
                    seconds.to_string(),
                    lineage.to_string(),
                    holder,
                ];
                words.into_iter().chain(instead.map(text)).collect()
            }
            Self::Renew { token, seconds } => vec![text("renew"), text(token), seconds.to_string()],
            Self::Release { token } => vec![text("release"), text(token)],
            Self::Show => vec![text("show")],
            Self::Break { token } => vec![text("break"), text(token)],
            Self::Own { old, new } => vec![text("own"), old.to_string(), new.to_string()],
        };
        RemoteCommand::script(Script::LEASE, words)
    }
}

/// Asks the host. Every question may be asked again when its answer was lost.
///
/// # Errors
/// When it could not be asked, or does not answer in JSON.
pub async fn ask(session: &Session, ask: &Ask<'_>, say: Say<'_>) -> Result<Answer, LeaseError> {
    let output = session.run_ok(&ask.command(), say).await?;
    serde_json::from_slice(&output.stdout).map_err(|why| LeaseError::Answer {
        begin: String::from_utf8_lossy(&output.stdout).chars().take(200).collect(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_a_command_and_its_answer_is_read() {
        let lineage = Lineage::from_bytes([7; 16]);
        let holder = Holder {
            who: "ann@laptop".into(),
            command: "apply".into(),
            environment: "shop".into(),
            since: "2026-11-21T10:00:00Z".into(),
            process: Value::Null,
        };
        let take = Ask::Take {
            token: "aa",
            seconds: 90,
            lineage: &lineage,
            holder: &holder,
            instead: Some("bb"),
        };
        let args = take.command().args;
        let (head, tail) = args.split_at(6);
        assert_eq!(head, ["-s", "--", "take", "aa", "90", lineage.as_str()]);
        assert_eq!(serde_json::from_str::<Holder>(&tail[0]).unwrap(), holder);
        assert_eq!(tail[1..], ["bb"]);
        assert!(!tail[0].contains('\n'), "the script keeps it on one line");

        let text = format!(
            r#"{{"ours":false,"lease":{{"token":"bb","seconds":41,"holder":{}}},"owner":null}}"#,
            tail[0]
        );
        let answer: Answer = serde_json::from_str(&text).unwrap();
        assert_eq!(
            answer.lease.unwrap(),
            Lease {
                token: "bb".into(),
                seconds: 41,
                holder
            }
        );
    }
}
