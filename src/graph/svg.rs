//! The picture as SVG without scripts, legible on a light and on a dark page.

use std::fmt::Write as _;

use super::Picture;
use super::layout::{Card, Frame, Label, Layout, Line, Look, MARGIN, Size, layout};
use crate::svg::{columns, round, text};

/// Colours for a light page, and for a dark one where the viewer says that it is dark.
const STYLE: &str = "
text { font-family: system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif; font-size: 12px; fill: #1f2328 }
.page { fill: #ffffff; stroke: #d1d9e0 } .head { font-size: 15px; font-weight: 600 } .title { font-size: 13px; font-weight: 600 }
.small { font-size: 10px; fill: #59636e } .card { fill: #ffffff; stroke-width: 1.2 }
.frame { fill: none; stroke-width: 1.2; stroke-dasharray: 5 4 } .frame.private { fill: #f6f8fa }
.internet { fill: #fff1e5; stroke: #bc4c00; stroke-width: 1.6 } .public { stroke: #bc4c00 } .private { stroke: #6e7781 }
.row { fill: #f6f8fa; stroke: #d1d9e0 } .row.public { fill: #fff1e5; stroke: #fb8f44 } .row.private { fill: #ddf4ff; stroke: #54aeff }
.row.job { fill: #ffffff; stroke: #8c959f; stroke-dasharray: 4 3 } .row.volume { fill: #dafbe1; stroke: #4ac26b }
.line { fill: none; stroke: #6e7781; stroke-width: 1.2; stroke-dasharray: 5 3 } .line.public { stroke: #bc4c00; stroke-width: 1.6; stroke-dasharray: none }
.tip { fill: #6e7781 } .tip.public { fill: #bc4c00 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .page { fill: #151b23; stroke: #3d444d } .small { fill: #b0b9c2 } .card { fill: #0d1117 } .frame.private { fill: #1c232c }
.internet { fill: #3d1300; stroke: #f0883e } .public { stroke: #f0883e } .private { stroke: #9198a1 }
.row { fill: #1c232c; stroke: #3d444d } .row.public { fill: #3d1300; stroke: #bd561d } .row.private { fill: #0c2d6b; stroke: #1f6feb }
.row.job { fill: #0d1117; stroke: #9198a1 } .row.volume { fill: #04260f; stroke: #238636 }
.line { stroke: #9198a1 } .line.public { stroke: #f0883e } .tip { fill: #9198a1 } .tip.public { fill: #f0883e }
}
";

/// Draws an environment.
pub fn svg(picture: &Picture) -> String {
    let Layout {
        width,
        height,
        frames,
        cards,
        lines,
    } = layout(picture);
    let services: usize = picture.stacks.iter().map(|stack| stack.services.len()).sum();
    let routes = picture.edge.as_ref().map_or(0, |edge| edge.routes.len());
    let title = format!(
        "{}: {}, {}",
        picture.environment,
        count(services, "service"),
        count(routes, "public route")
    );
    let (width, height) = (round(width), round(height));
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">"
    );
    let _ = writeln!(out, "<title>{}</title>", text(&title));
    let _ = writeln!(out, "<style>{STYLE}</style>");
    let _ = writeln!(
        out,
        "<rect class=\"page\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\"/>",
        width - 1.0,
        height - 1.0
    );
    let _ = writeln!(
        out,
        "<text class=\"head\" x=\"{MARGIN}\" y=\"38\">{}</text>",
        text(&title)
    );
    frames.iter().for_each(|frame| self::frame(&mut out, frame));
    lines.iter().for_each(|line| self::line(&mut out, line));
    cards.iter().for_each(|card| self::card(&mut out, card));
    legend(&mut out, height - 16.0);
    out.push_str("</svg>\n");
    out
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn class(look: Look) -> &'static str {
    match look {
        Look::Internet => "internet",
        Look::Public => "public",
        Look::Private => "private",
        Look::Job => "job",
        Look::Volume => "volume",
    }
}

fn frame(out: &mut String, frame: &Frame) {
    rect(out, &format!("frame {}", class(frame.look)), frame.area, 8.0);
    label(out, &frame.title);
}

fn card(out: &mut String, card: &Card) {
    let look = match card.look {
        Look::Internet => "internet".to_owned(),
        other => format!("card {}", class(other)),
    };
    rect(
        out,
        &look,
        card.area,
        if card.look == Look::Internet { 16.0 } else { 6.0 },
    );
    label(out, &card.title);
    for row in &card.rows {
        rect(
            out,
            &format!("row {}", class(row.look)),
            row.area,
            if row.look == Look::Volume { 11.0 } else { 3.0 },
        );
        row.labels.iter().for_each(|own| label(out, own));
    }
}

fn rect(out: &mut String, class: &str, area: super::layout::Area, rx: f64) {
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{rx}\"/>",
        round(area.x),
        round(area.y),
        round(area.w),
        round(area.h)
    );
}

fn label(out: &mut String, label: &Label) {
    let class = match label.size {
        Size::Title => " class=\"title\"",
        Size::Normal => "",
        Size::Small => " class=\"small\"",
    };
    let whole = label
        .whole
        .as_ref()
        .map(|whole| format!("<title>{}</title>", text(whole)))
        .unwrap_or_default();
    let _ = writeln!(
        out,
        "<text{class} x=\"{}\" y=\"{}\">{}{whole}</text>",
        round(label.x),
        round(label.y),
        text(&label.text)
    );
}

/// Bends between columns, straight through them.
fn line(out: &mut String, line: &Line) {
    let mut points = line.points.iter().copied();
    let Some((mut x, mut y)) = points.next() else { return };
    let mut path = format!("M {} {}", round(x), round(y));
    for (at, (to_x, to_y)) in points.enumerate() {
        if at % 2 == 0 {
            let middle = round(f64::midpoint(x, to_x));
            let _ = write!(
                path,
                " C {middle} {} {middle} {} {} {}",
                round(y),
                round(to_y),
                round(to_x),
                round(to_y)
            );
        } else {
            let _ = write!(path, " L {} {}", round(to_x), round(to_y));
        }
        (x, y) = (to_x, to_y);
    }
    let public = if line.public { " public" } else { "" };
    let _ = writeln!(out, "<path class=\"line{public}\" d=\"{path}\"/>");
    let (x, y) = (round(x), round(y));
    let _ = writeln!(out, "<path class=\"tip{public}\" d=\"M {x} {y} l -7 -3.5 v 7 z\"/>");
}

fn legend(out: &mut String, y: f64) {
    let entries = [
        ("row public", "public"),
        ("row private", "private service"),
        ("row job", "job"),
        ("row volume", "volume"),
    ];
    let mut x = MARGIN;
    for (class, word) in entries {
        let area = super::layout::Area {
            x,
            y: y - 9.0,
            w: 18.0,
            h: 11.0,
        };
        rect(out, class, area, if class.ends_with("volume") { 5.5 } else { 3.0 });
        let _ = writeln!(
            out,
            "<text class=\"small\" x=\"{}\" y=\"{y}\">{word}</text>",
            round(x + 24.0)
        );
        x += 24.0 + columns(word.len()) * 6.0 + 20.0;
    }
    for (class, word) in [("line public", "requests"), ("line", "needs")] {
        let _ = writeln!(out, "<path class=\"{class}\" d=\"M {} {} h 22\"/>", round(x), y - 3.5);
        let _ = writeln!(
            out,
            "<text class=\"small\" x=\"{}\" y=\"{y}\">{word}</text>",
            round(x + 28.0)
        );
        x += 28.0 + columns(word.len()) * 6.0 + 20.0;
    }
}
