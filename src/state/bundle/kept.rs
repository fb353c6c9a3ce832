//! What the bundle knows of a secret beside its value: who made it, when, and the values before it that still hold.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Bundle;
use crate::secret::Secret;

/// Who made a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Maker {
    /// This program.
    Generated,
    /// A person.
    Set,
}

/// A secret's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Who made the value.
    pub by: Maker,
    /// Since when it is the value.
    pub since: Timestamp,
    /// The values before it that may still be in use, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Former>,
}

/// A value that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// The value.
    pub value: Secret,
    /// When it was replaced in the bundle.
    pub replaced: Timestamp,
    /// When the value after it was brought out by an apply: its retention counts from then. A rotation that nobody has
    /// applied yet must not use the time up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<Timestamp>,
}

impl Former {
    /// When it is dropped; none while the value after it has not been brought out.
    pub fn until(&self, retention: SignedDuration) -> Option<Timestamp> {
        self.succeeded?.checked_add(retention).ok()
    }

    fn holds(&self, retention: SignedDuration, now: Timestamp) -> bool {
        self.until(retention).is_none_or(|until| now < until)
    }
}

impl Bundle {
    /// Gives a secret a value. With `keep`, the one before stays as a former one; equal values change nothing but the maker.
    pub fn put(&mut self, name: &str, value: Secret, by: Maker, keep: bool, now: Timestamp) {
        let old = self.secrets.insert(name.to_owned(), value.clone());
        let mut before = self.kept.remove(name).map(|kept| kept.before).unwrap_or_default();
        match old.filter(|old| *old != value) {
            Some(old) if keep => before.insert(
                0,
                Former {
                    value: old,
                    replaced: now,
                    succeeded: None,
                },
            ),
            _ => {}
        }
        // What is the value again is no former one.
        before.retain(|former| former.value != value);
        let kept = Kept { by, since: now, before };
        self.kept.insert(name.to_owned(), kept);
    }

    /// The former values of a secret that still hold, newest first.
    pub fn former(&self, name: &str, retention: SignedDuration, now: Timestamp) -> impl Iterator<Item = &Former> {
        let before = self
            .kept
            .get(name)
            .map(|kept| kept.before.as_slice())
            .unwrap_or_default();
        before.iter().filter(move |former| former.holds(retention, now))
    }

    /// Forgets the former values of a secret that hold no more; without a retention, all of them.
    pub fn forget(&mut self, name: &str, retention: Option<SignedDuration>, now: Timestamp) {
        if let Some(kept) = self.kept.get_mut(name) {
            kept.before
                .retain(|former| retention.is_some_and(|retention| former.holds(retention, now)));
        }
    }

    /// Notes that all values of now are out: from here on the retention of former ones counts. Says whether that is new.
    pub fn brought_out(&mut self, now: Timestamp) -> bool {
        let mut new = false;
        let former = self.kept.values_mut().flat_map(|kept| &mut kept.before);
        for former in former.filter(|former| former.succeeded.is_none()) {
            former.succeeded = Some(now);
            new = true;
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        "2026-11-21T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hour)
    }

    fn former(bundle: &Bundle, hour: i64) -> String {
        let held = bundle.former("KEY", SignedDuration::from_hours(48), at(hour));
        let values: Vec<&str> = held.map(|former| former.value.expose()).collect();
        values.join(",")
    }

    fn put(bundle: &mut Bundle, value: &str, hour: i64) {
        bundle.put("KEY", Secret::new(value), Maker::Generated, true, at(hour));
    }

    #[test]
    fn the_same_value_again_changes_nothing() {
        let mut bundle = Bundle::default();
        put(&mut bundle, "one", 0);
        put(&mut bundle, "one", 1);
        assert_eq!(former(&bundle, 1), "");
    }

    #[test]
    fn a_former_value_holds_from_the_apply_on_and_not_from_the_rotation() {
        let mut bundle = Bundle::default();
        put(&mut bundle, "one", 0);
        put(&mut bundle, "two", 1);
        assert_eq!(former(&bundle, 1000), "one", "nobody has applied the rotation");
        assert!(bundle.brought_out(at(1000)));
        assert!(!bundle.brought_out(at(1001)), "once");
        assert_eq!(former(&bundle, 1047), "one");
        assert_eq!(former(&bundle, 1048), "");
    }

    #[test]
    fn a_second_rotation_puts_a_second_value_before_the_first() {
        let mut bundle = Bundle::default();
        put(&mut bundle, "one", 0);
        put(&mut bundle, "two", 1);
        bundle.brought_out(at(2));
        put(&mut bundle, "three", 10);
        bundle.brought_out(at(11));
        assert_eq!(former(&bundle, 12), "two,one");
        assert_eq!(former(&bundle, 55), "two");
        bundle.forget("KEY", Some(SignedDuration::from_hours(48)), at(55));
        assert_eq!(bundle.kept["KEY"].before.len(), 1);
        bundle.forget("KEY", None, at(55));
        assert_eq!(bundle.kept["KEY"].before, []);
        assert_eq!(bundle.secrets["KEY"].expose(), "three");
    }

    #[test]
    fn a_value_that_comes_back_is_no_former_one() {
        let mut bundle = Bundle::default();
        put(&mut bundle, "one", 0);
        put(&mut bundle, "two", 1);
        put(&mut bundle, "one", 2);
        assert_eq!(former(&bundle, 2), "two");
    }
}
