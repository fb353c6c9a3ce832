//! What is past its time, or has no state here, is found, priced and, when that is wanted, taken away.

use serde_json::{Value, json};

use super::cloud::Cloud;
use super::harness::{Ended, Run, Site, Until};
use super::same::assert_nothing;
use super::scenarios::alone;

const GC: &[&str] = &["gc", "--provider", "aws", "--region", "eu-central-1"];

fn gc(cloud: &Cloud, site: &Site, more: &[&str], code: i32) -> Run {
    let run = site.run(cloud, &[GC, more].concat(), Until::Host);
    assert_eq!(run.ended, Ended::Itself(code), "{more:?}: {}", run.said);
    run
}

fn lives(cloud: &Cloud, site: &Site, more: &[&str]) -> Vec<Value> {
    let run = gc(cloud, site, &[&["--json"], more].concat(), 0);
    let list = run.said.get(..=run.said.rfind(']').unwrap()).unwrap();
    serde_json::from_str(list).unwrap()
}

/// An environment `shop` that is there, under names of its own.
fn made(cloud: &Cloud, host: &str) -> Site {
    let site = Site::new(cloud);
    site.edit(&[("shop.example.com", host)]);
    site.converge(cloud);
    site
}

fn lineage(site: &Site) -> String {
    site.state().unwrap()["lineage"].as_str().unwrap().to_owned()
}

/// Says of everything of a life that its time was over long ago.
fn end(cloud: &mut Cloud, lineage: &str) {
    let seen = cloud.look();
    let mut call = "Action=CreateTags&Tag.1.Key=provision%3Aexpires&Tag.1.Value=2026-01-01T00%3A00%3A00Z".to_owned();
    let kinds = ["instances", "volumes", "addresses", "security_groups", "keys"];
    let things = kinds.iter().flat_map(|kind| seen[*kind].as_array().unwrap());
    let ours = things.filter(|thing| thing["tags"]["provision:lineage"] == lineage);
    for (number, thing) in ours.enumerate() {
        call += &format!("&ResourceId.{}={}", number + 1, thing["id"].as_str().unwrap());
    }
    cloud.somebody("ec2", &call);
}

fn names(cloud: &mut Cloud) -> Vec<String> {
    let seen = cloud.look();
    let records = seen["zones"][0]["records"].as_array().unwrap().iter();
    records
        .map(|record| record["name"].as_str().unwrap().trim_end_matches('.').to_owned())
        .collect()
}

