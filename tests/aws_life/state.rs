//! A state that is lost is written again from what there is; what somebody else made is taken over.

use std::collections::BTreeSet;

use serde_json::Value;

use super::cloud::{Cloud, REPLACEMENT};
use super::harness::{Ended, Run, Site, Until};
use super::same::assert_nothing;
use super::scenarios::alone;

const REBUILD: &[&str] = &["state", "rebuild", "shop"];
const ALL: [&str; 6] = [
    "dns.shop.example.com",
    "machine.address",
    "machine.firewall",
    "machine.instance",
    "machine.key",
    "machine.volume",
];

fn run(cloud: &Cloud, site: &Site, args: &[&str]) -> Run {
    site.run(cloud, args, Until::Host)
}

/// Runs it and insists on its exit code.
#[track_caller]
fn ends(cloud: &Cloud, site: &Site, args: &[&str], code: i32) -> Run {
    let run = run(cloud, site, args);
    assert_eq!(run.ended, Ended::Itself(code), "{args:?}: {}", run.said);
    run
}

#[track_caller]
fn says(run: &Run, words: &[&str]) {
    let said = run.said.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in\n{}", run.said);
    }
}

/// The addresses with a step in a plan.
fn planned(run: &Run) -> Vec<String> {
    let lines = run.said.lines().filter_map(|line| {
        let address = line.split_whitespace().nth(1)?;
        let kind = address.split_once('.')?.0;
        ["machine", "dns", "host", "stack", "edge"]
            .contains(&kind)
            .then(|| address.to_owned())
    });
    lines.collect()
}

fn of_machine(run: &Run) -> Vec<String> {
    let mut steps = planned(run);
    steps.retain(|step| step.starts_with("machine.") || step.starts_with("dns."));
    steps
}

fn recorded(site: &Site) -> Vec<String> {
    let state = site.state().unwrap();
    let resources = state["resources"].as_object().unwrap();
    let there = resources.iter().filter(|(address, record)| {
        (address.starts_with("machine.") || address.starts_with("dns.")) && record["status"] == "present"
    });
    there.map(|(address, _)| address.clone()).collect()
}

