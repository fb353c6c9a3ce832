//! What a command cost, for whoever measures: told with `PROVISION_STATS` set.

use super::terminal::tell;
use crate::remote::Session;

/// Whether somebody wants to know.
fn wanted() -> bool {
    std::env::var_os("PROVISION_STATS").is_some()
}

/// The round trips of a session, at its end.
pub fn of_session(session: &Session) {
    if wanted() {
        let counts = session.count();
        tell(&format!(
            "stats: {} ssh connection, {} command(s)",
            counts.connections, counts.commands
        ));
    }
}

/// The process's own time and memory, without those of the programs it ran.
pub fn of_process() {
    if wanted() {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let millis = time.tv_sec * 1000 + time.tv_nsec / 1_000_000;
        let kib = peak_kib().map_or_else(|| "?".to_owned(), |kib| kib.to_string());
        tell(&format!("stats: {millis} ms of CPU, {kib} KiB of memory at most"));
    }
}

/// The most memory that the process ever had, as the kernel counts it (`VmHWM`, proc(5)).
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}
