use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::*;

const CHILD_FOLDER: &str = "PROVISION_TEST_CHILD_FOLDER";

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn take(folder: &TempDir) -> Result<Lock, LockError> {
    Lock::try_acquire(&storage(folder), "apply demo", None)
}

fn storage(folder: &TempDir) -> Storage {
    Storage::local(folder.path())
}

fn lease(folder: &TempDir) -> Lease {
    read(&storage(folder), "look at").unwrap().unwrap().0
}

fn change(folder: &TempDir, change: impl FnOnce(&mut Lease)) {
    let mut lease = lease(folder);
    change(&mut lease);
    write(&storage(folder), &lease, &Expect::Any).unwrap();
}

#[test]
fn a_released_lock_leaves_nothing_in_the_way() {
    let folder = folder();
    take(&folder).unwrap().release().unwrap();
    drop(take(&folder).unwrap());
    assert!(!folder.path().join(FILE).exists());
    assert!(take(&folder).unwrap().taken_over().is_none());
}

#[test]
fn whoever_comes_second_is_told_who_holds_it_and_since_when() {
    let folder = folder();
    let _lock = Lock::try_acquire(&storage(&folder), "apply demo", Some("CI job 7")).unwrap();
    change(&folder, |lease| {
        lease.holder = "ann@laptop".to_owned();
        lease.process.pid = 4711;
        lease.process.host = "laptop".to_owned();
        lease.since = "2026-11-21T10:00:00Z".parse().unwrap();
        lease.expires = "2126-11-21T10:01:30Z".parse().unwrap();
    });
    let error = take(&folder).unwrap_err();
    insta::assert_snapshot!(format!("{error}\nhint: {}", error.remedy()), @r"
    the environment is locked by ann@laptop (process 4711), running `apply demo` since 2026-11-21T10:00:00Z (CI job 7); the lease ends at 2126-11-21T10:01:30Z unless it is renewed
    hint: wait until it is done, or let --lock-wait 5m do it. Should ann@laptop have crashed on another computer, the lock is free after 2126-11-21T10:01:30Z
    ");
}

#[test]
fn a_lease_that_ran_out_is_taken_over_and_its_holder_finds_out() {
    let folder = folder();
    let first = take(&folder).unwrap();
    change(&folder, |lease| lease.expires = lease.since);
    assert!(matches!(first.verify(), Err(LockError::Lost { holder: None, .. })));

    let second = take(&folder).unwrap();
    let note = second.taken_over().unwrap();
    assert!(!note.dead);
    assert!(note.to_string().ends_with(": its lease ran out"), "{note}");
    second.verify().unwrap();
    assert!(matches!(first.verify(), Err(LockError::Lost { holder: Some(_), .. })));
    assert!(matches!(first.renew(), Err(LockError::Lost { .. })));
    first.release().unwrap();
    second.verify().unwrap();
}

#[test]
fn a_lease_that_ran_out_and_that_nobody_took_is_renewed() {
    let folder = folder();
    let lock = take(&folder).unwrap();
    change(&folder, |lease| lease.expires = lease.since);
    lock.renew().unwrap();
    lock.verify().unwrap();
}

#[test]
fn child_takes_the_lock_and_stays() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else {
        return;
    };
    let _lock = Lock::try_acquire(&Storage::local(Path::new(&folder)), "apply demo", None).unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn kill_9_of_the_holder_does_not_block_the_next_run() {
    let folder = folder();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["state::lock::tests::child_takes_the_lock_and_stays", "--exact"])
        .env(CHILD_FOLDER, folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !folder.path().join(FILE).exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let error = take(&folder).unwrap_err();
    assert!(
        matches!(error, LockError::Held { pid, .. } if pid == child.id()),
        "{error:?}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    let lock = take(&folder).unwrap();
    assert!(lock.taken_over().unwrap().dead);
    assert!(
        lock.taken_over()
            .unwrap()
            .to_string()
            .ends_with(": its process is dead")
    );
}

#[test]
fn of_many_at_the_same_time_exactly_one_gets_it() {
    let folder = folder();
    change_to_expired(&folder);
    let locks: Vec<_> = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..8).map(|_| scope.spawn(|| take(&folder).ok())).collect();
        takers.into_iter().filter_map(|taker| taker.join().unwrap()).collect()
    });
    assert_eq!(locks.len(), 1);
    locks[0].verify().unwrap();
}

fn change_to_expired(folder: &TempDir) {
    std::mem::forget(take(folder).unwrap());
    change(folder, |lease| lease.expires = lease.since);
}

