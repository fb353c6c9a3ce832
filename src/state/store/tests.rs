use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use tempfile::TempDir;

use super::super::model::{Record, Status};
use super::*;
use crate::names::{Address, Lineage};

mod migration;

/// Set in a child process: the project's root it works in. Without it the tests named `child_…` do nothing.
const CHILD_ROOT: &str = "PROVISION_TEST_CHILD_ROOT";

const FILE_SIZE_SIGNAL: i32 = 25; // SIGXFSZ on Linux, macOS and the BSDs

fn environment() -> EnvironmentName {
    "demo".parse().unwrap()
}

fn lineage(byte: u8) -> Lineage {
    Lineage::from_bytes([byte; 16])
}

fn now() -> Timestamp {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

/// A state of almost two kilobytes: larger than one block of a file size limit in any shell.
fn state() -> State {
    let mut state = State::new(environment(), lineage(7));
    for number in 0..12 {
        let address = Address::Stack(format!("stack-{number}").parse().unwrap());
        state.intend(
            &address,
            BTreeMap::from([("size".to_owned(), number.to_string())]),
            now(),
        );
    }
    state
}

fn file(store: &Store) -> PathBuf {
    store.folder().join(STATE_FILE)
}

fn archived(store: &Store) -> PathBuf {
    match store.archive_and_remove(now()).unwrap() {
        Place::Path(path) => path,
        other => panic!("{other}"),
    }
}

fn saved() -> (TempDir, Store, State) {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path(), &environment());
    let mut state = state();
    store.save(&mut state).unwrap();
    (root, store, state)
}

/// What a person sees, with the temporary folder's name taken out.
fn shown(root: &TempDir, error: &StoreError) -> String {
    let text = format!("{error}\nhint: {}", error.remedy());
    text.replace(&root.path().display().to_string(), "ROOT")
}

#[test]
fn loading_and_saving_changes_nothing_but_the_serial() {
    let (_root, store, first) = saved();
    assert_eq!(first.serial, 1);
    let mut again = store.load().unwrap().unwrap();
    assert_eq!(again, first);
    store.save(&mut again).unwrap();
    assert_eq!(again, State { serial: 2, ..first });
    assert_eq!(store.load().unwrap().unwrap(), again);
}

#[test]
fn there_is_no_state_before_the_first_save() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path(), &environment());
    assert!(store.load().unwrap().is_none());
    assert!(!store.folder().exists(), "loading makes nothing");
}

#[test]
fn the_folder_is_private_and_out_of_git() {
    let (root, store, _) = saved();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(store.folder()), 0o700);
    assert_eq!(mode(&file(&store)), 0o600);
    assert_eq!(
        fs::read_to_string(root.path().join(".provision/.gitignore")).unwrap(),
        "*\n"
    );
    fs::write(root.path().join(".provision/.gitignore"), "the user's own").unwrap();
    store.prepare().unwrap();
    assert_eq!(
        fs::read_to_string(root.path().join(".provision/.gitignore")).unwrap(),
        "the user's own"
    );
}

#[test]
fn a_write_that_was_torn_at_any_byte_leaves_the_old_state() {
    let (_root, store, old) = saved();
    let bytes = fs::read(file(&store)).unwrap();
    let torn = store.folder().join(".tmp-state.json-abc123");
    for length in (0..=bytes.len()).step_by(7) {
        fs::write(&torn, &bytes[..length]).unwrap();
        assert_eq!(store.load().unwrap().as_ref(), Some(&old));
    }
    store.save(&mut old.clone()).unwrap();
    assert!(!torn.exists(), "the next write clears it");
}

#[test]
fn a_state_file_that_ends_at_any_byte_is_an_error_and_never_no_state() {
    let (_root, store, _) = saved();
    let bytes = fs::read(file(&store)).unwrap();
    for length in 0..bytes.len() - 1 {
        match store.decode(&bytes[..length]) {
            Err(StoreError::Damaged { .. }) => {}
            other => panic!("{length}: {other:?}"),
        }
    }
    fs::write(file(&store), b"").unwrap();
    assert!(matches!(store.load(), Err(StoreError::Damaged { backup: Some(_), .. })));
}

