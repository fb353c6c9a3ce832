//! A record as a waterfall: one bar a step, over time. An SVG without scripts that is legible on a light and on a dark page.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Record, Standing, Step, Wait};
use crate::progress::words::{one_line, time};
use crate::svg::{columns, round};

/// Pixels. The picture is as wide as a page's column, and as high as it has steps.
const WIDTH: f64 = 960.0;
const MARGIN: f64 = 24.0;
const HEAD: f64 = 76.0;
const ROW: f64 = 26.0;
/// A second line below a bar, for what was waited for.
const CAPTION: f64 = 15.0;
const BAR: f64 = 14.0;
const FOOT: f64 = 56.0;
/// Room right of the last bar for how long it took.
const TAIL: f64 = 64.0;

/// About as wide is a character of 12 and of 10 pixels in the fonts that are usual.
const LETTER: f64 = 6.7;
const SMALL_LETTER: f64 = 5.5;

/// Longer names are cut.
const LONGEST_NAME: usize = 34;

/// A wait is named when it took this part of the run. All are named when they are pointed at.
const WORTH_NAMING: f64 = 0.03;

/// As many marks has the axis at most.
const MARKS: u64 = 8;

/// Colours for a light page, and for a dark one where the viewer says that it is dark.
const STYLE: &str = "
text { font-family: system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif; font-size: 12px; fill: #1f2328 }
.page { fill: #ffffff; stroke: #d1d9e0 } .title { font-size: 15px; font-weight: 600 } .dim { fill: #59636e } .small { font-size: 10px; fill: #59636e }
.grid { stroke: #d1d9e0 } .done { fill: #2f81f7 } .failed { fill: #cf222e } .open { fill: #9a6700 }
.bad { fill: #cf222e } .hatch { stroke: #ffffff; stroke-width: 3; stroke-opacity: 0.6 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .page { fill: #151b23; stroke: #3d444d } .dim, .small { fill: #9198a1 } .grid { stroke: #3d444d }
.failed { fill: #f85149 } .bad { fill: #f85149 } .open { fill: #d29922 } .hatch { stroke: #151b23 }
}
";

/// Where the bars are.
struct Scale {
    left: f64,
    width: f64,
    millis: u64,
}

impl Scale {
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    fn x(&self, at: u64) -> f64 {
        self.left + self.width * (at as f64 / self.millis as f64)
    }
}

/// Draws one run.
pub fn svg(record: &Record) -> String {
    let end = record.millis().max(1);
    let names = record
        .steps
        .iter()
        .map(|step| cut(&step.address.to_string(), LONGEST_NAME).chars().count());
    let left = MARGIN + names.max().map_or(0.0, |longest| columns(longest) * LETTER) + 14.0;
    let scale = Scale {
        left,
        width: WIDTH - left - MARGIN - TAIL,
        millis: end,
    };
    let mut rows = String::new();
    let mut y = HEAD;
    for step in &record.steps {
        y += row(&mut rows, step, y, &scale, end);
    }
    let bottom = y + 4.0;
    let height = bottom + FOOT;

    let mut out = String::new();
    let title = format!(
        "{} of {}, {} after {}",
        record.command,
        record.environment,
        record.ending(),
        took(end)
    );
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">"
    );
    let _ = writeln!(out, "<title>{}</title>", text(&title));
    let _ = writeln!(out, "<style>{STYLE}</style>");
    out.push_str(
        "<defs><pattern id=\"waiting\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
         <path class=\"hatch\" d=\"M 2 0 V 7\"/></pattern></defs>\n",
    );
    let _ = writeln!(
        out,
        "<rect class=\"page\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\"/>",
        WIDTH - 1.0,
        height - 1.0
    );
    let _ = writeln!(
        out,
        "<text class=\"title\" x=\"{MARGIN}\" y=\"30\">{}</text>",
        text(&title)
    );
    let about = format!(
        "run {}, {}, {}, {}",
        record.number,
        record.begun.strftime("%Y-%m-%d %H:%M:%S UTC"),
        record.who,
        record.tool
    );
    let _ = writeln!(
        out,
        "<text class=\"dim\" x=\"{MARGIN}\" y=\"50\">{}</text>",
        text(&about)
    );
    axis(&mut out, &scale, bottom);
    out.push_str(&rows);
    legend(&mut out, record, height - 16.0);
    out.push_str("</svg>\n");
    out
}

/// One step; tells how high it is.
fn row(out: &mut String, step: &Step, y: f64, scale: &Scale, end: u64) -> f64 {
    let name = step.address.to_string();
    let baseline = y + BAR - 2.5;
    let _ = writeln!(out, "<g class=\"step\">");
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{baseline}\" text-anchor=\"end\">{}</text>",
        round(scale.left - 10.0),
        text(&cut(&name, LONGEST_NAME))
    );
    let standing = step.standing();
    let Some(begun) = step.begun else {
        let x = round(scale.left + 6.0);
        let _ = writeln!(
            out,
            "<text class=\"dim\" x=\"{x}\" y=\"{baseline}\">{}, not begun</text>\n</g>",
            text(&step.title)
        );
        return ROW;
    };
    let (class, word) = match standing {
        Standing::Failed => ("failed", ", failed"),
        Standing::Open | Standing::NotBegun => ("open", ", did not end"),
        Standing::Done => ("done", ""),
    };
    let until = step.ended.unwrap_or(end);
    let lasted = took(until.saturating_sub(begun));
    let (from, to) = (scale.x(begun), scale.x(until));
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{}\" y=\"{y}\" width=\"{}\" height=\"{BAR}\" rx=\"2\"><title>{}</title></rect>",
        round(from),
        round((to - from).max(2.0)),
        text(&format!("{name}: {} in {lasted}{word}", step.title))
    );
    for wait in &step.waits {
        let (from, to) = (scale.x(wait.from), scale.x(wait.until));
        let _ = writeln!(
            out,
            "<rect fill=\"url(#waiting)\" x=\"{}\" y=\"{y}\" width=\"{}\" height=\"{BAR}\"><title>{}</title></rect>",
            round(from),
            round(to - from),
            text(&waited(wait))
        );
    }
    let _ = writeln!(
        out,
        "<text class=\"{}\" x=\"{}\" y=\"{baseline}\">{lasted}</text>",
        if standing == Standing::Done { "dim" } else { "bad" },
        round(to.max(from + 2.0) + 6.0)
    );
    let height = match caption(step, end) {
        None => ROW,
        Some(words) => {
            // From the beginning of the bar where there is room, else up to the edge of the picture.
            let edge = WIDTH - MARGIN;
            let words = cut(&words, letters((edge - scale.left) / SMALL_LETTER));
            let (x, anchor) = match from + columns(words.chars().count()) * SMALL_LETTER <= edge {
                true => (from, "start"),
                false => (edge, "end"),
            };
            let _ = writeln!(
                out,
                "<text class=\"small\" x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
                round(x),
                y + BAR + 11.0,
                text(&words)
            );
            ROW + CAPTION
        }
    };
    out.push_str("</g>\n");
    height
}

/// What is written below a bar: why it failed, else its longest wait.
fn caption(step: &Step, end: u64) -> Option<String> {
    if let Some(failed) = &step.failed {
        return Some(failed.clone());
    }
    let lasted = |wait: &&Wait| wait.until.saturating_sub(wait.from);
    let longest = step.waits.iter().max_by_key(lasted)?;
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = lasted(&longest) as f64 / end as f64;
    (share >= WORTH_NAMING).then(|| waited(longest))
}

fn waited(wait: &Wait) -> String {
    format!(
        "waited {} for {}",
        took(wait.until.saturating_sub(wait.from)),
        wait.reason
    )
}

fn axis(out: &mut String, scale: &Scale, bottom: f64) {
    let step = mark_every(scale.millis);
    let mut at = 0;
    while at <= scale.millis {
        let x = round(scale.x(at));
        let _ = writeln!(out, "<path class=\"grid\" d=\"M {x} {} V {}\"/>", HEAD - 8.0, bottom);
        let _ = writeln!(
            out,
            "<text class=\"small\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            bottom + 13.0,
            mark(at, step)
        );
        at += step;
    }
}

/// A round number of milliseconds, so that there are few marks.
fn mark_every(millis: u64) -> u64 {
    const SECOND: u64 = 1_000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    let steps = [1, 2, 5, 10, 20, 50, 100, 200, 500]
        .into_iter()
        .chain([1, 2, 5, 10, 15, 30].map(|n| n * SECOND))
        .chain([1, 2, 5, 10, 15, 30].map(|n| n * MINUTE))
        .chain([1, 2, 3, 6, 12].map(|n| n * HOUR));
    let days = (1..).map(|n| n * 24 * HOUR);
    let fits = |step: &u64| millis / step <= MARKS;
    steps.chain(days).find(fits).unwrap_or(millis)
}

/// `0`, `30s`, `2m`, `2m 30s`, `1h 30m`, as exact as marks lie apart.
fn mark(at: u64, step: u64) -> String {
    let (hours, minutes, seconds) = (at / 3_600_000, at / 60_000 % 60, at / 1_000 % 60);
    if at == 0 {
        return "0".to_owned();
    }
    if step < 1_000 {
        return format!("{at}ms");
    }
    let parts = [(hours, "h"), (minutes, "m"), (seconds, "s")];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n}{unit}"))
        .collect();
    parts.join(" ")
}

