//! A host that was there before.

use std::collections::BTreeMap;

use insta::assert_snapshot;

use crate::fixture::{self, Lab, endpoint, lineage};
use crate::names::Address;
use crate::observe::{Host, Observed};
use crate::plan::{Action, Allowed, Options, Plan, plan, plan_destroy, plan_with, render_plan};
use crate::provider::ssh::{FINGERPRINTS, HOST_KEYS};
use crate::provider::{Attributes, Instance, Power};
use crate::remote::probe::{Container, Probe};
use crate::state::State;

fn lab() -> Lab {
    let lab = Lab::demo();
    lab.change(
        "[machine.local]\nimage = \"/images/debian-13.qcow2\"\n\n[data]\nvolume_gib = 5\n",
        "[machine.ssh]\nhost = \"127.77.0.1\"\nuser = \"root\"\n\n[tls]\nmode = \"internal\"\n",
    );
    lab
}

/// A host that shows this key, with this on it.
fn seen(key: &str, probe: Probe) -> Observed {
    let fact = |name: &str, value: String| (name.to_owned(), value);
    Observed {
        instance: Some(Instance {
            id: "127.77.0.1".into(),
            power: Power::On,
            endpoint: endpoint(),
            attributes: Attributes::new(),
            ipv6: None,
            facts: BTreeMap::from([
                fact(HOST_KEYS, format!("ssh-ed25519 {key}")),
                fact(FINGERPRINTS, format!("SHA256:{key}")),
            ]),
        }),
        parts: BTreeMap::new(),
        provider: BTreeMap::from([fact("provider", "ssh".into())]),
        news: Vec::new(),
        obstacles: BTreeMap::new(),
        host: Host::Seen(Box::new(probe)),
    }
}

fn nothing() -> State {
    State::new(fixture::environment(), lineage())
}

/// A state in which the first two steps of a plan are done.
fn taken_into_use(lab: &Lab, observed: &Observed) -> State {
    let mut state = nothing();
    let first = first(lab, &state, observed);
    for step in first.steps.iter().take(2) {
        let mut facts = step.facts.clone();
        facts.extend(observed.instance.as_ref().unwrap().facts.clone());
        facts.extend([("fingerprint".to_owned(), "SHA256:AAAA".to_owned())]);
        let (attributes, now) = (step.attributes.clone(), jiff::Timestamp::UNIX_EPOCH);
        state.present(&step.address, Some("127.77.0.1".into()), attributes, facts, now);
    }
    state
}

fn first(lab: &Lab, state: &State, observed: &Observed) -> Plan {
    plan(&lab.desired(Some(endpoint())), state, observed, Allowed::default())
}