#[test]
fn a_damaged_state_says_where_and_how_to_restore() {
    let (root, store, state) = saved();
    let text = fs::read_to_string(file(&store)).unwrap();
    fs::write(file(&store), text.replace("\"serial\": 1,", "\"serial\": one,")).unwrap();
    let error = store.load().unwrap_err();
    insta::assert_snapshot!(shown(&root, &error), @r#"
    failed to read the state ROOT/.provision/demo/state.json: damaged at line 3, column 13: `"serial": one,`
    hint: restore the newest sound backup with `cp ROOT/.provision/demo/backups/state-1.json ROOT/.provision/demo/state.json`; provision then looks at the machine and continues
    "#);
    assert!(store.save(&mut state.clone()).is_err(), "nor is it overwritten");

    fs::write(store.folder().join("backups/state-1.json"), "[]").unwrap();
    let error = store.load().unwrap_err();
    assert!(
        error.remedy().starts_with("there is no sound backup"),
        "{}",
        error.remedy()
    );
}

#[test]
fn a_newer_state_names_its_writer() {
    let (root, store, mut state) = saved();
    state.version = 2;
    state.written_by = "provision 3.1.4".to_owned();
    fs::write(file(&store), serde_json::to_vec(&state).unwrap()).unwrap();
    insta::assert_snapshot!(shown(&root, &store.load().unwrap_err()), @r#"
    failed to read the state ROOT/.provision/demo/state.json: its version is 2, written by `provision 3.1.4`, and this is `provision 0.1.0`, which reads up to version 1
    hint: upgrade to `provision 3.1.4` or newer
    "#);
    // Whatever else a later version changes.
    fs::write(file(&store), r#"{"version": 9, "resources": []}"#).unwrap();
    assert!(matches!(store.load(), Err(StoreError::Newer { version: 9, .. })));
}

#[test]
fn another_environments_state_is_refused() {
    let (root, store, _) = saved();
    let other = Store::new(root.path(), &"prod".parse().unwrap());
    other.prepare().unwrap();
    fs::copy(file(&store), file(&other)).unwrap();
    insta::assert_snapshot!(shown(&root, &other.load().unwrap_err()), @r#"
    refused the state ROOT/.provision/prod/state.json: it belongs to the environment `demo`, not to `prod`
    hint: was ROOT/.provision/prod/state.json copied or renamed from `demo`? Move it back there; every environment has a folder of its own
    "#);
    assert!(matches!(
        other.save(&mut state()),
        Err(StoreError::OtherEnvironment { .. })
    ));
}

#[test]
fn a_writer_that_was_overtaken_is_refused() {
    let (root, store, mut first) = saved();
    let mut second = first.clone();
    store.save(&mut first).unwrap();
    let error = store.save(&mut second).unwrap_err();
    insta::assert_snapshot!(shown(&root, &error), @r#"
    refused to write the state ROOT/.provision/demo/state.json: this run loaded serial 1, and `provision 0.1.0` wrote serial 2 meanwhile
    hint: somebody else worked on the environment while this run did: run the command again, it continues from what is there now
    "#);
    assert_eq!(second.serial, 1);

    let mut other_life = State::new(environment(), lineage(8));
    assert!(matches!(
        store.save(&mut other_life),
        Err(StoreError::OtherLineage { .. })
    ));
    fs::remove_file(file(&store)).unwrap();
    assert!(matches!(
        store.save(&mut first),
        Err(StoreError::Vanished { serial: 2, .. })
    ));
}

#[test]
fn of_writers_at_the_same_time_exactly_one_wins() {
    let (_root, store, state) = saved();
    let winners = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| store.save(&mut state.clone()).is_ok()))
            .collect();
        writers
            .into_iter()
            .map(|w| w.join().unwrap())
            .filter(|won| *won)
            .count()
    });
    assert_eq!(winners, 1);
    assert_eq!(store.load().unwrap().unwrap().serial, 2);
}

#[test]
fn the_last_ten_states_are_kept_also_after_a_restore() {
    let (_root, store, mut state) = saved();
    let torn = store.folder().join("backups/.tmp-state-2.json-abc123");
    fs::write(&torn, "torn").unwrap();
    for _ in 0..13 {
        store.save(&mut state).unwrap();
    }
    assert!(!torn.exists());
    let serials = || {
        let mut serials: Vec<u64> = fs::read_dir(store.folder().join("backups"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| name["state-".len()..name.len() - ".json".len()].parse().unwrap())
            .collect();
        serials.sort_unstable();
        serials
    };
    assert_eq!(serials(), (5..=14).collect::<Vec<u64>>());

    fs::copy(store.folder().join("backups/state-5.json"), file(&store)).unwrap();
    let mut restored = store.load().unwrap().unwrap();
    store.save(&mut restored).unwrap();
    store.save(&mut restored).unwrap();
    assert_eq!(restored.serial, 7);
    assert!(serials().contains(&7));
    assert_eq!(store.newest_backup().unwrap(), "backups/state-7.json", "newest by time");
}

#[test]
fn a_backup_that_fails_is_told_and_the_state_is_written() {
    let (_root, store, mut state) = saved();
    fs::remove_dir_all(store.folder().join("backups")).unwrap();
    fs::write(store.folder().join("backups"), "in the way").unwrap();
    assert!(matches!(
        store.save(&mut state),
        Err(StoreError::Backup { serial: 2, .. })
    ));
    assert_eq!(store.load().unwrap().unwrap(), state);
}

#[test]
fn a_destroyed_environments_state_and_secrets_are_kept() {
    let (root, store, state) = saved();
    for name in ["secrets.age", "known_hosts", "state.lock"] {
        fs::write(store.folder().join(name), name).unwrap();
    }
    let archive = archived(&store);
    assert_eq!(archive, root.path().join(".provision/_destroyed/demo-20261121T100000Z"));
    assert!(!store.folder().exists());
    assert!(store.load().unwrap().is_none());
    let mut kept: Vec<_> = fs::read_dir(&archive)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    kept.sort();
    assert_eq!(kept, ["secrets.age", "state.json"]);
    let bytes = fs::read(archive.join("state.json")).unwrap();
    assert_eq!(serde_json::from_slice::<State>(&bytes).unwrap(), state);

    store.save(&mut State::new(environment(), lineage(9))).unwrap();
    let second = archived(&store);
    assert!(second.ends_with("demo-20261121T100000Z-2"));
}

/// One of the tests below in a process of its own, through a shell that sets limits.
fn child(test: &str, root: &Path, shell: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{shell} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap());
    as_child(command, test, root)
}

fn as_child(mut command: Command, test: &str, root: &Path) -> Command {
    command
        .args([&format!("state::store::tests::{test}"), "--exact", "--quiet"])
        .env(CHILD_ROOT, root)
        .stdout(Stdio::piped());
    command
}

/// The child must have run its test: a misspelt name runs none and succeeds.
fn assert_passed(mut command: Command) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{} {text}",
        output.status
    );
}

