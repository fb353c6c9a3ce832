//! A project, a run of it that waits for its base image, and what it leaves.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use provision::progress::stream::Told;
use serde_json::Value;

use crate::project::{DEMO, Project};

/// No run here takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// `qemu-img info` says that the file is a disk of 1 GiB.
const QEMU_IMG: &str = "echo '{\"virtual-size\": 1073741824, \"format\": \"qcow2\"}'";

/// The steps behind the one that waits.
pub const LEFT: &str = "host.identity, host.base, stack.web, edge.caddy";

/// A project whose base image begins to come and never ends.
pub fn waiting() -> Project {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/base.qcow2", server.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for connection in server.incoming() {
            let mut connection = connection.unwrap();
            let _ = connection.read(&mut [0; 4096]);
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nsome of it");
            held.push(connection);
        }
    });
    let image = format!("\"{url}\"\nsha512 = \"{}\"", "0f".repeat(64));
    let system = format!("qemu-system-{}", std::env::consts::ARCH);
    // Programs that a test needs in a shell are there, QEMU is not.
    Project::new(&DEMO.replace("\"base.qcow2\"", &image)).with_programs(&[(&system, "exit 1"), ("qemu-img", QEMU_IMG)])
}

/// A run at work on its first step.
pub struct Run {
    pub child: Child,
    said: Receiver<String>,
    heard: RefCell<Vec<String>>,
}

impl Run {
    /// Begins it and waits until it transfers. `command` has the program's arguments.
    pub fn begin(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let pipe = child.stderr.take().unwrap();
        let (sender, said) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            said,
            heard: RefCell::default(),
        }
    }

    /// Waits for a line on standard error that holds these words.
    #[track_caller]
    pub fn until(&self, words: &str) {
        while let Ok(line) = self.said.recv_timeout(PATIENCE) {
            let found = line.contains(words);
            self.heard.borrow_mut().push(line);
            if found {
                return;
            }
        }
        panic!("`{words}` was not said: {:#?}", self.heard.borrow());
    }

    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Its exit code, and what it said.
    #[track_caller]
    pub fn end(mut self) -> (Option<i32>, Vec<String>) {
        let status = ends(&mut self.child);
        let mut said = self.heard.into_inner();
        said.extend(self.said.iter());
        (status.code(), said)
    }
}

#[track_caller]
pub fn ends(child: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &process.to_string()]).status();
    assert!(sent.unwrap().success());
}

/// Waits until a file of the project is there and holds these words.
#[track_caller]
pub fn until_kept(project: &Project, file: &str, words: &str) {
    until_told(project.root().join(file), words);
}

/// Waits until a file is there and holds these words.
#[track_caller]
pub fn until_told(file: impl AsRef<Path>, words: &str) {
    let begun = Instant::now();
    while !std::fs::read_to_string(&file).is_ok_and(|text| text.contains(words)) {
        assert!(
            begun.elapsed() < PATIENCE,
            "{} never said `{words}`",
            file.as_ref().display()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn kept(project: &Project, file: &str) -> Value {
    let text = std::fs::read_to_string(project.root().join(".provision/demo").join(file)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// That the state says what was begun, that the lock is free, and that the record of the run says how it ended.
#[track_caller]
pub fn left_in_order(project: &Project, result: &str) {
    let state = kept(project, "state.json");
    let machine = &state["resources"]["machine.instance"];
    assert_eq!(machine["status"], "intended", "{state:#}");
    let lock = project.root().join(".provision/demo/state.lock");
    assert!(!lock.exists(), "the lock is held");
    let record = kept(project, "history/0001.json");
    assert_eq!(record["result"], result, "{record:#}");
    assert!(record["ended"].is_string(), "{record:#}");
}

/// Every line reads as one of the schema, the first is the version and the last the summary, which is handed back.
#[track_caller]
pub fn stream(text: &str) -> Value {
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        let mut told = line.clone();
        let at = told.as_object_mut().unwrap().remove("at");
        at.unwrap().as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let read: Told = serde_json::from_value(told.clone()).unwrap_or_else(|why| panic!("{why}: {line}"));
        assert_eq!(serde_json::to_value(read).unwrap(), told);
    }
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events.first(), Some(&"version"), "{text}");
    assert_eq!(
        events.iter().position(|event| *event == "summary"),
        Some(events.len() - 1),
        "{text}"
    );
    lines.last().unwrap().clone()
}
