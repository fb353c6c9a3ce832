//! Secrets with new values.

use insta::assert_snapshot;

use super::{demo, settle, shown};
use crate::desired::Body;
use crate::fixture::{Deed, Lab, Run};
use crate::render::compose::OVERRIDE;

/// Two services and a job that use three secrets in four ways.
fn shop() -> (Lab, Run) {
    let lab = Lab::demo();
    lab.write(
        "shop/compose.yaml",
        "\
services:
  shop:
    image: shop:1
    environment: { APP_KEYS: '${APP_KEY},${APP_KEY_BEFORE}' }
    secrets: [stripe]
  worker:
    image: shop:1
    env_file: worker.env
  mail:
    image: mail:1
  tidy:
    image: shop:1
    profiles: [jobs]
    environment: [TOKEN]
secrets:
  stripe: { file: ./stripe }
",
    );
    lab.write("shop/stripe.hbs", "{{secrets.STRIPE_KEY}}");
    lab.write("shop/worker.env.hbs", "STRIPE={{secrets.STRIPE_KEY}}\n");
    lab.write(
        "shop/stack.toml",
        "\
[secrets]
APP_KEY = { generate = 32, retention = \"48h\" }
TOKEN = { bundle = true }
[env]
APP_KEY = \"{{secrets.APP_KEY}}\"
APP_KEY_BEFORE = \"{{secrets.APP_KEY_ROTATING_FROM}}\"
TOKEN = \"{{secrets.TOKEN}}\"
",
    );
    lab.change(
        "[stacks.demo]",
        "[secrets]\nSTRIPE_KEY = { env = \"STRIPE_KEY\" }\n\n[stacks.shop]\npath = \"../shop\"\n\n[stacks.demo]",
    );
    let run = Run::settled(&lab);
    (lab, run)
}

#[test]
fn the_same_values_change_nothing() {
    let (lab, run) = shop();
    assert!(run.plan(&lab).is_empty());
}

#[test]
fn a_rotation_names_exactly_the_services_that_it_restarts() {
    let (mut lab, mut run) = shop();
    lab.secret("STRIPE_KEY", "5ecret-other");
    assert_snapshot!(settle(&mut run, &lab), @r"
    ~ stack.shop
        secret STRIPE_KEY: as deployed → rotated; restarts shop, worker
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
}

/// Compose compares neither the contents of mounted files nor the variables that it copies secrets and configs from.
#[test]
fn whoever_is_said_to_restart_has_another_label() {
    let lab = Lab::demo();
    lab.write(
        "shop/compose.yaml",
        "\
services:
  of-file: { image: shop:1, secrets: [file] }
  of-variable: { image: shop:1, secrets: [variable] }
  of-config: { image: shop:1, configs: [{ source: config, target: /c }] }
  bystander: { image: shop:1 }
secrets:
  file: { file: ./file }
  variable: { environment: VARIABLE }
configs:
  config: { environment: CONFIG }
",
    );
    lab.write("shop/file.hbs", "{{secrets.FILE}}");
    lab.write(
        "shop/stack.toml",
        "\
[secrets]
FILE = { bundle = true }
VARIABLE = { bundle = true }
CONFIG = { bundle = true }
[env]
VARIABLE = \"{{secrets.VARIABLE}}\"
CONFIG = \"{{secrets.CONFIG}}\"
",
    );
    lab.change("[stacks.demo]", "[stacks.shop]\npath = \"../shop\"\n\n[stacks.demo]");
    let labels = |lab: &Lab| {
        let desired = lab.desired(None);
        let shop = desired
            .stacks
            .iter()
            .find(|stack| stack.name.as_str() == "shop")
            .unwrap();
        let Body::Text(text) = &shop.files[OVERRIDE].body else {
            panic!("the override is a text");
        };
        let document: serde_json::Value = serde_saphyr::from_str(text.marked()).unwrap();
        ["of-file", "of-variable", "of-config", "bystander"]
            .map(|service| document["services"][service]["labels"]["provision.files"].clone())
    };
    let mut lab = lab;
    let mut before = labels(&lab);
    assert!(before[3].is_null(), "{before:?}");
    for (place, secret) in ["FILE", "VARIABLE", "CONFIG"].into_iter().enumerate() {
        lab.secret(secret, "5ecret-other");
        let after = labels(&lab);
        for (index, (old, new)) in before.iter().zip(&after).enumerate() {
            assert_eq!(old != new, index == place, "{secret}: {before:?} {after:?}");
        }
        before = after;
    }
}

#[test]
fn what_jobs_alone_use_restarts_nothing() {
    let (mut lab, mut run) = shop();
    lab.secret("TOKEN", "5ecret-other");
    assert_snapshot!(settle(&mut run, &lab), @r"
    ~ stack.shop
        secret TOKEN: as deployed → rotated; restarts nothing, jobs alone use it
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
}

#[test]
fn old_and_new_stand_side_by_side_and_the_old_one_is_dropped() {
    let (mut lab, mut run) = shop();
    lab.secret("APP_KEY", "5ecret-second");
    lab.secret("APP_KEY_ROTATING_FROM", "5ecret-first");
    assert_snapshot!(settle(&mut run, &lab), @r"
    ~ stack.shop
        secret APP_KEY: as deployed → rotated; restarts shop
        secret APP_KEY_ROTATING_FROM: empty → the values before it; restarts shop
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
    lab.secret("APP_KEY_ROTATING_FROM", "");
    assert_snapshot!(settle(&mut run, &lab), @r"
    ~ stack.shop
        secret APP_KEY_ROTATING_FROM: the values before it → dropped; restarts shop
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
}

#[test]
fn where_the_files_do_not_tell_any_service_may_restart() {
    let (mut lab, mut run) = shop();
    lab.edit(
        "shop/compose.yaml",
        "services:",
        "volumes: { data: { name: 'data-${TOKEN}' } }\nservices:",
    );
    settle(&mut run, &lab);
    lab.secret("TOKEN", "5ecret-other");
    assert_snapshot!(settle(&mut run, &lab), @r"
    ~ stack.shop
        secret TOKEN: as deployed → rotated; which services use it cannot be told, so any of the stack may restart
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
}

#[test]
fn a_database_learns_its_new_password_before_its_users_do() {
    let (mut lab, mut run) = demo();
    lab.secret("postgres.app", "5ecret-new");
    assert_snapshot!(settle(&mut run, &lab), @r"
    ~ stack.postgres
        secret postgres.app: as deployed → rotated; restarts nothing, jobs alone use it
    ~ stack.demo
        secret postgres.app: as deployed → rotated; restarts web
    demo: 0 to add, 2 to change, 0 to replace, 0 to remove.
    ");
    let deeds = [Deed::Job("postgres.databases".into()), Deed::Job("demo.migrate".into())];
    assert_eq!(run.world.deeds, deeds, "the database must learn the new password first");
}

/// A state of a build that recorded no fingerprints: nothing is known to differ, so nothing is done.
#[test]
fn a_state_without_fingerprints_changes_nothing() {
    let (lab, mut run) = shop();
    for record in run.state.resources.values_mut() {
        record.attributes.retain(|name, _| !name.starts_with("secret."));
    }
    assert!(run.plan(&lab).is_empty(), "{}", shown(&run.plan(&lab)));
}

/// Whoever has the state can compare it with digests of words of a list.
#[test]
fn a_state_does_not_let_weak_secrets_be_guessed() {
    let (mut lab, mut run) = shop();
    let plain = |value: &str| {
        let file = format!("STRIPE={value}\n");
        [crate::names::Digest::of(value), crate::names::Digest::of(file)]
    };
    lab.secret("STRIPE_KEY", "hunter2");
    run.settle(&lab);
    let state = serde_json::to_string(&run.state).unwrap();
    assert!(!state.contains("hunter2"));
    for digest in plain("hunter2") {
        assert!(!state.contains(digest.short()), "{digest}");
    }
}

/// A run that is cut off between the rotation and its deploy shows the rotation again.
#[test]
fn a_rotation_that_was_cut_off_is_taken_up_again() {
    let (mut lab, run) = shop();
    lab.secret("STRIPE_KEY", "5ecret-other");
    for point in 1.. {
        let mut run = run.clone();
        run.world.broken_at = Some(point);
        match run.apply(&lab, crate::plan::Allowed::default()) {
            crate::fixture::Ended::Done => break,
            _ => run.settle(&lab),
        }
        let path = "/opt/provision/stacks/shop/stripe";
        let wanted = crate::names::Digest::of("5ecret-other");
        assert_eq!(
            run.world.host().files[path].sha256,
            wanted.as_str(),
            "cut off at {point}"
        );
    }
}

/// What is asked for in front of a route: a hash goes to the host, the same at every plan; a new password is taken in by a reload.
#[test]
fn a_password_of_a_route_makes_no_difference_until_it_is_another() {
    let mut lab = Lab::demo();
    lab.change(
        "\"/\" = \"web:8000\"",
        "\"/\" = { to = \"web:8000\", users = { ann = \"{{secrets.ANN}}\" } }\n\n[secrets]\nANN = { generate = 20 }",
    );
    let mut run = Run::settled(&lab);
    assert_eq!(shown(&run.plan(&lab)), "demo is as it shall be: nothing to do.\n");
    lab.secret("ANN", "5ecret-other");
    assert_snapshot!(settle(&mut run, &lab), @r"
    ~ edge.caddy
        secret ANN: as deployed → rotated; taken in without a restart
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(run.world.deeds, []);
}
