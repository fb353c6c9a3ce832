//! Calls that go wrong: each run ends as it should, or with an error that says what to do and a state from which the next run
//! ends as it should.

use std::time::Instant;

use serde_json::{Value, json};

use super::cloud::{Cloud, all, alone};
use super::harness::{Ended, Site, Until, zone};
use super::story::{APPLY, CHANGE, DESTROY, REPLACE, Story, ended_as, undisturbed};

/// A no-op plan makes no more calls than this.
const LEAN: usize = 8;

/// What may happen to each call of a run, which goes on all the same.
const EACH: [&str; 3] = ["error-500", "reset", "lose"];

#[test]
fn apply_goes_on_whatever_happens_to_each_call() {
    each_goes_wrong(APPLY);
}

#[test]
fn a_change_goes_on_whatever_happens_to_each_call() {
    each_goes_wrong(CHANGE);
}

#[test]
fn a_replacement_goes_on_whatever_happens_to_each_call() {
    each_goes_wrong(REPLACE);
}

#[test]
fn destroy_goes_on_whatever_happens_to_each_call() {
    each_goes_wrong(DESTROY);
}

/// Every action of a story goes wrong at first, all of them in one run.
fn each_goes_wrong(story: Story) {
    let Some(told) = undisturbed(story) else { return };
    all(EACH.map(|what| (what.to_owned(), what)).into(), |cloud, what| {
        let site = Site::new(cloud);
        (story.before)(cloud, &site);
        cloud.reset();
        // Of a call that only reads, an answer that is lost is the same as a call that never came.
        let rules = told
            .actions
            .iter()
            .filter(|(_, changes)| **changes || what != "lose")
            .map(|(action, _)| json!({"action": action, "do": what}));
        cloud.faults(&Value::Array(rules.collect()));
        let begun = Instant::now();
        let run = (story.work)(cloud, &site, Until::Host);
        assert_eq!(run.ended, story.end, "{}", run.said);
        eprintln!("each call: {what}: {:.1} s", begun.elapsed().as_secs_f64());
        cloud.reset();
        ended_as(&told.end, cloud, &site, &run.steps());
    });
}

/// A call that is refused twice for too many calls is made a third time. The SDK slows down so much when it is throttled that
/// not every call of a run is: that takes minutes.
#[test]
fn a_call_that_is_throttled_is_made_again() {
    let Some(told) = undisturbed(APPLY) else { return };
    let throttled = ["DescribeInstances", "RunInstances", "ChangeResourceRecordSets"];
    all(
        throttled.map(|action| (action.to_owned(), action)).into(),
        |cloud, action| {
            let site = Site::new(cloud);
            cloud.faults(&json!([{"action": action, "times": 2, "do": "throttle"}]));
            let begun = Instant::now();
            let run = site.converge(cloud);
            eprintln!("{action} throttled twice: {:.1} s", begun.elapsed().as_secs_f64());
            cloud.reset();
            ended_as(&told.end, cloud, &site, &run.steps());
        },
    );
}

/// What makes a run fail, the words that it must say, and what mends it.
struct Trouble {
    begin: fn(&Cloud),
    words: &'static [&'static str],
    end: fn(&Cloud),
}

fn calm(cloud: &Cloud) {
    cloud.reset();
}

