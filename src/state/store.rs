//! The state of one environment as a file of this computer.
//!
//! A run finds the state as it was before a write or after it, never half of one and never none: temporary file, sync,
//! rename, sync of the folder. A writer whose state is not the one on disk is refused, even when it believes that it
//! holds the lock. After every write a copy goes to `backups/`.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;

use super::atomic;
use super::guard::Guard;
use super::model::{State, VERSION, WRITER};
use crate::names::EnvironmentName;

mod error;
#[cfg(test)]
mod tests;

pub use error::StoreError;

/// The folder of all environments in a project.
pub const FOLDER: &str = ".provision";

/// Where the states of destroyed environments go. No environment's name starts with `_`, so it clashes with none.
const DESTROYED: &str = "_destroyed";

const STATE_FILE: &str = "state.json";
const BACKUPS: &str = "backups";

/// As many backups as one apply of a usual environment writes, and the state before it.
const BACKUPS_KEPT: usize = 10;

/// What is worth keeping of a destroyed environment. Host keys and locks of a machine that is gone are not.
const ARCHIVED: [&str; 4] = [STATE_FILE, "secrets.age", "secrets.recipient", "history"];

/// The state of one environment in `<root>/.provision/<environment>/`.
#[derive(Debug, Clone)]
pub struct LocalStore {
    environment: EnvironmentName,
    folder: PathBuf,
}

/// What every version of the state has.
#[derive(Deserialize)]
struct Header {
    version: u32,
    #[serde(default)]
    written_by: String,
}

impl LocalStore {
    /// The store of an environment in a project's root folder. Nothing is read or made.
    pub fn new(root: &Path, environment: &EnvironmentName) -> Self {
        Self {
            environment: environment.clone(),
            folder: root.join(FOLDER).join(environment.as_str()),
        }
    }

    /// The environment's folder: what [`super::Lock`], [`super::BundleStore`] and [`super::KnownHosts`] are given.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The state file.
    pub fn path(&self) -> PathBuf {
        self.folder.join(STATE_FILE)
    }

