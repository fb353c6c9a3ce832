//! Calls that go wrong: what was lost is found, what failed is made again, and there is never a second one.

use std::time::{Duration, Instant};

use provision::names::Address;
use serde_json::{Value, json};

use super::double::*;

#[track_caller]
fn one_of_each(double: &Double) {
    let seen = double.look();
    for kind in ["droplets", "volumes", "firewalls", "reserved_ips", "keys"] {
        assert_eq!(seen[kind].as_array().unwrap().len(), 1, "{kind}: {:#}", seen[kind]);
    }
    assert_eq!(seen["volumes"][0]["droplet_ids"], json!([seen["droplets"][0]["id"]]));
    assert_eq!(seen["reserved_ips"][0]["droplet"], seen["droplets"][0]["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_makes_nothing_twice() {
    let actions = [
        "sshKeys_create",
        "tags_create",
        "firewalls_create",
        "droplets_create",
        "volumes_create",
        "volumeActions_post_byId",
        "reservedIPs_create",
    ];
    for fault in ["lose", "garble"] {
        let Some(double) = Double::start() else { return };
        let (cloud, owner, spec) = (double.cloud(), owner(1), spec());
        let rules: Vec<Value> = actions
            .iter()
            .map(|action| json!({"action": action, "do": fault}))
            .collect();
        double.faults(&json!(rules));
        make_all(&cloud, &owner, &spec).await.unwrap();
        one_of_each(&double);
        let ways = [
            "droplets_destroy",
            "volumes_delete",
            "firewalls_delete",
            "reservedIPs_delete",
            "sshKeys_delete",
            "tags_delete",
        ];
        let rules: Vec<Value> = ways
            .iter()
            .map(|action| json!({"action": action, "do": fault}))
            .collect();
        double.faults(&json!(rules));
        destroy_all(&cloud, &owner).await.unwrap();
        assert_nothing(&double);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_had_no_effect_is_made_again() {
    for fault in ["reset", "error-500", "throttle"] {
        let Some(double) = Double::start() else { return };
        let (cloud, owner, spec) = (double.cloud(), owner(1), spec());
        let rules = [
            "sshKeys_create",
            "firewalls_create",
            "droplets_create",
            "volumes_create",
            "reservedIPs_create",
        ];
        let rules: Vec<Value> = rules
            .iter()
            .map(|action| json!({"action": action, "do": fault}))
            .collect();
        double.faults(&json!(rules));
        make_all(&cloud, &owner, &spec).await.unwrap();
        one_of_each(&double);
    }
}

#[tokio::test]
async fn what_was_made_a_moment_ago_and_is_not_seen_is_waited_for() {
    let Some(double) = Double::start() else { return };
    let (cloud, owner, spec) = (double.cloud(), owner(1), spec());
    let kinds = [
        "sshKeys_create",
        "firewalls_create",
        "droplets_create",
        "volumes_create",
    ];
    let rules: Vec<Value> = kinds
        .iter()
        .map(|action| json!({"action": action, "do": "hide:2"}))
        .collect();
    double.faults(&json!(rules));
    make_all(&cloud, &owner, &spec).await.unwrap();
    one_of_each(&double);
}

#[tokio::test]
async fn a_limit_of_calls_is_obeyed() {
    let Some(double) = Double::start() else { return };
    let cloud = double.cloud();
    // After a burst the vendor says how long; of an hour that is used up it tells the end.
    for fault in ["throttle", "throttle-hour"] {
        double.reset();
        double.faults(&json!([{"action": "firewalls_list", "do": fault}]));
        let begun = Instant::now();
        cloud.observe(&owner(1)).await.unwrap();
        let waited = begun.elapsed();
        assert!(
            waited > Duration::from_millis(900) && waited < Duration::from_secs(5),
            "{fault}: {waited:?}"
        );
        let asked = double.calls().iter().filter(|call| *call == "firewalls_list").count();
        assert_eq!(asked, 2, "{fault}");
    }
}

#[tokio::test]
async fn a_thing_that_is_busy_is_waited_for() {
    let Some(double) = Double::start() else { return };
    let (cloud, owner, spec) = (double.cloud(), owner(1), spec());
    let busy = "refuse:unprocessable_entity:Droplet already has a pending event.";
    let actions = [
        "volumeActions_post_byId",
        "reservedIPs_create",
        "reservedIPsActions_post",
        "droplets_destroy",
        "reservedIPs_delete",
    ];
    let rules: Vec<Value> = actions
        .iter()
        .map(|action| json!({"action": action, "times": 2, "do": busy}))
        .collect();
    double.faults(&json!(rules));
    make_all(&cloud, &owner, &spec).await.unwrap();
    one_of_each(&double);
    destroy_all(&cloud, &owner).await.unwrap();
    assert_nothing(&double);
}

#[tokio::test]
async fn lists_are_read_to_their_end_and_the_token_goes_nowhere_else() {
    let Some(double) = Double::start() else { return };
    let cloud = double.cloud();
    for byte in [2, 3, 4] {
        let spec = shaped(|shape| shape.static_address = false);
        make(&cloud, &owner(byte), &spec, &quiet).await.unwrap();
    }
    // Every list has a page for each thing now. The address of the next one is the vendor's, where this test would fail.
    double.account(&json!({"page_limit": 1}));
    for byte in [2, 3, 4] {
        let sight = cloud.observe(&owner(byte)).await.unwrap();
        assert!(
            sight.instance.is_some() && sight.parts.contains_key(&Address::MachineFirewall),
            "{byte}"
        );
    }
    let found = cloud.find().await.unwrap();
    let machines = found.iter().filter(|found| found.address == Address::MachineInstance);
    assert_eq!(machines.count(), 3);
}

#[tokio::test]
async fn a_machine_that_was_made_twice_is_kept_once() {
    let Some(double) = Double::start() else { return };
    let (cloud, owner, spec) = (double.cloud(), owner(1), shaped(|shape| shape.static_address = false));
    let first = make(&cloud, &owner, &spec, &quiet).await.unwrap();
    let droplet = &double.all("droplets")[0];
    let twin = json!({"name": droplet["name"], "region": "fra1", "size": "s-1vcpu-2gb", "image": "debian-13-x64", "tags": droplet["tags"]});
    double.somebody("POST", "droplets", &twin);
    let other = json!({"name": "web", "region": "fra1", "size": "s-1vcpu-2gb", "image": "debian-13-x64", "tags": droplet["tags"]});
    double.somebody("POST", "droplets", &other);
    let said = Said::default();
    let again = cloud.create(&owner, &spec, 1, &|note| said.hear(note)).await.unwrap();
    assert_eq!(again.id, first.id);
    assert_eq!(
        double.all("droplets").len(),
        2,
        "one that has another name is somebody's"
    );
    assert!(
        said.warnings()[0].starts_with("an interrupted run made the machine twice"),
        "{:?}",
        said.warnings()
    );
    cloud.destroy(&owner, &quiet).await.unwrap();
    let left = cloud.leftovers(&owner).await.unwrap();
    assert!(left.iter().any(|line| line.starts_with("droplet: ")), "{left:?}");
}

#[tokio::test]
async fn a_droplet_of_our_name_without_our_tags_is_told() {
    let Some(double) = Double::start() else { return };
    let (cloud, owner, spec) = (double.cloud(), owner(1), spec());
    let twin = json!({"name": owner.machine_name(), "region": "fra1", "size": "s-1vcpu-2gb", "image": "debian-13-x64"});
    double.somebody("POST", "droplets", &twin);
    let error = make(&cloud, &owner, &spec, &quiet).await.unwrap_err();
    let text = told(&error);
    assert!(
        text.contains("has its name, demo-01010101, and none of its tags"),
        "{text}"
    );
    assert!(
        text.contains("tag:read") && text.contains("state import demo machine.instance"),
        "{text}"
    );
    assert_eq!(double.all("droplets").len(), 1);
}
