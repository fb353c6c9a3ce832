//! The host keys that are believed: the `known_hosts` file of one environment, the only one that ssh is given.
//!
//! ssh looks a machine up by its alias (`HostKeyAlias`), never by address, so that an address used again by another
//! machine clashes with nothing; with an alias, ssh writes no port into the name either.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::atomic;
use super::keys::{KeyError, PublicKey};
use crate::names::{EnvironmentName, Lineage};

const FILE: &str = "known_hosts";

/// Why the pinned host keys were not read or changed.
#[derive(Debug, Error)]
pub enum KnownHostsError {
    /// The operating system refused.
    #[error("failed to {what} the pinned host keys {}", path.display())]
    File {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        why: io::Error,
    },
    /// A line of the alias holds no key.
    #[error("failed to read the pinned host keys {}: line {line} holds no public key", path.display())]
    Line {
        /// The file.
        path: PathBuf,
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
    path: PathBuf,
    alias: String,
}

impl KnownHosts {
    /// The pinned keys of an environment in its folder. Nothing is read or made.
    pub fn new(folder: &Path, environment: &EnvironmentName, lineage: &Lineage) -> Self {
        Self {
            path: folder.join(FILE),
            alias: format!("{environment}-{}", lineage.short()),
        }
    }

    /// The file, for ssh's `UserKnownHostsFile`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name, for ssh's `HostKeyAlias`: `<environment>-<eight digits of lineage>`.
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// The keys that are believed now, in the file's order.
    ///
    /// # Errors
    /// When the file cannot be read or one of the alias's lines is damaged.
    pub fn keys(&self) -> Result<Vec<PublicKey>, KnownHostsError> {
        let text = self.read()?;
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if let Some(key) = self.key_of(line) {
                keys.push(key.parse().map_err(|why| KnownHostsError::Line {
                    path: self.path.clone(),
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
        let mut text = String::new();
        for line in self.read()?.lines().filter(|line| self.key_of(line).is_none()) {
            text.push_str(line);
            text.push('\n');
        }
        for key in keys {
            text.push_str(&format!("{} {}\n", self.alias, key.without_comment()));
        }
        let write = |why| KnownHostsError::File {
            what: "write",
            path: self.path.clone(),
            why,
        };
        if let Some(folder) = self.path.parent() {
            atomic::make_folder(folder).map_err(write)?;
        }
        atomic::write(&self.path, text.as_bytes(), atomic::PRIVATE).map_err(write)
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

    fn read(&self) -> Result<String, KnownHostsError> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(text),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(why) => Err(KnownHostsError::File {
                what: "read",
                path: self.path.clone(),
                why,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::SshKey;
    use super::*;

    fn key() -> PublicKey {
        SshKey::generate("root@image").unwrap().public_openssh.parse().unwrap()
    }

    fn pinned(folder: &Path, byte: u8) -> KnownHosts {
        KnownHosts::new(folder, &"demo".parse().unwrap(), &Lineage::from_bytes([byte; 16]))
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
