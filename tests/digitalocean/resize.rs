//! Changes in place: with a power cycle where the vendor wants one, and nothing that cannot be undone unasked.

use provision::names::Address;
use provision::provider::{InstanceSpec, Power};
use serde_json::json;

use super::double::*;

fn bare(change: impl FnOnce(&mut provision::provider::DigitalOceanShape)) -> InstanceSpec {
    shaped(|shape| {
        shape.static_address = false;
        change(shape);
    })
}

#[tokio::test]
async fn another_size_takes_the_machine_down_and_up() {
    let Some(double) = Double::start() else { return };
    let (cloud, owner) = (double.cloud(), owner(1));
    make(&cloud, &owner, &bare(|_| {}), &quiet).await.unwrap();
    double.reset();
    let large = bare(|shape| shape.size = "s-2vcpu-4gb".into());
    let instance = cloud.resize(&owner, &large, &quiet).await.unwrap();
    assert_eq!(
        (instance.power, instance.attributes["size"].as_str()),
        (Power::On, "s-2vcpu-4gb")
    );
    // The disk stays as it is, so that there is a way back.
    assert_eq!(instance.facts["disk_gib"], "50");
    let asked = double
        .calls()
        .iter()
        .filter(|call| *call == "dropletActions_post")
        .count();
    assert_eq!(asked, 3, "{:?}", double.calls());
    let back = cloud.resize(&owner, &bare(|_| {}), &quiet).await.unwrap();
    assert_eq!(back.attributes["size"], "s-1vcpu-2gb");

    // Asked for, the disk grows too; then there is none.
    let grown = bare(|shape| {
        shape.size = "s-2vcpu-4gb".into();
        shape.grow_disk = true;
    });
    assert_eq!(
        cloud.resize(&owner, &grown, &quiet).await.unwrap().facts["disk_gib"],
        "80"
    );
    let error = cloud.resize(&owner, &bare(|_| {}), &quiet).await.unwrap_err();
    let text = told(&error);
    assert!(
        text.contains("its disk has 80 GiB, that size's has 50, and no disk shrinks"),
        "{text}"
    );
    assert_eq!(double.all("droplets")[0]["status"], "active", "it was not even stopped");
}

#[tokio::test]
async fn a_size_that_is_refused_leaves_the_machine_running() {
    let Some(double) = Double::start() else { return };
    let (cloud, owner) = (double.cloud(), owner(1));
    make(&cloud, &owner, &bare(|_| {}), &quiet).await.unwrap();
    let wrong = |size: &str| bare(|shape| shape.size = size.into());
    for (size, words) in [
        ("c-2", "no disk shrinks"),
        ("s-2vcpu-4g", "did you mean `s-2vcpu-4gb`?"),
    ] {
        let text = told(&cloud.resize(&owner, &wrong(size), &quiet).await.unwrap_err());
        assert!(text.contains(words), "{text}");
    }
    // What only the call itself tells: the third action is the resize.
    double.faults(&json!([{"action": "dropletActions_post", "nth": 2, "do": "refuse:unprocessable_entity:no room for this size"}]));
    let text = told(&cloud.resize(&owner, &wrong("s-2vcpu-4gb"), &quiet).await.unwrap_err());
    assert!(text.contains("no room for this size"), "{text}");
    assert_eq!(double.all("droplets")[0]["status"], "active");
    // Cut off between, the next one goes on.
    double.reset();
    double.somebody(
        "POST",
        &format!("droplets/{}/actions", double.all("droplets")[0]["id"]),
        &json!({"type": "power_off"}),
    );
    let instance = cloud.resize(&owner, &wrong("s-2vcpu-4gb"), &quiet).await.unwrap();
    assert_eq!(
        (instance.power, instance.attributes["size"].as_str()),
        (Power::On, "s-2vcpu-4gb")
    );
}