fn lose(site: &Site, what: &str) {
    let path = site.path(what);
    if path.is_dir() {
        std::fs::remove_dir_all(path).unwrap();
        return;
    }
    std::fs::remove_file(&path).unwrap();
    // The copy of the state before is as lost.
    for entry in std::fs::read_dir(path.parent().unwrap()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("state.json") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
}

fn living(seen: &Value) -> Vec<&Value> {
    let instances = seen["instances"].as_array().unwrap().iter();
    instances.filter(|instance| instance["state"] != "terminated").collect()
}

#[test]
fn a_lost_state_is_written_again() {
    alone(|cloud| {
        let site = Site::new(cloud);
        site.converge(cloud);
        let before = site.state().unwrap();
        let refused = ends(cloud, &site, REBUILD, 3);
        says(&refused, &["has a state that reads well"]);

        lose(&site, ".provision/shop/state.json");
        let nothing = ends(cloud, &site, &["destroy", "shop", "--yes"], 0);
        says(&nothing, &["there is no state of `shop`", "state rebuild"]);
        let told = ends(cloud, &site, REBUILD, 0);
        says(&told, &ALL);
        assert_eq!(recorded(&site), ALL);
        let after = site.state().unwrap();
        assert_eq!(after["lineage"], before["lineage"]);
        for address in ALL {
            let (before, after) = (&before["resources"][address], &after["resources"][address]);
            for what in ["id", "attributes"] {
                assert_eq!(before[what], after[what], "{address} {what}");
            }
        }
        assert_eq!(
            before["resources"]["machine.instance"]["facts"]["generation"],
            after["resources"]["machine.instance"]["facts"]["generation"]
        );
        let plan = ends(cloud, &site, &["plan", "shop"], 0);
        assert_eq!(of_machine(&plan), Vec::<String>::new(), "{}", plan.said);
        assert!(planned(&plan).contains(&"host.identity".to_owned()), "{}", plan.said);

        // A replacement needs to know the how-manieth machine it is: a token is good for one.
        site.edit(REPLACEMENT);
        let first = living(&cloud.look())[0]["id"].clone();
        site.converge(cloud);
        lose(&site, ".provision/shop/state.json");
        ends(cloud, &site, REBUILD, 0);
        let plan = ends(cloud, &site, &["plan", "shop"], 0);
        assert_eq!(of_machine(&plan), Vec::<String>::new(), "{}", plan.said);
        site.edit(&[("debian-12", "debian-13")]);
        site.converge(cloud);
        let seen = cloud.look();
        let machines = living(&seen);
        assert_eq!(machines.len(), 1, "{machines:#?}");
        assert_ne!(machines[0]["id"], first);
        let state = site.state().unwrap();
        assert_eq!(state["resources"]["machine.instance"]["facts"]["generation"], "3");

        // The file may have lost its names meanwhile: they go all the same.
        lose(&site, ".provision/shop/state.json");
        site.edit(&[("\"/\" = \"web:8000\"", "\"www.example.com/\" = \"web:8000\"")]);
        ends(cloud, &site, REBUILD, 0);
        assert!(recorded(&site).contains(&"dns.shop.example.com".to_owned()));
        ends(cloud, &site, &["destroy", "shop", "--yes"], 0);
        assert_nothing(cloud, "destroyed from a state written anew");
    });
}

#[test]
fn a_damaged_state_is_kept_beside_the_new_one() {
    alone(|cloud| {
        let site = Site::new(cloud);
        site.converge(cloud);
        std::fs::write(site.path(".provision/shop/state.json"), "{ half a st").unwrap();
        let told = ends(cloud, &site, REBUILD, 0);
        says(&told, &["the damaged state is kept as"]);
        assert_eq!(recorded(&site), ALL);
        ends(cloud, &site, &["destroy", "shop", "--yes"], 0);
        assert_nothing(cloud, "destroyed");
    });
}

#[test]
fn with_the_keys_lost_too_it_is_said_and_destroy_works() {
    alone(|cloud| {
        let site = Site::new(cloud);
        site.converge(cloud);
        lose(&site, ".provision/shop");
        let told = ends(cloud, &site, REBUILD, 0);
        says(
            &told,
            &["the keys and generated secrets are lost", "destroy is what is left"],
        );
        assert_eq!(recorded(&site), ALL);
        ends(cloud, &site, &["plan", "shop"], 0);
        ends(cloud, &site, &["destroy", "shop", "--yes"], 0);
        assert_nothing(cloud, "destroyed without its keys");
        let nothing = ends(cloud, &site, REBUILD, 3);
        says(&nothing, &["nothing of `shop` is found"]);
    });
}

#[test]
fn of_two_lives_of_one_name_one_has_to_be_named() {
    alone(|cloud| {
        let (site, other) = (Site::new(cloud), Site::new(cloud));
        // One name can be of one life only.
        other.edit(&[("shop.example.com", "other.example.com")]);
        site.converge(cloud);
        other.converge(cloud);
        let lineage = |site: &Site| site.state().unwrap()["lineage"].as_str().unwrap().to_owned();
        let (ours, theirs) = (lineage(&site), lineage(&other));
        lose(&site, ".provision/shop/state.json");
        let refused = ends(cloud, &site, REBUILD, 3);
        says(
            &refused,
            &[
                "was made more than once",
                &ours,
                &theirs,
                "machine.instance",
                "--lineage",
            ],
        );
        let unknown = "0123456789abcdef0123456789abcdef";
        let refused = ends(cloud, &site, &["state", "rebuild", "shop", "--lineage", unknown], 3);
        says(&refused, &["has no life", unknown, &ours, &theirs]);
        ends(cloud, &site, &["state", "rebuild", "shop", "--lineage", &ours], 0);
        assert_eq!(lineage(&site), ours);
        assert_eq!(recorded(&site), ALL);
        ends(cloud, &site, &["destroy", "shop", "--yes"], 0);
        let seen = cloud.look();
        let left: BTreeSet<&str> = living(&seen)
            .iter()
            .map(|machine| machine["tags"]["provision:lineage"].as_str().unwrap())
            .collect();
        assert_eq!(left, BTreeSet::from([theirs.as_str()]));
        ends(cloud, &other, &["destroy", "shop", "--yes"], 0);
        assert_nothing(cloud, "both are destroyed");
    });
}

/// What stands between two marks of an answer.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap();
    rest.split_once(after).unwrap().0
}

