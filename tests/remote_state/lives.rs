//! State, secrets, host keys and lock of one environment over a bucket, as two computers see them.

use std::time::Duration;

use jiff::Timestamp;
use provision::secret::Secret;
use provision::state::storage::{Expect, Place};
use provision::state::{
    Backend, Bundle, BundleError, BundleStore, Identity, KnownHosts, Lock, LockError, Push, SshKey, State, Store,
    StoreError,
};

use crate::service::{Service, environment, state};

/// Two computers with a checkout each, and one bucket.
struct Two {
    service: &'static Service,
    folders: [tempfile::TempDir; 2],
    backend: Backend,
    ada: Store,
    bob: Store,
}

impl Two {
    fn start() -> Option<Self> {
        let service = Service::start()?;
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let backend = service.backend();
        Some(Self {
            ada: service.store(folders[0].path(), &backend),
            bob: service.store(folders[1].path(), &backend),
            backend,
            service,
            folders,
        })
    }

    fn root(&self) -> &std::path::Path {
        self.folders[0].path()
    }
}

#[test]
fn what_one_computer_writes_the_other_reads_and_an_old_state_is_refused() {
    let Some(two) = Two::start() else { return };
    let mut ours = state();
    two.ada.save(&mut ours).unwrap();
    let mut theirs = two.bob.load().unwrap().unwrap();
    assert_eq!(theirs, ours);
    two.bob.save(&mut theirs).unwrap();
    assert!(matches!(
        two.ada.save(&mut ours.clone()),
        Err(StoreError::Moved {
            loaded: 1,
            found: 2,
            ..
        })
    ));
    assert!(matches!(
        two.ada.save(&mut state()),
        Err(StoreError::Moved { loaded: 0, .. })
    ));
    for _ in 0..11 {
        two.bob.save(&mut theirs).unwrap();
    }
    assert_eq!(two.bob.list("backups").unwrap().len(), 10);
}

#[test]
fn a_destroyed_environment_leaves_what_is_worth_keeping_and_a_late_write_is_refused() {
    let Some(two) = Two::start() else { return };
    let mut ours = state();
    two.ada.save(&mut ours).unwrap();
    for name in ["secrets.age", "known_hosts", "history/0001.json"] {
        two.ada.put(name, name.as_bytes()).unwrap();
    }
    let mut late = two.bob.load().unwrap().unwrap();
    let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
    let Place::Object { key, .. } = two.ada.archive_and_remove(now).unwrap() else {
        panic!()
    };
    assert!(key.ends_with("/_destroyed/demo-20261121T100000Z/"), "{key}");
    assert_eq!(two.ada.documents().unwrap(), [""; 0]);
    assert!(!two.ada.folder().exists());
    assert!(two.ada.load().unwrap().is_none());
    assert!(matches!(
        two.bob.save(&mut late),
        Err(StoreError::Vanished { serial: 1, .. })
    ));

    let Backend::S3(bucket) = &two.backend else { panic!() };
    let kept = provision::state::storage::S3::new(bucket, &environment(), true)
        .with_config(&two.service.config())
        .archive("_destroyed/demo-20261121T100000Z");
    let kept = provision::state::Storage::S3(kept);
    let names = |folder: &str| -> Vec<String> { kept.list(folder).unwrap().into_iter().map(|d| d.name).collect() };
    assert_eq!(names(""), ["secrets.age", "state.json"]);
    assert_eq!(names("history"), ["history/0001.json"]);

    // The next life begins like the first one.
    let mut next = State::new(environment(), provision::names::Lineage::from_bytes([8; 16]));
    two.bob.save(&mut next).unwrap();
    assert_eq!(two.ada.load().unwrap(), Some(next));
}

#[test]
fn a_run_that_was_overtaken_takes_nothing_away() {
    let Some(two) = Two::start() else { return };
    let mut ours = state();
    two.ada.save(&mut ours).unwrap();
    let mut theirs = two.bob.load().unwrap().unwrap();
    two.bob.put("secrets.age", b"theirs").unwrap();
    two.bob.save(&mut theirs).unwrap();
    let before = two.bob.documents().unwrap();
    assert!(matches!(
        two.ada.archive_and_remove(Timestamp::now()),
        Err(StoreError::Moved {
            loaded: 1,
            found: 2,
            ..
        })
    ));
    assert_eq!(two.bob.documents().unwrap(), before);
}

