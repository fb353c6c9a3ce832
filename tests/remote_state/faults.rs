//! Calls whose answers are lost, refused or late: nothing is written twice, and nothing of ours is taken for somebody else's.

use provision::state::StorageError;
use provision::state::storage::Expect;
use serde_json::json;

use crate::service::{Service, state};

#[test]
fn a_write_whose_answer_was_lost_is_recognised() {
    let Some(service) = Service::double() else { return };
    let root = tempfile::tempdir().unwrap();
    let store = service.store(root.path(), &service.backend());
    let storage = store.storage();
    for (number, fault) in ["lose", "reset", "error-500", "throttle"].into_iter().enumerate() {
        let name = format!("document-{number}");
        service.reset();
        service.faults(&[("PUT", json!(1), fault)]);
        let first = storage.put(&name, b"one", &Expect::Absent).unwrap();
        service.faults(&[("PUT", json!(1), fault)]);
        let second = storage.put(&name, b"two", &Expect::Seen(first.clone())).unwrap();
        assert_eq!(storage.get(&name).unwrap(), Some((b"two".to_vec(), second)), "{fault}");
        let puts = service.calls().iter().filter(|call| *call == "PUT").count();
        // What was lost after its effect is not written again; what was refused is.
        assert_eq!(puts, if fault == "lose" { 2 } else { 4 }, "{fault}");
    }
}

/// The second attempt finds the first one's object, and a condition that does not hold any more.
#[test]
fn a_write_that_was_lost_and_refused_then_is_ours() {
    let Some(service) = Service::double() else { return };
    let root = tempfile::tempdir().unwrap();
    let store = service.store(root.path(), &service.backend());
    // The look that would tell is lost as well.
    service.faults(&[("PUT", json!(1), "lose"), ("GET", json!(1), "reset")]);
    store.storage().put("state.lock", b"ours", &Expect::Absent).unwrap();
    assert!(matches!(
        store.storage().put("state.lock", b"theirs", &Expect::Absent),
        Err(StorageError::Conflict)
    ));
}

#[test]
fn a_state_is_saved_over_a_bad_line() {
    let Some(service) = Service::double() else { return };
    let root = tempfile::tempdir().unwrap();
    let store = service.store(root.path(), &service.backend());
    let mut state = state();
    store.save(&mut state).unwrap();
    for fault in ["lose", "reset", "error-500"] {
        service.faults(&[
            ("PUT", json!(1), fault),
            ("GET", json!(1), fault),
            ("DELETE", json!(1), fault),
        ]);
        for _ in 0..4 {
            store.save(&mut state).unwrap();
        }
    }
    assert_eq!(state.serial, 13);
    assert_eq!(store.load().unwrap(), Some(state));
    assert_eq!(store.list("backups").unwrap().len(), 10);
}

#[test]
fn what_never_answers_ends_after_some_attempts() {
    let Some(service) = Service::double() else { return };
    let root = tempfile::tempdir().unwrap();
    let store = service.store(root.path(), &service.backend());
    service.faults(&[("GET", json!("every"), "reset")]);
    let error = store.load().unwrap_err();
    assert!(
        error.to_string().starts_with("failed to read the state s3://states/"),
        "{error}"
    );
    assert!(matches!(
        error,
        provision::state::StoreError::Read {
            why: StorageError::S3(_),
            ..
        }
    ));
    assert_eq!(service.calls().len(), 4);
}
