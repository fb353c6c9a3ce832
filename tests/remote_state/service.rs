//! A service that speaks S3, for one test: the lab's double, or the one that the caller names.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use provision::names::{EnvironmentName, Lineage};
use provision::state::storage::S3;
use provision::state::{Backend, Bucket, State, Storage, Store};
use serde_json::{Value, json};

pub const BUCKET: &str = "states";
pub const REGION: &str = "eu-central-1";

/// Where it is, and who may use it.
pub struct Service {
    double: Option<(Child, String, String)>,
    pub endpoint: String,
    pub access_key: String,
    pub secret_key: String,
}

impl Service {
    /// The caller's, or else a double that all tests share; none, and a word about it, where the lab has not been installed. A double
    /// ends with this process, which closes its standard input.
    pub fn start() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Service>> = OnceLock::new();
        SHARED.get_or_init(Self::any).as_ref()
    }

    /// A double for the one test at a time that makes faults.
    pub fn double() -> Option<MutexGuard<'static, Self>> {
        static FAULTY: OnceLock<Option<Mutex<Service>>> = OnceLock::new();
        let service = FAULTY.get_or_init(|| Self::begin().map(Mutex::new)).as_ref()?;
        let service = service.lock().unwrap_or_else(PoisonError::into_inner);
        service.reset();
        Some(service)
    }

    fn any() -> Option<Self> {
        let set = |name: &str| std::env::var(name).ok();
        match set("PROVISION_TEST_S3") {
            Some(endpoint) => Some(Self {
                double: None,
                endpoint,
                access_key: set("AWS_ACCESS_KEY_ID")?,
                secret_key: set("AWS_SECRET_ACCESS_KEY")?,
            }),
            None => Self::begin(),
        }
    }

    /// The lab's double with the bucket in it.
    fn begin() -> Option<Self> {
        if !lab().join("python").exists() {
            eprintln!("skipped: the lab's Python is not there; `tests/lab/python` makes it");
            return None;
        }
        let mut child = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/aws/double"))
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
        let service = Self {
            endpoint: word("endpoint"),
            access_key: word("access_key"),
            secret_key: word("secret_key"),
            double: Some((child, word("control"), word("direct"))),
        };
        let credential = format!("{}/20260101/{REGION}/s3/aws4_request", service.access_key);
        let constraint = format!(
            "<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
        );
        block_on(async {
            let made = reqwest::Client::new()
                .put(format!("{}/{BUCKET}", word("direct")))
                .header(
                    "authorization",
                    format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=00"),
                )
                .body(constraint)
                .send()
                .await
                .unwrap();
            assert!(made.status().is_success(), "{}", made.text().await.unwrap());
        });
        Some(service)
    }

    /// Rules for what goes wrong; see `tests/lab/aws/README.md`. An action is the request's method.
    pub fn faults(&self, rules: &[(&str, Value, &str)]) {
        let rules: Vec<Value> = rules
            .iter()
            .map(|(action, nth, what)| json!({"service": "s3", "action": action, "nth": nth, "do": what}))
            .collect();
        self.control("faults", &json!(rules));
    }

    /// No rules, an empty log.
    pub fn reset(&self) {
        self.control("reset", &Value::Null);
    }

    /// The methods of the calls since the last reset.
    pub fn calls(&self) -> Vec<String> {
        let (_, control, _) = self.double.as_ref().unwrap();
        let log = block_on(async {
            reqwest::get(format!("{control}/log"))
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap()
        });
        let log: Vec<Value> = serde_json::from_slice(&log).unwrap();
        log.iter()
            .map(|call| call["action"].as_str().unwrap().to_owned())
            .collect()
    }

    fn control(&self, route: &str, body: &Value) {
        let (_, control, _) = self.double.as_ref().unwrap();
        block_on(async {
            let request = reqwest::Client::new().post(format!("{control}/{route}"));
            let request = request
                .header("content-type", "application/json")
                .body(body.to_string());
            assert!(request.send().await.unwrap().status().is_success());
        });
    }

    pub fn config(&self) -> SdkConfig {
        config(&self.endpoint, &self.access_key, &self.secret_key)
    }

    /// A backend that nobody else has.
    pub fn backend(&self) -> Backend {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        bucket(&format!("test-{}-{number}", std::process::id()))
    }

    /// A store in that backend, as one computer has it whose project's root this is.
    pub fn store(&self, root: &Path, backend: &Backend) -> Store {
        store(&self.config(), root, backend)
    }
}

pub fn config(endpoint: &str, access_key: &str, secret_key: &str) -> SdkConfig {
    let credentials = Credentials::new(access_key, secret_key, None, None, "lab");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

pub fn bucket(key: &str) -> Backend {
    Backend::S3(Bucket {
        bucket: BUCKET.to_owned(),
        key: key.to_owned(),
        region: None,
        endpoint: None,
        profile: None,
    })
}

pub fn store(config: &SdkConfig, root: &Path, backend: &Backend) -> Store {
    let Backend::S3(bucket) = backend else { panic!() };
    let s3 = S3::new(bucket, &environment(), false).with_config(config);
    Store::open(root, &environment(), backend)
        .unwrap()
        .with_storage(Storage::S3(s3))
}

pub fn environment() -> EnvironmentName {
    "demo".parse().unwrap()
}

pub fn state() -> State {
    State::new(environment(), Lineage::from_bytes([7; 16]))
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}

fn lab() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let lab = set("PROVISION_LAB_DIR").or_else(|| Some(cache()?.join("provision-lab")));
    lab.unwrap_or_default()
}
