//! The least that credentials may be allowed: docs/aws-policy.json.
//!
//! A machine's whole life begins with credentials that may do nothing. Whatever a run lacks, its message names, and that one
//! action is granted as the document has it, conditions included. In the end all that was granted is all that is written.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::cloud::{CHANGES, Cloud, REPLACEMENT};
use super::harness::{Ended, Site, Until};
use super::same::assert_nothing;
use super::scenarios::alone;

const DOCUMENT: &str = include_str!("../../docs/aws-policy.json");

/// What a run does without, silently or with a word.
const OPTIONAL: [&str; 1] = ["pricing:GetProducts"];

/// What no run of this life calls, and why it is written all the same.
const BESIDE: [&str; 4] = [
    // A data volume goes off its machine by itself when that is terminated; this is for one that does not.
    "ec2:DetachVolume",
    // The double's name servers have every change at once.
    "route53:GetChange",
    // A zone that the file names, by its identifier and by its name.
    "route53:GetHostedZone",
    "route53:ListHostedZonesByName",
];

/// What somebody else does to it, by hand.
const DRIFT: [&str; 5] = [
    "Action=ModifyInstanceMetadataOptions&InstanceId=INSTANCE&HttpTokens=optional",
    "Action=AuthorizeSecurityGroupIngress&GroupId=GROUP&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=23\
     &IpPermissions.1.ToPort=23&IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0",
    "Action=AuthorizeSecurityGroupEgress&GroupId=GROUP&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=25\
     &IpPermissions.1.ToPort=25&IpPermissions.1.IpRanges.1.CidrIp=192.0.2.0/24",
    "Action=RevokeSecurityGroupEgress&GroupId=GROUP&IpPermissions.1.IpProtocol=-1\
     &IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0",
    // A caller's rule for a network that shall be let in for good, left by a run that was killed.
    "Action=AuthorizeSecurityGroupIngress&GroupId=GROUP&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=22\
     &IpPermissions.1.ToPort=22&IpPermissions.1.IpRanges.1.CidrIp=192.0.2.7/32\
     &IpPermissions.1.IpRanges.1.Description=OPERATOR",
];