fn child_store() -> Option<Store> {
    let root = std::env::var_os(CHILD_ROOT)?;
    Some(Store::new(Path::new(&root), &environment()))
}

#[test]
fn child_cannot_write() {
    let Some(store) = child_store() else { return };
    let mut state = store.load().unwrap().unwrap();
    let error = store.save(&mut state).unwrap_err();
    assert!(matches!(error, StoreError::Write { .. }), "{error:?}");
    assert_eq!(state.serial, 1);
}

#[test]
fn child_writes_until_killed() {
    let Some(store) = child_store() else { return };
    let mut state = store.load().unwrap().unwrap();
    loop {
        store.save(&mut state).unwrap();
    }
}

#[test]
fn a_full_disk_leaves_the_old_state() {
    let (root, store, old) = saved();
    assert_passed(child("child_cannot_write", root.path(), "trap '' XFSZ; ulimit -f 1;"));
    assert_eq!(store.load().unwrap(), Some(old.clone()));

    // Killed in the middle of the write.
    let status = child("child_cannot_write", root.path(), "ulimit -c 0; ulimit -f 1;")
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(FILE_SIZE_SIGNAL), "{status}");
    assert_eq!(store.load().unwrap(), Some(old.clone()));
    store.save(&mut old.clone()).unwrap();
}

