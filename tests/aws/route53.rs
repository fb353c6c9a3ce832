use std::collections::BTreeSet;

use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType};
use provision::names::Address;
use provision::provider::route53::Route53;
use provision::provider::{DnsKind, DnsSpec, InstanceSpec, Owner, Part, Reached};
use serde_json::{Value, json};

use crate::parts::{Double, owner, recorded, say, spec, stranger};

const NAME: &str = "shop.example.com";

fn named(ipv6: bool) -> InstanceSpec {
    InstanceSpec {
        dns: Some(DnsSpec {
            provider: DnsKind::Route53,
            zone: None,
            names: names(&[NAME]),
            ipv6,
        }),
        ..spec()
    }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn at(address: &str) -> Reached {
    Reached {
        address: Some(address.parse().unwrap()),
        ipv6: Some("2001:db8::7".parse().unwrap()),
    }
}

/// A zone; its identifier.
async fn zone(double: &Double, name: &str) -> String {
    let made = double
        .somebody_in_dns
        .create_hosted_zone()
        .name(name)
        .caller_reference(format!("{name} {:?}", std::time::Instant::now()))
        .send()
        .await
        .unwrap();
    let id = made.hosted_zone().unwrap().id();
    id.rsplit('/').next().unwrap().to_owned()
}

/// What somebody else does to a record.
async fn somebody(double: &Double, zone: &str, action: ChangeAction, name: &str, kind: RrType, ttl: i64, value: &str) {
    let set = ResourceRecordSet::builder()
        .name(name)
        .r#type(kind)
        .ttl(ttl)
        .resource_records(ResourceRecord::builder().value(value).build().unwrap())
        .build()
        .unwrap();
    let change = Change::builder()
        .action(action)
        .resource_record_set(set)
        .build()
        .unwrap();
    let batch = ChangeBatch::builder().changes(change).build().unwrap();
    let dns = &double.somebody_in_dns;
    dns.change_resource_record_sets()
        .hosted_zone_id(zone)
        .change_batch(batch)
        .send()
        .await
        .unwrap();
}

/// `name type ttl values` of every record of a zone.
fn records(double: &Double, zone: &str) -> Vec<String> {
    let zones = double.zones();
    let zone = zones.iter().find(|seen| seen["id"] == zone).unwrap();
    let line = |record: &Value| {
        let word = |key: &str| record[key].as_str().unwrap().to_owned();
        let values: Vec<&str> = record["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_str().unwrap())
            .collect();
        format!(
            "{} {} {} {}",
            word("name"),
            word("type"),
            record["ttl"],
            values.join(" ")
        )
    };
    zone["records"].as_array().unwrap().iter().map(line).collect()
}

fn claim(owner: &Owner) -> String {
    format!(
        "\"provision lineage={} environment={}\"",
        owner.lineage, owner.environment
    )
}

fn told(part: &Part) -> Vec<(&str, &str)> {
    part.attributes
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

#[tokio::test]
async fn a_name_lives_as_asked_for() {
    let Some(double) = Double::start() else { return };
    let zone_id = zone(&double, "example.com").await;
    let dns = || Route53::new(&double.config, None);
    let (owner, address) = (owner(), Address::Dns(NAME.into()));
    let observe = async || {
        dns()
            .observe(&owner, &names(&[NAME, "www.example.com"]))
            .await
            .unwrap()
            .0
    };
    assert!(observe().await.is_empty());

    double
        .faults(json!([{"action": "ChangeResourceRecordSets", "do": "lose"}]))
        .await;
    let made = dns()
        .ensure(&owner, NAME, &named(true), &at("203.0.113.7"), &say)
        .await
        .unwrap();
    assert_eq!(told(&made), [("address", "203.0.113.7"), ("ipv6", "2001:db8::7")]);
    let claimed = format!("_provision.shop.example.com. TXT 60 {}", claim(&owner));
    let whole = [
        claimed.as_str(),
        "shop.example.com. A 60 203.0.113.7",
        "shop.example.com. AAAA 60 2001:db8::7",
    ];
    assert_eq!(records(&double, &zone_id), whole);

    double.reset().await;
    let seen = observe().await;
    assert_eq!(seen.keys().collect::<Vec<_>>(), [&address]);
    assert_eq!(seen[&address].attributes, made.attributes);
    assert_eq!(seen[&address].id, made.id);
    assert_eq!(double.calls().await, ["ListHostedZones", "ListResourceRecordSets"]);
    double.reset().await;
    let again = dns()
        .ensure(&owner, NAME, &named(true), &at("203.0.113.7"), &say)
        .await
        .unwrap();
    assert_eq!(again, made);
    assert_eq!(double.calls().await, ["ListHostedZones", "ListResourceRecordSets"]);

    // Change: another address, no IPv6.
    let moved = dns()
        .ensure(&owner, NAME, &named(false), &at("203.0.113.8"), &say)
        .await
        .unwrap();
    assert_eq!(told(&moved), [("address", "203.0.113.8")]);
    assert_eq!(
        records(&double, &zone_id),
        [claimed.as_str(), "shop.example.com. A 60 203.0.113.8"]
    );

    // Somebody changed the same records in between: it is looked at anew.
    let stale = json!([{"action": "ChangeResourceRecordSets", "do": "refuse:InvalidChangeBatch:it was not found"}]);
    double.faults(stale).await;
    let ipv6 = dns().ensure(&owner, NAME, &named(true), &at("203.0.113.8"), &say).await;
    assert_eq!(told(&ipv6.unwrap()).len(), 2);
    dns()
        .ensure(&owner, NAME, &named(false), &at("203.0.113.8"), &say)
        .await
        .unwrap();

    // Drift: another address, another time to live, gone.
    somebody(
        &double,
        &zone_id,
        ChangeAction::Upsert,
        NAME,
        RrType::A,
        300,
        "192.0.2.1",
    )
    .await;
    assert_eq!(
        told(&observe().await[&address]),
        [("address", "192.0.2.1"), ("ttl", "300 s")]
    );
    dns()
        .ensure(&owner, NAME, &named(false), &at("203.0.113.8"), &say)
        .await
        .unwrap();
    somebody(
        &double,
        &zone_id,
        ChangeAction::Delete,
        NAME,
        RrType::A,
        60,
        "203.0.113.8",
    )
    .await;
    assert_eq!(told(&observe().await[&address]), []);
    dns()
        .ensure(&owner, NAME, &named(false), &at("203.0.113.8"), &say)
        .await
        .unwrap();
    assert_eq!(
        records(&double, &zone_id),
        [claimed.as_str(), "shop.example.com. A 60 203.0.113.8"]
    );

    // A longer zone that comes later does not make it lose sight of what is recorded.
    zone(&double, "shop.example.com").await;
    let known = recorded(address.clone(), &made.id);
    assert_eq!(dns().observe(&known, &names(&[NAME])).await.unwrap().0.len(), 1);
    dns().remove(&known, NAME, &say).await.unwrap();
    assert!(records(&double, &zone_id).is_empty());
    dns().remove(&known, NAME, &say).await.unwrap();
}

#[tokio::test]
async fn records_of_others_are_refused_and_stay() {
    let Some(double) = Double::start() else { return };
    let zone_id = zone(&double, "example.com").await;
    let dns = Route53::new(&double.config, None);
    let (owner, stranger) = (owner(), stranger());
    let ensure = async |name: &str| dns.ensure(&owner, name, &named(false), &at("203.0.113.7"), &say).await;

    somebody(
        &double,
        &zone_id,
        ChangeAction::Create,
        NAME,
        RrType::Cname,
        60,
        "else.example.net",
    )
    .await;
    somebody(
        &double,
        &zone_id,
        ChangeAction::Create,
        "v6.example.com",
        RrType::Aaaa,
        60,
        "2001:db8::1",
    )
    .await;
    somebody(
        &double,
        &zone_id,
        ChangeAction::Create,
        "mail.example.com",
        RrType::Mx,
        60,
        "10 mx.example.net",
    )
    .await;
    dns.ensure(&stranger, "theirs.example.com", &named(false), &at("203.0.113.9"), &say)
        .await
        .unwrap();
    let before = records(&double, &zone_id);
    for (name, why) in [
        (NAME, "it has CNAME records that provision did not make".to_owned()),
        (
            "v6.example.com",
            "it has AAAA records that provision did not make".to_owned(),
        ),
        (
            "theirs.example.com",
            format!("its ownership record `_provision.…` says {}", claim(&stranger)),
        ),
    ] {
        let error = ensure(name).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("failed to point `{name}` at the machine: {why}")
        );
        assert!(error.remedy.unwrap().contains("never overwritten"));
        dns.remove(&owner, name, &say).await.unwrap();
    }
    let (ours, obstacles) = dns
        .observe(&owner, &names(&[NAME, "theirs.example.com", "a.example.org"]))
        .await
        .unwrap();
    assert!(ours.is_empty());
    let told: Vec<String> = obstacles.values().map(|why| why.chars().take(45).collect()).collect();
    assert_eq!(obstacles.len(), 3, "told before anything is made: {told:?}");
    assert_eq!(records(&double, &zone_id), before);
    // Other kinds of records are nobody's hindrance.
    ensure("mail.example.com").await.unwrap();
    dns.remove(&owner, "mail.example.com", &say).await.unwrap();
    assert_eq!(records(&double, &zone_id), before);
}

#[tokio::test]
async fn a_zone_is_found_named_or_asked_for() {
    let Some(double) = Double::start() else { return };
    let (owner, name) = (owner(), "a.eu.example.com");
    let ensure = async |zone: Option<&str>| {
        let dns = Route53::new(&double.config, zone);
        dns.ensure(&owner, name, &named(false), &at("203.0.113.7"), &say).await
    };
    let error = ensure(None).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("no public hosted zone of this account holds it"),
        "{error}"
    );
    let short = zone(&double, "example.com").await;
    let long = zone(&double, "eu.example.com").await;
    assert!(ensure(None).await.unwrap().id.starts_with(&long));
    for given in ["example.com", short.as_str()] {
        assert!(ensure(Some(given)).await.unwrap().id.starts_with(&short), "{given}");
    }
    let twin = zone(&double, "eu.example.com").await;
    let error = ensure(None).await.unwrap_err();
    assert!(error.to_string().contains("are all named `eu.example.com`"), "{error}");
    assert!(ensure(Some(&twin)).await.unwrap().id.starts_with(&twin));

    // Another zone in the file: the name moves, and nothing stays behind.
    let moved = Route53::new(&double.config, Some(&twin));
    let known = recorded(Address::Dns(name.into()), &format!("{long}/{name}"));
    moved
        .ensure(&known, name, &named(false), &at("203.0.113.7"), &say)
        .await
        .unwrap();
    assert!(records(&double, &long).is_empty());
    assert_eq!(records(&double, &twin).len(), 2);

    let error = ensure(Some("example.org")).await.unwrap_err();
    assert!(error.to_string().contains("the hosted zone `example.org`"), "{error}");
}

#[tokio::test]
async fn a_large_zone_is_skipped_through() {
    let Some(double) = Double::start() else { return };
    let zone_id = zone(&double, "example.com").await;
    let owner = owner();
    let dns = Route53::new(&double.config, Some(&zone_id));
    for name in ["a.example.com", "z.example.com"] {
        dns.ensure(&owner, name, &named(false), &at("203.0.113.7"), &say)
            .await
            .unwrap();
    }
    let changes = (0..700).map(|number| {
        let set = ResourceRecordSet::builder()
            .name(format!("m{number}.example.com"))
            .r#type(RrType::A)
            .ttl(60)
            .resource_records(ResourceRecord::builder().value("192.0.2.1").build().unwrap())
            .build()
            .unwrap();
        Change::builder()
            .action(ChangeAction::Create)
            .resource_record_set(set)
            .build()
            .unwrap()
    });
    let batch = ChangeBatch::builder()
        .set_changes(Some(changes.collect()))
        .build()
        .unwrap();
    let somebody = &double.somebody_in_dns;
    somebody
        .change_resource_record_sets()
        .hosted_zone_id(&zone_id)
        .change_batch(batch)
        .send()
        .await
        .unwrap();
    double.reset().await;
    let (seen, _) = dns
        .observe(&owner, &names(&["a.example.com", "z.example.com"]))
        .await
        .unwrap();
    assert_eq!(seen.len(), 2);
    let lists = double
        .calls()
        .await
        .iter()
        .filter(|call| *call == "ListResourceRecordSets")
        .count();
    assert_eq!(lists, 2, "the middle is not read");
}
