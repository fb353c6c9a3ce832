//! Changes in place: only what differs is called.

use provision::names::Address;
use provision::provider::{CpuCredits, InstanceSpec, Power};
use serde_json::json;

use crate::double::{Double, Said, make, owner, quiet, shaped, spec, told};

/// The calls that changed something.
async fn changes(double: &Double) -> Vec<String> {
    let calls = double.calls().await;
    calls.into_iter().filter(|call| !call.starts_with("Describe")).collect()
}

#[tokio::test]
async fn nothing_differs_and_nothing_is_called() {
    let Some(double) = Double::start() else { return };
    let (aws, owner) = (double.aws(), owner(1));
    make(&aws, &owner, &spec(), &quiet).await.unwrap();
    double.reset().await;
    aws.resize(&owner, &spec(), &quiet).await.unwrap();
    assert_eq!(changes(&double).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_size_is_changed_on_the_stopped_machine() {
    let Some(double) = Double::start() else { return };
    let (aws, owner) = (double.aws(), owner(2));
    let made = make(&aws, &owner, &spec(), &quiet).await.unwrap();
    double.reset().await;
    let larger = shaped(|shape| shape.size = "t3.medium".into());
    let changed = aws.resize(&owner, &larger, &quiet).await.unwrap();
    assert_eq!((&changed.id, changed.power), (&made.id, Power::On));
    assert_eq!(changed.attributes, larger.attributes());
    assert_eq!(
        changes(&double).await,
        ["StopInstances", "ModifyInstanceAttribute", "StartInstances"]
    );
}

#[tokio::test]
async fn a_size_that_cannot_be_leaves_the_machine_running() {
    let Some(double) = Double::start() else { return };
    let (aws, owner) = (double.aws(), owner(3));
    let made = make(&aws, &owner, &spec(), &quiet).await.unwrap();
    let arm = shaped(|shape| shape.size = "t4g.small".into());
    double.reset().await;
    insta::assert_snapshot!(told(&aws.resize(&owner, &arm, &quiet).await.unwrap_err()), @r"
    failed to make machine.instance a t4g.small: its disk is for x86_64, and this size is arm64
      hint: write a size of the same architecture; for another one destroy the environment and apply again
    ");
    assert_eq!(changes(&double).await, Vec::<String>::new());

    double
        .faults(json!([{"action": "ModifyInstanceAttribute", "do": "refuse:Unsupported:not in this zone"}]))
        .await;
    let larger = shaped(|shape| shape.size = "t3.medium".into());
    insta::assert_snapshot!(told(&aws.resize(&owner, &larger, &quiet).await.unwrap_err()).split(" (request").next().unwrap(), @r#"
    failed to make machine.instance a t3.medium
      because Unsupported: not in this zone
      hint: this combination of size, image and zone is not to be had: write another size, or another subnet
    "#);
    let there = aws.observe(&owner).await.unwrap().instance.unwrap();
    assert_eq!((there.id, there.power), (made.id, Power::On));
}

#[tokio::test]
async fn a_disk_grows_as_the_machine_runs() {
    let Some(double) = Double::start() else { return };
    let (aws, owner) = (double.aws(), owner(4));
    make(&aws, &owner, &spec(), &quiet).await.unwrap();
    double.reset().await;
    let larger = InstanceSpec {
        disk_gib: Some(20),
        ..spec()
    };
    let said = Said::default();
    let changed = aws.resize(&owner, &larger, &|note| said.hear(note)).await.unwrap();
    assert_eq!(changed.attributes, larger.attributes());
    assert_eq!(changes(&double).await, ["ModifyVolume"]);
    insta::assert_snapshot!(said.lines().join("\n"), @"the root disk has 20 GiB; its file system grows when the machine starts the next time");
}

#[tokio::test]
async fn tags_metadata_and_credits_are_set_right() {
    let Some(double) = Double::start() else { return };
    let (aws, owner, somebody) = (double.aws(), owner(5), double.somebody());
    let made = make(&aws, &owner, &spec(), &quiet).await.unwrap();
    let options = somebody.modify_instance_metadata_options().instance_id(&made.id);
    options.http_put_response_hop_limit(3).send().await.unwrap();
    let other = shaped(|shape| {
        shape.tags = [("cost".to_owned(), "7".to_owned())].into();
        shape.cpu_credits = Some(CpuCredits::Standard);
    });
    let changed = aws.resize(&owner, &other, &quiet).await.unwrap();
    assert_eq!(changed.attributes, other.attributes());
    let seen = double.look();
    let (machine, root) = (&seen["instances"][0], &seen["volumes"][0]);
    for thing in [machine, root] {
        assert_eq!(
            (&thing["tags"]["cost"], &thing["tags"]["team"]),
            (&json!("7"), &json!(null)),
            "{thing:#}"
        );
    }
    assert_eq!(machine["metadata"]["hop_limit"], 1);
}

#[tokio::test]
async fn an_end_is_written_on_everything_and_taken_off_again() {
    let Some(double) = Double::start() else { return };
    let (aws, owner) = (double.aws(), owner(6));
    let spec = InstanceSpec {
        volume_gib: Some(2),
        ..spec()
    };
    make(&aws, &owner, &spec, &quiet).await.unwrap();
    aws.ensure(&owner, &Address::MachineVolume, &spec, &quiet)
        .await
        .unwrap();
    let ends = || {
        let seen = double.look();
        let things =
            ["instances", "volumes", "security_groups", "keys"].map(|kind| seen[kind].as_array().unwrap().clone());
        let ends = things
            .concat()
            .iter()
            .filter(|thing| thing["tags"]["provision:expires"].is_string())
            .count();
        (ends, seen["instances"][0]["shutdown"].as_str().unwrap().to_owned())
    };
    assert_eq!(ends(), (0, "stop".to_owned()));
    let mortal = InstanceSpec {
        ttl_seconds: Some(7200),
        ..spec.clone()
    };
    let ended = crate::double::mortal(owner.clone(), 7200);
    let changed = aws.resize(&ended, &mortal, &quiet).await.unwrap();
    assert_eq!(changed.attributes["ttl"], "2h");
    assert_eq!(ends(), (5, "terminate".to_owned()));
    double.reset().await;
    aws.resize(&ended, &mortal, &quiet).await.unwrap();
    aws.end(&ended, &mortal).await.unwrap();
    assert_eq!(
        changes(&double).await,
        Vec::<String>::new(),
        "an end that is marked is not marked again"
    );

    // Another end is marked on everything, with one call; so is one that somebody took away, and the machine goes at it.
    let instance = changed.id.as_str();
    let value = aws_sdk_ec2::types::AttributeValue::builder().value("stop").build();
    let somebody = double.somebody();
    let request = somebody.modify_instance_attribute().instance_id(instance);
    request
        .instance_initiated_shutdown_behavior(value)
        .send()
        .await
        .unwrap();
    let seen = aws.observe(&ended).await.unwrap().instance.unwrap();
    assert_eq!(
        (&*seen.attributes["poweroff"], &*seen.attributes["expires"]),
        ("stop", &*ended.expires.unwrap().to_string())
    );
    double.reset().await;
    let later = crate::double::mortal(owner.clone(), 9000);
    aws.end(&later, &mortal).await.unwrap();
    assert_eq!(changes(&double).await, ["ModifyInstanceAttribute", "CreateTags"]);
    assert_eq!(ends(), (5, "terminate".to_owned()));
    let seen = aws.observe(&later).await.unwrap().instance.unwrap();
    assert_eq!(
        (&*seen.attributes["poweroff"], &*seen.attributes["expires"]),
        ("terminate", &*later.expires.unwrap().to_string())
    );
    aws.end(&owner, &spec).await.unwrap();
    assert_eq!(ends(), (0, "stop".to_owned()));
    aws.resize(&ended, &mortal, &quiet).await.unwrap();
    aws.resize(&owner, &spec, &quiet).await.unwrap();
    assert_eq!(ends(), (0, "stop".to_owned()));
}

#[tokio::test]
async fn an_instance_profile_is_given_changed_and_taken() {
    let Some(double) = Double::start() else { return };
    let (aws, owner) = (double.aws(), owner(7));
    for name in ["one", "two"] {
        double.profile(name).await;
    }
    make(&aws, &owner, &spec(), &quiet).await.unwrap();
    for wanted in [Some("one"), Some("two"), None] {
        let spec = shaped(|shape| shape.instance_profile = wanted.map(str::to_owned));
        let changed = aws.resize(&owner, &spec, &quiet).await.unwrap();
        assert_eq!(changed.attributes, spec.attributes());
    }
}
