//! `kill -9` at every call: right before it has an effect, and right after, when nobody has been told yet. Run again, it ends
//! with the same as if nothing had happened: exactly one of everything; after a destroy, nothing.

use serde_json::json;

use super::harness::{Ended, Site, Until};
use super::scenarios::{all, alone};
use super::story::{APPLY, CHANGE, DESTROY, Place, REPLACE, Story, ended_as, undisturbed};

#[test]
fn apply_is_killed_at_every_call() {
    sweep(APPLY, true);
}

#[test]
fn a_change_is_killed_at_every_call_that_changes_something() {
    sweep(CHANGE, false);
}

#[test]
fn a_replacement_is_killed_at_every_call_that_changes_something() {
    sweep(REPLACE, false);
}

#[test]
fn destroy_is_killed_at_every_call() {
    sweep(DESTROY, true);
}

/// Every run gets one call further and is killed before it is told.
#[test]
fn a_machine_is_made_and_taken_away_by_runs_that_are_all_killed() {
    let Some(made) = undisturbed(APPLY) else { return };
    let next = json!([{"action": "changes", "nth": 1, "do": "hold-after"}]);
    alone(|cloud| {
        let site = Site::new(cloud);
        for (story, end) in [(APPLY, &made.end), (DESTROY, &None)] {
            let mut runs = 0;
            loop {
                runs += 1;
                assert!(runs < 40, "it gets no further");
                cloud.reset();
                cloud.faults(&next);
                let run = (story.work)(cloud, &site, Until::Held);
                if run.ended != Ended::Held {
                    assert_eq!(run.ended, story.end, "{}", run.said);
                    break;
                }
            }
            eprintln!("{runs} runs");
            ended_as(end, cloud, &site, "killed at each call");
        }
    });
}

/// Port 22 is closed again when a run ends, also for those that could not do it themselves.
#[test]
fn port_22_is_closed_behind_a_run_that_was_killed() {
    alone(|cloud| {
        let site = Site::new(cloud);
        for (until, ended, is_open) in [
            (Until::Open, Ended::Open, true),
            (Until::Asked, Ended::Itself(130), false),
        ] {
            let run = site.apply(cloud, until);
            assert_eq!(run.ended, ended, "{}", run.said);
            assert_eq!(cloud.open_for_callers(), usize::from(is_open), "{}", run.said);
        }
    });
}

/// Kills at every place of a story, each in an account of its own.
fn sweep(story: Story, reading_too: bool) {
    let Some(told) = undisturbed(story) else { return };
    let wanted = |place: &&Place| reading_too || place["action"] == "changes";
    let places = told.places.iter().filter(wanted);
    let places = places.map(|place| (place.to_string(), place.clone())).collect();
    all(places, |cloud, place| {
        let site = Site::new(cloud);
        (story.before)(cloud, &site);
        cloud.reset();
        cloud.faults(&json!([place]));
        let killed = (story.work)(cloud, &site, Until::Held);
        cloud.reset();
        if killed.ended != Ended::Held {
            // Calls that are made side by side, or repeated, are not always as many.
            assert_eq!(killed.ended, story.end, "{}", killed.said);
        }
        if story.end == Ended::AtHost || killed.ended == Ended::Held {
            let again = (story.work)(cloud, &site, Until::Host);
            assert_eq!(
                again.ended,
                story.end,
                "first\n{}\nthen\n{}",
                killed.steps(),
                again.steps()
            );
        }
        ended_as(&told.end, cloud, &site, &killed.steps());
    });
}
