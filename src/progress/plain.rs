//! Events as lines, for pipes and CI jobs: few enough to read, often enough to see that it lives.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::time::Duration;

use super::words::{Tail, clean, one_line, size, summary, time};
use crate::apply::event::Event;
use crate::names::Address;

/// A reason that stays the same, and a transfer that goes on, are told this often.
const REPEAT: Duration = Duration::from_secs(10);

/// Writes events as lines.
pub struct Plain {
    writer: Box<dyn Write + Send>,
    /// Time since the run began.
    clock: Box<dyn Fn() -> Duration + Send>,
    running: BTreeMap<Address, Running>,
}

#[derive(Default)]
struct Running {
    waiting: Option<(String, Duration)>,
    bytes: Option<Duration>,
    tail: Tail,
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plain")
    }
}

impl Plain {
    /// To a writer, with a clock that tells the time since the run began.
    pub fn new(writer: Box<dyn Write + Send>, clock: Box<dyn Fn() -> Duration + Send>) -> Self {
        Self {
            writer,
            clock,
            running: BTreeMap::new(),
        }
    }

    /// Shows one event.
    pub fn handle(&mut self, event: &Event) {
        let now = (self.clock)();
        match event {
            Event::Started { steps } => self.line(now, &super::words::steps(steps.len())),
            Event::StepStarted { address, title } => {
                self.running.insert(address.clone(), Running::default());
                self.line(now, &format!("{address}: {}", one_line(title)));
            }
            Event::Waiting { address, reason } => {
                let step = self.running.entry(address.clone()).or_default();
                let due = match &step.waiting {
                    Some((before, at)) => before != reason || now.saturating_sub(*at) >= REPEAT,
                    None => true,
                };
                if due {
                    step.waiting = Some((reason.clone(), now));
                    self.line(now, &format!("{address}: waiting for {}", one_line(reason)));
                }
            }
            Event::Bytes { address, done, total } => {
                let step = self.running.entry(address.clone()).or_default();
                let first = *step.bytes.get_or_insert(now);
                if now.saturating_sub(first) >= REPEAT {
                    step.bytes = Some(now);
                    let text = match total {
                        Some(total) => format!("{address}: {} of {}", size(*done), size(*total)),
                        None => format!("{address}: {}", size(*done)),
                    };
                    self.line(now, &text);
                }
            }
            Event::Line { address, line } => self.running.entry(address.clone()).or_default().tail.add(line),
            Event::Warning { address, message } => {
                let about = address
                    .as_ref()
                    .map(|address| format!("{address}: "))
                    .unwrap_or_default();
                self.line(now, &format!("warning: {about}{}", clean(message)));
            }
            Event::StepFinished { address, millis } => {
                self.running.remove(address);
                let took = time(Duration::from_millis(*millis));
                self.line(now, &format!("{address}: done in {took}"));
            }
            Event::StepFailed { address, .. } => {
                let step = self.running.remove(address).unwrap_or_default();
                for line in step.tail.lines() {
                    self.line(now, &format!("{address} | {line}"));
                }
                self.line(now, &format!("{address}: failed"));
            }
            Event::Finished { done, left, millis } => self.line(now, &summary(*done, *left, *millis)),
        }
    }

