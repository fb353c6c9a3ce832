//! The double of DigitalOcean, and all that its suite has of its own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::scenarios::http;

/// How many scenarios run at once. They wait more than they work.
pub const SIDE_BY_SIDE: usize = 10;

/// What an environment is at first.
pub const FIRST: &str = r#"
domain = "shop.example.com"
ttl    = "8h"

[machine.digitalocean]
region  = "fra1"
size    = "s-1vcpu-2gb"
image   = "debian-13"
address = "static"
project = "shop"
tags    = ["team:shop"]

[data]
volume_gib = 10

[access]
ssh_from = ["operator", "203.0.113.0/24"]

[dns]
provider = "digitalocean"

[tls]
mode = "internal"

[stacks.postgres]
databases = ["app"]

[stacks.demo]

[routes]
"/" = "web:8000"
"#;

/// Everything that can be changed in place.
pub const CHANGES: &[(&str, &str)] = &[
    ("s-1vcpu-2gb", "s-2vcpu-4gb"),
    ("volume_gib = 10", "volume_gib = 20"),
    ("team:shop\"]", "owner:ops\"]\nbackups = true"),
    ("203.0.113.0/24", "198.51.100.0/24"),
    ("\"8h\"", "\"9h\""),
];

/// What only a new machine can have.
pub const REPLACEMENT: &[(&str, &str)] = &[("debian-13", "debian-12")];

/// The variables whose values nobody may ever be told.
pub const SECRETS: &[&str] = &["DIGITALOCEAN_TOKEN"];

/// Calls that are refused for a while because there are too many.
pub const THROTTLED: &[&str] = &["droplets_list", "droplets_create", "domains_create_record"];

/// Calls whose effect is not seen for a moment.
pub const HIDDEN: &[&str] = &[
    "sshKeys_create",
    "firewalls_create",
    "droplets_create",
    "volumes_create",
];

/// A double.
pub struct Cloud {
    _child: Child,
    pub endpoint: String,
    pub token: String,
}

impl Cloud {
    pub fn start() -> Self {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/digitalocean/double");
        let mut child = Command::new(tool)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let word = |name: &str| ready[name].as_str().unwrap().to_owned();
        Self {
            _child: child,
            endpoint: word("endpoint"),
            token: word("token"),
        }
    }

    /// As it was at first, with a domain.
    pub fn empty(&mut self) {
        self.reset();
        self.lab("POST", "empty", &Value::Null);
        self.account(json!({"action_seconds": 0.06}));
        self.somebody("POST", "domains", &json!({"name": "example.com"}));
    }

