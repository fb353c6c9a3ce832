//! The program itself with `[state] backend = "s3"`, with credentials and endpoint from its variables.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use provision::state::{Backend, State};

use crate::service::{BUCKET, REGION, Service, environment};

pub const APPLIED: &str = include_str!("../state/v1-demo.json");

pub struct Checkout {
    service: &'static Service,
    pub root: tempfile::TempDir,
}

impl Checkout {
    pub fn new(service: &'static Service, key: Option<&str>) -> Self {
        let checkout = Self {
            service,
            root: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir_all(checkout.root.path().join("environments")).unwrap();
        checkout.write(key);
        checkout
    }

    pub fn write(&self, key: Option<&str>) {
        let state = key.map_or_else(String::new, |key| {
            format!("[state]\nbackend = \"s3\"\nbucket = \"{BUCKET}\"\nkey = \"{key}\"\nregion = \"{REGION}\"\n")
        });
        std::fs::write(self.file(), format!("[machine.local]\n{state}")).unwrap();
    }

    fn file(&self) -> std::path::PathBuf {
        self.root.path().join("environments/demo.toml")
    }

    fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// The program, about to run here.
    pub fn command(&self, args: &[&str]) -> Command {
        let home = self.root.path().join("home");
        let mut command = Command::new(env!("CARGO_BIN_EXE_provision"));
        command
            .args(args)
            .current_dir(self.root.path())
            .env_clear()
            .env("HOME", &home)
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("AWS_ACCESS_KEY_ID", &self.service.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &self.service.secret_key)
            .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
            .env("AWS_ENDPOINT_URL_S3", &self.service.endpoint)
            .stdin(Stdio::null());
        command
    }

    /// Exit code and what was said.
    pub fn run(&self, args: &[&str]) -> (i32, String) {
        let output = self.output(args);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        (
            output.status.code().unwrap(),
            text.replace(&self.root.path().display().to_string(), "[root]"),
        )
    }
}

fn applied(service: &Service, root: &Path, backend: &Backend) -> State {
    let mut state: State = serde_json::from_str(APPLIED).unwrap();
    state.serial = 0;
    // What a machine of the local provider has.
    state
        .resources
        .retain(|address, _| !matches!(address.to_string().as_str(), "machine.volume" | "machine.key"));
    service.store(root, backend).save(&mut state).unwrap();
    state
}

pub fn key(backend: &Backend) -> &str {
    match backend {
        Backend::S3(bucket) => &bucket.key,
        Backend::Local => panic!(),
    }
}

#[test]
fn another_computer_finds_the_state_and_remembers_where_it_is() {
    let Some(service) = Service::start() else { return };
    let (ada, backend) = (tempfile::tempdir().unwrap(), service.backend());
    let state = applied(service, ada.path(), &backend);
    let checkout = Checkout::new(service, Some(key(&backend)));
    let (code, text) = checkout.run(&["output", "demo", "--json"]);
    assert_eq!(code, 0, "{text}");
    for output in state.outputs.keys() {
        assert!(text.contains(output), "{text}");
    }
    // With the file gone, memory finds it.
    std::fs::remove_file(checkout.file()).unwrap();
    assert_eq!(checkout.run(&["output", "demo", "--json"]), (code, text));
    // And with a file that is broken.
    std::fs::write(checkout.file(), "[state\n").unwrap();
    assert_eq!(checkout.run(&["output", "demo"]).0, 0);

    // A file that says otherwise begins no second life.
    checkout.write(None);
    let (code, text) = checkout.run(&["plan", "demo"]);
    assert_eq!(code, 3, "{text}");
    let text = text.replace(key(&backend), "[key]");
    insta::assert_snapshot!(text, @r#"
    error: the state of `demo` is in s3://states/[key], and its file says that it is on this computer
    hint: `provision state migrate demo` moves it to where the file says; or let [state] say where it is. When it was moved by hand, remove [root]/.provision/demo/backend.json
    "#);
    checkout.write(Some("elsewhere"));
    let (code, text) = checkout.run(&["destroy", "demo", "--yes"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("provision state migrate demo"), "{text}");
}

#[test]
fn a_state_on_this_computer_is_not_forgotten_for_a_bucket() {
    let Some(service) = Service::start() else { return };
    let backend = service.backend();
    let checkout = Checkout::new(service, Some(key(&backend)));
    let mut state: State = serde_json::from_str(APPLIED).unwrap();
    state.serial = 0;
    provision::state::Store::new(checkout.root.path(), &environment())
        .save(&mut state)
        .unwrap();
    for command in [
        &["plan", "demo"][..],
        &["apply", "demo", "--yes"],
        &["output", "demo"],
        &["destroy", "demo", "--yes"],
    ] {
        let (code, text) = checkout.run(command);
        assert_eq!(code, 3, "{text}");
        let text = text.replace(key(&backend), "[key]");
        insta::allow_duplicates! {
            insta::assert_snapshot!(text, @r#"
    error: the state of `demo` is on this computer, and its file says that it is in s3://states/[key]
    hint: `provision state migrate demo` moves it to where the file says; or let [state] say where it is.
    "#);
        }
    }
    assert_eq!(checkout.run(&["validate", "demo"]).0, 0);
}

#[test]
fn a_broken_file_hides_no_state() {
    let Some(service) = Service::start() else { return };
    let checkout = Checkout::new(service, None);
    std::fs::write(checkout.file(), "[state]\nbackend = \"s4\"\n").unwrap();
    let (code, text) = checkout.run(&["destroy", "demo", "--yes"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("state.backend"), "{text}");
}

#[test]
fn destroy_empties_the_bucket_but_for_the_archive() {
    let Some(service) = Service::start() else { return };
    let (ada, backend) = (tempfile::tempdir().unwrap(), service.backend());
    applied(service, ada.path(), &backend);
    let checkout = Checkout::new(service, Some(key(&backend)));
    let (code, text) = checkout.run(&["destroy", "demo", "--yes"]);
    assert_eq!(code, 0, "{text}");
    let archive = format!("Its state is kept in s3://{BUCKET}/{}/_destroyed/demo-", key(&backend));
    assert!(text.contains(&archive), "{text}");
    assert!(!checkout.root.path().join(".provision/demo").exists());
    let store = service.store(ada.path(), &backend);
    assert!(store.documents().unwrap().is_empty());
    assert!(store.load().unwrap().is_none());
    let (code, text) = checkout.run(&["destroy", "demo", "--yes"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("there is no state of `demo`"), "{text}");
}
