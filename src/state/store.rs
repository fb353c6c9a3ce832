//! The state of one environment, and what is kept beside it, in a [`Storage`].
//!
//! A run finds the state as it was before a write or after it, never half of one and never none. A writer whose state is
//! not the one that is there is refused by the storage itself, even when it believes that it holds the lock. After every
//! write a copy goes to `backups/`.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;

use super::atomic;
use super::backend::{self, Backend, Memory};
use super::model::{State, VERSION, WRITER};
use super::storage::{Expect, Place, Storage, StorageError, Version};
use crate::names::{EnvironmentName, Lineage};

mod archive;
mod error;
mod moved;
mod surgery;
#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use surgery::Push;

/// The folder of all environments in a project.
pub const FOLDER: &str = ".provision";

pub(super) const STATE_FILE: &str = "state.json";
const BACKUPS: &str = "backups";

/// As many backups as one apply of a usual environment writes, and the state before it.
const BACKUPS_KEPT: usize = 10;

/// How often a write begins anew because somebody else was faster and yet changed nothing that matters.
const ATTEMPTS: u32 = 3;

/// The state of one environment. Its local folder is `<root>/.provision/<environment>/`, also when the documents are elsewhere:
/// copies lie there of what ssh or a person needs as a file. Clones share what they have seen.
#[derive(Debug, Clone)]
pub struct Store {
    environment: EnvironmentName,
    folder: PathBuf,
    backend: Backend,
    storage: Storage,
    seen: Arc<Mutex<Option<Seen>>>,
    /// The names of the backups, oldest first, once they were listed.
    backups: Arc<Mutex<Option<VecDeque<String>>>>,
}

/// The state that was read or written last, and which content it has there.
#[derive(Debug)]
struct Seen {
    lineage: Lineage,
    serial: u64,
    version: Version,
}

/// What every version of the state has.
#[derive(Deserialize)]
struct Header {
    version: u32,
    #[serde(default)]
    written_by: String,
}

impl Store {
    /// The store of an environment in a project's root folder, on this computer. Nothing is read or made.
    pub fn new(root: &Path, environment: &EnvironmentName) -> Self {
        let folder = root.join(FOLDER).join(environment.as_str());
        let storage = Storage::local(&folder);
        Self::over(environment, folder, Backend::Local, storage)
    }

    /// The store of an environment in a backend. Nothing is called or made.
    ///
    /// # Errors
    /// When what is remembered of the backend cannot be read, or this build has no such backend.
    pub fn open(root: &Path, environment: &EnvironmentName, backend: &Backend) -> Result<Self, StoreError> {
        let folder = root.join(FOLDER).join(environment.as_str());
        let storage = storage(&folder, environment, backend)?;
        Ok(Self::over(environment, folder, backend.clone(), storage))
    }

    /// The same over a storage that is made already.
    pub fn with_storage(self, storage: Storage) -> Self {
        Self::over(&self.environment, self.folder, self.backend, storage)
    }

    /// The backend that this computer remembers of an environment, if it remembers one: a backend in S3 that was used.
    ///
    /// # Errors
    /// When the memory cannot be read.
    pub fn remembered(root: &Path, environment: &EnvironmentName) -> Result<Option<Backend>, StoreError> {
        backend::remembered(&root.join(FOLDER).join(environment.as_str()))
    }

    fn over(environment: &EnvironmentName, folder: PathBuf, backend: Backend, storage: Storage) -> Self {
        Self {
            environment: environment.clone(),
            folder,
            backend,
            storage,
            seen: Arc::default(),
            backups: Arc::default(),
        }
    }

    /// Whose state it is.
    pub fn environment(&self) -> &EnvironmentName {
        &self.environment
    }

    /// The environment's folder on this computer.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the documents are: what [`super::Lock`], [`super::BundleStore`] and [`super::KnownHosts`] are given.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Which backend that is.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Where the state is, for people.
    pub fn place(&self) -> Place {
        self.storage.place(STATE_FILE)
    }

