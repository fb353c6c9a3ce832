//! Which images were the newest of their alias when that was asked last, and what was to be told when they were not.
//!
//! Vendors publish one every few weeks. So `apply` and `status` ask once a day, and `plan`, which has no call to spare, tells what they
//! learned. Nothing depends on the answer: where it cannot be kept it is asked for again.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long an answer is good for.
const GOOD_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A folder with a file for each of them, empty for the newest; none where nothing is kept.
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

    /// What there was to tell of an image a short while ago, or when it was asked last: nothing, when it was the newest. None where
    /// that is not known.
    pub(super) fn known(&self, image: &str, however_old: bool) -> Option<Option<String>> {
        let file = self.file(image).filter(|file| however_old || is_fresh(file))?;
        let told = std::fs::read_to_string(file).ok()?;
        Some((!told.is_empty()).then_some(told))
    }

    /// Notes what there is to tell of an image, and forgets what is known of others for too long.
    pub(super) fn note(&self, image: &str, told: Option<&str>) {
        let (Some(folder), Some(file)) = (&self.0, self.file(image)) else {
            return;
        };
        let old = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for old in old.map(|entry| entry.path()).filter(|old| !is_fresh(old)) {
            let _ = std::fs::remove_file(old);
        }
        let _ = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(file, told.unwrap_or_default()));
    }

    fn file(&self, image: &str) -> Option<PathBuf> {
        let is_id = !image.is_empty() && image.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
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
        assert_eq!(newest.known("ami-1", true), None);
        newest.note("ami-1", None);
        newest.note("../ami-2", None);
        assert_eq!(newest.known("ami-1", false), Some(None));
        assert_eq!(newest.known("../ami-2", true), None);
        newest.note("ami-1", Some("a newer one is out"));
        assert_eq!(
            newest.known("ami-1", false),
            Some(Some("a newer one is out".to_owned()))
        );
        let file = std::fs::File::options()
            .write(true)
            .open(folder.path().join("newest/ami-1"));
        file.unwrap().set_modified(SystemTime::now() - GOOD_FOR).unwrap();
        assert_eq!(newest.known("ami-1", false), None);
        assert!(newest.known("ami-1", true).is_some());
        newest.note("ami-3", None);
        let left: Vec<_> = std::fs::read_dir(folder.path().join("newest"))
            .unwrap()
            .flatten()
            .collect();
        assert_eq!(left.len(), 1, "{left:?}");
        Newest::default().note("ami-4", None);
        assert_eq!(Newest::default().known("ami-4", true), None);
    }
}
