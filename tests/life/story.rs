//! What is done to an environment, undisturbed and disturbed, and how it has to end.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::cloud::{CHANGES, Cloud, REPLACEMENT};
use super::harness::{Ended, Run, Site, Until};
use super::same::{Picture, assert_nothing, assert_same, picture};
use super::scenarios::alone;

/// One place where a run is killed: a rule of the double.
pub type Place = Value;

/// What is disturbed.
#[derive(Clone, Copy)]
pub struct Story {
    /// What was done before, undisturbed.
    pub before: fn(&Cloud, &Site),
    /// What is disturbed and done again.
    pub work: fn(&Cloud, &Site, Until) -> Run,
    /// How the work ends.
    pub end: Ended,
}

pub const APPLY: Story = Story {
    before: |_, _| {},
    work: |cloud, site, until| site.apply(cloud, until),
    end: Ended::AtHost,
};
pub const CHANGE: Story = Story {
    before: |cloud, site| {
        site.converge(cloud);
        site.edit(CHANGES);
    },
    ..APPLY
};
pub const REPLACE: Story = Story {
    before: |cloud, site| {
        site.converge(cloud);
        site.edit(REPLACEMENT);
    },
    ..APPLY
};
pub const DESTROY: Story = Story {
    before: |cloud, site| {
        site.converge(cloud);
    },
    work: |cloud, site, until| site.destroy(cloud, until),
    end: Ended::Itself(0),
};

/// What a story does and how it ends when nothing disturbs it.
pub struct Undisturbed {
    /// Where it can be killed.
    pub places: Vec<Place>,
    /// The actions that it calls, and whether they change something.
    pub actions: BTreeMap<String, bool>,
    /// What is there at its end; None for nothing.
    pub end: Option<Picture>,
}

/// Tells a story once, in an account of its own. None where there is no lab.
pub fn undisturbed(story: Story) -> Option<Undisturbed> {
    let told = OnceLock::new();
    alone(|cloud| {
        let _ = told.set(tell(cloud, story));
    });
    told.into_inner()
}

fn tell(cloud: &mut Cloud, story: Story) -> Undisturbed {
    let site = Site::new(cloud);
    (story.before)(cloud, &site);
    cloud.reset();
    let run = (story.work)(cloud, &site, Until::Host);
    assert_eq!(run.ended, story.end, "{}", run.said);
    let log = cloud.log();
    let mut places = Vec::new();
    let mut actions = BTreeMap::new();
    let mut changes = 0;
    for (number, call) in log.iter().enumerate() {
        let changing = call["changes"] == true;
        actions.insert(call["action"].as_str().unwrap().to_owned(), changing);
        if changing {
            changes += 1;
            places.push(json!({"action": "changes", "nth": changes, "do": "hold-before"}));
            places.push(json!({"action": "changes", "nth": changes, "do": "hold-after"}));
        } else {
            // A reading call has no effect: before and after are the same.
            places.push(json!({"nth": number + 1, "do": "hold-before"}));
        }
    }
    eprintln!("{} calls, of them {changes} that change something", log.len());
    let end = (story.end == Ended::AtHost).then(|| picture(cloud, &site));
    if end.is_none() {
        ended_with_nothing(cloud, &site, &run.said);
    }
    Undisturbed { places, actions, end }
}

/// That a story has ended as it does undisturbed.
#[track_caller]
pub fn ended_as(end: &Option<Picture>, cloud: &mut Cloud, site: &Site, what: &str) {
    match end {
        Some(end) => assert_same(what, end, &picture(cloud, site)),
        None => ended_with_nothing(cloud, site, what),
    }
}

/// That nothing is left, and the state is no more in the way.
#[track_caller]
fn ended_with_nothing(cloud: &mut Cloud, site: &Site, what: &str) {
    assert_nothing(cloud, what);
    assert!(site.state().is_none(), "{what}: the state is still there");
    let archive = std::fs::read_dir(site.path(".provision")).unwrap();
    let kept = archive.flatten().any(|entry| entry.file_name() != "shop");
    assert!(
        kept || site.path(".provision/shop").exists(),
        "{what}: the state is not archived"
    );
}
