//! The state in S3: through the real client against the lab's double of AWS, and against servers that answer as they are told.
//!
//! With `PROVISION_TEST_S3` set to the address of another service, what needs no faults runs against that one: its keys are in
//! `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, and the bucket `states` is there.
#![cfg(feature = "aws")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test's helpers are tests too; clippy's own exception knows only functions marked as one"
)]

#[path = "remote_state/command.rs"]
mod command;
#[path = "remote_state/documents.rs"]
mod documents;
#[path = "remote_state/faults.rs"]
mod faults;
#[path = "remote_state/lives.rs"]
mod lives;
#[path = "remote_state/migrate.rs"]
mod migrate;
#[path = "remote_state/race.rs"]
mod race;
#[path = "remote_state/service.rs"]
mod service;
#[path = "remote_state/troubles.rs"]
mod troubles;
