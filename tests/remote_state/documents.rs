//! Documents as objects: what is expected is compared by the service, and what was removed is gone for everybody.

use provision::state::StorageError;
use provision::state::storage::Expect;

use crate::service::Service;

#[test]
fn a_document_is_replaced_by_whoever_has_seen_it() {
    let Some(service) = Service::start() else { return };
    let root = tempfile::tempdir().unwrap();
    let store = service.store(root.path(), &service.backend());
    let storage = store.storage();
    storage.prepare().unwrap();
    assert_eq!(storage.get("state.json").unwrap(), None);

    let first = storage.put("state.json", b"one", &Expect::Absent).unwrap();
    let conflict = |result: Result<_, StorageError>| matches!(result, Err(StorageError::Conflict));
    assert!(conflict(storage.put("state.json", b"other", &Expect::Absent)));
    assert_eq!(
        storage.get("state.json").unwrap(),
        Some((b"one".to_vec(), first.clone()))
    );
    let second = storage.put("state.json", b"two", &Expect::Seen(first.clone())).unwrap();
    assert!(conflict(storage.put(
        "state.json",
        b"other",
        &Expect::Seen(first.clone())
    )));
    assert!(matches!(
        storage.remove("state.json", &Expect::Seen(first.clone())),
        Err(StorageError::Conflict)
    ));

    storage.remove("state.json", &Expect::Seen(second.clone())).unwrap();
    assert_eq!(storage.get("state.json").unwrap(), None);
    assert!(conflict(storage.put("state.json", b"other", &Expect::Seen(second))));
    let third = storage.put("state.json", b"three", &Expect::Absent).unwrap();
    assert_ne!(third, first);
    storage.put("state.json", b"four", &Expect::Any).unwrap();
    assert_eq!(storage.get("state.json").unwrap().unwrap().0, b"four");
}

#[test]
fn documents_are_listed_by_folder() {
    let Some(service) = Service::start() else { return };
    let root = tempfile::tempdir().unwrap();
    let store = service.store(root.path(), &service.backend());
    let storage = store.storage();
    assert!(store.list("history").unwrap().is_empty());
    for name in [
        "history/0002.json",
        "state.json",
        "history/0001.json",
        "backups/state-1.json",
    ] {
        storage.put(name, b"x", &Expect::Absent).unwrap();
    }
    let removed = storage.put("history/0003.json", b"x", &Expect::Absent).unwrap();
    storage.remove("history/0003.json", &Expect::Seen(removed)).unwrap();
    assert_eq!(
        store.list("history").unwrap(),
        ["history/0001.json", "history/0002.json"]
    );
    assert_eq!(
        store.documents().unwrap(),
        [
            "backups/state-1.json",
            "history/0001.json",
            "history/0002.json",
            "state.json"
        ]
    );
    storage.remove("history/0001.json", &Expect::Any).unwrap();
    storage.remove("history/0001.json", &Expect::Any).unwrap();
    assert_eq!(store.list("history").unwrap(), ["history/0002.json"]);
}
