use provision::names::Address;

use crate::parts::{Double, KEY, has_our_tags, owner, recorded, say, shape, spec, spec_of, stranger, tag, untag};

const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJwnMeR2+BdquEX6CB9wpTLOkjes0xw5OFtnQzZ9WWtd";

#[tokio::test]
async fn a_key_pair_lives_as_asked_for() {
    let Some(double) = Double::start() else { return };
    let (owner, at) = (owner(), Address::MachineKey);
    let ensure = async |spec| double.aws.ensure(&owner, &at, &spec, &say).await;

    let made = ensure(spec()).await.unwrap();
    assert_eq!(made.attributes, spec().parts()[&at]);
    let seen = double.only("keys");
    assert_eq!(seen["name"], "demo-01234567");
    assert_eq!(seen["id"], made.id.as_str());
    has_our_tags(&seen, "machine.key");

    // Twice is once, and costs one look.
    double.reset().await;
    assert_eq!(ensure(spec()).await.unwrap(), made);
    assert_eq!(double.calls().await, ["DescribeKeyPairs"]);
    assert_eq!(double.aws.observe(&owner).await.unwrap().parts[&at], made);

    // Drift: tags.
    tag(&double, &made.id, "team", "else").await;
    tag(&double, &made.id, "hand", "made").await;
    let seen = double.aws.observe(&owner).await.unwrap().parts.remove(&at).unwrap();
    assert_eq!(seen.attributes["tags"], "hand=made, team=else");
    ensure(spec()).await.unwrap();
    assert_eq!(double.aws.observe(&owner).await.unwrap().parts[&at], made);

    // Drift: without our lineage it is still ours by what the state knows.
    untag(&double, &made.id, "provision:lineage").await;
    let owner = recorded(at.clone(), &made.id);
    assert_eq!(double.aws.ensure(&owner, &at, &spec(), &say).await.unwrap(), made);
    has_our_tags(&double.only("keys"), "machine.key");

    // Another key.
    let mut changed = shape();
    changed.public_key = OTHER.into();
    let new = double.aws.ensure(&owner, &at, &spec_of(changed), &say).await.unwrap();
    assert_eq!(new.attributes["public_key"], OTHER);
    assert_eq!(double.only("keys")["id"], new.id.as_str());
    assert_ne!(new.id, made.id);

    double.aws.remove(&owner, &at, &say).await.unwrap();
    assert!(double.all("keys").is_empty());
    double.aws.remove(&owner, &at, &say).await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_key_and_a_foreign_one_is_not_touched() {
    let Some(double) = Double::start() else { return };
    let at = Address::MachineKey;
    let faults = serde_json::json!([{"action": "ImportKeyPair", "nth": 1, "do": "lose"}]);
    double.faults(faults).await;
    let made = double.aws.ensure(&owner(), &at, &spec(), &say).await.unwrap();
    assert_eq!(double.only("keys")["id"], made.id.as_str());

    // The same name, another environment's.
    tag(&double, &made.id, "provision:lineage", stranger().lineage.as_str()).await;
    let error = double.aws.ensure(&owner(), &at, &spec(), &say).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "failed to import the key pair `demo-01234567`: {} has this name and is not ours",
            made.id
        )
    );
    assert!(error.remedy.unwrap().contains("aws ec2 delete-key-pair"));
    double
        .aws
        .remove(&recorded(at, &made.id), &Address::MachineKey, &say)
        .await
        .unwrap();
    assert_eq!(double.only("keys")["id"], made.id.as_str());
    assert!(KEY.ends_with("demo@home"));
}
