//! A stack's files as one compressed stream, the same bytes for the same files.
//!
//! What `receive-stack.sh` takes: a gzip tar of folders and regular files with modes and owners as they shall be, and a
//! `.manifest` with a line `sha256␠␠mode␠␠path` for every other file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fmt::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use thiserror::Error;

use crate::names::Digest;

/// One file of a stack. It belongs to root on the host.
#[derive(Clone, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// Relative, with `/`; the folders on the way come by themselves, mode 0755.
    pub path: String,
    /// What is in it; may be secret, so `Debug` shows the length only.
    pub bytes: Vec<u8>,
    /// Permission bits, such as `0o600`.
    pub mode: u32,
}

impl fmt::Debug for ArchiveEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, bytes, mode } = self;
        write!(f, "ArchiveEntry({mode:04o} {path}, {} bytes)", bytes.len())
    }
}

/// A packed stack.
#[derive(Clone, PartialEq, Eq)]
pub struct Archive {
    /// The gzip tar.
    pub bytes: Vec<u8>,
    /// The digest of the manifest: names the release, whatever the compression makes of it.
    pub digest: Digest,
    /// Bytes of all files unpacked, which the host's disk must have room for.
    pub unpacked: u64,
    /// The text of `.manifest`.
    pub manifest: String,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Archive({}, {} bytes)", self.digest.short(), self.bytes.len())
    }
}

/// Files that cannot be packed.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// A path that would leave the stack's folder, or that the host's scripts cannot take.
    #[error("failed to pack `{}`: {why}", path.escape_debug())]
    Path {
        /// As given.
        path: String,
        /// The rule.
        why: &'static str,
    },
    /// The tar could not be written.
    #[error("failed to pack `{path}`")]
    Write {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        why: std::io::Error,
    },
}

/// Names that the host's scripts use themselves in a stack's folder.
const RESERVED: [&str; 6] = [".manifest", ".digest", ".pending", ".modes", ".found", ".wanted"];

fn check(path: &str) -> Result<(), ArchiveError> {
    let why = if path.is_empty() || path.starts_with('/') || path.ends_with('/') {
        "a path is relative and names a file"
    } else if path
        .split('/')
        .any(|part| part.is_empty() || part == "." || part == "..")
    {
        "a path has no empty, `.` or `..` part"
    } else if path.chars().any(char::is_control) {
        "a path has no control characters"
    } else if RESERVED.contains(&path) {
        "the name is taken by the host's own bookkeeping"
    } else {
        return Ok(());
    };
    Err(ArchiveError::Path {
        path: path.to_owned(),
        why,
    })
}

impl Archive {
    /// Packs the files. Order and time of packing make no difference.
    ///
    /// # Errors
    /// When a path is not fit or stands twice, or names both a file and a folder.
    pub fn pack(entries: impl IntoIterator<Item = ArchiveEntry>) -> Result<Self, ArchiveError> {
        let mut files = BTreeMap::new();
        for ArchiveEntry { path, bytes, mode } in entries {
            check(&path)?;
            if files.insert(path.clone(), (bytes, mode & 0o777)).is_some() {
                return Err(ArchiveError::Path {
                    path,
                    why: "it stands twice",
                });
            }
        }
        let mut folders = BTreeSet::new();
        for path in files.keys() {
            for (end, _) in path.match_indices('/') {
                folders.insert(path[..end].to_owned());
            }
        }
        if let Some(path) = folders.iter().find(|folder| files.contains_key(*folder)) {
            return Err(ArchiveError::Path {
                path: path.clone(),
                why: "it is both a file and a folder",
            });
        }

        let mut manifest = String::new();
        let mut unpacked = 0;
        for (path, (bytes, mode)) in &files {
            let _ = writeln!(manifest, "{}  {mode:04o}  {path}", Digest::of(bytes));
            unpacked += bytes.len() as u64;
        }

        // Level 6; a time of 0 keeps the header the same.
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        append(
            &mut tar,
            ".manifest",
            tar::EntryType::Regular,
            0o600,
            manifest.as_bytes(),
        )?;
        for folder in &folders {
            append(&mut tar, &format!("{folder}/"), tar::EntryType::Directory, 0o755, &[])?;
        }
        for (path, (bytes, mode)) in &files {
            append(&mut tar, path, tar::EntryType::Regular, *mode, bytes)?;
        }
        let packed = tar.into_inner().and_then(GzEncoder::finish);
        Ok(Self {
            bytes: packed.map_err(|why| ArchiveError::Write {
                path: ".manifest".to_owned(),
                why,
            })?,
            digest: Digest::of(&manifest),
            unpacked,
            manifest,
        })
    }
}

fn append<W: std::io::Write>(
    tar: &mut tar::Builder<W>,
    path: &str,
    kind: tar::EntryType,
    mode: u32,
    bytes: &[u8],
) -> Result<(), ArchiveError> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, path, bytes)
        .map_err(|why| ArchiveError::Write {
            path: path.to_owned(),
            why,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn entry(path: &str, text: &str, mode: u32) -> ArchiveEntry {
        ArchiveEntry {
            path: path.to_owned(),
            bytes: text.as_bytes().to_vec(),
            mode,
        }
    }

    #[test]
    fn the_same_files_in_another_order_change_nothing() {
        let (a, b) = (
            entry("compose.yaml", "services: {}\n", 0o644),
            entry(".env", "A=1\n", 0o600),
        );
        let first = Archive::pack([a.clone(), b.clone()]).unwrap();
        assert_eq!(first, Archive::pack([b, a]).unwrap());
        assert_eq!(first.unpacked, 17);
    }

    #[test]
    fn the_manifest_is_what_the_host_expects() {
        let packed = Archive::pack([entry("conf/x y", "", 0o644), entry(".env", "abc", 0o600)]).unwrap();
        insta::assert_snapshot!(packed.manifest, @r"
        ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  0600  .env
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  0644  conf/x y
        ");
        assert_eq!(packed.digest, Digest::of(&packed.manifest));
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(packed.bytes.as_slice()));
        let listed: Vec<String> = tar
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                let header = entry.header();
                assert_eq!(
                    (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()),
                    (0, 0, 0)
                );
                format!("{:04o} {}", header.mode().unwrap(), entry.path().unwrap().display())
            })
            .collect();
        assert_eq!(listed, ["0600 .manifest", "0755 conf/", "0600 .env", "0644 conf/x y"]);
    }

    #[test]
    fn long_paths_survive() {
        let long = format!("{}/{}", "a".repeat(90), "b".repeat(120));
        let packed = Archive::pack([entry(&long, "x", 0o644)]).unwrap();
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(packed.bytes.as_slice()));
        assert!(
            tar.entries()
                .unwrap()
                .any(|entry| entry.unwrap().path().unwrap().to_str() == Some(long.as_str()))
        );
    }

    #[test]
    fn paths_that_leave_the_folder_or_confuse_the_host_are_refused() {
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "./a",
            "a/",
            "a\nb",
            "a\tb",
            ".manifest",
        ] {
            assert!(Archive::pack([entry(bad, "", 0o644)]).is_err(), "{bad:?}");
        }
        assert!(Archive::pack([entry("a", "", 0o644), entry("a", "1", 0o644)]).is_err());
        assert!(Archive::pack([entry("a", "", 0o644), entry("a/b", "1", 0o644)]).is_err());
    }

    #[test]
    fn secrets_in_files_are_never_shown() {
        let shown = format!("{:?}", entry(".env", "hunter2", 0o600));
        assert_eq!(shown, "ArchiveEntry(0600 .env, 7 bytes)");
    }
}