    /// Makes the environment's folder, for the owner only, and keeps the project's git out of it. A service is made to show that
    /// two runs cannot overwrite each other there, and is remembered.
    ///
    /// # Errors
    /// When the folder cannot be made, the service cannot be used, or the documents lie in another backend.
    pub fn prepare(&self) -> Result<(), StoreError> {
        self.settled()?;
        let write = |path: &Path, why: io::Error| StoreError::Write {
            place: Place::Path(path.to_owned()),
            why: why.into(),
        };
        atomic::make_folder(&self.folder).map_err(|why| write(&self.folder, why))?;
        let ignore = self.folder.with_file_name(".gitignore");
        match fs::File::create_new(&ignore) {
            Ok(mut file) => file.write_all(b"*\n").map_err(|why| write(&ignore, why))?,
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
            Err(why) => return Err(write(&ignore, why)),
        }
        self.storage.prepare().map_err(|why| StoreError::Write {
            place: self.storage.place(""),
            why,
        })?;
        self.remember(true)
    }

    /// Refuses a backend that is not the one in which the documents of this environment are, as far as this computer knows.
    ///
    /// # Errors
    /// When it is not, or what is remembered cannot be read.
    pub fn settled(&self) -> Result<(), StoreError> {
        let there = match backend::remembered(&self.folder)? {
            Some(remembered) => remembered,
            None if self.storage.is_local() => return Ok(()),
            None => match self.folder.join(STATE_FILE).exists() {
                true => Backend::Local,
                false => return Ok(()),
            },
        };
        match there.is_same(&self.backend) {
            true => Ok(()),
            false => Err(StoreError::Elsewhere {
                environment: self.environment.clone(),
                there: Box::new(there),
                written: Box::new(self.backend.clone()),
                memory: self.folder.join("backend.json"),
            }),
        }
    }

    /// Remembers on this computer where the documents are, when they are elsewhere.
    fn remember(&self, proved: bool) -> Result<(), StoreError> {
        let Backend::S3(bucket) = &self.backend else {
            return Ok(());
        };
        let known = backend::recall(&self.folder)?;
        let proved = proved || known.as_ref().is_some_and(|known| known.proved);
        let memory = Memory {
            bucket: bucket.clone(),
            proved,
        };
        match known == Some(memory.clone()) {
            true => Ok(()),
            false => backend::remember(&self.folder, Some(&memory)),
        }
    }

    /// Reads the state. `None` when this environment has none.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, was written by a newer provision, or belongs to another environment.
    pub fn load(&self) -> Result<Option<State>, StoreError> {
        self.settled()?;
        let Some((bytes, version)) = self.read(STATE_FILE)? else {
            self.see(None);
            self.is_not_moved()?;
            return Ok(None);
        };
        let state = self.decode(&bytes)?;
        self.see(Some((&state, version)));
        // A computer that only reads may have no folder that it can write to.
        let _ = self.remember(false);
        Ok(Some(state))
    }

    /// Writes the state as the successor of the one that is there: `state` then has its new serial.
    ///
    /// # Errors
    /// When the state that is there is not the one that `state` was loaded from, or when it cannot be written; what is there is
    /// then unchanged. [`StoreError::Backup`] alone means that the state was written and its copy was not.
    pub fn save(&self, state: &mut State) -> Result<(), StoreError> {
        if state.environment != self.environment {
            return Err(StoreError::OtherEnvironment {
                place: self.place(),
                expected: self.environment.clone(),
                found: state.environment.clone(),
            });
        }
        self.prepare()?;
        let next = State {
            version: VERSION,
            serial: state.serial + 1,
            written_by: WRITER.to_owned(),
            ..state.clone()
        };
        let bytes = encode(&next).map_err(|why| self.unwritten(why))?;
        let version = self.replace(state, &bytes)?;
        self.see(Some((&next, version)));
        *state = next;
        self.back_up(state.serial, &bytes)
    }