#[test]
fn a_folder_that_is_gone_is_no_error_at_the_end() {
    let folder = folder();
    let lock = take(&folder).unwrap();
    std::fs::remove_dir_all(folder.path()).unwrap();
    assert!(matches!(lock.verify(), Err(LockError::Lost { holder: None, .. })));
    assert!(matches!(lock.renew(), Err(LockError::Lost { holder: None, .. })));
    lock.release().unwrap();
    assert!(!folder.path().exists());
}

#[test]
fn a_damaged_lock_is_told_and_not_overwritten() {
    let folder = folder();
    std::fs::write(folder.path().join(FILE), "{").unwrap();
    let error = take(&folder).unwrap_err();
    assert!(matches!(error, LockError::Damaged { .. }));
    assert!(error.remedy().contains("rm "), "{}", error.remedy());
    assert!(folder.path().join(FILE).exists());
}

#[tokio::test]
async fn waiting_ends_with_the_lock_or_with_the_time() {
    let folder = folder();
    let path = storage(&folder);
    let first = take(&folder).unwrap();
    let short = Duration::from_millis(20);
    let held = Lock::acquire(&path, "apply demo", None, short).await.unwrap_err();
    assert!(matches!(held, LockError::Held { .. }));

    let waiting = tokio::spawn(async move { Lock::acquire(&path, "status demo", None, HEARTBEAT).await });
    tokio::time::sleep(short).await;
    first.release().unwrap();
    let second = waiting.await.unwrap().unwrap();
    assert_eq!(lease(&folder).command, "status demo");
    second.verify().unwrap();
}

#[tokio::test]
async fn a_heartbeat_renews_until_it_is_dropped() {
    let folder = folder();
    let lock = take(&folder).unwrap();
    let beat = Duration::from_millis(5);
    let heartbeat = lock.heartbeat_every(beat);
    let first = lease(&folder).expires;
    while lease(&folder).expires == first {
        tokio::time::sleep(beat).await;
    }
    drop(heartbeat);
    tokio::time::sleep(beat * 10).await;
    let last = lease(&folder).expires;
    tokio::time::sleep(beat * 10).await;
    assert_eq!(lease(&folder).expires, last);
    assert!(lease(&folder).expires > lease(&folder).since + LEASE);
}

#[test]
fn a_lock_that_ends_at_any_byte_is_damaged_and_never_free() {
    let folder = folder();
    let _lock = take(&folder).unwrap();
    let path = folder.path().join(FILE);
    let bytes = std::fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        std::fs::write(&path, &bytes[..length]).unwrap();
        assert!(matches!(take(&folder), Err(LockError::Damaged { .. })), "{length}");
    }
}

/// Whatever stands in it: the clock of the computer that wrote it may be years ahead.
#[test]
fn a_lease_that_nobody_renewed_for_a_full_lease_is_taken_over() {
    let folder = folder();
    std::mem::forget(take(&folder).unwrap());
    change(&folder, |lease| {
        lease.process.host = "elsewhere".to_owned();
        lease.expires = "2126-11-21T10:01:30Z".parse().unwrap();
    });
    let (_, version) = read(&storage(&folder), "look at").unwrap().unwrap();
    let long_ago = Instant::now()
        .checked_sub(LEASE.unsigned_abs() + Duration::from_secs(1))
        .unwrap();
    let mut watched = Some(Watched {
        version,
        since: long_ago,
    });
    let mut renewed = Some(Watched {
        version: write(&storage(&folder), &lease(&folder), &Expect::Any).unwrap(),
        since: Instant::now(),
    });
    let attempt = |watched: &mut Option<Watched>| Lock::attempt(&storage(&folder), "apply demo", None, watched);
    assert!(matches!(attempt(&mut None), Err(LockError::Held { .. })));
    assert!(matches!(attempt(&mut renewed), Err(LockError::Held { .. })));
    assert!(attempt(&mut watched).unwrap().taken_over().is_some());
}

#[test]
fn a_lock_is_broken_only_for_the_one_that_was_looked_at() {
    let folder = folder();
    assert_eq!(Lock::look(&storage(&folder)).unwrap(), None);
    let first = take(&folder).unwrap();
    let seen = Lock::look(&storage(&folder)).unwrap().unwrap();
    assert!(!seen.is_free);
    first.renew().unwrap();
    Lock::break_lease(&storage(&folder), &seen.token).unwrap();
    assert!(matches!(first.verify(), Err(LockError::Lost { .. })));
    let second = take(&folder).unwrap();
    let again = Lock::break_lease(&storage(&folder), &seen.token);
    assert!(matches!(again, Err(LockError::Changed { .. })));
    second.verify().unwrap();
}
