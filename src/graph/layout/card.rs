//! One box with its words: how large it is, and where its lines meet it.

use super::NARROW;
use crate::svg::{columns, cut};

/// A card's title, a row's first line and each further one, and the space around a row.
const TITLE: f64 = 28.0;
const LINE: f64 = 17.0;
const SMALL_LINE: f64 = 14.0;
const ROW_PADDING: f64 = 5.0;
pub const INSET: f64 = 10.0;
/// Cards are no wider than this; longer words are cut.
const WIDE: f64 = 320.0;

/// How wide a letter of each size is at most, on average, in the fonts that are usual.
const LETTERS: [(Size, f64); 3] = [(Size::Title, 8.0), (Size::Normal, 7.4), (Size::Small, 6.2)];

/// How large a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Of a card or frame.
    Title,
    /// Of a row.
    Normal,
    /// Below it.
    Small,
}

/// A text and where it stands: left end of its baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// Pixels from the left.
    pub x: f64,
    /// Pixels from the top.
    pub y: f64,
    /// What is written.
    pub text: String,
    /// All of it, where it was cut.
    pub whole: Option<String>,
    /// How large.
    pub size: Size,
}

/// What something is, which decides how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    /// The outside.
    Internet,
    /// Reached from there.
    Public,
    /// Not reached from there.
    Private,
    /// A job.
    Job,
    /// Data.
    Volume,
}

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// Pixels from the left.
    pub x: f64,
    /// Pixels from the top.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

/// One line of a card, with its own box.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Where.
    pub area: Area,
    /// How it looks.
    pub look: Look,
    /// What is written.
    pub labels: Vec<Label>,
}

/// A box with a title and rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// Where.
    pub area: Area,
    /// How it looks.
    pub look: Look,
    /// Its name.
    pub title: Label,
    /// What is in it.
    pub rows: Vec<Row>,
}

/// A card before it has a place.
pub struct Draft {
    /// How it looks.
    pub look: Look,
    title: String,
    rows: Vec<(Look, Vec<String>)>,
    /// How wide its words are.
    pub width: f64,
}

impl Draft {
    /// One with these lines in each row.
    pub fn new(look: Look, title: String, rows: Vec<(Look, Vec<String>)>) -> Self {
        let text = |(at, line): (usize, &String)| width(line, if at == 0 { Size::Normal } else { Size::Small });
        let rows_wide = rows
            .iter()
            .flat_map(|(_, lines)| lines.iter().enumerate().map(text))
            .fold(0.0, f64::max);
        let wide = (rows_wide + 4.0 * INSET).max(width(&title, Size::Title) + 2.0 * INSET) + 1.0;
        Self {
            look,
            title,
            rows,
            width: wide.clamp(NARROW, WIDE),
        }
    }

    /// How high it is.
    pub fn height(&self) -> f64 {
        let rows: f64 = self.rows.iter().map(|(_, lines)| row_height(lines.len()) + 6.0).sum();
        TITLE + rows + 4.0
    }

    /// Where a line meets it, from its top.
    pub fn port(&self, row: Option<usize>) -> f64 {
        let Some(row) = row else { return TITLE / 2.0 };
        let above: f64 = self.rows[..row]
            .iter()
            .map(|(_, lines)| row_height(lines.len()) + 6.0)
            .sum();
        TITLE + above + row_height(self.rows[row].1.len()) / 2.0
    }

    /// The same at its place.
    pub fn at(&self, x: f64, y: f64, wide: f64) -> Card {
        let mut top = y + TITLE;
        let rows = self.rows.iter().map(|(look, lines)| {
            let area = Area {
                x: x + INSET,
                y: top,
                w: wide - 2.0 * INSET,
                h: row_height(lines.len()),
            };
            let labels = lines.iter().enumerate().map(|(at, line)| {
                let size = if at == 0 { Size::Normal } else { Size::Small };
                let baseline = area.y + ROW_PADDING + 12.0 + columns(at) * SMALL_LINE;
                label(area.x + INSET, baseline, line, size, area.w - 2.0 * INSET)
            });
            let labels = labels.collect();
            top += area.h + 6.0;
            Row {
                area,
                look: *look,
                labels,
            }
        });
        Card {
            rows: rows.collect(),
            area: Area {
                x,
                y,
                w: wide,
                h: self.height(),
            },
            look: self.look,
            title: label(x + INSET, y + 18.0, &self.title, Size::Title, wide - 2.0 * INSET),
        }
    }
}

fn row_height(lines: usize) -> f64 {
    2.0 * ROW_PADDING + LINE + columns(lines.saturating_sub(1)) * SMALL_LINE - 2.0
}

/// As wide as a text is at most, in the widest of the usual fonts. A letter beyond Latin may be as wide as two.
pub fn width(text: &str, size: Size) -> f64 {
    let usual = LETTERS
        .iter()
        .find(|(own, _)| *own == size)
        .map_or(8.0, |(_, wide)| *wide);
    let wide = |c: char| match c {
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 1.6,
        'A'..='Z' | '&' | '+' | '<' | '=' | '>' | '~' => 1.2,
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '|' | '!' | '\'' => 0.6,
        other if u32::from(other) < 0x250 => 1.0,
        _ => 2.0,
    };
    text.chars().map(|c| usual * wide(c)).sum()
}

/// A text that fits into this much room.
pub fn label(x: f64, y: f64, text: &str, size: Size, room: f64) -> Label {
    let mut most = text.chars().count();
    let mut shown = text.to_owned();
    while width(&shown, size) > room && most > 1 {
        most -= 1;
        shown = cut(text, most);
    }
    Label {
        x,
        y,
        whole: (shown != text).then(|| text.to_owned()),
        text: shown,
        size,
    }
}
