//! `machine.instance`: made once with everything it shall have, adopted, taken away.

use std::collections::BTreeMap;
use std::time::Duration;

use provision::names::Address;
use provision::provider::{InstanceSpec, KEPT, Power};
use serde_json::{Value, json};

use crate::double::{Double, Said, make, mortal, owner, quiet, shaped, spec, told};

fn living(seen: &Value) -> Vec<&Value> {
    let all = seen["instances"].as_array().unwrap();
    all.iter().filter(|one| one["state"] != "terminated").collect()
}

#[tokio::test]
async fn a_machine_is_made_with_everything_it_shall_have() {
    let Some(double) = Double::start() else { return };
    let owner = mortal(owner(1), 3600);
    let aws = double.aws();
    let spec = InstanceSpec {
        ttl_seconds: Some(3600),
        ..spec()
    };
    let made = make(&aws, &owner, &spec, &quiet).await.unwrap();
    assert_eq!(made.power, Power::On);

    let seen = double.look();
    let [machine] = living(&seen)[..] else {
        panic!("{seen:#}")
    };
    assert_eq!(machine["id"], made.id.as_str());
    assert_eq!(machine["public_ip"], made.endpoint.address.to_string());
    assert_eq!(machine["type"], "t3.small");
    assert_eq!(machine["metadata"]["tokens"], "required");
    assert_eq!(machine["metadata"]["hop_limit"], 1);
    assert_eq!(machine["shutdown"], "terminate");
    assert_eq!(machine["zone"], "eu-central-1a");
    assert_eq!(machine["key"], "demo-01010101");
    assert_eq!(machine["groups"], json!([seen["security_groups"][0]["id"]]));
    assert_eq!(
        machine["user_data_sha256"],
        provision::names::Digest::of("#cloud-config\n").as_str()
    );
    let [root] = &seen["volumes"].as_array().unwrap()[..] else {
        panic!("{seen:#}")
    };
    assert_eq!(
        (&root["size_gib"], &root["type"], &root["encrypted"]),
        (&json!(12), &json!("gp3"), &json!(true))
    );
    assert_eq!(root["delete_on_termination"], true);

    let lineage = owner.lineage.to_string();
    for (thing, address) in [(machine, "machine.instance"), (root, "machine.instance.root")] {
        let tags = &thing["tags"];
        assert_eq!(tags["provision:address"], address);
        assert_eq!(tags["provision:environment"], "demo");
        assert_eq!(tags["provision:lineage"], lineage.as_str());
        assert_eq!(tags["provision:version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(tags["Name"], "demo-01010101");
        assert_eq!(tags["team"], "shop");
        let end: jiff::Timestamp = tags["provision:expires"].as_str().unwrap().parse().unwrap();
        let left = end.duration_since(jiff::Timestamp::now()).as_secs();
        assert!((3400..=3600).contains(&left), "{left}");
    }

    // What is seen is what was asked for, and making it again makes nothing.
    let sight = aws.observe(&owner).await.unwrap();
    let there = sight.instance.unwrap();
    let mut asked = spec.attributes();
    asked.extend([
        ("expires".to_owned(), owner.expires.unwrap().to_string()),
        ("poweroff".to_owned(), "terminate".to_owned()),
    ]);
    assert_eq!(there.attributes, asked);
    assert_eq!(sight.parts.len(), 2);
    for (address, part) in &sight.parts {
        assert_eq!(part.attributes, spec.parts()[address], "{address}");
    }
    assert_eq!(sight.news, Vec::<String>::new());
    assert_eq!(aws.create(&owner, &spec, 1, &quiet).await.unwrap().id, made.id);
    assert_eq!(living(&double.look()).len(), 1);
}

#[tokio::test]
async fn everything_that_can_be_asked_for_is_given_and_seen() {
    let Some(double) = Double::start() else { return };
    double.account(json!({"ipv6": true})).await;
    let (aws, owner) = (double.aws(), owner(2));
    let subnets = double.somebody().describe_subnets().send().await.unwrap();
    let subnet = subnets
        .subnets()
        .iter()
        .find(|one| one.availability_zone() == Some("eu-central-1b"))
        .unwrap();
    let spec = shaped(|shape| {
        shape.size = "t4g.small".into();
        shape.image = "ubuntu-24.04".into();
        shape.subnet = subnet.subnet_id().map(str::to_owned);
        shape.ipv6 = true;
        shape.spot = true;
        shape.cpu_credits = Some(provision::provider::CpuCredits::Standard);
    });
    let made = make(&aws, &owner, &spec, &quiet).await.unwrap();
    assert!(made.ipv6.is_some());
    assert_eq!(made.attributes, spec.attributes());
    let seen = double.look();
    let [machine] = living(&seen)[..] else {
        panic!("{seen:#}")
    };
    assert_eq!(machine["architecture"], "arm64");
    assert_eq!(machine["zone"], "eu-central-1b");
    assert_eq!(machine["market"], "spot");
    assert_eq!(machine["cpu_credits"], "standard");
    assert_eq!(machine["ipv6"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_large_first_boot_is_compressed() {
    let Some(double) = Double::start() else { return };
    let (aws, owner) = (double.aws(), owner(3));
    let spec = InstanceSpec {
        user_data: format!("#cloud-config\n{}", "# text\n".repeat(4000)),
        ..spec()
    };
    make(&aws, &owner, &spec, &quiet).await.unwrap();
    let seen = double.look();
    assert_ne!(
        living(&seen)[0]["user_data_sha256"],
        provision::names::Digest::of(&spec.user_data).as_str()
    );
}

#[tokio::test]
async fn another_zone_and_the_ordinary_market_do_where_there_is_no_room() {
    let Some(double) = Double::start() else { return };
    double
        .account(json!({"full_zones": ["eu-central-1a"], "spot_capacity": false}))
        .await;
    let (aws, owner) = (double.aws(), owner(4));
    let spec = shaped(|shape| shape.spot = true);
    let said = Said::default();
    let made = make(&aws, &owner, &spec, &|note| said.hear(note)).await.unwrap();
    insta::assert_snapshot!(said.lines().join("\n"), @r"
    eu-central-1a: no t3.small there now on the spot market
    eu-central-1b: no t3.small there now on the spot market
    eu-central-1c: no t3.small there now on the spot market
    there is no spot capacity now: an ordinary machine is made, at its price
    eu-central-1a: no t3.small there now
    ");
    assert_eq!(made.facts["zone"], "eu-central-1b");
    // It was asked for as spot, so nothing is to be done about it.
    assert_eq!(made.attributes, spec.attributes());

    double
        .account(json!({"full_zones": ["eu-central-1a", "eu-central-1b", "eu-central-1c"]}))
        .await;
    let other = crate::double::owner(5);
    let error = make(&aws, &other, &spec_without_spot(), &quiet).await.unwrap_err();
    let told = told(&error);
    assert!(
        told.starts_with("failed to make machine.instance\n  because InsufficientInstanceCapacity: "),
        "{told}"
    );
    assert!(
        told.contains("hint: none of the zones has such a machine now"),
        "{told}"
    );
}

fn spec_without_spot() -> InstanceSpec {
    shaped(|shape| shape.tags.clear())
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_or_late_makes_one_machine() {
    let Some(double) = Double::start() else { return };
    let (aws, owner) = (double.aws(), owner(6));
    for fault in ["lose", "hide:4"] {
        double.faults(json!([{"action": "RunInstances", "do": fault}])).await;
        let made = make(&aws, &owner, &spec(), &quiet).await.unwrap();
        let seen = double.look();
        let [machine] = living(&seen)[..] else {
            panic!("{fault}: {seen:#}")
        };
        assert_eq!(machine["id"], made.id.as_str());
        double.reset().await;
        aws.destroy(&owner, &quiet).await.unwrap();
    }
}

#[tokio::test]
async fn a_run_that_was_killed_while_it_made_the_machine_is_gone_on_with() {
    let Some(double) = Double::start() else { return };
    let (aws, owner) = (double.aws(), owner(7));
    let spec = InstanceSpec {
        ttl_seconds: Some(3600),
        ..spec()
    };
    for hold in ["hold-before", "hold-after"] {
        double.faults(json!([{"action": "RunInstances", "do": hold}])).await;
        let killed = make(&aws, &owner, &spec, &quiet);
        tokio::select! {
            made = killed => panic!("{made:?}"),
            () = double.held() => {}
        }
        // What it made may not be seen yet when it is run again, and the end of its life is another one meanwhile.
        tokio::time::sleep(Duration::from_secs(1)).await;
        double.faults(json!([])).await;
        let made = make(&aws, &owner, &spec, &quiet).await.unwrap();
        let seen = double.look();
        let [machine] = living(&seen)[..] else {
            panic!("{hold}: {seen:#}")
        };
        assert_eq!(machine["id"], made.id.as_str());
        aws.destroy(&owner, &quiet).await.unwrap();
        double.reset().await;
    }
}

#[tokio::test]
async fn a_machine_that_cannot_be_seen_yet_is_not_made_twice() {
    let Some(double) = Double::start() else { return };
    let (aws, owner) = (double.aws(), owner(8));
    let spec = InstanceSpec {
        ttl_seconds: Some(3600),
        ..spec()
    };
    aws.ensure(&owner, &Address::MachineKey, &spec, &quiet).await.unwrap();
    aws.ensure(&owner, &Address::MachineFirewall, &spec, &quiet)
        .await
        .unwrap();
    double.faults(json!([{"action": "RunInstances", "do": "hide:6"}])).await;
    let first = tokio::time::timeout(Duration::from_millis(2500), aws.create(&owner, &spec, 1, &quiet)).await;
    assert!(first.is_err(), "it should still be hidden");
    let made = aws.create(&owner, &spec, 1, &quiet).await.unwrap();
    let seen = double.look();
    let [machine] = living(&seen)[..] else {
        panic!("{seen:#}")
    };
    assert_eq!(machine["id"], made.id.as_str());
}

#[tokio::test]
async fn a_machine_that_somebody_terminated_is_made_anew() {
    let Some(double) = Double::start() else { return };
    let (aws, mut owner) = (double.aws(), owner(9));
    let first = make(&aws, &owner, &spec(), &quiet).await.unwrap();
    owner.ids.insert(Address::MachineInstance, first.id.clone());
    double
        .somebody()
        .terminate_instances()
        .instance_ids(&first.id)
        .send()
        .await
        .unwrap();
    assert_eq!(aws.observe(&owner).await.unwrap().instance, None);
    let second = aws.create(&owner, &spec(), 1, &quiet).await.unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(living(&double.look()).len(), 1);
}

#[tokio::test]
async fn a_stopped_machine_is_started() {
    let Some(double) = Double::start() else { return };
    let (aws, owner) = (double.aws(), owner(10));
    assert!(
        aws.has_power(&owner).await.unwrap(),
        "what cannot be seen yet may be about to run"
    );
    let made = make(&aws, &owner, &spec(), &quiet).await.unwrap();
    assert!(aws.has_power(&owner).await.unwrap());
    double
        .somebody()
        .stop_instances()
        .instance_ids(&made.id)
        .send()
        .await
        .unwrap();
    assert_eq!(aws.observe(&owner).await.unwrap().instance.unwrap().power, Power::Off);
    assert!(!aws.has_power(&owner).await.unwrap());
    let started = aws.start(&owner, &quiet).await.unwrap();
    assert_eq!((started.id, started.power), (made.id, Power::On));
    aws.destroy(&owner, &quiet).await.unwrap();
    assert!(
        !aws.has_power(&owner).await.unwrap(),
        "a terminated one is shown, and will not answer"
    );
}

#[tokio::test]
async fn destroy_takes_the_machine_and_leaves_the_data() {
    let Some(double) = Double::start() else { return };
    let (aws, owner) = (double.aws(), owner(11));
    let spec = InstanceSpec {
        volume_gib: Some(3),
        ..spec()
    };
    let machine = make(&aws, &owner, &spec, &quiet).await.unwrap();
    let volume = aws
        .ensure(&owner, &Address::MachineVolume, &spec, &quiet)
        .await
        .unwrap();
    doom(&double, &machine.id, &volume.id).await;

    aws.destroy(&owner, &quiet).await.unwrap();
    let seen = double.look();
    assert_eq!(living(&seen), Vec::<&Value>::new());
    let volumes: Vec<&Value> = seen["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["id"])
        .collect();
    assert_eq!(volumes, [volume.id.as_str()]);
    aws.destroy(&owner, &quiet).await.unwrap();

    let left = aws.leftovers(&owner).await.unwrap();
    let kinds: Vec<&str> = left.iter().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(kinds, ["kept", "security group", "key pair"], "{left:?}");
    assert!(left[0].starts_with(KEPT) && left[0].contains(&volume.id), "{left:?}");

    // A new machine goes where its data is.
    double.account(json!({"full_zones": ["eu-central-1b"]})).await;
    let again = aws.create(&owner, &spec, 2, &quiet).await.unwrap();
    assert_eq!(again.facts["zone"], volume.facts["zone"]);
    aws.destroy(&owner, &quiet).await.unwrap();

    for address in [Address::MachineVolume, Address::MachineFirewall, Address::MachineKey] {
        aws.remove(&owner, &address, &quiet).await.unwrap();
    }
    assert_eq!(aws.leftovers(&owner).await.unwrap(), Vec::<String>::new());
    let seen = double.look();
    let left: BTreeMap<&str, usize> = ["volumes", "security_groups", "keys", "addresses"]
        .into_iter()
        .map(|kind| (kind, seen[kind].as_array().unwrap().len()))
        .filter(|(_, count)| *count > 0)
        .collect();
    assert_eq!(left, BTreeMap::new(), "{seen:#}");
}

/// Somebody lets the data volume go with the machine.
async fn doom(double: &Double, machine: &str, volume: &str) {
    use aws_sdk_ec2::types::{EbsInstanceBlockDeviceSpecification, InstanceBlockDeviceMappingSpecification};
    let seen = double.look();
    let devices = living(&seen)[0]["devices"].as_object().unwrap().clone();
    let (device, _) = devices.into_iter().find(|(_, disk)| disk["volume"] == volume).unwrap();
    let disk = EbsInstanceBlockDeviceSpecification::builder()
        .delete_on_termination(true)
        .build();
    let mapping = InstanceBlockDeviceMappingSpecification::builder()
        .device_name(device)
        .ebs(disk)
        .build();
    let request = double.somebody().modify_instance_attribute().instance_id(machine);
    request.block_device_mappings(mapping).send().await.unwrap();
}

/// Launches a machine with all the tags of another one.
async fn clone(double: &Double, machine: &Value, token: &str) -> String {
    use aws_sdk_ec2::types::{InstanceType, ResourceType, Tag, TagSpecification};
    let tags = machine["tags"].as_object().unwrap().iter();
    let tags = tags.map(|(key, value)| Tag::builder().key(key).value(value.as_str().unwrap()).build());
    let tags = TagSpecification::builder()
        .resource_type(ResourceType::Instance)
        .set_tags(Some(tags.collect()));
    let somebody = double.somebody();
    let request = somebody
        .run_instances()
        .image_id(machine["image"].as_str().unwrap())
        .instance_type(InstanceType::T3Small)
        .min_count(1)
        .max_count(1)
        .client_token(token)
        .tag_specifications(tags.build());
    request.send().await.unwrap().instances()[0]
        .instance_id()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_second_machine_of_ours_goes_and_one_that_somebody_cloned_stays() {
    let Some(double) = Double::start() else { return };
    let (aws, owner) = (double.aws(), owner(12));
    let made = make(&aws, &owner, &spec(), &quiet).await.unwrap();
    let machine = living(&double.look())[0].clone();
    let twice = clone(&double, &machine, "0123456789abcdef0123456789abcdef").await;
    let cloned = clone(&double, &machine, "01234567-89ab-cdef-0123-456789abcdef").await;
    let said = Said::default();
    let known = provision::provider::Owner {
        ids: BTreeMap::from([(Address::MachineInstance, made.id.clone())]),
        ..owner
    };
    let kept = aws.create(&known, &spec(), 1, &|note| said.hear(note)).await.unwrap();
    assert_eq!(kept.id, made.id);
    let warning = format!(
        "an interrupted run made the machine twice: {} is kept, {twice} is terminated",
        made.id
    );
    assert_eq!(said.lines(), [warning]);

    aws.destroy(&known, &quiet).await.unwrap();
    let seen = double.look();
    let left: Vec<&Value> = living(&seen).iter().map(|one| &one["id"]).collect();
    assert_eq!(left, [cloned.as_str()]);
    assert!(
        aws.leftovers(&known)
            .await
            .unwrap()
            .contains(&format!("instance: {cloned} (running)"))
    );
}

#[tokio::test]
async fn a_protected_machine_is_left_with_a_word_about_it() {
    let Some(double) = Double::start() else { return };
    let (aws, owner) = (double.aws(), owner(13));
    let made = make(&aws, &owner, &spec(), &quiet).await.unwrap();
    let on = aws_sdk_ec2::types::AttributeBooleanValue::builder().value(true).build();
    let request = double.somebody().modify_instance_attribute().instance_id(&made.id);
    request.disable_api_termination(on).send().await.unwrap();
    let error = told(&aws.destroy(&owner, &quiet).await.unwrap_err());
    assert!(error.starts_with("failed to terminate machine.instance (i-"), "{error}");
    assert!(error.contains("because OperationNotPermitted: "), "{error}");
    assert!(
        error.ends_with("take it off in the console (Actions, Instance settings), then run it again"),
        "{error}"
    );
}
