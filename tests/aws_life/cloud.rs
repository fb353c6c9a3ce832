//! Doubles of the cloud: several side by side, each for one test at a time, emptied in between.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::harness::OPERATOR;
use super::scenarios::http;

pub const REGION: &str = "eu-central-1";
/// A double, and what looks at it from outside.
pub struct Cloud {
    _children: [Child; 2],
    watcher: (ChildStdin, BufReader<ChildStdout>),
    pub endpoint: String,
    direct: String,
    pub access_key: String,
    pub secret_key: String,
    /// The identifier of the hosted zone `example.com`.
    pub zone: String,
}

/// How many scenarios run at once. They wait more than they work.
pub const SIDE_BY_SIDE: usize = 3;

/// What an environment is at first.
pub const FIRST: &str = r#"
domain = "shop.example.com"
ttl    = "8h"

[machine.aws]
region   = "eu-central-1"
size     = "t3.small"
image    = "debian-13"
disk_gib = 12
address  = "static"
tags     = { team = "shop" }

[data]
volume_gib = 10

[access]
ssh_from = ["operator", "203.0.113.0/24"]

[dns]
provider = "route53"

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
    ("t3.small", "t3.medium"),
    ("disk_gib = 12", "disk_gib = 16"),
    ("volume_gib = 10", "volume_gib = 20"),
    ("team = \"shop\"", "owner = \"ops\""),
    ("203.0.113.0/24", "198.51.100.0/24"),
    ("\"8h\"", "\"9h\""),
];

/// What only a new machine can have.
pub const REPLACEMENT: &[(&str, &str)] = &[("debian-13", "debian-12")];

/// The variables whose values nobody may ever be told.
pub const SECRETS: &[&str] = &["AWS_SECRET_ACCESS_KEY"];

/// Calls that are refused for a while because there are too many.
pub const THROTTLED: &[&str] = &["DescribeInstances", "RunInstances", "ChangeResourceRecordSets"];

/// Calls whose effect is not seen for a moment.
pub const HIDDEN: &[&str] = &[
    "ImportKeyPair",
    "CreateSecurityGroup",
    "RunInstances",
    "CreateVolume",
    "AllocateAddress",
];

