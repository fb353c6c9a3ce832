//! Everything moves to another place: cut off anywhere, there is one state that counts.

use super::*;

/// Another place for the same environment.
fn next(root: &TempDir) -> Store {
    let storage = Storage::local(&root.path().join("elsewhere/demo"));
    Store::new(root.path(), &environment()).with_storage(storage)
}

#[test]
fn everything_moves_and_the_old_place_says_where_to() {
    let (root, old, mut state) = saved();
    old.put("secrets.age", b"sealed").unwrap();
    old.put("history/0001.json", b"{}").unwrap();
    let new = next(&root);
    let seen = old.copy_all(&new).unwrap();
    old.leave_for(&new, seen.as_ref(), now()).unwrap();

    assert_eq!(new.load().unwrap().unwrap(), state);
    assert_eq!(new.get("secrets.age").unwrap().unwrap(), b"sealed");
    assert_eq!(new.get("history/0001.json").unwrap().unwrap(), b"{}");
    assert_eq!(new.list("backups").unwrap(), ["backups/state-1.json"]);
    let error = old.load().unwrap_err();
    let StoreError::MovedAway { to, .. } = &error else {
        panic!("{error}");
    };
    assert!(to.ends_with("/elsewhere/demo/state.json"), "{to}");
    // Whoever still has the old state cannot write it, and nobody begins anew.
    assert!(matches!(old.save(&mut state), Err(StoreError::Vanished { .. })));

    // And back again.
    let mut state = new.load().unwrap().unwrap();
    new.save(&mut state).unwrap();
    let seen = new.copy_all(&old).unwrap();
    new.leave_for(&old, seen.as_ref(), now()).unwrap();
    assert_eq!(old.load().unwrap().unwrap(), state);
    assert!(matches!(new.load(), Err(StoreError::MovedAway { .. })));
    assert_eq!(old.get("moved.json").unwrap(), None);
}

#[test]
fn a_copy_that_was_cut_off_is_made_good() {
    let (root, old, mut state) = saved();
    let new = next(&root);
    // Cut off before the end: work goes on at the old place.
    old.copy_all(&new).unwrap();
    assert_eq!(old.load().unwrap().unwrap(), state);
    old.save(&mut state).unwrap();
    let seen = old.copy_all(&new).unwrap();
    // Somebody writes at the old place although it is about to be left.
    let mut other = state.clone();
    old.save(&mut other).unwrap();
    assert!(old.leave_for(&new, seen.as_ref(), now()).is_err());
    assert_eq!(old.load().unwrap().unwrap(), other, "nothing is lost");
    let seen = old.copy_all(&new).unwrap();
    old.leave_for(&new, seen.as_ref(), now()).unwrap();
    assert_eq!(new.load().unwrap().unwrap(), other);
    // Once more, as by a run that did not see the end of the first: nothing is there to be moved.
    assert_eq!(old.copy_all(&new).unwrap(), None);
    assert_eq!(new.load().unwrap().unwrap(), other);
}

#[test]
fn what_others_keep_there_is_not_overwritten() {
    let (root, old, _) = saved();
    let new = next(&root);
    let mut theirs = State::new(environment(), lineage(8));
    new.save(&mut theirs).unwrap();
    assert!(matches!(old.copy_all(&new), Err(StoreError::Taken { .. })));
    assert_eq!(new.load().unwrap().unwrap(), theirs);
    assert!(old.load().unwrap().is_some());
}
