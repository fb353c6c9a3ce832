//! Records as people read them.

use std::time::Duration;

use comfy_table::{Table, presets};

use super::{Record, Standing, Step};
use crate::progress::words::{size, time};

/// One line a run, the newest last: it is the one that is looked for, and a terminal ends there.
pub fn runs(records: &[Record]) -> String {
    let mut table = table(["#", "when", "who", "command", "result", "steps", "took"]);
    for record in records {
        table.add_row([
            record.number.to_string(),
            record.begun.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            record.who.clone(),
            record.command.clone(),
            record.ending(),
            match (record.done(), record.steps.len()) {
                (done, all) if done == all => all.to_string(),
                (done, all) => format!("{done} of {all}"),
            },
            took(record.millis()),
        ]);
    }
    trimmed(&table)
}

/// One run: its head, a line a step, its warnings and what went wrong.
pub fn one(record: &Record) -> String {
    let mut table = table(["step", "what", "begun at", "took", "waited", "sent", "result"]);
    for step in &record.steps {
        let waited = Some(step.waited()).filter(|waited| *waited > 0);
        table.add_row([
            step.address.to_string(),
            step.title.clone(),
            step.begun.map(took).unwrap_or_default(),
            step.millis().map(took).unwrap_or_default(),
            waited.map(took).unwrap_or_default(),
            Some(step.bytes)
                .filter(|bytes| *bytes > 0)
                .map(size)
                .unwrap_or_default(),
            standing(step).to_owned(),
        ]);
    }
    let mut text = format!(
        "{} of {} by {} with {}\nbegun {}, {} after {}\n\n{}",
        record.command,
        record.environment,
        record.who,
        record.tool,
        record.begun.strftime("%Y-%m-%d %H:%M:%SZ"),
        record.ending(),
        took(record.millis()),
        trimmed(&table)
    );
    for step in &record.steps {
        for wait in &step.waits {
            let lasted = took(wait.until.saturating_sub(wait.from));
            text.push_str(&format!("{}: waited {lasted} for {}\n", step.address, wait.reason));
        }
    }
    for warning in &record.warnings {
        let about = warning
            .address
            .as_ref()
            .map(|address| format!("{address}: "))
            .unwrap_or_default();
        text.push_str(&format!("warning: {about}{}\n", warning.message));
    }
    if let Some(error) = &record.error {
        text.push_str(&format!("error: {}\n", error.what));
        for because in &error.because {
            text.push_str(&format!("  because: {because}\n"));
        }
    }
    text
}

fn standing(step: &Step) -> &str {
    match step.standing() {
        Standing::NotBegun => "not begun",
        Standing::Open => "did not end",
        Standing::Done => "done",
        Standing::Failed => "failed",
    }
}

fn table<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head);
    table
}

fn trimmed(table: &Table) -> String {
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn took(millis: u64) -> String {
    time(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::recorder::tests::recorded;
    use crate::progress::stream::Outcome;

    #[test]
    fn runs_and_one_of_them() {
        let mut killed = recorded().record().clone();
        (killed.number, killed.who) = (6, "ci@runner-17".to_owned());
        let mut recorder = recorded();
        recorder.end("2026-11-21T10:01:01.2Z".parse().unwrap(), Outcome::Failed, None);
        let failed = recorder.record().clone();
        insta::assert_snapshot!(runs(&[killed, failed.clone()]), @r"
        #  when                  who           command  result               steps   took
        6  2026-11-21 10:00:00Z  ci@runner-17  apply    did not end          1 of 3  61.0s
        7  2026-11-21 10:00:00Z  ada@laptop    apply    failed at stack.app  1 of 3  61.2s
        ");
        insta::assert_snapshot!(one(&failed), @r"
        apply of demo by ada@laptop with provision 0.1.0
        begun 2026-11-21 10:00:00Z, failed at stack.app after 61.2s

         step              what    begun at  took   waited  sent      result
         machine.instance  create  0.0s      42.1s  41.9s             done
         stack.app         deploy  42.1s     18.9s          75.0 MiB  failed
         edge.caddy        deploy                                     not begun
        machine.instance: waited 41.9s for sshd at 127.77.0.1:22 (port 22 open, no ssh banner yet)
        warning: machine.instance: no KVM here:
        the machine runs under emulation
        ");
    }
}
