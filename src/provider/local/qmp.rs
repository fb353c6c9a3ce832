//! A small QMP client: QEMU's own protocol over its unix socket, one JSON object a line.
//!
//! QEMU serves one client at a time; a second one waits for its greeting. Hence every call has a deadline and a
//! connection lives as short as it can.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// How long QEMU may take to answer: it answers in milliseconds unless its main loop hangs.
pub const DEADLINE: Duration = Duration::from_secs(3);

/// Why QEMU did not do what it was asked for.
#[derive(Debug, Error)]
pub enum QmpError {
    /// There is nobody at the socket.
    #[error("failed to connect to QEMU's control socket")]
    Connect(#[source] std::io::Error),
    /// The conversation broke off.
    #[error("failed to talk to QEMU about `{command}`")]
    Broken {
        /// What was asked.
        command: String,
        /// Why.
        #[source]
        why: std::io::Error,
    },
    /// No answer.
    #[error("failed to get QEMU's answer to `{command}` within {} s", .limit.as_secs_f32())]
    Late {
        /// What was asked.
        command: String,
        /// How long was waited.
        limit: Duration,
    },
    /// QEMU said no.
    #[error("failed to have QEMU do `{command}`: {description}")]
    Refused {
        /// What was asked.
        command: String,
        /// QEMU's words.
        description: String,
    },
    /// Something that is not QMP.
    #[error("failed to understand QEMU's answer to `{command}`: {line}")]
    Malformed {
        /// What was asked.
        command: String,
        /// What came.
        line: String,
    },
}

/// What a guest does, as far as it decides what we do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestStatus {
    /// It runs.
    Running,
    /// It stands still and can go on: somebody paused it, or the disk of this computer was full.
    Paused,
    /// It will never go on: the accelerator failed, it panicked or it shut down.
    Dead,
}

impl GuestStatus {
    /// From QEMU's `RunState`.
    fn from_run_state(state: &str) -> Self {
        match state {
            "internal-error" | "guest-panicked" | "shutdown" => Self::Dead,
            "paused" | "io-error" | "prelaunch" | "postmigrate" | "watchdog" => Self::Paused,
            // Also `debug`, `suspended`, `inmigrate`, …: nothing to be done from outside.
            _ => Self::Running,
        }
    }
}

/// A connection to one QEMU.
#[derive(Debug)]
pub struct Qmp {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    limit: Duration,
}

impl Qmp {
    /// Connects and negotiates; each later call has the same limit.
    pub async fn connect(socket: &Path, limit: Duration) -> Result<Self, QmpError> {
        let stream = UnixStream::connect(socket).await.map_err(QmpError::Connect)?;
        let (reader, writer) = stream.into_split();
        let mut qmp = Self {
            lines: BufReader::new(reader).lines(),
            writer,
            limit,
        };
        tokio::time::timeout(limit, qmp.answer("greeting", "QMP"))
            .await
            .map_err(|_| qmp.late("greeting"))??;
        qmp.execute("qmp_capabilities").await?;
        Ok(qmp)
    }

    /// Whether the guest runs.
    pub async fn status(&mut self) -> Result<GuestStatus, QmpError> {
        let answer = self.execute("query-status").await?;
        match answer.get("status").and_then(Value::as_str) {
            Some(state) => Ok(GuestStatus::from_run_state(state)),
            None => Err(QmpError::Malformed {
                command: "query-status".to_owned(),
                line: answer.to_string(),
            }),
        }
    }

    /// One command without arguments: `cont`, `system_powerdown`, `quit`, …
    pub async fn execute(&mut self, command: &str) -> Result<Value, QmpError> {
        let limit = self.limit;
        tokio::time::timeout(limit, self.converse(command))
            .await
            .map_err(|_| self.late(command))?
    }

    async fn converse(&mut self, command: &str) -> Result<Value, QmpError> {
        let line = format!("{}\n", json!({ "execute": command }));
        self.writer
            .write_all(line.as_bytes())
            .await
            .map_err(|why| broken(command, why))?;
        self.answer(command, "return").await
    }

    /// Reads on until the object with `key`; events come in between.
    async fn answer(&mut self, command: &str, key: &str) -> Result<Value, QmpError> {
        loop {
            let line = self.lines.next_line().await.map_err(|why| broken(command, why))?;
            let line = line.ok_or_else(|| broken(command, std::io::ErrorKind::UnexpectedEof.into()))?;
            let mut value: Value = serde_json::from_str(&line).map_err(|_| QmpError::Malformed {
                command: command.to_owned(),
                line: line.clone(),
            })?;
            if let Some(found) = value.get_mut(key) {
                return Ok(found.take());
            }
            if let Some(error) = value.get("error") {
                let description = error.get("desc").and_then(Value::as_str).unwrap_or(&line);
                return Err(QmpError::Refused {
                    command: command.to_owned(),
                    description: description.to_owned(),
                });
            }
        }
    }

    fn late(&self, command: &str) -> QmpError {
        QmpError::Late {
            command: command.to_owned(),
            limit: self.limit,
        }
    }
}

fn broken(command: &str, why: std::io::Error) -> QmpError {
    QmpError::Broken {
        command: command.to_owned(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    /// Answers one client with the given lines, one after each line it sends, the first at once.
    fn serve(listener: UnixListener, answers: Vec<&'static str>) {
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (reader, mut writer) = stream.into_split();
            let mut lines = BufReader::new(reader).lines();
            for answer in answers {
                writer.write_all(answer.as_bytes()).await.unwrap();
                writer.write_all(b"\n").await.unwrap();
                lines.next_line().await.unwrap();
            }
        });
    }

    async fn talk(answers: Vec<&'static str>) -> Result<GuestStatus, QmpError> {
        let temp = tempfile::tempdir().unwrap();
        let socket = temp.path().join("qmp");
        serve(UnixListener::bind(&socket).unwrap(), answers);
        Qmp::connect(&socket, Duration::from_millis(300)).await?.status().await
    }

    #[tokio::test]
    async fn events_between_the_answers_are_skipped() {
        let event = concat!(r#"{"event":"STOP"}"#, "\n", r#"{"return":{"status":"internal-error"}}"#);
        let answers = vec![r#"{"QMP":{}}"#, r#"{"return":{}}"#, event];
        assert_eq!(talk(answers).await.unwrap(), GuestStatus::Dead);
    }

    #[tokio::test]
    async fn refusals_silence_and_nonsense_are_errors_of_their_own() {
        let refused = talk(vec![r#"{"QMP":{}}"#, r#"{"error":{"class":"x","desc":"not now"}}"#]).await;
        assert_eq!(
            refused.unwrap_err().to_string(),
            "failed to have QEMU do `qmp_capabilities`: not now"
        );
        assert!(matches!(talk(vec!["{}"]).await, Err(QmpError::Late { .. })));
        assert!(matches!(talk(vec!["hello"]).await, Err(QmpError::Malformed { .. })));
        assert!(matches!(
            talk(vec![]).await,
            Err(QmpError::Broken { .. } | QmpError::Late { .. })
        ));
    }
}
