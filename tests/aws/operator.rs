use aws_sdk_ec2::types::{IpPermission, IpRange};
use provision::names::Address;
use provision::provider::{Caller, InstanceSpec};
use serde_json::{Value, json};

use crate::parts::{Double, owner, say, shape, spec_of};

fn spec(operator: bool, networks: &[&str]) -> InstanceSpec {
    let mut shape = shape();
    shape.ssh_from.operator = operator;
    shape.ssh_from.networks = networks.iter().map(|network| (*network).to_owned()).collect();
    spec_of(shape)
}

fn caller(network: &str, process: u32) -> Caller {
    Caller {
        network: network.to_owned(),
        run: format!("host:{process}:17"),
    }
}

fn ssh(group: &Value) -> Vec<&str> {
    let rules = group["in"].as_array().unwrap().iter();
    rules
        .filter_map(|rule| rule.as_str().unwrap().strip_prefix("tcp 22 "))
        .collect()
}

/// What a run of this number left behind.
async fn leave(double: &Double, group: &str, network: &str, run: &str, at: jiff::Timestamp) {
    let range = IpRange::builder()
        .cidr_ip(network)
        .description(format!("provision operator {run} {at}"))
        .build();
    let rule = IpPermission::builder()
        .ip_protocol("tcp")
        .from_port(22)
        .to_port(22)
        .ip_ranges(range)
        .build();
    let call = double.somebody.authorize_security_group_ingress().group_id(group);
    call.ip_permissions(rule).send().await.unwrap();
}

#[tokio::test]
async fn port_22_is_open_for_the_caller_while_it_runs() {
    let Some(double) = Double::start() else { return };
    let (owner, at) = (owner(), Address::MachineFirewall);
    let me = caller("198.51.100.7/32", std::process::id());
    // No group yet.
    double.aws.admit(&owner, &me).await.unwrap();
    double.aws.dismiss(&owner, &me).await.unwrap();

    let made = double.aws.ensure(&owner, &at, &spec(true, &[]), &say).await.unwrap();
    assert_eq!(made.attributes["tcp/22"], "operator");
    double.aws.admit(&owner, &me).await.unwrap();
    let seen = double.only("security_groups");
    assert_eq!(ssh(&seen), ["198.51.100.7/32"]);
    let said = seen["in_descriptions"][0].as_str().unwrap().to_owned();
    let start = said.strip_prefix(&format!("provision operator {} ", me.run)).unwrap();
    start.parse::<jiff::Timestamp>().unwrap();
    // It is no part of the firewall, and no drift; setting the rules does not close it.
    assert_eq!(double.aws.observe(&owner).await.unwrap().parts[&at], made);
    assert_eq!(
        double.aws.ensure(&owner, &at, &spec(true, &[]), &say).await.unwrap(),
        made
    );
    double.aws.admit(&owner, &me).await.unwrap();
    assert_eq!(ssh(&double.only("security_groups")), ["198.51.100.7/32"]);
    double.aws.dismiss(&owner, &me).await.unwrap();
    assert!(ssh(&double.only("security_groups")).is_empty());
    double.aws.dismiss(&owner, &me).await.unwrap();

    // Opening and closing costs three calls.
    double.reset().await;
    double.aws.admit(&owner, &me).await.unwrap();
    double.aws.dismiss(&owner, &me).await.unwrap();
    let calls = [
        "DescribeSecurityGroups",
        "AuthorizeSecurityGroupIngress",
        "RevokeSecurityGroupIngress",
    ];
    assert_eq!(double.calls().await, calls);

    // Without the word nothing is opened.
    double
        .aws
        .ensure(&owner, &at, &spec(false, &["203.0.113.0/24"]), &say)
        .await
        .unwrap();
    double.aws.admit(&owner, &me).await.unwrap();
    assert_eq!(ssh(&double.only("security_groups")), ["203.0.113.0/24"]);
}

#[tokio::test]
async fn what_crashed_runs_left_is_closed() {
    let Some(double) = Double::start() else { return };
    let (owner, at) = (owner(), Address::MachineFirewall);
    let group = double.aws.ensure(&owner, &at, &spec(true, &[]), &say).await.unwrap().id;
    let now = jiff::Timestamp::now();
    let hours = |hours: i64| now - jiff::SignedDuration::from_hours(hours);
    // The caller's own address, of a process that is gone.
    let gone = format!("host:{}:1", i32::MAX);
    leave(&double, &group, "198.51.100.7/32", &gone, now).await;
    leave(&double, &group, "198.51.100.8/32", &gone, now).await;
    // Another host's: young and old. A living process of this host. A rule that somebody wrote.
    leave(&double, &group, "198.51.100.9/32", "elsewhere:1:1", now).await;
    leave(&double, &group, "198.51.100.10/32", "elsewhere:1:1", hours(2)).await;
    leave(&double, &group, "198.51.100.11/32", "host:1:1", now).await;

    let me = caller("198.51.100.7", std::process::id());
    double.aws.admit(&owner, &me).await.unwrap();
    let seen = double.only("security_groups");
    assert_eq!(ssh(&seen), ["198.51.100.11/32", "198.51.100.7/32", "198.51.100.9/32"]);
    double.aws.dismiss(&owner, &me).await.unwrap();
    assert_eq!(
        ssh(&double.only("security_groups")),
        ["198.51.100.11/32", "198.51.100.9/32"]
    );

    // By another process of this run's: it looks.
    double.aws.admit(&owner, &me).await.unwrap();
    let other = provision::provider::aws::Aws::with_config(&double.config, None).unwrap();
    other.dismiss(&owner, &me).await.unwrap();
    assert_eq!(
        ssh(&double.only("security_groups")),
        ["198.51.100.11/32", "198.51.100.9/32"]
    );
}

#[tokio::test]
async fn a_rule_that_stays_is_not_closed_with_the_callers() {
    let Some(double) = Double::start() else { return };
    let (owner, at) = (owner(), Address::MachineFirewall);
    let me = caller("198.51.100.7/32", std::process::id());
    // It is there already: nothing to open, nothing to close.
    double
        .aws
        .ensure(&owner, &at, &spec(true, &["198.51.100.7/32"]), &say)
        .await
        .unwrap();
    double.aws.admit(&owner, &me).await.unwrap();
    double.aws.dismiss(&owner, &me).await.unwrap();
    assert_eq!(ssh(&double.only("security_groups")), ["198.51.100.7/32"]);

    // It is written into the file while the caller has it open.
    double.aws.ensure(&owner, &at, &spec(true, &[]), &say).await.unwrap();
    double.aws.admit(&owner, &me).await.unwrap();
    let kept = spec(true, &["198.51.100.7/32"]);
    let made = double.aws.ensure(&owner, &at, &kept, &say).await.unwrap();
    assert_eq!(made.attributes, kept.parts()[&at]);
    double.aws.dismiss(&owner, &me).await.unwrap();
    let seen = double.only("security_groups");
    assert_eq!(ssh(&seen), ["198.51.100.7/32"]);
    assert_eq!(seen["in_descriptions"], json!(["provision ssh_from"]));
    assert_eq!(double.aws.observe(&owner).await.unwrap().parts[&at], made);
}
