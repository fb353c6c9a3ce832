//! A plan as a comment of a pull request: what matters on top, diffs folded away, never longer than a comment may be.

use super::{Mode, PlanFile};
use crate::plan::{Change, DiffLine, Difference, Origin, OutlineStep, diff_lines};

/// GitHub refuses a comment that is longer (65,536 characters). Counted in bytes here, which are never fewer.
pub const COMMENT_MAX: usize = 65_536;

/// The most that the list of steps may take of it.
const TABLE_MAX: usize = COMMENT_MAX / 3;

/// The most that refusals and notes may take of it.
const TOP_MAX: usize = COMMENT_MAX / 8;

/// A line of a diff that is longer is cut.
const LINE_MAX: usize = 1000;

/// What is said of one step in the list is cut behind so many characters.
const CELL_MAX: usize = 120;

/// Below this a cut diff would say nothing.
const BLOCK_MIN: usize = 400;

/// Room for the words around a fold and about what was cut.
const BLOCK_FRAME: usize = 260;

/// The plan as Markdown.
pub fn markdown(file: &PlanFile) -> String {
    let outline = &file.plan;
    let mut text = format!("<!-- provision: {} -->\n", outline.environment);
    let what = match (&file.mode, outline.is_empty()) {
        (_, true) => outline.headline(),
        (Mode::Apply { .. }, false) => format!("{}: {}", outline.environment, outline.summary),
        (Mode::Destroy { .. }, false) => format!("destroy {}: {}", outline.environment, outline.summary),
    };
    text.push_str(&format!("### {what}\n"));
    let refusals = outline
        .refusals
        .iter()
        .map(|line| format!("**refused:** {}", escape(line)));
    let notes = outline.notes.iter().chain(&outline.look_again);
    let notes = notes.map(|line| format!("**note:** {}", escape(line)));
    let drift = outline.drift.iter().map(|drift| {
        let subjects: Vec<&str> = drift.differences.iter().map(|d| d.subject.as_str()).collect();
        let what = cut(&subjects.join(", "), CELL_MAX);
        let address = code(&drift.address.to_string());
        let fate = match drift.repaired {
            true => "",
            false => " (left as it is)",
        };
        format!("**changed outside:** {address}: {}{fate}", escape(&what))
    });
    let top: Vec<String> = refusals
        .chain(drift)
        .chain(notes)
        .map(|line| format!("- {line}\n"))
        .collect();
    if !top.is_empty() {
        text.push('\n');
        push_within(&mut text, &top, TOP_MAX, "notes");
    }
    if !outline.steps.is_empty() {
        text.push_str("\n| | address | what |\n|---|---|---|\n");
        let rows: Vec<String> = outline.steps.iter().map(row).collect();
        push_within(&mut text, &rows, TABLE_MAX, "steps");
    }
    let foot = format!(
        "\n<sub>Planned by {} at {}, from the state with serial {}.</sub>\n",
        escape(&file.written_by),
        file.created_at.strftime("%Y-%m-%d %H:%M UTC"),
        file.made_from.serial
    );
    let room = COMMENT_MAX.saturating_sub(text.len() + foot.len());
    text.push_str(&folds(&outline.steps, room));
    text.push_str(&foot);
    text
}

/// As many lines as fit, and a word about the others.
fn push_within(text: &mut String, lines: &[String], most: usize, what: &str) {
    let mut used = 0;
    for (index, line) in lines.iter().enumerate() {
        used += line.len();
        if used > most {
            text.push_str(&format!("\n{} more {what} are left out here.\n", lines.len() - index));
            return;
        }
        text.push_str(line);
    }
}

fn sign(change: &Change) -> &'static str {
    match change {
        Change::Create { .. } => "+",
        Change::Update { .. } => "~",
        Change::Replace { .. } => "±",
        Change::Delete { .. } => "-",
    }
}

/// One step in the list.
fn row(step: &OutlineStep) -> String {
    let pairs = |shown: &[(String, String)]| {
        let words: Vec<String> = shown.iter().map(|(name, value)| format!("{name} {value}")).collect();
        words.join(", ")
    };
    let subjects = |differences: &[Difference]| {
        let words: Vec<String> = differences.iter().map(subject).collect();
        words.join(", ")
    };
    let what = match &step.change {
        Change::Create { shown } => format!("add: {}", pairs(shown)),
        Change::Update { differences } => format!("change: {}", subjects(differences)),
        Change::Replace { because, .. } => format!("**replace**, because {because}"),
        Change::Delete { shown } => format!("**remove**: {}", pairs(shown)),
    };
    let (bold, rest) = match what.strip_prefix("**").and_then(|rest| rest.split_once("**")) {
        Some((word, rest)) => (format!("**{word}**"), rest),
        None => (String::new(), what.as_str()),
    };
    let what = cut(rest, CELL_MAX);
    format!(
        "| {} | {} | {bold}{} |\n",
        sign(&step.change),
        code(&step.address.to_string()),
        escape(&what)
    )
}

fn subject(difference: &Difference) -> String {
    match difference.origin {
        Origin::Files => difference.subject.clone(),
        Origin::Outside => format!("{} (drift)", difference.subject),
    }
}

