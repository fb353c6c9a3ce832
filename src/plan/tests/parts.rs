//! The machine layer where a machine is made part by part.

use insta::assert_snapshot;

use super::{settle, settle_allowing, shown};
use crate::fixture::{Deed, Lab, Run, fixed};
use crate::names::{Address, Endpoint};
use crate::plan::{Action, Allowed, Plan, plan_destroy, render_plan};

const DATA_LOSS: Allowed = Allowed { data_loss: true };

/// A settled demo on an EC2 instance.
fn aws() -> (Lab, Run) {
    let lab = Lab::aws();
    let run = Run::settled(&lab);
    (lab, run)
}

fn without_volume() -> (Lab, Run) {
    let lab = Lab::aws();
    lab.change("[data]\nvolume_gib = 5\n", "");
    let run = Run::settled(&lab);
    (lab, run)
}

fn ephemeral() -> (Lab, Run) {
    let lab = Lab::aws();
    lab.change("\"static\"", "\"ephemeral\"");
    let run = Run::settled(&lab);
    (lab, run)
}

/// The lines about the machine layer, and what follows the steps.
fn machine(text: &str) -> String {
    let mut keep = true;
    let mut lines = Vec::new();
    for line in text.lines() {
        if !line.starts_with(' ') {
            keep = !["host.", "stack.", "edge."]
                .iter()
                .any(|layer| line.contains(&format!(" {layer}")));
        }
        if keep {
            lines.push(line);
        }
    }
    lines.join("\n")
}

fn addresses(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| step.address.to_string()).collect()
}

#[test]
fn a_machine_with_its_parts_as_they_shall_be_changes_nothing() {
    let (lab, run) = aws();
    assert_eq!(shown(&run.plan(&lab)), "demo is as it shall be: nothing to do.\n");
    let (lab, run) = ephemeral();
    assert_eq!(shown(&run.plan(&lab)), "demo is as it shall be: nothing to do.\n");
}

