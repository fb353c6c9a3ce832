//! What is recorded between runs: the state, its lock, the encrypted bundle, the pinned host keys.
//!
//! Everything of one environment lies in one [`storage`], which [`backend`] chooses: the folder `<root>/.provision/<environment>/`
//! or a bucket.
//!
//! | document | what | module |
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

pub mod backend;
pub mod bundle;
pub mod identity;
pub mod keys;
pub mod known_hosts;
pub mod lock;
pub mod model;
mod process;
pub mod storage;
pub mod store;

pub use backend::{Backend, Bucket};
pub use bundle::{Bundle, BundleError, BundleStore};
pub use identity::{Identity, IdentityError};
pub use keys::{KeyError, PublicKey, SshKey, random_lineage, random_password, random_token};
pub use known_hosts::{KnownHosts, KnownHostsError};
pub use lock::{Heartbeat, Holder, Lock, LockError, TakenOver};
pub use model::{Life, Record, State, Status};
pub use process::{ProcessIdentity, run_name, who};
pub use storage::{Storage, StorageError};
pub use store::{Push, Store, StoreError};
