//! `provision secrets list`: everything about secrets but their values.

use std::path::Path;

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde::Serialize;

use super::super::Failure;
use super::super::terminal::print;
use super::{Opened, users};
use crate::cli;
use crate::desired::Desired;
use crate::environment::secret::SecretEntry;
use crate::state::bundle::Maker;

/// One secret. Never holds a value.
#[derive(Serialize)]
struct Report {
    name: String,
    source: String,
    /// Whether the bundle has its value; none where it is kept elsewhere.
    kept: Option<bool>,
    /// Who made the value.
    by: Option<Maker>,
    /// Since when it has this value.
    since: Option<Timestamp>,
    /// How long a value before stays good, in seconds.
    retention_seconds: Option<i64>,
    /// The values before it that still hold.
    before: Vec<FormerReport>,
    used_by: Vec<UserReport>,
}

#[derive(Serialize)]
struct FormerReport {
    replaced: Timestamp,
    /// When it is dropped; none while the rotation has not been applied.
    until: Option<Timestamp>,
}

#[derive(Serialize)]
struct UserReport {
    stack: String,
    /// What a new value makes anew there.
    then: String,
}

/// Lists.
pub fn run(directory: &Path, args: &cli::SecretsList) -> Result<(), Failure> {
    let opened = Opened::read(directory, &args.environment)?;
    let desired = opened.desired()?;
    let now = Timestamp::now();
    let reports: Vec<Report> = opened
        .entries
        .iter()
        .map(|(name, entry)| report(&opened, &desired, name, entry, now))
        .collect();
    if args.json {
        let text =
            serde_json::to_string_pretty(&reports).map_err(|why| Failure::other("failed to write the list", why))?;
        return print(&format!("{text}\n"));
    }
    if reports.is_empty() {
        return print(&format!("{} has no secrets\n", opened.project.name));
    }
    print(&format!("{}\n", table(&reports, now)))
}

fn report(opened: &Opened, desired: &Desired, name: &str, entry: &SecretEntry, now: Timestamp) -> Report {
    let bundle = &opened.keyring.bundle;
    let kept = entry.source.is_kept().then(|| bundle.secrets.contains_key(name));
    let known = bundle.kept.get(name).filter(|_| kept == Some(true));
    let before = entry.retention.into_iter().flat_map(|retention| {
        bundle.former(name, retention, now).map(move |former| FormerReport {
            replaced: former.replaced,
            until: former.until(retention),
        })
    });
    Report {
        name: name.to_owned(),
        source: entry.source.words(),
        kept,
        by: known.map(|known| known.by),
        since: known.map(|known| known.since),
        retention_seconds: entry.retention.map(|retention| retention.as_secs()),
        before: before.collect(),
        used_by: users(desired, name)
            .into_iter()
            .map(|(stack, then)| UserReport { stack, then })
            .collect(),
    }
}

fn table(reports: &[Report], now: Timestamp) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["NAME", "SOURCE", "AGE", "USED BY", "ROTATION"]);
    for report in reports {
        let age = match (report.kept, report.since) {
            (Some(false), _) => "no value yet".to_owned(),
            (_, Some(since)) => age(since, now),
            (Some(true), None) => "unknown".to_owned(),
            (None, None) => "-".to_owned(),
        };
        let used: Vec<String> = report
            .used_by
            .iter()
            .map(|user| format!("{}: {}", user.stack, user.then))
            .collect();
        table.add_row([
            report.name.clone(),
            match report.by {
                Some(Maker::Set) if report.source.starts_with("generated") => format!("{}; set by hand", report.source),
                _ => report.source.clone(),
            },
            age,
            if used.is_empty() {
                "nobody".to_owned()
            } else {
                used.join("; ")
            },
            rotation(report),
        ]);
    }
    table
}

fn rotation(report: &Report) -> String {
    if report.retention_seconds.is_none() {
        return "-".to_owned();
    }
    let before: Vec<String> = report
        .before
        .iter()
        .map(|former| match former.until {
            Some(until) => format!("the value before holds until {until:.0}"),
            None => "the next apply brings it out".to_owned(),
        })
        .collect();
    if before.is_empty() {
        "side by side".to_owned()
    } else {
        before.join("; ")
    }
}

/// In the largest unit: nobody counts the minutes of a month.
fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
