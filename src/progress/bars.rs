//! Events as a step list that moves, for a person at a terminal.
//!
//! Every step is one line that is drawn anew from its state and cut to the terminal's width at that moment, so that no
//! line ever wraps. Warnings and the output of a failed step scroll away above the list.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use console::{Style, truncate_str};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::words::{Tail, clean, one_line, size, summary, time};
use crate::apply::event::Event;
use crate::names::Address;

/// How often a running step is drawn.
const TICK: Duration = Duration::from_millis(100);

const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// Cells of the bar of a transfer.
const CELLS: usize = 20;

/// Terminals narrower than this get no such bar.
const ROOM_FOR_CELLS: usize = 80;

/// A step list that moves.
pub struct Bars {
    list: MultiProgress,
    width: Arc<dyn Fn() -> usize + Send + Sync>,
    paint: Paint,
    steps: BTreeMap<Address, (ProgressBar, Arc<Mutex<Step>>)>,
}

impl fmt::Debug for Bars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bars")
    }
}

#[derive(Clone)]
struct Paint {
    good: Style,
    bad: Style,
    busy: Style,
    warn: Style,
    dim: Style,
}

/// What is known about one step.
struct Step {
    name: String,
    /// Columns of the longest address, so that titles stand below each other.
    align: usize,
    title: String,
    status: Status,
    tail: Tail,
}

enum Status {
    Pending,
    Running { since: Instant, doing: Doing },
    Done { took: Duration },
    Failed { message: String },
}

enum Doing {
    Work,
    Waiting(String),
    Said(String),
    Transfer {
        since: Instant,
        done: u64,
        total: Option<u64>,
    },
}

impl Bars {
    /// On a terminal whose width in columns `width` tells whenever it is asked.
    pub fn new(terminal: ProgressDrawTarget, width: impl Fn() -> usize + Send + Sync + 'static, color: bool) -> Self {
        let style = || Style::new().for_stderr().force_styling(color);
        Self {
            list: MultiProgress::with_draw_target(terminal),
            width: Arc::new(width),
            paint: Paint {
                good: style().green(),
                bad: style().red().bold(),
                busy: style().cyan(),
                warn: style().yellow(),
                dim: style().dim(),
            },
            steps: BTreeMap::new(),
        }
    }

    /// Shows one event.
    pub fn handle(&mut self, event: &Event) {
        match event {
            Event::Started { steps } => {
                let align = steps
                    .iter()
                    .map(|step| step.address.to_string().len())
                    .max()
                    .unwrap_or(0);
                for step in steps {
                    self.add(&step.address, &step.title, align);
                }
            }
            Event::StepStarted { address, title } => {
                let bar = self.change(address, |step| {
                    step.title = one_line(title);
                    step.status = Status::Running {
                        since: Instant::now(),
                        doing: Doing::Work,
                    };
                });
                bar.enable_steady_tick(TICK);
            }
            Event::Waiting { address, reason } => self.doing(address, Doing::Waiting(one_line(reason))),
            Event::Bytes { address, done, total } => {
                let (done, total) = (*done, *total);
                self.change(address, |step| {
                    if let Status::Running { doing, .. } = &mut step.status {
                        let since = match doing {
                            // A smaller count is another transfer.
                            Doing::Transfer {
                                since, done: before, ..
                            } if *before <= done => *since,
                            _ => Instant::now(),
                        };
                        *doing = Doing::Transfer { since, done, total };
                    }
                });
            }
            Event::Line { address, line } => {
                self.change(address, |step| step.tail.add(line));
                self.doing(address, Doing::Said(one_line(line)));
            }
            Event::Warning { address, message } => {
                let about = address
                    .as_ref()
                    .map(|address| format!("{address}: "))
                    .unwrap_or_default();
                self.above(&format!(
                    "{} {about}{}",
                    self.paint.warn.apply_to("warning:"),
                    clean(message)
                ));
            }
            Event::StepFinished { address, millis } => {
                let took = Duration::from_millis(*millis);
                self.change(address, |step| step.status = Status::Done { took })
                    .abandon();
            }
            Event::StepFailed { address, message } => {
                let mut lines = Vec::new();
                let bar = self.change(address, |step| {
                    lines.extend(step.tail.lines().map(|line| format!("{} | {line}", step.name)));
                    step.status = Status::Failed {
                        message: one_line(message),
                    };
                });
                bar.abandon();
                for line in lines {
                    self.above(&self.paint.dim.apply_to(line).to_string());
                }
            }
            Event::Finished { done, left, millis } => {
                for (bar, _) in self.steps.values() {
                    bar.abandon();
                }
                let end = self.list.add(ProgressBar::no_length());
                end.set_style(one_message());
                end.abandon_with_message(summary(*done, *left, *millis));
            }
        }
    }