#[tokio::test]
async fn backups_tags_and_project_change_as_it_runs() {
    let Some(double) = Double::start() else { return };
    let (cloud, owner) = (double.cloud(), owner(1));
    let (_, parts) = make_all(&cloud, &owner, &spec()).await.unwrap();
    let changed = shaped(|shape| {
        shape.backups = true;
        shape.tags = ["team:web".to_owned()].into();
        shape.project = Some("shop".into());
    });
    let instance = cloud.resize(&owner, &changed, &quiet).await.unwrap();
    assert_eq!(instance.attributes["backups"], "yes");
    assert_eq!(instance.attributes["tags"], "team:web");
    assert_eq!(double.look()["projects"]["shop"].as_array().unwrap().len(), 3);
    cloud
        .ensure(&owner, &Address::MachineVolume, &changed, &quiet)
        .await
        .unwrap();
    let volume = cloud.observe(&owner).await.unwrap().parts[&Address::MachineVolume].clone();
    assert_eq!(volume.attributes["tags"], "team:web");
    assert_eq!(volume.id, parts[&Address::MachineVolume].id);
    let instance = cloud.resize(&owner, &spec(), &quiet).await.unwrap();
    assert!(!instance.attributes.contains_key("backups"));

    // Tags that somebody took away come back, and a foreign one goes.
    let id = double.all("droplets")[0]["id"].clone();
    let life = format!("provision:{}", owner.lineage);
    let on = json!({"resources": [{"resource_id": id.to_string(), "resource_type": "droplet"}]});
    double.somebody("DELETE", &format!("tags/{life}/resources"), &on);
    double.somebody("POST", "tags", &json!({"name": "web"}));
    double.somebody("POST", "tags/web/resources", &on);
    let known = knowing(&owner, Address::MachineInstance, &id.to_string());
    let seen = cloud.observe(&known).await.unwrap().instance.unwrap();
    assert_eq!(seen.attributes["tags"], format!("team:shop, web, ({life} is missing)"));
    let mended = cloud.resize(&known, &spec(), &quiet).await.unwrap();
    assert_eq!(mended.attributes["tags"], "team:shop");
    assert_eq!(double.all("droplets")[0]["firewalls"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_volume_grows_and_never_shrinks() {
    let Some(double) = Double::start() else { return };
    let (cloud, owner) = (double.cloud(), owner(1));
    let sized = |gib| InstanceSpec {
        volume_gib: Some(gib),
        ..bare(|_| {})
    };
    make_all(&cloud, &owner, &sized(5)).await.unwrap();
    let part = cloud
        .ensure(&owner, &Address::MachineVolume, &sized(8), &quiet)
        .await
        .unwrap();
    assert_eq!(part.attributes["size_gib"], "8");
    let error = cloud
        .ensure(&owner, &Address::MachineVolume, &sized(5), &quiet)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("from 8 to 5 GiB: no volume shrinks"),
        "{error}"
    );
    // Taken off by somebody, it hangs again.
    let (droplet, volume) = (double.all("droplets")[0]["id"].clone(), part.id.clone());
    let off = json!({"type": "detach", "droplet_id": droplet, "region": "fra1"});
    double.somebody("POST", &format!("volumes/{volume}/actions"), &off);
    let part = cloud
        .ensure(&owner, &Address::MachineVolume, &sized(8), &quiet)
        .await
        .unwrap();
    assert_eq!(part.attributes["attached_to"], "machine.instance");
}

#[tokio::test]
async fn a_newer_image_is_news_and_no_more() {
    let Some(double) = Double::start() else { return };
    let (cloud, owner) = (double.cloud(), owner(1));
    let made = make(&cloud, &owner, &bare(|_| {}), &quiet).await.unwrap();
    assert_eq!(made.facts["image_id"], "195000001");
    double.account(&json!({"newer_images": true}));
    let sight = cloud.observe(&owner).await.unwrap();
    assert_eq!(sight.instance.unwrap().attributes["image"], "debian-13");
    insta::assert_snapshot!(sight.news.join("\n"), @"debian-13 has a newer image, 195000002 of 2026-11-01; the machine has 195000001: `--replace machine.instance` makes it anew from that");
    double.reset();
    let lean = cloud.lean();
    lean.observe(&owner).await.unwrap();
    assert!(!double.calls().contains(&"images_get".to_owned()));
}

#[tokio::test]
async fn a_machine_without_power_is_started() {
    let Some(double) = Double::start() else { return };
    let (cloud, owner) = (double.cloud(), owner(1));
    make(&cloud, &owner, &bare(|_| {}), &quiet).await.unwrap();
    let off = json!({"type": "power_off"});
    double.somebody(
        "POST",
        &format!("droplets/{}/actions", double.all("droplets")[0]["id"]),
        &off,
    );
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    assert_eq!(cloud.observe(&owner).await.unwrap().instance.unwrap().power, Power::Off);
    assert!(!cloud.has_power(&owner).await.unwrap());
    assert_eq!(cloud.start(&owner, &quiet).await.unwrap().power, Power::On);
    assert!(cloud.has_power(&owner).await.unwrap());
    double.reset();
    cloud.start(&owner, &quiet).await.unwrap();
    assert!(!double.calls().contains(&"dropletActions_post".to_owned()));
}
