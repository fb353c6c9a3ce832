//! Why a run ends before its time, and when: in the middle of a step, or behind it.

use std::fmt;

use tokio::sync::watch;

/// Something that wants an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM: a cancelled CI job.
    Terminate,
    /// SIGHUP: the terminal was closed.
    HangUp,
    /// Nobody reads the events any more, or they cannot be written.
    Unheard,
}

/// What a run asks whether it shall end.
pub type Stopping = watch::Receiver<Option<Stop>>;

impl Stop {
    /// Whether the step at work is abandoned. Nobody waits at a prompt for a program that is not heard, so that its step is
    /// brought to its end.
    pub fn at_once(self) -> bool {
        match self {
            Self::Interrupt | Self::Terminate | Self::HangUp => true,
            Self::Unheard => false,
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "interrupted",
            Self::Terminate => "interrupted by SIGTERM",
            Self::HangUp => "interrupted by SIGHUP, as when a terminal is closed",
            Self::Unheard => "stopped because nobody reads the events",
        })
    }
}

/// Ends when the step at work shall be abandoned; never, when nobody can want that any more.
pub(super) async fn at_once(stopping: &mut Stopping) -> Stop {
    loop {
        match stopping
            .wait_for(|stop| stop.is_some_and(Stop::at_once))
            .await
            .map(|stop| *stop)
        {
            Ok(Some(stop)) => return stop,
            Ok(None) => {}
            Err(_) => std::future::pending::<()>().await,
        }
    }
}