    /// Puts bytes in the place of the state that `ours` was loaded from.
    fn replace(&self, ours: &State, bytes: &[u8]) -> Result<Version, StoreError> {
        let mut expect = match self.seen(ours) {
            Some(version) => Expect::Seen(version),
            None => self.fence(ours)?,
        };
        for attempt in 1.. {
            match self.storage.put(STATE_FILE, bytes, &expect) {
                Ok(version) => return Ok(version),
                // Whoever was faster is told by what is there now.
                Err(StorageError::Conflict) if attempt < ATTEMPTS => expect = self.fence(ours)?,
                Err(why) => return Err(self.unwritten(why)),
            }
        }
        Err(self.unwritten(StorageError::Conflict))
    }

    /// Reads what is kept beside the state under a relative name, such as `history/0007.json`. `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read(name)?.map(|(bytes, _)| bytes))
    }

    /// Keeps something beside the state, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let written = self.storage.put(name, bytes, &Expect::Any);
        written.map(drop).map_err(|why| StoreError::Write {
            place: self.storage.place(name),
            why,
        })
    }

    /// Removes what is kept beside the state under a name. Nothing happens when there is nothing.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        let removed = self.storage.remove(name, &Expect::Any);
        removed.map_err(|why| StoreError::Write {
            place: self.storage.place(name),
            why,
        })
    }

    /// The names of what is kept in a folder beside the state, sorted.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let listed = self.storage.list(folder).map_err(|why| StoreError::Read {
            place: self.storage.place(folder),
            why,
        })?;
        Ok(listed.into_iter().map(|document| document.name).collect())
    }

    /// Has a document as a file of this computer, and tells which; `None` when there is no such document.
    ///
    /// # Errors
    /// When it cannot be read or its copy not be written.
    pub fn as_file(&self, name: &str) -> Result<Option<PathBuf>, StoreError> {
        let Some(bytes) = self.get(name)? else {
            return Ok(None);
        };
        let path = self.folder.join(name);
        if !self.storage.is_local() {
            copy_to(&self.folder, name, &bytes)?;
        }
        Ok(Some(path))
    }

    fn read(&self, name: &str) -> Result<Option<(Vec<u8>, Version)>, StoreError> {
        self.storage.get(name).map_err(|why| StoreError::Read {
            place: self.storage.place(name),
            why,
        })
    }

    fn unwritten(&self, why: StorageError) -> StoreError {
        StoreError::Write {
            place: self.place(),
            why,
        }
    }

    fn see(&self, state: Option<(&State, Version)>) {
        let seen = state.map(|(state, version)| Seen {
            lineage: state.lineage.clone(),
            serial: state.serial,
            version,
        });
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    /// The content that is there, if this very state was the last that was seen there.
    fn seen(&self, state: &State) -> Option<Version> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.as_ref()?;
        (seen.lineage == state.lineage && seen.serial == state.serial).then(|| seen.version.clone())
    }

    /// Refuses a state that is not the one that is there: another life, another serial, or none where there was one. Tells what a
    /// write may replace.
    fn fence(&self, ours: &State) -> Result<Expect, StoreError> {
        let place = self.place();
        let Some((bytes, version)) = self.read(STATE_FILE)? else {
            return match ours.serial {
                0 => Ok(Expect::Absent),
                serial => Err(StoreError::Vanished { place, serial }),
            };
        };
        let theirs = self.decode(&bytes)?;
        if theirs.lineage != ours.lineage {
            return Err(StoreError::OtherLineage {
                place,
                expected: ours.lineage.clone(),
                found: theirs.lineage,
            });
        }
        if theirs.serial != ours.serial {
            return Err(StoreError::Moved {
                place,
                loaded: ours.serial,
                found: theirs.serial,
                written_by: theirs.written_by,
            });
        }
        Ok(Expect::Seen(version))
    }

    /// Pure but for the list of backups, which a damaged state's error names.
    fn decode(&self, bytes: &[u8]) -> Result<State, StoreError> {
        let damaged = |why: serde_json::Error| StoreError::Damaged {
            place: self.place(),
            line: why.line(),
            column: why.column(),
            excerpt: error::excerpt(bytes, why.line()),
            backup: self.newest_backup().map(|name| self.storage.place(&name)),
            why,
        };
        let header: Header = serde_json::from_slice(bytes).map_err(damaged)?;
        if header.version > VERSION {
            return Err(StoreError::Newer {
                place: self.place(),
                version: header.version,
                written_by: header.written_by,
            });
        }
        if header.version < VERSION {
            let why = format!("`version` is {}, and the first version was {VERSION}", header.version);
            return Err(damaged(serde::de::Error::custom(why)));
        }
        let state: State = serde_json::from_slice(bytes).map_err(damaged)?;
        if state.environment != self.environment {
            return Err(StoreError::OtherEnvironment {
                place: self.place(),
                expected: self.environment.clone(),
                found: state.environment,
            });
        }
        Ok(state)
    }

    fn back_up(&self, serial: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let name = format!("{BACKUPS}/state-{serial}.json");
        let write = || {
            let mut known = self.backups.lock().unwrap_or_else(PoisonError::into_inner);
            let mut names = match known.take() {
                Some(names) => names,
                None => self.list_backups()?,
            };
            self.storage.put(&name, bytes, &Expect::Any)?;
            // A restored state counts on from its own serial: the same name comes again.
            names.retain(|known| *known != name);
            names.push_back(name.clone());
            while names.len() > BACKUPS_KEPT {
                if let Some(old) = names.pop_front() {
                    self.storage.remove(&old, &Expect::Any)?;
                }
            }
            *known = Some(names);
            Ok(())
        };
        write().map_err(|why| StoreError::Backup {
            place: self.storage.place(&name),
            serial,
            why,
        })
    }

    /// All backups, oldest first. By time, and by serial only within the grain of a storage's clock: a restored state counts on
    /// from its own serial.
    fn list_backups(&self) -> Result<VecDeque<String>, StorageError> {
        let mut found: Vec<_> = self
            .storage
            .list(BACKUPS)?
            .into_iter()
            .filter_map(|document| {
                let file = document.name.strip_prefix(BACKUPS)?.strip_prefix("/state-")?;
                let serial: u64 = file.strip_suffix(".json")?.parse().ok()?;
                Some((document.modified, serial, document.name))
            })
            .collect();
        found.sort();
        Ok(found.into_iter().map(|(_, _, name)| name).collect())
    }

    /// The newest backup that reads as a state of this environment.
    fn newest_backup(&self) -> Option<String> {
        let found = self.list_backups().unwrap_or_default();
        found.into_iter().rev().find(|name| {
            let bytes = self.storage.get(name).ok().flatten();
            bytes
                .and_then(|(bytes, _)| serde_json::from_slice::<State>(&bytes).ok())
                .is_some_and(|state| state.environment == self.environment)
        })
    }
}