#[test]
fn secrets_are_replaced_only_by_whoever_has_read_them() {
    let Some(two) = Two::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let place = provision::state::identity::Source::Default(folder.path().join("identity"));
    let (identity, _) = Identity::load_or_create_from(&place).unwrap();
    let lineage = state().lineage;
    let bundle = |value: &str| Bundle {
        secrets: [("KEY".to_owned(), Secret::new(value))].into(),
        ..Bundle::default()
    };
    let (ours, theirs) = (
        BundleStore::new(two.ada.storage(), &lineage),
        BundleStore::new(two.bob.storage(), &lineage),
    );
    assert!(!ours.exists().unwrap());
    ours.save(&bundle("one"), &identity).unwrap();
    assert_eq!(theirs.load(&identity).unwrap(), Some(bundle("one")));
    theirs.save(&bundle("two"), &identity).unwrap();
    // Read again and compared, it still is not what this run began with.
    assert_eq!(ours.load(&identity).unwrap(), Some(bundle("two")));
    assert!(matches!(
        ours.save(&bundle("late"), &identity),
        Err(BundleError::Moved { .. })
    ));
    assert_eq!(theirs.load(&identity).unwrap(), Some(bundle("two")));
    theirs.save(&bundle("three"), &identity).unwrap();
}

#[test]
fn ssh_finds_the_host_keys_as_a_file() {
    let Some(two) = Two::start() else { return };
    let lineage = state().lineage;
    let hosts = |store: &Store| KnownHosts::new(store.storage(), store.folder(), &environment(), &lineage);
    let key = SshKey::generate("root@image").unwrap().public_openssh.parse().unwrap();
    hosts(&two.ada).add(&key).unwrap();
    let theirs = hosts(&two.bob);
    assert!(!theirs.path().exists());
    theirs.fetch().unwrap();
    let text = std::fs::read_to_string(theirs.path()).unwrap();
    assert_eq!(text, std::fs::read_to_string(hosts(&two.ada).path()).unwrap());
    assert!(text.starts_with("demo-07070707 ssh-ed25519 "));
    theirs.remove(&key).unwrap();
    assert!(hosts(&two.ada).keys().unwrap().is_empty());
}

#[test]
fn one_computer_at_a_time_holds_the_lock() {
    let Some(two) = Two::start() else { return };
    let (ours, theirs) = (two.ada.storage(), two.bob.storage());
    assert_eq!(Lock::look(theirs).unwrap(), None);
    let lock = Lock::try_acquire(ours, "apply demo", Some("CI job 7")).unwrap();
    lock.verify().unwrap();
    lock.renew().unwrap();
    match Lock::try_acquire(theirs, "destroy demo", None) {
        Err(LockError::Held { command, reason, .. }) => {
            assert_eq!((command.as_str(), reason.as_deref()), ("apply demo", Some("CI job 7")));
        }
        other => panic!("{other:?}"),
    }
    let seen = Lock::look(theirs).unwrap().unwrap();
    assert!(!seen.is_free);
    assert!(matches!(
        Lock::break_lease(theirs, "another"),
        Err(LockError::Changed { .. })
    ));
    lock.renew().unwrap();
    Lock::break_lease(theirs, &seen.token).unwrap();
    let next = Lock::try_acquire(theirs, "destroy demo", None).unwrap();
    assert!(matches!(lock.renew(), Err(LockError::Lost { holder: Some(_), .. })));
    assert!(matches!(lock.verify(), Err(LockError::Lost { .. })));
    lock.release().unwrap();
    next.verify().unwrap();
    next.release().unwrap();
    assert_eq!(Lock::look(ours).unwrap(), None);
    drop(Lock::try_acquire(ours, "apply demo", None).unwrap());
    assert_eq!(Lock::look(ours).unwrap(), None);
}

