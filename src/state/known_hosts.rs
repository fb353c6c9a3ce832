//! The host keys that are believed: the `known_hosts` file of one environment, the only one that ssh is given. ssh reads files: where
//! the document is elsewhere, a copy is made at [`KnownHosts::fetch`] and at every change.
//!
//! ssh looks a machine up by its alias (`HostKeyAlias`), never by address, so that an address used again by another
//! machine clashes with nothing; with an alias, ssh writes no port into the name either.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::keys::{KeyError, PublicKey};
use super::storage::{Expect, Place, Storage, StorageError, Version};
use crate::names::{EnvironmentName, Lineage};

const FILE: &str = "known_hosts";

/// Why the pinned host keys were not read or changed.
#[derive(Debug, Error)]
pub enum KnownHostsError {
    /// The storage refused.
    #[error("failed to {what} the pinned host keys {place}")]
    File {
        /// `read` or `write`.
        what: &'static str,
        /// The document.
        place: Place,
        /// Why.
        #[source]
        why: StorageError,
    },
    /// A line of the alias holds no key.
    #[error("failed to read the pinned host keys {place}: line {line} holds no public key")]
    Line {
        /// The document.
        place: Place,
        /// From 1.
        line: usize,
        /// Why.
        #[source]
        why: KeyError,
    },
}

/// The pinned keys of one alias. Lines of other names and comments are kept as they are.
#[derive(Debug, Clone)]
pub struct KnownHosts {
    storage: Storage,
    /// The folder of this computer that has the file, or its copy.
    folder: PathBuf,
    path: PathBuf,
    alias: String,
}

impl KnownHosts {
    /// The pinned keys of an environment in its storage; `folder` is its folder on this computer. Nothing is read or made.
    pub fn new(storage: &Storage, folder: &Path, environment: &EnvironmentName, lineage: &Lineage) -> Self {
        Self {
            storage: storage.clone(),
            folder: folder.to_owned(),
            path: folder.join(FILE),
            alias: format!("{environment}-{}", lineage.short()),
        }
    }

    /// The file, for ssh's `UserKnownHostsFile`. Where it is a copy, it is as of the last [`KnownHosts::fetch`] or change.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name, for ssh's `HostKeyAlias`: `<environment>-<eight digits of lineage>`.
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// Has the keys in the file that ssh reads.
    ///
    /// # Errors
    /// When they cannot be read, or their copy not be written.
    pub fn fetch(&self) -> Result<(), KnownHostsError> {
        match self.storage.is_local() {
            true => Ok(()),
            false => self.copy(&self.read()?.0),
        }
    }

