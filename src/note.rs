//! What a long-running call says while it works. Providers and sessions speak it; the executor turns it into events.

/// One thing said by something that takes time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// What is being waited for, in words that fit behind "waiting for …".
    Waiting(String),
    /// Progress of a transfer, in bytes. `total` is absent when the other side does not tell.
    Bytes {
        /// Bytes so far.
        done: u64,
        /// Bytes in all, when known.
        total: Option<u64>,
    },
    /// A line of output of something that runs on our behalf (never a secret).
    Line(String),
    /// Something the person should know although the step goes on.
    Warning(String),
}

impl Note {
    /// The same with other texts.
    pub fn mapped(self, text: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Waiting(reason) => Self::Waiting(text(reason)),
            Self::Line(line) => Self::Line(text(line)),
            Self::Warning(message) => Self::Warning(text(message)),
            bytes @ Self::Bytes { .. } => bytes,
        }
    }
}

/// Where notes go. Cheap to call; never blocks.
pub type Say<'a> = &'a (dyn Fn(Note) + Send + Sync);
