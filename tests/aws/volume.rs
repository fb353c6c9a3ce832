use aws_sdk_ec2::types::VolumeType;
use provision::names::Address;
use provision::provider::InstanceSpec;
use serde_json::json;

use crate::double::{make, shaped};
use crate::parts::{Double, has_our_tags, instance, machine, owner, recorded, say, shape, spec, spec_of, tag, untag};

#[tokio::test]
async fn a_data_volume_lives_as_asked_for() {
    let Some(double) = Double::start() else { return };
    let (owner, at) = (owner(), Address::MachineVolume);
    let ensure = async |spec| double.aws.ensure(&owner, &at, &spec, &say).await;

    let error = ensure(spec()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to hang the data volume on the machine: there is no instance"
    );

    let (machine_id, zone) = machine(&double, &owner).await;
    let data = || {
        let all = double.all("volumes");
        let mut data: Vec<_> = all
            .into_iter()
            .filter(|volume| volume["device"] != "/dev/xvda" && volume["device"] != "/dev/sda1")
            .collect();
        assert_eq!(data.len(), 1, "{data:#?}");
        data.remove(0)
    };
    double
        .faults(json!([{"action": "CreateVolume", "do": "lose"}, {"action": "AttachVolume", "do": "lose"}]))
        .await;
    let made = ensure(spec()).await.unwrap();
    assert_eq!(made.attributes, spec().parts()[&at]);
    assert_eq!(made.facts["zone"], zone);
    let seen = data();
    assert_eq!(seen["id"], made.id.as_str());
    assert_eq!(seen["size_gib"], 20);
    assert_eq!(seen["type"], "gp3");
    assert_eq!(seen["encrypted"], true);
    assert_eq!(seen["zone"], zone.as_str());
    assert_eq!(seen["instance"], machine_id.as_str());
    assert_eq!(seen["device"], "/dev/sdf");
    assert_eq!(seen["delete_on_termination"], false);
    has_our_tags(&seen, "machine.volume");

    double.reset().await;
    assert_eq!(ensure(spec()).await.unwrap(), made);
    let calls = double.calls().await;
    assert!(calls.iter().all(|call| call.starts_with("Describe")), "{calls:?}");
    assert_eq!(double.aws.observe(&owner).await.unwrap().parts[&at], made);

    // Growing in place.
    let mut bigger = spec();
    bigger.volume_gib = Some(30);
    let grown = ensure(bigger.clone()).await.unwrap();
    assert_eq!(grown.attributes, bigger.parts()[&at]);
    assert_eq!((&grown.id, &data()["size_gib"]), (&made.id, &json!(30)));
    let error = ensure(spec()).await.unwrap_err();
    assert_eq!(error.remedy.as_deref(), Some("write `volume_gib = 30`"));
    let mut bigger_yet = spec();
    bigger_yet.volume_gib = Some(31);
    double
        .faults(json!([{"action": "ModifyVolume", "do": "refuse:VolumeModificationRateExceeded:wait 6 hours"}]))
        .await;
    let error = ensure(bigger_yet).await.unwrap_err();
    assert!(error.remedy.unwrap().contains("once in six hours"));
    double.reset().await;

    // Drift: kind, tags, taken off. AWS refuses another change until the one before has ended; the double takes a second for that.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    double
        .somebody
        .detach_volume()
        .volume_id(&made.id)
        .send()
        .await
        .unwrap();
    double
        .somebody
        .modify_volume()
        .volume_id(&made.id)
        .volume_type(VolumeType::Gp2)
        .send()
        .await
        .unwrap();
    tag(&double, &made.id, "team", "else").await;
    let seen = double.aws.observe(&owner).await.unwrap().parts.remove(&at).unwrap();
    assert_eq!(seen.attributes.get("attached_to"), None);
    assert_eq!(seen.attributes["type"], "gp2");
    assert_eq!(seen.attributes["tags"], "team=else");
    // Not modified again before the last one is done.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(ensure(bigger.clone()).await.unwrap(), grown);
    assert_eq!(data()["type"], "gp3");
    untag(&double, &made.id, "provision:lineage").await;
    let known = recorded(at.clone(), &made.id);
    assert_eq!(double.aws.ensure(&known, &at, &bigger, &say).await.unwrap(), grown);
    has_our_tags(&data(), "machine.volume");

    // A replaced machine: the volume stays and moves.
    double
        .somebody
        .terminate_instances()
        .instance_ids(&machine_id)
        .send()
        .await
        .unwrap();
    assert_eq!(
        double.aws.observe(&owner).await.unwrap().parts[&at]
            .attributes
            .get("attached_to"),
        None
    );
    let (machine_id, _) = machine(&double, &owner).await;
    assert_eq!(ensure(bigger).await.unwrap(), grown);
    assert_eq!(data()["instance"], machine_id.as_str());

    double.aws.remove(&owner, &at, &say).await.unwrap();
    let left = double.all("volumes");
    assert!(left.iter().all(|volume| volume["id"] != made.id.as_str()), "{left:#?}");
    double.aws.remove(&owner, &at, &say).await.unwrap();
    assert!(double.all("snapshots").is_empty());

    // Wanted again: a new one, although the same call was made before.
    let anew = ensure(spec()).await.unwrap();
    assert_ne!(anew.id, made.id);
    assert_eq!(anew.attributes, spec().parts()[&at]);
}

