//! From the events of a run to the record of it.

use jiff::Timestamp;

use super::{Record, Step, VERSION, Wait, Warning};
use crate::apply::event::Event;
use crate::names::{Address, EnvironmentName};
use crate::progress::stream::{Error, Outcome};

/// More spans of waiting than a person looks at; a step with more has its last one drawn out.
const WAITS: usize = 100;

/// The same reason told again within this many milliseconds is the same waiting.
const SAME: u64 = 2_000;

/// Whose run it is.
#[derive(Debug, Clone)]
pub struct Whose {
    /// `apply`, `destroy`.
    pub command: String,
    /// Of which environment.
    pub environment: EnvironmentName,
    /// `user@host`.
    pub who: String,
    /// Name and version of the program.
    pub tool: String,
}

/// Listens to a run.
#[derive(Debug)]
pub struct Recorder {
    record: Record,
    /// Whether the last wait of the step at work goes on.
    waiting: bool,
    /// Bytes of the step's transfers that are over, and of the one that runs.
    sent: (u64, u64),
}

impl Recorder {
    /// Of a run that begins.
    pub fn new(whose: Whose, number: u64, begun: Timestamp) -> Self {
        Self {
            record: Record {
                version: VERSION,
                number,
                command: whose.command,
                environment: whose.environment,
                who: whose.who,
                tool: whose.tool,
                begun,
                ended: None,
                result: None,
                steps: Vec::new(),
                warnings: Vec::new(),
                error: None,
            },
            waiting: false,
            sent: (0, 0),
        }
    }

    /// What is recorded so far.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// One event, `now` milliseconds after the beginning. Tells whether it is worth writing down at once.
    pub fn event(&mut self, now: u64, event: &Event) -> bool {
        match event {
            Event::Started { steps } => {
                self.record.steps.extend(steps.iter().map(|step| Step {
                    address: step.address.clone(),
                    title: step.title.clone(),
                    begun: None,
                    ended: None,
                    failed: None,
                    waits: Vec::new(),
                    bytes: 0,
                }));
                return true;
            }
            Event::StepStarted { address, .. } => {
                (self.waiting, self.sent) = (false, (0, 0));
                let mut steps = self.record.steps.iter_mut();
                if let Some(step) = steps.find(|step| step.begun.is_none() && step.address == *address) {
                    step.begun = Some(now);
                }
                return true;
            }
            Event::Waiting { address, reason } => self.wait(now, address, reason),
            Event::Bytes { address, done, .. } => {
                self.stop_waiting(now, address);
                if *done < self.sent.1 {
                    self.sent.0 += self.sent.1;
                }
                self.sent.1 = *done;
                let sent = self.sent.0 + self.sent.1;
                if let Some(step) = self.at_work(address) {
                    step.bytes = sent;
                }
            }
            Event::Line { address, .. } => self.stop_waiting(now, address),
            Event::Warning { address, message } => self.record.warnings.push(Warning {
                at: now,
                address: address.clone(),
                message: message.clone(),
            }),
            Event::StepFinished { address, .. } => {
                self.over(now, address, None);
                return true;
            }
            Event::StepFailed { address, message } => {
                self.over(now, address, Some(message));
                return true;
            }
            Event::Finished { .. } => {}
        }
        false
    }

    /// The run ended.
    pub fn end(&mut self, ended: Timestamp, result: Outcome, error: Option<Error>) {
        self.record.ended = Some(ended);
        self.record.result = Some(result);
        self.record.error = error;
    }

    fn at_work(&mut self, address: &Address) -> Option<&mut Step> {
        let at_work = |step: &&mut Step| step.begun.is_some() && step.ended.is_none() && step.address == *address;
        self.record.steps.iter_mut().find(at_work)
    }

    fn wait(&mut self, now: u64, address: &Address, reason: &str) {
        let going_on = self.waiting;
        let Some(step) = self.at_work(address) else { return };
        let full = step.waits.len() >= WAITS;
        match step.waits.last_mut() {
            Some(last) if full || kind(&last.reason) == kind(reason) && (going_on || now <= last.until + SAME) => {
                last.until = now;
                reason.clone_into(&mut last.reason);
            }
            last => {
                if let (Some(last), true) = (last, going_on) {
                    last.until = now;
                }
                step.waits.push(Wait {
                    reason: reason.to_owned(),
                    from: now,
                    until: now,
                });
            }
        }
        self.waiting = true;
    }

