//! The lab's double of AWS for one test, and what all tests of the provider start from.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
use provision::names::{Address, Lineage};
use provision::note::Note;
use provision::provider::aws::Aws;
use provision::provider::{AwsShape, Instance, InstanceSpec, Owner, ProviderError, Shape, SshFrom};
use serde_json::Value;

pub const REGION: &str = "eu-central-1";

/// A program of the lab's that goes on until this process ends.
struct Piped {
    _child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Piped {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(tool(name))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let asks = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self {
            _child: child,
            asks,
            answers,
        }
    }
}

/// What all doubles of this process are forks of, and the name of its socket.
static FORKS: LazyLock<(String, Piped)> = LazyLock::new(|| {
    let name = format!("provision-aws-{}", std::process::id());
    let mut forks = Piped::start("forks", &[&name]);
    let mut line = String::new();
    forks.answers.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    (name, forks)
});

/// What looks at them from outside.
static WATCHER: LazyLock<Mutex<Piped>> = LazyLock::new(|| Mutex::new(Piped::start("look", &["-", "--region", REGION])));

/// A double of its own; it ends with this value.
pub struct Double {
    /// It ends with this connection.
    _line: UnixStream,
    direct: String,
    endpoint: String,
    control: String,
    access_key: String,
    secret_key: String,
}

