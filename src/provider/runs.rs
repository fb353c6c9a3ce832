//! Runs of this program that opened something for their caller, and whether they are over.

use jiff::{SignedDuration, Timestamp};

/// How old what a run opened may get when nothing is known of its process. Longer than any apply that is worth the name.
const OLD: SignedDuration = SignedDuration::from_hours(1);

/// Whether a run is no more, as seen from the run `here`, or so old that nobody waits for it. Runs are named
/// `host:process:start`.
pub(super) fn is_over(run: &str, at: Option<Timestamp>, here: &str, now: Timestamp) -> bool {
    let old = at.is_none_or(|at| now.duration_since(at) > OLD);
    old || is_dead(run, here)
}

/// Whether a run of this host has ended. In doubt it lives: what it opened then goes by age.
fn is_dead(run: &str, here: &str) -> bool {
    let host_and_process = |run: &str| {
        let mut parts = run.splitn(3, ':');
        let host = parts.next()?.to_owned();
        Some((host, parts.next()?.parse::<i32>().ok()?))
    };
    let (Some((host, process)), Some((this, _))) = (host_and_process(run), host_and_process(here)) else {
        return false;
    };
    let process = rustix::process::Pid::from_raw(process);
    host == this
        && process.is_some_and(|process| {
            matches!(
                rustix::process::test_kill_process(process),
                Err(rustix::io::Errno::SRCH)
            )
        })
}
