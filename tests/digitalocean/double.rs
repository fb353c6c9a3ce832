//! The lab's double of DigitalOcean for one test, and what all tests of the provider start from.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use provision::names::{Address, Lineage};
use provision::note::{Note, Say};
use provision::provider::digitalocean::{DigitalOcean, Dns, Patience, Token};
use provision::provider::{DigitalOceanShape, Instance, InstanceSpec, Owner, Part, ProviderError, Shape, SshFrom};
use serde_json::{Value, json};

pub const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILnOAowBd0Ivs6oVs7vZ6W7wbpCnWEW2ipTmXYB6YxMN demo";

/// A refusal that is repeated six times takes long.
pub const HASTY: Patience = Patience {
    attempts: 3,
    pause: Duration::from_millis(150),
};

/// A double of its own; it ends with this value. What broke the contract fails the test then.
pub struct Double {
    child: Child,
    pub endpoint: String,
    pub token: String,
}

impl Double {
    /// None, and a word about it, where the lab has not been installed.
    pub fn start() -> Option<Self> {
        if !lab().join("python").exists() {
            eprintln!("skipped: the lab's Python is not there; `tests/lab/python` makes it");
            return None;
        }
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/digitalocean/double");
        let mut child = Command::new(tool)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let word = |name: &str| ready[name].as_str().unwrap().to_owned();
        let double = Self {
            child,
            endpoint: word("endpoint"),
            token: word("token"),
        };
        double.account(&json!({"action_seconds": 0.06}));
        Some(double)
    }

    /// The provider as a command would make it, but for its patience.
    pub fn cloud(&self) -> DigitalOcean {
        DigitalOcean::at(&self.endpoint, &Token::new(&self.token), HASTY).unwrap()
    }

    pub fn dns(&self, zone: Option<&str>) -> Dns {
        Dns::at(&self.endpoint, &Token::new(&self.token), HASTY, zone).unwrap()
    }

    /// What is in the account, seen from outside.
    pub fn look(&self) -> Value {
        self.lab("GET", "world", &Value::Null)
    }

    /// Things of one kind, seen from outside.
    pub fn all(&self, kind: &str) -> Vec<Value> {
        self.look()[kind].as_array().unwrap().clone()
    }

    /// A call of somebody else with rights in the account: past faults and log.
    pub fn somebody(&self, method: &str, path: &str, body: &Value) -> Value {
        let call = json!({"method": method, "path": format!("/v2/{path}"), "body": body});
        self.lab("POST", "somebody", &call)
    }

    pub fn faults(&self, rules: &Value) {
        self.lab("POST", "faults", rules);
    }

    pub fn account(&self, switches: &Value) {
        self.lab("POST", "account", switches);
    }

    pub fn reset(&self) {
        self.lab("POST", "reset", &Value::Null);
    }

    /// The names of the calls since the last reset, in order.
    pub fn calls(&self) -> Vec<String> {
        let log = self.lab("GET", "log", &Value::Null);
        let names = log.as_array().unwrap().iter();
        names.map(|call| call["action"].as_str().unwrap().to_owned()).collect()
    }

    fn lab(&self, method: &str, route: &str, body: &Value) -> Value {
        let host = self.endpoint.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).unwrap();
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = format!(
            "{method} /lab/{route} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{route}: {answer}");
        serde_json::from_str(text).unwrap()
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        let violations = match std::thread::panicking() {
            true => Value::Array(Vec::new()),
            false => self.lab("GET", "violations", &Value::Null),
        };
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
        assert_eq!(violations, json!([]), "the vendor's document says otherwise");
    }
}

fn lab() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let lab = set("PROVISION_LAB_DIR").or_else(|| Some(cache()?.join("provision-lab")));
    lab.unwrap_or_default()
}

/// The owner whose lineage is sixteen times this byte.
pub fn owner(byte: u8) -> Owner {
    Owner {
        environment: "demo".parse().unwrap(),
        lineage: Lineage::from_bytes([byte; 16]),
        ids: BTreeMap::new(),
        expires: None,
    }
}

/// One that ends in so many seconds.
pub fn mortal(owner: Owner, seconds: u64) -> Owner {
    let ends = provision::state::model::later(jiff::Timestamp::now(), seconds);
    Owner {
        expires: Some(ends),
        ..owner
    }
}

