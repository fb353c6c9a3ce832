//! The firewall: what is foreign is seen and closed, and callers are let in one by one.

use provision::names::Address;
use provision::provider::{Caller, SshFrom};
use serde_json::json;

use super::double::*;

fn caller(run: &str) -> Caller {
    Caller {
        network: "203.0.113.7/32".to_owned(),
        run: run.to_owned(),
    }
}

#[tokio::test]
async fn what_somebody_opened_is_seen_and_closed() {
    let Some(double) = Double::start() else { return };
    let (cloud, owner, spec) = (double.cloud(), owner(1), spec());
    let part = cloud
        .ensure(&owner, &Address::MachineFirewall, &spec, &quiet)
        .await
        .unwrap();
    assert_eq!(part.attributes, spec.parts()[&Address::MachineFirewall]);
    let open =
        json!({"inbound_rules": [{"protocol": "tcp", "ports": "5432", "sources": {"addresses": ["0.0.0.0/0"]}}]});
    double.somebody("POST", &format!("firewalls/{}/rules", part.id), &open);
    let sight = cloud.observe(&owner).await.unwrap();
    assert_eq!(
        sight.parts[&Address::MachineFirewall].attributes["tcp/5432"],
        "0.0.0.0/0"
    );
    let mended = cloud
        .ensure(&owner, &Address::MachineFirewall, &spec, &quiet)
        .await
        .unwrap();
    assert_eq!(mended, part);

    // Another one's Droplet behind it, another name, nothing let out.
    double.somebody("POST", "tags", &json!({"name": "web"}));
    let drifted = json!({"name": "mine", "tags": ["web"], "inbound_rules": [], "outbound_rules": []});
    double.somebody("PUT", &format!("firewalls/{}", part.id), &drifted);
    let known = knowing(&owner, Address::MachineFirewall, &part.id);
    let seen = &cloud.observe(&known).await.unwrap().parts[&Address::MachineFirewall];
    assert_eq!(seen.attributes["applies_to"], "nothing of its own, tag web");
    assert_eq!(seen.attributes["egress"], "nothing");
    let mended = cloud
        .ensure(&known, &Address::MachineFirewall, &spec, &quiet)
        .await
        .unwrap();
    assert_eq!(mended, part);
    assert_eq!(double.all("firewalls").len(), 1);
}

#[tokio::test]
async fn a_firewall_that_was_made_twice_is_kept_once() {
    let Some(double) = Double::start() else { return };
    let (cloud, owner, spec) = (double.cloud(), owner(1), spec());
    let part = cloud
        .ensure(&owner, &Address::MachineFirewall, &spec, &quiet)
        .await
        .unwrap();
    let twin = json!({"name": format!("provision.demo.{}.operator", owner.lineage), "tags": [format!("provision:{}", owner.lineage)],
        "inbound_rules": [{"protocol": "tcp", "ports": "all", "sources": {"addresses": ["0.0.0.0/0"]}}]});
    double.somebody("POST", "firewalls", &twin);
    let known = knowing(&owner, Address::MachineFirewall, &part.id);
    cloud
        .ensure(&known, &Address::MachineFirewall, &spec, &quiet)
        .await
        .unwrap();
    let left = double.all("firewalls");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["id"], part.id.as_str());
}

#[tokio::test]
async fn a_caller_is_let_in_while_it_runs() {
    let Some(double) = Double::start() else { return };
    let (cloud, owner) = (double.cloud(), owner(1));
    let operator = |operator: bool| {
        shaped(|shape| {
            shape.static_address = false;
            shape.ssh_from = SshFrom {
                operator,
                ..SshFrom::default()
            };
        })
    };
    let me = caller(&format!("host:{}:1", std::process::id()));
    // Nothing to open before there is a firewall, and nothing where callers are not let in.
    cloud.admit(&owner, &me).await.unwrap();
    assert!(double.all("firewalls").is_empty());
    make(&cloud, &owner, &operator(false), &quiet).await.unwrap();
    cloud.admit(&owner, &me).await.unwrap();
    assert_eq!(double.all("firewalls").len(), 1);
    let part = cloud
        .ensure(&owner, &Address::MachineFirewall, &operator(true), &quiet)
        .await
        .unwrap();
    assert_eq!(part.attributes["tcp/22"], "operator");

    // What a killed run left goes; that of a run on another computer stays.
    let lineage = &owner.lineage;
    let tags = json!([format!("provision:{lineage}")]);
    let ssh = json!([{"protocol": "tcp", "ports": "22", "sources": {"addresses": ["192.0.2.1"]}}]);
    let now = jiff::Timestamp::now().as_second();
    for name in [
        format!("{now}.host.{}.1", i32::MAX),
        format!("{now}.elsewhere.77.1"),
        format!("{}.elsewhere.78.1", now - 4000),
    ] {
        let body = json!({"name": format!("provision-run.{lineage}.{name}"), "tags": tags, "inbound_rules": ssh});
        double.somebody("POST", "firewalls", &body);
    }
    cloud.observe(&owner).await.unwrap();
    double.reset();
    cloud.admit(&owner, &me).await.unwrap();
    let calls = double.calls();
    assert!(
        !calls.contains(&"firewalls_list".to_owned()),
        "it was looked at just now: {calls:?}"
    );
    let names = || {
        let all = double.all("firewalls");
        let names = all.iter().map(|one| one["name"].as_str().unwrap().to_owned());
        names
            .filter(|name| name.starts_with("provision-run."))
            .collect::<Vec<_>>()
    };
    assert_eq!(names().len(), 2, "{:?}", names());
    let walls = double.all("droplets")[0]["firewalls"].as_array().unwrap().len();
    assert_eq!(walls, 3);
    // It is none of the firewall's own rules.
    let seen = cloud.observe(&owner).await.unwrap();
    assert_eq!(seen.parts[&Address::MachineFirewall].attributes["tcp/22"], "operator");

    double.reset();
    cloud.dismiss(&owner, &me).await.unwrap();
    assert_eq!(double.calls(), ["firewalls_delete"]);
    assert_eq!(names().len(), 1);
    cloud.dismiss(&owner, &me).await.unwrap();
    // A lost answer opens nothing twice.
    double.faults(&json!([{"action": "firewalls_create", "do": "lose"}]));
    cloud.admit(&owner, &me).await.unwrap();
    cloud.admit(&owner, &me).await.unwrap();
    assert_eq!(names().len(), 2, "{:?}", names());
    // The way back takes what callers have open.
    destroy_all(&cloud, &owner).await.unwrap();
    assert_nothing(&double);
}

#[tokio::test]
async fn a_droplet_that_its_firewall_misses_is_no_success() {
    let Some(double) = Double::start() else { return };
    let (cloud, owner, spec) = (double.cloud(), owner(1), spec());
    cloud.ensure(&owner, &Address::MachineKey, &spec, &quiet).await.unwrap();
    let error = cloud.create(&owner, &spec, 1, &quiet).await.unwrap_err();
    assert!(error.to_string().contains("its firewall is not there"), "{error}");
    assert!(double.all("droplets").is_empty());
}
