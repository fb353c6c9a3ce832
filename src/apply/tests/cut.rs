//! A run that is cut off anywhere, and the one after it.

use crate::fixture::{Deed, Ended, Lab, Machine, Run, Write};
use crate::names::Address;
use crate::plan::Allowed;

const ALLOWED: Allowed = Allowed { data_loss: true };

fn with_end(lab: Lab) -> Lab {
    let text = format!("ttl = \"8h\"\n{}", lab.environment());
    lab.write("environments/demo.toml", &text);
    lab
}

/// Something that is done to an environment, from a beginning.
struct Story {
    name: &'static str,
    begin: fn() -> (Lab, Run),
}

/// Every kind of step is in one of these.
const STORIES: [Story; 17] = [
    Story {
        name: "fresh",
        begin: || (Lab::demo(), Run::new()),
    },
    Story {
        name: "given an end",
        begin: || changed("[machine.local]", "ttl = \"8h\"\n[machine.local]"),
    },
    Story {
        name: "made with an end, part by part",
        begin: || (with_end(Lab::aws()), Run::new()),
    },
    Story {
        name: "past its end, part by part",
        begin: || {
            let lab = with_end(Lab::aws());
            let mut run = Run::settled(&lab);
            run.now = "2026-11-21T18:00:00Z".parse().unwrap();
            run.world.tick(run.now);
            (lab, run)
        },
    },
    Story {
        name: "replaced, volume kept",
        begin: || changed("debian-13.qcow2", "debian-14.qcow2"),
    },
    Story {
        name: "replaced, data lost",
        begin: || {
            let lab = Lab::demo();
            lab.change("[data]\nvolume_gib = 5\n", "");
            let run = Run::settled(&lab);
            lab.change("debian-13.qcow2", "debian-14.qcow2");
            (lab, run)
        },
    },
    Story {
        name: "grown",
        begin: || changed("volume_gib = 5", "volume_gib = 8\n[access]"),
    },
    Story {
        name: "repaired",
        begin: || {
            let (lab, mut run) = changed("[stacks.postgres]", "[stacks.postgres]\n");
            let host = run.world.host();
            host.base.sshd = Some("e0".into());
            host.containers.clear();
            host.images.clear();
            run.world.machine.as_mut().unwrap().power = crate::provider::Power::Off;
            (lab, run)
        },
    },
    Story {
        name: "stack removed, another added, scripts changed",
        begin: || {
            let (lab, run) = changed("[stacks.demo]\n", "[stacks.shop]\npath = \"../shop\"\n");
            lab.change("web:8000", "shop:80");
            lab.change("[images]\n\"provision-demo:1\" = \"../demo.tar\"\n", "");
            lab.change("[machine.local]", "network = \"inner\"\n[machine.local]");
            lab.write(
                "shop/compose.yaml",
                "services:\n  shop:\n    image: shop:1\n  first:\n    image: shop:1\n",
            );
            lab.write("shop/stack.toml", "[jobs]\nonce = [\"first\"]\n");
            (lab, run)
        },
    },
    Story {
        name: "part by part",
        begin: || (Lab::aws(), Run::new()),
    },
    Story {
        name: "replaced, parts kept",
        begin: || changed_at_aws("debian-13", "debian-12"),
    },
    Story {
        name: "grown at AWS",
        begin: || {
            let (lab, run) = changed_at_aws("volume_gib = 5", "volume_gib = 8");
            lab.change("t3.small", "t3.large");
            (lab, run)
        },
    },
    Story {
        name: "address taken away, name added",
        begin: || {
            let (lab, run) = changed_at_aws("\"static\"", "\"ephemeral\"");
            lab.change("[routes]", "[routes]\n\"api.example.com/\" = \"web:8000\"");
            (lab, run)
        },
    },
    Story {
        name: "address given, name removed",
        begin: || {
            let lab = Lab::aws();
            lab.change("\"static\"", "\"ephemeral\"");
            lab.change("[routes]", "[routes]\n\"api.example.com/\" = \"web:8000\"");
            let run = Run::settled(&lab);
            lab.change("\"ephemeral\"", "\"static\"");
            lab.change("\"api.example.com/\" = \"web:8000\"\n", "");
            (lab, run)
        },
    },
    Story {
        name: "instance and key gone, firewall opened",
        begin: || {
            let (lab, mut run) = changed_at_aws("[routes]", "[routes]\n");
            run.world.terminate();
            run.world.parts.remove(&Address::MachineKey);
            let rules = run.world.parts.get_mut(&Address::MachineFirewall).unwrap();
            rules.insert("tcp/1".into(), "0.0.0.0/0".into());
            (lab, run)
        },
    },
    Story {
        name: "volume gone",
        begin: || {
            let (lab, mut run) = changed_at_aws("[routes]", "[routes]\n");
            run.world.parts.remove(&Address::MachineVolume);
            run.world.machine.as_mut().unwrap().file_system_gib = None;
            (lab, run)
        },
    },
    Story {
        name: "volume added at AWS",
        begin: || {
            let lab = Lab::aws();
            lab.change("[data]\nvolume_gib = 5\n", "");
            let run = Run::settled(&lab);
            lab.change("[stacks.postgres]", "[data]\nvolume_gib = 5\n[stacks.postgres]");
            (lab, run)
        },
    },
];

