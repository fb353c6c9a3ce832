use provision::names::Address;
use serde_json::json;

use crate::parts::{Double, has_our_tags, instance, machine, owner, recorded, say, spec, tag, untag};

#[tokio::test]
async fn an_elastic_ip_lives_as_asked_for() {
    let Some(double) = Double::start() else { return };
    let (owner, at) = (owner(), Address::MachineAddress);
    let ensure = async || double.aws.ensure(&owner, &at, &spec(), &say).await;
    let error = ensure().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to put the elastic IP on the machine: there is no instance"
    );

    let (machine_id, _) = machine(&double, &owner).await;
    let made = ensure().await.unwrap();
    assert_eq!(made.attributes, spec().parts()[&at]);
    let seen = double.only("addresses");
    assert_eq!(seen["id"], made.id.as_str());
    assert_eq!(seen["ip"], made.facts["address"].as_str());
    assert_eq!(seen["instance"], machine_id.as_str());
    has_our_tags(&seen, "machine.address");

    double.reset().await;
    assert_eq!(ensure().await.unwrap(), made);
    assert_eq!(double.calls().await, ["DescribeInstances", "DescribeAddresses"]);
    assert_eq!(double.aws.observe(&owner).await.unwrap().parts[&at], made);

    // Drift: put on another machine, tags.
    let (other, _) = instance(&double, &[("Name", "somebody's")]).await;
    let move_it = double
        .somebody
        .associate_address()
        .allocation_id(&made.id)
        .instance_id(&other);
    move_it.allow_reassociation(true).send().await.unwrap();
    tag(&double, &made.id, "team", "else").await;
    let seen = double.aws.observe(&owner).await.unwrap().parts.remove(&at).unwrap();
    assert_eq!(seen.attributes["attached_to"], other);
    assert_eq!(ensure().await.unwrap(), made);
    assert_eq!(double.only("addresses")["instance"], machine_id.as_str());
    untag(&double, &made.id, "provision:lineage").await;
    let known = recorded(at.clone(), &made.id);
    assert_eq!(double.aws.ensure(&known, &at, &spec(), &say).await.unwrap(), made);
    has_our_tags(&double.only("addresses"), "machine.address");

    // A replaced machine has the same one.
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
    assert_eq!(ensure().await.unwrap(), made);
    assert_eq!(double.only("addresses")["instance"], machine_id.as_str());

    double.aws.remove(&owner, &at, &say).await.unwrap();
    assert!(double.all("addresses").is_empty());
    double.aws.remove(&owner, &at, &say).await.unwrap();
}

#[tokio::test]
async fn two_addresses_of_ours_become_one() {
    let Some(double) = Double::start() else { return };
    let (owner, at) = (owner(), Address::MachineAddress);
    machine(&double, &owner).await;
    // The answer is lost, and the SDK makes the call again: there are two now, for a moment.
    double
        .faults(json!([{"action": "AllocateAddress", "do": "lose"}, {"action": "AssociateAddress", "do": "lose"}]))
        .await;
    let made = double.aws.ensure(&owner, &at, &spec(), &say).await.unwrap();
    let again = double.aws.ensure(&owner, &at, &spec(), &say).await.unwrap();
    assert_eq!(again, made);
    assert_eq!(double.only("addresses")["id"], made.id.as_str());

    double.aws.remove(&owner, &at, &say).await.unwrap();
    double.account(json!({"address_limit": 0})).await;
    let error = double.aws.ensure(&owner, &at, &spec(), &say).await.unwrap_err();
    assert!(error.remedy.unwrap().contains("Elastic IPs"));
}
