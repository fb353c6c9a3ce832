//! When an environment ends.

use jiff::{Timestamp, ToSpan as _};

use super::{settle, shown};
use crate::fixture::{Deed, Lab, Run};
use crate::names::Address;
use crate::provider::Power;
use crate::state::Life;

fn with_end(lab: Lab) -> (Lab, Run) {
    let text = format!("ttl = \"8h\"\n{}", lab.environment());
    lab.write("environments/demo.toml", &text);
    let run = Run::settled(&lab);
    (lab, run)
}

fn ends(run: &Run) -> Timestamp {
    run.state.life.unwrap().ends
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The step of that address, as a person reads it.
fn step(text: &str, address: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.ends_with(&format!(" {address}")));
    let first = lines.next().unwrap_or_default().to_owned();
    let rest = lines.take_while(|line| line.starts_with("    "));
    std::iter::once(first.as_str())
        .chain(rest)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn an_end_is_set_once_and_does_not_move_by_itself() {
    for lab in [Lab::demo(), Lab::aws()] {
        let text = format!("ttl = \"8h\"\n{}", lab.environment());
        lab.write("environments/demo.toml", &text);
        let mut run = Run::new();
        let text = settle(&mut run, &lab);
        assert_eq!(
            step(&text, "ttl"),
            "+ ttl\n    ends  8h after it is applied\n    ttl   8h"
        );
        assert_eq!(ends(&run), at("2026-11-21T18:00:00Z"));
        let machine = run.world.machine.clone().unwrap();
        assert_eq!(machine.expires, Some(ends(&run)));
        assert_eq!(machine.probe.expires, Some(ends(&run).as_second()));
        run.now = run.now.checked_add(1.hour()).unwrap();
        assert!(run.plan(&lab).is_empty());
    }
}

#[test]
fn a_machine_is_marked_with_its_end_when_it_is_made() {
    let lab = Lab::aws();
    let text = format!("ttl = \"8h\"\n{}", lab.environment());
    lab.write("environments/demo.toml", &text);
    // Cut off right behind the making: nobody comes back, and `gc` finds it all the same.
    for point in 1.. {
        let mut run = Run::new();
        run.world.broken_at = Some(point);
        let _ = run.apply(&lab, Default::default());
        if let Some(machine) = &run.world.machine {
            assert_eq!(machine.expires, Some(at("2026-11-21T18:00:00Z")));
            return;
        }
    }
}

#[test]
fn another_ttl_counts_from_when_it_is_applied_and_none_takes_the_end_away() {
    let (lab, mut run) = with_end(Lab::demo());
    run.now = at("2026-11-21T12:00:00Z");
    lab.change("ttl = \"8h\"", "ttl = \"4h\"");
    insta::assert_snapshot!(settle(&mut run, &lab), @r"
    ~ ttl
        ttl: 8h → 4h
        ends: 2026-11-21T18:00:00Z → 4h after it is applied
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(ends(&run), at("2026-11-21T16:00:00Z"));
    lab.change("ttl = \"4h\"\n", "");
    insta::assert_snapshot!(settle(&mut run, &lab), @r"
    - ttl
        end  2026-11-21T16:00:00Z; it has none any more
    demo: 0 to add, 0 to change, 0 to replace, 1 to remove.
    ");
    assert_eq!(run.state.life, None);
    assert_eq!(run.state.record(&Address::Ttl), None);
    assert_eq!(run.world.host().expires, None);
}

#[test]
fn an_extension_that_was_cut_off_is_finished_by_an_apply() {
    let (lab, mut run) = with_end(Lab::demo());
    run.state.life = Some(Life {
        ttl_seconds: 8 * 3600,
        ends: at("2026-11-21T22:00:00Z"),
    });
    insta::assert_snapshot!(settle(&mut run, &lab), @r"
    ~ ttl
        ends: 2026-11-21T18:00:00Z → 2026-11-21T22:00:00Z
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
    let expected = Some(ends(&run).as_second());
    assert_eq!(run.world.host().expires, expected);
}

#[test]
fn what_somebody_did_to_the_end_is_told_and_mended() {
    let (lab, mut run) = with_end(Lab::aws());
    run.world.host().expires = None;
    run.world.machine.as_mut().unwrap().expires = Some(at("2027-01-01T00:00:00Z"));
    insta::assert_snapshot!(settle(&mut run, &lab), @r"
    ~ ttl
        end at the provider (drift): 2027-01-01T00:00:00Z → 2026-11-21T18:00:00Z
        timer on the host (drift): none → 2026-11-21T18:00:00Z
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
}

#[test]
fn a_machine_that_took_itself_down_is_made_again_with_an_end_of_its_own_and_its_data() {
    let (lab, mut run) = with_end(Lab::aws());
    run.now = at("2026-11-21T19:00:00Z");
    run.world.tick(run.now);
    assert_eq!(run.world.machine, None);
    let text = settle(&mut run, &lab);
    assert!(
        text.contains("the machine that the state knows is gone; a new one is made"),
        "{text}"
    );
    assert_eq!(
        step(&text, "ttl"),
        "+ ttl\n    ends  8h after it is applied\n    ttl   8h"
    );
    assert_eq!(ends(&run), at("2026-11-22T03:00:00Z"));
    assert_eq!(
        (
            run.world.count(&Deed::Made),
            run.world.count(&Deed::Job("demo.seed".into()))
        ),
        (1, 0)
    );
}

#[test]
fn at_home_a_machine_past_its_end_is_started_with_another_one_and_loses_nothing() {
    let (lab, mut run) = with_end(Lab::demo());
    run.now = at("2026-11-21T19:00:00Z");
    run.world.tick(run.now);
    assert_eq!(run.world.machine.as_ref().unwrap().power, Power::Off);
    run.settle(&lab);
    assert_eq!(
        (run.world.count(&Deed::Made), run.world.count(&Deed::Destroyed)),
        (0, 0)
    );
    assert_eq!(run.world.host().expires, Some(at("2026-11-22T03:00:00Z").as_second()));
}

#[test]
fn what_is_left_past_the_end_is_taken_back() {
    for lab in [Lab::demo(), Lab::aws()] {
        let (_lab, mut run) = with_end(lab);
        run.world.tick(at("2026-11-21T19:00:00Z"));
        assert!(matches!(run.destroy(false), crate::fixture::Ended::Done));
        assert!(run.world.machine.is_none() && run.world.parts.is_empty() && run.state.resources.is_empty());
    }
}

#[test]
fn two_pilots_of_one_file_live_side_by_side() {
    let labs = ["acme", "globex"].map(|customer| {
        let lab = Lab::pilot(&format!("pilot-{customer}"), customer);
        let mut run = Run::of(&lab);
        run.settle(&lab);
        (lab, run)
    });
    let route = |run: &Run| run.state.record(&Address::Edge).unwrap().attributes.clone();
    let shown: Vec<String> = labs.iter().map(|(_, run)| format!("{:?}", route(run))).collect();
    assert!(shown[0].contains("acme.pilots.example.com"), "{}", shown[0]);
    assert!(shown[1].contains("globex.pilots.example.com"), "{}", shown[1]);
    let [(first, mut one), (_second, two)] = labs;
    let before = two.clone();
    assert!(matches!(one.destroy(false), crate::fixture::Ended::Done));
    assert!(one.world.machine.is_none());
    assert_eq!((two.state, two.world.machine), (before.state, before.world.machine));
    // What was written for one is not the other's.
    assert!(shown_plan(&first).contains("pilot-acme: "));
}

fn shown_plan(lab: &Lab) -> String {
    shown(&Run::of(lab).plan(lab))
}