    fn line(&mut self, now: Duration, text: &str) {
        let stamp = format!("[{:>6.1}s] ", now.as_secs_f64());
        // Lines of one message stand below each other.
        let text = text.replace('\n', &format!("\n{:width$}", "", width = stamp.len()));
        // In one write, so that lines of several writers do not mix.
        let _ = self
            .writer
            .write_all(format!("{stamp}{text}\n").as_bytes())
            .and_then(|()| self.writer.flush());
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::apply::event::StepTitle;

    /// A writer whose text can be read meanwhile.
    #[derive(Clone, Default)]
    pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// One of everything, with the time in milliseconds.
    pub(crate) fn a_run() -> Vec<(u64, Event)> {
        let machine = || Address::MachineInstance;
        let app = || Address::Stack("app".parse().unwrap());
        let waiting = |reason: &str| Event::Waiting {
            address: machine(),
            reason: reason.to_owned(),
        };
        let bytes = |done| Event::Bytes {
            address: app(),
            done,
            total: Some(104_857_600),
        };
        let title = |address, title: &str| StepTitle {
            address,
            title: title.to_owned(),
        };
        vec![
            (
                0,
                Event::Started {
                    steps: vec![
                        title(machine(), "create"),
                        title(app(), "deploy"),
                        title(Address::Edge, "deploy"),
                    ],
                },
            ),
            (
                10,
                Event::StepStarted {
                    address: machine(),
                    title: "create".to_owned(),
                },
            ),
            (
                200,
                waiting("sshd at 127.77.0.1:22 (port 22 closed: connection refused)"),
            ),
            (
                900,
                waiting("sshd at 127.77.0.1:22 (port 22 closed: connection refused)"),
            ),
            (
                1_000,
                Event::Warning {
                    address: Some(machine()),
                    message: "no KVM here:\nthe machine runs under emulation".to_owned(),
                },
            ),
            (
                10_300,
                waiting("sshd at 127.77.0.1:22 (port 22 closed: connection refused)"),
            ),
            (
                10_400,
                waiting("sshd at 127.77.0.1:22 (port 22 open, no ssh banner yet)"),
            ),
            (
                42_100,
                Event::StepFinished {
                    address: machine(),
                    millis: 42_090,
                },
            ),
            (
                42_100,
                Event::StepStarted {
                    address: app(),
                    title: "deploy".to_owned(),
                },
            ),
            (42_200, bytes(1_048_576)),
            (50_000, bytes(52_428_800)),
            (52_200, bytes(78_643_200)),
            (
                60_000,
                Event::Line {
                    address: app(),
                    line: "\u{1b}[33mContainer app-web-1  Unhealthy\u{1b}[0m".to_owned(),
                },
            ),
            (
                61_000,
                Event::StepFailed {
                    address: app(),
                    message: "service `web` is unhealthy".to_owned(),
                },
            ),
            (
                61_000,
                Event::Finished {
                    done: 1,
                    left: 2,
                    millis: 61_000,
                },
            ),
        ]
    }

    #[test]
    fn a_run_as_lines() {
        let shared = Shared::default();
        let now = Arc::new(AtomicU64::new(0));
        let clock = {
            let now = Arc::clone(&now);
            move || Duration::from_millis(now.load(Ordering::Relaxed))
        };
        let mut plain = Plain::new(Box::new(shared.clone()), Box::new(clock));
        for (millis, event) in a_run() {
            now.store(millis, Ordering::Relaxed);
            plain.handle(&event);
        }
        insta::assert_snapshot!(shared.text(), @r"
        [   0.0s] 3 steps
        [   0.0s] machine.instance: create
        [   0.2s] machine.instance: waiting for sshd at 127.77.0.1:22 (port 22 closed: connection refused)
        [   1.0s] warning: machine.instance: no KVM here:
                  the machine runs under emulation
        [  10.3s] machine.instance: waiting for sshd at 127.77.0.1:22 (port 22 closed: connection refused)
        [  10.4s] machine.instance: waiting for sshd at 127.77.0.1:22 (port 22 open, no ssh banner yet)
        [  42.1s] machine.instance: done in 42.1s
        [  42.1s] stack.app: deploy
        [  52.2s] stack.app: 75.0 MiB of 100.0 MiB
        [  61.0s] stack.app | Container app-web-1  Unhealthy
        [  61.0s] stack.app: failed
        [  61.0s] 1 step done, 2 left after 61.0s
        ");
    }

    #[test]
    fn a_reader_that_went_away_stops_nothing() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let mut plain = Plain::new(Box::new(Gone), Box::new(|| Duration::ZERO));
        for (_, event) in a_run() {
            plain.handle(&event);
        }
    }
}