/// Of what is in this picture alone.
fn legend(out: &mut String, record: &Record, y: f64) {
    let has = |standing: Standing| record.steps.iter().any(|step| step.standing() == standing);
    let waits = record.steps.iter().any(|step| !step.waits.is_empty());
    let entries = [
        ("done", "done", has(Standing::Done)),
        ("failed", "failed", has(Standing::Failed)),
        ("open", "did not end", has(Standing::Open)),
        ("waiting", "waiting", waits),
    ];
    let mut x = MARGIN;
    for (class, word, _) in entries.into_iter().filter(|(.., shown)| *shown) {
        let base = if class == "waiting" { "done" } else { class };
        let _ = writeln!(
            out,
            "<rect class=\"{base}\" x=\"{x}\" y=\"{}\" width=\"18\" height=\"10\" rx=\"2\"/>",
            y - 9.0
        );
        if class == "waiting" {
            let _ = writeln!(
                out,
                "<rect fill=\"url(#waiting)\" x=\"{x}\" y=\"{}\" width=\"18\" height=\"10\"/>",
                y - 9.0
            );
        }
        let _ = writeln!(out, "<text class=\"small\" x=\"{}\" y=\"{y}\">{word}</text>", x + 24.0);
        x = round(x + 24.0 + columns(word.len()) * SMALL_LETTER + 22.0);
    }
}

