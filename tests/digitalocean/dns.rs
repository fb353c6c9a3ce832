//! Names: whose they are stands beside them, and records of others stay.

use std::collections::BTreeSet;

use provision::names::Address;
use provision::provider::{DnsKind, DnsSpec, InstanceSpec, Reached};
use serde_json::{Value, json};

use super::double::*;

const NAME: &str = "shop.example.com";

fn named() -> InstanceSpec {
    InstanceSpec {
        dns: Some(DnsSpec {
            provider: DnsKind::DigitalOcean,
            zone: None,
            names: [NAME.to_owned()].into(),
            ipv6: true,
        }),
        ..spec()
    }
}

fn at(address: &str, ipv6: Option<&str>) -> Reached {
    Reached {
        address: Some(address.parse().unwrap()),
        ipv6: ipv6.map(|ipv6| ipv6.parse().unwrap()),
    }
}

fn names() -> BTreeSet<String> {
    [NAME.to_owned()].into()
}

fn domain(double: &Double) {
    for name in ["example.com", "com", "other.net"] {
        double.somebody("POST", "domains", &json!({"name": name}));
    }
}

/// The records of the domain beside those of its name servers: `type name data`.
fn records(double: &Double) -> Vec<String> {
    let seen = double.look();
    let word = |record: &Value, key: &str| record[key].as_str().unwrap().to_owned();
    let mut shown: Vec<String> = seen["domains"]["example.com"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|record| record["type"] != "NS")
        .map(|record| {
            format!(
                "{} {} {}",
                word(record, "type"),
                word(record, "name"),
                word(record, "data")
            )
        })
        .collect();
    shown.sort();
    shown
}

#[tokio::test]
async fn a_name_leads_to_the_machine_and_is_taken_back() {
    let Some(double) = Double::start() else { return };
    domain(&double);
    let (dns, owner) = (double.dns(None), owner(1));
    let part = dns
        .ensure(&owner, NAME, &named(), &at("203.0.113.7", Some("2001:db8::7")), &quiet)
        .await
        .unwrap();
    assert_eq!(part.id, "example.com/shop.example.com", "the longest domain that fits");
    let claim = format!(
        "TXT _provision.shop provision lineage={} environment=demo",
        owner.lineage
    );
    assert_eq!(
        records(&double),
        ["A shop 203.0.113.7", "AAAA shop 2001:db8::7", &claim]
    );
    let known = knowing(&owner, Address::Dns(NAME.to_owned()), &part.id);
    double.reset();
    let (parts, obstacles) = dns.observe(&known, &names()).await.unwrap();
    assert_eq!(
        double.calls(),
        ["domains_list_records"],
        "one call, as the domain is recorded"
    );
    assert!(obstacles.is_empty());
    assert_eq!(parts[&Address::Dns(NAME.to_owned())], part);
    let moved = dns
        .ensure(&known, NAME, &named(), &at("203.0.113.8", None), &quiet)
        .await
        .unwrap();
    assert_eq!(moved.attributes["address"], "203.0.113.8");
    assert_eq!(records(&double), ["A shop 203.0.113.8", &claim]);
    let found = dns.find(&quiet).await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].environment.as_str(), found[0].id.as_str()),
        ("demo", part.id.as_str())
    );
    dns.remove(&known, NAME, &quiet).await.unwrap();
    assert!(records(&double).is_empty());
    dns.remove(&known, NAME, &quiet).await.unwrap();
}

#[tokio::test]
async fn records_of_others_are_never_touched() {
    let Some(double) = Double::start() else { return };
    domain(&double);
    let dns = double.dns(Some("example.com"));
    double.somebody(
        "POST",
        "domains/example.com/records",
        &json!({"type": "A", "name": "shop", "data": "192.0.2.1"}),
    );
    let before = records(&double);
    let (parts, obstacles) = dns.observe(&owner(1), &names()).await.unwrap();
    assert!(parts.is_empty());
    assert!(
        obstacles[&Address::Dns(NAME.to_owned())].contains("it has A records that provision did not make"),
        "{obstacles:?}"
    );
    let error = dns
        .ensure(&owner(1), NAME, &named(), &at("203.0.113.7", None), &quiet)
        .await
        .unwrap_err();
    assert!(
        told(&error).contains("records of others are never overwritten"),
        "{}",
        told(&error)
    );
    dns.remove(&owner(1), NAME, &quiet).await.unwrap();
    assert_eq!(records(&double), before);
    // Nor those of another environment of ours.
    let other = double.dns(None);
    other
        .ensure(&owner(2), "www.example.com", &named(), &at("203.0.113.9", None), &quiet)
        .await
        .unwrap();
    let error = dns
        .ensure(&owner(1), "www.example.com", &named(), &at("203.0.113.7", None), &quiet)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("environment=demo"), "{error}");
    let nowhere = dns
        .ensure(
            &owner(1),
            "shop.example.org",
            &named(),
            &at("203.0.113.7", None),
            &quiet,
        )
        .await
        .unwrap_err();
    assert!(
        nowhere
            .to_string()
            .contains("does not serve the domain `example.com`, or the name is not in it"),
        "{nowhere}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_claim_a_name_at_once_one_has_it() {
    let Some(double) = Double::start() else { return };
    domain(&double);
    for _ in 0..3 {
        let (one, other) = (double.dns(None), double.dns(None));
        let (mine, theirs) = (owner(1), owner(2));
        let (first, second) = tokio::join!(
            async {
                one.ensure(&mine, NAME, &named(), &at("203.0.113.1", None), &quiet)
                    .await
            },
            async {
                other
                    .ensure(&theirs, NAME, &named(), &at("203.0.113.2", None), &quiet)
                    .await
            },
        );
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        assert_eq!(records(&double).len(), 2, "{:?}", records(&double));
        one.remove(&mine, NAME, &quiet).await.unwrap();
        other.remove(&theirs, NAME, &quiet).await.unwrap();
        assert!(records(&double).is_empty());
    }
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_record() {
    let Some(double) = Double::start() else { return };
    domain(&double);
    let dns = double.dns(None);
    for fault in ["lose", "error-500", "garble"] {
        double.faults(&json!([{"action": "domains_create_record", "times": 2, "do": fault}]));
        dns.ensure(
            &owner(1),
            NAME,
            &named(),
            &at("203.0.113.7", Some("2001:db8::7")),
            &quiet,
        )
        .await
        .unwrap();
        assert_eq!(records(&double).len(), 3, "{fault}: {:?}", records(&double));
        double.faults(&json!([{"action": "domains_delete_record", "do": fault}]));
        dns.remove(&owner(1), NAME, &quiet).await.unwrap();
        assert!(records(&double).is_empty(), "{fault}");
    }
}
