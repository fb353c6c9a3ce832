//! The machine layer.

use insta::assert_snapshot;

use super::{demo, settle, settle_allowing, shown};
use crate::fixture::{Deed, Lab, Run};
use crate::plan::Allowed;
use crate::provider::Power;

const DATA_LOSS: Allowed = Allowed { data_loss: true };

/// A demo whose data lives on the root disk.
fn without_volume() -> (Lab, Run) {
    let lab = Lab::demo();
    lab.change("[data]\nvolume_gib = 5\n", "");
    let run = Run::settled(&lab);
    (lab, run)
}

#[test]
fn a_machine_without_power_is_started_before_its_host_is_looked_at() {
    let (lab, mut run) = demo();
    run.world.machine.as_mut().unwrap().power = Power::Off;
    run.world.host().base.firewall_live = false;
    assert_snapshot!(settle(&mut run, &lab), @r"
    Changed outside of provision since the last apply:
    ! machine.instance
        power: on → off

    What will be done:
    ~ machine.instance
        power (drift): off → on
    note: the machine has no power; the host is looked at once it runs
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
    assert!(run.world.host().base.firewall_live);
}

#[test]
fn a_machine_that_is_gone_is_made_again_with_everything_on_it() {
    let (lab, mut run) = demo();
    run.world.machine = None;
    let text = settle(&mut run, &lab);
    let lines = text.lines().filter(|line| !line.starts_with("  "));
    assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r"
    Changed outside of provision since the last apply:
    ! machine.instance

    What will be done:
    + machine.instance
    + host.identity
    + host.base
    + stack.postgres
    + stack.demo
    + edge.caddy
    note: the machine that the state knows is gone; a new one is made
    demo: 6 to add, 0 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(run.world.count(&Deed::Job("demo.seed".into())), 1);
}

#[test]
fn size_grows_in_place() {
    let (lab, mut run) = demo();
    lab.change(
        "[machine.local]",
        "[machine.local]\ncpus = 4\nmemory_gib = 4\ndisk_gib = 40",
    );
    assert_snapshot!(settle(&mut run, &lab), @r"
    ~ machine.instance
        cpus: 2 → 4
        disk_gib: 20 → 40
        memory_mib: 2048 → 4096
    note: the machine is stopped and started; the host is looked at once it runs again
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(run.world.deeds, []);
}

#[test]
fn a_volume_grows_with_the_file_system_on_it() {
    let (lab, mut run) = demo();
    lab.change("volume_gib = 5", "volume_gib = 8");
    assert_snapshot!(settle(&mut run, &lab), @r"
    ~ machine.instance
        volume_gib: 5 → 8
    ~ host.base
        file system of the data volume: 5 GiB → 8 GiB
    note: the machine is stopped and started; the host is looked at once it runs again
    demo: 0 to add, 2 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(run.world.machine.as_ref().unwrap().file_system_gib, Some(8));
}

#[test]
fn a_volume_never_shrinks_and_is_never_taken_away() {
    let (lab, run) = demo();
    lab.change("volume_gib = 5", "volume_gib = 4");
    assert_snapshot!(shown(&run.plan_allowing(&lab, DATA_LOSS)), @r"
    ~ machine.instance
        volume_gib: 5 → 4
    ~ host.base
        file system of the data volume: 5 GiB → 4 GiB
    refused: volume_gib cannot shrink: no disk does without losing data; write the old size
    demo: 0 to add, 2 to change, 0 to replace, 0 to remove.
    ");
    lab.change("[data]\nvolume_gib = 4\n", "");
    let plan = run.plan_allowing(&lab, DATA_LOSS);
    assert_snapshot!(plan.refusals(), @"volume_gib cannot be taken away: its data would be lost; destroy the environment instead");
}

#[test]
fn a_smaller_disk_is_another_machine_and_refused_while_data_is_on_it() {
    let (lab, mut run) = without_volume();
    lab.change("[machine.local]", "[machine.local]\ndisk_gib = 10");
    let plan = run.plan(&lab);
    assert_snapshot!(plan.refusals(), @"machine.instance would be replaced and its data lives on its root disk: back it up, then add --allow-data-loss");
    let text = settle_allowing(&mut run, &lab, DATA_LOSS);
    assert_snapshot!(text.lines().take(3).collect::<Vec<_>>().join("\n"), @r"
    ± machine.instance
        because disk_gib cannot shrink; ALL DATA ON ITS DISK IS LOST
        disk_gib: 20 → 10
    ");
    assert_eq!(run.world.count(&Deed::Job("demo.seed".into())), 1, "the data is new");
}

#[test]
fn another_image_replaces_the_machine_and_keeps_the_data_volume() {
    let (lab, mut run) = demo();
    lab.change("debian-13.qcow2", "debian-14.qcow2");
    let text = settle(&mut run, &lab);
    assert_snapshot!(text.lines().filter(|line| !line.starts_with("      ")).collect::<Vec<_>>().join("\n"), @r"
    ± machine.instance
        because image is fixed when the machine is made; the data volume is kept
        image: /images/debian-13.qcow2 → /images/debian-14.qcow2
    + host.identity
        host key  made on the host, replaces the one of the first boot
    + host.base
        script  SCRIPT (first boot, Docker, firewall, sshd, updates)
    + stack.postgres
        databases  postgres:17 (job)
        postgres   postgres:17
    + stack.demo
        migrate  provision-demo:1 (job)
        seed     provision-demo:1 (job)
        web      provision-demo:1
        image    provision-demo:1, 1 MB over SSH
    + edge.caddy
        caddy  caddy:2
    demo: 5 to add, 0 to change, 1 to replace, 0 to remove.
    ");
    assert_eq!(
        run.world.count(&Deed::Job("demo.seed".into())),
        0,
        "the data is the old"
    );
    assert_eq!(run.world.count(&Deed::Made), 1);
}

#[test]
fn data_moves_to_a_volume_only_on_a_new_machine() {
    let (lab, mut run) = without_volume();
    lab.change("[stacks.postgres]", "[data]\nvolume_gib = 5\n[stacks.postgres]");
    assert_snapshot!(run.plan(&lab).refusals(), @"machine.instance would be replaced and its data lives on its root disk: back it up, then add --allow-data-loss");
    settle_allowing(&mut run, &lab, DATA_LOSS);
}

#[test]
fn a_protected_environment_keeps_its_machine() {
    let (lab, run) = demo();
    lab.change("debian-13.qcow2", "debian-14.qcow2");
    lab.change("[machine.local]", "protect = true\n[machine.local]");
    assert_snapshot!(run.plan_allowing(&lab, DATA_LOSS).refusals(), @"machine.instance would be replaced, and the environment is protected (protect = true)");
}

#[test]
fn what_only_a_first_boot_reads_is_noted() {
    let (lab, mut run) = demo();
    let record = run
        .state
        .resources
        .get_mut(&"machine.instance".parse().unwrap())
        .unwrap();
    record.attributes.insert("first_boot".into(), "0".repeat(64));
    let plan = run.plan(&lab);
    assert!(plan.is_empty());
    assert_snapshot!(shown(&plan), @r"
    note: cloud-init's first-boot part changed: no effect on a machine that has booted already
    demo is as it shall be: nothing to do.
    ");
}

/// Certificates of an authority, and Caddy's own authority, are Docker's data too: they go where the data goes.
#[test]
fn certificates_that_go_with_the_disk_are_told() {
    let anew = "the edge's certificates go with the machine's disk and are asked for anew";
    let stay = "on a volume of [data] they would stay";
    let own = "mode = \"acme\"\ndirectory = \"https://ca.internal/directory\"\n";
    for (tls, told) in [
        (own, format!("{anew}; {stay}")),
        (
            "mode = \"internal\"\n",
            "the edge's own authority goes with the machine's disk: who trusts it has to trust the new ca_certificate; \
             on a volume of [data] it would stay"
                .to_owned(),
        ),
    ] {
        let lab = Lab::demo();
        lab.change("[data]\nvolume_gib = 5\n", &format!("[tls]\n{tls}"));
        let mut run = Run::settled(&lab);
        lab.change("[machine.local]", "[machine.local]\ndisk_gib = 10");
        assert_eq!(run.plan_allowing(&lab, DATA_LOSS).notes, std::slice::from_ref(&told));
        run.world.machine = None;
        let gone = "the machine that the state knows is gone; a new one is made".to_owned();
        assert_eq!(run.plan_allowing(&lab, DATA_LOSS).notes, [gone, told]);
        // With a volume nothing is told.
        let lab = Lab::demo();
        lab.change("[stacks.postgres]", &format!("[tls]\n{tls}[stacks.postgres]"));
        let run = Run::settled(&lab);
        lab.change("[machine.local]", "[machine.local]\ndisk_gib = 10");
        assert_eq!(run.plan_allowing(&lab, DATA_LOSS).notes, Vec::<String>::new());
    }
}
