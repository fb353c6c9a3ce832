//! The folder as a storage: what is torn, full or forbidden leaves the document that was there.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::*;

/// Set in a child process: the folder it works in. Without it the test named `child_…` does nothing.
const CHILD: &str = "PROVISION_TEST_CHILD_STORAGE";

/// What must never be lost, each with another way to be written.
const NAMES: [&str; 4] = ["state.json", "secrets.age", "state.lock", "history/0001.json"];

fn folder() -> (tempfile::TempDir, Storage) {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::local(&folder.path().join("demo"));
    (folder, storage)
}

fn path(storage: &Storage, name: &str) -> PathBuf {
    match storage.place(name) {
        Place::Path(path) => path,
        other => panic!("{other}"),
    }
}

/// Larger than one block of a file size limit in any shell.
fn bytes(byte: u8) -> Vec<u8> {
    vec![byte; 3000]
}

#[test]
fn a_document_is_replaced_by_whoever_has_seen_it() {
    let (_folder, storage) = folder();
    assert_eq!(storage.get("a").unwrap(), None);
    let conflict = |result: Result<_, StorageError>| matches!(result, Err(StorageError::Conflict));
    let unseen = Expect::Seen(Version::of(b"one"));
    assert!(conflict(storage.put("a", b"two", &unseen)));
    assert!(!path(&storage, "").exists(), "a folder that is gone does not come back");

    let first = storage.put("a", b"one", &Expect::Absent).unwrap();
    assert!(conflict(storage.put("a", b"two", &Expect::Absent)));
    let second = storage.put("a", b"two", &Expect::Seen(first.clone())).unwrap();
    assert!(conflict(storage.put("a", b"three", &Expect::Seen(first.clone()))));
    assert!(matches!(
        storage.remove("a", &Expect::Seen(first)),
        Err(StorageError::Conflict)
    ));
    assert_eq!(storage.get("a").unwrap(), Some((b"two".to_vec(), second.clone())));
    storage.remove("a", &Expect::Seen(second)).unwrap();
    assert_eq!(storage.get("a").unwrap(), None);
    storage.remove("a", &Expect::Any).unwrap();
}

#[test]
fn a_write_that_was_torn_at_any_byte_leaves_the_old_document() {
    let (_folder, storage) = folder();
    for name in NAMES {
        let old = storage.put(name, b"the one that was there", &Expect::Absent).unwrap();
        let file = path(&storage, name);
        let torn = file.with_file_name(format!(".tmp-{}-abc123", file.file_name().unwrap().display()));
        let new = b"the one that would have come";
        for length in 0..=new.len() {
            fs::write(&torn, &new[..length]).unwrap();
            assert_eq!(
                storage.get(name).unwrap(),
                Some((b"the one that was there".to_vec(), old.clone()))
            );
        }
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let listed: Vec<String> = storage
            .list(folder)
            .unwrap()
            .into_iter()
            .map(|document| document.name)
            .collect();
        assert!(
            listed.contains(&name.to_owned()) && listed.iter().all(|name| !name.contains(".tmp-")),
            "{listed:?}"
        );
        storage.put(name, new, &Expect::Seen(old)).unwrap();
        assert!(!torn.exists(), "the next write clears it");
        assert_eq!(storage.get(name).unwrap().unwrap().0, new);
    }
}

#[test]
fn child_cannot_write() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let storage = Storage::local(Path::new(&folder));
    for name in NAMES {
        let (old, version) = storage.get(name).unwrap().unwrap();
        for expect in [Expect::Any, Expect::Seen(version)] {
            let error = storage.put(name, &bytes(2), &expect).unwrap_err();
            assert!(matches!(error, StorageError::File(_)), "{name}: {error:?}");
        }
        assert_eq!(storage.get(name).unwrap().unwrap().0, old);
    }
}

/// The test above in a process of its own. It must have run: a misspelt name runs none and succeeds.
fn assert_passes(mut command: Command, folder: &Path) {
    let output = command
        .args(["state::storage::tests::child_cannot_write", "--exact", "--quiet"])
        .env(CHILD, folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{} {text}",
        output.status
    );
}

fn filled(storage: &Storage) {
    for name in NAMES {
        storage.put(name, &bytes(1), &Expect::Absent).unwrap();
    }
}

#[test]
fn a_full_disk_leaves_the_old_documents() {
    let (_folder, storage) = folder();
    filled(&storage);
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap());
    assert_passes(command, &path(&storage, ""));
    for name in NAMES {
        assert_eq!(storage.get(name).unwrap().unwrap().0, bytes(1), "{name}");
    }
}

#[test]
fn a_read_only_folder_leaves_the_old_documents() {
    let (root, storage) = folder();
    filled(&storage);
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let (demo, history) = (path(&storage, ""), path(&storage, "history"));
    for name in NAMES {
        allow(&path(&storage, name), 0o644);
    }
    allow(root.path(), 0o755);
    allow(&history, 0o555);
    allow(&demo, 0o555);
    let program = std::env::current_exe().unwrap();
    let command = if fs::metadata(root.path()).unwrap().uid() == 0 {
        // Root writes anywhere, so the child is nobody; it must still reach the test program.
        let copy = root.path().join("tests");
        fs::hard_link(&program, &copy)
            .or_else(|_| fs::copy(&program, &copy).map(drop))
            .unwrap();
        let mut command = Command::new(copy);
        command.current_dir("/").gid(65534).uid(65534);
        command
    } else {
        Command::new(program)
    };
    assert_passes(command, &demo);
    allow(&demo, 0o755);
    allow(&history, 0o755);
    for name in NAMES {
        assert_eq!(storage.get(name).unwrap().unwrap().0, bytes(1), "{name}");
    }
}
