//! A double of a cloud whose machines are virtual machines: a process of the lab.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A double for one test; it ends, machines included, with this value.
pub struct Double {
    child: Child,
    ready: Value,
    /// The lab's Python.
    #[cfg_attr(not(feature = "aws"), allow(dead_code, reason = "boto3 looks at AWS from outside"))]
    pub python: PathBuf,
}

impl Double {
    /// The one in the folder `cloud` of the lab, whose machines boot this image. None, and a word, where the lab's Python is not installed.
    pub fn start(images: &Path, image: &Path, cloud: &str) -> Option<Self> {
        let python = images.join("python/bin/python");
        if !python.exists() {
            eprintln!("skipped: no {}; `make lab-python` makes it", python.display());
            return None;
        }
        let mut child = Command::new(tool(cloud, "double"))
            .args(["--machines", "--image"])
            .arg(image)
            .env("PROVISION_LAB_DIR", images)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready = serde_json::from_str(&line).unwrap();
        Some(Self { child, ready, python })
    }

    /// What it said when it was ready: an address, a key.
    pub fn word(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap()
    }

    /// The process that is the network of its one machine: of a container it is one of its own, of a virtual machine the machine itself.
    pub fn network(&self) -> i32 {
        let folder = self.word("machines");
        let output = Command::new("pgrep")
            .args(["-f", &format!("^(slirp4netns|qemu-system).*{folder}")])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().unwrap_or_else(|_| panic!("one network: {text:?}"))
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        // It ends its machines before itself.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A program of the lab.
pub fn tool(cloud: &str, name: &str) -> PathBuf {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab");
    lab.join(cloud).join(name)
}
