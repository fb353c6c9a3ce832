//! SSH: what is run on a host, as values ([`RemoteCommand`]), and the one session that runs it ([`Session`]).
//!
//! One connection a run: `ssh` is started once as a multiplexing master, every command is a channel of it. The host is
//! recognised by the environment's own pinned keys before anything is sent, never by asking. Nothing here knows what
//! the commands are for.

pub mod archive;
pub mod audit;
pub mod command;
pub mod error;
pub mod interactive;
pub mod lease;
mod master;
pub mod output;
mod pack;
pub mod probe;
mod reach;
pub mod scripts;
pub mod session;
pub mod streams;
pub mod target;

pub use archive::{Archive, ArchiveEntry};
pub use command::{RemoteCommand, Stdin};
pub use error::SessionError;
pub use interactive::Interactive;
pub use output::{Exit, Output};
pub use probe::Probe;
pub use scripts::Script;
pub use session::{ConnectPolicy, Counts, Session};
pub use streams::{OnLine, Pipe};
pub use target::{ClientKey, Target};