fn changed_at_aws(old: &str, new: &str) -> (Lab, Run) {
    let lab = Lab::aws();
    let run = Run::settled(&lab);
    lab.change(old, new);
    (lab, run)
}

fn changed(old: &str, new: &str) -> (Lab, Run) {
    let lab = Lab::demo();
    let run = Run::settled(&lab);
    lab.change(old, new);
    (lab, run)
}

/// A story, how it begins, and how it ends when nobody disturbs it.
fn told(story: &Story) -> (Lab, Run, Run) {
    let (lab, begin) = (story.begin)();
    let mut run = begin.clone();
    run.settle_allowing(&lab, ALLOWED);
    (lab, begin, run)
}

/// Runs again after a cut and compares with the run that nobody disturbed.
fn recovers(story: &Story, at: &str, lab: &Lab, run: &mut Run, expected: &Run, twice_at_most: bool) {
    let before = run.state.resources.len();
    run.settle_allowing(lab, ALLOWED);
    let context = format!("{}, {at}, {before} records", story.name);
    let made = run.world.machine.clone().map(|machine| Machine {
        // What is not the machine's own is in its parts.
        spec: lab.desired(None).instance.spec,
        ..machine
    });
    let expected_machine = expected.world.machine.clone().map(|machine| Machine {
        spec: lab.desired(None).instance.spec,
        ..machine
    });
    assert_eq!(made, expected_machine, "{context}");
    let attributes = |run: &Run| run.world.machine.as_ref().map(|machine| machine.spec.attributes());
    assert_eq!(attributes(run), attributes(expected), "{context}");
    assert_eq!(run.world.parts, expected.world.parts, "{context}");
    assert_eq!(run.world.kept_volume, expected.world.kept_volume, "{context}");
    assert_eq!(run.world.pinned, expected.world.pinned, "{context}");
    assert_eq!(run.records(), expected.records(), "{context}");
    assert_eq!(
        run.world.count(&Deed::Made),
        expected.world.count(&Deed::Made),
        "{context}"
    );
    for job in ["demo.seed", "shop.first"] {
        let job = Deed::Job(job.to_owned());
        let (ran, wanted) = (run.world.count(&job), expected.world.count(&job));
        let most = if twice_at_most && wanted > 0 {
            wanted + 1
        } else {
            wanted
        };
        assert!((wanted..=most).contains(&ran), "{context}: {job:?} ran {ran} times");
    }
}

#[test]
fn a_step_that_fails_or_is_killed_at_any_point_is_made_good_by_the_next_run() {
    for story in &STORIES {
        let (lab, begin, expected) = told(story);
        assert!(expected.world.points > 1, "{}", story.name);
        for point in 1..=expected.world.points {
            let mut run = begin.clone();
            run.world.broken_at = Some(point);
            let Ended::Cut(error) = run.apply(&lab, ALLOWED) else {
                panic!("{}: nothing broke at {point}", story.name);
            };
            let why = std::error::Error::source(&error).unwrap().to_string();
            // Between the end of a job for once and its entry, the ledger cannot know.
            let unsure = why == "injected: a job ran";
            recovers(story, &format!("{error}: {why}"), &lab, &mut run, &expected, unsure);
        }
    }
}

