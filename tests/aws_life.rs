//! An EC2 environment through the real program, against the lab's double of the cloud without machines: killed at every call,
//! with calls that go wrong in every way, and under the least that its credentials may be allowed.
//!
//! Nobody answers at the machine's address, so a run has done its part when it turns to the host: there it is ended.
#![cfg(feature = "aws")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test's helpers are tests too; clippy's own exception knows only functions marked as one"
)]

#[path = "aws_life/cloud.rs"]
mod cloud;
#[path = "aws_life/costs.rs"]
mod costs;
#[path = "life/faults.rs"]
mod faults;
#[path = "aws_life/gc.rs"]
mod gc;
#[path = "life/harness.rs"]
mod harness;
#[path = "life/kill.rs"]
mod kill;
#[path = "aws_life/operator.rs"]
mod operator;
#[path = "aws_life/policy.rs"]
mod policy;
#[path = "aws_life/profile.rs"]
mod profile;
#[path = "life/same.rs"]
mod same;
#[path = "life/scenarios.rs"]
mod scenarios;
#[path = "aws_life/state.rs"]
mod state;
#[path = "life/story.rs"]
mod story;
#[path = "aws_life/troubles.rs"]
mod troubles;
