//! The lab's double of AWS, whose instances are virtual machines.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A double for one test; it ends, machines included, with this value.
pub struct Cloud {
    double: Child,
    ready: Value,
    python: PathBuf,
}

/// Where everything is.
pub const REGION: &str = "eu-central-1";

impl Cloud {
    /// None, and a word, where the lab's Python is not installed.
    pub fn start(images: &Path) -> Option<Self> {
        let python = images.join("python/bin/python");
        if !python.exists() {
            eprintln!("skipped: no {}; `make lab` makes it", python.display());
            return None;
        }
        let mut double = Command::new(tool("double"))
            .arg("--machines")
            .env("PROVISION_LAB_DIR", images)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(double.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready = serde_json::from_str(&line).unwrap();
        Some(Self { double, ready, python })
    }

    fn word(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap()
    }

    /// What the tool needs to know: an endpoint, credentials, and where it calls from.
    pub fn variables(&self) -> [(&'static str, &str); 5] {
        [
            ("AWS_ENDPOINT_URL", self.word("endpoint")),
            ("AWS_ACCESS_KEY_ID", self.word("access_key")),
            ("AWS_SECRET_ACCESS_KEY", self.word("secret_key")),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("PROVISION_OPERATOR_CIDR", "127.0.0.1/32"),
        ]
    }

    /// What is in the region, seen from outside.
    pub fn look(&self) -> Value {
        let output = Command::new(tool("look"))
            .args([self.word("direct"), "--region", REGION])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let everything: Value = serde_json::from_slice(&output.stdout).unwrap();
        everything["regions"][REGION].clone()
    }

    /// Somebody else at work: Python with `ec2`, a boto3 client.
    pub fn somebody(&self, script: &str) {
        let head = format!(
            "import boto3\nec2 = boto3.client('ec2', region_name='{REGION}', endpoint_url='{}', aws_access_key_id='{}', \
             aws_secret_access_key='{}')\n",
            self.word("direct"),
            self.word("access_key"),
            self.word("secret_key")
        );
        let mut child = Command::new(&self.python)
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
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // It ends its machines before itself.
        drop(self.double.stdin.take());
        let _ = self.double.wait();
    }
}

fn tool(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/aws").join(name)
}
