//! Which process holds a lock, told so exactly that "it is dead" is never a guess.
//!
//! A process number alone says nothing: it is reused, and it means another process on another computer, after a reboot
//! or in another container. Only when all of that is the same, and the number is free or belongs to a process that
//! started at another time, is the holder dead. In doubt it counts as alive, and its lease runs out.

use std::process;

use serde::{Deserialize, Serialize};

/// A process of this or another computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The computer's name.
    pub host: String,
    /// Differs after every boot; empty when the system does not tell.
    #[serde(default)]
    boot: String,
    /// The space in which the number means something: containers of one host have their own.
    #[serde(default)]
    namespace: String,
    /// Its number.
    pub pid: u32,
    /// When it started, in the system's own words; empty when the system does not tell.
    #[serde(default)]
    started: String,
}

impl ProcessIdentity {
    /// This process.
    pub fn current() -> Self {
        let pid = process::id();
        Self {
            host: system::host(),
            boot: system::boot(),
            namespace: system::namespace(),
            pid,
            started: system::started(pid).unwrap_or_default(),
        }
    }

    /// Whether the process is known to be dead, as seen from the process `here`.
    pub fn is_dead(&self, here: &Self) -> bool {
        let same_place = self.host == here.host
            && self.boot == here.boot
            && self.namespace == here.namespace
            && !self.boot.is_empty();
        same_place && system::started(self.pid).is_none_or(|started| started != self.started)
    }
}

/// `user@host`, for people.
pub fn who() -> String {
    let user = ["USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    format!("{}@{}", user.as_deref().unwrap_or("unknown"), system::host())
}

/// Names this process among all runs of all computers, without spaces: `host:process:start`.
pub fn run_name() -> String {
    let ProcessIdentity { host, pid, started, .. } = ProcessIdentity::current();
    let started: String = started.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{host}:{pid}:{started}")
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs;

    pub(super) fn host() -> String {
        line("/proc/sys/kernel/hostname").unwrap_or_else(|| "unknown".to_owned())
    }

    pub(super) fn boot() -> String {
        line("/proc/sys/kernel/random/boot_id").unwrap_or_default()
    }

    pub(super) fn namespace() -> String {
        fs::read_link("/proc/self/ns/pid").map_or_else(|_| String::new(), |link| link.display().to_string())
    }

    /// Clock ticks from boot to start: field 22 of proc(5)'s stat. `None` for a dead process, reaped or not.
    pub(super) fn started(pid: u32) -> Option<String> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in parentheses and may hold anything.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_whitespace();
        let state = fields.next()?;
        let ended = matches!(state, "Z" | "X" | "x");
        fields.nth(18).filter(|_| !ended).map(str::to_owned)
    }

    fn line(path: &str) -> Option<String> {
        fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::process::Command;

    pub(super) fn host() -> String {
        output("hostname", &[]).unwrap_or_else(|| "unknown".to_owned())
    }

    pub(super) fn boot() -> String {
        output("sysctl", &["-n", "kern.bootsessionuuid"]).unwrap_or_default()
    }

    pub(super) fn namespace() -> String {
        String::new()
    }

    pub(super) fn started(pid: u32) -> Option<String> {
        output("ps", &["-o", "lstart=", "-p", &pid.to_string()])
    }

    fn output(program: &str, arguments: &[&str]) -> Option<String> {
        let output = Command::new(program).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_dead_only_when_nothing_else_explains_it() {
        let here = ProcessIdentity::current();
        assert!(!here.is_dead(&here));

        let reused = ProcessIdentity {
            started: "1".to_owned(),
            ..here.clone()
        };
        assert!(reused.is_dead(&here), "the number belongs to a younger process");

        let gone = ProcessIdentity {
            pid: u32::MAX - 1,
            ..here.clone()
        };
        assert!(gone.is_dead(&here));
        for elsewhere in [
            ProcessIdentity {
                host: "other".to_owned(),
                ..gone.clone()
            },
            ProcessIdentity {
                boot: "other".to_owned(),
                ..gone.clone()
            },
            ProcessIdentity {
                namespace: "other".to_owned(),
                ..gone.clone()
            },
        ] {
            assert!(!elsewhere.is_dead(&here), "{elsewhere:?}");
        }
    }

    #[test]
    fn a_killed_process_that_nobody_waited_for_is_dead() {
        let mut child = process::Command::new("sleep").arg("60").spawn().unwrap();
        let here = ProcessIdentity::current();
        let identity = ProcessIdentity {
            pid: child.id(),
            started: system::started(child.id()).unwrap(),
            ..here.clone()
        };
        assert!(!identity.is_dead(&here));
        child.kill().unwrap();
        while !identity.is_dead(&here) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(identity.is_dead(&here));
    }
}
