//! The host layer.

use insta::assert_snapshot;

use super::{demo, settle};
use crate::plan::Action;

#[test]
fn a_changed_script_is_converged_over_ssh() {
    let (lab, mut run) = demo();
    lab.change("[machine.local]", "network = \"inner\"\n\n[machine.local]");
    let before = run.state.resources[&crate::names::Address::HostBase].attributes["script"].clone();
    let text = settle(&mut run, &lab).replace(&before[..12], "BEFORE");
    let lines: Vec<&str> = text.lines().take(3).collect();
    assert_snapshot!(lines.join("\n"), @r"
    ~ host.base
        script: BEFORE → SCRIPT (converged over SSH)
        network: missing → inner
    ");
}

#[test]
fn a_firewall_that_is_not_loaded_is_drift() {
    let (lab, mut run) = demo();
    run.world.host().base.firewall_live = false;
    assert_snapshot!(settle(&mut run, &lab), @r"
    Changed outside of provision since the last apply:
    ! host.base
        firewall: loaded → not loaded

    What will be done:
    ~ host.base
        firewall (drift): not loaded → loaded
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
}

#[test]
fn a_docker_that_does_not_answer_is_drift() {
    let (lab, mut run) = demo();
    let probe = run.world.host();
    probe.base.docker = false;
    // Without its daemon nothing is known of Docker's things.
    (probe.containers, probe.images, probe.networks) = (vec![], vec![], vec![]);
    assert_snapshot!(settle(&mut run, &lab), @r"
    Changed outside of provision since the last apply:
    ! host.base
        docker: running → does not answer

    What will be done:
    ~ host.base
        docker (drift): does not answer → running
    note: Docker does not answer; the stacks are looked at once it does
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
}

#[test]
fn a_missing_network_is_drift() {
    let (lab, mut run) = demo();
    let host = run.world.host();
    (host.networks, host.own_networks) = (vec![], Default::default());
    assert_snapshot!(settle(&mut run, &lab), @r"
    Changed outside of provision since the last apply:
    ! host.base
        networks: provision 0e0e0e0e0e0e → (none)

    What will be done:
    ~ host.base
        network (drift): missing → provision
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
}

#[test]
fn edited_settings_of_sshd_are_drift() {
    let (lab, mut run) = demo();
    run.world.host().base.sshd = Some("e0".into());
    run.world.host().base.firewall_script = None;
    let step = run.plan(&lab).steps.remove(0);
    assert!(matches!(step.action, Action::Converge { unless_done: false, .. }));
    assert_snapshot!(settle(&mut run, &lab), @r"
    Changed outside of provision since the last apply:
    ! host.base
        firewall script: as converged → removed
        sshd: as converged → edited

    What will be done:
    ~ host.base
        firewall script (drift): edited or removed on the host → as converged
        sshd (drift): edited or removed on the host → as converged
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(run.world.host().base.sshd.as_deref(), Some("5d"));
}

#[test]
fn a_host_that_lost_its_sentinel_is_converged() {
    let (lab, mut run) = demo();
    run.world.host().converged = None;
    let text = settle(&mut run, &lab);
    assert!(text.contains("converged (drift): never → "), "{text}");
}

#[test]
fn a_host_of_another_state_is_refused_and_our_own_is_not() {
    let (lab, mut run) = demo();
    run.world.host().owner = Some(run.state.lineage.to_string());
    assert_eq!(run.plan(&lab).refusals(), "");
    run.world.host().owner = Some("0f".repeat(16));
    let said = run.plan(&lab).refusals().replace(run.state.lineage.as_str(), "OURS");
    assert_snapshot!(said, @"the host belongs to the lineage 0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f, and this state is of the lineage OURS: another state thinks that this machine is its own. Work with that one, or give the host to this one: provision state unlock demo --host --force");
}
