//! The end of a life of an environment: what is worth keeping is put away, the rest is removed.

use std::fs;
use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::super::atomic;
use super::super::backend;
#[cfg(feature = "aws")]
use super::super::storage::S3;
use super::super::storage::{Expect, Place, Storage, StorageError};
use super::{STATE_FILE, Store, StoreError};

/// Where the states of destroyed environments go. No environment's name starts with `_`, so it clashes with none.
const DESTROYED: &str = "_destroyed";

/// What is worth keeping of a destroyed environment. Host keys and locks of a machine that is gone are not.
const ARCHIVED: [&str; 4] = [STATE_FILE, "secrets.age", "secrets.recipient", "history"];

impl Store {
    /// Ends this life of the environment: state, bundle and history move to `_destroyed/`, the rest is removed. In a folder the
    /// move is one rename: an interrupted call has either not begun or has taken the state away. In a bucket the state goes last:
    /// an interrupted call is made good by the next one.
    ///
    /// # Errors
    /// When they cannot be moved; or when they were moved and not everything else could be removed.
    pub fn archive_and_remove(&self, now: Timestamp) -> Result<Place, StoreError> {
        let stamp = now.strftime("%Y%m%dT%H%M%SZ");
        let name = format!("{}-{stamp}", self.environment);
        match &self.storage {
            Storage::Local(_) => self.move_folder(&name),
            #[cfg(feature = "aws")]
            Storage::S3(s3) => self.move_objects(s3, &name),
        }
    }

    fn move_folder(&self, name: &str) -> Result<Place, StoreError> {
        let parent = self.folder.with_file_name(DESTROYED);
        let mut archive = parent.join(name);
        for number in 2.. {
            if !archive.exists() {
                break;
            }
            archive = parent.join(format!("{name}-{number}"));
        }
        self.move_to(&parent, &archive).map_err(|why| StoreError::Archive {
            from: Place::Path(self.folder.clone()),
            to: Place::Path(archive.clone()),
            why: why.into(),
        })?;
        Ok(Place::Path(archive))
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

    #[cfg(feature = "aws")]
    fn move_objects(&self, s3: &S3, name: &str) -> Result<Place, StoreError> {
        let moved = |to: &Storage| -> Result<(), StoreError> {
            let failed = |why: StorageError| StoreError::Archive {
                from: self.storage.place(""),
                to: to.place(""),
                why,
            };
            // The state is written once more before anything is taken away: a run that was overtaken ends here.
            let Some(mut state) = self.last()? else { return Ok(()) };
            match self.save(&mut state) {
                Ok(()) | Err(StoreError::Backup { .. }) => {}
                Err(why) => return Err(why),
            }
            let documents = documents(&self.storage).map_err(failed)?;
            let kept = |name: &str| {
                let first = name.split('/').next().unwrap_or(name);
                ARCHIVED.contains(&first)
            };
            for name in documents.iter().filter(|name| kept(name)) {
                if let Some((bytes, _)) = self.storage.get(name).map_err(failed)? {
                    to.put(name, &bytes, &Expect::Any).map_err(failed)?;
                }
            }
            for name in &documents {
                if name != STATE_FILE && name != super::super::lock::FILE {
                    self.storage.remove(name, &Expect::Any).map_err(failed)?;
                }
            }
            let expect = self.seen(&state).map_or(Expect::Absent, Expect::Seen);
            self.storage.remove(STATE_FILE, &expect).map_err(failed)
        };
        let to = Storage::S3(s3.archive(&format!("{DESTROYED}/{name}")));
        moved(&to)?;
        self.forget_copies().map_err(|why| StoreError::Archive {
            from: Place::Path(self.folder.clone()),
            to: to.place(""),
            why: why.into(),
        })?;
        Ok(to.place(""))
    }

    /// The state that is there, if it is the one that this run has seen last, or if it has seen none.
    #[cfg(feature = "aws")]
    fn last(&self) -> Result<Option<super::State>, StoreError> {
        let Some((bytes, version)) = self.read(STATE_FILE)? else {
            return Ok(None);
        };
        let state = self.decode(&bytes)?;
        let seen = self
            .seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        match seen {
            Some(seen) if seen.version != version => Err(StoreError::Moved {
                place: self.place(),
                loaded: seen.serial,
                found: state.serial,
                written_by: state.written_by,
            }),
            _ => {
                self.see(Some((&state, version)));
                Ok(Some(state))
            }
        }
    }

    /// Removes the copies on this computer, and what it remembers of the backend.
    #[cfg(feature = "aws")]
    fn forget_copies(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
            _ => Ok(()),
        }
    }

    /// Puts a state that does not read beside its place, so that another can be written there, and tells where it is.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn set_aside(&self, now: Timestamp) -> Result<Place, StoreError> {
        let name = format!("state-damaged-{}.json", now.strftime("%Y%m%dT%H%M%SZ"));
        let aside = self.storage.place(&name);
        if let Some((bytes, version)) = self.read(STATE_FILE)? {
            self.storage
                .put(&name, &bytes, &Expect::Any)
                .and_then(|_| self.storage.remove(STATE_FILE, &Expect::Seen(version)))
                .map_err(|why| self.unwritten(why))?;
        }
        self.see(None);
        Ok(aside)
    }

    /// Leaves this storage for another one, into which everything has been copied: `state.json` is put aside as `state-migrated-….json`,
    /// a mark tells others where it is, and this computer remembers where the documents are now.
    ///
    /// # Errors
    /// When the state cannot be put aside; somebody else wrote it meanwhile, then the copy is not the last one.
    pub fn leave_for(&self, next: &Self, seen: Option<&super::Version>, now: Timestamp) -> Result<(), StoreError> {
        if let (Some(version), Some((bytes, _))) = (seen, self.read(STATE_FILE)?) {
            let aside = format!("state-migrated-{}.json", now.strftime("%Y%m%dT%H%M%SZ"));
            self.storage
                .put(&aside, &bytes, &Expect::Any)
                .and_then(|_| self.mark_as_moved(next, now))
                .and_then(|()| self.storage.remove(STATE_FILE, &Expect::Seen(version.clone())))
                .map_err(|why| self.unwritten(why))?;
        }
        self.see(None);
        match next.storage.is_local() {
            true => backend::remember(&self.folder, None),
            false => next.remember(true),
        }
    }
}

/// The names of all documents but backups' temporary ones, sorted.
pub(super) fn documents(storage: &Storage) -> Result<Vec<String>, StorageError> {
    let mut names: Vec<String> = storage.list("")?.into_iter().map(|document| document.name).collect();
    for folder in storage.folders()? {
        names.extend(storage.list(&folder)?.into_iter().map(|document| document.name));
    }
    names.sort();
    Ok(names)
}