#[tokio::test]
async fn nothing_is_taken_from_another_machine() {
    let Some(double) = Double::start() else { return };
    let (owner, at) = (owner(), Address::MachineVolume);
    machine(&double, &owner).await;
    let made = double.aws.ensure(&owner, &at, &spec(), &say).await.unwrap();
    let (other, _) = instance(&double, &[("Name", "somebody's")]).await;
    double
        .somebody
        .detach_volume()
        .volume_id(&made.id)
        .send()
        .await
        .unwrap();
    double
        .somebody
        .attach_volume()
        .volume_id(&made.id)
        .instance_id(&other)
        .device("/dev/sdf")
        .send()
        .await
        .unwrap();
    let seen = double.aws.observe(&owner).await.unwrap();
    assert_eq!(seen.parts[&at].attributes["attached_to"], other);
    for error in [
        double.aws.ensure(&owner, &at, &spec(), &say).await.unwrap_err(),
        double.aws.remove(&owner, &at, &say).await.unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            format!(
                "failed to take the data volume {}: it hangs on {other}, which is not the machine of demo",
                made.id
            )
        );
    }

    // Two with our tags: neither is chosen.
    double
        .somebody
        .detach_volume()
        .volume_id(&made.id)
        .send()
        .await
        .unwrap();
    let second = double
        .somebody
        .create_volume()
        .size(1)
        .availability_zone("eu-central-1a")
        .send()
        .await
        .unwrap();
    let second = second.volume_id().unwrap().to_owned();
    tag(&double, &second, "provision:lineage", owner.lineage.as_str()).await;
    tag(&double, &second, "provision:address", "machine.volume").await;
    let error = double.aws.ensure(&owner, &at, &spec(), &say).await.unwrap_err();
    assert!(error.to_string().contains("bear its tags"), "{error}");
    // The state knows which.
    let known = recorded(at.clone(), &made.id);
    double.aws.ensure(&known, &at, &spec(), &say).await.unwrap();
}

#[tokio::test]
async fn a_key_of_ones_own_encrypts() {
    let Some(double) = Double::start() else { return };
    let (owner, at) = (owner(), Address::MachineVolume);
    machine(&double, &owner).await;
    let mut own = shape();
    own.kms_key = Some("arn:aws:kms:eu-central-1:123456789012:key/6c3f2d3e-0000-4000-8000-000000000000".into());
    let own = spec_of(own);
    let made = double.aws.ensure(&owner, &at, &own, &say).await.unwrap();
    assert_eq!(made.attributes, own.parts()[&at]);
    let described = double
        .somebody
        .describe_volumes()
        .volume_ids(&made.id)
        .send()
        .await
        .unwrap();
    assert!(
        described.volumes()[0]
            .kms_key_id()
            .unwrap()
            .ends_with("6c3f2d3e-0000-4000-8000-000000000000")
    );
}

#[tokio::test]
async fn a_place_that_the_volume_cannot_follow_to_is_told_before_the_machine_goes() {
    let Some(double) = Double::start() else { return };
    let owner = owner();
    let (_, zone) = machine(&double, &owner).await;
    let at = Address::MachineVolume;
    for address in [Address::MachineKey, Address::MachineFirewall, at] {
        double.aws.ensure(&owner, &address, &spec(), &say).await.unwrap();
    }
    double.aws.check(&owner, &spec(), &say).await.unwrap();
    let subnets = double.somebody.describe_subnets().send().await.unwrap();
    let elsewhere = subnets.subnets().iter();
    let elsewhere = elsewhere
        .clone()
        .find(|subnet| subnet.availability_zone() != Some(zone.as_str()));
    let mut spec = spec();
    let provision::provider::Shape::Aws(shape) = &mut spec.shape else {
        panic!("it is one of AWS")
    };
    shape.subnet = elsewhere.unwrap().subnet_id().map(str::to_owned);
    let error = double.aws.check(&owner, &spec, &say).await.unwrap_err();
    assert!(error.to_string().contains("volume"), "{error}");
}

#[tokio::test]
async fn another_key_is_for_the_next_machine_and_the_volume_keeps_its_own() {
    let Some(double) = crate::double::Double::start() else {
        return;
    };
    let (aws, owner, at) = (double.aws(), crate::double::owner(8), Address::MachineVolume);
    let first = InstanceSpec {
        volume_gib: Some(2),
        ..crate::double::spec()
    };
    make(&aws, &owner, &first, &say).await.unwrap();
    let volume = aws.ensure(&owner, &at, &first, &say).await.unwrap();
    let next = InstanceSpec {
        volume_gib: Some(2),
        ..shaped(|shape| shape.kms_key = Some("alias/shop".to_owned()))
    };
    aws.destroy(&owner, &say).await.unwrap();
    let made = aws.create(&owner, &next, 2, &say).await.unwrap();
    assert_eq!(made.attributes["encryption"], "alias/shop");
    assert_eq!(aws.ensure(&owner, &at, &next, &say).await.unwrap(), volume);
    assert_eq!(volume.attributes["encryption"], "default key");
    let seen = aws.observe(&owner).await.unwrap();
    assert_eq!(seen.instance.unwrap().attributes, next.attributes());
    assert_eq!(seen.parts[&at], volume);
}