#[test]
fn what_was_made_by_hand_is_taken_over() {
    alone(|cloud| {
        let site = Site::new(cloud);
        let make = |call: &str, name: &str| {
            let answer = cloud.somebody("ec2", call);
            between(&answer, &format!("<{name}>"), &format!("</{name}>")).to_owned()
        };
        let elastic = make("Action=AllocateAddress&Domain=vpc", "allocationId");
        let volume = make(
            "Action=CreateVolume&AvailabilityZone=eu-central-1a&Size=10&VolumeType=gp3&Encrypted=true",
            "volumeId",
        );
        let group = make(
            "Action=CreateSecurityGroup&GroupName=hand&GroupDescription=made+by+hand",
            "groupId",
        );
        let import =
            |address: &str, id: &str, code| ends(cloud, &site, &["state", "import", "shop", address, id], code);

        import("machine.address", &elastic, 0);
        import("machine.volume", &volume, 0);
        import("machine.firewall", &group, 0);
        // Once more is no harm; another one in its place is refused.
        import("machine.volume", &volume, 0);
        let second = make("Action=AllocateAddress&Domain=vpc", "allocationId");
        says(&import("machine.address", &second, 3), &["already", &elastic]);

        // Of another kind, not there, nobody's to take.
        says(&import("machine.key", &second, 1), &["that is not a key pair", "key-"]);
        says(
            &import("machine.instance", "i-0123456789abcdef0", 1),
            &["it is not there"],
        );
        says(&import("host.base", "x", 3), &["is nothing that a provider has"]);
        says(
            &import("dns.shop.example.com", "x", 1),
            &["_provision.shop.example.com", "lineage="],
        );
        let theirs = make(
            "Action=ImportKeyPair&KeyName=theirs&PublicKeyMaterial=c3NoLWVkMjU1MTkgQUFBQUMzTnphQzFsWkRJMU5URTVBQUFBSUFQbUF2MEtrS2I5bEQyZVpHVkZ2NHVmRmVxVWFkZG1iMG9vWDlKUlBRZ3U%3D",
            "keyPairId",
        );
        says(&import("machine.key", &theirs, 1), &["its name is theirs"]);

        let seen = cloud.look();
        let lineage = site.state().unwrap()["lineage"].clone();
        for (kind, id, address) in [
            ("addresses", &elastic, "machine.address"),
            ("volumes", &volume, "machine.volume"),
            ("security_groups", &group, "machine.firewall"),
        ] {
            let thing = seen[kind]
                .as_array()
                .unwrap()
                .iter()
                .find(|thing| thing["id"] == **id)
                .unwrap();
            assert_eq!(thing["tags"]["provision:lineage"], lineage, "{thing}");
            assert_eq!(thing["tags"]["provision:address"], address, "{thing}");
            assert_eq!(thing["tags"]["provision:environment"], "shop", "{thing}");
        }

        // They serve the machine that is made for them.
        site.converge(cloud);
        let seen = cloud.look();
        let machine = living(&seen)[0]["id"].clone();
        assert_eq!(living(&seen)[0]["groups"], serde_json::json!([group]));
        let of = |kind: &str, id: &str| {
            let things = seen[kind].as_array().unwrap().iter();
            things.filter(|thing| thing["id"] == id).count()
        };
        assert_eq!((of("addresses", &elastic), of("volumes", &volume)), (1, 1));
        let hangs = |kind: &str, id: &str| {
            let things = seen[kind].as_array().unwrap().iter();
            things
                .clone()
                .any(|thing| thing["id"] == id && thing["instance"] == machine)
        };
        assert!(hangs("addresses", &elastic) && hangs("volumes", &volume), "{seen:#}");
        let plan = ends(cloud, &site, &["plan", "shop"], 0);
        assert_eq!(of_machine(&plan), Vec::<String>::new(), "{}", plan.said);

        // Another life's is not to be had, also with everything it is made of.
        let other = Site::new(cloud);
        other.edit(&[("shop.example.com", "other.example.com")]);
        let id = machine.as_str().unwrap();
        let refused = ends(cloud, &other, &["state", "import", "shop", "machine.instance", id], 1);
        says(
            &refused,
            &["it belongs to the environment shop", lineage.as_str().unwrap()],
        );

        ends(cloud, &site, &["destroy", "shop", "--yes"], 0);
        cloud.somebody("ec2", &format!("Action=ReleaseAddress&AllocationId={second}"));
        cloud.somebody("ec2", &format!("Action=DeleteKeyPair&KeyPairId={theirs}"));
        assert_nothing(cloud, "what was taken over went with it");
    });
}

#[test]
fn a_machine_that_was_made_by_hand_is_taken_over() {
    alone(|cloud| {
        let site = Site::new(cloud);
        let images = cloud.somebody(
            "ec2",
            "Action=DescribeImages&Owner.1=136693071363&Filter.1.Name=name&Filter.1.Value.1=debian-13-amd64-*",
        );
        let image = between(&images, "<imageId>", "</imageId>");
        let made = cloud.somebody(
            "ec2",
            &format!("Action=RunInstances&ImageId={image}&InstanceType=t3.small&MinCount=1&MaxCount=1"),
        );
        let id = between(&made, "<instanceId>", "</instanceId>");
        ends(cloud, &site, &["state", "import", "shop", "machine.instance", id], 0);
        let seen = cloud.look();
        let lineage = site.state().unwrap()["lineage"].clone();
        let machine = living(&seen)[0];
        assert_eq!(machine["tags"]["provision:lineage"], lineage);
        let root = machine["devices"][machine["root_device"].as_str().unwrap()]["volume"].clone();
        let volumes = seen["volumes"].as_array().unwrap();
        let root = volumes.iter().find(|volume| volume["id"] == root).unwrap();
        assert_eq!(root["tags"]["provision:address"], "machine.instance.root");

        // A state that is lost right after knows as much.
        lose(&site, ".provision/shop/state.json");
        ends(cloud, &site, REBUILD, 0);
        assert_eq!(recorded(&site), ["machine.instance"]);
        let plan = ends(cloud, &site, &["plan", "shop"], 0);
        assert!(
            of_machine(&plan).contains(&"machine.instance".to_owned()),
            "{}",
            plan.said
        );
        ends(cloud, &site, &["destroy", "shop", "--yes"], 0);
        assert_nothing(cloud, "a machine that was taken over");
    });
}