#[test]
fn a_read_only_folder_leaves_the_old_state() {
    let (root, store, old) = saved();
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let (project, environments) = (root.path(), store.folder().parent().unwrap());
    allow(project, 0o755);
    allow(environments, 0o755);
    allow(&file(&store), 0o644);
    allow(store.folder(), 0o555);
    let mut command = child("child_cannot_write", project, "");
    if fs::metadata(project).unwrap().uid() == 0 {
        // Root writes anywhere, so the child is nobody; it must still reach the test program.
        let copy = project.join("tests");
        fs::hard_link(std::env::current_exe().unwrap(), &copy)
            .or_else(|_| fs::copy(std::env::current_exe().unwrap(), &copy).map(drop))
            .unwrap();
        command = as_child(Command::new(&copy), "child_cannot_write", project);
        command.current_dir("/").gid(65534).uid(65534);
    }
    assert_passed(command);
    allow(store.folder(), 0o755);
    assert_eq!(store.load().unwrap(), Some(old));
}

#[test]
fn a_writer_killed_at_any_moment_leaves_a_sound_state() {
    let (root, store, first) = saved();
    for milliseconds in [31, 47, 59] {
        let before = store.load().unwrap().unwrap().serial;
        let mut child = child("child_writes_until_killed", root.path(), "").spawn().unwrap();
        while store.load().unwrap().unwrap().serial == before {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut found = store.load().unwrap().unwrap();
        assert_eq!(found.resources, first.resources);
        store.save(&mut found).unwrap();
    }
}

#[test]
fn the_fixtures_of_version_1_keep_loading_and_keep_their_shape() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/state");
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    for name in ["v1-demo.json", "v1-interrupted.json", "v1-pilot.json"] {
        let state: State = serde_json::from_str(&text(name)).unwrap();
        assert_eq!(
            serde_json::to_string_pretty(&state).unwrap() + "\n",
            text(name),
            "{name}"
        );
    }
    let demo: State = serde_json::from_str(&text("v1-demo.json")).unwrap();
    assert_eq!(demo.endpoint().unwrap().address.to_string(), "127.77.3.9");

    let text = text("v1-unknown-fields.json");
    let store = Store::new(Path::new("/nowhere"), &environment());
    let state = store.decode(text.as_bytes()).unwrap();
    assert_eq!(state.record(&Address::HostBase).unwrap().status, Status::Present);
}

fn any_text() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map(any::<String>(), any::<String>(), 0..4)
}

fn any_record() -> impl Strategy<Value = Record> {
    let status = prop::sample::select(vec![Status::Intended, Status::Present, Status::Removing]);
    // The years 1970 to 2286, to the nanosecond.
    let time = (0_i64..10_000_000_000, 0_i32..1_000_000_000)
        .prop_map(|(seconds, nanoseconds)| Timestamp::new(seconds, nanoseconds).unwrap());
    (status, any::<Option<String>>(), any_text(), any_text(), time).prop_map(
        |(status, id, attributes, facts, changed_at)| Record {
            status,
            id,
            attributes,
            facts,
            changed_at,
        },
    )
}

fn any_address() -> impl Strategy<Value = Address> {
    prop_oneof![
        Just(Address::MachineKey),
        Just(Address::MachineInstance),
        Just(Address::HostBase),
        Just(Address::Edge),
        "[a-z][a-z0-9-]{0,20}[a-z0-9]".prop_map(|name| Address::Stack(name.parse().unwrap())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn every_state_survives_json(
        serial in any::<u64>(),
        bytes in any::<[u8; 16]>(),
        resources in prop::collection::btree_map(any_address(), any_record(), 0..5),
        outputs in any_text(),
    ) {
        let state = State { serial, resources, outputs, ..State::new(environment(), Lineage::from_bytes(bytes)) };
        let bytes = serde_json::to_vec_pretty(&state).unwrap();
        let store = Store::new(Path::new("/nowhere"), &environment());
        prop_assert_eq!(store.decode(&bytes).unwrap(), state);
    }

    #[test]
    fn no_bytes_make_the_loader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
        let store = Store::new(Path::new("/nowhere"), &environment());
        let _ = store.decode(&bytes).map_err(|e| (e.to_string(), e.remedy()));
        // Nearly a state: the same bytes in the middle of one.
        let mut near = serde_json::to_vec_pretty(&state()).unwrap();
        let at = at.index(near.len());
        near.splice(at..at, bytes);
        let _ = store.decode(&near).map_err(|e| (e.to_string(), e.remedy()));
    }
}
