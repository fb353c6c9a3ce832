//! Documents as files of one folder: compared and replaced under a [`Guard`], by way of a temporary file, a rename and a sync of
//! both, so that a power failure leaves the old one or the new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::super::atomic;
use super::super::guard::{GUARD_FILE, Guard};
use super::{Document, Expect, StorageError, Version};

/// The folder of one environment.
#[derive(Debug, Clone)]
pub struct Local {
    folder: PathBuf,
}

impl Local {
    /// Nothing is read or made.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// The file of a document; the folder for the empty name.
    pub fn path(&self, name: &str) -> PathBuf {
        match name {
            "" => self.folder.clone(),
            name => self.folder.join(name),
        }
    }

    pub(super) fn prepare(&self) -> Result<(), StorageError> {
        Ok(atomic::make_folder(&self.folder)?)
    }

    pub(super) fn get(&self, name: &str) -> Result<Option<(Vec<u8>, Version)>, StorageError> {
        match fs::read(self.path(name)) {
            Ok(bytes) => {
                let version = Version::of(&bytes);
                Ok(Some((bytes, version)))
            }
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(why.into()),
        }
    }

    pub(super) fn put(&self, name: &str, bytes: &[u8], expect: &Expect) -> Result<Version, StorageError> {
        let path = self.path(name);
        let folder = path.parent().unwrap_or(&self.folder);
        // What was seen in a folder that is gone is gone with it; the folder must not come back for it.
        if !matches!(expect, Expect::Seen(_)) {
            atomic::make_folder(folder)?;
        }
        let _guard = self.guarded(expect)?;
        self.compare(name, expect)?;
        if folder != self.folder {
            // Most have names of their own, so that their own write clears nothing of those that were killed before.
            atomic::sweep(folder, atomic::TEMPORARY)?;
        }
        atomic::write(&path, bytes, atomic::PRIVATE)?;
        Ok(Version::of(bytes))
    }

    pub(super) fn remove(&self, name: &str, expect: &Expect) -> Result<(), StorageError> {
        let path = self.path(name);
        if *expect == Expect::Any && !path.exists() {
            return Ok(());
        }
        let _guard = self.guarded(expect)?;
        self.compare(name, expect)?;
        match fs::remove_file(&path) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why.into()),
            _ => {}
        }
        Ok(atomic::sync_folder(path.parent().unwrap_or(&self.folder))?)
    }

    pub(super) fn list(&self, folder: &str) -> Result<Vec<Document>, StorageError> {
        let mut found = Vec::new();
        for entry in entries(&self.path(folder))? {
            let (Some(name), metadata) = (entry.file_name().to_str().map(str::to_owned), entry.metadata()?) else {
                continue;
            };
            if !metadata.is_file() || name.starts_with(atomic::TEMPORARY) || name == GUARD_FILE {
                continue;
            }
            found.push(Document {
                name: if folder.is_empty() {
                    name
                } else {
                    format!("{folder}/{name}")
                },
                modified: Timestamp::try_from(metadata.modified()?).unwrap_or(Timestamp::UNIX_EPOCH),
            });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    pub(super) fn folders(&self) -> Result<Vec<String>, StorageError> {
        let mut found = Vec::new();
        for entry in entries(&self.folder)? {
            if let (true, Ok(name)) = (entry.file_type()?.is_dir(), entry.file_name().into_string()) {
                found.push(name);
            }
        }
        found.sort();
        Ok(found)
    }

    fn guarded(&self, expect: &Expect) -> Result<Guard, StorageError> {
        Guard::take(&self.folder).map_err(|why| match (why.kind(), expect) {
            (io::ErrorKind::NotFound, Expect::Seen(_)) => StorageError::Conflict,
            _ => why.into(),
        })
    }

    fn compare(&self, name: &str, expect: &Expect) -> Result<(), StorageError> {
        if *expect == Expect::Any {
            return Ok(());
        }
        let seen = self.get(name)?.map(|(_, version)| version);
        match *expect == Expect::unchanged(seen.as_ref()) {
            true => Ok(()),
            false => Err(StorageError::Conflict),
        }
    }
}

fn entries(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(why) => Err(why),
    }
}