    /// What the program has to find in its environment.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DIGITALOCEAN_API_URL", self.endpoint.clone()),
            ("DIGITALOCEAN_TOKEN", self.token.clone()),
        ]
    }

    /// Everything in the account, seen from outside. Nobody may have broken the contract until now.
    pub fn look(&mut self) -> Value {
        let violations = self.lab("GET", "violations", &Value::Null);
        assert_eq!(violations, json!([]), "the vendor's document says otherwise");
        self.lab("GET", "world", &Value::Null)
    }

    /// What is there, without what is different at each look; and words in it that are different each time.
    pub fn account_now(&mut self) -> (Value, Vec<(String, &'static str)>) {
        let mut seen = self.look();
        let fixed = seen["reserved_ips"][0]["ip"].as_str().unwrap_or("none").to_owned();
        let list = |kind: &str, seen: &mut Value, change: &dyn Fn(&mut Value) -> bool| {
            seen[kind].as_array_mut().unwrap().retain_mut(|thing| change(thing));
        };
        let plain_tags = |thing: &mut Value| {
            for tag in thing["tags"].as_array_mut().into_iter().flatten() {
                let text = tag.as_str().unwrap_or_default().to_owned();
                if let Some((before, _)) = text.split_once(":expires:") {
                    *tag = json!(format!("{before}:expires"));
                }
            }
            true
        };
        for kind in ["droplets", "volumes"] {
            list(kind, &mut seen, &plain_tags);
        }
        list("droplets", &mut seen, &|droplet| {
            // The keys of a life are its own. What callers have open is open while they are at the host.
            droplet["user_data"].take();
            droplet["firewalls"]
                .as_array_mut()
                .unwrap()
                .retain(|name| !is_of_a_run(name));
            true
        });
        list("firewalls", &mut seen, &|firewall| {
            // Whether its rules are in force yet.
            for now in ["status", "pending_changes"] {
                firewall[now].take();
            }
            !is_of_a_run(&firewall["name"])
        });
        // A tag that nothing bears says something only where it is the mark of an address.
        list("tags", &mut seen, &|tag| {
            let name = tag["name"].as_str().unwrap().to_owned();
            tag["name"] = json!(name.split_once(":expires:").map_or(name.as_str(), |(before, _)| before));
            tag["resources"]["count"] != 0 || name.contains(":address:")
        });
        seen.as_object_mut().unwrap().remove("vpcs");
        for things in seen["projects"].as_object_mut().unwrap().values_mut() {
            for urn in things.as_array_mut().unwrap() {
                let kind = urn.as_str().unwrap().rsplit_once(':').unwrap().0.to_owned();
                *urn = json!(kind);
            }
        }
        let written = fixed.replace('.', "_");
        let mut known = vec![(fixed, "(fixed)"), (written, "(fixed)")];
        // A project is marked by its identifier, which each account has of its own.
        let tags = seen["tags"].as_array().unwrap().iter();
        let marked = tags.filter_map(|tag| tag["name"].as_str()?.split_once(":project:"));
        known.extend(marked.filter_map(|(_, mark)| Some((mark.split_once(':')?.0.to_owned(), "(project)"))));
        (seen, known)
    }

    /// What is there that costs or blocks something.
    pub fn left(&mut self) -> Vec<Value> {
        let seen = self.look();
        let mut left = Vec::new();
        for kind in ["droplets", "volumes", "firewalls", "reserved_ips", "keys"] {
            left.extend(seen[kind].as_array().unwrap().iter().cloned());
        }
        let tags = seen["tags"].as_array().unwrap().iter();
        left.extend(
            tags.filter(|tag| tag["name"].as_str().unwrap().starts_with("provision:"))
                .cloned(),
        );
        let records = seen["domains"]["example.com"].as_array().unwrap().iter();
        left.extend(records.filter(|record| record["type"] != "NS").cloned());
        left
    }

    /// In how many ways port 22 is open for a caller.
    pub fn open_for_callers(&mut self) -> usize {
        let seen = self.look();
        let firewalls = seen["firewalls"].as_array().unwrap().iter();
        firewalls.filter(|firewall| is_of_a_run(&firewall["name"])).count()
    }

    pub fn faults(&self, rules: &Value) {
        self.lab("POST", "faults", rules);
    }

    /// No rules, nothing hidden, an empty log.
    pub fn reset(&self) {
        self.lab("POST", "reset", &Value::Null);
    }

    pub fn account(&self, switches: Value) {
        self.lab("POST", "account", &switches);
    }

    /// The calls since the last reset, in order.
    pub fn log(&self) -> Vec<Value> {
        self.lab("GET", "log", &Value::Null).as_array().unwrap().clone()
    }

    /// Whether a call is being held, asked for a moment.
    pub fn is_holding(&self) -> bool {
        let (status, _) = http("GET", &self.endpoint, "/lab/held?timeout=0.05", &[], "");
        status == 200
    }

    /// A call of somebody else with rights in the account: past faults and log.
    pub fn somebody(&self, method: &str, path: &str, body: &Value) -> Value {
        let call = json!({"method": method, "path": format!("/v2/{path}"), "body": body});
        self.lab("POST", "somebody", &call)
    }

    fn lab(&self, method: &str, route: &str, body: &Value) -> Value {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, answer) = http(method, &self.endpoint, &format!("/lab/{route}"), &[], &text);
        assert_eq!(status, 200, "{route}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }
}

fn is_of_a_run(name: &Value) -> bool {
    name.as_str().unwrap().starts_with("provision-run.")
}