    /// Makes the environment's folder, for the owner only, and keeps the project's git out of it.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn prepare(&self) -> Result<(), StoreError> {
        let write = |path: &Path, why| StoreError::Write {
            path: path.to_owned(),
            why,
        };
        atomic::make_folder(&self.folder).map_err(|why| write(&self.folder, why))?;
        let ignore = self.folder.with_file_name(".gitignore");
        match fs::File::create_new(&ignore) {
            Ok(mut file) => file.write_all(b"*\n").map_err(|why| write(&ignore, why)),
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(why) => Err(write(&ignore, why)),
        }
    }

    /// Reads the state. `None` when this environment has none.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, was written by a newer provision, or belongs to another environment.
    pub fn load(&self) -> Result<Option<State>, StoreError> {
        let path = self.path();
        match self.read()? {
            Some(bytes) => self.decode(&path, &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Writes the state as the successor of the one on disk: `state` then has its new serial.
    ///
    /// # Errors
    /// When the state on disk is not the one that `state` was loaded from, or when it cannot be written; it is then
    /// unchanged on disk. [`StoreError::Backup`] alone means that the state was written and its copy was not.
    pub fn save(&self, state: &mut State) -> Result<(), StoreError> {
        let path = self.path();
        let write = |why| StoreError::Write {
            path: path.clone(),
            why,
        };
        if state.environment != self.environment {
            return Err(StoreError::OtherEnvironment {
                path,
                expected: self.environment.clone(),
                found: state.environment.clone(),
            });
        }
        self.prepare()?;
        let guard = Guard::take(&self.folder).map_err(write)?;
        self.fence(state)?;

        let next = State {
            version: VERSION,
            serial: state.serial + 1,
            written_by: WRITER.to_owned(),
            ..state.clone()
        };
        let mut bytes = serde_json::to_vec_pretty(&next).map_err(|e| write(e.into()))?;
        bytes.push(b'\n');
        atomic::write(&path, &bytes, atomic::PRIVATE).map_err(write)?;
        *state = next;
        let backed_up = self.back_up(state.serial, &bytes);
        drop(guard);
        backed_up
    }

    /// Reads what is kept beside the state under a relative name, such as `history/0007.json`. `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.folder.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(StoreError::Read { path, why }),
        }
    }

    /// Keeps something beside the state, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.folder.join(name);
        let folder = path.parent().unwrap_or(&self.folder);
        atomic::make_folder(folder)
            .and_then(|()| atomic::write(&path, bytes, atomic::PRIVATE))
            .map_err(|why| StoreError::Write { path, why })
    }

    /// Removes what is kept beside the state under a name. Nothing happens when there is nothing.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.folder.join(name);
        match fs::remove_file(&path) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(StoreError::Write { path, why }),
            _ => Ok(()),
        }
    }

    /// The names of what is kept in a folder beside the state, sorted.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let path = self.folder.join(folder);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(why) => return Err(StoreError::Read { path, why }),
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| Some(format!("{folder}/{}", entry.file_name().to_str()?)))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Ends this life of the environment: state, bundle and history move to `.provision/_destroyed/`, the rest of the
    /// folder is removed. The move is one rename: an interrupted call has either not begun or has taken the state away.
    ///
    /// # Errors
    /// When the folder cannot be moved; or when it was moved and not everything else in it could be removed.
    pub fn archive_and_remove(&self, now: Timestamp) -> Result<PathBuf, StoreError> {
        let parent = self.folder.with_file_name(DESTROYED);
        let stamp = now.strftime("%Y%m%dT%H%M%SZ");
        let mut archive = parent.join(format!("{}-{stamp}", self.environment));
        for number in 2.. {
            if !archive.exists() {
                break;
            }
            archive = parent.join(format!("{}-{stamp}-{number}", self.environment));
        }
        self.move_to(&parent, &archive).map_err(|why| StoreError::Archive {
            from: self.folder.clone(),
            to: archive.clone(),
            why,
        })?;
        Ok(archive)
    }

    /// Puts a state that does not read beside its place, so that another can be written there, and tells where it is.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn set_aside(&self, now: Timestamp) -> Result<PathBuf, StoreError> {
        let from = self.path();
        let to = self
            .folder
            .join(format!("state-damaged-{}.json", now.strftime("%Y%m%dT%H%M%SZ")));
        fs::rename(&from, &to).map_err(|why| StoreError::Write { path: from, why })?;
        Ok(to)
    }

    fn move_to(&self, parent: &Path, archive: &Path) -> io::Result<()> {
        atomic::make_folder(parent)?;
        fs::rename(&self.folder, archive)?;
        atomic::sync_folder(parent)?;
        if let Some(environments) = self.folder.parent() {
            atomic::sync_folder(environments)?;
        }
        for entry in fs::read_dir(archive)? {
            let entry = entry?;
            if ARCHIVED.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn read(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path();
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(StoreError::Read { path, why }),
        }
    }

    /// Refuses a state that is not the one on disk: another life, another serial, or none where there was one.
    fn fence(&self, ours: &State) -> Result<(), StoreError> {
        let path = self.path();
        let Some(bytes) = self.read()? else {
            return match ours.serial {
                0 => Ok(()),
                serial => Err(StoreError::Vanished { path, serial }),
            };
        };
        let theirs = self.decode(&path, &bytes)?;
        if theirs.lineage != ours.lineage {
            return Err(StoreError::OtherLineage {
                path,
                expected: ours.lineage.clone(),
                found: theirs.lineage,
            });
        }
        if theirs.serial != ours.serial {
            return Err(StoreError::Moved {
                path,
                loaded: ours.serial,
                found: theirs.serial,
                written_by: theirs.written_by,
            });
        }
        Ok(())
    }

    /// Pure but for the list of backups, which a damaged file's error names.
    fn decode(&self, path: &Path, bytes: &[u8]) -> Result<State, StoreError> {
        let damaged = |why: serde_json::Error| StoreError::Damaged {
            path: path.to_owned(),
            line: why.line(),
            column: why.column(),
            excerpt: error::excerpt(bytes, why.line()),
            backup: self.newest_backup(),
            why,
        };
        let header: Header = serde_json::from_slice(bytes).map_err(damaged)?;
        if header.version > VERSION {
            return Err(StoreError::Newer {
                path: path.to_owned(),
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
                path: path.to_owned(),
                expected: self.environment.clone(),
                found: state.environment,
            });
        }
        Ok(state)
    }

    fn back_up(&self, serial: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let folder = self.folder.join(BACKUPS);
        let path = folder.join(format!("state-{serial}.json"));
        let write = || {
            atomic::make_folder(&folder)?;
            // Each backup has another name, so that its own write clears nothing of those that were killed before.
            atomic::sweep(&folder, atomic::TEMPORARY)?;
            atomic::write(&path, bytes, atomic::PRIVATE)?;
            for (_, old) in self.backups()?.into_iter().skip(BACKUPS_KEPT) {
                fs::remove_file(old)?;
            }
            Ok(())
        };
        write().map_err(|why| StoreError::Backup {
            path: path.clone(),
            serial,
            why,
        })
    }

    /// All backups, newest first. By time, not by serial: a restored state counts on from its own serial.
    fn backups(&self) -> io::Result<Vec<(std::time::SystemTime, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.folder.join(BACKUPS))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("state-") && name.ends_with(".json") {
                found.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        found.sort_by(|a, b| b.cmp(a));
        Ok(found)
    }

    /// The newest backup that reads as a state of this environment.
    fn newest_backup(&self) -> Option<PathBuf> {
        let found = self.backups().unwrap_or_default();
        found.into_iter().map(|(_, path)| path).find(|path| {
            fs::read(path)
                .ok()
                .and_then(|bytes| serde_json::from_slice::<State>(&bytes).ok())
                .is_some_and(|state| state.environment == self.environment)
        })
    }
}
