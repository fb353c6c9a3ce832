//! Disks that are full: before anything is begun, while a run is at work, and where only its record would be kept.

use std::process::{Command, Stdio};

use crate::project::Project;
use crate::run::{LEFT, Run, kept, left_in_order, until_told, waiting};

const APPLY: [&str; 3] = ["apply", "demo", "--yes"];

/// The program behind a line of shell, which has a shell's `PATH`.
fn behind(project: &Project, runner: &[&str], script: &str) -> Command {
    let program = project.command(&APPLY);
    let mut command = Command::new(runner[0]);
    command
        .args(&runner[1..])
        .args(["sh", "-c", script])
        .arg(program.get_program())
        .args(program.get_args());
    command
        .env_clear()
        .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env(
        "PATH",
        format!(
            "{}:/usr/sbin:/usr/bin:/sbin:/bin",
            project.root().join("programs").display()
        ),
    );
    command.current_dir(project.root()).stdin(Stdio::null());
    command
}

/// No file may have more than so many blocks: one write after the other has no room, and each says so and leaves all in order.
#[test]
fn what_has_no_room_is_told_wherever_that_is() {
    for blocks in 1..100 {
        let project = waiting();
        let limit = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let mut run = Run::begin(&mut behind(&project, &["/usr/bin/env"], &limit));
        let state = project.root().join(".provision/demo/state.json");
        let begun = || state.exists() && !kept(&project, "state.json")["resources"]["machine.instance"].is_null();
        while run.child.try_wait().unwrap().is_none() && !begun() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        // It may have run out of room a moment later.
        if begun() && run.child.try_wait().unwrap().is_none() {
            run.signal("TERM");
        }
        let (code, said) = run.end();
        if code == Some(130) {
            assert!(blocks > 1, "there is no limit");
            return;
        }
        let said = said.join("\n");
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("File too large"), "{said}");
        assert!(
            ["room", "free space"].iter().any(|remedy| said.contains(remedy)),
            "{said}"
        );
        let folder = project.root().join(".provision/demo");
        assert!(!folder.join("state.lock").exists(), "{said}");
    }
    panic!("no room is enough");
}

/// A file is where the records would be.
#[test]
fn a_record_that_cannot_be_kept_is_worth_a_warning() {
    let project = waiting();
    project.write(".provision/demo/history", "");
    let run = Run::begin(&mut project.command(&APPLY));
    run.until("warning: the history of this run is not kept: ");
    run.until("machine.instance: create");
    run.signal("TERM");
    let (code, said) = run.end();
    assert_eq!(code, Some(130));
    let warnings = said.iter().filter(|line| line.starts_with("warning: "));
    assert_eq!(warnings.count(), 1, "one warning is enough: {said:#?}");
    assert_eq!(
        kept(&project, "state.json")["resources"]["machine.instance"]["status"],
        "intended"
    );
}

/// The disk of the state runs full while the run is at work: what was recorded stays, and the run ends in order.
#[test]
fn a_disk_that_runs_full_meanwhile_loses_nothing() {
    let project = waiting();
    let own = ["/usr/bin/env", "unshare", "--user", "--map-root-user", "--mount"];
    let room = "mkdir -p .provision && mount -t tmpfs -o size=128k tmpfs .provision";
    if !behind(&project, &own, room)
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
    {
        println!("skipped: this user may not mount a file system of its own");
        return;
    }
    let script = format!("{room} && exec \"$0\" \"$@\"");
    let run = Run::begin(&mut behind(&project, &own, &script));
    run.until("machine.instance: create");
    let inside = format!("/proc/{}/root{}/.provision", run.child.id(), project.root().display());
    until_told(format!("{inside}/demo/state.json"), "intended");
    // The file system goes with the run; what is in it then is seen through a descriptor.
    let state = std::fs::File::open(format!("{inside}/demo/state.json")).unwrap();
    let fill = format!("cat /dev/zero >{inside}/fill");
    let filled = Command::new("sh")
        .args(["-c", &fill])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(!filled.success(), "it has no end");
    run.signal("TERM");
    let (code, said) = run.end();
    assert_eq!(code, Some(130), "{said:#?}");
    let state: serde_json::Value = serde_json::from_reader(state).unwrap();
    assert_eq!(state["resources"]["machine.instance"]["status"], "intended");
    assert!(
        said.iter()
            .any(|line| line.starts_with("warning: the history of this run is not kept: ")),
        "{said:#?}"
    );
    let last = format!("done: nothing; not done: machine.instance (begun), {LEFT}");
    assert_eq!(said.last(), Some(&last));
}

/// The same run with room, for comparison.
#[test]
fn with_room_the_record_is_kept() {
    let project = waiting();
    let run = Run::begin(&mut behind(&project, &["/usr/bin/env"], "exec \"$0\" \"$@\""));
    run.until("machine.instance: create");
    run.signal("TERM");
    assert_eq!(run.end().0, Some(130));
    left_in_order(&project, "interrupted");
}
