//! What happens to an instance of EC2 alone.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::cloud::{
    Cloud, a_hole_in_the_firewall_is_closed, a_larger_size_keeps_the_data, machine, nothing_is_left,
    the_door_is_shut_behind_every_command, write_environment,
};
use super::double::{Double, tool};
use super::lab::{Lab, text, until};
use super::life::{Place, edit, only_the_edge_is_public, the_page_is_served, the_row_comes_back};

/// Where everything is.
const REGION: &str = "eu-central-1";

/// The lab's double of AWS.
pub struct Aws(Double);

impl Cloud for Aws {
    const MACHINE: &'static str = "[machine.aws]\nregion = \"eu-central-1\"\nimage = \"debian-13\"\ndisk_gib = 12";
    const SIZES: (&'static str, &'static str) = ("t3.small", "t3.medium");

    fn start(images: &Path, image: &Path) -> Option<Self> {
        Double::start(images, image, "aws").map(Self)
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let of = |name| self.0.word(name).to_owned();
        vec![
            ("AWS_ENDPOINT_URL", of("endpoint")),
            ("AWS_ACCESS_KEY_ID", of("access_key")),
            ("AWS_SECRET_ACCESS_KEY", of("secret_key")),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    fn machines(&self) -> Vec<(String, String)> {
        let word = |thing: &Value, name: &str| thing[name].as_str().unwrap().to_owned();
        let living = self.instances();
        living.iter().map(|one| (word(one, "id"), word(one, "type"))).collect()
    }

    fn rules(&self) -> String {
        self.look()["security_groups"].to_string()
    }

    fn open_a_hole(&self) {
        self.somebody(
            "group = [g for g in ec2.describe_security_groups()['SecurityGroups'] if g['GroupName'] != 'default'][0]['GroupId']\n\
             ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{'IpProtocol': 'tcp', 'FromPort': 5432, \
             'ToPort': 5432, 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}])",
        );
    }

    fn network(&self) -> i32 {
        self.0.network()
    }

    fn left(&self) -> Vec<String> {
        let look = self.look();
        let kinds = ["volumes", "addresses", "security_groups", "keys", "snapshots"];
        let all = kinds.iter().flat_map(|kind| look[*kind].as_array().unwrap());
        all.map(Value::to_string).collect()
    }
}

impl Aws {
    /// What is in the region, seen from outside.
    fn look(&self) -> Value {
        let output = Command::new(tool("aws", "look"))
            .args([self.0.word("direct"), "--region", REGION])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let everything: Value = serde_json::from_slice(&output.stdout).unwrap();
        everything["regions"][REGION].clone()
    }

    /// Somebody else at work: Python with `ec2`, a boto3 client.
    fn somebody(&self, script: &str) {
        let head = format!(
            "import boto3\nec2 = boto3.client('ec2', region_name='{REGION}', endpoint_url='{}', aws_access_key_id='{}', \
             aws_secret_access_key='{}')\n",
            self.0.word("direct"),
            self.0.word("access_key"),
            self.0.word("secret_key")
        );
        let mut child = Command::new(&self.0.python)
            .arg("-")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(format!("{head}{script}\n").as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success(), "{script}");
    }

    fn instances(&self) -> Vec<Value> {
        let look = self.look();
        let all = look["instances"].as_array().unwrap().iter();
        all.filter(|instance| instance["state"] != "terminated")
            .cloned()
            .collect()
    }
}

impl Place for Aws {
    fn write(&self, lab: &Lab) {
        write_environment(lab, self);
    }

    fn is_as_asked_for(&self, lab: &Lab) {
        the_page_is_served(lab);
        only_the_edge_is_public(lab);
        the_door_is_shut_behind_every_command(lab, self);
        everything_is_tagged(lab, self);
    }

    fn days(&self, lab: &Lab) {
        a_hole_in_the_firewall_is_closed(lab, self);
        a_larger_size_keeps_the_data(lab, self);
        another_image_keeps_data_and_address(lab, self);
        an_end_can_be_put_off(lab, self);
    }

    fn end(&self, lab: &Lab) {
        at_its_end_it_takes_itself_down_and_the_rest_is_swept(lab, self);
    }
}

fn everything_is_tagged(lab: &Lab, cloud: &Aws) {
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

fn another_image_keeps_data_and_address(lab: &Lab, cloud: &Aws) {
    let (before, address) = (machine(cloud).0, lab.output("address"));
    let certificates = served_certificates(lab);
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
    assert_ne!(machine(cloud).0, before, "another machine");
    assert_eq!(lab.output("address"), address, "the elastic address moves with it");
    the_row_comes_back(lab);
    // They lie on the data volume: neither is made anew, and nobody has to trust another authority.
    assert_eq!(served_certificates(lab), certificates);
    lab.is_settled();
}

/// The authority's certificate as the state knows it, and serial number and fingerprint of the one that the edge serves.
fn served_certificates(lab: &Lab) -> (String, String) {
    let authority = std::fs::read_to_string(lab.output("ca_certificate")).unwrap();
    let address = lab.output("address");
    let ask = "openssl s_client -connect \"$0:443\" </dev/null 2>/dev/null | openssl x509 -noout -serial -fingerprint -sha256";
    let output = Command::new("sh").args(["-c", ask, &address]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    (authority, String::from_utf8_lossy(&output.stdout).into_owned())
}

fn an_end_can_be_put_off(lab: &Lab, cloud: &Aws) {
    let before = lab.output("expires");
    let said = lab.ok(&["extend", lab.name, "2h"]);
    let after = lab.output("expires");
    assert!(
        after > before && said.contains(&format!("now ends {after} (in ")),
        "{before} {said}"
    );
    assert!(lab.ok(&["status", lab.name]).contains(&format!("ends: {after} (in ")));
    assert_eq!(cloud.instances()[0]["tags"]["provision:expires"], after.as_str());
    let timer =
        "systemctl is-active provision-ttl.timer && systemctl show --value -p TimersCalendar provision-ttl.timer";
    let told = lab.on_host(timer);
    let day = after.split_once('T').unwrap().0;
    assert!(told.starts_with("active\n") && told.contains(day), "{told}");
    lab.is_settled();
}

/// Its time is up: on the host, whose own service turns it off then, and as it is marked, which `gc` goes by.
fn at_its_end_it_takes_itself_down_and_the_rest_is_swept(lab: &Lab, cloud: &Aws) {
    lab.on_host("echo 1767225600 | sudo tee /var/lib/provision/expires && sudo systemctl start --no-block provision-ttl.service");
    until("the machine to take itself down", Duration::from_secs(240), || {
        cloud.machines().is_empty()
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
