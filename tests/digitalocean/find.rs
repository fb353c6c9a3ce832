//! What is found without a state, what is taken over, and what it costs.

use std::collections::BTreeSet;

use provision::names::Address;
use provision::provider::InstanceSpec;
use serde_json::json;

use super::double::*;

#[tokio::test]
async fn everything_of_ours_is_found_by_its_marks() {
    let Some(double) = Double::start() else { return };
    let (cloud, owner) = (double.cloud(), owner(1));
    make_all(&cloud, &owner, &spec()).await.unwrap();
    let foreign = json!({"name": "web", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64", "tags": ["provision"]});
    double.somebody("POST", "droplets", &foreign);
    double.somebody(
        "POST",
        "volumes",
        &json!({"name": "web", "region": "fra1", "size_gigabytes": 1}),
    );
    double.somebody("POST", "reserved_ips", &json!({"region": "fra1"}));
    let found = cloud.find().await.unwrap();
    let addresses: BTreeSet<String> = found.iter().map(|found| found.address.to_string()).collect();
    let all = [
        "machine.address",
        "machine.firewall",
        "machine.instance",
        "machine.key",
        "machine.volume",
    ];
    assert_eq!(addresses, all.map(str::to_owned).into());
    assert_eq!(found.len(), 5, "{found:#?}");
    assert!(
        found
            .iter()
            .all(|found| found.lineage == owner.lineage && found.environment.as_str() == "demo")
    );
    let machine = found
        .iter()
        .find(|found| found.address == Address::MachineInstance)
        .unwrap();
    assert_eq!(machine.monthly.unwrap().to_string(), "12.00 USD");
    assert!(machine.created.is_some());
}

#[tokio::test]
async fn an_address_that_hangs_on_nothing_is_found_too() {
    let Some(double) = Double::start() else { return };
    let (cloud, owner) = (double.cloud(), owner(1));
    make_all(&cloud, &owner, &spec()).await.unwrap();
    cloud.destroy(&owner, &quiet).await.unwrap();
    let found = cloud.find().await.unwrap();
    let address = found
        .iter()
        .find(|found| found.address == Address::MachineAddress)
        .unwrap();
    assert_eq!(address.environment.as_str(), "demo");
    // A state that is lost and written anew takes it back.
    cloud.remove(&owner, &Address::MachineAddress, &quiet).await.unwrap();
    assert!(double.all("reserved_ips").is_empty());
}

#[tokio::test]
async fn what_was_made_by_hand_is_taken_over() {
    let Some(double) = Double::start() else { return };
    let (cloud, ours, theirs) = (double.cloud(), owner(1), owner(2));
    let droplet =
        json!({"name": "by-hand", "region": "fra1", "size": "s-1vcpu-2gb", "image": "debian-13-x64", "tags": ["mine"]});
    let droplet = double.somebody("POST", "droplets", &droplet)["droplet"]["id"].to_string();
    let volume = json!({"name": "by-hand", "region": "fra1", "size_gigabytes": 5});
    let volume = double.somebody("POST", "volumes", &volume)["volume"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let wall = json!({"name": "by-hand", "inbound_rules": [{"protocol": "tcp", "ports": "22", "sources": {"addresses": ["192.0.2.1"]}}]});
    let wall = double.somebody("POST", "firewalls", &wall)["firewall"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let ip = double.somebody("POST", "reserved_ips", &json!({"region": "fra1"}))["reserved_ip"]["ip"]
        .as_str()
        .unwrap()
        .to_owned();
    let key = double.somebody("POST", "account/keys", &json!({"name": "by-hand", "public_key": KEY}))["ssh_key"]["id"]
        .to_string();
    let things = [
        (Address::MachineInstance, droplet),
        (Address::MachineVolume, volume),
        (Address::MachineFirewall, wall),
        (Address::MachineAddress, ip),
        (Address::MachineKey, key),
    ];
    for (address, id) in &things {
        cloud.adopt(&ours, address, id).await.unwrap();
        // Once more is no harm; another's hands are too late.
        cloud.adopt(&ours, address, id).await.unwrap();
        let error = cloud.adopt(&theirs, address, id).await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("it belongs to the environment demo, lineage {}", ours.lineage))
                || error.to_string().contains("it belongs to the environment"),
            "{error}"
        );
        let gone = cloud.adopt(&ours, address, "7").await.unwrap_err();
        assert!(gone.to_string().contains("it is not there"), "{gone}");
    }
    let found = cloud.find().await.unwrap();
    assert_eq!(found.len(), 5, "{found:#?}");
    // They serve the machine that is made of them.
    let mut known = ours.clone();
    known.ids.extend(things.clone());
    let (instance, parts) = make_all(&cloud, &known, &spec()).await.unwrap();
    assert_eq!(instance.id, things[0].1);
    for (address, id) in things.iter().skip(1) {
        assert_eq!(parts[address].id, *id, "{address}");
    }
    cloud.resize(&known, &spec(), &quiet).await.unwrap();
    destroy_all(&cloud, &known).await.unwrap();
    assert_nothing(&double);
}

#[tokio::test]
async fn the_vendors_list_says_what_it_costs() {
    let Some(double) = Double::start() else { return };
    let cloud = double.cloud();
    let bare = InstanceSpec {
        volume_gib: None,
        ..spec()
    };
    let costs = cloud.costs(&bare).await.unwrap();
    let shown: Vec<String> = costs.iter().map(|(what, money)| format!("{what} {money}")).collect();
    assert_eq!(shown, ["s-1vcpu-2gb 12.00 USD"]);
    let costs = cloud.costs(&spec()).await.unwrap();
    assert!(
        costs[0]
            .0
            .contains("without the data volume, of which the API tells no price"),
        "{costs:?}"
    );
    double.account(&json!({"expired": true}));
    assert!(cloud.costs(&bare).await.is_none());
}