fn encode(state: &State) -> Result<Vec<u8>, StorageError> {
    let mut bytes = serde_json::to_vec_pretty(state).map_err(io::Error::from)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Has bytes in a file of the environment's local folder.
fn copy_to(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let copies = Storage::local(folder);
    let unchanged = matches!(copies.get(name), Ok(Some((there, _))) if there == bytes);
    if unchanged {
        return Ok(());
    }
    let written = copies.put(name, bytes, &Expect::Any);
    written.map(drop).map_err(|why| StoreError::Write {
        place: copies.place(name),
        why,
    })
}

/// The storage that a backend means.
#[cfg(feature = "aws")]
fn storage(folder: &Path, environment: &EnvironmentName, backend: &Backend) -> Result<Storage, StoreError> {
    Ok(match backend {
        Backend::Local => Storage::local(folder),
        Backend::S3(bucket) => {
            let known = backend::recall(folder)?;
            let same = |known: &Memory| Backend::S3(known.bucket.clone()).is_same(backend);
            let proved = known.is_some_and(|known| known.proved && same(&known));
            Storage::S3(super::storage::S3::new(bucket, environment, proved))
        }
    })
}

#[cfg(not(feature = "aws"))]
fn storage(folder: &Path, _: &EnvironmentName, backend: &Backend) -> Result<Storage, StoreError> {
    match backend {
        Backend::Local => Ok(Storage::local(folder)),
        Backend::S3(_) => Err(StoreError::NotBuilt),
    }
}
