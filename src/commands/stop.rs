//! How a command is ended early: signals.
//!
//! Ctrl-C, SIGTERM and SIGHUP are one wish: an orderly end. The first one abandons what is at work where that is safe, closes
//! what was opened and gives the lock back; a second one leaves at once. What was done is recorded either way.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::Failure;
use super::terminal::tell;
use crate::apply::{ApplyError, Stop, Stopping};

/// How long the last words of a command may take that is ended at once.
const WORDS: Duration = Duration::from_millis(300);

/// Waits for `what`, or for somebody to want an end. Only for what writes nothing.
pub async fn until_stopped<T>(stop: &Stopping, what: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut stop = stop.clone();
    let wanted = async move {
        match stop.wait_for(Option::is_some).await.map(|by| *by) {
            Ok(Some(by)) => by,
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        by = wanted => Err(ApplyError::Interrupted { address: None, by }.into()),
        result = what => result,
    }
}

/// Tells of the first signal that wants an end. A second one ends the process at once.
pub fn stop_on_signal() -> Stopping {
    let (sender, receiver) = watch::channel(None);
    listen(sender);
    receiver
}

/// As [`stop_on_signal`], told to others as well.
pub fn listen(wanted: watch::Sender<Option<Stop>>) {
    let kinds = [
        (SignalKind::interrupt(), Stop::Interrupt),
        (SignalKind::terminate(), Stop::Terminate),
        (SignalKind::hangup(), Stop::HangUp),
    ];
    let ignored = ignored();
    for (kind, stop) in kinds {
        // `nohup` and a shell's `&` mean it: what they made us ignore goes on being ignored.
        if ignored & (1 << (kind.as_raw_value() - 1)) != 0 {
            continue;
        }
        if let Ok(signal) = signal(kind) {
            tokio::spawn(pass_on(signal, stop, wanted.clone()));
        }
    }
}

async fn pass_on(mut signal: Signal, stop: Stop, wanted: watch::Sender<Option<Stop>>) {
    while signal.recv().await.is_some() {
        let first = wanted.send_if_modified(|wanted| {
            let first = !wanted.is_some_and(Stop::at_once);
            if first {
                *wanted = Some(stop);
            }
            first
        });
        if !first {
            // Whoever holds standard error up shall not hold this up.
            let told = tokio::task::spawn_blocking(|| {
                let _ = console::Term::stderr().show_cursor();
                tell("stopped at once; run the same command again to go on");
            });
            let _ = tokio::time::timeout(WORDS, told).await;
            std::process::exit(130);
        }
    }
}

/// The signals that are ignored since before we began, a bit each; none where the system does not tell.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
