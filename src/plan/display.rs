//! The plan as a person reads it.

use std::fmt::Write as _;

use console::Style;
use similar::{ChangeTag, TextDiff};

use super::{Change, Difference, Drift, Origin, Outline, OutlineStep, Plan};

/// How wide a column of names gets: one that is longer stands out. What a file holds may be longer than anything can be padded to.
pub const WIDEST: usize = 48;

/// Colours, or none of them.
struct Paint {
    add: Style,
    change: Style,
    remove: Style,
    dim: Style,
    bold: Style,
}

impl Paint {
    fn new(color: bool) -> Self {
        let style = |style: Style| {
            if color {
                style.force_styling(true)
            } else {
                Style::new().force_styling(false)
            }
        };
        Self {
            add: style(Style::new().green()),
            change: style(Style::new().yellow()),
            remove: style(Style::new().red()),
            dim: style(Style::new().dim()),
            bold: style(Style::new().bold()),
        }
    }
}

/// Renders what changed outside, and nothing else of a plan: a block an address, then a summary of one line.
pub fn render_drift(plan: &Plan, color: bool) -> String {
    let paint = Paint::new(color);
    let mut out = String::new();
    let _ = write_drift(&mut out, &plan.drift, &paint);
    if let Some(reason) = plan.look_again {
        let _ = writeln!(out, "note: {reason}");
    }
    let summary = match plan.drift.len() {
        0 => format!("{}: nothing changed outside since the last apply.", plan.environment),
        count => format!(
            "{}: {count} changed outside; accepting it writes the state and nothing else.",
            plan.environment
        ),
    };
    let _ = writeln!(out, "{}", paint.bold.apply_to(summary));
    out
}

fn write_drift(out: &mut String, drift: &[Drift], paint: &Paint) -> std::fmt::Result {
    if drift.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "{}",
        paint
            .bold
            .apply_to("Changed outside of provision since the last apply:")
    )?;
    for drift in drift {
        let Drift {
            address,
            differences,
            repaired: _,
        } = drift;
        writeln!(out, "{} {}", paint.change.apply_to("!"), paint.bold.apply_to(address))?;
        for difference in differences {
            // All of it is drift: that need not stand at every line.
            let difference = Difference {
                origin: Origin::Files,
                ..difference.clone()
            };
            write_difference(out, &difference, paint)?;
        }
    }
    writeln!(out)
}

/// Renders a plan for a terminal or a log: what changed outside, a line or block a step, then a summary of one line.
pub fn render_plan(plan: &Plan, color: bool) -> String {
    render_outline(&Outline::from(plan), color)
}

/// As [`render_plan`], of a plan that was saved.
pub fn render_outline(plan: &Outline, color: bool) -> String {
    let paint = Paint::new(color);
    let mut out = String::new();
    let _ = write_drift(&mut out, &plan.drift, &paint);
    if !plan.drift.is_empty() && !plan.steps.is_empty() {
        let _ = writeln!(out, "{}", paint.bold.apply_to("What will be done:"));
    }
    for step in &plan.steps {
        let _ = write_step(&mut out, step, &paint);
    }
    for note in plan.notes.iter().chain(&plan.look_again) {
        let _ = writeln!(out, "note: {note}");
    }
    for refusal in &plan.refusals {
        let _ = writeln!(out, "{} {refusal}", paint.remove.apply_to("refused:"));
    }
    let _ = writeln!(out, "{}", paint.bold.apply_to(plan.headline()));
    out
}

fn write_step(out: &mut String, step: &OutlineStep, paint: &Paint) -> std::fmt::Result {
    let (sign, style) = match &step.change {
        Change::Create { .. } => ("+", &paint.add),
        Change::Update { .. } => ("~", &paint.change),
        Change::Replace { .. } => ("±", &paint.remove),
        Change::Delete { .. } => ("-", &paint.remove),
    };
    writeln!(out, "{} {}", style.apply_to(sign), paint.bold.apply_to(&step.address))?;
    match &step.change {
        Change::Create { shown } | Change::Delete { shown } => {
            let width = shown.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
            let width = width.min(WIDEST);
            for (name, value) in shown {
                writeln!(out, "    {name:width$}  {value}")?;
            }
        }
        Change::Update { differences } => {
            for difference in differences {
                write_difference(out, difference, paint)?;
            }
        }
        Change::Replace { because, differences } => {
            writeln!(out, "    because {because}")?;
            for difference in differences {
                write_difference(out, difference, paint)?;
            }
        }
    }
    Ok(())
}

fn write_difference(out: &mut String, difference: &Difference, paint: &Paint) -> std::fmt::Result {
    let Difference {
        subject,
        old,
        new,
        origin,
    } = difference;
    let drift = match origin {
        Origin::Files => "",
        Origin::Outside => " (drift)",
    };
    let multiline = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\n'));
    if multiline(old) || multiline(new) {
        writeln!(out, "    {subject}{drift}")?;
        return write_diff(out, old.as_deref().unwrap_or(""), new.as_deref().unwrap_or(""), paint);
    }
    let none = "(none)";
    writeln!(
        out,
        "    {subject}{}: {} → {}",
        paint.dim.apply_to(drift),
        old.as_deref().unwrap_or(none),
        new.as_deref().unwrap_or(none)
    )
}

/// One line of a diff, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffLine {
    /// Lines that are the same are left out here.
    Gap,
    /// In both.
    Same(String),
    /// In the old text alone.
    Gone(String),
    /// In the new text alone.
    New(String),
}

/// What differs between two texts, with three lines of context.
pub fn diff_lines(old: &str, new: &str) -> Vec<DiffLine> {
    let diff = TextDiff::from_lines(old, new);
    let mut lines = Vec::new();
    for (index, group) in diff.grouped_ops(3).iter().enumerate() {
        if index > 0 {
            lines.push(DiffLine::Gap);
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let text = change.value().trim_end_matches(['\n', '\r']).to_owned();
            lines.push(match change.tag() {
                ChangeTag::Delete => DiffLine::Gone(text),
                ChangeTag::Insert => DiffLine::New(text),
                ChangeTag::Equal => DiffLine::Same(text),
            });
        }
    }
    lines
}

fn write_diff(out: &mut String, old: &str, new: &str, paint: &Paint) -> std::fmt::Result {
    for line in diff_lines(old, new) {
        let (style, line) = match line {
            DiffLine::Gap => (&paint.dim, "…".to_owned()),
            DiffLine::Same(text) => (&paint.dim, format!("  {text}")),
            DiffLine::Gone(text) => (&paint.remove, format!("- {text}")),
            DiffLine::New(text) => (&paint.add, format!("+ {text}")),
        };
        writeln!(out, "      {}", style.apply_to(line))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Address;

    #[test]
    fn a_name_of_any_length_is_shown() {
        let shown = [("x".repeat(70_000), "1".to_owned()), ("y".to_owned(), "2".to_owned())];
        let step = OutlineStep {
            address: Address::MachineInstance,
            change: Change::Create { shown: shown.to_vec() },
        };
        let mut out = String::new();
        write_step(&mut out, &step, &Paint::new(false)).unwrap();
        assert!(out.contains("x  1\n") && out.contains(&format!("    y{}  2\n", " ".repeat(WIDEST - 1))));
    }
}
