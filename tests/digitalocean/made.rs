//! A whole machine: made once, seen as it was asked for, and taken back without a rest.

use std::collections::BTreeSet;

use provision::names::Address;
use provision::provider::{KEPT, Owner, Power};
use serde_json::json;

use super::double::*;

/// The owner whose state knows all that was made.
fn settled(
    owner: &Owner,
    made: &(
        provision::provider::Instance,
        std::collections::BTreeMap<Address, provision::provider::Part>,
    ),
) -> Owner {
    let mut owner = knowing(owner, Address::MachineInstance, &made.0.id);
    for (address, part) in &made.1 {
        owner.ids.insert(address.clone(), part.id.clone());
    }
    owner
}

#[tokio::test]
async fn what_is_made_is_as_it_was_asked_for() {
    let Some(double) = Double::start() else { return };
    let (cloud, owner, spec) = (
        double.cloud(),
        owner(1),
        shaped(|shape| shape.project = Some("shop".into())),
    );
    let made = make_all(&cloud, &owner, &spec).await.unwrap();
    let seen = double.look();
    let droplet = &seen["droplets"][0];
    let life = format!("provision:{}", owner.lineage);
    assert_eq!(droplet["name"], "demo-01010101");
    assert_eq!(droplet["region"]["slug"], "fra1");
    assert_eq!(droplet["size_slug"], "s-1vcpu-2gb");
    assert_eq!(droplet["user_data"], "#cloud-config\n");
    assert_eq!(droplet["keys"], json!([KEY]));
    assert_eq!(droplet["image"]["id"], 195_000_001);
    let tags: BTreeSet<&str> = droplet["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag.as_str().unwrap())
        .collect();
    let wanted = [
        "provision".to_owned(),
        life.clone(),
        format!("{life}:environment:demo"),
        format!("{life}:image:debian-13"),
    ];
    assert!(
        wanted.iter().all(|tag| tags.contains(tag.as_str())) && tags.contains("team:shop"),
        "{tags:?}"
    );
    // Its firewall is for its tag, and was there before it.
    assert_eq!(
        droplet["firewalls"],
        json!([format!("provision.demo.{}", owner.lineage)])
    );
    assert_eq!(seen["firewalls"][0]["tags"], json!([life]));
    assert_eq!(seen["volumes"][0]["droplet_ids"], json!([droplet["id"]]));
    assert_eq!(seen["volumes"][0]["name"], "demo-01010101");
    assert_eq!(seen["reserved_ips"][0]["droplet"], droplet["id"]);
    let all = format!("do:droplet:{}", droplet["id"]);
    let shop = seen["projects"]["shop"].as_array().unwrap();
    assert_eq!(shop.len(), 3, "{shop:?}");
    assert!(shop.contains(&json!(all)));

    // Observation tells what the specification says, of all that it tells.
    let owner = settled(&owner, &made);
    double.reset();
    let sight = cloud.observe(&owner).await.unwrap();
    assert!(double.calls().len() <= 6, "{:?}", double.calls());
    let instance = sight.instance.unwrap();
    assert_eq!(instance.power, Power::On);
    let fixed = &sight.parts[&Address::MachineAddress].facts["address"];
    assert_eq!(instance.endpoint.address.to_string(), *fixed);
    let told = spec.told();
    let is: Vec<_> = instance
        .attributes
        .iter()
        .filter(|(name, _)| told.contains(&name.as_str()))
        .collect();
    let wanted = spec.attributes();
    let shall: Vec<_> = wanted
        .iter()
        .filter(|(name, _)| told.contains(&name.as_str()))
        .collect();
    assert_eq!(is, shall);
    for (address, attributes) in spec.parts() {
        assert_eq!(sight.parts[&address].attributes, attributes, "{address}");
    }
    assert!(sight.obstacles.is_empty() && sight.news.is_empty());

    // Made again, nothing changes.
    double.reset();
    let again = make_all(&cloud, &owner, &spec).await.unwrap();
    assert_eq!((again.0.id, again.1), (made.0.id, made.1));
    let changes: Vec<String> = double
        .calls()
        .into_iter()
        .filter(|call| call.ends_with("_create") || call.contains("_assign_"))
        .collect();
    assert_eq!(changes, Vec::<String>::new(), "it is all there already");

    destroy_all(&cloud, &owner).await.unwrap();
    assert_eq!(cloud.leftovers(&owner).await.unwrap(), Vec::<String>::new());
    assert_nothing(&double);
}

#[tokio::test]
async fn a_volume_and_an_address_move_to_the_machine_that_takes_its_place() {
    let Some(double) = Double::start() else { return };
    let (cloud, owner, spec) = (double.cloud(), owner(2), spec());
    let made = make_all(&cloud, &owner, &spec).await.unwrap();
    let owner = settled(&owner, &made);
    cloud.check(&spec).await.unwrap();
    cloud.destroy(&owner, &quiet).await.unwrap();
    let between = cloud.observe(&owner).await.unwrap();
    assert!(between.instance.is_none());
    let left = cloud.leftovers(&owner).await.unwrap();
    assert!(
        left.iter()
            .any(|line| line.starts_with(KEPT) && line.contains("5 GiB, fra1")),
        "{left:?}"
    );
    assert!(
        left.iter().any(|line| line.starts_with("reserved address: ")),
        "{left:?}"
    );
    let second = cloud.create(&owner, &spec, 2, &quiet).await.unwrap();
    assert_ne!(second.id, made.0.id);
    assert_eq!(second.facts["generation"], "2");
    for address in [Address::MachineVolume, Address::MachineAddress] {
        let part = cloud.ensure(&owner, &address, &spec, &quiet).await.unwrap();
        assert_eq!(part, made.1[&address]);
    }
    let seen = double.look();
    assert_eq!(seen["volumes"][0]["droplet_ids"], json!([seen["droplets"][0]["id"]]));
    assert_eq!(seen["reserved_ips"][0]["droplet"], seen["droplets"][0]["id"]);
    destroy_all(&cloud, &owner).await.unwrap();
    assert_nothing(&double);
}

#[tokio::test]
async fn what_others_have_is_let_be() {
    let Some(double) = Double::start() else { return };
    let (cloud, ours, theirs) = (double.cloud(), owner(3), owner(4));
    let spec = spec();
    // The same key for two environments: an account has it once.
    make_all(&cloud, &theirs, &spec).await.unwrap();
    make_all(&cloud, &ours, &spec).await.unwrap();
    assert_eq!(double.all("keys").len(), 1);
    let before = double.look();
    destroy_all(&cloud, &ours).await.unwrap();
    assert_eq!(cloud.leftovers(&ours).await.unwrap(), Vec::<String>::new());
    let after = double.look();
    for kind in ["droplets", "volumes", "firewalls", "reserved_ips"] {
        assert_eq!(after[kind].as_array().unwrap().len(), 1, "{kind}");
        assert_eq!(after[kind][0], before[kind][0], "{kind}");
    }
    assert_eq!(after["keys"], before["keys"]);
    // A volume that hangs on somebody's Droplet is not taken, nor one of another's deleted.
    let foreign = knowing(
        &ours,
        Address::MachineVolume,
        after["volumes"][0]["id"].as_str().unwrap(),
    );
    cloud.remove(&foreign, &Address::MachineVolume, &quiet).await.unwrap();
    assert_eq!(double.all("volumes").len(), 1);
    destroy_all(&cloud, &theirs).await.unwrap();
    assert_nothing(&double);
}

#[tokio::test]
async fn the_end_is_on_everything_that_can_bear_it() {
    let Some(double) = Double::start() else { return };
    let (cloud, base) = (double.cloud(), owner(5));
    let spec = provision::provider::InstanceSpec {
        ttl_seconds: Some(3600),
        ..spec()
    };
    let first = mortal(base.clone(), 3600);
    make_all(&cloud, &first, &spec).await.unwrap();
    let ends = |owner: &Owner| owner.expires.unwrap().to_string();
    let sight = cloud.observe(&first).await.unwrap();
    assert_eq!(sight.instance.unwrap().attributes["expires"], ends(&first));
    let found = cloud.find().await.unwrap();
    let mortal_ones = found.iter().filter(|found| found.expires == first.expires).count();
    assert_eq!(mortal_ones, 2, "{found:?}");

    let later = mortal(base.clone(), 7200);
    cloud.end(&later, &spec).await.unwrap();
    assert_eq!(
        cloud.observe(&later).await.unwrap().instance.unwrap().attributes["expires"],
        ends(&later)
    );
    let tags = double.all("tags");
    let of_ends = tags
        .iter()
        .filter(|tag| tag["name"].as_str().unwrap().contains(":expires:"));
    assert_eq!(of_ends.count(), 1, "{tags:?}");
    double.reset();
    cloud.end(&later, &spec).await.unwrap();
    assert!(
        double.calls().iter().all(|call| call.ends_with("_list")),
        "{:?}",
        double.calls()
    );

    let never = provision::provider::InstanceSpec {
        ttl_seconds: None,
        ..spec
    };
    cloud.end(&base, &never).await.unwrap();
    let attributes = cloud.observe(&base).await.unwrap().instance.unwrap().attributes;
    assert!(
        !attributes.contains_key("expires") && !attributes.contains_key("ttl"),
        "{attributes:?}"
    );
    destroy_all(&cloud, &base).await.unwrap();
    assert_nothing(&double);
}
