//! `provision state migrate`: from this computer to a bucket and back, and killed on the way.

use std::process::Stdio;
use std::time::{Duration, Instant};

use provision::state::{State, Store, StoreError};

use crate::command::{APPLIED, Checkout, key};
use crate::service::{Service, environment};

const MIGRATE: [&str; 3] = ["state", "migrate", "demo"];

/// A state on this computer, of an environment whose file names a bucket.
fn at_home(service: &'static Service, key: &str) -> (Checkout, State) {
    let checkout = Checkout::new(service, Some(key));
    let mut state: State = serde_json::from_str(APPLIED).unwrap();
    state.serial = 0;
    let store = Store::new(checkout.root.path(), &environment());
    store.save(&mut state).unwrap();
    store.put("secrets.age", b"sealed").unwrap();
    (checkout, state)
}

#[test]
fn everything_moves_to_the_bucket_and_back() {
    let Some(service) = Service::start() else { return };
    let backend = service.backend();
    let (ada, state) = at_home(service, key(&backend));
    let (code, text) = ada.run(&MIGRATE);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("note: the state as it was is kept as [root]"), "{text}");
    let (code, text) = ada.run(&MIGRATE);
    assert!(code == 0 && text.contains("is where its file says"), "{text}");

    // Another computer has everything, too.
    let bob = Checkout::new(service, Some(key(&backend)));
    let listed = bob.run(&["state", "list", "demo", "--json"]);
    assert_eq!(listed, ada.run(&["state", "list", "demo", "--json"]));
    let there = service.store(bob.root.path(), &backend);
    assert_eq!(there.load().unwrap().unwrap(), state);
    assert_eq!(there.get("secrets.age").unwrap().unwrap(), b"sealed");

    // Home again; whoever has an old file is told where, and begins no second life.
    ada.write(None);
    let (code, text) = ada.run(&MIGRATE);
    assert_eq!(code, 0, "{text}");
    assert_eq!(ada.run(&["state", "list", "demo", "--json"]), listed);
    for command in [
        &["plan", "demo"][..],
        &["apply", "demo", "--yes"],
        &["state", "list", "demo"],
    ] {
        let (code, text) = bob.run(command);
        assert_eq!(code, 3, "{text}");
        assert!(text.contains("moved it to ") && text.contains("moved.json"), "{text}");
    }
}

#[test]
fn a_move_that_is_killed_loses_nothing_and_ends_at_the_next_try() {
    let Some(service) = Service::start() else { return };
    let begun = Instant::now();
    let backend = service.backend();
    let (ada, _) = at_home(service, key(&backend));
    assert_eq!(ada.run(&MIGRATE).0, 0);
    let whole = begun.elapsed();
    let mut kills = 0;
    for part in 1..=10 {
        let backend = service.backend();
        let (ada, state) = at_home(service, key(&backend));
        let mut command = ada.command(&MIGRATE);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(whole.min(Duration::from_secs(5)) * part / 11);
        kills += u32::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();

        // It is here, or it is there and here says so.
        let (here, there) = (
            Store::new(ada.root.path(), &environment()),
            service.store(ada.root.path(), &backend),
        );
        match here.load() {
            Ok(found) => assert_eq!(found, Some(state.clone()), "killed at {part}/11"),
            Err(StoreError::MovedAway { .. } | StoreError::Elsewhere { .. }) => {
                assert_eq!(there.load().unwrap(), Some(state.clone()), "killed at {part}/11");
            }
            Err(other) => panic!("killed at {part}/11: {other}"),
        }
        let (code, text) = ada.run(&MIGRATE);
        assert!(
            code == 0 || text.contains("is where its file says"),
            "killed at {part}/11: {text}"
        );
        assert_eq!(there.load().unwrap(), Some(state));
        assert_eq!(there.get("secrets.age").unwrap().unwrap(), b"sealed");
    }
    assert!(kills > 3, "{kills} kills");
}
