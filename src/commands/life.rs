//! When an environment ends, in words.

use jiff::Timestamp;

use crate::state::State;

/// How far away a time is: `in 5 h 12 min`, `3 min ago`.
pub fn away(time: Timestamp, now: Timestamp) -> String {
    let seconds = time.as_second() - now.as_second();
    let minutes = seconds.abs() / 60;
    let span = match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    };
    match seconds {
        ..0 => format!("{span} ago"),
        _ => format!("in {span}"),
    }
}

/// Begins another life where one is over: the next apply counts anew. Tells so.
pub fn over(state: &mut State, now: Timestamp) -> Option<String> {
    let ended = state.ended(now)?;
    state.life = None;
    Some(format!(
        "{} ended {ended} ({}): an apply lets it live once more, by its `ttl`",
        state.environment,
        away(ended, now)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_by_its_distance() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let told = |text: &str| away(text.parse().unwrap(), now);
        assert_eq!(told("2026-11-21T15:12:30Z"), "in 5 h 12 min");
        assert_eq!(told("2026-11-21T10:00:20Z"), "in 0 min");
        assert_eq!(told("2026-11-24T11:00:00Z"), "in 3 d 1 h");
        assert_eq!(told("2026-11-21T09:57:00Z"), "3 min ago");
    }
}