#[test]
fn a_run_that_is_killed_before_or_after_any_write_of_the_state_is_made_good_by_the_next() {
    for story in &STORIES {
        let (lab, begin, expected) = told(story);
        for write in 1..=expected.writes {
            for write in [Write::Not(write), Write::Last(write)] {
                let mut run = begin.clone();
                run.write = write;
                assert!(
                    matches!(run.apply(&lab, ALLOWED), Ended::Cut(_)),
                    "{}: {write:?}",
                    story.name
                );
                let unsure = matches!(write, Write::Not(_));
                recovers(story, &format!("{write:?}"), &lab, &mut run, &expected, unsure);
            }
        }
    }
}

#[test]
fn a_state_that_cannot_be_written_stops_before_anything_is_done() {
    for story in &STORIES {
        let (lab, mut run) = (story.begin)();
        (run.writes, run.write) = (0, Write::Not(1));
        let (machine, deeds) = (run.world.machine.clone(), run.world.deeds.clone());
        let Ended::Cut(error) = run.apply(&lab, ALLOWED) else {
            panic!("{}", story.name);
        };
        assert_eq!(error.to_string(), "failed to record what was done");
        assert_eq!((run.world.machine, run.world.deeds), (machine, deeds), "{}", story.name);
    }
}

#[test]
fn a_destroy_that_is_cut_off_anywhere_is_made_good_by_the_next() {
    for (keep_volume, lab) in [false, true]
        .into_iter()
        .flat_map(|keep| [(keep, Lab::demo()), (keep, Lab::aws())])
    {
        let whole = Run::settled(&lab);
        let mut run = whole.clone();
        assert!(matches!(run.destroy(keep_volume), Ended::Done));
        assert!(run.state.resources.is_empty() && run.world.machine.is_none());
        assert_eq!(run.world.kept_volume.is_some(), keep_volume);
        let (points, writes) = (run.world.points, run.writes);
        let cuts = (1..=points)
            .map(|point| (Some(point), Write::All))
            .chain((1..=writes).flat_map(|n| [(None, Write::Not(n)), (None, Write::Last(n))]));
        for (point, write) in cuts {
            let mut run = whole.clone();
            (run.world.broken_at, run.write) = (point, write);
            assert!(matches!(run.destroy(keep_volume), Ended::Cut(_)));
            (run.world.broken_at, run.write) = (None, Write::All);
            let mut other = run.clone();
            assert!(matches!(run.destroy(keep_volume), Ended::Done), "{point:?} {write:?}");
            assert!(run.state.resources.is_empty() && run.world.machine.is_none());
            assert_eq!(run.world.kept_volume.is_some(), keep_volume);
            // Or the person thinks better of it: whatever is left of the data is not seeded again.
            let volume = Address::MachineVolume;
            let data_left = match whole.world.parts.is_empty() {
                true => other.world.machine.is_some(),
                // What is forgotten as kept is for the person to take up again.
                false => other.world.parts.contains_key(&volume) && other.state.resources.contains_key(&volume),
            };
            other.settle(&lab);
            let seeds = usize::from(!data_left);
            assert_eq!(
                other.world.count(&Deed::Job("demo.seed".into())),
                seeds,
                "{point:?} {write:?}"
            );
        }
    }
}

#[test]
fn a_machine_whose_record_was_lost_is_destroyed_all_the_same() {
    let lab = Lab::demo();
    let mut run = Run::settled(&lab);
    run.state.resources.clear();
    assert!(matches!(run.destroy(false), Ended::Done));
    assert!(run.world.machine.is_none());
}

#[test]
fn the_new_machine_is_the_one_that_was_asked_for() {
    let (lab, _, run) = told(&STORIES[1]);
    let machine = run.world.machine.unwrap();
    assert_eq!(machine.spec.attributes(), lab.desired(None).instance.spec.attributes());
}