fn refusals(plan: &Plan) -> String {
    let line = |refusal: &crate::plan::Refusal| {
        let address = refusal.address.as_ref().map(Address::to_string).unwrap_or_default();
        format!("{address}: {refusal}")
    };
    plan.refusals.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_fit_host_is_taken_into_use_with_its_own_key() {
    let (lab, observed) = (lab(), seen("AAAA", Probe::default()));
    let first = first(&lab, &nothing(), &observed);
    assert_eq!(refusals(&first), "");
    let addresses: Vec<String> = first.steps.iter().map(|step| step.address.to_string()).collect();
    assert_eq!(
        addresses,
        [
            "machine.instance",
            "host.identity",
            "host.base",
            "stack.postgres",
            "stack.demo",
            "edge.caddy"
        ]
    );
    assert!(matches!(&first.steps[1].action, Action::PinHostKey { keys } if keys == "ssh-ed25519 AAAA"));
    let state = taken_into_use(&lab, &observed);
    let next = plan(&lab.desired(Some(endpoint())), &state, &observed, Allowed::default());
    assert_eq!(next.steps[0].address, Address::HostBase, "what is settled stays");
}

#[test]
fn another_key_that_somebody_vouches_for_is_pinned() {
    let lab = lab();
    let state = taken_into_use(&lab, &seen("AAAA", Probe::default()));
    let now = seen("BBBB", Probe::default());
    let planned = first(&lab, &state, &now);
    let text = render_plan(&planned, false);
    let lines: Vec<&str> = text.lines().take(2).collect();
    assert_snapshot!(lines.join("\n"), @r"
    ~ host.identity
        host key: SHA256:AAAA → SHA256:BBBB
    ");
}

#[test]
fn names_that_others_have_are_refused_and_nobody_is_set_aside() {
    let container = |name: &str, project: &str| Container {
        name: name.into(),
        id: "c0".into(),
        project: project.into(),
        state: "running".into(),
        ..Container::default()
    };
    let probe = Probe {
        containers: vec![
            container("db", "postgres"),
            container("demo-web-1", ""),
            container("blog", "blog"),
        ],
        networks: vec!["bridge".into(), "provision".into()],
        volumes: vec!["demo_data".into(), "blog_data".into()],
        ..Probe::default()
    };
    let first = first(&lab(), &nothing(), &seen("AAAA", probe));
    assert_snapshot!(refusals(&first), @r"
    stack.postgres: a Compose project `postgres` of somebody else is on the host (db): give the stack another name
    stack.demo: the container demo-web-1 is somebody else's, and bears the name that stack.demo needs: rename it on the host
    host.base: the Docker network provision is somebody else's: set `network` to another name
    ");
    assert_eq!(
        first.notes[0],
        "stack.demo takes volumes into use that are on the host already: demo_data"
    );
}

#[test]
fn everything_in_the_way_is_a_refusal_of_its_own() {
    let mut observed = seen("AAAA", Probe::default());
    observed.host = Host::NotYet;
    let reasons = "sudo asks `root` for a password\nport 80/tcp is taken by nginx".to_owned();
    observed.obstacles = BTreeMap::from([(Address::MachineInstance, reasons)]);
    assert_snapshot!(refusals(&first(&lab(), &nothing(), &observed)), @r"
    machine.instance: sudo asks `root` for a password
    machine.instance: port 80/tcp is taken by nginx
    ");
}

#[test]
fn it_is_never_replaced() {
    let (lab, observed) = (lab(), seen("AAAA", Probe::default()));
    let state = taken_into_use(&lab, &observed);
    lab.change("host = \"127.77.0.1\"", "host = \"web1.example.com\"\nport = 2222\nfingerprint = \"SHA256:uNiVztksCsDhcc0u9e8BrCJXIa6L7PHNZyPcBLWNcjI\"");
    let planned = first(&lab, &state, &observed);
    assert!(
        matches!(planned.steps[0].action, Action::ResizeInstance { .. }),
        "found elsewhere, and the same"
    );
    let options = Options {
        replace: vec![Address::MachineInstance].into_iter().collect(),
        ..Options::default()
    };
    let planned = plan_with(&lab.desired(Some(endpoint())), &state, &observed, &options);
    assert!(refusals(&planned).contains("is not replaced"), "{}", refusals(&planned));
    assert!(
        planned
            .steps
            .iter()
            .all(|step| !matches!(step.action, Action::ReplaceInstance { .. }))
    );
}

#[test]
fn a_destroy_leaves_the_host_and_keeps_volumes() {
    let (lab, observed) = (lab(), seen("AAAA", Probe::default()));
    let state = taken_into_use(&lab, &observed);
    assert_snapshot!(render_plan(&plan_destroy(&state, false, true), false), @r"
    - host.identity
        goes  as the host is left
    - machine.instance
        host  stays; containers, networks, files, firewall and sshd settings of ours go. Docker's volumes of the stacks: kept
    demo: 0 to add, 0 to change, 0 to replace, 2 to remove.
    ");
    let plan = plan_destroy(&state, false, false);
    assert!(render_plan(&plan, false).contains("DELETED with everything in them"));
}
