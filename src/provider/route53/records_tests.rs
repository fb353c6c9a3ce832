use super::*;

const NAME: &str = "shop.example.com";

fn owner() -> Owner {
    Owner {
        environment: "demo".parse().unwrap(),
        lineage: "0123456789abcdef0123456789abcdef".parse().unwrap(),
        ids: BTreeMap::new(),
        expires: None,
    }
}

fn zone() -> Zone {
    Zone {
        id: "Z1".into(),
        name: "example.com".into(),
    }
}

fn at(address: &str, ipv6: Option<&str>) -> Reached {
    Reached {
        address: Some(address.parse().unwrap()),
        ipv6: ipv6.map(|ipv6| ipv6.parse().unwrap()),
    }
}

fn set(name: &str, kind: RrType, ttl: i64, values: &[&str]) -> ResourceRecordSet {
    let records = values
        .iter()
        .map(|value| ResourceRecord::builder().value(*value).build().unwrap());
    ResourceRecordSet::builder()
        .name(name)
        .r#type(kind)
        .ttl(ttl)
        .set_resource_records(Some(records.collect()))
        .build()
        .unwrap()
}

fn wanted_at(address: &str, ipv6: Option<&str>) -> Vec<ResourceRecordSet> {
    wanted(&owner(), NAME, &at(address, ipv6), true).unwrap()
}

fn told(changes: &[Change]) -> Vec<String> {
    let one = |change: &Change| {
        let set = change.resource_record_set.as_ref().unwrap();
        format!("{} {} {}", change.action, set.name, set.r#type)
    };
    changes.iter().map(one).collect()
}

#[test]
fn what_is_as_it_shall_be_changes_nothing() {
    let records = wanted_at("203.0.113.7", Some("2001:db8::7"));
    let seen = Records::of(records.clone());
    assert_eq!(seen.whose(&owner()), Whose::Ours);
    assert!(seen.changes(&records).unwrap().is_empty());
    let part = seen.part(&zone(), NAME);
    assert_eq!(part.id, "Z1/shop.example.com");
    let attributes: Vec<(&str, &str)> = part
        .attributes
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(attributes, [("address", "203.0.113.7"), ("ipv6", "2001:db8::7")]);
}

#[test]
fn a_new_address_takes_the_place_of_the_one_that_was_seen() {
    let seen = Records::of(wanted_at("203.0.113.7", None));
    let changes = seen.changes(&wanted_at("203.0.113.8", None)).unwrap();
    assert_eq!(
        told(&changes),
        ["DELETE shop.example.com. A", "CREATE shop.example.com. A"]
    );
    assert_eq!(
        told(&seen.changes(&[]).unwrap()),
        ["DELETE shop.example.com. A", "DELETE _provision.shop.example.com. TXT"]
    );
}

#[test]
fn what_somebody_did_to_a_record_of_ours_is_shown_and_undone() {
    let claim = wanted_at("203.0.113.7", None).pop().unwrap();
    let cases: [(ResourceRecordSet, &[(&str, &str)]); 3] = [
        (
            set("shop.example.com.", RrType::Cname, 60, &["else.example.net"]),
            &[("cname", "else.example.net")],
        ),
        (
            set("shop.example.com.", RrType::A, 60, &["203.0.113.9", "203.0.113.7"]),
            &[("address", "203.0.113.7 203.0.113.9")],
        ),
        (
            set("shop.example.com.", RrType::A, 300, &["203.0.113.7"]),
            &[("address", "203.0.113.7"), ("ttl", "300 s")],
        ),
    ];
    for (drifted, attributes) in cases {
        let seen = Records::of(vec![drifted, claim.clone()]);
        let part = seen.part(&zone(), NAME);
        let shown: Vec<(&str, &str)> = part
            .attributes
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(shown, attributes);
        assert_eq!(seen.changes(&wanted_at("203.0.113.7", None)).unwrap().len(), 2);
    }
}

#[test]
fn records_of_others_are_told_apart() {
    let address = set("shop.example.com.", RrType::A, 60, &["203.0.113.7"]);
    let text = |value: &str| set("_provision.shop.example.com.", RrType::Txt, 60, &[value]);
    assert_eq!(Records::default().whose(&owner()), Whose::Nobodys);
    let reason = |records: Vec<ResourceRecordSet>| match Records::of(records).whose(&owner()) {
        Whose::Another(why) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        reason(vec![address.clone()]),
        "it has A records that provision did not make"
    );
    let other = "\"provision lineage=ffffffffffffffffffffffffffffffff environment=demo\"";
    assert_eq!(
        reason(vec![address, text(other)]),
        format!("its ownership record `_provision.…` says {other}")
    );
    // Also without an address: the other one is about to write it.
    assert!(reason(vec![text(other)]).contains("ffff"));
}

#[test]
fn an_ipv6_machine_has_one_record() {
    let sets = wanted(&owner(), NAME, &at("2001:db8::7", None), false).unwrap();
    assert_eq!(
        Records::of(sets).part(&zone(), NAME).attributes["address"],
        "2001:db8::7"
    );
    let none = wanted(&owner(), NAME, &Reached::default(), true).unwrap_err();
    assert_eq!(
        none.to_string(),
        "failed to point `shop.example.com` at the machine: the machine has no address"
    );
}

#[test]
fn names_are_in_the_order_of_a_zone() {
    let mut names = [
        "b.example.com",
        "_provision.b.example.com",
        "a-b.example.com",
        "x.a.example.com",
        "a.example.com",
    ];
    names.sort_by_key(|name| place(name));
    assert_eq!(
        names,
        [
            "a-b.example.com",
            "a.example.com",
            "x.a.example.com",
            "b.example.com",
            "_provision.b.example.com"
        ]
    );
}
