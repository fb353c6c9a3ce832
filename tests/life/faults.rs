//! Calls that go wrong: each run ends as it should, or with an error that says what to do and a state from which the next run
//! ends as it should.

use std::time::Instant;

use serde_json::{Value, json};

use super::cloud::{Cloud, HIDDEN, THROTTLED};
use super::harness::{Ended, Site, Until};
use super::scenarios::{all, alone};
use super::story::{APPLY, CHANGE, DESTROY, REPLACE, Story, ended_as, undisturbed};
use super::troubles::troubles;

/// A no-op plan makes no more calls than this.
const LEAN: usize = 8;

/// What may happen to each call of a run, which goes on all the same.
const EACH: [&str; 3] = ["error-500", "reset", "lose"];

#[test]
fn apply_goes_on_whatever_happens_to_each_call() {
    each_goes_wrong(APPLY);
}

#[test]
fn a_change_goes_on_whatever_happens_to_each_call() {
    each_goes_wrong(CHANGE);
}

#[test]
fn a_replacement_goes_on_whatever_happens_to_each_call() {
    each_goes_wrong(REPLACE);
}

#[test]
fn destroy_goes_on_whatever_happens_to_each_call() {
    each_goes_wrong(DESTROY);
}

/// Every action of a story goes wrong at first, all of them in one run.
fn each_goes_wrong(story: Story) {
    let Some(told) = undisturbed(story) else { return };
    all(EACH.map(|what| (what.to_owned(), what)).into(), |cloud, what| {
        let site = Site::new(cloud);
        (story.before)(cloud, &site);
        cloud.reset();
        // Of a call that only reads, an answer that is lost is the same as a call that never came.
        let rules = told
            .actions
            .iter()
            .filter(|(_, changes)| **changes || what != "lose")
            .map(|(action, _)| json!({"action": action, "do": what}));
        cloud.faults(&Value::Array(rules.collect()));
        let begun = Instant::now();
        let run = (story.work)(cloud, &site, Until::Host);
        assert_eq!(run.ended, story.end, "{}", run.said);
        eprintln!("each call: {what}: {:.1} s", begun.elapsed().as_secs_f64());
        cloud.reset();
        ended_as(&told.end, cloud, &site, &run.steps());
    });
}

/// A call that is refused twice for too many calls is made a third time. Who is throttled slows down so much
/// that not every call of a run is: that takes minutes.
#[test]
fn a_call_that_is_throttled_is_made_again() {
    let Some(told) = undisturbed(APPLY) else { return };
    all(
        THROTTLED.iter().map(|action| ((*action).to_owned(), *action)).collect(),
        |cloud, action| {
            let site = Site::new(cloud);
            cloud.faults(&json!([{"action": action, "times": 2, "do": "throttle"}]));
            let begun = Instant::now();
            let run = site.converge(cloud);
            eprintln!("{action} throttled twice: {:.1} s", begun.elapsed().as_secs_f64());
            cloud.reset();
            ended_as(&told.end, cloud, &site, &run.steps());
        },
    );
}

/// What makes a run fail, the words that it must say, and what mends it.
pub struct Trouble {
    pub begin: fn(&Cloud),
    pub words: &'static [&'static str],
    pub end: fn(&Cloud),
}

/// A run that cannot go on says which error, and what to do; when that is done, the next one goes on.
#[test]
fn a_run_that_cannot_go_on_says_what_to_do_and_the_next_one_goes_on() {
    let Some(told) = undisturbed(APPLY) else { return };
    let troubles = troubles()
        .into_iter()
        .map(|(name, trouble)| (name.to_owned(), (name, trouble)));
    all(troubles.collect(), |cloud, (name, trouble)| {
        let site = Site::new(cloud);
        (trouble.begin)(cloud);
        let begun = Instant::now();
        let run = site.apply(cloud, Until::Host);
        eprintln!("{name}: {:.1} s", begun.elapsed().as_secs_f64());
        run.failed_with(&site, trouble.words);
        (trouble.end)(cloud);
        let again = site.converge(cloud);
        let both = format!("{}\nthen\n{}", run.steps(), again.steps());
        ended_as(&told.end, cloud, &site, &both);
    });
}

/// What was made a moment ago is not seen yet.
#[test]
fn what_is_not_seen_yet_is_waited_for() {
    let Some(told) = undisturbed(APPLY) else { return };
    alone(|cloud| {
        let site = Site::new(cloud);
        let rules = HIDDEN
            .iter()
            .map(|action| json!({"action": action, "nth": "every", "do": "hide:3"}));
        cloud.faults(&Value::Array(rules.collect()));
        let run = site.converge(cloud);
        cloud.reset();
        ended_as(&told.end, cloud, &site, &run.steps());
    });
}

/// Nothing to do: a plan asks no more than it has to, and changes nothing.
#[test]
fn a_plan_without_changes_is_lean() {
    alone(|cloud| {
        let site = Site::new(cloud);
        site.converge(cloud);
        cloud.reset();
        let run = site.run(cloud, &["plan", "shop"], Until::Host);
        assert_eq!(run.ended, Ended::Itself(0), "{}", run.said);
        for part in ["machine.", "dns."] {
            assert!(!run.said.contains(part), "{}", run.said);
        }
        let log = cloud.log();
        let names: Vec<&str> = log.iter().map(|call| call["action"].as_str().unwrap()).collect();
        assert!(names.len() <= LEAN, "{} calls: {}", names.len(), names.join(", "));
        assert!(log.iter().all(|call| call["changes"] == false), "{}", names.join(", "));
        eprintln!("{} calls: {}", names.len(), names.join(", "));
    });
}
