//! What somebody did outside: seen, told apart from what the files ask for, repaired by an apply, or accepted into the state.

use insta::assert_snapshot;
use jiff::Timestamp;
use proptest::prelude::*;

use super::shown;
use crate::fixture::{Ended, KEYS, Lab, RULES, Run};
use crate::names::{Address, Endpoint};
use crate::plan::{Allowed, Change, Origin, accept, render_drift};
use crate::provider::Power;
use crate::remote::probe::{Container, Image};

/// One thing that somebody does, and what a person must read of it: the address, and a line below it.
type Kind = (&'static str, fn(&mut Run), &'static str, &'static str);

const FILE: &str = "/opt/provision/stacks/demo/compose.yaml";

/// On a machine of the local provider.
const KINDS: [Kind; 26] = [
    (
        "power off",
        |run| run.world.machine.as_mut().unwrap().power = Power::Off,
        "machine.instance",
        "power: on → off",
    ),
    (
        "machine gone",
        |run| run.world.terminate(),
        "machine.instance",
        "the whole of it: vm-1 → gone",
    ),
    ("more processors", |run| resize(run), "machine.instance", "cpus: 2 → 8"),
    (
        "file edited",
        |run| edited(run),
        "stack.demo",
        "compose.yaml: as released → edited at 2026-11-21T12:00:00Z",
    ),
    (
        "file removed",
        |run| drop(run.world.host().files.remove(FILE)),
        "stack.demo",
        "compose.yaml: as released → missing",
    ),
    (
        "mode",
        |run| run.world.host().files.get_mut(FILE).unwrap().mode = "0666".into(),
        "stack.demo",
        "compose.yaml: as released → mode 0666",
    ),
    (
        "owner",
        |run| run.world.host().files.get_mut(FILE).unwrap().owner = "bob:bob".into(),
        "stack.demo",
        "compose.yaml: as released → owner bob:bob",
    ),
    (
        "another release",
        |run| drop(run.world.host().releases.insert("demo".into(), "ab".repeat(32))),
        "stack.demo",
        "release: as released → abababababab, put there by somebody else",
    ),
    (
        "container stopped",
        |run| stopped(run),
        "stack.demo",
        "container demo-web-1: running → exited (137)",
    ),
    (
        "container removed",
        |run| run.world.host().containers.retain(|c| c.service != "web"),
        "stack.demo",
        "container demo-web-1: running → gone",
    ),
    (
        "container made again",
        |run| run.world.container("demo-web-1").id = "77".into(),
        "stack.demo",
        "container demo-web-1: 1 → 77, made again",
    ),
    (
        "other configuration",
        |run| reconfigured(run),
        "stack.demo",
        "container demo-web-1: 1 → 77, made again with another configuration",
    ),
    (
        "container of another image",
        |run| run.world.container("demo-web-1").image = "sha256:e1".into(),
        "stack.demo",
        "container demo-web-1",
    ),
    (
        "one more container",
        |run| second(run),
        "stack.demo",
        "container demo-web-2: (none) → running",
    ),
    (
        "a container of the same name",
        |run| impostor(run),
        "stack.demo",
        "container demo-web-1: running → gone",
    ),
    (
        "another image from an archive",
        |run| retagged(run, "provision-demo:1"),
        "stack.demo",
        "image provision-demo:1: sha256:7692c3ad3540 → sha256:e1",
    ),
    (
        "another image from a registry",
        |run| retagged(run, "postgres:17"),
        "stack.postgres",
        "image postgres:17: sha256:ac7b95aaabf6 → sha256:e1",
    ),
    (
        "firewall unloaded",
        |run| run.world.host().base.firewall_live = false,
        "host.base",
        "firewall: loaded → not loaded",
    ),
    (
        "firewall opened",
        |run| opened(run),
        "host.base",
        "+ tcp dport 5432 accept",
    ),
    (
        "rules of others",
        |run| run.world.host().base.foreign_rules = Some("table inet mine\n".into()),
        "host.base",
        "+ table inet mine",
    ),
    (
        "sshd edited",
        |run| run.world.host().base.sshd = Some("e0".into()),
        "host.base",
        "sshd: as converged → edited",
    ),
    (
        "sshd overridden",
        |run| overridden(run),
        "host.base",
        "+ passwordauthentication yes",
    ),
    (
        "one more key",
        |run| run.world.host().base.files.get_mut(KEYS).unwrap().sha256 = "e2".into(),
        "host.base",
        "authorized_keys: as converged → edited",
    ),
    (
        "network made again",
        |run| drop(run.world.host().own_networks.insert("provision".into(), "e3".into())),
        "host.base",
        "networks: provision 0e0e0e0e0e0e → provision e3",
    ),
    (
        "sentinel lost",
        |run| run.world.host().converged = None,
        "host.base",
        "converged: ",
    ),
    (
        "docker stopped",
        |run| run.world.host().base.docker = false,
        "host.base",
        "docker: running → does not answer",
    ),
];

/// On a machine at a cloud.
const AT_CLOUD: [Kind; 6] = [
    (
        "key gone",
        |run| drop(run.world.parts.remove(&Address::MachineKey)),
        "machine.key",
        "gone",
    ),
    (
        "rule added",
        |run| rule(run),
        "machine.firewall",
        "tcp/5432: (none) → 0.0.0.0/0",
    ),
    (
        "name gone",
        |run| drop(run.world.parts.remove(&Address::Dns("shop.example.com".into()))),
        "dns.shop.example.com",
        "gone",
    ),
    (
        "address gone",
        |run| drop(run.world.parts.remove(&Address::MachineAddress)),
        "machine.address",
        "gone",
    ),
    ("instance gone", |run| run.world.terminate(), "machine.instance", "gone"),
    (
        "container stopped",
        |run| stopped(run),
        "stack.demo",
        "container demo-web-1: running → exited (137)",
    ),
];

fn resize(run: &mut Run) {
    let machine = run.world.machine.as_mut().unwrap();
    let crate::provider::Shape::Local(shape) = &mut machine.spec.shape else {
        unreachable!()
    };
    shape.cpus = 8;
}

fn edited(run: &mut Run) {
    let file = run.world.host().files.get_mut(FILE).unwrap();
    (file.sha256, file.modified) = ("0".repeat(64), Some(1_795_262_400));
}

fn stopped(run: &mut Run) {
    let web = run.world.container("demo-web-1");
    (web.state, web.exit_code) = ("exited".into(), 137);
}

fn reconfigured(run: &mut Run) {
    let web = run.world.container("demo-web-1");
    (web.id, web.config) = ("77".into(), "e5".into());
}

fn second(run: &mut Run) {
    let mut second = run.world.container("demo-web-1").clone();
    (second.name, second.id) = ("demo-web-2".into(), "78".into());
    run.world.host().containers.push(second);
}

fn impostor(run: &mut Run) {
    let containers = &mut run.world.host().containers;
    containers.retain(|c| c.name != "demo-web-1");
    containers.push(Container {
        name: "demo-web-1".into(),
        id: "79".into(),
        state: "running".into(),
        ..Container::default()
    });
}

fn retagged(run: &mut Run, tag: &str) {
    let images = &mut run.world.host().images;
    images
        .iter_mut()
        .for_each(|image| image.tags.retain(|known| known != tag));
    images.push(Image {
        id: "sha256:e1".into(),
        tags: vec![tag.to_owned()],
    });
}

fn opened(run: &mut Run) {
    run.world.host().base.firewall_rules = Some(format!("{RULES}tcp dport 5432 accept\n"));
}

fn overridden(run: &mut Run) {
    run.world.host().base.sshd_settings = Some("passwordauthentication yes\npermitrootlogin no\n".into());
}

fn rule(run: &mut Run) {
    let rules = run.world.parts.get_mut(&Address::MachineFirewall).unwrap();
    rules.insert("tcp/5432".into(), "0.0.0.0/0".into());
}

const ALLOWED: Allowed = Allowed { data_loss: true };

/// Everything that a plan says was changed outside, in its steps.
fn labelled(run: &Run, lab: &Lab) -> Vec<String> {
    let plan = run.plan_allowing(lab, ALLOWED);
    let steps = plan.steps.iter().filter_map(|step| match &step.change {
        Change::Update { differences } | Change::Replace { differences, .. } => Some((step, differences)),
        Change::Create { .. } | Change::Delete { .. } => None,
    });
    let outside = steps.flat_map(|(step, differences)| {
        let outside = differences
            .iter()
            .filter(|difference| difference.origin == Origin::Outside);
        outside.map(move |difference| format!("{} {}", step.address, difference.subject))
    });
    outside.collect()
}

fn accepted(run: &mut Run) {
    let observed = run.world.observe(&run.state);
    assert!(accept(&mut run.state, &observed, Timestamp::UNIX_EPOCH, |_| true));
    let observed = run.world.observe(&run.state);
    assert!(
        !accept(&mut run.state, &observed, Timestamp::UNIX_EPOCH, |_| true),
        "twice is once"
    );
}

/// Told, repaired by an apply; or accepted, and then an ordinary change or none.
fn seen_repaired_and_accepted(lab: &Lab, settled: &Run, kind: &Kind) {
    let (name, happens, address, line) = kind;
    let mut run = settled.clone();
    assert_eq!(run.plan(lab).drift, [], "before {name}");
    happens(&mut run);
    let plan = run.plan_allowing(lab, ALLOWED);
    let text = render_drift(&plan, false);
    assert!(
        text.contains(&format!("! {address}\n")) && text.contains(line),
        "{name}:\n{text}"
    );
    assert!(shown(&plan).contains("5ecret") || !text.contains("5ecret"), "{text}");
    for step in &plan.steps {
        let drifted = plan.drift.iter().any(|drift| drift.address == step.address);
        let mine = labelled(&run, lab)
            .iter()
            .any(|told| told.starts_with(&format!("{} ", step.address)));
        assert!(drifted || !mine, "{name}: {} is drift to its step alone", step.address);
    }

    let mut repaired = run.clone();
    repaired.settle_allowing(lab, ALLOWED);

    let mut taken = run;
    accepted(&mut taken);
    let plan = taken.plan_allowing(lab, ALLOWED);
    assert_eq!(plan.drift, [], "{name} was accepted:\n{}", shown(&plan));
    assert_eq!(
        labelled(&taken, lab),
        Vec::<String>::new(),
        "{name} was accepted:\n{}",
        shown(&plan)
    );
    taken.settle_allowing(lab, ALLOWED);
}

#[test]
fn every_kind_is_seen_repaired_and_accepted() {
    let lab = Lab::demo();
    let settled = Run::settled(&lab);
    for kind in &KINDS {
        seen_repaired_and_accepted(&lab, &settled, kind);
    }
}

#[test]
fn every_kind_at_a_cloud_is_seen_repaired_and_accepted() {
    let lab = Lab::aws();
    let settled = Run::settled(&lab);
    for kind in &AT_CLOUD {
        seen_repaired_and_accepted(&lab, &settled, kind);
    }
}

#[test]
fn a_restarted_machine_is_found_elsewhere_and_that_is_accepted() {
    let lab = Lab::aws();
    lab.change("static", "ephemeral");
    let mut run = Run::settled(&lab);
    run.world.ephemeral = Endpoint::standard("127.77.0.5".parse().unwrap());
    assert_snapshot!(render_drift(&run.plan(&lab), false), @r"
    Changed outside of provision since the last apply:
    ! machine.instance
        address: 127.77.0.1 → 127.77.0.5

    note: the machine has another address; the host is looked at under it
    demo: 1 changed outside; accepting it writes the state and nothing else.
    ");
    accepted(&mut run);
    assert_eq!(run.plan(&lab).drift, []);
    run.settle(&lab);
}

#[test]
fn what_no_step_changes_back_is_recorded_by_the_next_apply() {
    let lab = Lab::demo();
    let mut run = Run::settled(&lab);
    run.world.container("demo-web-1").id = "77".into();
    assert_snapshot!(shown(&run.plan(&lab)), @r"
    Changed outside of provision since the last apply:
    ! stack.demo
        container demo-web-1: 1 → 77, made again

    demo is as it shall be: nothing to do but to record what changed outside.
    ");
    assert!(matches!(run.apply(&lab, ALLOWED), Ended::Done));
    assert_eq!(run.world.deeds, [], "nothing is done on the host");
    assert_snapshot!(shown(&run.plan(&lab)), @"demo is as it shall be: nothing to do.");
}

#[test]
fn what_was_accepted_is_an_ordinary_change() {
    let lab = Lab::demo();
    let mut run = Run::settled(&lab);
    stopped(&mut run);
    edited(&mut run);
    accepted(&mut run);
    assert_snapshot!(shown(&run.plan(&lab)), @r"
    ~ stack.demo
        compose.yaml: edited on the host → as written, mode 0644
        service web: 0 running (demo-web-1 exited) → 1 running
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
    // Another change after that is drift again.
    run.world.host().files.get_mut(FILE).unwrap().mode = "0666".into();
    assert_snapshot!(render_drift(&run.plan(&lab), false), @r"
    Changed outside of provision since the last apply:
    ! stack.demo
        compose.yaml: edited at 2026-11-21T12:00:00Z → edited at 2026-11-21T12:00:00Z, mode 0666

    demo: 1 changed outside; accepting it writes the state and nothing else.
    ");
}

#[test]
fn a_container_of_others_with_a_published_port_is_told_and_left_alone() {
    let lab = Lab::demo();
    let mut run = Run::settled(&lab);
    run.world.host().containers.push(Container {
        name: "adminer".into(),
        image_ref: "adminer:4".into(),
        state: "running".into(),
        ports: vec!["*:8080->8080/tcp".into()],
        ..Container::default()
    });
    assert_snapshot!(shown(&run.plan(&lab)), @r"
    note: container adminer (adminer:4) is none of this environment's and publishes *:8080->8080/tcp: the firewall closes all but 80 and 443
    demo is as it shall be: nothing to do.
    ");
}

#[test]
fn a_state_from_before_knows_nothing_and_learns_it_without_a_change() {
    let lab = Lab::demo();
    let mut run = Run::settled(&lab);
    for (address, record) in &mut run.state.resources {
        let of_old = [
            "sshd",
            "daemon.json",
            "firewall script",
            "fingerprint",
            "release",
            "once.seed",
        ];
        if address.layer() != "machine" {
            record.facts.retain(|fact, _| of_old.contains(&fact.as_str()));
        }
    }
    run.world.container("demo-web-1").id = "77".into();
    let plan = run.plan(&lab);
    assert!(plan.is_empty() && plan.drift.is_empty(), "{}", shown(&plan));
    assert!(matches!(run.apply(&lab, ALLOWED), Ended::Done));
    run.world.container("demo-web-1").id = "78".into();
    assert_eq!(run.plan(&lab).drift.len(), 1);
}

#[test]
fn a_deploy_that_was_cut_off_leaves_nothing_behind_that_looks_like_drift() {
    let lab = Lab::demo();
    let settled = Run::settled(&lab);
    lab.change("[stacks.demo]", "[stacks.demo]\nscale = { web = 2 }");
    for point in 1.. {
        let mut run = settled.clone();
        run.world.broken_at = Some(point);
        if matches!(run.apply(&lab, ALLOWED), Ended::Done) {
            assert!(point > 3);
            break;
        }
        let plan = run.plan(&lab);
        assert_eq!(plan.drift, [], "cut at {point}: {}", shown(&plan));
        run.settle(&lab);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_of_it_together_is_repaired_or_accepted(which in proptest::collection::btree_set(0_usize..KINDS.len(), 1..5), take: bool) {
        let lab = Lab::demo();
        let mut run = Run::settled(&lab);
        // A machine that is gone or off takes the rest with it; one container cannot be two things.
        let together = |name: &str| !["power off", "machine gone", "docker stopped", "file removed"].contains(&name) && !name.contains("container");
        for index in which {
            let (name, happens, _, _) = KINDS[index];
            if together(name) {
                happens(&mut run);
            }
        }
        let before = run.plan_allowing(&lab, ALLOWED);
        if take && !before.drift.is_empty() {
            accepted(&mut run);
            let plan = run.plan_allowing(&lab, ALLOWED);
            prop_assert_eq!(&plan.drift, &[], "{}", shown(&plan));
            prop_assert_eq!(labelled(&run, &lab), Vec::<String>::new());
        }
        run.settle_allowing(&lab, ALLOWED);
    }
}
