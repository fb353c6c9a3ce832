//! Two processes at once: exactly one wins, on both backends, every time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use provision::state::{Lock, LockError, Store, StoreError};

use crate::service::{self, Service, environment, state};

const ROOT: &str = "PROVISION_TEST_RACE_ROOT";
const SERVICE: &str = "PROVISION_TEST_RACE_SERVICE";
const ROUNDS: &str = "PROVISION_RACE_ROUNDS";

/// One of two processes, doing what it is told line by line.
struct Runner {
    child: Child,
    say: ChildStdin,
    hear: BufReader<ChildStdout>,
}

impl Runner {
    fn start(root: &Path, service: Option<(&Service, &str)>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["race::child_runs", "--exact", "--nocapture", "--quiet"])
            .env(ROOT, root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some((service, key)) = service {
            let words = [&service.endpoint, &service.access_key, &service.secret_key, key];
            command.env(SERVICE, words.join(" "));
        }
        let mut child = command.spawn().unwrap();
        let mut runner = Self {
            say: child.stdin.take().unwrap(),
            hear: BufReader::new(child.stdout.take().unwrap()),
            child,
        };
        while runner.answer() != "begun" {}
        runner
    }

    fn tell(&mut self, word: &str) {
        writeln!(self.say, "{word}").unwrap();
        self.say.flush().unwrap();
    }

    fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.hear.read_line(&mut line).unwrap() > 0, "the other process ended");
            // The harness has its say when a test takes long.
            if !line.starts_with("test ") {
                return line.trim().to_owned();
            }
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn child_runs() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let root = Path::new(&root);
    let store = match std::env::var(SERVICE) {
        Ok(words) => {
            let words: Vec<&str> = words.split(' ').collect();
            let config = service::config(words[0], words[1], words[2]);
            service::store(&config, root, &service::bucket(words[3]))
        }
        Err(_) => Store::new(root, &environment()),
    };
    let mut output = std::io::stdout();
    let mut say = |word: &str| {
        writeln!(output, "{word}").unwrap();
        output.flush().unwrap();
    };
    let mut loaded = None;
    let mut lock = None;
    // The harness has printed something without an end of line.
    say("\nbegun");
    for line in std::io::stdin().lines() {
        match line.unwrap().as_str() {
            "load" => {
                loaded = Some(store.load().unwrap().unwrap_or_else(state));
                say("loaded");
            }
            "save" => match store.save(&mut loaded.take().unwrap()) {
                Ok(()) => say("won"),
                Err(StoreError::Moved { .. }) => say("lost"),
                Err(other) => say(&format!("{other:?}").replace('\n', " ")),
            },
            "lock" => match Lock::try_acquire(store.storage(), "race", None) {
                Ok(taken) => {
                    lock = Some(taken);
                    say("won");
                }
                Err(LockError::Held { .. }) => say("lost"),
                Err(other) => say(&format!("{other:?}").replace('\n', " ")),
            },
            "release" => {
                if let Some(lock) = lock.take() {
                    lock.release().unwrap();
                }
                say("released");
            }
            other => panic!("{other}"),
        }
    }
}

fn race(mut runners: [Runner; 2], rounds: u64, store: &Store) {
    let mut all = |word: &str| -> Vec<String> {
        runners.iter_mut().for_each(|runner| runner.tell(word));
        runners.iter_mut().map(Runner::answer).collect()
    };
    for round in 1..=rounds {
        for contest in ["lock", "save"] {
            if contest == "save" {
                all("load");
            }
            let mut ended = all(contest);
            ended.sort();
            assert_eq!(ended, ["lost", "won"], "round {round}: {contest}");
        }
        all("release");
        assert_eq!(store.load().unwrap().unwrap().serial, round);
    }
}

fn rounds(few: u64) -> u64 {
    let set = std::env::var(ROUNDS).ok();
    set.map_or(few, |rounds| rounds.parse().unwrap())
}

#[test]
fn of_two_processes_at_a_folder_exactly_one_wins() {
    let root = tempfile::tempdir().unwrap();
    let runners = [Runner::start(root.path(), None), Runner::start(root.path(), None)];
    race(runners, rounds(100), &Store::new(root.path(), &environment()));
}

#[test]
fn of_two_processes_at_a_bucket_exactly_one_wins() {
    let Some(service) = Service::start() else { return };
    let root = tempfile::tempdir().unwrap();
    let backend = service.backend();
    let provision::state::Backend::S3(bucket) = &backend else {
        panic!()
    };
    let start = || Runner::start(root.path(), Some((service, &bucket.key)));
    race([start(), start()], rounds(50), &service.store(root.path(), &backend));
}
