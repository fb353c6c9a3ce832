//! The host's lease over real connections: one of two has it, and a dead holder keeps nobody out for long.

use std::time::{Duration, Instant};

use provision::apply::{ActError, Barred, HostLease};
use provision::names::Lineage;
use provision::remote::Session;
use provision::remote::lease::{Answer, Ask, Holder, ask};
use provision::state::ProcessIdentity;
use serde_json::json;

use crate::server::Server;
use crate::{connect, silent};

fn lineage(byte: u8) -> Lineage {
    Lineage::from_bytes([byte; 16])
}

fn lease(command: &str, wait: Duration) -> HostLease {
    HostLease::new(&"shop".parse().unwrap(), &lineage(1), command, wait).unwrap()
}

fn now(command: &str) -> HostLease {
    lease(command, Duration::ZERO)
}

/// Somebody on another computer, who took it for so long.
async fn elsewhere(session: &Session, token: &str, seconds: u64, process: serde_json::Value) -> Answer {
    let holder = Holder {
        who: "bob@ci".to_owned(),
        command: "apply".to_owned(),
        environment: "shop".to_owned(),
        since: "2026-11-21T10:00:00Z".to_owned(),
        process,
    };
    let lineage = lineage(1);
    let take = Ask::Take {
        token,
        seconds,
        lineage: &lineage,
        holder: &holder,
        instead: None,
    };
    ask(session, &take, &silent).await.unwrap()
}

fn barred(result: Result<(), ActError>) -> Barred {
    match result {
        Err(ActError::Barred(barred)) => barred,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_host_is_changed_by_one_at_a_time() {
    let Some(server) = Server::start() else { return };
    server.ready();
    let target = server.target();
    let (here, there) = (connect(&target).await, connect(&target).await);

    let (mut ann, mut bob) = (now("apply"), now("destroy"));
    ann.hold(&here, &silent).await.unwrap();
    ann.hold(&here, &silent).await.unwrap();
    assert_eq!(here.count().commands, 1, "what is held costs nothing");
    let held = barred(bob.hold(&there, &silent).await);
    assert_eq!(held.code(), 4);
    let said = held.to_string();
    assert!(said.contains("running `apply` on `shop` since "), "{said}");
    assert!(held.remedy().contains("state unlock"), "{}", held.remedy());
    ann.release(Some(&here)).await;
    assert_eq!(here.count().commands, 2, "taken and given back");
    bob.hold(&there, &silent).await.unwrap();
    bob.release(Some(&there)).await;

    let mut other = HostLease::new(&"shop".parse().unwrap(), &lineage(2), "apply", Duration::ZERO).unwrap();
    let foreign = barred(other.hold(&here, &silent).await);
    assert_eq!(foreign.code(), 5);
    assert_eq!(ask(&here, &Ask::Show, &silent).await.unwrap().lease, None);

    for round in 0..20 {
        let (mut ann, mut bob) = (now("apply"), now("apply"));
        let (one, two) = tokio::join!(ann.hold(&here, &silent), bob.hold(&there, &silent));
        assert!(one.is_ok() != two.is_ok(), "round {round}: {one:?}, {two:?}");
        ann.release(Some(&here)).await;
        bob.release(Some(&there)).await;
    }
    here.close().await;
    there.close().await;
}

#[tokio::test]
async fn a_dead_holder_keeps_nobody_out_for_long() {
    let Some(server) = Server::start() else { return };
    server.ready();
    let target = server.target();
    let (here, there) = (connect(&target).await, connect(&target).await);

    // A process of this computer that is no more: at once.
    let mut dead = serde_json::to_value(ProcessIdentity::current()).unwrap();
    dead["pid"] = json!(u32::MAX - 1);
    assert!(elsewhere(&there, "aa", 60, dead).await.ours);
    let mut ann = now("apply");
    ann.hold(&here, &silent).await.unwrap();
    ann.release(Some(&here)).await;

    // One of another computer, killed with its connection: when its lease has run out.
    let begun = Instant::now();
    assert!(elsewhere(&there, "bb", 4, json!({"host": "ci"})).await.ours);
    let pid = there.process().unwrap().to_string();
    let mut kill = std::process::Command::new("kill");
    assert!(kill.args(["-9", &pid]).status().unwrap().success());
    let mut ann = now("apply");
    assert_eq!(barred(ann.hold(&here, &silent).await).code(), 4);
    let mut ann = lease("apply", Duration::from_secs(60));
    ann.hold(&here, &silent).await.unwrap();
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(3), "{waited:?}: it was not over yet");
    ann.release(Some(&here)).await;
    here.close().await;
}

#[tokio::test]
async fn a_holder_renews_its_lease_and_notices_when_it_lost_it() {
    let Some(server) = Server::start() else { return };
    server.ready();
    let target = server.target();
    let (here, there) = (connect(&target).await, connect(&target).await);
    let mut ann = now("apply").lasting(Duration::from_secs(4));
    ann.hold(&here, &silent).await.unwrap();
    let renewal = ann.renewal();
    // Longer than it lasts by itself.
    assert!(
        tokio::time::timeout(Duration::from_secs(6), renewal).await.is_err(),
        "it was lost"
    );
    let seen = ask(&there, &Ask::Show, &silent).await.unwrap().lease.unwrap();

    let token = seen.token.as_str();
    assert!(ask(&there, &Ask::Break { token }, &silent).await.unwrap().ours);
    assert!(elsewhere(&there, "cc", 60, json!(null)).await.ours);
    let lost = tokio::time::timeout(Duration::from_secs(20), ann.renewal())
        .await
        .unwrap();
    assert!(
        matches!(lost, ActError::Barred(Barred::Lost { by: Some(_) })),
        "{lost:?}"
    );
    assert!(lost.to_string().contains("bob@ci took it over"), "{lost}");
    assert!(matches!(ann.renew().await, Err(ActError::Barred(Barred::Lost { .. }))));
    // What is not ours is not given back.
    ann.release(Some(&here)).await;
    assert_eq!(
        ask(&here, &Ask::Show, &silent).await.unwrap().lease.unwrap().token,
        "cc"
    );
    here.close().await;
    there.close().await;
}
