//! The AWS provider through the real SDK, against the lab's double of the cloud, checked from outside by boto3.
#![cfg(feature = "aws")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test's helpers are tests too; clippy's own exception knows only functions marked as one"
)]

#[path = "aws/double.rs"]
mod double;
#[path = "aws/errors.rs"]
mod errors;
#[path = "aws/instance.rs"]
mod instance;
#[path = "aws/observe.rs"]
mod observe;
#[path = "aws/resize.rs"]
mod resize;