fn machines(cloud: &mut Cloud) -> Vec<String> {
    let seen = cloud.look();
    let instances = seen["instances"].as_array().unwrap().iter();
    let living = instances.filter(|instance| instance["state"] != "terminated");
    living
        .map(|instance| instance["tags"]["provision:lineage"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn exactly_what_is_past_its_time_is_destroyed() {
    alone(|cloud| {
        // One whose state is elsewhere, one whose state is here, both over; and one that goes on.
        let (gone, here) = (made(cloud, "gone.example.com"), made(cloud, "here.example.com"));
        let stays = made(cloud, "stays.example.com");
        let [first, second, third] = [&gone, &here, &stays].map(lineage);
        std::fs::remove_dir_all(gone.path(".provision")).unwrap();

        // Nothing is over yet: what has its state here is no concern of anybody's.
        let listed = lives(cloud, &here, &[]);
        let seen: Vec<&Value> = listed.iter().map(|life| &life["lineage"]).collect();
        assert_eq!(seen.len(), 2, "{listed:#?}");
        assert!(!seen.contains(&&json!(second)), "{listed:#?}");
        for life in &listed {
            assert_eq!(life["environment"], "shop");
            assert_eq!((&life["expired"], &life["state_here"]), (&json!(false), &json!(false)));
            // t3.small 17.52, 10 GiB 0.952, an address 3.65, in thousandths of a cent.
            assert_eq!(life["monthly"], 2_212_200, "{life:#}");
            let addresses: Vec<&str> = life["resources"]
                .as_array()
                .unwrap()
                .iter()
                .map(|found| found["address"].as_str().unwrap())
                .filter(|address| !address.starts_with("dns."))
                .collect();
            assert_eq!(addresses.len(), 5, "{life:#}");
        }
        assert_eq!(lives(cloud, &here, &["--expired"]), Vec::<Value>::new());

        end(cloud, &first);
        end(cloud, &second);
        let table = gc(cloud, &here, &[], 0);
        for word in [
            "shop",
            first.get(..8).unwrap(),
            "0 h",
            "22.12 USD",
            "expired, no state here",
            "dns.gone.example.com",
        ] {
            assert!(table.said.contains(word), "`{word}`: {}", table.said);
        }
        let listed = lives(cloud, &here, &["--expired"]);
        assert_eq!(listed.len(), 2, "{listed:#?}");
        assert_eq!(machines(cloud).len(), 3, "listing destroys nothing");

        let run = gc(cloud, &here, &["--expired", "--yes"], 0);
        for lineage in [&first, &second] {
            let gone = format!("shop {} is gone", lineage.get(..8).unwrap());
            assert!(run.said.contains(&gone), "{}", run.said);
        }
        assert_eq!(machines(cloud), [third.as_str()]);
        let seen = cloud.look();
        for kind in ["volumes", "addresses", "security_groups", "keys"] {
            for thing in seen[kind].as_array().unwrap() {
                assert_eq!(thing["tags"]["provision:lineage"], third, "{kind}");
            }
        }
        assert_eq!(names(cloud), ["_provision.stays.example.com", "stays.example.com"]);
        assert!(here.state().is_none(), "its state went with it");
        assert!(stays.state().is_some());
        gc(cloud, &here, &["--expired", "--yes"], 0);

        let last = stays.destroy(cloud, Until::Host);
        assert_eq!(last.ended, Ended::Itself(0), "{}", last.said);
        assert_nothing(cloud, "all are gone");
    });
}

/// The machine ended itself when its time was over; what it leaves is found, names included.
#[test]
fn names_of_what_is_gone_are_found_and_those_that_may_not_be_listed_keep_nothing_back() {
    alone(|cloud| {
        let site = made(cloud, "gone.example.com");
        let lineage = lineage(&site);
        std::fs::remove_dir_all(site.path(".provision")).unwrap();
        let seen = cloud.look();
        let machine = seen["instances"][0]["id"].as_str().unwrap();
        cloud.somebody("ec2", &format!("Action=TerminateInstances&InstanceId.1={machine}"));
        end(cloud, &lineage);

        for refused in ["ListHostedZones", "ListResourceRecordSets"] {
            cloud.faults(&json!([{"service": "route53", "action": refused, "nth": "every",
                "do": "refuse:AccessDenied:not for you"}]));
            let listed = gc(cloud, &site, &["--expired"], 0);
            for word in [
                lineage.get(..8).unwrap(),
                "warning: failed to list",
                "are not in the list",
                "machine.volume",
            ] {
                assert!(listed.said.contains(word), "`{word}`: {}", listed.said);
            }
            assert!(!listed.said.contains("dns."), "{}", listed.said);
        }
        cloud.reset();

        // A page holds 300 records.
        let somebodys: String = (0..320)
            .map(|number| {
                format!(
                    "<Change><Action>CREATE</Action><ResourceRecordSet><Name>a{number}.example.com</Name><Type>TXT</Type>\
                     <TTL>60</TTL><ResourceRecords><ResourceRecord><Value>\"x\"</Value></ResourceRecord></ResourceRecords>\
                     </ResourceRecordSet></Change>"
                )
            })
            .collect();
        cloud.change_records(&somebodys);
        let listed = lives(cloud, &site, &["--expired"]);
        let found = listed[0]["resources"].as_array().unwrap();
        let dns = found.iter().find(|found| found["address"] == "dns.gone.example.com");
        assert_eq!(
            dns.unwrap()["id"],
            format!("{}/gone.example.com", cloud.zone),
            "{found:#?}"
        );
        gc(cloud, &site, &["--expired", "--yes"], 0);
        let left = names(cloud);
        assert_eq!(left.len(), 320);
        assert!(!left.iter().any(|name| name.contains("gone")), "{left:?}");
    });
}
