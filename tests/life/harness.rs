//! A project in a folder of its own, and the program at work on it.
#![allow(dead_code, reason = "the suite of each cloud uses what it has a use for")]

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::cloud::{Cloud, FIRST, SECRETS};

/// No run may take longer. Attempts of a call that fails for ever take about a minute.
const ENDS_WITHIN: Duration = Duration::from_secs(240);

/// Where the program is said to be called from.
pub const OPERATOR: &str = "198.51.100.7/32";

/// The environment `shop` of one project, in one account.
pub struct Site {
    folder: TempDir,
    /// What the program finds in its environment, beside what this one has.
    pub variables: Vec<(&'static str, String)>,
}

/// When a run is ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When it turns to the host.
    Host,
    /// When a call is held, or it turns to the host.
    Held,
    /// When it has opened port 22 for its caller and waits for the host.
    Open,
    /// The same, but it is asked to end and may do so by itself.
    Asked,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Killed, as it had turned to the host: all that the cloud has to do is done.
    AtHost,
    /// Killed while a call was held.
    Held,
    /// Killed, as port 22 was open for its caller.
    Open,
    /// By itself, with this code.
    Itself(i32),
}

/// A run that is over.
#[derive(Debug)]
pub struct Run {
    pub ended: Ended,
    /// Both outputs.
    pub said: String,
}

impl Site {
    pub fn new(cloud: &Cloud) -> Self {
        let mut site = Self {
            folder: TempDir::with_prefix("provision-life-").unwrap(),
            variables: cloud.variables(),
        };
        site.variables.push(("PROVISION_OPERATOR_CIDR", OPERATOR.to_owned()));
        for folder in ["environments", "home"] {
            std::fs::create_dir(site.path(folder)).unwrap();
        }
        std::fs::write(site.path("environments/shop.toml"), FIRST).unwrap();
        site
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Edits the environment's file.
    pub fn edit(&self, changes: &[(&str, &str)]) {
        let path = self.path("environments/shop.toml");
        let mut text = std::fs::read_to_string(&path).unwrap();
        for (old, new) in changes {
            assert!(text.contains(old), "no {old} in {text}");
            text = text.replace(old, new);
        }
        std::fs::write(path, text).unwrap();
    }

    pub fn state(&self) -> Option<Value> {
        let text = std::fs::read_to_string(self.path(".provision/shop/state.json")).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }

    /// Takes records out of the state, as an older one that was put back has not got them.
    pub fn forget(&self, addresses: &[&str]) {
        let mut state = self.state().unwrap();
        let resources = state["resources"].as_object_mut().unwrap();
        for address in addresses {
            assert!(resources.remove(*address).is_some(), "{address}");
        }
        std::fs::write(self.path(".provision/shop/state.json"), state.to_string()).unwrap();
    }

    /// Applies until the host, and insists that it gets there.
    #[track_caller]
    pub fn converge(&self, cloud: &Cloud) -> Run {
        let run = self.apply(cloud, Until::Host);
        assert_eq!(run.ended, Ended::AtHost, "{}", run.said);
        run
    }

    pub fn apply(&self, cloud: &Cloud, until: Until) -> Run {
        self.run(cloud, &["apply", "shop", "--yes"], until)
    }

    pub fn destroy(&self, cloud: &Cloud, until: Until) -> Run {
        self.run(cloud, &["destroy", "shop", "--yes"], until)
    }

    /// The program, about to run in this project.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provision"));
        for (name, _) in std::env::vars_os() {
            if ["AWS_", "DIGITALOCEAN_", "XDG_", "PROVISION_"]
                .iter()
                .any(|ours| name.to_string_lossy().starts_with(ours))
            {
                command.env_remove(name);
            }
        }
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("HOME", self.path("home"))
            .envs(self.variables.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, cloud: &Cloud, args: &[&str], until: Until) -> Run {
        let out = std::fs::File::create(self.path("out")).unwrap();
        let mut child = self.command(args).stdout(out).stderr(Stdio::piped()).spawn().unwrap();
        let lines = lines(child.stderr.take().unwrap());
        let begun = Instant::now();
        let mut said = String::new();
        let mut killed = None;
        loop {
            match lines.recv_timeout(Duration::from_millis(50)) {
                Ok(line) => {
                    let at_host = args.first() == Some(&"apply") && line.contains("] host.identity: ");
                    match until {
                        Until::Host | Until::Held if at_host && killed.is_none() => killed = Some(Ended::AtHost),
                        // It has been let in when it begins to wait.
                        Until::Open if at_host && line.contains("waiting for sshd") => killed = Some(Ended::Open),
                        Until::Asked if at_host && line.contains("waiting for sshd") => {
                            let asked = Command::new("kill").arg(child.id().to_string()).status();
                            assert!(asked.unwrap().success());
                        }
                        _ => {}
                    }
                    said += &line;
                    said.push('\n');
                }
                Err(RecvTimeoutError::Timeout) => {
                    if killed.is_none() && until == Until::Held && cloud.is_holding() {
                        killed = Some(Ended::Held);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if killed.is_some() || begun.elapsed() > ENDS_WITHIN {
                child.kill().unwrap();
            }
        }
        let status = child.wait().unwrap();
        assert!(begun.elapsed() <= ENDS_WITHIN, "it does not end:\n{said}");
        let out = std::fs::read_to_string(self.path("out")).unwrap();
        Run {
            ended: killed.or_else(|| status.code().map(Ended::Itself)).unwrap(),
            said: out + &said,
        }
    }

    /// What nobody may ever be told.
    pub fn secrets(&self) -> Vec<String> {
        let identity = std::fs::read_to_string(self.path("home/.config/provision/identity")).unwrap_or_default();
        let identity = identity.lines().filter(|line| line.starts_with("AGE-SECRET-KEY"));
        let mut secrets: Vec<String> = identity.map(str::to_owned).collect();
        secrets.push("PRIVATE KEY".to_owned());
        secrets.extend(
            self.variables
                .iter()
                .filter(|(name, _)| SECRETS.contains(name))
                .map(|(_, value)| value.clone()),
        );
        secrets
    }
}

impl Run {
    /// What it did, without what it had said before.
    pub fn steps(&self) -> String {
        let steps = self.said.lines().skip_while(|line| !line.starts_with('['));
        steps.collect::<Vec<_>>().join("\n")
    }

    /// That it failed by itself and said all of this, and no secret.
    #[track_caller]
    pub fn failed_with(&self, site: &Site, words: &[&str]) {
        assert_eq!(self.ended, Ended::Itself(1), "{}", self.said);
        let said = self.said.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(said.contains(word), "`{word}` is not in\n{}", self.said);
        }
        for secret in site.secrets() {
            assert!(!said.contains(&secret), "a secret is in\n{}", self.said);
        }
    }
}

fn lines(pipe: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
