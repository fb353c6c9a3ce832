//! Random histories: whatever was edited, applied and cut off on the way, the end is that of one clean apply.

use proptest::prelude::*;

use crate::fixture::{AWS, DEMO, Deed, Ended, Lab, Run, Write};
use crate::names::{Address, Endpoint};
use crate::plan::Allowed;

const ALLOWED: Allowed = Allowed { data_loss: true };

/// What a person's files say.
#[derive(Debug, Clone, Copy, Default)]
struct Files {
    shop: bool,
    scale: u8,
    route: bool,
    cpus: u8,
    image: u8,
    network: bool,
    fixed: bool,
    name: bool,
}

/// One thing that happens.
#[derive(Debug, Clone)]
enum Happening {
    Edited(Files),
    Applied,
    CutAt(usize),
    KilledAt(usize, bool),
    Drifted(u8),
}

impl Files {
    fn write(self, lab: &Lab, at_aws: bool) {
        let mut text = if at_aws {
            let mut text = AWS.replace("small", ["small", "large"][usize::from(self.cpus)]);
            text = text.replace("debian-13", ["debian-13", "debian-12"][usize::from(self.image)]);
            if !self.fixed {
                text = text.replace("static", "ephemeral");
            }
            DEMO.replace("[machine.local]\nimage = \"/images/debian-13.qcow2\"\n", &text)
        } else {
            let text = DEMO.replace(
                "[machine.local]",
                &format!("[machine.local]\ncpus = {}", 2 + u32::from(self.cpus)),
            );
            text.replace("debian-13", &format!("debian-{}", 13 + u32::from(self.image)))
        };
        if self.name {
            text = text.replace("[routes]", "[routes]\n\"api.example.com/\" = \"web:8000\"");
        }
        text = text.replace(
            "[stacks.demo]",
            &format!("[stacks.demo]\nscale = {{ web = {} }}", self.scale),
        );
        if self.route {
            text = text.replace("\"/\" =", "\"/api/*\" = \"web:8000\"\n\"/\" =");
        }
        if self.shop {
            text = text.replace("[routes]", "[stacks.shop]\npath = \"../shop\"\n\n[routes]");
        }
        if self.network {
            text = format!("network = \"inner\"\n{text}");
        }
        lab.write("environments/demo.toml", &text);
        lab.write("shop/compose.yaml", "services:\n  shop:\n    image: shop:1\n");
    }
}

fn files() -> impl Strategy<Value = Files> {
    let machine = (0_u8..2, 0_u8..2, any::<bool>(), any::<bool>());
    let rest = (any::<bool>(), 0_u8..3, any::<bool>(), any::<bool>());
    (machine, rest).prop_map(|((cpus, image, fixed, name), (shop, scale, route, network))| Files {
        shop,
        scale,
        route,
        cpus,
        image,
        network,
        fixed,
        name,
    })
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => files().prop_map(Happening::Edited),
        1 => Just(Happening::Applied),
        3 => (1_usize..30).prop_map(Happening::CutAt),
        3 => (1_usize..12, any::<bool>()).prop_map(|(at, written)| Happening::KilledAt(at, written)),
        1 => (0_u8..9).prop_map(Happening::Drifted),
    ]
}

fn drift(run: &mut Run, kind: u8) {
    let parts = &mut run.world.parts;
    match kind {
        4 => drop(parts.remove(&Address::MachineKey)),
        5 => drop(parts.remove(&Address::MachineAddress)),
        6 => drop(parts.remove(&Address::Dns("shop.example.com".into()))),
        7 if !parts.is_empty() => run.world.terminate(),
        8 if !parts.is_empty() => run.world.ephemeral = Endpoint::standard("127.77.0.5".parse().unwrap()),
        _ => {}
    }
    let Some(machine) = &mut run.world.machine else { return };
    match kind {
        0 => machine.power = crate::provider::Power::Off,
        1 => machine.probe.containers.truncate(1),
        2 => machine.probe.base.sshd = machine.probe.base.sshd.as_ref().map(|_| "e0".to_owned()),
        3 => machine.probe.files.clear(),
        _ => {}
    }
}