impl Double {
    /// None, and a word about it, where the lab has not been installed.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        if !lab().join("python").exists() {
            eprintln!("skipped: the lab's Python is not there; `tests/lab/python` makes it");
            return None;
        }
        let (name, _) = &*FORKS;
        let connection = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
        writeln!(&connection, "{}", serde_json::json!(arguments)).unwrap();
        let mut line = String::new();
        BufReader::new(&connection).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let word = |name: &str| ready[name].as_str().unwrap().to_owned();
        Some(Self {
            _line: connection,
            direct: word("direct"),
            endpoint: word("endpoint"),
            control: word("control"),
            access_key: word("access_key"),
            secret_key: word("secret_key"),
        })
    }

    /// The provider as a command would make it, but for fewer attempts: a refusal that is repeated eight times takes a minute.
    pub fn aws(&self) -> Aws {
        Aws::with_config(&self.config(), None).unwrap()
    }

    pub fn config(&self) -> SdkConfig {
        self.config_at(&self.endpoint)
    }

    fn config_at(&self, endpoint: &str) -> SdkConfig {
        let credentials = Credentials::new(&self.access_key, &self.secret_key, None, None, "lab");
        config(endpoint)
            .into_builder()
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build()
    }

    /// Somebody else with rights in the account, for any service.
    pub fn somebodys_config(&self) -> SdkConfig {
        self.config_at(&self.direct)
    }

    /// Somebody else with rights in the account: past faults, permissions and log.
    pub fn somebody(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.config_at(&self.direct))
    }

    /// The same one, in Route 53.
    pub fn somebody_in_dns(&self) -> aws_sdk_route53::Client {
        aws_sdk_route53::Client::new(&self.config_at(&self.direct))
    }

    /// What is in the region, seen from outside.
    pub fn look(&self) -> Value {
        self.look_everywhere()["regions"][REGION].clone()
    }

    /// What is in the account, seen from outside.
    pub fn look_everywhere(&self) -> Value {
        let mut watcher = WATCHER.lock().unwrap_or_else(PoisonError::into_inner);
        let Piped { asks, answers, .. } = &mut *watcher;
        writeln!(asks, "{}", self.direct).unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    pub async fn faults(&self, rules: Value) {
        self.post("faults", &rules).await;
    }

    pub async fn account(&self, switches: Value) {
        self.post("account", &switches).await;
    }

    pub async fn policy(&self, document: Value) {
        self.post("policy", &document).await;
    }

    pub async fn reset(&self) {
        self.post("reset", &Value::Null).await;
    }

    /// The names of the calls since the last reset, in order.
    pub async fn calls(&self) -> Vec<String> {
        let log = reqwest::get(format!("{}/log", self.control)).await.unwrap();
        let log: Vec<Value> = serde_json::from_slice(&log.bytes().await.unwrap()).unwrap();
        log.iter()
            .map(|call| call["action"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits until a call is held.
    pub async fn held(&self) {
        let answer = reqwest::get(format!("{}/held?timeout=30", self.control)).await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// Makes an instance profile, past everything; the SDK for IAM is nothing the program needs.
    pub async fn profile(&self, name: &str) {
        let call = format!(
            "{}/?Action=CreateInstanceProfile&Version=2010-05-08&InstanceProfileName={name}",
            self.direct
        );
        let credential = format!("{}/20260101/us-east-1/iam/aws4_request", self.access_key);
        let authorization = format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=00");
        let request = reqwest::Client::new().post(call).header("authorization", authorization);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    async fn post(&self, route: &str, body: &Value) {
        let request = reqwest::Client::new().post(format!("{}/{route}", self.control));
        let request = request
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = request.send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{route}: {}", answer.text().await.unwrap());
    }
}

/// A configuration without credentials.
pub fn config(endpoint: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .retry_config(RetryConfig::standard().with_max_attempts(2))
        .sleep_impl(aws_sdk_ec2::config::SharedAsyncSleep::new(Pause))
        .build()
}

/// The pauses between attempts.
#[derive(Debug)]
struct Pause;

impl aws_sdk_ec2::config::AsyncSleep for Pause {
    fn sleep(&self, duration: std::time::Duration) -> aws_sdk_ec2::config::Sleep {
        aws_sdk_ec2::config::Sleep::new(tokio::time::sleep(duration))
    }
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

/// One that ends in so many seconds.
pub fn mortal(owner: Owner, seconds: u64) -> Owner {
    let ends = provision::state::model::later(jiff::Timestamp::now(), seconds);
    Owner {
        expires: Some(ends),
        ..owner
    }
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

/// A small machine.
pub fn spec() -> InstanceSpec {
    InstanceSpec {
        shape: Shape::Aws(shape()),
        disk_gib: Some(12),
        volume_gib: None,
        user_data: "#cloud-config\n".to_owned(),
        ttl_seconds: None,
        dns: None,
    }
}

pub fn shape() -> AwsShape {
    AwsShape {
        region: None,
        size: "t3.small".to_owned(),
        image: "debian-13".to_owned(),
        static_address: false,
        subnet: None,
        vpc: None,
        instance_profile: None,
        spot: false,
        ipv6: false,
        cpu_credits: None,
        kms_key: None,
        public_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILnOAowBd0Ivs6oVs7vZ6W7wbpCnWEW2ipTmXYB6YxMN demo".to_owned(),
        ssh_from: SshFrom {
            operator: false,
            networks: ["198.51.100.0/24".to_owned()].into(),
            ..SshFrom::default()
        },
        tags: BTreeMap::from([("team".to_owned(), "shop".to_owned())]),
    }
}

/// A small machine with another shape.
pub fn shaped(change: impl FnOnce(&mut AwsShape)) -> InstanceSpec {
    let mut shape = shape();
    change(&mut shape);
    InstanceSpec {
        shape: Shape::Aws(shape),
        ..spec()
    }
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

    /// Warnings and lines.
    pub fn lines(&self) -> Vec<String> {
        let said = self.0.lock().unwrap();
        let line = |note: &Note| match note {
            Note::Warning(text) | Note::Line(text) => Some(text.clone()),
            _ => None,
        };
        said.iter().filter_map(line).collect()
    }
}

/// Key, firewall and machine, in the order of an apply.
pub async fn make(
    aws: &Aws,
    owner: &Owner,
    spec: &InstanceSpec,
    say: provision::note::Say<'_>,
) -> Result<Instance, ProviderError> {
    aws.ensure(owner, &Address::MachineKey, spec, say).await?;
    aws.ensure(owner, &Address::MachineFirewall, spec, say).await?;
    aws.create(owner, spec, 1, say).await
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
