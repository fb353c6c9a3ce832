//! What an interrupted step left behind is done again.

use super::{demo, settle};
use crate::fixture::{Deed, Lab, Run};
use crate::names::Address;
use crate::plan::{Action, Plan};
use crate::provider::Power;
use crate::state::Status;

fn addresses(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| step.address.to_string()).collect()
}

fn mark(run: &mut Run, address: &Address, status: Status) {
    run.state.resources.get_mut(address).unwrap().status = status;
}

#[test]
fn each_address_that_was_begun_gets_its_step_again_and_no_other() {
    let (lab, settled) = demo();
    for address in settled.state.resources.keys() {
        for status in [Status::Intended, Status::Removing] {
            let mut run = settled.clone();
            mark(&mut run, address, status);
            assert_eq!(addresses(&run.plan(&lab)), [address.to_string()], "{status:?}");
            run.settle(&lab);
            assert_eq!(
                run.world.count(&Deed::Job("demo.seed".into())),
                0,
                "{address} {status:?}"
            );
            assert_eq!(run.world.count(&Deed::Made), 0, "{address} {status:?}");
        }
    }
}

#[test]
fn a_removal_that_was_begun_is_ended() {
    let (lab, mut run) = demo();
    lab.change("[stacks.demo]", "");
    lab.change("web:8000", "postgres:5432");
    lab.change("[images]\n\"provision-demo:1\" = \"../demo.tar\"", "");
    mark(&mut run, &"stack.demo".parse().unwrap(), Status::Removing);
    assert_eq!(addresses(&run.plan(&lab)), ["stack.demo", "edge.caddy"]);
    settle(&mut run, &lab);
    assert!(!run.state.resources.contains_key(&"stack.demo".parse().unwrap()));
}

/// The person's files changed, the intent was recorded, and nothing was done: the machine is still the old one.
fn begun(old: &str, new: &str) -> (Lab, Run) {
    let (lab, mut run) = demo();
    lab.change(old, new);
    run.world.broken_at = Some(1);
    assert!(matches!(
        run.apply(&lab, crate::plan::Allowed::default()),
        crate::fixture::Ended::Cut(_)
    ));
    (lab, run)
}

#[test]
fn a_resize_that_was_only_begun_is_done() {
    let (lab, mut run) = begun("[machine.local]", "[machine.local]\ncpus = 4");
    assert!(matches!(run.plan(&lab).steps[0].action, Action::ResizeInstance { .. }));
    assert_eq!(addresses(&run.plan(&lab)), ["machine.instance"]);
    settle(&mut run, &lab);
    let made = run.world.machine.unwrap().spec.attributes();
    assert_eq!(made["cpus"], "4");
}

#[test]
fn a_resize_that_was_cut_off_without_power_is_done() {
    let (lab, mut run) = begun("[machine.local]", "[machine.local]\ncpus = 4");
    run.world.machine.as_mut().unwrap().power = Power::Off;
    settle(&mut run, &lab);
    let machine = run.world.machine.unwrap();
    assert_eq!(machine.power, Power::On);
    assert_eq!(machine.spec.attributes()["cpus"], "4");
}

#[test]
fn a_replacement_that_was_only_begun_is_done_and_the_old_machine_not_taken_for_the_new() {
    let (lab, mut run) = begun("debian-13.qcow2", "debian-14.qcow2");
    assert!(matches!(run.plan(&lab).steps[0].action, Action::ReplaceInstance { .. }));
    settle(&mut run, &lab);
    let made = run.world.machine.as_ref().unwrap().spec.attributes();
    assert_eq!(made["image"], "/images/debian-14.qcow2");
    assert_eq!(run.world.machine.as_ref().unwrap().key, "host-made");
}

#[test]
fn a_replacement_that_was_only_begun_and_is_taken_back_leaves_the_machine() {
    let (lab, mut run) = begun("debian-13.qcow2", "debian-14.qcow2");
    lab.change("debian-14.qcow2", "debian-13.qcow2");
    settle(&mut run, &lab);
    assert_eq!(run.world.count(&Deed::Made), 0);
}

#[test]
fn a_replacement_that_was_begun_is_refused_like_one_that_was_not() {
    let (lab, run) = begun("debian-13.qcow2", "debian-14.qcow2");
    lab.change("[machine.local]", "protect = true\n[machine.local]");
    assert_eq!(run.plan(&lab).refusals.len(), 1);
}

#[test]
fn settings_edited_on_the_host_are_not_taken_for_ours_when_their_repair_was_cut_off() {
    let (lab, mut run) = demo();
    run.world.host().base.sshd = Some("e0".into());
    run.world.broken_at = Some(1);
    run.apply(&lab, crate::plan::Allowed::default());
    settle(&mut run, &lab);
    assert_eq!(run.world.host().base.sshd.as_deref(), Some("5d"));
}
