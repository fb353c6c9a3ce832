//! Texts, sizes and times as people read them.

use std::collections::VecDeque;
use std::time::Duration;

/// How many lines of a step's output are kept in case that it fails.
const KEPT: usize = 20;

/// A text from elsewhere without anything that would move the cursor.
pub(super) fn clean(text: &str) -> String {
    console::strip_ansi_codes(text)
        .trim_end()
        .chars()
        .map(|c| if c.is_control() && c != '\n' { ' ' } else { c })
        .collect()
}

/// The same in one line.
pub fn one_line(text: &str) -> String {
    clean(text).replace('\n', " ")
}

/// `12.3s`, `4m 05s`, `1h 02m`.
pub fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..100 => format!("{:.1}s", duration.as_secs_f64()),
        100..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// `512 B`, `12.3 MiB`.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    match unit {
        "B" => format!("{bytes} B"),
        _ => format!("{value:.1} {unit}"),
    }
}

/// `3 steps`, `1 step`.
pub(super) fn steps(count: usize) -> String {
    format!("{count} step{}", if count == 1 { "" } else { "s" })
}

/// The last word on a run.
pub(super) fn summary(done: usize, left: usize, millis: u64) -> String {
    let took = time(Duration::from_millis(millis));
    match left {
        0 => format!("{} done in {took}", steps(done)),
        _ => format!("{} done, {left} left after {took}", steps(done)),
    }
}

/// The last lines that a step wrote: shown only when it fails.
#[derive(Debug, Default)]
pub(super) struct Tail(VecDeque<String>);

impl Tail {
    pub(super) fn add(&mut self, line: &str) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(one_line(line));
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        let sizes = [0, 1023, 1024, 104_857_600, 5_000_000_000].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "100.0 MiB", "4.7 GiB"]);
        let times = [0, 12_340, 245_000, 3_720_000].map(|millis| time(Duration::from_millis(millis)));
        assert_eq!(times, ["0.0s", "12.3s", "4m 05s", "1h 02m"]);
    }

    #[test]
    fn foreign_text_cannot_move_the_cursor() {
        assert_eq!(one_line("\u{1b}[31mred\u{1b}[0m\r\tx\ny"), "red  x y");
    }
}