    /// Takes the list off the screen meanwhile.
    pub fn suspend<R>(&mut self, during: impl FnOnce() -> R) -> R {
        self.list.suspend(during)
    }

    fn above(&self, text: &str) {
        let _ = self.list.println(text);
    }

    fn doing(&mut self, address: &Address, now: Doing) {
        self.change(address, |step| {
            if let Status::Running { doing, .. } = &mut step.status {
                *doing = now;
            }
        });
    }

    /// Changes what is known of a step and draws it. One that was not announced joins the end of the list.
    fn change(&mut self, address: &Address, change: impl FnOnce(&mut Step)) -> ProgressBar {
        if !self.steps.contains_key(address) {
            let align = self.steps.values().next().map_or(0, |(_, step)| lock(step).align);
            self.add(address, "", align);
        }
        match self.steps.get(address) {
            Some((bar, step)) => {
                change(&mut lock(step));
                bar.tick();
                bar.clone()
            }
            // It was added just now.
            None => ProgressBar::hidden(),
        }
    }

    fn add(&mut self, address: &Address, title: &str, align: usize) {
        let step = Arc::new(Mutex::new(Step {
            name: address.to_string(),
            align,
            title: one_line(title),
            status: Status::Pending,
            tail: Tail::default(),
        }));
        let bar = self.list.add(ProgressBar::no_length());
        let (shown, width, paint) = (Arc::clone(&step), Arc::clone(&self.width), self.paint.clone());
        bar.set_style(
            ProgressStyle::with_template("{step}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner())
                .with_key("step", move |_: &ProgressState, to: &mut dyn fmt::Write| {
                    let columns = width().max(8) - 1;
                    let line = line(&lock(&shown), &paint, columns);
                    let _ = to.write_str(&truncate_str(&line, columns, "…"));
                }),
        );
        bar.tick();
        self.steps.insert(address.clone(), (bar, step));
    }
}

fn one_message() -> ProgressStyle {
    ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn lock(step: &Mutex<Step>) -> std::sync::MutexGuard<'_, Step> {
    step.lock().unwrap_or_else(PoisonError::into_inner)
}

fn line(step: &Step, paint: &Paint, columns: usize) -> String {
    let Step {
        name,
        align,
        title,
        status,
        tail: _,
    } = step;
    let what = format!("{name:align$}  {title}");
    match status {
        Status::Pending => format!("  {}", paint.dim.apply_to(format!("· {what}"))),
        Status::Done { took } => {
            let took = paint.dim.apply_to(time(*took));
            format!("  {} {what}  {took}", paint.good.apply_to("✓"))
        }
        Status::Failed { message } => format!("  {} {what}  {}", paint.bad.apply_to("✗"), paint.bad.apply_to(message)),
        Status::Running { since, doing } => {
            let elapsed = since.elapsed();
            let frame = FRAMES[elapsed.as_millis() as usize / 100 % FRAMES.len()];
            let head = format!("  {} {what}  {}", paint.busy.apply_to(frame), time(elapsed));
            match doing {
                Doing::Work => head,
                Doing::Waiting(reason) => format!("{head}  {}", paint.dim.apply_to(format!("waiting for {reason}"))),
                Doing::Said(line) => format!("{head}  {}", paint.dim.apply_to(line)),
                Doing::Transfer { since, done, total } => {
                    format!("{head}  {}", transfer(since.elapsed(), *done, *total, columns, paint))
                }
            }
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "for show"
)]
fn transfer(elapsed: Duration, done: u64, total: Option<u64>, columns: usize, paint: &Paint) -> String {
    // The first moments give no rate.
    let rate = match elapsed.as_secs_f64() {
        seconds if seconds >= 0.5 => format!("  {}/s", size((done as f64 / seconds) as u64)),
        _ => String::new(),
    };
    let Some(total) = total.filter(|total| *total > 0) else {
        return format!("{}{rate}", size(done));
    };
    let cells = if columns >= ROOM_FOR_CELLS {
        let full = (CELLS as u64 * done.min(total) / total) as usize;
        let bar = paint.busy.apply_to("━".repeat(full));
        format!("{bar}{}  ", paint.dim.apply_to("─".repeat(CELLS - full)))
    } else {
        String::new()
    };
    format!("{cells}{} of {}{rate}", size(done), size(total))
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;

    use super::*;
    use crate::progress::plain::tests::a_run;

    fn screen(columns: u16, until: usize) -> String {
        let terminal = InMemoryTerm::new(12, columns);
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let mut bars = Bars::new(target, move || usize::from(columns), false);
        for (_, event) in a_run().into_iter().take(until) {
            bars.handle(&event);
        }
        // A running step is drawn by its ticker only.
        for (bar, _) in bars.steps.values() {
            bar.force_draw();
        }
        terminal.contents()
    }

    /// Without what depends on the moment: the spinner's frame, and what a running step has taken until it was drawn.
    fn steady(text: &str) -> String {
        let lines = text.lines().map(|line| {
            let Some(frame) = FRAMES.iter().find(|frame| line.trim_start().starts_with(**frame)) else {
                return line.to_owned();
            };
            let line = line.replacen(frame, "⠋", 1);
            match line.split_once("  0.") {
                Some((head, tail)) => format!("{head}  0.0{}", &tail[1..]),
                None => line,
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_machine_that_boots() {
        insta::assert_snapshot!(steady(&screen(100, 7)), @r"
        warning: machine.instance: no KVM here:
        the machine runs under emulation
          ⠋ machine.instance  create  0.0s  waiting for sshd at 127.77.0.1:22 (port 22 open, no ssh banner…
          · stack.app         deploy
          · edge.caddy        deploy
        ");
    }

    #[test]
    fn a_transfer() {
        insta::assert_snapshot!(steady(&screen(100, 11)), @r"
        warning: machine.instance: no KVM here:
        the machine runs under emulation
          ✓ machine.instance  create  42.1s
          ⠋ stack.app         deploy  0.0s  ━━━━━━━━━━──────────  50.0 MiB of 100.0 MiB
          · edge.caddy        deploy
        ");
    }

    #[test]
    fn a_run_that_failed() {
        insta::assert_snapshot!(steady(&screen(100, 99)), @r"
        warning: machine.instance: no KVM here:
        the machine runs under emulation
        stack.app | Container app-web-1  Unhealthy
          ✓ machine.instance  create  42.1s
          ✗ stack.app         deploy  service `web` is unhealthy
          · edge.caddy        deploy
        1 step done, 2 left after 61.0s
        ");
    }

    #[test]
    fn a_narrow_terminal_is_no_mess() {
        let text = steady(&screen(30, 99));
        insta::assert_snapshot!(text, @r"
        warning: machine.instance: no
        KVM here:
        the machine runs under emulati
        on
        stack.app | Container app-web-
        1  Unhealthy
          ✓ machine.instance  create…
          ✗ stack.app         deploy…
          · edge.caddy        deploy
        1 step done, 2 left after 61.0
        ");
        assert!(text.lines().all(|line| line.chars().count() <= 30));
    }
}
