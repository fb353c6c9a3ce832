//! Docker Compose, the judge of what is written for it: the lab's own, which is the one of the lab's machines, else what is installed.

#[path = "../lab/folder.rs"]
mod lab;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A program that answers as `docker compose` does, for each test that asks; none, and a word, where there is none.
pub fn compose() -> Option<Command> {
    static WORDS: OnceLock<Option<Vec<String>>> = OnceLock::new();
    let Some(words) = WORDS.get_or_init(found) else {
        println!("skipped: Docker Compose is not there; `tests/lab/compose` takes it out of the lab's packages");
        return None;
    };
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null());
    Some(command)
}

fn found() -> Option<Vec<String>> {
    let lab = lab::folder().map(|lab| lab.join("docker-compose").display().to_string());
    let installed = [vec!["docker", "compose"], vec!["docker-compose"]];
    let installed = installed.map(|words| words.into_iter().map(str::to_owned).collect());
    let candidates = lab.map(|program| vec![program]).into_iter().chain(installed);
    candidates.into_iter().find(|words| {
        let mut command = Command::new(&words[0]);
        let output = command.args(&words[1..]).arg("version").stdin(Stdio::null()).output();
        // The first generation is another program.
        output.is_ok_and(|output| {
            output.status.success() && !String::from_utf8_lossy(&output.stdout).contains("version 1.")
        })
    })
}

/// The files in this folder make a project, as the host would run it.
pub fn compose_accepts(folder: &Path) {
    compose_says(folder, &[], &[]);
}

/// What `config` says of the files in this folder; nothing where Compose is not there.
pub fn compose_says(folder: &Path, args: &[&str], variables: &[(&str, &str)]) -> Option<String> {
    let output = compose()?
        .args(args)
        .arg("config")
        .current_dir(folder)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}: {}",
        folder.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8(output.stdout).unwrap())
}
