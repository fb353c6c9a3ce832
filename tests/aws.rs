//! The AWS provider through the real SDK against the lab's double of AWS, checked from outside with boto3 (`tests/lab/aws`).
#![cfg(feature = "aws")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's helpers are tests too; clippy's own exception knows only functions marked as one"
)]

#[path = "aws/address.rs"]
mod address;
#[path = "aws/costs.rs"]
mod costs;
#[path = "aws/double.rs"]
mod double;
#[path = "aws/find.rs"]
mod find;
#[path = "aws/firewall.rs"]
mod firewall;
#[path = "aws/key.rs"]
mod key;
#[path = "aws/operator.rs"]
mod operator;
#[path = "aws/parts.rs"]
mod parts;
#[path = "aws/route53.rs"]
mod route53;
#[path = "aws/volume.rs"]
mod volume;
