//! The QEMU process of a machine: whether it lives, and its end. A process that merely has its number is never touched.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::machine::Machine;

/// How long QEMU may take to become a daemon.
const SETTLING: Duration = Duration::from_secs(60);
/// A single process without a pid file is one that is about to fork, for milliseconds, or one whose file was removed.
const WITHOUT_PID_FILE: Duration = Duration::from_secs(2);

/// How long a killed process may take to let go of its files; bounded, as a kernel thread that got the number looks the
/// same.
const ENDING: Duration = Duration::from_secs(5);

/// A living QEMU process of one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pid: Pid,
    /// The pid file's path in its arguments: what makes it ours.
    mark: PathBuf,
}

impl Process {
    /// The machine's process by its pid file. Fast.
    pub fn by_pid_file(machine: &Machine) -> Option<Self> {
        let process = Self {
            pid: recorded_pid(machine)?,
            mark: machine.pid(),
        };
        process.alive().then_some(process)
    }

    /// Every process of the machine, also one that has not written its pid file yet or whose file is gone.
    pub fn all(machine: &Machine) -> Vec<Self> {
        let mark = machine.pid();
        let mut pids = pids();
        pids.sort_unstable();
        pids.into_iter()
            .filter_map(Pid::from_raw)
            .map(|pid| Self {
                pid,
                mark: mark.clone(),
            })
            .filter(Self::alive)
            .collect()
    }

    /// The machine's one process. One that a killed run has just started is waited for until it is a daemon: until then
    /// there are two of it, the one that was started and the one that stays.
    pub async fn settled(machine: &Machine) -> Option<Self> {
        let begun = Instant::now();
        loop {
            let all = Self::all(machine);
            let recorded = Self::by_pid_file(machine);
            match (all.as_slice(), recorded) {
                // One that was just killed still has the disks and the ports.
                ([], None) if begun.elapsed() < ENDING && recorded_pid(machine).is_some_and(is_ending) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                ([], None) => return None,
                ([one], Some(recorded)) if *one == recorded => return Some(recorded),
                ([one], None) if begun.elapsed() > WITHOUT_PID_FILE => return Some(one.clone()),
                ([first, ..], recorded) if begun.elapsed() > SETTLING => {
                    return Some(recorded.unwrap_or_else(|| first.clone()));
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Its number.
    pub fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Whether it lives and is the machine's. A zombie has no arguments and counts as dead.
    pub fn alive(&self) -> bool {
        runs_with(self.pid, &self.mark)
    }

    /// Ends it at once: what it has not written is lost, as with a power failure.
    pub fn kill(&self) -> io::Result<()> {
        signal(self, Signal::KILL)
    }

    /// Waits until it has let go of its files and ports; false when it has not by then.
    pub async fn gone_within(&self, limit: Duration) -> bool {
        let begun = Instant::now();
        while self.alive() || is_ending(self.pid) {
            if begun.elapsed() >= limit {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }
}

fn recorded_pid(machine: &Machine) -> Option<Pid> {
    let number = std::fs::read_to_string(machine.pid()).ok()?;
    Pid::from_raw(number.trim().parse().ok()?)
}

/// Through a handle on the process: between our look at its arguments and the signal its number cannot go to another.
#[cfg(target_os = "linux")]
fn signal(process: &Process, signal: Signal) -> io::Result<()> {
    use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
    let gone = |why: rustix::io::Errno| why == rustix::io::Errno::SRCH;
    let handle = match pidfd_open(process.pid, PidfdFlags::empty()) {
        Err(why) if gone(why) => return Ok(()),
        other => other?,
    };
    if !process.alive() {
        return Ok(());
    }
    match pidfd_send_signal(handle, signal) {
        Err(why) if gone(why) => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(not(target_os = "linux"))]
fn signal(process: &Process, signal: Signal) -> io::Result<()> {
    if !process.alive() {
        return Ok(());
    }
    match rustix::process::kill_process(process.pid, signal) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        other => Ok(other?),
    }
}

/// Whether these are the arguments of a process that was started with this pid file.
fn is_marked(arguments: &[&[u8]], mark: &Path) -> bool {
    let mark: &OsStr = mark.as_os_str();
    arguments
        .windows(2)
        .any(|pair| matches!(pair, [option, value] if *option == b"-pidfile" && *value == mark.as_bytes()))
}

#[cfg(target_os = "linux")]
fn runs_with(pid: Pid, mark: &Path) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())) else {
        return false;
    };
    let arguments: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    is_marked(&arguments, mark)
}

/// Whether a process has given up its memory, and with it its arguments, but not its files yet. A zombie has given up
/// both once its last thread is gone; it may stay for long where nobody asks for it.
#[cfg(target_os = "linux")]
fn is_ending(pid: Pid) -> bool {
    let place = format!("/proc/{}", pid.as_raw_nonzero());
    let no_arguments = std::fs::read(format!("{place}/cmdline")).is_ok_and(|line| line.is_empty());
    let zombie = std::fs::read_to_string(format!("{place}/stat")).is_ok_and(|stat| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('Z'))
    });
    let threads = std::fs::read_dir(format!("{place}/task")).map_or(0, Iterator::count);
    no_arguments && !(zombie && threads <= 1)
}

#[cfg(not(target_os = "linux"))]
fn is_ending(_: Pid) -> bool {
    false
}

#[cfg(target_os = "linux")]
fn pids() -> Vec<i32> {
    std::fs::read_dir("/proc")
        .map(|entries| {
            entries
                .flatten()
                .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
                .collect()
        })
        .unwrap_or_default()
}

/// Without /proc, `ps` tells the arguments as one text.
#[cfg(not(target_os = "linux"))]
fn runs_with(pid: Pid, mark: &Path) -> bool {
    let number = pid.as_raw_nonzero().to_string();
    let Ok(done) = std::process::Command::new("ps")
        .args(["-ww", "-o", "command=", "-p", &number])
        .output()
    else {
        return false;
    };
    let wanted = [b"-pidfile ".as_slice(), mark.as_os_str().as_bytes()].concat();
    done.stdout.windows(wanted.len()).any(|part| part == wanted)
}

#[cfg(not(target_os = "linux"))]
fn pids() -> Vec<i32> {
    let Ok(done) = std::process::Command::new("ps").args(["-ax", "-o", "pid="]).output() else {
        return Vec::new();
    };
    String::from_utf8_lossy(&done.stdout)
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pid_files_own_process_is_marked() {
        let mark = Path::new("/m/demo/pid");
        assert!(is_marked(
            &[b"qemu", b"-m", b"1", b"-pidfile", b"/m/demo/pid", b""],
            mark
        ));
        assert!(!is_marked(&[b"vim", b"/m/demo/pid", b""], mark));
        assert!(!is_marked(&[b"qemu", b"-pidfile", b"/m/demo2/pid"], mark));
        assert!(!is_marked(&[], mark));
    }

    #[test]
    fn a_foreign_process_that_got_the_number_is_not_ours() {
        let temp = tempfile::tempdir().unwrap();
        let (mut machine, _) = crate::provider::local::sample();
        machine.folder = temp.path().to_path_buf();
        assert_eq!(Process::all(&machine), []);
        std::fs::write(machine.pid(), std::process::id().to_string()).unwrap();
        assert_eq!(Process::by_pid_file(&machine), None);
        let foreign = Process {
            pid: rustix::process::getpid(),
            mark: machine.pid(),
        };
        foreign.kill().unwrap();
        std::fs::write(machine.pid(), "nonsense").unwrap();
        assert_eq!(Process::by_pid_file(&machine), None);
    }
}
