//! The folders on this computer that hold machines, addresses, images and sockets.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::names::Digest;
use crate::provider::ProviderError;

/// A unix socket's path has 108 bytes on Linux and 104 on macOS (`sockaddr_un`), with its terminating zero.
const SOCKET_PATH_MAX: usize = 100;
/// `/` and `<16 hexadecimal digits>.qmp`.
const SOCKET_NAME_LEN: usize = 21;

/// Where everything of the local provider is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirs {
    /// One folder a machine, and `volumes/` with the kept data volumes.
    pub machines: PathBuf,
    /// One file an address that is taken.
    pub addresses: PathBuf,
    /// Downloaded base images.
    pub cache: PathBuf,
    /// QMP sockets; mode 0700.
    pub runtime: PathBuf,
}

impl Dirs {
    /// The user's own folders, after the XDG base directory specification.
    ///
    /// # Errors
    /// When neither the XDG variables nor `HOME` tell where they are.
    pub fn of_user() -> Result<Self, ProviderError> {
        Self::from_variables(&|name| std::env::var_os(name), &std::env::temp_dir())
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<OsString>, temp: &Path) -> Result<Self, ProviderError> {
        // The specification tells to ignore relative paths.
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = |name: &str, below_home: &str| {
            absolute(name)
                .or_else(|| absolute("HOME").map(|home| home.join(below_home)))
                .map(|base| base.join("provision"))
                .ok_or_else(|| {
                    ProviderError::new("failed to find the folder for virtual machines")
                        .with_remedy(format!("set HOME or {name} to an absolute path"))
                })
        };
        let state = base("XDG_STATE_HOME", ".local/state")?;
        let cache = base("XDG_CACHE_HOME", ".cache")?;
        let short = |path: &PathBuf| path.as_os_str().as_bytes().len() + SOCKET_NAME_LEN < SOCKET_PATH_MAX;
        let own = format!("provision-{}", rustix::process::getuid().as_raw());
        let runtime = absolute("XDG_RUNTIME_DIR")
            .filter(|path| path.is_dir())
            .map(|path| path.join("provision"))
            .filter(short)
            .or_else(|| Some(temp.join(&own)).filter(short))
            .unwrap_or_else(|| Path::new("/tmp").join(&own));
        Ok(Self {
            machines: state.join("machines"),
            addresses: state.join("addresses"),
            cache: cache.join("images"),
            runtime,
        })
    }

    /// The QMP socket of the machine in `folder`. Its name is a digest, so that it is short whatever the folder is.
    pub(super) fn socket(&self, folder: &Path) -> Result<PathBuf, ProviderError> {
        let digest = Digest::of(folder.as_os_str().as_bytes());
        let path = self
            .runtime
            .join(format!("{}.qmp", digest.as_str().get(..16).unwrap_or_default()));
        if path.as_os_str().as_bytes().len() < SOCKET_PATH_MAX {
            Ok(path)
        } else {
            Err(ProviderError::new(format!(
                "failed to place the machine's control socket: `{}` is longer than a unix socket's path may be",
                path.display()
            ))
            .with_remedy("set XDG_RUNTIME_DIR to a folder with a shorter path"))
        }
    }

    /// Makes the runtime folder, or checks that the one that is there is ours alone: in a shared temporary folder
    /// somebody else may have made it first.
    pub(super) fn prepare_runtime(&self) -> Result<(), ProviderError> {
        private_folder(&self.runtime)?;
        let found = std::fs::symlink_metadata(&self.runtime)
            .map_err(|why| ProviderError::new(format!("failed to read `{}`", self.runtime.display())).because(why))?;
        if found.is_dir() && found.uid() == rustix::process::getuid().as_raw() && found.mode() & 0o077 == 0 {
            Ok(())
        } else {
            Err(ProviderError::new(format!(
                "failed to use `{}` for control sockets: it is not a folder that only you may enter",
                self.runtime.display()
            ))
            .with_remedy("remove it, or set XDG_RUNTIME_DIR to a folder of your own"))
        }
    }
}

/// Makes a folder and those above it; new ones with mode 0700.
pub(super) fn private_folder(path: &Path) -> Result<(), ProviderError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|why| ProviderError::new(format!("failed to make the folder `{}`", path.display())).because(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirs(variables: &[(&str, &str)]) -> Result<Dirs, ProviderError> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(*value))
        };
        Dirs::from_variables(&variable, Path::new("/tmp"))
    }

    #[test]
    fn folders_follow_the_xdg_variables_and_fall_back_to_home() {
        let found = dirs(&[("HOME", "/home/ann"), ("XDG_CACHE_HOME", "/big/cache")]).unwrap();
        assert_eq!(found.machines, Path::new("/home/ann/.local/state/provision/machines"));
        assert_eq!(found.addresses, Path::new("/home/ann/.local/state/provision/addresses"));
        assert_eq!(found.cache, Path::new("/big/cache/provision/images"));
        assert!(found.runtime.to_str().unwrap().starts_with("/tmp/provision-"));
        assert!(dirs(&[("HOME", "relative")]).unwrap_err().remedy.is_some());
    }

    #[test]
    fn a_socket_path_is_short_or_an_error_with_a_remedy() {
        let mut dirs = dirs(&[("HOME", "/home/ann")]).unwrap();
        let folder = dirs.machines.join("m".repeat(90));
        assert!(dirs.socket(&folder).unwrap().as_os_str().len() < SOCKET_PATH_MAX);
        dirs.runtime = PathBuf::from(format!("/{}", "r".repeat(90)));
        assert!(
            dirs.socket(&folder)
                .unwrap_err()
                .remedy
                .unwrap()
                .contains("XDG_RUNTIME_DIR")
        );
    }

    #[test]
    fn a_runtime_folder_that_others_may_enter_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let temp = tempfile::tempdir().unwrap();
        let mut dirs = dirs(&[("HOME", "/home/ann")]).unwrap();
        dirs.runtime = temp.path().join("run");
        dirs.prepare_runtime().unwrap();
        std::fs::set_permissions(&dirs.runtime, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(dirs.prepare_runtime().is_err());
    }
}
