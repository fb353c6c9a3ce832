//! Compose itself, where it is installed.

use std::path::Path;
use std::process::{Command, Stdio};

/// `docker compose`, or the program of its own.
fn compose() -> Option<Vec<&'static str>> {
    let candidates = [vec!["docker", "compose"], vec!["docker-compose"]];
    candidates.into_iter().find(|words| {
        let output = Command::new(words[0])
            .args(&words[1..])
            .arg("version")
            .stdin(Stdio::null())
            .output();
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

/// What `config` says of the files in this folder; nothing where Compose is not installed.
pub fn compose_says(folder: &Path, args: &[&str], variables: &[(&str, &str)]) -> Option<String> {
    let Some(words) = compose() else {
        println!("skipped: Docker Compose is not installed");
        return None;
    };
    let output = Command::new(words[0])
        .args(&words[1..])
        .args(args)
        .arg("config")
        .current_dir(folder)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
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
