//! Signals, and the terminal that is closed.

use std::process::{Command, Stdio};

use crate::run::{LEFT, Run, ends, left_in_order, stream, until_kept, waiting};

const APPLY: [&str; 3] = ["apply", "demo", "--yes"];

/// An apply that hears all signals, also where these tests run under `nohup`.
fn hearing(project: &crate::project::Project) -> Command {
    let program = project.command(&APPLY);
    let mut command = Command::new("/usr/bin/env");
    command
        .args(["--default-signal=HUP,INT,TERM"])
        .arg(program.get_program());
    command
        .args(program.get_args())
        .current_dir(project.root())
        .stdin(Stdio::null());
    command
        .env_clear()
        .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

#[test]
fn every_signal_ends_a_run_in_order() {
    for (name, word) in [
        ("INT", "interrupted during"),
        ("TERM", "interrupted by SIGTERM during"),
        ("HUP", "interrupted by SIGHUP, as when a terminal is closed during"),
    ] {
        let project = waiting();
        let run = Run::begin(&mut hearing(&project));
        run.until("machine.instance: create");
        run.signal(name);
        let (code, said) = run.end();
        assert_eq!(code, Some(130), "{name}: {said:#?}");
        assert!(said.contains(&format!("error: {word} machine.instance")), "{said:#?}");
        let last = format!("done: nothing; not done: machine.instance (begun), {LEFT}");
        assert_eq!(said.last(), Some(&last), "{name}");
        left_in_order(&project, "interrupted");
        // The next run is not kept out by anything, and goes on with the same step.
        let run = Run::begin(&mut project.command(&APPLY));
        run.until("machine.instance: create");
        run.signal("TERM");
        assert_eq!(run.end().0, Some(130));
    }
}

#[test]
fn a_program_is_told_of_the_interrupt_in_the_summary() {
    let project = waiting();
    let mut command = project.command(&["apply", "demo", "--yes", "--json"]);
    let mut run = Run::begin(command.stdout(Stdio::piped()));
    let mut stdout = run.child.stdout.take().unwrap();
    until_kept(&project, ".provision/demo/state.json", "intended");
    run.signal("TERM");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut text).unwrap();
    let (code, said) = run.end();
    assert_eq!(code, Some(130), "{said:#?}");
    let summary = stream(&text);
    assert_eq!(summary["result"], "interrupted");
    assert_eq!(summary["exit_code"], 130);
    assert_eq!(summary["begun"], "machine.instance");
    assert_eq!(summary["left"].as_array().unwrap().len(), 4);
    assert_eq!(
        summary["error"]["what"],
        "interrupted by SIGTERM during machine.instance"
    );
    left_in_order(&project, "interrupted");
}

/// `nohup provision apply`, and `provision apply &` in a script.
#[test]
fn what_a_shell_made_us_ignore_stays_ignored() {
    let project = waiting();
    let program = project.command(&APPLY);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "trap '' HUP INT; exec \"$0\" \"$@\""]);
    command
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(project.root());
    command
        .env_clear()
        .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut run = Run::begin(command.stdin(Stdio::null()));
    run.until("machine.instance: create");
    run.signal("HUP");
    run.signal("INT");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(run.child.try_wait().unwrap().is_none(), "it ended");
    run.signal("TERM");
    assert_eq!(run.end().0, Some(130));
}

/// Nobody reads what is said, so that the run hangs in saying it: the second signal does not wait for that.
#[test]
fn a_second_signal_ends_a_run_at_once() {
    let project = waiting();
    let mut command = project.command(&["apply", "demo", "--yes"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let pipe = child.stderr.take().unwrap();
    until_kept(&project, ".provision/demo/state.json", "intended");
    // Stopped, it cannot end by itself between the two.
    crate::run::signal(child.id(), "STOP");
    crate::run::signal(child.id(), "TERM");
    crate::run::signal(child.id(), "INT");
    crate::run::signal(child.id(), "CONT");
    assert_eq!(ends(&mut child).code(), Some(130));
    drop(pipe);
    // What was begun is in the state either way, and the next run gets the lock.
    let run = Run::begin(&mut project.command(&APPLY));
    run.until("machine.instance: create");
    run.signal("TERM");
    assert_eq!(run.end().0, Some(130));
}

/// A window is closed: SIGHUP, and from then on every write to the terminal fails.
#[test]
fn a_closed_terminal_ends_a_run_in_order() {
    const TERMINAL: &str = "
import os, pty, signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)
child, terminal = pty.fork()
if child == 0:
    os.execve(sys.argv[1], sys.argv[1:], os.environ)
seen = b''
while b'to add' not in seen:
    seen += os.read(terminal, 65536)
while not os.path.exists('.provision/demo/history/0001.json'):
    time.sleep(0.01)
time.sleep(0.3)
os.close(terminal)
for _ in range(600):
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        sys.exit(os.waitstatus_to_exitcode(status) % 256)
    time.sleep(0.1)
os.kill(child, 9)
sys.exit('it does not end')
";
    let project = waiting();
    let program = project.command(&APPLY);
    let mut command = Command::new("python3");
    command
        .args(["-c", TERMINAL])
        .arg(program.get_program())
        .args(program.get_args());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
        .env("TERM", "xterm")
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env_remove("CI");
    let Ok(output) = command.current_dir(project.root()).stdin(Stdio::null()).output() else {
        println!("skipped: python3 is not installed");
        return;
    };
    assert_eq!(
        output.status.code(),
        Some(130),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    left_in_order(&project, "interrupted");
}