fn took(millis: u64) -> String {
    time(Duration::from_millis(millis))
}

/// As many characters as fit, in one line.
fn cut(words: &str, most: usize) -> String {
    crate::svg::cut(&one_line(words), most)
}

/// Text as XML, in one line.
fn text(words: &str) -> String {
    crate::svg::text(&one_line(words))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of characters"
)]
fn letters(columns: f64) -> usize {
    columns.max(0.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::recorder::tests::recorded;
    use crate::names::Address;
    use crate::progress::stream::Outcome;
    use crate::svg::tests::well_formed;

    #[test]
    fn a_failed_run_is_drawn() {
        let mut recorder = recorded();
        recorder.end("2026-11-21T10:01:01.2Z".parse().unwrap(), Outcome::Failed, None);
        let svg = svg(recorder.record());
        well_formed(&svg);
        let (head, rest) = svg.split_once("<style>").unwrap();
        let (_, rest) = rest.split_once("</style>").unwrap();
        insta::assert_snapshot!(format!("{head}{rest}"), @r#"
        <svg xmlns="http://www.w3.org/2000/svg" width="960" height="244" viewBox="0 0 960 244" role="img">
        <title>apply of demo, failed at stack.app after 61.2s</title>

        <defs><pattern id="waiting" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path class="hatch" d="M 2 0 V 7"/></pattern></defs>
        <rect class="page" x="0.5" y="0.5" width="959" height="243" rx="6"/>
        <text class="title" x="24" y="30">apply of demo, failed at stack.app after 61.2s</text>
        <text class="dim" x="24" y="50">run 7, 2026-11-21 10:00:00 UTC, ada@laptop, provision 0.1.0</text>
        <path class="grid" d="M 145.2 68 V 188"/>
        <text class="small" x="145.2" y="201" text-anchor="middle">0</text>
        <path class="grid" d="M 264 68 V 188"/>
        <text class="small" x="264" y="201" text-anchor="middle">10s</text>
        <path class="grid" d="M 382.7 68 V 188"/>
        <text class="small" x="382.7" y="201" text-anchor="middle">20s</text>
        <path class="grid" d="M 501.5 68 V 188"/>
        <text class="small" x="501.5" y="201" text-anchor="middle">30s</text>
        <path class="grid" d="M 620.2 68 V 188"/>
        <text class="small" x="620.2" y="201" text-anchor="middle">40s</text>
        <path class="grid" d="M 739 68 V 188"/>
        <text class="small" x="739" y="201" text-anchor="middle">50s</text>
        <path class="grid" d="M 857.7 68 V 188"/>
        <text class="small" x="857.7" y="201" text-anchor="middle">1m</text>
        <g class="step">
        <text x="135.2" y="87.5" text-anchor="end">machine.instance</text>
        <rect class="done" x="145.3" y="76" width="499.9" height="14" rx="2"><title>machine.instance: create in 42.1s</title></rect>
        <rect fill="url(#waiting)" x="147.6" y="76" width="497.6" height="14"><title>waited 41.9s for sshd at 127.77.0.1:22 (port 22 open, no ssh banner yet)</title></rect>
        <text class="dim" x="651.2" y="87.5">42.1s</text>
        <text class="small" x="145.3" y="101" text-anchor="start">waited 41.9s for sshd at 127.77.0.1:22 (port 22 open, no ssh banner yet)</text>
        </g>
        <g class="step">
        <text x="135.2" y="128.5" text-anchor="end">stack.app</text>
        <rect class="failed" x="645.2" y="117" width="224.5" height="14" rx="2"><title>stack.app: deploy in 18.9s, failed</title></rect>
        <text class="bad" x="875.6" y="128.5">18.9s</text>
        <text class="small" x="645.2" y="142" text-anchor="start">service `web` is unhealthy</text>
        </g>
        <g class="step">
        <text x="135.2" y="169.5" text-anchor="end">edge.caddy</text>
        <text class="dim" x="151.2" y="169.5">deploy, not begun</text>
        </g>
        <rect class="done" x="24" y="219" width="18" height="10" rx="2"/>
        <text class="small" x="48" y="228">done</text>
        <rect class="failed" x="92" y="219" width="18" height="10" rx="2"/>
        <text class="small" x="116" y="228">failed</text>
        <rect class="done" x="171" y="219" width="18" height="10" rx="2"/>
        <rect fill="url(#waiting)" x="171" y="219" width="18" height="10"/>
        <text class="small" x="195" y="228">waiting</text>
        </svg>
        "#);
    }

    #[test]
    fn forty_steps_and_hostile_words_make_a_picture_of_the_same_width() {
        let mut record = recorded().record().clone();
        let mut step = record.steps[1].clone();
        step.failed = Some("<script>alert(\"1\")</script> & \u{1b}[31mred\u{0}\n".repeat(40));
        step.address = Address::Stack(format!("s{}", "o".repeat(38)).parse().unwrap());
        record.steps = vec![step; 40];
        let svg = svg(&record);
        well_formed(&svg);
        assert_eq!(svg.matches("<g class=\"step\">").count(), 40);
        assert!(!svg.contains("<script"));
        let right = svg
            .split(" x=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().parse::<f64>().unwrap());
        assert!(right.fold(0.0, f64::max) < WIDTH - 20.0);
    }

    #[test]
    fn a_run_of_no_time_and_no_steps_is_drawn() {
        let mut record = recorded().record().clone();
        record.steps.clear();
        well_formed(&svg(&record));
    }

    #[test]
    fn the_axis_has_few_round_marks() {
        for millis in [1, 7, 999, 61_000, 144_000, 3_700_000, 90_000_000, 900_000_000] {
            let step = mark_every(millis);
            assert!(millis / step <= MARKS, "{millis}: {step}");
        }
        let marks = [
            (0, 1_000),
            (30_000, 30_000),
            (150_000, 30_000),
            (5_400_000, 1_800_000),
            (250, 50),
        ];
        let marks = marks.map(|(at, step)| mark(at, step));
        assert_eq!(marks, ["0", "30s", "2m 30s", "1h 30m", "250ms"]);
    }
}
