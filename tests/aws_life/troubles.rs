//! What makes a run at AWS fail, and what is AWS's alone.

use serde_json::json;

use super::cloud::{Cloud, zone};
use super::faults::Trouble;
use super::harness::{Ended, Site, Until};
use super::scenarios::alone;
use super::story::ended_as;

fn calm(cloud: &Cloud) {
    cloud.reset();
}

/// Runs that cannot go on.
pub fn troubles() -> Vec<(&'static str, Trouble)> {
    vec![
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
    ]
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
