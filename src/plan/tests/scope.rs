//! A part of the plan, and what is made anew on request.

use std::collections::BTreeSet;

use insta::assert_snapshot;

use super::shown;
use crate::fixture::{Deed, Ended, Lab, Run};
use crate::names::Address;
use crate::plan::{Allowed, Options, Plan, Unknown};
use crate::provider::Power;

fn addresses(words: &[&str]) -> BTreeSet<Address> {
    words.iter().map(|word| word.parse().unwrap()).collect()
}

fn only(targets: &[&str]) -> Options {
    Options {
        targets: addresses(targets),
        ..Options::default()
    }
}

fn anew(replace: &[&str]) -> Options {
    Options {
        replace: addresses(replace),
        ..Options::default()
    }
}

fn done(run: &mut Run, lab: &Lab, options: Options) {
    match run.apply_with(lab, options) {
        Ended::Done => {}
        other => panic!("{other:?}"),
    }
}

fn steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| step.address.to_string()).collect()
}

#[test]
fn a_target_brings_what_it_needs_and_nothing_else() {
    let lab = Lab::demo();
    let mut run = Run::new();
    assert_snapshot!(shown(&run.plan_with(&lab, &only(&["stack.postgres"]))), @r"
    + machine.instance
        acceleration  auto
        cpus          2
        disk_gib      20
        image         /images/debian-13.qcow2
        memory_mib    2048
        provider      local
        volume_gib    5
    + host.identity
        host key  made on the host, replaces the one of the first boot
    + host.base
        script  SCRIPT (first boot, Docker, firewall, sshd, updates)
    + stack.postgres
        databases  postgres:17 (job)
        postgres   postgres:17
    note: only stack.postgres, as asked for with --target, and what goes with it: machine.instance, host.identity, host.base
    note: not planned now, so the environment will not be all as it shall be: stack.demo, edge.caddy; plan again without --target
    demo: 4 to add, 0 to change, 0 to replace, 0 to remove.
    ");
    done(&mut run, &lab, only(&["stack.postgres"]));
    assert_eq!(steps(&run.plan(&lab)), ["stack.demo", "edge.caddy"]);
    // The edge needs the stack that its route leads to.
    assert_eq!(
        steps(&run.plan_with(&lab, &only(&["edge.caddy"]))),
        ["stack.demo", "edge.caddy"]
    );
    run.settle(&lab);
}

#[test]
fn machine_layer_targets_leave_what_stands_on_it_alone() {
    let lab = Lab::aws();
    let run = Run::settled(&lab);
    lab.change("volume_gib = 5", "volume_gib = 8");
    lab.change("[routes]", "[routes]\n\"/api/*\" = \"web:8000\"");
    let plan = run.plan_with(&lab, &only(&["machine.volume"]));
    assert_eq!(steps(&plan), ["machine.volume"]);
    let plan = run.plan_with(&lab, &only(&["edge.caddy"]));
    assert_eq!(steps(&plan), ["machine.volume", "host.base", "edge.caddy"]);
}

#[test]
fn a_machine_made_anew_takes_all_that_was_on_it_along() {
    let lab = Lab::demo();
    let mut run = Run::settled(&lab);
    lab.change("debian-13.qcow2", "debian-14.qcow2");
    let options = only(&["machine.instance"]);
    assert_snapshot!(shown(&run.plan_with(&lab, &options)), @r"
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
    note: only machine.instance, as asked for with --target, and what goes with it: host.identity, host.base, stack.postgres, stack.demo, edge.caddy
    demo: 5 to add, 0 to change, 1 to replace, 0 to remove.
    ");
    done(&mut run, &lab, options);
    assert_eq!(steps(&run.plan(&lab)), Vec::<String>::new());
}

/// Asking for everything by name is asking for nothing in particular.
#[test]
fn all_targets_are_the_whole_plan() {
    type Change<'a> = &'a dyn Fn(&Lab, &mut Run);
    let changes: [Change<'_>; 5] = [
        &|_, _| {},
        &|lab, _| {
            lab.change("debian-13", "debian-12");
        },
        &|lab, run| {
            lab.change("[routes]", "[routes]\n\"/api/*\" = \"web:8000\"");
            run.world.host().containers.clear();
        },
        &|_, run| run.world.machine.as_mut().unwrap().power = Power::Off,
        &|_, run| run.world.terminate(),
    ];
    for make in [Lab::demo, Lab::aws] {
        for (number, change) in changes.iter().enumerate() {
            let lab = make();
            let mut run = if number == 0 { Run::new() } else { Run::settled(&lab) };
            change(&lab, &mut run);
            let desired = lab.desired(run.state.endpoint());
            let all = Options {
                targets: super::super::scope::written(&desired),
                ..Options::default()
            };
            let whole = run.plan(&lab);
            let plan = run.plan_with(&lab, &all);
            assert_eq!(plan.steps, whole.steps, "{number}");
            assert_eq!(plan.refusals, whole.refusals);
            assert_eq!(plan.look_again, whole.look_again, "{number}");
        }
    }
}

/// Whatever part is done first, the whole ends as it would have without.
#[test]
fn parts_first_end_like_all_at_once() {
    let change = |lab: &Lab| {
        lab.change("t3.small", "t3.large");
        lab.change("volume_gib = 5", "volume_gib = 8");
        lab.change("\"static\"", "\"ephemeral\"");
        lab.change("[stacks.demo]", "[stacks.demo]\nscale = { web = 2 }");
        lab.change("[routes]", "[routes]\n\"/api/*\" = \"web:8000\"");
    };
    let lab = Lab::aws();
    let settled = Run::settled(&lab);
    let written = super::super::scope::written(&lab.desired(settled.state.endpoint()));
    change(&lab);
    let mut clean = settled.clone();
    clean.settle(&lab);
    for target in written {
        let mut run = settled.clone();
        let options = Options {
            targets: [target.clone()].into(),
            ..Options::default()
        };
        done(&mut run, &lab, options);
        run.settle(&lab);
        assert_eq!(run.records(), clean.records(), "{target}");
        assert_eq!(run.world.count(&Deed::Destroyed), 0, "{target}");
    }
}

#[test]
fn what_is_refused_elsewhere_keeps_no_part_from_being_done() {
    let lab = Lab::aws();
    let run = Run::settled(&lab);
    lab.change("volume_gib = 5", "volume_gib = 4");
    lab.change("t3.small", "t3.large");
    assert_eq!(run.plan(&lab).refusals.len(), 1);
    let plan = run.plan_with(&lab, &only(&["machine.instance"]));
    assert_eq!(
        (steps(&plan), plan.refusals.len()),
        (vec!["machine.instance".to_owned()], 0)
    );
    // What it needs is refused, and so is it.
    assert_eq!(run.plan_with(&lab, &only(&["stack.demo"])).refusals.len(), 1);
}

#[test]
fn a_second_look_goes_on_with_the_same_part() {
    let lab = Lab::demo();
    let mut run = Run::settled(&lab);
    run.world.host().containers.clear();
    run.world.machine.as_mut().unwrap().power = Power::Off;
    assert!(run.plan_with(&lab, &only(&["stack.demo"])).look_again.is_some());
    assert_eq!(run.plan_with(&lab, &only(&["machine.instance"])).look_again, None);
    done(&mut run, &lab, only(&["stack.demo"]));
    assert_eq!(steps(&run.plan(&lab)), ["edge.caddy"]);
}

#[test]
fn a_machine_is_made_anew_with_the_rules_for_its_data() {
    let lab = Lab::demo();
    let mut run = Run::settled(&lab);
    let options = anew(&["machine.instance"]);
    assert_snapshot!(shown(&run.plan_with(&lab, &options)).lines().take(3).collect::<Vec<_>>().join("\n"), @r"
    ± machine.instance
        because asked for with --replace; the data volume is kept
    + host.identity
    ");
    done(&mut run, &lab, options.clone());
    assert_eq!(run.world.count(&Deed::Destroyed), 1);
    assert!(run.plan(&lab).is_empty());

    let lab = Lab::demo();
    lab.change("[data]\nvolume_gib = 5\n", "");
    let mut run = Run::settled(&lab);
    assert_snapshot!(run.plan_with(&lab, &options).refusals(), @"machine.instance would be replaced and its data lives on its root disk: back it up, then add --allow-data-loss");
    let allowed = Options {
        allowed: Allowed { data_loss: true },
        ..options.clone()
    };
    done(&mut run, &lab, allowed);

    lab.change("[machine.local]", "protect = true\n[machine.local]");
    assert_snapshot!(run.plan_with(&lab, &options).refusals(), @"machine.instance would be replaced, and the environment is protected (protect = true)");
}

#[test]
fn a_stack_s_containers_are_made_anew_once() {
    let lab = Lab::demo();
    let mut run = Run::settled(&lab);
    let options = anew(&["stack.demo", "edge.caddy"]);
    assert_snapshot!(shown(&run.plan_with(&lab, &options)), @r"
    ± stack.demo
        because asked for with --replace; its containers are made anew, its volumes stay
    ± edge.caddy
        because asked for with --replace; its containers are made anew, its volumes stay
    demo: 0 to add, 0 to change, 2 to replace, 0 to remove.
    ");
    done(&mut run, &lab, options.clone());
    let renewed = |run: &Run, name: &str| run.world.count(&Deed::Renewed(name.to_owned()));
    assert_eq!(
        (renewed(&run, "demo"), renewed(&run, "edge"), renewed(&run, "postgres")),
        (1, 1, 0)
    );
    assert!(run.plan(&lab).is_empty());
    assert!(
        !run.world.deeds.iter().any(|deed| matches!(deed, Deed::Job(_))),
        "a repair runs no job"
    );
    // What could be seen only at the second look is done then, and once.
    run.world.machine.as_mut().unwrap().power = Power::Off;
    done(&mut run, &lab, options);
    assert_eq!((renewed(&run, "demo"), renewed(&run, "edge")), (2, 2));
}

#[test]
fn addresses_that_mean_nothing_here_are_told() {
    let lab = Lab::demo();
    let run = Run::settled(&lab);
    let desired = lab.desired(run.state.endpoint());
    let told = |options: Options| options.check(&desired, &run.state).map_err(|error| error.to_string());
    assert_eq!(told(only(&["stack.demo", "host.base"])), Ok(()));
    assert_snapshot!(told(only(&["stack.demmo"])).unwrap_err(), @"--target stack.demmo: there is no such thing in this environment");
    assert_snapshot!(told(only(&["machine.firewall"])).unwrap_err(), @"--target machine.firewall: there is no such thing in this environment");
    assert_snapshot!(told(anew(&["machine.volume"])).unwrap_err(), @"--replace machine.volume: only machine.instance, a stack and edge.caddy can be made anew on request");
    assert_snapshot!(told(anew(&["stack.shop"])).unwrap_err(), @"--replace stack.shop: there is no such thing in this environment");
    let Err(Unknown::Address { known, .. }) = anew(&["stack.shop"]).check(&desired, &run.state) else {
        panic!()
    };
    assert_eq!(known.len(), 4, "{known:?}");
}

#[test]
fn what_is_written_no_more_can_be_aimed_at() {
    let lab = Lab::demo();
    lab.write("compose/more/compose.yaml", "services:\n  one:\n    image: one:1\n");
    lab.change("[stacks.demo]", "[stacks.more]\n\n[stacks.demo]");
    let mut run = Run::settled(&lab);
    lab.change("[stacks.more]\n\n", "");
    lab.change("[routes]", "[routes]\n\"/api/*\" = \"web:8000\"");
    let options = only(&["stack.more"]);
    assert_eq!(options.check(&lab.desired(run.state.endpoint()), &run.state), Ok(()));
    done(&mut run, &lab, options);
    assert_eq!(steps(&run.plan(&lab)), ["edge.caddy"]);
    assert!(
        anew(&["stack.more"])
            .check(&lab.desired(run.state.endpoint()), &run.state)
            .is_err()
    );
}
