//! What happens to a Droplet alone.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::cloud::{
    Cloud, a_hole_in_the_firewall_is_closed, a_larger_size_keeps_the_data, nothing_is_left,
    the_door_is_shut_behind_every_command, write_environment,
};
use super::double::Double;
use super::everyday::everyday;
use super::lab::Lab;
use super::life::{Place, only_the_edge_is_public, the_page_is_served};

/// What a plan that has nothing to do may ask the account.
const LEAN: usize = 8;

/// The lab's double of DigitalOcean.
pub struct DigitalOcean(Double);

impl Cloud for DigitalOcean {
    const MACHINE: &'static str = "[machine.digitalocean]\nregion = \"fra1\"\nimage = \"debian-13\"\naddress = \"static\"\n\
         project = \"shop\"";
    const SIZES: (&'static str, &'static str) = ("s-2vcpu-2gb", "s-2vcpu-4gb");

    fn start(images: &Path, image: &Path) -> Option<Self> {
        Double::start(images, image, "digitalocean").map(Self)
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DIGITALOCEAN_API_URL", self.0.word("endpoint").to_owned()),
            ("DIGITALOCEAN_TOKEN", self.0.word("token").to_owned()),
        ]
    }

    fn machines(&self) -> Vec<(String, String)> {
        let look = self.look();
        let all = look["droplets"].as_array().unwrap().iter();
        all.map(|one| (one["id"].to_string(), one["size_slug"].as_str().unwrap().to_owned()))
            .collect()
    }

    fn rules(&self) -> String {
        self.look()["firewalls"].to_string()
    }

    fn open_a_hole(&self) {
        let look = self.look();
        let firewall = look["firewalls"][0]["id"].as_str().unwrap();
        let hole = json!({"protocol": "tcp", "ports": "5432", "sources": {"addresses": ["0.0.0.0/0"]}});
        self.lab(
            "somebody",
            Some(&json!({
                "method": "POST", "path": format!("/v2/firewalls/{firewall}/rules"), "body": {"inbound_rules": [hole]}
            })),
        );
    }

    fn network(&self) -> i32 {
        self.0.network()
    }

    fn left(&self) -> Vec<String> {
        let look = self.look();
        let kinds = ["volumes", "firewalls", "reserved_ips", "keys", "tags"];
        let all = kinds.iter().flat_map(|kind| look[*kind].as_array().unwrap());
        // The tag that all environments of an account share stays: another run may be giving it to its machine right now.
        all.filter(|thing| thing["name"] != "provision")
            .map(Value::to_string)
            .collect()
    }
}

impl DigitalOcean {
    /// All that whoever has access to the account can ask for.
    pub fn knows(&self) -> String {
        let everything = self.look().to_string();
        assert!(everything.contains("#cloud-config"), "user-data is part of it");
        everything
    }

    /// All that is in the account. Nobody may have broken the vendor's document until now.
    fn look(&self) -> Value {
        assert_eq!(
            self.lab("violations", None),
            json!([]),
            "the vendor's document says otherwise"
        );
        self.lab("world", None)
    }

    fn lab(&self, route: &str, body: Option<&Value>) -> Value {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "60"]);
        if let Some(body) = body {
            curl.args(["--data", &body.to_string()]);
        }
        let output = curl
            .arg(format!("{}/{route}", self.0.word("control")))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{route}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Place for DigitalOcean {
    fn write(&self, lab: &Lab) {
        write_environment(lab, self);
    }

    fn is_as_asked_for(&self, lab: &Lab) {
        the_page_is_served(lab);
        only_the_edge_is_public(lab);
        the_door_is_shut_behind_every_command(lab, self);
        everything_is_in_its_place(lab, self);
    }

    fn days(&self, lab: &Lab) {
        a_plan_without_changes_is_lean(lab, self);
        everyday(lab, self.network());
        a_hole_in_the_firewall_is_closed(lab, self);
        a_larger_size_keeps_the_data(lab, self);
    }

    fn end(&self, lab: &Lab) {
        lab.ok(&["destroy", lab.name, "--yes"]);
        nothing_is_left(lab, self);
    }
}

/// Found by its tag, behind its firewall, reached at the address that is kept.
fn everything_is_in_its_place(lab: &Lab, cloud: &DigitalOcean) {
    let life = format!("provision:{}", lab.state()["lineage"].as_str().unwrap());
    let look = cloud.look();
    for kind in ["droplets", "volumes"] {
        let tags = look[kind][0]["tags"].as_array().unwrap();
        assert!(tags.contains(&json!(life)), "{kind}: {tags:?}");
    }
    assert_eq!(look["firewalls"][0]["tags"], json!([life]));
    assert_eq!(look["reserved_ips"][0]["ip"], json!(lab.output("address")));
    assert_eq!(
        look["projects"]["shop"].as_array().unwrap().len(),
        3,
        "Droplet, volume, address"
    );
}

fn a_plan_without_changes_is_lean(lab: &Lab, cloud: &DigitalOcean) {
    cloud.lab("reset", Some(&Value::Null));
    let plan = lab.ok(&["plan", lab.name, "--detailed-exitcode"]);
    assert!(plan.contains("nothing to do"), "{plan}");
    let log = cloud.lab("log", None);
    let calls: Vec<&str> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["action"].as_str().unwrap())
        .collect();
    lab.say(&format!("{} calls: {}", calls.len(), calls.join(", ")));
    assert!(calls.len() <= LEAN, "{calls:?}");
}