/// A run that cannot go on says which error, and what to do; when that is done, the next one goes on.
#[test]
fn a_run_that_cannot_go_on_says_what_to_do_and_the_next_one_goes_on() {
    let troubles: Vec<(&str, Trouble)> = vec![
        (
            "throttled for ever",
            Trouble {
                begin: |cloud| cloud.faults(&json!([{"action": "RunInstances", "nth": "every", "do": "throttle"}])),
                words: &[
                    "failed to make machine.instance",
                    "RequestLimitExceeded",
                    "run it again in some minutes; it goes on where it ended",
                ],
                end: calm,
            },
        ),
        (
            "no room in any zone",
            Trouble {
                begin: |cloud| cloud.account(json!({"full_zones": [zone('a'), zone('b'), zone('c')]})),
                words: &[
                    "InsufficientInstanceCapacity",
                    "none of the zones has such a machine now: try again in some minutes, or write another size",
                ],
                end: |cloud| cloud.account(json!({"full_zones": []})),
            },
        ),
        (
            "no processors left",
            Trouble {
                begin: |cloud| cloud.account(json!({"vcpu_limit": 1})),
                words: &["VcpuLimitExceeded", "Service Quotas", "raise it, or destroy"],
                end: |cloud| cloud.account(json!({"vcpu_limit": null})),
            },
        ),
        (
            "no address left",
            Trouble {
                begin: |cloud| cloud.account(json!({"address_limit": 0})),
                words: &["AddressLimitExceeded", "EC2-VPC Elastic IPs", "ephemeral"],
                end: |cloud| cloud.account(json!({"address_limit": 5})),
            },
        ),
        (
            "credentials expired from the beginning",
            Trouble {
                begin: |cloud| cloud.account(json!({"expired": true})),
                words: &["Expired", "the credentials have expired: log in again"],
                end: |cloud| cloud.account(json!({"expired": false})),
            },
        ),
        (
            "credentials expired meanwhile",
            Trouble {
                begin: |cloud| {
                    cloud.faults(
                        &json!([{"action": "CreateVolume", "nth": "every", "do": "refuse:RequestExpired:Request has expired."}]),
                    );
                },
                words: &["RequestExpired", "the credentials have expired: log in again"],
                end: calm,
            },
        ),
        (
            "no default VPC",
            Trouble {
                begin: |cloud| cloud.account(json!({"default_vpc": false})),
                words: &[
                    "failed to find the account's default VPC: there is none in eu-central-1",
                    "write `subnet = \"subnet-…\"`",
                    "aws ec2 create-default-vpc",
                ],
                end: |cloud| {
                    cloud.account(json!({"default_vpc": true}));
                    cloud.somebody("ec2", "Action=CreateDefaultVpc&Version=2016-11-15");
                },
            },
        ),
    ];
    let Some(told) = undisturbed(APPLY) else { return };
    let troubles = troubles
        .into_iter()
        .map(|(name, trouble)| (name.to_owned(), (name, trouble)));
    all(troubles.collect(), |cloud, (name, trouble)| {
        let site = Site::new(cloud);
        (trouble.begin)(cloud);
        let begun = Instant::now();
        let run = site.apply(cloud, Until::Host);
        eprintln!("{name}: {:.1} s", begun.elapsed().as_secs_f64());
        run.failed_with(&site, trouble.words);
        (trouble.end)(cloud);
        let again = site.converge(cloud);
        let both = format!("{}\nthen\n{}", run.steps(), again.steps());
        ended_as(&told.end, cloud, &site, &both);
    });
}

/// What was made a moment ago is not seen yet.
#[test]
fn what_is_not_seen_yet_is_waited_for() {
    let Some(told) = undisturbed(APPLY) else { return };
    let made = [
        "ImportKeyPair",
        "CreateSecurityGroup",
        "RunInstances",
        "CreateVolume",
        "AllocateAddress",
    ];
    alone(|cloud| {
        let site = Site::new(cloud);
        let rules = made.map(|action| json!({"action": action, "nth": "every", "do": "hide:3"}));
        cloud.faults(&Value::Array(rules.into()));
        let run = site.converge(cloud);
        cloud.reset();
        ended_as(&told.end, cloud, &site, &run.steps());
    });
}

/// What the state has no word of is told when all else is gone, and taken back by the next run.
#[test]
fn what_the_state_forgot_is_taken_back_all_the_same() {
    alone(|cloud| {
        let site = Site::new(cloud);
        site.converge(cloud);
        site.forget(&["machine.key", "machine.volume", "machine.address"]);
        let run = site.destroy(cloud, Until::Host);
        run.failed_with(
            &site,
            &[
                "left: data volume vol-",
                "key pair: key-",
                "address: 127.",
                "run destroy again",
            ],
        );
        let again = site.destroy(cloud, Until::Host);
        assert_eq!(again.ended, Ended::Itself(0), "{}", again.said);
        ended_as(&None, cloud, &site, &again.said);
    });
}

/// A zone without room is no reason to stop.
#[test]
fn a_full_zone_is_passed_over() {
    alone(|cloud| {
        let site = Site::new(cloud);
        cloud.account(json!({"full_zones": [zone('a')]}));
        site.converge(cloud);
        let seen = cloud.look();
        assert_eq!(seen["instances"].as_array().unwrap().len(), 1);
        for (kind, count) in [("instances", 1), ("volumes", 2)] {
            let things = seen[kind].as_array().unwrap();
            assert_eq!(things.len(), count);
            for thing in things {
                assert_ne!(thing["zone"], json!(zone('a')), "{thing:#}");
            }
        }
    });
}

/// Nothing to do: a plan asks no more than it has to, and changes nothing.
#[test]
fn a_plan_without_changes_is_lean() {
    alone(|cloud| {
        let site = Site::new(cloud);
        site.converge(cloud);
        cloud.reset();
        let run = site.run(cloud, &["plan", "shop"], Until::Host);
        assert_eq!(run.ended, Ended::Itself(0), "{}", run.said);
        for part in ["machine.", "dns."] {
            assert!(!run.said.contains(part), "{}", run.said);
        }
        let log = cloud.log();
        let names: Vec<&str> = log.iter().map(|call| call["action"].as_str().unwrap()).collect();
        assert!(names.len() <= LEAN, "{} calls: {}", names.len(), names.join(", "));
        assert!(log.iter().all(|call| call["changes"] == false), "{}", names.join(", "));
        eprintln!("{} calls: {}", names.len(), names.join(", "));
    });
}