#[test]
fn parts_are_made_around_their_machine_in_order() {
    let lab = Lab::aws();
    let mut run = Run::new();
    assert_snapshot!(machine(&settle(&mut run, &lab)), @r"
    + machine.key
        public_key  ssh-ed25519 AAAA operator
    + machine.firewall
        tcp/22   operator
        tcp/443  0.0.0.0/0 ::/0
        tcp/80   0.0.0.0/0 ::/0
        udp/443  0.0.0.0/0 ::/0
    + machine.instance
        disk_gib    20
        encryption  default key
        image       debian-13
        market      on-demand
        metadata    v2 tokens, 1 hop
        provider    aws
        size        t3.small
    + machine.volume
        attached_to  machine.instance
        encryption   default key
        size_gib     5
    + machine.address
        attached_to  machine.instance
    + dns.shop.example.com
        address  (known after the machine is there)
    demo: 11 to add, 0 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(run.world.parts.len(), 5);
    assert_eq!(run.state.endpoint(), Some(fixed()));
    assert_eq!(run.state.provider().unwrap()["provider"], "memory");
}

#[test]
fn a_rule_that_somebody_added_to_the_firewall_is_drift() {
    let (lab, mut run) = aws();
    let rules = run.world.parts.get_mut(&Address::MachineFirewall).unwrap();
    rules.insert("tcp/5432".into(), "0.0.0.0/0".into());
    rules.insert("tcp/22".into(), "0.0.0.0/0 operator".into());
    assert_snapshot!(settle(&mut run, &lab), @r"
    Changed outside of provision since the last apply:
    ! machine.firewall
        tcp/22: operator → 0.0.0.0/0 operator
        tcp/5432: (none) → 0.0.0.0/0

    What will be done:
    ~ machine.firewall
        tcp/22 (drift): 0.0.0.0/0 operator → operator
        tcp/5432 (drift): 0.0.0.0/0 → (none)
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
}

#[test]
fn another_size_is_a_restart_and_keeps_everything() {
    let (lab, mut run) = aws();
    lab.change("t3.small", "t3.medium");
    assert!(matches!(run.plan(&lab).steps[0].action, Action::ResizeInstance { .. }));
    assert_snapshot!(settle(&mut run, &lab), @r"
    ~ machine.instance
        size: t3.small → t3.medium
    note: the machine is stopped and started; the host is looked at once it runs again
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(run.world.deeds, []);
}

#[test]
fn a_growing_volume_grows_its_file_system() {
    let (lab, mut run) = aws();
    lab.change("volume_gib = 5", "volume_gib = 8");
    assert_snapshot!(settle(&mut run, &lab), @r"
    ~ machine.volume
        size_gib: 5 → 8
    ~ host.base
        file system of the data volume: 5 GiB → 8 GiB
    demo: 0 to add, 2 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(run.world.machine.unwrap().file_system_gib, Some(8));
}

#[test]
fn a_growing_root_disk_grows_in_place() {
    let (lab, mut run) = aws();
    lab.change("image = \"debian-13\"", "image = \"debian-13\"\ndisk_gib = 40");
    assert_snapshot!(settle(&mut run, &lab), @r"
    ~ machine.instance
        disk_gib: 20 → 40
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
}

#[test]
fn what_would_lose_the_volume_is_refused() {
    let (lab, run) = aws();
    lab.change("volume_gib = 5", "volume_gib = 4");
    assert_snapshot!(run.plan_allowing(&lab, DATA_LOSS).refusals(), @"volume_gib cannot shrink: no disk does without losing data; write the old size");
    lab.change("[data]\nvolume_gib = 4\n", "");
    assert_snapshot!(run.plan_allowing(&lab, DATA_LOSS).refusals(), @"machine.volume cannot be taken away: its data would be lost; destroy the environment instead");
    let (lab, mut run) = aws();
    let volume = run.world.parts.get_mut(&Address::MachineVolume).unwrap();
    volume.insert("encryption".into(), "none".into());
    assert_snapshot!(run.plan_allowing(&lab, DATA_LOSS).refusals(), @r"
    the data volume is not encrypted and cannot become so: copy it, by an encrypted snapshot, and take the copy over with `provision state import`
    ");
}

#[test]
fn another_key_is_for_the_new_machine_and_the_volume_keeps_its_own() {
    let (lab, mut run) = aws();
    lab.change("size =", "kms_key = \"alias/shop\"\nsize =");
    let plan = run.plan(&lab);
    assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
    let text = crate::plan::render_plan(&plan, false);
    let machine = text
        .lines()
        .filter(|line| !line.starts_with("  ") || line.contains(" machine.") || line.contains("key"));
    assert_snapshot!(machine.collect::<Vec<_>>().join("\n"), @r"
    ± machine.instance
        encryption: default key → alias/shop
    ~ machine.volume
        attached_to: (none) → machine.instance
    ~ machine.address
        attached_to: (none) → machine.instance
    + host.identity
        host key  made on the host, replaces the one of the first boot
    + host.base
    + stack.postgres
    + stack.demo
    + edge.caddy
    note: machine.volume keeps the key that it was made with: its data would have to be copied to another volume
    demo: 5 to add, 2 to change, 1 to replace, 0 to remove.
    ");
    run.settle(&lab);
    let volume = &run.state.record(&Address::MachineVolume).unwrap().attributes;
    assert_eq!(volume["encryption"], "default key");
    // A volume that is made anew has the key of the file.
    run.world.parts.remove(&Address::MachineVolume);
    run.settle(&lab);
    assert_eq!(run.world.parts[&Address::MachineVolume]["encryption"], "alias/shop");
}

#[test]
fn another_image_replaces_the_machine_and_takes_volume_and_address_along() {
    let (lab, mut run) = aws();
    lab.change("debian-13", "debian-12");
    assert_snapshot!(machine(&settle(&mut run, &lab)), @r"
    ± machine.instance
        because image is fixed when an instance is made; the data volume is kept
        image: debian-13 → debian-12
    ~ machine.volume
        attached_to: (none) → machine.instance
    ~ machine.address
        attached_to: (none) → machine.instance
    demo: 5 to add, 2 to change, 1 to replace, 0 to remove.
    ");
    assert_eq!(
        run.world
            .deeds
            .iter()
            .filter(|deed| matches!(deed, Deed::Part(_)))
            .count(),
        0
    );
    assert_eq!(
        run.world.count(&Deed::Job("demo.seed".into())),
        0,
        "the data is the old"
    );
    assert_eq!(run.state.endpoint(), Some(fixed()));
}

#[test]
fn a_protected_environment_keeps_its_instance() {
    let (lab, run) = aws();
    lab.change("domain =", "protect = true\ndomain =");
    lab.change("debian-13", "debian-12");
    assert_snapshot!(run.plan_allowing(&lab, DATA_LOSS).refusals(), @"machine.instance would be replaced, and the environment is protected (protect = true)");
}

#[test]
fn data_on_the_root_disk_is_not_lost_by_accident() {
    let (lab, mut run) = without_volume();
    lab.change("debian-13", "debian-12");
    assert_snapshot!(run.plan(&lab).refusals(), @"machine.instance would be replaced and its data lives on its root disk: back it up, then add --allow-data-loss");
    settle_allowing(&mut run, &lab, DATA_LOSS);
    assert_eq!(run.world.count(&Deed::Job("demo.seed".into())), 1, "the data is new");
}

#[test]
fn a_volume_comes_with_a_new_machine_only() {
    let (lab, mut run) = without_volume();
    lab.change("[stacks.postgres]", "[data]\nvolume_gib = 5\n[stacks.postgres]");
    assert_snapshot!(run.plan(&lab).refusals(), @"machine.instance would be replaced and its data lives on its root disk: back it up, then add --allow-data-loss");
    assert_snapshot!(machine(&settle_allowing(&mut run, &lab, DATA_LOSS)), @r"
    ± machine.instance
        because Docker's data moves to a volume only on a new machine; ALL DATA ON ITS DISK IS LOST
    + machine.volume
        attached_to  machine.instance
        encryption   default key
        size_gib     5
    ~ machine.address
        attached_to: (none) → machine.instance
    note: the edge's own authority goes with the machine's disk: who trusts it has to trust the new ca_certificate
    demo: 6 to add, 1 to change, 1 to replace, 0 to remove.
    ");
    assert_eq!(run.world.count(&Deed::Made), 1);
    assert_eq!(run.world.machine.unwrap().file_system_gib, Some(5));
}

#[test]
fn an_address_of_its_own_is_given_and_the_host_looked_at_under_it() {
    let (lab, mut run) = ephemeral();
    lab.change("\"ephemeral\"", "\"static\"");
    assert_snapshot!(settle(&mut run, &lab), @r"
    + machine.address
        attached_to  machine.instance
    ~ dns.shop.example.com
        address: 127.77.0.1 → (known after the machine is there)
    note: the machine gets another address; the host is looked at under it
    demo: 1 to add, 1 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(run.state.endpoint(), Some(fixed()));
}

#[test]
fn an_address_of_its_own_is_taken_away_and_names_follow() {
    let (lab, mut run) = aws();
    lab.change("\"static\"", "\"ephemeral\"");
    assert_snapshot!(settle(&mut run, &lab), @r"
    - machine.address
        attached_to  machine.instance
    note: the machine gets another address; the host is looked at under it
    demo: 0 to add, 0 to change, 0 to replace, 1 to remove.
    ");
    let elsewhere = run.world.ephemeral.clone();
    assert_eq!(run.state.endpoint(), Some(elsewhere.clone()));
    let name = &run.world.parts[&Address::Dns("shop.example.com".into())];
    assert_eq!(name["address"], elsewhere.address.to_string());
}

#[test]
fn an_address_is_taken_away_together_with_its_machine() {
    let (lab, mut run) = aws();
    lab.change("\"static\"", "\"ephemeral\"");
    lab.change("debian-13", "debian-12");
    assert_snapshot!(machine(&settle(&mut run, &lab)), @r"
    ± machine.instance
        because image is fixed when an instance is made; the data volume is kept
        image: debian-13 → debian-12
    ~ machine.volume
        attached_to: (none) → machine.instance
    ~ dns.shop.example.com
        address: 127.77.0.9 → (known after the machine is there)
    - machine.address
        attached_to  machine.instance
    demo: 5 to add, 2 to change, 1 to replace, 1 to remove.
    ");
    let name = &run.world.parts[&Address::Dns("shop.example.com".into())];
    assert_eq!(name["address"], run.world.ephemeral.address.to_string());
}

#[test]
fn a_machine_that_somebody_restarted_is_found_elsewhere() {
    let (lab, mut run) = ephemeral();
    run.world.ephemeral = Endpoint::standard("127.77.0.5".parse().unwrap());
    assert_snapshot!(settle(&mut run, &lab), @r"
    Changed outside of provision since the last apply:
    ! machine.instance
        address: 127.77.0.1 → 127.77.0.5

    What will be done:
    ~ machine.instance
        address (drift): 127.77.0.1 → 127.77.0.5
    ~ dns.shop.example.com
        address: 127.77.0.1 → 127.77.0.5
    note: the machine has another address; the host is looked at under it
    demo: 0 to add, 2 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(run.state.endpoint(), Some(run.world.ephemeral.clone()));
}

#[test]
fn names_come_and_go_with_the_routes() {
    let (lab, mut run) = aws();
    lab.change("[routes]", "[routes]\n\"api.example.com/\" = \"web:8000\"");
    assert_snapshot!(machine(&settle(&mut run, &lab)), @r"
    + dns.api.example.com
        address  127.77.0.9
    demo: 1 to add, 1 to change, 0 to replace, 0 to remove.
    ");
    lab.change("\"api.example.com/\" = \"web:8000\"\n", "");
    assert_snapshot!(machine(&settle(&mut run, &lab)), @r"
    - dns.api.example.com
        address  127.77.0.9
    demo: 0 to add, 1 to change, 0 to replace, 1 to remove.
    ");
    assert!(!run.world.parts.contains_key(&Address::Dns("api.example.com".into())));
}

#[test]
fn an_instance_that_is_gone_is_made_again_with_the_old_data() {
    let (lab, mut run) = aws();
    run.world.terminate();
    assert_snapshot!(machine(&settle(&mut run, &lab)), @r"
    Changed outside of provision since the last apply:
    ! machine.volume
        attached_to: machine.instance → (none)
    ! machine.instance
        the whole of it: vm-1 → gone
    ! machine.address
        attached_to: machine.instance → (none)

    What will be done:
    + machine.instance
        disk_gib    20
        encryption  default key
        image       debian-13
        market      on-demand
        metadata    v2 tokens, 1 hop
        provider    aws
        size        t3.small
    ~ machine.volume
        attached_to (drift): (none) → machine.instance
    ~ machine.address
        attached_to (drift): (none) → machine.instance
    note: the machine that the state knows is gone; a new one is made
    demo: 6 to add, 2 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(
        run.world.count(&Deed::Job("demo.seed".into())),
        0,
        "the data is the old"
    );
}

#[test]
fn a_part_that_is_gone_is_made_again() {
    for address in [
        Address::MachineKey,
        Address::MachineAddress,
        Address::Dns("shop.example.com".into()),
    ] {
        let (lab, mut run) = aws();
        run.world.parts.remove(&address);
        let text = settle(&mut run, &lab);
        let told = format!("note: {address} that the state knows is gone; it is made again\n");
        assert!(text.contains(&told), "{text}");
    }
}

#[test]
fn a_volume_that_is_gone_is_made_and_mounted_again() {
    let (lab, mut run) = aws();
    run.world.parts.remove(&Address::MachineVolume);
    run.world.machine.as_mut().unwrap().file_system_gib = None;
    assert_snapshot!(settle(&mut run, &lab), @r"
    Changed outside of provision since the last apply:
    ! machine.volume
        the whole of it: id-machine.volume → gone

    What will be done:
    + machine.volume
        attached_to  machine.instance
        encryption   default key
        size_gib     5
    ~ host.base
        mount of the data volume (drift): lost with the volume → mounted
    note: machine.volume that the state knows is gone; its data is lost; an empty one is made
    demo: 1 to add, 1 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(run.world.machine.unwrap().file_system_gib, Some(5));
}

#[test]
fn a_volume_that_was_taken_off_is_given_back_and_mounted() {
    let (lab, mut run) = aws();
    run.world
        .parts
        .get_mut(&Address::MachineVolume)
        .unwrap()
        .remove("attached_to");
    run.world.machine.as_mut().unwrap().file_system_gib = None;
    assert_snapshot!(settle(&mut run, &lab), @r"
    Changed outside of provision since the last apply:
    ! machine.volume
        attached_to: machine.instance → (none)

    What will be done:
    ~ machine.volume
        attached_to (drift): (none) → machine.instance
    ~ host.base
        mount of the data volume (drift): lost with the volume → mounted
    demo: 0 to add, 2 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(run.world.machine.unwrap().file_system_gib, Some(5));
}

#[test]
fn what_bears_our_tags_and_was_never_recorded_is_ours() {
    let (lab, mut run) = aws();
    let address = Address::Dns("old.example.com".into());
    run.world
        .parts
        .insert(address.clone(), [("address".to_owned(), "192.0.2.1".to_owned())].into());
    assert_eq!(addresses(&run.plan(&lab)), ["dns.old.example.com"]);
    settle(&mut run, &lab);
    assert!(!run.world.parts.contains_key(&address));
    run.state.resources.remove(&Address::MachineFirewall);
    assert_eq!(addresses(&run.plan(&lab)), ["machine.firewall"]);
    settle(&mut run, &lab);
    assert_eq!(run.world.deeds, []);
}

#[test]
fn all_goes_in_reverse_order_and_the_volume_is_kept_on_demand() {
    let (_, run) = aws();
    assert_snapshot!(render_plan(&plan_destroy(&run.state, false, true), false), @r"
    - edge.caddy
        goes  with the machine
    - stack.postgres
        goes  with the machine
    - stack.demo
        goes  with the machine
    - host.base
        goes  with the machine
    - host.identity
        goes  with the machine
    - dns.shop.example.com
        goes  back to the provider
    - machine.address
        goes  back to the provider
    - machine.instance
        root disk  DELETED with the machine
    - machine.volume
        data volume  5 GiB, kept
    - machine.firewall
        goes  back to the provider
    - machine.key
        goes  back to the provider
    demo: 0 to add, 0 to change, 0 to replace, 11 to remove.
    ");
    for keep_volume in [false, true] {
        let mut run = run.clone();
        assert!(matches!(run.destroy(keep_volume), crate::fixture::Ended::Done));
        let left: Vec<String> = run.world.parts.keys().map(Address::to_string).collect();
        assert_eq!(left, if keep_volume { vec!["machine.volume"] } else { vec![] });
        assert!(run.state.resources.is_empty());
    }
}

#[test]
fn a_name_that_is_somebody_elses_is_refused_before_anything_is_made() {
    let lab = Lab::aws();
    let mut run = Run::new();
    let name = Address::Dns("shop.example.com".into());
    run.world.obstacles.insert(name, "it has A records of others".into());
    let plan = run.plan(&lab);
    assert_eq!(plan.refusals(), "it has A records of others");
    // A record that nobody asks for any more is in nobody's way.
    lab.change("[dns]\nprovider = \"route53\"\n", "");
    assert!(run.plan(&lab).refusals.is_empty());
}
