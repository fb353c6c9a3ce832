//! What happens to an environment on EC2, in order.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::cloud::{Cloud, REGION};
use super::lab::{Lab, reaches, until};
use super::story::{
    a_second_apply_touches_nothing, drift_is_seen_and_repaired, edit, only_the_edge_is_public, the_page_is_served,
    the_row_is_there,
};

/// The whole life of an instance.
pub fn tell(lab: &Lab, cloud: &Cloud) {
    write_environment(lab);
    lab.ok(&["apply", lab.name, "--yes"]);
    the_page_is_served(lab);
    only_the_edge_is_public(lab);
    the_door_is_shut_behind_every_command(lab, cloud);
    everything_is_tagged(lab, cloud);
    a_second_apply_touches_nothing(lab);
    drift_is_seen_and_repaired(lab);
    a_hole_in_the_firewall_is_closed(lab, cloud);
    a_larger_size_keeps_the_data(lab, cloud);
    another_image_keeps_data_and_address(lab, cloud);
    an_end_can_be_put_off(lab, cloud);
    at_its_end_it_takes_itself_down_and_the_rest_is_swept(lab, cloud);
}

/// An instance with a data volume and an elastic address that lives for eight hours; the demo's stacks on it.
fn write_environment(lab: &Lab) {
    let text = format!(
        "ttl = \"8h\"\n\n[machine.aws]\nregion = \"{REGION}\"\nsize = \"t3.small\"\nimage = \"debian-13\"\ndisk_gib = 12\n\n\
         [data]\nvolume_gib = 4\n\n[tls]\nmode = \"internal\"\n\n[stacks.postgres]\ndatabases = [\"app\"]\n\n[stacks.demo]\n\n\
         [routes]\n\"/\" = \"web:8000\"\n\n{}",
        lab.archives()
    );
    std::fs::create_dir(lab.path("environments")).unwrap();
    std::fs::write(lab.environment(), text).unwrap();
}

/// Port 22 opens for the caller alone, and only while a command runs.
fn the_door_is_shut_behind_every_command(lab: &Lab, cloud: &Cloud) {
    assert!(
        !reaches(&lab.output("address"), 22),
        "port 22 is open while no command runs"
    );
    let look = cloud.look();
    let rules = look["security_groups"].to_string();
    assert!(!rules.contains("127.0.0.1/32"), "{rules}");
}

fn everything_is_tagged(lab: &Lab, cloud: &Cloud) {
    let lineage = lab.state()["lineage"].clone();
    let look = cloud.look();
    for kind in ["instances", "volumes", "addresses", "security_groups", "keys"] {
        let things = look[kind].as_array().unwrap();
        assert!(!things.is_empty(), "{kind}");
        for thing in things {
            let tags = &thing["tags"];
            assert_eq!(tags["provision:environment"], lab.name, "{thing}");
            assert_eq!(tags["provision:lineage"], lineage, "{thing}");
            assert!(tags["provision:expires"].is_string(), "{thing}");
        }
    }
}

fn a_hole_in_the_firewall_is_closed(lab: &Lab, cloud: &Cloud) {
    cloud.somebody(
        "group = [g for g in ec2.describe_security_groups()['SecurityGroups'] if g['GroupName'] != 'default'][0]['GroupId']\n\
         ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{'IpProtocol': 'tcp', 'FromPort': 5432, \
         'ToPort': 5432, 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}])",
    );
    let plan = lab.fails(2, &["plan", lab.name, "--detailed-exitcode"]);
    assert!(
        plan.contains("~ machine.firewall") && plan.contains("tcp/5432 (drift): 0.0.0.0/0 → (none)"),
        "{plan}"
    );
    lab.ok(&["apply", lab.name, "--yes"]);
    assert!(
        lab.ok(&["plan", lab.name, "--detailed-exitcode"])
            .contains("nothing to do")
    );
}

fn instances(cloud: &Cloud) -> Vec<Value> {
    let look = cloud.look();
    let living = look["instances"].as_array().unwrap().iter();
    living
        .filter(|instance| instance["state"] != "terminated")
        .cloned()
        .collect()
}

/// The one instance that lives.
fn instance(cloud: &Cloud) -> Value {
    let mut living = instances(cloud);
    assert_eq!(living.len(), 1, "{living:?}");
    living.remove(0)
}

