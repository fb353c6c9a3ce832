//! Where the lab keeps what it builds.

use std::path::PathBuf;

/// The folder that `tests/lab/lab.sh` calls `lab`; none without a home.
pub fn folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let cache = || Some(set("XDG_CACHE_HOME").map_or(PathBuf::from(set("HOME")?).join(".cache"), PathBuf::from));
    let given = set("PROVISION_LAB_DIR").map(PathBuf::from);
    given.or_else(|| Some(cache()?.join("provision-lab")))
}