/// The owner whose state knows these.
pub fn knowing(owner: &Owner, address: Address, id: &str) -> Owner {
    let mut owner = owner.clone();
    owner.ids.insert(address, id.to_owned());
    owner
}

pub fn shape() -> DigitalOceanShape {
    DigitalOceanShape {
        region: "fra1".to_owned(),
        size: "s-1vcpu-2gb".to_owned(),
        image: "debian-13".to_owned(),
        static_address: true,
        ipv6: false,
        monitoring: false,
        backups: false,
        grow_disk: false,
        vpc: None,
        project: None,
        public_key: KEY.to_owned(),
        ssh_from: SshFrom {
            operator: false,
            networks: ["198.51.100.0/24".to_owned()].into(),
            ..SshFrom::default()
        },
        tags: ["team:shop".to_owned()].into(),
    }
}

/// A small machine with a data volume and another shape.
pub fn shaped(change: impl FnOnce(&mut DigitalOceanShape)) -> InstanceSpec {
    let mut shape = shape();
    change(&mut shape);
    InstanceSpec {
        shape: Shape::DigitalOcean(shape),
        disk_gib: 0,
        volume_gib: Some(5),
        user_data: "#cloud-config\n".to_owned(),
        ttl_seconds: None,
        dns: None,
    }
}

/// A small machine with a data volume.
pub fn spec() -> InstanceSpec {
    shaped(|_| {})
}

/// Nobody listens.
pub fn quiet(_: Note) {}

/// What was said meanwhile.
#[derive(Default)]
pub struct Said(Mutex<Vec<Note>>);

impl Said {
    pub fn hear(&self, note: Note) {
        self.0.lock().unwrap().push(note);
    }

    pub fn warnings(&self) -> Vec<String> {
        let said = self.0.lock().unwrap();
        let warning = |note: &Note| match note {
            Note::Warning(text) => Some(text.clone()),
            _ => None,
        };
        said.iter().filter_map(warning).collect()
    }
}

/// Key, firewall and machine, in the order of an apply.
pub async fn make(
    cloud: &DigitalOcean,
    owner: &Owner,
    spec: &InstanceSpec,
    say: Say<'_>,
) -> Result<Instance, ProviderError> {
    cloud.ensure(owner, &Address::MachineKey, spec, say).await?;
    cloud.ensure(owner, &Address::MachineFirewall, spec, say).await?;
    cloud.create(owner, spec, 1, say).await
}

/// The machine and all that belongs to it.
pub async fn make_all(
    cloud: &DigitalOcean,
    owner: &Owner,
    spec: &InstanceSpec,
) -> Result<(Instance, BTreeMap<Address, Part>), ProviderError> {
    let mut parts = BTreeMap::new();
    for address in [Address::MachineKey, Address::MachineFirewall] {
        let part = cloud.ensure(owner, &address, spec, &quiet).await?;
        parts.insert(address, part);
    }
    let instance = cloud.create(owner, spec, 1, &quiet).await?;
    for address in [Address::MachineVolume, Address::MachineAddress] {
        if spec.parts().contains_key(&address) {
            let part = cloud.ensure(owner, &address, spec, &quiet).await?;
            parts.insert(address, part);
        }
    }
    Ok((instance, parts))
}

/// All of it back, in the order of a destroy.
pub async fn destroy_all(cloud: &DigitalOcean, owner: &Owner) -> Result<(), ProviderError> {
    cloud.remove(owner, &Address::MachineAddress, &quiet).await?;
    cloud.destroy(owner, &quiet).await?;
    for address in [Address::MachineVolume, Address::MachineFirewall, Address::MachineKey] {
        cloud.remove(owner, &address, &quiet).await?;
    }
    Ok(())
}

/// That the account is as it was at first.
#[track_caller]
pub fn assert_nothing(double: &Double) {
    let seen = double.look();
    for kind in ["droplets", "volumes", "firewalls", "reserved_ips", "keys"] {
        assert_eq!(seen[kind], json!([]), "{kind}");
    }
    let tags: Vec<&str> = seen["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    assert!(tags.iter().all(|tag| !tag.starts_with("provision:")), "{tags:?}");
}

/// All that a person is told.
pub fn told(error: &ProviderError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(why) = cause {
        text += &format!("\n  because {why}");
        cause = why.source();
    }
    match &error.remedy {
        Some(remedy) => format!("{text}\n  hint: {remedy}"),
        None => text,
    }
}