    /// What is waited for has come: a reason holds until something else happens.
    fn stop_waiting(&mut self, now: u64, address: &Address) {
        if std::mem::take(&mut self.waiting)
            && let Some(last) = self.at_work(address).and_then(|step| step.waits.last_mut())
        {
            last.until = now;
        }
    }

    fn over(&mut self, now: u64, address: &Address, failed: Option<&String>) {
        self.stop_waiting(now, address);
        if let Some(step) = self.at_work(address) {
            step.ended = Some(now);
            step.failed = failed.cloned();
        }
    }
}

/// A reason without the details in parentheses, which change while it lasts.
fn kind(reason: &str) -> &str {
    reason.split(" (").next().unwrap_or(reason)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::progress::a_run;

    /// The run of the progress tests, recorded.
    pub(crate) fn recorded() -> Recorder {
        let whose = Whose {
            command: "apply".to_owned(),
            environment: "demo".parse().unwrap(),
            who: "ada@laptop".to_owned(),
            tool: "provision 0.1.0".to_owned(),
        };
        let begun: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let mut recorder = Recorder::new(whose, 7, begun);
        for (millis, event) in a_run() {
            recorder.event(millis, &event);
        }
        recorder
    }

    #[test]
    fn a_run_is_recorded_with_what_it_waited_for() {
        let mut recorder = recorded();
        let ended = "2026-11-21T10:01:01Z".parse().unwrap();
        let error = Error {
            what: "stack.app failed".to_owned(),
            ..Error::default()
        };
        recorder.end(ended, Outcome::Failed, Some(error));
        let text = serde_json::to_string_pretty(recorder.record()).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), *recorder.record());
        insta::assert_snapshot!(text, @r#"
        {
          "version": 1,
          "number": 7,
          "command": "apply",
          "environment": "demo",
          "who": "ada@laptop",
          "tool": "provision 0.1.0",
          "begun": "2026-11-21T10:00:00Z",
          "ended": "2026-11-21T10:01:01Z",
          "result": "failed",
          "steps": [
            {
              "address": "machine.instance",
              "title": "create",
              "begun": 10,
              "ended": 42100,
              "waits": [
                {
                  "reason": "sshd at 127.77.0.1:22 (port 22 open, no ssh banner yet)",
                  "from": 200,
                  "until": 42100
                }
              ],
              "bytes": 0
            },
            {
              "address": "stack.app",
              "title": "deploy",
              "begun": 42100,
              "ended": 61000,
              "failed": "service `web` is unhealthy",
              "bytes": 78643200
            },
            {
              "address": "edge.caddy",
              "title": "deploy",
              "begun": null,
              "ended": null,
              "bytes": 0
            }
          ],
          "warnings": [
            {
              "at": 1000,
              "address": "machine.instance",
              "message": "no KVM here:\nthe machine runs under emulation"
            }
          ],
          "error": {
            "what": "stack.app failed"
          }
        }
        "#);
        assert_eq!(recorder.record().ending(), "failed at stack.app");
    }

    #[test]
    fn a_run_that_was_killed_did_not_end() {
        let recorder = recorded();
        assert_eq!(recorder.record().ending(), "did not end");
        assert_eq!(recorder.record().millis(), 61_000);
    }

    #[test]
    fn the_spans_of_waiting_are_bounded() {
        let mut recorder = recorded();
        let app: Address = Address::Edge;
        recorder.event(
            62_000,
            &Event::StepStarted {
                address: app.clone(),
                title: "deploy".to_owned(),
            },
        );
        for second in 0..1_000 {
            recorder.event(
                62_000 + second * 1_000,
                &Event::Waiting {
                    address: app.clone(),
                    reason: format!("part {second}"),
                },
            );
        }
        recorder.event(
            1_062_000,
            &Event::StepFinished {
                address: app,
                millis: 1_000_000,
            },
        );
        let step = &recorder.record().steps[2];
        assert_eq!((step.waits.len(), step.waited()), (WAITS, 1_000_000));
    }

    #[test]
    fn a_name_holds_its_number() {
        assert_eq!(Record::name(7), "history/0007.json");
        for number in [1, 9_999, 10_000] {
            assert_eq!(Record::number(&Record::name(number)), Some(number));
        }
        for other in ["history/x.json", "history/.tmp-0007.json-x", "backups/0007.json"] {
            assert_eq!(Record::number(other), None);
        }
    }
}