fn ends_like_one_clean_apply(at_aws: bool, happenings: Vec<Happening>, last: Files) -> Result<(), TestCaseError> {
    let lab = if at_aws { Lab::aws() } else { Lab::demo() };
    let mut run = Run::new();
    for happening in happenings.into_iter().chain([Happening::Edited(last)]) {
        (run.writes, run.write) = (0, Write::All);
        (run.world.points, run.world.broken_at) = (0, None);
        match happening {
            Happening::Edited(files) => {
                files.write(&lab, at_aws);
                continue;
            }
            Happening::Drifted(kind) => {
                drift(&mut run, kind);
                continue;
            }
            Happening::Applied => {}
            Happening::CutAt(point) => run.world.broken_at = Some(point),
            Happening::KilledAt(write, true) => run.write = Write::Last(write),
            Happening::KilledAt(write, false) => run.write = Write::Not(write),
        }
        let ended = run.apply(&lab, ALLOWED);
        prop_assert!(!matches!(ended, Ended::Refused(_)), "{ended:?}");
    }
    run.settle_allowing(&lab, ALLOWED);

    let mut clean = Run::new();
    clean.world.ephemeral = run.world.ephemeral.clone();
    clean.settle(&lab);
    let comparable = |run: &Run| {
        let mut machine = run.world.machine.clone().unwrap();
        machine.number = 0;
        let attributes = machine.spec.attributes();
        // What is not the machine's own is in its parts.
        machine.spec = lab.desired(None).instance.spec;
        // Volumes and pulled images of what was there before stay.
        machine.probe.volumes.clear();
        machine.probe.images.clear();
        machine
            .probe
            .networks
            .retain(|network| *network == lab.desired(None).network);
        let network = lab.desired(None).network;
        machine.probe.own_networks.retain(|name, _| *name == network);
        (attributes, machine)
    };
    prop_assert_eq!(comparable(&run), comparable(&clean));
    prop_assert_eq!(&run.world.parts, &clean.world.parts);
    prop_assert_eq!(run.records(), clean.records());
    Ok(())
}

/// Kills and cuts alone, of one and the same environment: what was made is made once, and nothing is left out.
fn nothing_is_done_twice(at_aws: bool, happenings: Vec<Happening>) -> Result<(), TestCaseError> {
    let lab = if at_aws { Lab::aws() } else { Lab::demo() };
    let mut run = Run::new();
    for happening in happenings {
        (run.writes, run.write) = (0, Write::All);
        (run.world.points, run.world.broken_at) = (0, None);
        match happening {
            Happening::CutAt(point) => run.world.broken_at = Some(point),
            Happening::KilledAt(write, true) => run.write = Write::Last(write),
            Happening::KilledAt(write, false) => run.write = Write::Not(write),
            Happening::Applied | Happening::Edited(_) | Happening::Drifted(_) => {}
        }
        run.apply(&lab, ALLOWED);
    }
    run.settle(&lab);
    let mut clean = Run::new();
    clean.settle(&lab);
    let made = |run: &Run| {
        let made = run.world.deeds.iter().filter(|deed| !matches!(deed, Deed::Job(_)));
        let mut made: Vec<Deed> = made.cloned().collect();
        made.sort();
        made
    };
    prop_assert_eq!(made(&run), made(&clean));
    prop_assert_eq!(run.records(), clean.records());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_ends_like_one_clean_apply(happenings in proptest::collection::vec(happening(), 0..10), last in files()) {
        ends_like_one_clean_apply(false, happenings, last)?;
    }

    #[test]
    fn however_often_it_is_killed_nothing_is_made_twice(happenings in proptest::collection::vec(happening(), 0..10)) {
        nothing_is_done_twice(false, happenings)?;
    }

    #[test]
    fn however_often_it_is_killed_nothing_is_made_twice_at_a_cloud(happenings in proptest::collection::vec(happening(), 0..10)) {
        nothing_is_done_twice(true, happenings)?;
    }

    #[test]
    fn every_history_at_a_cloud_ends_like_one_clean_apply(
        happenings in proptest::collection::vec(happening(), 0..10), last in files()
    ) {
        ends_like_one_clean_apply(true, happenings, last)?;
    }
}

/// Found by the histories above.
#[test]
fn an_address_that_is_gone_and_not_asked_for_any_more_leaves_the_machine_at_its_own() {
    let taken_away = vec![Happening::Applied, Happening::Drifted(5), Happening::Drifted(8)];
    ends_like_one_clean_apply(true, taken_away, Files::default()).unwrap();
}
