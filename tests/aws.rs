//! The AWS provider through the real SDK, against the lab's double of the cloud, checked from outside by boto3.
#![cfg(feature = "aws")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test's helpers are tests too; clippy's own exception knows only functions marked as one"
)]

#[path = "aws/address.rs"]
mod address;
#[path = "aws/costs.rs"]
mod costs;
#[path = "aws/double.rs"]
mod double;
#[path = "aws/errors.rs"]
mod errors;
#[path = "aws/find.rs"]
mod find;
#[path = "aws/firewall.rs"]
mod firewall;
#[path = "aws/instance.rs"]
mod instance;
#[path = "aws/key.rs"]
mod key;
#[path = "aws/observe.rs"]
mod observe;
#[path = "aws/operator.rs"]
mod operator;
#[path = "aws/parts.rs"]
mod parts;
#[path = "aws/resize.rs"]
mod resize;
#[path = "aws/route53.rs"]
mod route53;
#[path = "aws/vault.rs"]
mod vault;
#[path = "aws/volume.rs"]
mod volume;