    /// The keys that are believed now, in the file's order.
    ///
    /// # Errors
    /// When the file cannot be read or one of the alias's lines is damaged.
    pub fn keys(&self) -> Result<Vec<PublicKey>, KnownHostsError> {
        let (text, _) = self.read()?;
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if let Some(key) = self.key_of(line) {
                keys.push(key.parse().map_err(|why| KnownHostsError::Line {
                    place: self.storage.place(FILE),
                    line: index + 1,
                    why,
                })?);
            }
        }
        Ok(keys)
    }

    /// Believes these keys and no others.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn set(&self, keys: &[PublicKey]) -> Result<(), KnownHostsError> {
        let (before, version) = self.read()?;
        let mut text = String::new();
        for line in before.lines().filter(|line| self.key_of(line).is_none()) {
            text.push_str(line);
            text.push('\n');
        }
        for key in keys {
            text.push_str(&format!("{} {}\n", self.alias, key.without_comment()));
        }
        let written = self
            .storage
            .put(FILE, text.as_bytes(), &Expect::unchanged(version.as_ref()));
        written.map_err(|why| KnownHostsError::File {
            what: "write",
            place: self.storage.place(FILE),
            why,
        })?;
        self.copy(&text)
    }

    /// Believes one more key. Nothing is written when it is believed already.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn add(&self, key: &PublicKey) -> Result<(), KnownHostsError> {
        let mut keys = self.keys()?;
        if keys.contains(&key.without_comment()) {
            return Ok(());
        }
        keys.push(key.clone());
        self.set(&keys)
    }

    /// Believes a key no longer. Nothing is written when it was not believed.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn remove(&self, key: &PublicKey) -> Result<(), KnownHostsError> {
        let mut keys = self.keys()?;
        let before = keys.len();
        keys.retain(|known| *known != key.without_comment());
        if keys.len() == before {
            return Ok(());
        }
        self.set(&keys)
    }

    /// What follows the alias in one of its lines.
    fn key_of<'a>(&self, line: &'a str) -> Option<&'a str> {
        let (names, key) = line.split_once(char::is_whitespace)?;
        (names == self.alias).then_some(key)
    }

    fn read(&self) -> Result<(String, Option<Version>), KnownHostsError> {
        let unread = |why| KnownHostsError::File {
            what: "read",
            place: self.storage.place(FILE),
            why,
        };
        let Some((bytes, version)) = self.storage.get(FILE).map_err(unread)? else {
            return Ok((String::new(), None));
        };
        let text =
            String::from_utf8(bytes).map_err(|why| unread(io::Error::new(io::ErrorKind::InvalidData, why).into()))?;
        Ok((text, Some(version)))
    }

    fn copy(&self, text: &str) -> Result<(), KnownHostsError> {
        let copies = Storage::local(&self.folder);
        let is_there = matches!(copies.get(FILE), Ok(Some((there, _))) if there == text.as_bytes());
        if self.storage.is_local() || is_there {
            return Ok(());
        }
        let written = copies.put(FILE, text.as_bytes(), &Expect::Any);
        written.map(drop).map_err(|why| KnownHostsError::File {
            what: "write",
            place: copies.place(FILE),
            why,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::keys::SshKey;
    use super::*;

    fn key() -> PublicKey {
        SshKey::generate("root@image").unwrap().public_openssh.parse().unwrap()
    }

    fn pinned(folder: &Path, byte: u8) -> KnownHosts {
        KnownHosts::new(
            &Storage::local(folder),
            folder,
            &"demo".parse().unwrap(),
            &Lineage::from_bytes([byte; 16]),
        )
    }

    #[test]
    fn a_file_that_is_not_there_believes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = pinned(folder.path(), 7);
        assert_eq!(hosts.alias(), "demo-07070707");
        assert!(hosts.keys().unwrap().is_empty());
        hosts.remove(&key()).unwrap();
        assert!(!hosts.path().exists());
    }

    #[test]
    fn a_key_is_rotated_by_adding_and_removing() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = pinned(&folder.path().join("demo"), 7);
        let (old, new) = (key(), key());
        hosts.set(std::slice::from_ref(&old)).unwrap();
        hosts.add(&new).unwrap();
        hosts.add(&new).unwrap();
        assert_eq!(hosts.keys().unwrap(), [old.without_comment(), new.without_comment()]);
        hosts.remove(&old).unwrap();
        assert_eq!(
            fs::read_to_string(hosts.path()).unwrap(),
            format!("demo-07070707 {}\n", new.without_comment())
        );
        hosts.set(std::slice::from_ref(&old)).unwrap();
        assert_eq!(hosts.keys().unwrap(), [old.without_comment()]);
    }

    #[test]
    fn lines_of_others_stay_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (hosts, other) = (pinned(folder.path(), 7), pinned(folder.path(), 8));
        fs::write(hosts.path(), "# by hand\n").unwrap();
        let theirs = key();
        other.set(std::slice::from_ref(&theirs)).unwrap();
        hosts.set(&[key()]).unwrap();
        hosts.set(&[]).unwrap();
        assert_eq!(
            fs::read_to_string(hosts.path()).unwrap(),
            format!("# by hand\ndemo-08080808 {}\n", theirs.without_comment())
        );
    }

    #[test]
    fn a_damaged_line_is_told_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = pinned(folder.path(), 7);
        fs::write(hosts.path(), "# x\ndemo-07070707 ssh-ed25519 AAAA\n").unwrap();
        assert!(matches!(hosts.keys(), Err(KnownHostsError::Line { line: 2, .. })));
    }
}
