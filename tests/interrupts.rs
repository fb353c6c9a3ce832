//! Runs that end before their time: signals, a terminal that is closed, readers that go away, disks that are full. The real
//! program is at work on a machine whose base image never comes.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends at what it did not expect"
)]

#[path = "messages/project.rs"]
#[allow(dead_code, unused_macros, unused_imports)]
mod project;

#[path = "interrupts/disk.rs"]
mod disk;
#[path = "interrupts/power.rs"]
mod power;
#[path = "interrupts/readers.rs"]
mod readers;
#[path = "interrupts/run.rs"]
mod run;
#[path = "interrupts/signals.rs"]
mod signals;
