//! What is recorded between runs: the state, its lock, the encrypted bundle, the pinned host keys.
//!
//! Everything of one environment lies in `<root>/.provision/<environment>/`:
//!
//! | file | what | module |
//! |---|---|---|
//! | `state.json`, `backups/` | what was meant and what was made | [`model`], [`store`] |
//! | `state.lock` | who works on it right now | [`lock`] |
//! | `secrets.age`, `secrets.age.bak`, `secrets.recipient` | generated secrets and private keys, encrypted | [`bundle`] |
//! | `known_hosts` | the host keys that are believed | [`known_hosts`] |
//!
//! The key to the bundle belongs to the person, not to the environment: [`identity`]. Nothing here knows a provider, a
//! plan or a terminal, and the state holds no secret.

mod atomic;
mod guard;

pub mod bundle;
pub mod identity;
pub mod keys;
pub mod known_hosts;
pub mod lock;
pub mod model;
mod process;
pub mod store;

pub use bundle::{Bundle, BundleError, BundleStore};
pub use identity::{Identity, IdentityError};
pub use keys::{KeyError, PublicKey, SshKey, random_lineage, random_password};
pub use known_hosts::{KnownHosts, KnownHostsError};
pub use lock::{Heartbeat, Lock, LockError, TakenOver};
pub use model::{Record, State, Status};
pub use process::{run_name, who};
pub use store::{LocalStore, StoreError};
