//! What a person reads when something is wrong: the real program, a project in a temporary folder, its exit code and every
//! word that it says. The exit codes are those of `provision --help`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends at what it did not expect"
)]

#[path = "messages/project.rs"]
mod project;

#[path = "messages/aws.rs"]
mod aws;
#[path = "messages/edge.rs"]
mod edge;
#[path = "messages/hosts.rs"]
mod hosts;
#[path = "messages/machine.rs"]
mod machine;
#[path = "messages/pilots.rs"]
mod pilots;
#[path = "messages/plan.rs"]
mod plan;
#[path = "messages/secrets.rs"]
mod secrets;
#[path = "messages/state.rs"]
mod state;
#[path = "messages/surgery.rs"]
mod surgery;
#[path = "messages/walls.rs"]
mod walls;
#[path = "messages/written.rs"]
mod written;