/// The holder was killed on another computer: nobody here can see that it is dead.
#[test]
fn a_holder_killed_elsewhere_is_waited_for_until_its_lease_ends() {
    let Some(two) = Two::start() else { return };
    let (ours, theirs) = (two.ada.storage(), two.bob.storage());
    std::mem::forget(Lock::try_acquire(ours, "apply demo", None).unwrap());
    let ends_in = |seconds: i64| {
        let (bytes, version) = ours.get("state.lock").unwrap().unwrap();
        let mut lease: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        lease["process"]["host"] = "elsewhere".into();
        lease["expires"] = (ours.now() + jiff::SignedDuration::from_secs(seconds))
            .to_string()
            .into();
        let bytes = serde_json::to_vec(&lease).unwrap();
        ours.put("state.lock", &bytes, &Expect::Seen(version)).unwrap();
    };
    ends_in(60);
    assert!(matches!(
        Lock::try_acquire(theirs, "apply demo", None),
        Err(LockError::Held { .. })
    ));
    ends_in(1);
    let wait = Lock::acquire(theirs, "apply demo", None, Duration::from_secs(20));
    let lock = crate::service::block_on(wait).unwrap();
    assert!(lock.taken_over().unwrap().to_string().ends_with(": its lease ran out"));
}

#[test]
fn documents_move_from_a_folder_to_a_bucket_and_back() {
    let Some(two) = Two::start() else { return };
    let now = Timestamp::UNIX_EPOCH;
    let local = Store::new(two.root(), &environment());
    let mut ours = state();
    local.save(&mut ours).unwrap();
    local.put("history/0001.json", b"{}").unwrap();
    let refused = two.ada.load().unwrap_err();
    assert!(matches!(refused, StoreError::Elsewhere { .. }));
    assert!(
        refused.remedy().contains("provision state migrate demo"),
        "{}",
        refused.remedy()
    );

    let seen = local.copy_all(&two.ada).unwrap();
    local.leave_for(&two.ada, seen.as_ref(), now).unwrap();
    assert_eq!(two.ada.load().unwrap(), Some(ours.clone()));
    assert_eq!(two.bob.get("history/0001.json").unwrap().unwrap(), b"{}");
    let refused = local.load().unwrap_err();
    assert!(matches!(refused, StoreError::Elsewhere { .. }), "{refused}");
    assert_eq!(
        Store::remembered(two.root(), &environment()).unwrap(),
        Some(two.backend.clone())
    );

    two.ada.save(&mut ours).unwrap();
    let seen = two.ada.copy_all(&local).unwrap();
    two.ada.leave_for(&local, seen.as_ref(), now).unwrap();
    assert_eq!(local.load().unwrap(), Some(ours));
    assert!(matches!(two.bob.load(), Err(StoreError::MovedAway { .. })));
}

#[test]
fn a_pushed_state_must_follow_the_one_that_is_there() {
    let Some(two) = Two::start() else { return };
    let mut ours = state();
    two.ada.save(&mut ours).unwrap();
    let pulled = two.ada.pull().unwrap().unwrap();
    let mut edited = two.ada.check(&pulled, &Place::Path("state.json".into())).unwrap();
    edited.outputs.insert("note".into(), "edited".into());
    let pushed = two.ada.push(edited.clone(), Push::Successor).unwrap();
    assert_eq!((pushed.serial, two.bob.load().unwrap()), (2, Some(pushed.clone())));
    assert!(matches!(
        two.ada.push(edited.clone(), Push::Successor),
        Err(StoreError::Moved { .. })
    ));
    let other = State::new(environment(), provision::names::Lineage::from_bytes([9; 16]));
    assert!(matches!(
        two.ada.push(other.clone(), Push::Successor),
        Err(StoreError::OtherLineage { .. })
    ));
    assert_eq!(two.ada.push(other, Push::Forced).unwrap().serial, 3);
    assert!(
        two.ada
            .list("backups")
            .unwrap()
            .contains(&"backups/state-2.json".to_owned())
    );
}