/// The diffs of all steps, each folded away, in as many bytes as there are left: the longest are cut first.
fn folds(steps: &[OutlineStep], room: usize) -> String {
    let blocks: Vec<(&OutlineStep, Vec<String>)> = steps
        .iter()
        .map(|step| (step, diff(step)))
        .filter(|(_, lines)| !lines.is_empty())
        .collect();
    let cost = |lines: &[String]| BLOCK_FRAME + lines.iter().map(|line| line.len() + 1).sum::<usize>();
    let whole: Vec<usize> = blocks.iter().map(|(_, lines)| cost(lines)).collect();
    let most = fair(&whole, room);
    let mut text = String::new();
    let mut left_out = 0;
    for ((step, lines), whole) in blocks.iter().zip(whole) {
        if whole <= most {
            text.push_str(&fold(step, lines, None));
        } else if most < BLOCK_MIN {
            left_out += 1;
        } else {
            let mut used = BLOCK_FRAME;
            let kept = lines.iter().take_while(|line| {
                used += line.len() + 1;
                used <= most
            });
            let kept = kept.count();
            text.push_str(&fold(step, &lines[..kept], Some(lines.len() - kept)));
        }
    }
    if left_out > 0 {
        text.push_str(&format!(
            "\nThe details of {left_out} steps are left out: `provision show` prints the whole plan.\n"
        ));
    }
    text
}

/// The most that each may take so that all together take no more than `room`.
fn fair(wanted: &[usize], room: usize) -> usize {
    let mut sorted = wanted.to_vec();
    sorted.sort_unstable();
    let mut left = room.saturating_sub(BLOCK_FRAME);
    for (index, want) in sorted.iter().enumerate() {
        let share = left / (sorted.len() - index);
        if *want > share {
            return share;
        }
        left -= want;
    }
    usize::MAX
}

fn fold(step: &OutlineStep, lines: &[String], cut: Option<usize>) -> String {
    let fence = fence(lines);
    let mut text = format!(
        "\n<details><summary>{} <code>{}</code></summary>\n\n{fence}diff\n",
        sign(&step.change),
        html(&step.address.to_string())
    );
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(&fence);
    text.push('\n');
    if let Some(count) = cut {
        text.push_str(&format!(
            "\n{count} more lines are cut: `provision show` prints the whole plan.\n"
        ));
    }
    text.push_str("\n</details>\n");
    text
}

/// More backticks than any line begins with.
fn fence(lines: &[String]) -> String {
    let runs = lines.iter().flat_map(|line| line.split(|c| c != '`')).map(str::len);
    "`".repeat(runs.max().unwrap_or(0).max(2) + 1)
}

/// What a step changes, as lines of a diff.
fn diff(step: &OutlineStep) -> Vec<String> {
    let mut lines = Vec::new();
    match &step.change {
        Change::Create { shown } => {
            for (name, value) in shown {
                push(&mut lines, '+', &format!("{name}: {value}"));
            }
        }
        Change::Delete { shown } => {
            for (name, value) in shown {
                push(&mut lines, '-', &format!("{name}: {value}"));
            }
        }
        Change::Update { differences } | Change::Replace { differences, .. } => {
            for difference in differences {
                push_difference(&mut lines, difference);
            }
        }
    }
    lines
}

fn push_difference(lines: &mut Vec<String>, difference: &Difference) {
    let Difference { old, new, .. } = difference;
    let multiline = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\n'));
    let subject = subject(difference);
    if !multiline(old) && !multiline(new) {
        for (sign, text) in [('-', old), ('+', new)] {
            if let Some(text) = text {
                push(lines, sign, &format!("{subject}: {text}"));
            }
        }
        return;
    }
    let subject: String = subject.chars().filter(|c| !c.is_control()).collect();
    lines.push(format!("@@ {subject} @@"));
    for line in diff_lines(old.as_deref().unwrap_or(""), new.as_deref().unwrap_or("")) {
        match line {
            DiffLine::Gap => lines.push("@@ … @@".to_owned()),
            DiffLine::Same(text) => push(lines, ' ', &text),
            DiffLine::Gone(text) => push(lines, '-', &text),
            DiffLine::New(text) => push(lines, '+', &text),
        }
    }
}

fn push(lines: &mut Vec<String>, sign: char, text: &str) {
    for line in text.split('\n') {
        let line: String = line.chars().filter(|c| *c == '\t' || !c.is_control()).collect();
        lines.push(cut(&format!("{sign} {line}"), LINE_MAX));
    }
}

fn cut(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => format!("{}…", text.chars().take(most).collect::<String>()),
        false => text.to_owned(),
    }
}

/// A code span in a table.
fn code(text: &str) -> String {
    match text.contains(['`', '|', '\n']) {
        true => format!(
            "<code>{}</code>",
            html(text).replace('`', "&#96;").replace('|', "&#124;")
        ),
        false => format!("`{text}`"),
    }
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Text that means nothing to Markdown, HTML and GitHub: no table ends, no tag begins, and nobody is called by an `@`.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("@\u{200B}"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
