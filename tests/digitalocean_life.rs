//! An environment on a Droplet through the real program, against the lab's double of the cloud without machines: the same suite as
//! for AWS, killed at every call and with calls that go wrong in every way. Every request and every answer is held to the vendor's
//! document.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test's helpers are tests too; clippy's own exception knows only functions marked as one"
)]

#[path = "digitalocean_life/account.rs"]
mod account;
#[path = "digitalocean_life/cloud.rs"]
mod cloud;
#[path = "life/faults.rs"]
mod faults;
#[path = "life/harness.rs"]
mod harness;
#[path = "life/kill.rs"]
mod kill;
#[path = "life/same.rs"]
mod same;
#[path = "life/scenarios.rs"]
mod scenarios;
#[path = "life/story.rs"]
mod story;
#[path = "digitalocean_life/troubles.rs"]
mod troubles;
