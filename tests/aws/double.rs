//! A double of AWS, started for one test: the lab's own (`tests/lab/aws/README.md`).

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use provision::provider::aws::Aws;
use serde_json::Value;

/// Where the tests' machines are.
pub const REGION: &str = "eu-central-1";

/// A running double. It ends with this value, and with the test's process.
pub struct Double {
    child: Child,
    _life: ChildStdin,
    direct: String,
    control: String,
    /// What clients are configured with.
    pub config: SdkConfig,
    /// The provider.
    pub aws: Aws,
    /// Somebody else, who works past the provider.
    pub somebody: aws_sdk_ec2::Client,
}

impl Drop for Double {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Double {
    /// None, and a word about it, where the lab's Python is not there.
    pub async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// With options of the double's own.
    pub async fn start_with(options: &[&str]) -> Option<Self> {
        let program = lab("double");
        if !Path::new("/usr/bin/python3").exists() {
            println!("skipped: the lab's double of AWS needs /usr/bin/python3");
            return None;
        }
        let mut child = Command::new(program)
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let life = child.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(!line.is_empty(), "the double ended before it was ready");
        let ready: Value = serde_json::from_str(&line).unwrap();
        let word = |key: &str| ready[key].as_str().unwrap().to_owned();
        let config = |endpoint: String| {
            let credentials = Credentials::new(word("access_key"), word("secret_key"), None, None, "lab");
            aws_config::defaults(BehaviorVersion::latest())
                .region(Region::new(REGION))
                .credentials_provider(credentials)
                .endpoint_url(endpoint)
        };
        let past = config(word("direct")).load().await;
        let config = config(word("endpoint")).load().await;
        Some(Self {
            child,
            _life: life,
            direct: word("direct"),
            control: word("control"),
            aws: Aws::with_config(&config, None).unwrap(),
            somebody: aws_sdk_ec2::Client::new(&past),
            config,
        })
    }

    /// Somebody else in Route 53.
    pub fn somebody_in_dns(&self) -> aws_sdk_route53::Client {
        let config = self.config.to_builder().endpoint_url(&self.direct).build();
        aws_sdk_route53::Client::new(&config)
    }

    /// Everything there is, as seen by boto3.
    pub fn look(&self) -> Value {
        let output = Command::new(lab("look"))
            .args([&self.direct, "--region", REGION])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The things of one kind, as seen by boto3.
    pub fn all(&self, kind: &str) -> Vec<Value> {
        let seen = self.look();
        seen["regions"][REGION][kind].as_array().unwrap().clone()
    }

    /// The only thing of its kind.
    pub fn only(&self, kind: &str) -> Value {
        let mut all = self.all(kind);
        assert_eq!(all.len(), 1, "{kind}: {all:#?}");
        all.remove(0)
    }

    /// The double's control.
    pub async fn post(&self, what: &str, body: Value) {
        let client = reqwest::Client::new();
        let request = client
            .post(format!("{}/{what}", self.control))
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// The calls since the last reset: service and action.
    pub async fn calls(&self) -> Vec<String> {
        let answer = reqwest::get(format!("{}/log", self.control)).await.unwrap();
        let log: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        let entry = |entry: &Value| entry["action"].as_str().unwrap_or_default().to_owned();
        log.as_array().unwrap().iter().map(entry).collect()
    }

    /// Forgets rules and log.
    pub async fn reset(&self) {
        self.post("reset", serde_json::json!({})).await;
    }
}

fn lab(program: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/lab/aws")
        .join(program)
}
