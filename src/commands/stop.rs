//! How a command is ended early: signals.

use tokio::sync::watch;

use super::Failure;
use super::terminal::tell;

/// Waits for `what`, or for the person to want an end. Only for what writes nothing.
pub async fn until_stopped<T>(
    stop: &watch::Receiver<bool>,
    what: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut stop = stop.clone();
    tokio::select! {
        result = what => result,
        Ok(_) = stop.wait_for(|stop| *stop) => Err(crate::apply::ApplyError::Interrupted { address: None }.into()),
    }
}

/// Turns true at the first Ctrl-C or SIGTERM. A second one ends the process at once: what was done is recorded already.
pub fn stop_on_signal() -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if *sender.borrow() {
                tell("stopped at once; run the same command again to go on");
                std::process::exit(130);
            }
            let _ = sender.send(true);
        }
    });
    receiver
}
