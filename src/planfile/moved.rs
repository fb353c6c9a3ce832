//! What differs between a saved plan and one made now, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::{Basis, PlanFile};
use crate::names::Digest;

/// More differences of one kind than these are counted only.
const LISTED: usize = 12;

/// Values longer than this are cut for people.
const VALUE: usize = 60;

/// Every difference, a line each.
pub(super) fn moved(saved: &PlanFile, now: &PlanFile) -> Vec<String> {
    let PlanFile {
        format: _,
        version: _,
        written_by,
        created_at: _,
        environment,
        // What they come to is in what was rendered.
        file: _,
        vars: _,
        mode: _,
        made_from:
            Basis {
                lineage,
                serial,
                files,
                rendered,
                observed,
            },
        plan,
    } = saved;
    let basis = &now.made_from;
    if (environment, lineage) != (&now.environment, &basis.lineage) {
        // The rest would follow from it.
        return vec![format!(
            "the environment: the plan is for {environment} of lineage {}, here is {} of lineage {}",
            lineage.short(),
            now.environment,
            basis.lineage.short()
        )];
    }
    let mut moved = Vec::new();
    if *serial != basis.serial {
        let was = |serial: u64| match serial {
            0 => "there was none".to_owned(),
            serial => format!("it had serial {serial}"),
        };
        let is = match basis.serial {
            0 => "there is none".to_owned(),
            serial => format!("it has serial {serial}"),
        };
        moved.push(format!("the state: {} when the plan was made, now {is}", was(*serial)));
    }
    list(&mut moved, digests(files, &basis.files, "changed", "new", "gone"));
    if files == &basis.files {
        // What follows from a changed file is not said twice.
        let by = match *written_by == now.written_by {
            true => String::new(),
            false => format!(" (the plan was made by {written_by}, this is {})", now.written_by),
        };
        let words = digests(
            rendered,
            &basis.rendered,
            "is rendered otherwise",
            "is rendered too",
            "is rendered no more",
        );
        list(&mut moved, words.into_iter().map(|line| line + &by).collect());
    }
    list(&mut moved, observed_differences(&observed.0, &basis.observed.0));
    if moved.is_empty() && (&plan.steps, &plan.look_again) != (&now.plan.steps, &now.plan.look_again) {
        let (before, after) = (steps(saved), steps(now));
        let differ: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let differ = differ
            .into_iter()
            .filter(|address| before.get(*address) != after.get(*address));
        let differ: Vec<&str> = differ.map(String::as_str).collect();
        moved.push(match differ.as_slice() {
            [] => "the order of the steps".to_owned(),
            differ => format!("the plan itself: {} would be done otherwise now", differ.join(", ")),
        });
    }
    if moved.is_empty() && plan.refusals != now.plan.refusals {
        moved.extend(
            now.plan
                .refusals
                .iter()
                .map(|refusal| format!("refused now: {refusal}")),
        );
    }
    moved
}

fn steps(file: &PlanFile) -> BTreeMap<String, &crate::plan::Change> {
    let steps = file.plan.steps.iter();
    steps.map(|step| (step.address.to_string(), &step.change)).collect()
}

fn list(moved: &mut Vec<String>, mut lines: Vec<String>) {
    let more = lines.len().saturating_sub(LISTED);
    lines.truncate(LISTED);
    moved.append(&mut lines);
    if more > 0 {
        moved.push(format!("and {more} more like these"));
    }
}

fn digests<K: Ord + Display>(
    before: &BTreeMap<K, Digest>,
    after: &BTreeMap<K, Digest>,
    changed: &str,
    new: &str,
    gone: &str,
) -> Vec<String> {
    let names: BTreeSet<&K> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| match (before.get(name), after.get(name)) {
            (Some(before), Some(after)) if before == after => None,
            (Some(_), Some(_)) => Some(format!("{name}: {changed}")),
            (None, _) => Some(format!("{name}: {new}")),
            (_, None) => Some(format!("{name}: {gone}")),
        })
        .collect()
}

type Values = BTreeMap<String, String>;

fn observed_differences(before: &BTreeMap<String, Values>, after: &BTreeMap<String, Values>) -> Vec<String> {
    let mut lines = Vec::new();
    let addresses: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for address in addresses {
        match (before.get(address), after.get(address)) {
            (None, _) => lines.push(format!("{address}: is there, and was not")),
            (_, None) => lines.push(format!("{address}: is gone")),
            (Some(before), Some(after)) => {
                let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
                for name in names {
                    match (before.get(name), after.get(name)) {
                        (Some(before), Some(after)) if before == after => {}
                        (Some(before), Some(after)) => {
                            lines.push(format!("{address}: {name} was {}, is {}", cut(before), cut(after)));
                        }
                        (None, value) => lines.push(format!("{address}: {name} is new{}", shown(value))),
                        (value, None) => lines.push(format!("{address}: {name} is gone{}", shown(value))),
                    }
                }
            }
        }
    }
    lines
}

fn shown(value: Option<&String>) -> String {
    match value.map(|value| cut(value)) {
        Some(value) if !value.is_empty() => format!(" ({value})"),
        _ => String::new(),
    }
}

fn cut(value: &str) -> String {
    match value.chars().count() > VALUE {
        true => format!("{}…", value.chars().take(VALUE).collect::<String>()),
        false => value.to_owned(),
    }
}
