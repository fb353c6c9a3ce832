//! Port 22 is open for whoever runs a command, while it runs and no longer.
//!
//! `ssh` is a program of ours that does as it is told: what matters is in the cloud.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cloud::Cloud;
use super::harness::{OPERATOR, Site};
use super::scenarios::alone;

/// Stands for ssh: says that it has begun, waits to be let go, and ends as it is told.
const SSH: &str = r#"#!/bin/sh
touch "$HOME/begun"
while [ ! -e "$HOME/code" ]; do sleep 0.05; done
exit "$(cat "$HOME/code")"
"#;

/// An environment whose host has shown its key, as far as the state knows.
fn settled(cloud: &Cloud) -> Site {
    settled_with(cloud, &[])
}

fn settled_with(cloud: &Cloud, changes: &[(&str, &str)]) -> Site {
    let site = Site::new(cloud);
    site.edit(changes);
    site.converge(cloud);
    let mut state = site.state().unwrap();
    state["resources"]["host.identity"] = json!({"status": "present", "changed_at": "2026-01-01T00:00:00Z"});
    std::fs::write(site.path(".provision/shop/state.json"), state.to_string()).unwrap();
    std::fs::create_dir(site.path("bin")).unwrap();
    std::fs::write(site.path("bin/ssh"), SSH).unwrap();
    std::fs::set_permissions(site.path("bin/ssh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    site
}

fn start(site: &Site, args: &[&str]) -> Child {
    for mark in ["home/begun", "home/code"] {
        let _ = std::fs::remove_file(site.path(mark));
    }
    let path = format!("{}:{}", site.path("bin").display(), std::env::var("PATH").unwrap());
    let mut command = site.command(args);
    command.env("PATH", path).stdout(Stdio::null());
    command.stderr(std::fs::File::create(site.path("said")).unwrap());
    command.spawn().unwrap()
}

/// Starts it and waits until it is at the host.
fn begun(site: &Site, args: &[&str]) -> Child {
    let mut child = start(site, args);
    let begun = Instant::now();
    while !site.path("home/begun").exists() {
        let said = || std::fs::read_to_string(site.path("said")).unwrap();
        assert!(child.try_wait().unwrap().is_none(), "{}", said());
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

fn signal(child: &Child, name: &str) {
    let mut kill = std::process::Command::new("kill");
    assert!(kill.args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Who is let in at port 22 beside those that always are.
fn callers(cloud: &mut Cloud) -> Vec<String> {
    let seen = cloud.look();
    let rules: Vec<Value> = seen["security_groups"][0]["in"].as_array().unwrap().clone();
    let rules = rules
        .iter()
        .filter_map(|rule| rule.as_str().unwrap().strip_prefix("tcp 22 "));
    rules
        .filter(|from| *from != "203.0.113.0/24")
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_caller_is_let_in_while_its_command_runs_however_that_ends() {
    alone(|cloud| {
        let site = settled(cloud);
        // What the apply before left, as it was killed, is there or not.
        for (end, code) in [
            ("0", Some(0)),
            ("3", Some(3)),
            ("-TERM", Some(130)),
            ("-HUP", Some(130)),
            ("-KILL", None),
            ("0", Some(0)),
        ] {
            let mut child = begun(&site, &["ssh", "shop", "--", "true"]);
            assert_eq!(callers(cloud), [OPERATOR], "while it runs: {end}");
            if end.starts_with('-') {
                signal(&child, end);
            } else {
                std::fs::write(site.path("home/code"), end).unwrap();
            }
            assert_eq!(child.wait().unwrap().code(), code, "{end}");
            std::fs::write(site.path("home/code"), "0").unwrap();
            let left: &[&str] = if end == "-KILL" { &[OPERATOR] } else { &[] };
            assert_eq!(callers(cloud), left, "{end}");
        }
    });
}

#[test]
fn what_a_killed_command_left_open_is_closed_and_what_others_have_opened_stays() {
    alone(|cloud| {
        let site = settled(cloud);
        let seen = cloud.look();
        let group = seen["security_groups"][0]["id"].as_str().unwrap().to_owned();
        let open = |network: &str, description: &str| {
            let description = description.replace(' ', "+").replace(':', "%3A");
            cloud.somebody(
                "ec2",
                &format!(
                    "Action=AuthorizeSecurityGroupIngress&GroupId={group}&IpPermissions.1.IpProtocol=tcp\
                     &IpPermissions.1.FromPort=22&IpPermissions.1.ToPort=22&IpPermissions.1.IpRanges.1.CidrIp={network}\
                     &IpPermissions.1.IpRanges.1.Description={description}"
                ),
            );
        };
        let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap();
        let long_ago = now - jiff::SignedDuration::from_hours(2);
        open("192.0.2.1/32", &format!("provision operator elsewhere:1:2 {now}"));
        open("192.0.2.2/32", &format!("provision operator elsewhere:1:2 {long_ago}"));
        for end in ["-INT", "-TERM"] {
            // A plan waits for the host, as its ssh gives no answer.
            let mut child = begun(&site, &["plan", "shop"]);
            let there = callers(cloud);
            assert_eq!(there, ["192.0.2.1/32", OPERATOR], "{end}");
            signal(&child, end);
            let code = child.wait().unwrap().code();
            assert!(code.is_some_and(|code| code != 0), "{end}: {code:?}");
            assert_eq!(callers(cloud), ["192.0.2.1/32"], "{end}");
        }
    });
}

/// A look at an environment with everything, in which nothing is to be done: names, a fixed address, a volume, CPU credits,
/// a caller.
#[test]
fn a_plan_with_nothing_to_do_makes_eight_calls_at_most() {
    alone(|cloud| {
        let site = settled_with(cloud, &[("address  =", "cpu_credits = \"standard\"\naddress  =")]);
        // Closes what the apply left, which was killed.
        let mut child = begun(&site, &["plan", "shop"]);
        signal(&child, "-TERM");
        child.wait().unwrap();
        assert_eq!(callers(cloud), Vec::<String>::new());
        cloud.reset();
        let mut child = begun(&site, &["plan", "shop"]);
        signal(&child, "-TERM");
        child.wait().unwrap();
        let log = cloud.log();
        let calls: Vec<&str> = log.iter().map(|call| call["action"].as_str().unwrap()).collect();
        assert!(calls.contains(&"AuthorizeSecurityGroupIngress"), "{calls:?}");
        assert!(calls.contains(&"RevokeSecurityGroupIngress"), "{calls:?}");
        for kind in [
            "InstanceCreditSpecifications",
            "Tags",
            "Volumes",
            "SecurityGroups",
            "Instances",
        ] {
            assert!(calls.contains(&format!("Describe{kind}").as_str()), "{calls:?}");
        }
        assert!(calls.contains(&"ListResourceRecordSets"), "{calls:?}");
        assert!(calls.len() <= 8, "{} calls: {calls:#?}", calls.len());
        // Whether a newer image is out, a command asks that has calls to spare.
        let mut child = begun(&site, &["status", "shop"]);
        signal(&child, "-TERM");
        child.wait().unwrap();
        assert!(cloud.log().iter().any(|call| call["action"] == "DescribeImages"));
        let cache = std::fs::read_dir(site.path("home/.cache/provision/newest")).unwrap();
        let known: Vec<_> = cache.flatten().collect();
        assert_eq!(known.len(), 1, "{known:?}");
        assert_eq!(callers(cloud), Vec::<String>::new());
    });
}
