//! What makes a run at DigitalOcean fail.

use serde_json::json;

use super::cloud::Cloud;
use super::faults::Trouble;

fn calm(cloud: &Cloud) {
    cloud.reset();
}

/// Runs that cannot go on.
pub fn troubles() -> Vec<(&'static str, Trouble)> {
    vec![
        (
            "no Droplets left",
            Trouble {
                begin: |cloud| cloud.account(json!({"droplet_limit": 0})),
                words: &[
                    "the account may have 0 Droplets and has 0",
                    "provision gc --provider digitalocean",
                ],
                end: |cloud| cloud.account(json!({"droplet_limit": 10})),
            },
        ),
        (
            "no address left",
            Trouble {
                begin: |cloud| cloud.account(json!({"reserved_ip_limit": 0})),
                words: &[
                    "failed to reserve an address",
                    "reserved ip limit exceeded",
                    "raise the limit",
                ],
                end: |cloud| cloud.account(json!({"reserved_ip_limit": 3})),
            },
        ),
        (
            "no volume left",
            Trouble {
                begin: |cloud| cloud.account(json!({"volume_limit": 0})),
                words: &[
                    "failed to make the data volume",
                    "volume limit exceeded",
                    "raise the limit",
                ],
                end: |cloud| cloud.account(json!({"volume_limit": 10})),
            },
        ),
        (
            "a token that is not valid any more",
            Trouble {
                begin: |cloud| cloud.account(json!({"expired": true})),
                words: &[
                    "unauthorized: Unable to authenticate you",
                    "the token is not valid (any more)",
                ],
                end: |cloud| cloud.account(json!({"expired": false})),
            },
        ),
        (
            "a token that lacks a scope",
            Trouble {
                begin: |cloud| cloud.account(json!({"missing_scopes": ["block_storage:create"]})),
                words: &["forbidden", "this token lacks the scope block_storage:create"],
                end: |cloud| cloud.account(json!({"missing_scopes": []})),
            },
        ),
        (
            "an action that is given up",
            Trouble {
                begin: |cloud| cloud.account(json!({"failing_actions": ["attach_volume"]})),
                words: &[
                    "failed to wait for the data volume to hang on the machine: DigitalOcean gave the action",
                    "run it again",
                ],
                end: |cloud| cloud.account(json!({"failing_actions": []})),
            },
        ),
        (
            "a volume for which there is no room",
            Trouble {
                begin: |cloud| {
                    cloud.faults(&json!([{"action": "volumes_create", "nth": "every", "do": "refuse:unprocessable_entity:no room for volumes"}]));
                },
                words: &["failed to make the data volume", "no room for volumes"],
                end: calm,
            },
        ),
        (
            "an hour's calls that are used up",
            Trouble {
                begin: |cloud| {
                    cloud.faults(&json!([{"action": "droplets_create", "nth": "every", "do": "throttle-used-up"}]))
                },
                words: &[
                    "too_many_requests",
                    "calls of this hour are used up (5000): run it again in 30 minutes",
                ],
                end: calm,
            },
        ),
    ]
}