fn a_larger_size_keeps_the_data(lab: &Lab, cloud: &Cloud) {
    let (before, address) = (instance(cloud), lab.output("address"));
    edit(lab, "size = \"t3.small\"", "size = \"t3.medium\"");
    let plan = lab.fails(2, &["plan", lab.name, "--detailed-exitcode"]);
    assert!(plan.contains("size: t3.small → t3.medium"), "{plan}");
    lab.ok(&["apply", lab.name, "--yes"]);
    let after = instance(cloud);
    assert_eq!(after["id"], before["id"], "in place");
    assert_eq!(after["type"], "t3.medium");
    assert_eq!(lab.output("address"), address);
    the_row_comes_back(lab);
}

fn another_image_keeps_data_and_address(lab: &Lab, cloud: &Cloud) {
    let (before, address) = (instance(cloud), lab.output("address"));
    edit(lab, "image = \"debian-13\"", "image = \"debian-12\"");
    edit(lab, "ttl = \"8h\"\n", "ttl = \"8h\"\nprotect = true\n");
    let refused = lab.fails(5, &["apply", lab.name, "--yes"]);
    assert!(refused.contains("protect = true"), "{refused}");
    edit(lab, "protect = true\n", "");
    let plan = lab.fails(2, &["plan", lab.name, "--detailed-exitcode"]);
    assert!(
        plan.contains("± machine.instance") && plan.contains("the data volume is kept"),
        "{plan}"
    );
    lab.ok(&["apply", lab.name, "--yes"]);
    assert_ne!(instance(cloud)["id"], before["id"], "another machine");
    assert_eq!(lab.output("address"), address, "the elastic address moves with it");
    the_row_comes_back(lab);
    assert!(lab.ok(&["apply", lab.name, "--yes"]).contains("nothing to do"));
}

fn the_row_comes_back(lab: &Lab) {
    until("the page", Duration::from_secs(180), || {
        let certificate = lab.output("ca_certificate");
        let curl = std::process::Command::new("curl")
            .args(["-sf", "--max-time", "10", "--cacert", &certificate, &lab.output("url")])
            .output();
        curl.is_ok_and(|output| output.status.success())
    });
    assert!(the_row_is_there(lab), "the row outlives it");
}

fn an_end_can_be_put_off(lab: &Lab, cloud: &Cloud) {
    let before = lab.output("expires");
    let said = lab.ok(&["extend", lab.name, "2h"]);
    let after = lab.output("expires");
    assert!(
        after > before && said.contains(&format!("now ends {after} (in ")),
        "{before} {said}"
    );
    assert!(lab.ok(&["status", lab.name]).contains(&format!("ends: {after} (in ")));
    assert_eq!(instance(cloud)["tags"]["provision:expires"], after.as_str());
    let timer =
        "systemctl is-active provision-ttl.timer && systemctl show --value -p TimersCalendar provision-ttl.timer";
    let told = lab.on_host(timer);
    let day = after.split_once('T').unwrap().0;
    assert!(told.starts_with("active\n") && told.contains(day), "{told}");
    assert!(
        lab.ok(&["plan", lab.name, "--detailed-exitcode"])
            .contains("nothing to do")
    );
}

/// Its time is up: on the host, whose own service turns it off then, and as it is marked, which `gc` goes by.
fn at_its_end_it_takes_itself_down_and_the_rest_is_swept(lab: &Lab, cloud: &Cloud) {
    lab.on_host("echo 1767225600 | sudo tee /var/lib/provision/expires && sudo systemctl start --no-block provision-ttl.service");
    until("the machine to take itself down", Duration::from_secs(240), || {
        instances(cloud).is_empty()
    });
    let plan = lab.fails(2, &["plan", lab.name, "--detailed-exitcode"]);
    assert!(plan.contains("the machine that the state knows is gone"), "{plan}");
    cloud.somebody(
        "ids = [tag['ResourceId'] for tag in ec2.describe_tags(Filters=[{'Name': 'key', 'Values': ['provision:expires']}])['Tags']]\n\
         ec2.create_tags(Resources=ids, Tags=[{'Key': 'provision:expires', 'Value': '2026-01-01T00:00:00Z'}])",
    );
    lab.ok(&["gc", "--provider", "aws", "--region", REGION, "--expired", "--yes"]);
    nothing_is_left(lab, cloud);
}

fn nothing_is_left(lab: &Lab, cloud: &Cloud) {
    let look = cloud.look();
    assert_eq!(instances(cloud), Vec::<Value>::new());
    for kind in ["volumes", "addresses", "security_groups", "keys", "snapshots"] {
        let left: BTreeSet<String> = look[kind].as_array().unwrap().iter().map(Value::to_string).collect();
        assert!(left.is_empty(), "{kind}: {left:?}");
    }
    assert!(!lab.path(&format!(".provision/{}", lab.name)).exists(), "no state");
}