impl Cloud {
    pub fn start() -> Self {
        // Before a policy is put, everything is allowed.
        let mut double = Command::new(tool("double"))
            .arg("--authorize")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(double.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let word = |name: &str| ready[name].as_str().unwrap().to_owned();
        let mut watcher = Command::new(tool("look"))
            .args(["-", "--region", REGION])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let asks = watcher.stdin.take().unwrap();
        let answers = BufReader::new(watcher.stdout.take().unwrap());
        Self {
            _children: [double, watcher],
            watcher: (asks, answers),
            endpoint: word("endpoint"),
            direct: word("direct"),
            access_key: word("access_key"),
            secret_key: word("secret_key"),
            zone: String::new(),
        }
    }

    /// As it was at first, with a hosted zone.
    pub fn empty(&mut self) {
        self.reset();
        self.outside("POST", "/moto-api/reset", "", "");
        self.account(json!({
            "default_vpc": true, "full_zones": [], "spot_capacity": true, "address_limit": 5, "expired": false,
            "vcpu_limit": null
        }));
        self.policy(&json!({
            "Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}
        }));
        let body = "<CreateHostedZoneRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
             <CallerReference>life</CallerReference><Name>example.com</Name></CreateHostedZoneRequest>";
        let made = self.outside("POST", "/2013-04-01/hostedzone", "route53", body);
        let (_, rest) = made.split_once("<Id>/hostedzone/").unwrap();
        rest.split_once('<').unwrap().0.clone_into(&mut self.zone);
    }

    /// What the program has to find in its environment.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_ACCESS_KEY_ID", self.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret_key.clone()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// What is there, without what is different at each look; and words in it that are different each time.
    pub fn account_now(&mut self) -> (Value, Vec<(String, &'static str)>) {
        let mut seen = self.look();
        let elastic = seen["addresses"][0]["ip"].as_str().unwrap_or("none").to_owned();
        // What was terminated is shown for a while and is nothing any more.
        let instances = seen["instances"].as_array_mut().unwrap();
        instances.retain(|instance| instance["state"] != "terminated");
        // Port 22 is open for the caller while it is at the host.
        for group in seen["security_groups"].as_array_mut().unwrap() {
            for list in ["in", "in_descriptions"] {
                let entries = group[list].as_array_mut().unwrap();
                entries.retain(|entry| !is_operators(entry.as_str().unwrap()));
            }
        }
        (
            seen,
            vec![(self.zone.clone(), "(zone)"), (elastic, "(elastic address)")],
        )
    }

    /// What is there that costs or blocks something.
    pub fn left(&mut self) -> Vec<Value> {
        let seen = self.look();
        let mut left = Vec::new();
        for (kind, things) in seen.as_object().unwrap() {
            for thing in things.as_array().unwrap() {
                match kind.as_str() {
                    "zones" => left.extend(thing["records"].as_array().unwrap().iter().cloned()),
                    "instances" if thing["state"] == "terminated" => {}
                    _ => left.push(thing.clone()),
                }
            }
        }
        left
    }

    /// In how many ways port 22 is open for a caller.
    pub fn open_for_callers(&mut self) -> usize {
        let seen = self.look();
        let rules = seen["security_groups"][0]["in"].as_array().unwrap();
        let open = rules.iter().filter(|rule| is_operators(rule.as_str().unwrap()));
        open.count()
    }

    /// Everything in the region and in DNS, seen by boto3.
    pub fn look(&mut self) -> Value {
        let (asks, answers) = &mut self.watcher;
        writeln!(asks, "{}", self.direct).unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let mut seen: Value = serde_json::from_str(&line).unwrap();
        let mut region = seen["regions"][REGION].take();
        region["zones"] = seen["zones"].take();
        region
    }

    pub fn faults(&self, rules: &Value) {
        self.control("POST", "faults", rules);
    }

    /// No rules, nothing hidden, an empty log.
    pub fn reset(&self) {
        self.control("POST", "reset", &Value::Null);
    }

    pub fn account(&self, switches: Value) {
        self.control("POST", "account", &switches);
    }

    pub fn policy(&self, document: &Value) {
        self.control("POST", "policy", document);
    }

    /// The calls since the last reset, in order.
    pub fn log(&self) -> Vec<Value> {
        let log = self.control("GET", "log", &Value::Null);
        serde_json::from_str(&log).unwrap()
    }

    /// Whether a call is being held, asked for a moment.
    pub fn is_holding(&self) -> bool {
        let (status, _) = http("GET", &self.endpoint, "/lab/held?timeout=0.05", &[], "");
        status == 200
    }

    /// A call of EC2 or IAM past faults, permissions and log, made by somebody with all rights.
    pub fn somebody(&self, service: &str, call: &str) -> String {
        self.outside("POST", &format!("/?{call}"), service, "")
    }

    /// Changes records of the zone, likewise.
    pub fn change_records(&self, changes: &str) {
        let body = format!(
            "<ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeBatch>\
             <Changes>{changes}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
        );
        let path = format!("/2013-04-01/hostedzone/{}/rrset/", self.zone);
        self.outside("POST", &path, "route53", &body);
    }

    fn control(&self, method: &str, route: &str, body: &Value) -> String {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, answer) = http(method, &self.endpoint, &format!("/lab/{route}"), &[], &text);
        assert_eq!(status, 200, "{route}: {answer}");
        answer
    }

    fn outside(&self, method: &str, path: &str, service: &str, body: &str) -> String {
        let region = if service == "ec2" { REGION } else { "us-east-1" };
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=00",
            self.access_key
        );
        let headers = [("authorization", authorization.as_str())];
        let headers = if service.is_empty() { &[][..] } else { &headers[..] };
        let (status, answer) = http(method, &self.direct, path, headers, body);
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }
}

fn tool(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/aws").join(name)
}

/// Whether a rule, or what is written on it, is there for a caller only.
pub fn is_operators(text: &str) -> bool {
    text.ends_with(OPERATOR) || text.starts_with("provision operator ")
}

/// An availability zone, where a test has to name it.
pub fn zone(letter: char) -> String {
    format!("{REGION}{letter}")
}
