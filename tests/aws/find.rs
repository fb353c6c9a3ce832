use provision::names::Address;
use provision::provider::Found;
use serde_json::json;

use crate::parts::{Double, has_our_tags, instance, machine, owner, say, spec, stranger, tag};

async fn all(double: &Double) -> Vec<Found> {
    double.aws.find().await.unwrap()
}

#[tokio::test]
async fn everything_of_ours_is_found_with_age_end_and_price() {
    let Some(double) = Double::start() else { return };
    instance(&double, &[("Name", "somebody's")]).await;
    assert!(all(&double).await.is_empty());

    let owner = owner();
    let (machine_id, _) = machine(&double, &owner).await;
    for at in [
        Address::MachineKey,
        Address::MachineFirewall,
        Address::MachineVolume,
        Address::MachineAddress,
    ] {
        double.aws.ensure(&owner, &at, &spec(), &say).await.unwrap();
    }
    double
        .aws
        .ensure(&stranger(), &Address::MachineKey, &spec(), &say)
        .await
        .unwrap();
    let found = all(&double).await;
    let lines: Vec<String> = found
        .iter()
        .map(|found| {
            let Found {
                address,
                environment,
                created,
                expires,
                monthly,
                ..
            } = found;
            let monthly = monthly.map_or("unknown".to_owned(), |monthly| monthly.to_string());
            format!(
                "{environment} {address} created={} expires={} {monthly}",
                created.is_some(),
                expires.is_some()
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "demo machine.key created=true expires=true 0.00 USD",
            "demo machine.firewall created=false expires=true 0.00 USD",
            "demo machine.volume created=true expires=true 1.90 USD",
            "demo machine.instance created=true expires=false 17.52 USD",
            "demo machine.address created=false expires=true 3.65 USD",
            "other machine.key created=true expires=true 0.00 USD",
        ]
    );
    assert_eq!(found[3].id, machine_id);
    assert_eq!(found[0].lineage, owner.lineage);

    // Prices that cannot be had keep nothing from being found.
    double
        .faults(json!([{"service": "pricing", "nth": "every", "do": "refuse:AccessDeniedException:no"}]))
        .await;
    let found = all(&double).await;
    assert_eq!(found.len(), 6);
    assert_eq!(found[3].monthly, None);

    double
        .somebody
        .terminate_instances()
        .instance_ids(&machine_id)
        .send()
        .await
        .unwrap();
    assert_eq!(all(&double).await.len(), 5);
}

#[tokio::test]
async fn one_thing_is_taken_over() {
    let Some(double) = Double::start() else { return };
    let owner = owner();
    let (machine_id, zone) = instance(&double, &[("team", "shop")]).await;
    double
        .aws
        .adopt(&owner, &Address::MachineInstance, &machine_id)
        .await
        .unwrap();
    let seen = double.only("instances");
    assert_eq!(seen["tags"]["provision:lineage"], owner.lineage.as_str());
    assert_eq!(seen["tags"]["provision:address"], "machine.instance");
    assert_eq!(
        double.only("volumes")["tags"]["provision:address"],
        "machine.instance.root"
    );

    let volume = double
        .somebody
        .create_volume()
        .size(20)
        .encrypted(true)
        .availability_zone(&zone)
        .send()
        .await
        .unwrap();
    let volume = volume.volume_id().unwrap().to_owned();
    let refusals = [
        (Address::MachineVolume, machine_id.as_str(), "that is not a volume"),
        (Address::MachineVolume, "vol-0123456789abcdef0", "it is not there"),
        (Address::MachineKey, "key-0123456789abcdef0", "it is not there"),
        (Address::MachineFirewall, "sg-0123456789abcdef0", "it is not there"),
        (Address::MachineAddress, "eipalloc-0123456789abcdef0", "it is not there"),
        (Address::MachineInstance, "i-0123456789abcdef0", "it is not there"),
        (Address::Edge, "x", "it is nothing that AWS has"),
    ];
    for (at, id, why) in refusals {
        let error = double.aws.adopt(&owner, &at, id).await.unwrap_err();
        assert_eq!(error.to_string(), format!("failed to take over {at} {id}: {why}"));
        assert!(error.remedy.is_some());
    }
    double
        .aws
        .adopt(&owner, &Address::MachineVolume, &volume)
        .await
        .unwrap();
    let error = double
        .aws
        .adopt(&stranger(), &Address::MachineVolume, &volume)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("it belongs to the environment demo"),
        "{error}"
    );
    let data = || {
        double
            .all("volumes")
            .into_iter()
            .find(|seen| seen["id"] == volume.as_str())
            .unwrap()
    };
    assert_eq!(data()["tags"]["provision:encryption"], "default key");
    // It is used from then on, and gets what is missing.
    let part = double
        .aws
        .ensure(&owner, &Address::MachineVolume, &spec(), &say)
        .await
        .unwrap();
    assert_eq!(part.id, volume);
    assert_eq!(part.attributes["attached_to"], "machine.instance");
    assert_eq!(part.attributes, spec().parts()[&Address::MachineVolume]);
    has_our_tags(&data(), "machine.volume");

    tag(&double, &volume, "provision:address", "machine.volume").await;
    let name = double
        .aws
        .adopt(&owner, &Address::Dns("shop.example.com".into()), "Z1")
        .await
        .unwrap_err();
    assert!(name.remedy.unwrap().contains("_provision.shop.example.com"));
}