/// One run of the life, and what is done before it.
type Chapter = (&'static str, fn(&mut Cloud, &Site), &'static [&'static str], Ended);

const APPLY: &[&str] = &["apply", "shop", "--yes"];

const LIFE: [Chapter; 8] = [
    ("made", |_, _| {}, APPLY, Ended::AtHost),
    ("looked at", |_, _| {}, &["plan", "shop"], Ended::Itself(0)),
    (
        "changed",
        |cloud, site| {
            for profile in ["server", "other"] {
                let call = format!("Action=CreateInstanceProfile&Version=2010-05-08&InstanceProfileName={profile}");
                cloud.somebody("iam", &call);
            }
            site.edit(CHANGES);
            site.edit(&[(
                "[data]",
                "instance_profile = \"server\"\ncpu_credits = \"standard\"\n\n[data]",
            )]);
        },
        APPLY,
        Ended::AtHost,
    ),
    (
        "mended",
        |cloud, site| {
            drift(cloud);
            site.edit(&[("\"198.51.100.0/24\"", "\"198.51.100.0/24\", \"192.0.2.7/32\"")]);
        },
        APPLY,
        Ended::AtHost,
    ),
    (
        "another profile",
        |_, site| site.edit(&[("\"server\"", "\"other\"")]),
        APPLY,
        Ended::AtHost,
    ),
    (
        "no profile, no end",
        |_, site| site.edit(&[("instance_profile = \"other\"\n", ""), ("ttl    = \"9h\"\n", "")]),
        APPLY,
        Ended::AtHost,
    ),
    ("replaced", |_, site| site.edit(REPLACEMENT), APPLY, Ended::AtHost),
    ("destroyed", |_, _| {}, &["destroy", "shop", "--yes"], Ended::Itself(0)),
];

#[test]
fn the_documented_policy_is_enough_and_every_action_of_it_is_needed() {
    alone(|cloud| {
        let site = Site::new(cloud);
        let mut granted = BTreeSet::new();
        let mut runs = 0;
        for (name, before, args, end) in LIFE {
            before(cloud, &site);
            loop {
                runs += 1;
                cloud.policy(&only(&granted));
                let run = site.run(cloud, args, Until::Host);
                if run.ended == end {
                    break;
                }
                // The run that lacks something says what, on what, and what to add.
                run.failed_with(
                    &site,
                    &["error", "is not authorized to perform", "these credentials lack "],
                );
                let (_, rest) = run.said.split_once("these credentials lack ").unwrap();
                let action = rest.split([';', ' ']).next().unwrap().to_owned();
                let said: String = run.said.split_whitespace().collect();
                let statement = format!("{{\"Effect\":\"Allow\",\"Action\":\"{action}\",\"Resource\":\"");
                assert!(
                    said.contains(&statement),
                    "{name}: no statement for {action} in\n{}",
                    run.said
                );
                assert!(
                    written().contains(&action),
                    "{name}: {action} is not in the document\n{}",
                    run.said
                );
                assert!(
                    granted.insert(action.clone()),
                    "{name}: {action} is not enough\n{}",
                    run.said
                );
            }
        }
        assert_nothing(cloud, "under the policy");
        eprintln!("{runs} runs, {} actions", granted.len());
        let needless: Vec<String> = written().difference(&granted).cloned().collect();
        let expected: BTreeSet<String> = OPTIONAL
            .iter()
            .chain(&BESIDE)
            .map(|action| (*action).to_owned())
            .collect();
        let expected: Vec<String> = expected.into_iter().collect();
        assert_eq!(needless, expected);
    });
}

/// Nobody is told that prices cannot be read; who may read them is told the price.
#[test]
fn prices_are_told_where_they_may_be_read_and_missed_by_nobody() {
    alone(|cloud| {
        let site = Site::new(cloud);
        for (granted, told) in [(without("pricing:GetProducts"), false), (written(), true)] {
            cloud.policy(&only(&granted));
            let run = site.run(cloud, &["plan", "shop"], Until::Host);
            assert_eq!(run.ended, Ended::Itself(0), "{}", run.said);
            assert_eq!(run.said.contains("USD"), told, "{}", run.said);
            assert!(!run.said.contains("pricing"), "{}", run.said);
        }
    });
}

/// Under the policy nothing of others can be touched.
#[test]
fn what_is_not_ours_is_out_of_reach() {
    for statement in statements() {
        let changes = actions(&statement).iter().any(|action| {
            let (service, name) = action.split_once(':').unwrap();
            service == "ec2" && !name.starts_with("Describe")
        });
        let only_a_place = statement["Sid"] == "MakeInAnyNetworkFromAnyImage";
        assert!(
            !changes || only_a_place || statement["Condition"].is_object(),
            "{statement:#}"
        );
    }
}

fn drift(cloud: &mut Cloud) {
    let seen = cloud.look();
    let living = |instance: &&Value| instance["state"] != "terminated";
    let instance = seen["instances"].as_array().unwrap().iter().find(living).unwrap();
    let instance = instance["id"].as_str().unwrap();
    let group = seen["security_groups"][0]["id"].as_str().unwrap();
    for call in DRIFT {
        let call = call.replace("INSTANCE", instance).replace("GROUP", group);
        let call = call.replace("OPERATOR", "provision%20operator%20killed");
        cloud.somebody("ec2", &format!("{call}&Version=2016-11-15"));
    }
}

fn statements() -> Vec<Value> {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    document["Statement"].as_array().unwrap().clone()
}

fn actions(statement: &Value) -> BTreeSet<String> {
    let action = &statement["Action"];
    let listed = action.as_array().cloned().unwrap_or_else(|| vec![action.clone()]);
    listed
        .iter()
        .map(|action| action.as_str().unwrap().to_owned())
        .collect()
}

/// All that is written in the document.
fn written() -> BTreeSet<String> {
    statements().iter().flat_map(actions).collect()
}

fn without(action: &str) -> BTreeSet<String> {
    let mut all = written();
    assert!(all.remove(action));
    all
}

/// The document with these actions only.
fn only(granted: &BTreeSet<String>) -> Value {
    let mut kept = Vec::new();
    for mut statement in statements() {
        let actions: Vec<String> = actions(&statement).intersection(granted).cloned().collect();
        if !actions.is_empty() {
            statement["Action"] = json!(actions);
            kept.push(statement);
        }
    }
    json!({"Version": "2012-10-17", "Statement": kept})
}
