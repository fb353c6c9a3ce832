//! What is saved, what makes it stale, and that no secret is in it.

mod markdown;
mod observed;

use jiff::Timestamp;
use proptest::prelude::*;

use super::{Basis, Mode, Origin, PlanFile, PlanFileError, VERSION};
use crate::fixture::{Lab, Run};
use crate::observe::Host;
use crate::plan::{Options, plan_destroy, plan_with};

pub fn now() -> Timestamp {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

/// The plan as it would be saved now.
pub fn saved_with(run: &Run, lab: &Lab, options: &Options) -> PlanFile {
    let desired = lab.desired(run.state.endpoint());
    let observed = run.world.observe(&run.state);
    let plan = plan_with(&desired, &run.state, &observed, options);
    let basis = Basis::new(&lab.sources(), &desired, &observed, &plan);
    PlanFile::new(Mode::apply(options), basis, &plan, Origin::default(), now())
}

pub fn saved(run: &Run, lab: &Lab) -> PlanFile {
    saved_with(run, lab, &Options::default())
}

/// What moved between two plans, a line each.
fn moved(before: &PlanFile, after: &PlanFile) -> String {
    before.moved(after).join("\n")
}

#[test]
fn a_plan_is_read_as_it_was_saved() {
    let lab = Lab::demo();
    let mut run = Run::new();
    for settled in [true, false] {
        let file = saved(&run, &lab);
        let again = PlanFile::parse(file.pretty().unwrap().as_bytes()).unwrap();
        assert_eq!(again, file);
        assert_eq!(PlanFile::parse(file.line().unwrap().as_bytes()).unwrap(), file);
        assert_eq!(file.line().unwrap().lines().count(), 1);
        assert_eq!(moved(&file, &again), "");
        if settled {
            run.settle(&lab);
            lab.change("\"/\"", "\"/shop/*\"");
        }
    }
    let plan = plan_destroy(&run.state, true, true);
    let basis = Basis::of_destroy(
        Some(("environments/demo.toml", "x")),
        &run.world.observe(&run.state),
        &plan,
    );
    let pilot = (
        Some("pilot".parse().unwrap()),
        [("who".to_owned(), "a b".to_owned())].into(),
    );
    let file = PlanFile::new(Mode::Destroy { keep_volume: true }, basis, &plan, pilot, now());
    assert_eq!(PlanFile::parse(file.pretty().unwrap().as_bytes()).unwrap(), file);
    assert_eq!(
        file.remedy("x.plan"),
        "provision plan pilot --name demo --var 'who=a b' --out x.plan --destroy --keep-volume"
    );
}

#[test]
fn the_same_twice_is_not_stale() {
    for lab in [Lab::demo(), Lab::aws()] {
        let mut run = Run::new();
        assert_eq!(moved(&saved(&run, &lab), &saved(&run, &lab)), "");
        run.settle(&lab);
        let file = saved(&run, &lab);
        assert!(file.plan.is_empty());
        // What moves by itself.
        let host = run.world.host();
        host.clock = Some(1);
        host.uptime_seconds = Some(99);
        host.boot_id = Some("another".into());
        host.memory.available_bytes = 1;
        host.disk.iter_mut().for_each(|disk| disk.free_bytes = 1);
        host.containers.iter_mut().for_each(|container| {
            container.started_at = Some("2027-01-01T00:00:00Z".into());
            container.restart_count += 1;
        });
        assert_eq!(moved(&file, &saved(&run, &lab)), "");
    }
}

#[test]
fn what_moved_is_named() {
    let lab = Lab::demo();
    let mut run = Run::settled(&lab);
    let file = saved(&run, &lab);

    run.state.serial += 1;
    let serial = run.state.serial;
    assert_eq!(
        moved(&file, &saved(&run, &lab)),
        format!(
            "the state: it had serial {} when the plan was made, now it has serial {serial}",
            serial - 1
        )
    );
    run.state.serial -= 1;

    lab.change("\"/\" =", "\"/shop/*\" =");
    assert_eq!(moved(&file, &saved(&run, &lab)), "environments/demo.toml: changed");
    lab.change("\"/shop/*\" =", "\"/\" =");
    lab.write("compose/demo/motd", "hello");
    assert_eq!(moved(&file, &saved(&run, &lab)), "compose/demo/motd: new");
    lab.remove("compose/demo/motd");
    assert_eq!(moved(&file, &saved(&run, &lab)), "");
    lab.archive("demo.tar", "provision-demo:1", "two");
    assert_eq!(moved(&file, &saved(&run, &lab)), "image provision-demo:1: changed");
    lab.archive("demo.tar", "provision-demo:1", "one");

    run.world.container("demo-web-1").state = "exited".into();
    run.world.host().networks.push("other".into());
    assert_eq!(
        moved(&file, &saved(&run, &lab)),
        "host: network other is new\nstack.demo: container demo-web-1 was running, is exited with 0"
    );
    run.world.container("demo-web-1").state = "running".into();
    run.world.host().networks.pop();

    let mut other = saved(&run, &lab);
    other.made_from.lineage = crate::names::Lineage::from_bytes([9; 16]);
    assert_eq!(
        moved(&file, &other),
        "the environment: the plan is for demo of lineage 07070707, here is demo of lineage 09090909"
    );
    let mut other = saved(&run, &lab);
    for digest in other.made_from.rendered.values_mut() {
        *digest = crate::names::Digest::of("other");
    }
    other.written_by = "provision 9.0.0".into();
    assert!(
        moved(&file, &other).contains(
            "stack.demo: is rendered otherwise (the plan was made by provision 0.1.0, this is provision 9.0.0)"
        ),
        "{}",
        moved(&file, &other)
    );
}

#[test]
fn what_somebody_did_at_the_provider_is_named() {
    let lab = Lab::aws();
    let mut run = Run::settled(&lab);
    let file = saved(&run, &lab);
    let firewall = "machine.firewall".parse().unwrap();
    let rules = run.world.parts.get_mut(&firewall).unwrap();
    rules.insert("tcp/8080".into(), "0.0.0.0/0".into());
    rules.insert("tcp/22".into(), "0.0.0.0/0".into());
    assert_eq!(
        moved(&file, &saved(&run, &lab)),
        "machine.firewall: tcp/22 was operator, is 0.0.0.0/0\nmachine.firewall: tcp/8080 is new (0.0.0.0/0)"
    );
    run.world.parts.remove(&firewall);
    assert_eq!(moved(&file, &saved(&run, &lab)), "machine.firewall: is gone");
}

#[test]
fn many_differences_are_counted() {
    let lab = Lab::demo();
    let mut run = Run::settled(&lab);
    let file = saved(&run, &lab);
    run.world
        .host()
        .networks
        .extend((0..40).map(|number| format!("n{number}")));
    let told = moved(&file, &saved(&run, &lab));
    assert_eq!(
        (told.lines().count(), told.lines().last()),
        (13, Some("and 28 more like these"))
    );
}

/// A secret's value in every place where one can come from: none of it is in what is saved.
#[test]
fn no_secret_is_saved() {
    let mut lab = Lab::demo();
    lab.change(
        "[stacks.demo]",
        "[secrets]\nTOKEN = { env = \"T\" }\nCERT = { file = \"c\" }\n\n[stacks.demo]\nenv = { A = \"{{secrets.TOKEN}}\", B = \"x{{secrets.CERT}}\" }",
    );
    lab.secret("TOKEN", "5ecret-canary");
    let mut run = Run::new();
    let first = saved(&run, &lab).pretty().unwrap();
    run.settle(&lab);
    // Changed in the files, and on the host.
    lab.secret("TOKEN", "5ecret-second");
    lab.change("B = \"x", "B = \"y");
    let path = "/opt/provision/stacks/demo/.env";
    run.world.host().files.get_mut(path).unwrap().sha256 = "5ecret".into();
    let second = saved(&run, &lab).pretty().unwrap();
    let desired = lab.desired(run.state.endpoint());
    let edge = desired.edge.iter().map(|edge| &edge.stack);
    let secret: Vec<String> = desired
        .stacks
        .iter()
        .chain(edge)
        .flat_map(|stack| stack.files.iter().filter(|(_, file)| file.is_secret()))
        .map(|(_, file)| crate::names::Digest::of(file.bind(&desired.bindings)).to_string())
        .collect();
    assert!(secret.len() > 1);
    for text in [first, second] {
        assert!(!text.contains("5ecret"), "{text}");
        // Nor anything to try a guess against.
        assert!(!secret.iter().any(|digest| text.contains(digest)), "{text}");
    }
}

#[test]
fn what_is_no_plan_is_told_apart() {
    let lab = Lab::demo();
    let text = saved(&Run::new(), &lab).pretty().unwrap();
    let told = |text: &str| PlanFile::parse(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(told("{}"), "it is no saved plan");
    assert_eq!(
        told("[machine.local]\n"),
        "it is no saved plan: expected value at line 1 column 2"
    );
    assert_eq!(told(&text.replace("provision plan", "a plan")), "it is no saved plan");
    assert_eq!(
        told(
            &text
                .replace("\"version\": 1", "\"version\": 2")
                .replace("provision 0.1.0", "provision 9.0.0")
        ),
        "the plan has version 2 and this program reads up to 1; provision 9.0.0 wrote it"
    );
    assert!(told(&text.replace("\"create\"", "\"destroy\"")).starts_with("the plan is damaged: "));
    assert_eq!(
        told(&text[..200]),
        "the plan is cut short: it ends at line 10, column 4"
    );
    for (whole, recognised) in [(text.as_str(), true), (&text[..90], true), ("{}", false), ("", false)] {
        assert_eq!(PlanFile::recognises(whole.as_bytes()), recognised, "{whole}");
    }
    let newer = text.replace("\"version\": 1", &format!("\"version\": {}", VERSION + 1));
    assert!(PlanFile::recognises(newer.as_bytes()));
}

/// A plan that was made while the machine had no power says that there is a second look.
#[test]
fn a_second_look_is_promised() {
    let lab = Lab::demo();
    let mut run = Run::settled(&lab);
    run.world.machine.as_mut().unwrap().power = crate::provider::Power::Off;
    assert_eq!(run.world.observe(&run.state).host, Host::Off);
    let file = saved(&run, &lab);
    let again = file.plan.look_again.clone().unwrap();
    assert_eq!(again, "the machine has no power; the host is looked at once it runs");
    assert!(crate::plan::render_outline(&file.plan, false).contains(&again));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = PlanFile::parse(&bytes);
        let _ = PlanFile::recognises(&bytes);
    }

    #[test]
    fn no_cut_makes_it_panic(cut in 0_usize..1900) {
        // Without its last newline the file is whole.
        let text = include_str!("tests/version-1.json").trim_end();
        prop_assume!(cut < text.len());
        let text = text.get(..cut).unwrap_or_default();
        let told = PlanFile::parse(text.as_bytes());
        let right = matches!(told, Err(PlanFileError::Cut { .. } | PlanFileError::Other { .. }));
        prop_assert!(right, "{:?}", told);
    }
}

/// What version 1 looks like stays readable.
#[test]
fn a_plan_of_version_1_is_read() {
    let file = PlanFile::parse(include_bytes!("tests/version-1.json")).unwrap();
    let steps: Vec<String> = file.plan.steps.iter().map(|step| step.address.to_string()).collect();
    assert_eq!(steps, ["machine.instance", "host.base", "stack.old", "edge.caddy"]);
    assert_eq!(file.options().unwrap().targets.len(), 1);
}
