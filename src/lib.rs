//! Infrastructure as code for systems that live on one machine.
//!
//! ```text
//! environment file --> Environment --> Desired ---+
//!   (text)             (as written)    (valid)    |
//! state store -------> State ---------------------+--> plan() --> Plan --> apply() --> State' + Outputs
//! provider, host ----> Observed ------------------+    pure,              | events
//!                      (read only)                     sync               +------> progress (bars | plain | JSON)
//! ```
//!
//! Data flows one way; nothing on the right is known on the left. [`commands`] holds one file a command, and its
//! `apply.rs` is the one function that shows the whole way.

pub mod apply;
pub mod audit;
pub mod certificate;
pub mod cli;
pub mod commands;
pub mod desired;
pub mod environment;
#[cfg(test)]
mod fixture;
pub mod graph;
pub mod history;
pub mod names;
pub mod note;
pub mod observe;
pub mod plan;
pub mod planfile;
pub mod progress;
pub mod provider;
pub mod remote;
pub mod render;
pub mod secret;
pub mod state;
pub mod svg;
