//! Which images were the newest of their alias when that was asked last, within a day.
//!
//! A plan tells of a newer image; vendors publish one every few weeks. So the question is put once a day, by whichever command
//! comes first. Nothing depends on the answer: where it cannot be kept it is asked for again.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long an image counts as the newest.
const GOOD_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A folder with an empty file for each of them; none where nothing is kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Newest(Option<PathBuf>);

impl Newest {
    /// In the user's cache folder, as the base directory specification of freedesktop.org has it.
    pub(super) fn of_user() -> Self {
        let set = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        Self(cache.map(|cache| cache.join("provision/newest")))
    }

    /// Whether an image was the newest one a short while ago.
    pub(super) fn knows(&self, image: &str) -> bool {
        self.file(image).is_some_and(|file| is_fresh(&file))
    }

    /// Notes that an image is the newest one, and forgets what is known of others for too long.
    pub(super) fn note(&self, image: &str) {
        let (Some(folder), Some(file)) = (&self.0, self.file(image)) else {
            return;
        };
        let old = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for old in old.map(|entry| entry.path()).filter(|old| !is_fresh(old)) {
            let _ = std::fs::remove_file(old);
        }
        let _ = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(file, ""));
    }

    fn file(&self, image: &str) -> Option<PathBuf> {
        let is_id = image.starts_with("ami-") && image.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        self.0.as_ref().filter(|_| is_id).map(|folder| folder.join(image))
    }
}

fn is_fresh(file: &Path) -> bool {
    let written = file.metadata().and_then(|metadata| metadata.modified());
    let age = written
        .ok()
        .and_then(|written| SystemTime::now().duration_since(written).ok());
    age.is_some_and(|age| age < GOOD_FOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_for_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let newest = Newest(Some(folder.path().join("newest")));
        assert!(!newest.knows("ami-1"));
        newest.note("ami-1");
        newest.note("../ami-2");
        assert!(newest.knows("ami-1") && !newest.knows("../ami-2"));
        let file = std::fs::File::options()
            .write(true)
            .open(folder.path().join("newest/ami-1"));
        file.unwrap().set_modified(SystemTime::now() - GOOD_FOR).unwrap();
        assert!(!newest.knows("ami-1"));
        newest.note("ami-3");
        let left: Vec<_> = std::fs::read_dir(folder.path().join("newest"))
            .unwrap()
            .flatten()
            .collect();
        assert_eq!(left.len(), 1, "{left:?}");
        Newest::default().note("ami-4");
        assert!(!Newest::default().knows("ami-4"));
    }
}
