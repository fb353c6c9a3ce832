//! Doubles of the cloud: several side by side, each for one test at a time, emptied in between.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};

pub const REGION: &str = "eu-central-1";
/// How many scenarios run at once. They wait more than they work.
const SIDE_BY_SIDE: usize = 3;

/// Those that nobody uses now. They end with this process, as it holds their standard input.
static IDLE: Mutex<Vec<Cloud>> = Mutex::new(Vec::new());

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

/// Works all of `scenarios` off, each on an empty account of its own, and then fails with what all of them had to say.
pub fn all<T: Send>(scenarios: Vec<(String, T)>, work: impl Fn(&mut Cloud, T) + Sync) {
    if !lab().join("python").exists() {
        eprintln!("skipped: the lab's Python is not there; `tests/lab/python` makes it");
        return;
    }
    let begun = std::time::Instant::now();
    let count = scenarios.len();
    let queue = Mutex::new(VecDeque::from(scenarios));
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(count) {
            scope.spawn(|| {
                let idle = IDLE.lock().unwrap().pop();
                let mut cloud = idle.unwrap_or_else(Cloud::start);
                loop {
                    let Some((name, scenario)) = queue.lock().unwrap().pop_front() else {
                        break;
                    };
                    cloud.empty();
                    let done = catch_unwind(AssertUnwindSafe(|| work(&mut cloud, scenario)));
                    if let Err(why) = done {
                        let text = why.downcast_ref::<String>().cloned();
                        let text = text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                        failures
                            .lock()
                            .unwrap()
                            .push(format!("{name}: {}", text.unwrap_or_default()));
                    }
                }
                IDLE.lock().unwrap().push(cloud);
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    eprintln!("{count} scenarios in {:.0} s", begun.elapsed().as_secs_f64());
    assert!(
        failures.is_empty(),
        "{} of {count} failed\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

/// One scenario.
pub fn alone(work: impl Fn(&mut Cloud) + Sync) {
    all(vec![("it".to_owned(), ())], |cloud, ()| work(cloud));
}

impl Cloud {
    fn start() -> Self {
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
    fn empty(&mut self) {
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

/// One request. The double speaks plain HTTP and these tests are plain threads.
fn http(method: &str, base: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let host = base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).unwrap();
    // Some answers have no length and end with the connection, others leave it open.
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap().parse().unwrap();
    let mut length = None;
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse::<u64>().ok();
        }
    }
    let mut text = Vec::new();
    match length {
        Some(length) => reader.take(length).read_to_end(&mut text).unwrap(),
        None => reader.read_to_end(&mut text).unwrap(),
    };
    (status, String::from_utf8(text).unwrap())
}

fn tool(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/aws").join(name)
}

fn lab() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let lab = set("PROVISION_LAB_DIR").or_else(|| Some(cache()?.join("provision-lab")));
    lab.unwrap_or_default()
}
