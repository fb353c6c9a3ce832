//! Replaces a file so that every reader, and every reader after a power failure, finds the old one or the new one.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

/// Only the owner reads and writes: nothing in the state folder concerns anybody else.
pub(super) const PRIVATE: u32 = 0o600;

/// Writes to a temporary file in the same folder, syncs it, renames it over `path` and syncs the folder.
///
/// Temporary files of this name that a killed run left behind are removed first. The caller holds the environment's
/// lock or the [`super::guard`], so that none of them belongs to somebody who is still writing.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let (folder, prefix) = place(path)?;
    sweep(folder, &prefix)?;
    let mut file = tempfile::Builder::new()
        .prefix(&prefix)
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    sync_folder(folder)
}

/// Makes a folder that only the owner enters, with the parents it needs. Nothing happens when it is there.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes renames and removals in a folder survive a power failure.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn place(path: &Path) -> io::Result<(&Path, String)> {
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => Ok((folder, format!("{TEMPORARY}{}-", name.to_string_lossy()))),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file")),
    }
}

/// What a temporary file's name begins with.
pub(super) const TEMPORARY: &str = ".tmp-";

/// Removes the files whose names begin with `prefix`.
pub(super) fn sweep(folder: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            match fs::remove_file(entry.path()) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_private_and_clears_what_a_killed_run_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        fs::write(folder.path().join(".tmp-a.json-x1"), "torn").unwrap();
        fs::write(folder.path().join(".tmp-b.json-x1"), "somebody else's").unwrap();

        write(&path, b"one", PRIVATE).unwrap();
        write(&path, b"two", PRIVATE).unwrap();

        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, [".tmp-b.json-x1", "a.json"]);
    }
}
