//! `kill -9` at every call: right before it has an effect, and right after, when nobody has been told yet. Run again, it ends
//! with the same as if nothing had happened: exactly one of everything; after a destroy, nothing.

use serde_json::{Value, json};

use super::cloud::{Cloud, all, alone};
use super::harness::{CHANGES, Ended, REPLACEMENT, Run, Site, Until};
use super::same::{Picture, assert_nothing, assert_same, picture};

/// One place where a run is killed.
type Place = Value;

/// What is killed.
#[derive(Clone, Copy)]
struct Story {
    /// What was done before, undisturbed.
    before: fn(&Cloud, &Site),
    /// What is killed and done again.
    work: fn(&Cloud, &Site, Until) -> Run,
    /// How the work ends.
    end: Ended,
}

const APPLY: Story = Story {
    before: |_, _| {},
    work: |cloud, site, until| site.apply(cloud, until),
    end: Ended::AtHost,
};
const CHANGE: Story = Story {
    before: |cloud, site| {
        site.converge(cloud);
        site.edit(CHANGES);
    },
    ..APPLY
};
const REPLACE: Story = Story {
    before: |cloud, site| {
        site.converge(cloud);
        site.edit(REPLACEMENT);
    },
    ..APPLY
};
const DESTROY: Story = Story {
    before: |cloud, site| {
        site.converge(cloud);
    },
    work: |cloud, site, until| site.destroy(cloud, until),
    end: Ended::Itself(0),
};

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
    alone(|cloud| {
        let expected = undisturbed(cloud, APPLY).1;
        let next = json!([{"action": "changes", "nth": 1, "do": "hold-after"}]);
        let site = Site::new(cloud);
        let mut runs = 0;
        for story in [APPLY, DESTROY] {
            loop {
                runs += 1;
                assert!(runs < 60, "it gets no further");
                cloud.reset();
                cloud.faults(&next);
                let run = (story.work)(cloud, &site, Until::Held);
                if run.ended != Ended::Held {
                    assert_eq!(run.ended, story.end, "{}", run.said);
                    break;
                }
            }
            if story.end == Ended::AtHost {
                assert_same("killed at each call", expected.as_ref().unwrap(), &picture(cloud, &site));
            }
        }
        ended_with_nothing(cloud, &site, "killed at each call");
        eprintln!("{runs} runs");
    });
}

/// Kills at every place of a story, each in an account of its own.
fn sweep(story: Story, reading_too: bool) {
    // Found out once, by whoever comes first.
    let known = std::sync::OnceLock::new();
    alone(|cloud| {
        let _ = known.set(undisturbed(cloud, story));
    });
    let Some((places, expected)) = known.into_inner() else {
        return;
    };
    let wanted = |place: &&Place| reading_too || place["action"] == "changes";
    let places: Vec<(String, Place)> = places
        .iter()
        .filter(wanted)
        .map(|place| (place.to_string(), place.clone()))
        .collect();
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
            assert_eq!(again.ended, story.end, "first\n{}\nthen\n{}", killed.steps(), again.said);
        }
        match &expected {
            Some(expected) => assert_same(&killed.steps(), expected, &picture(cloud, &site)),
            None => ended_with_nothing(cloud, &site, &killed.steps()),
        }
    });
}

/// The places where a story can be killed, and how it ends when it is not; None for nothing.
fn undisturbed(cloud: &mut Cloud, story: Story) -> (Vec<Place>, Option<Picture>) {
    let site = Site::new(cloud);
    (story.before)(cloud, &site);
    cloud.reset();
    let run = (story.work)(cloud, &site, Until::Host);
    assert_eq!(run.ended, story.end, "{}", run.said);
    let log = cloud.log();
    let mut places = Vec::new();
    let mut changes = 0;
    for (number, call) in log.iter().enumerate() {
        if call["changes"] == true {
            changes += 1;
            places.push(json!({"action": "changes", "nth": changes, "do": "hold-before"}));
            places.push(json!({"action": "changes", "nth": changes, "do": "hold-after"}));
        } else {
            // A reading call has no effect: before and after are the same.
            places.push(json!({"nth": number + 1, "do": "hold-before"}));
        }
    }
    eprintln!("{} calls, of them {changes} that change something", log.len());
    if story.end == Ended::AtHost {
        (places, Some(picture(cloud, &site)))
    } else {
        ended_with_nothing(cloud, &site, &run.said);
        (places, None)
    }
}

#[track_caller]
fn ended_with_nothing(cloud: &mut Cloud, site: &Site, what: &str) {
    assert_nothing(cloud, what);
    assert!(site.state().is_none(), "{what}: the state is still there");
    let archive = std::fs::read_dir(site.path(".provision")).unwrap();
    let kept = archive.flatten().any(|entry| entry.file_name() != "shop");
    assert!(kept || site.path(".provision/shop").exists(), "{what}: the state is not archived");
}
