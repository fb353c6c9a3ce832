//! Documents as objects of a bucket, replaced by conditional writes (`If-None-Match`, `If-Match`).
//!
//! - A document that is removed on condition becomes an empty object: every service that has conditional writes can do that,
//!   and hardly one deletes on condition. An empty object counts as none.
//! - Every write carries a token of its own. When an answer is lost, the object tells whether the write was ours; so a call that
//!   is made again never takes our own write for somebody else's.
//! - The service's clock is heard in the `Date` of every answer.
//!
//! Callers are synchronous: a call runs on a thread of its own, on a small runtime that keeps the connections.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::{Document, Expect, Place, StorageError, Version};
use crate::names::EnvironmentName;
use crate::state::backend::Bucket;

mod access;
mod calls;
mod trouble;
mod wire;

use calls::Connection;
pub use trouble::Trouble;

/// The objects of one environment.
#[derive(Debug, Clone)]
pub struct S3 {
    bucket: Bucket,
    /// The beginning of the keys, with a slash at its end.
    prefix: String,
    shared: Arc<Shared>,
    /// In place of the ordinary places of credentials and endpoint.
    config: Option<Arc<aws_config::SdkConfig>>,
}

#[derive(Debug, Default)]
struct Shared {
    line: Mutex<Option<Line>>,
    clock: wire::Clock,
    proved: AtomicBool,
}

/// An open connection with the runtime that it lives on.
#[derive(Debug)]
struct Line {
    runtime: Option<tokio::runtime::Runtime>,
    connection: Connection,
}

impl Drop for Line {
    fn drop(&mut self) {
        // The ordinary end waits for threads, which a caller inside another runtime must not.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl S3 {
    /// The objects of an environment in a bucket. Nothing is called. `proved` tells that the service has shown already that it
    /// honours conditional writes.
    pub fn new(bucket: &Bucket, environment: &EnvironmentName, proved: bool) -> Self {
        let prefix = match bucket.key.trim_matches('/') {
            "" => format!("{environment}/"),
            key => format!("{key}/{environment}/"),
        };
        let shared = Shared::default();
        shared.proved.store(proved, Ordering::Relaxed);
        Self {
            bucket: bucket.clone(),
            prefix,
            shared: Arc::new(shared),
            config: None,
        }
    }

    /// The same over a configuration that is made already.
    pub fn with_config(self, config: &aws_config::SdkConfig) -> Self {
        Self {
            config: Some(Arc::new(config.clone())),
            ..self
        }
    }

    /// The objects of what was destroyed: they lie beside those of all environments.
    pub fn archive(&self, folder: &str) -> Self {
        let key = self
            .prefix
            .trim_end_matches('/')
            .rsplit_once('/')
            .map_or("", |(key, _)| key);
        let prefix = match key {
            "" => format!("{folder}/"),
            key => format!("{key}/{folder}/"),
        };
        Self { prefix, ..self.clone() }
    }

    pub(super) fn place(&self, name: &str) -> Place {
        Place::Object {
            bucket: self.bucket.bucket.clone(),
            key: format!("{}{name}", self.prefix),
            endpoint: self.bucket.endpoint.clone(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_millis(self.shared.clock.ahead())
    }

    pub(super) fn get(&self, name: &str) -> Result<Option<(Vec<u8>, Version)>, StorageError> {
        let found = self.run(async |connection| connection.get(&self.key(name)).await)?;
        Ok(found
            .filter(|found| !found.bytes.is_empty())
            .map(|found| (found.bytes, Version(found.tag))))
    }

    pub(super) fn put(&self, name: &str, bytes: &[u8], expect: &Expect) -> Result<Version, StorageError> {
        let wanted = match expect {
            Expect::Absent => calls::Expected::Nothing,
            Expect::Seen(Version(tag)) => calls::Expected::Tag(tag.clone()),
            Expect::Any => calls::Expected::Anything,
        };
        let written = self.run(async |connection| connection.put(&self.key(name), bytes, wanted).await)?;
        written.map(Version).ok_or(StorageError::Conflict)
    }

    pub(super) fn remove(&self, name: &str, expect: &Expect) -> Result<(), StorageError> {
        match expect {
            Expect::Any => self.run(async |connection| connection.delete(&self.key(name)).await),
            Expect::Absent => match self.get(name)? {
                None => Ok(()),
                Some(_) => Err(StorageError::Conflict),
            },
            Expect::Seen(_) => self.put(name, b"", expect).map(drop),
        }
    }

    pub(super) fn list(&self, folder: &str) -> Result<Vec<Document>, StorageError> {
        let prefix = match folder {
            "" => self.prefix.clone(),
            folder => format!("{}{folder}/", self.prefix),
        };
        let (objects, _) = self.run(async |connection| connection.list(&prefix).await)?;
        let mut found: Vec<Document> = objects
            .into_iter()
            .filter(|object| object.size > 0)
            .filter_map(|object| {
                Some(Document {
                    name: object.key.strip_prefix(&self.prefix)?.to_owned(),
                    modified: object.modified,
                })
            })
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    pub(super) fn folders(&self) -> Result<Vec<String>, StorageError> {
        let (_, prefixes) = self.run(async |connection| connection.list(&self.prefix).await)?;
        let names = prefixes.iter().filter_map(|prefix| prefix.strip_prefix(&self.prefix));
        let mut names: Vec<String> = names.map(|name| name.trim_end_matches('/').to_owned()).collect();
        names.sort();
        Ok(names)
    }

    /// Makes the service show that it honours conditional writes, unless it has.
    pub(super) fn prove(&self) -> Result<(), StorageError> {
        if !self.shared.proved.load(Ordering::Relaxed) {
            self.run(async |connection| connection.prove(&self.prefix).await)?;
            self.shared.proved.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Runs a call to its end, wherever the caller is: within a runtime nothing may block on another one, on a thread of its own it may.
    fn run<T: Send>(
        &self,
        call: impl AsyncFnOnce(&Connection) -> Result<T, Trouble> + Send,
    ) -> Result<T, StorageError> {
        let on_its_thread = || {
            let mut line = self.shared.line.lock().unwrap_or_else(PoisonError::into_inner);
            if line.is_none() {
                *line = Some(self.open()?);
            }
            let Some(Line {
                runtime: Some(runtime),
                connection,
            }) = &*line
            else {
                return Err(Trouble::Runtime(std::io::Error::other("the connection is closed")));
            };
            runtime.block_on(call(connection))
        };
        let result = std::thread::scope(|scope| scope.spawn(on_its_thread).join());
        match result {
            Ok(result) => result.map_err(|trouble| StorageError::S3(Box::new(trouble))),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    fn open(&self) -> Result<Line, Trouble> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Trouble::Runtime)?;
        let connection = runtime.block_on(Connection::open(
            &self.bucket,
            self.config.as_deref(),
            self.shared.clock.clone(),
        ))?;
        Ok(Line {
            runtime: Some(runtime),
            connection,
        })
    }
}
