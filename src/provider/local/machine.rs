//! One machine's folder: the paths in it, and the lock that lets one run at a time change it.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::dirs::{Dirs, private_folder};
use crate::note::{Note, Say};
use crate::provider::{Owner, ProviderError};

/// How long another run may keep a machine's lock before this one gives up. Longer than a boot or a shutdown takes;
/// a download may take longer, and then the message says so.
const LOCK_DEADLINE: Duration = Duration::from_secs(120);

/// The places of one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// `<environment>-<eight digits of lineage>`.
    pub name: String,
    /// Everything of it is in here, but its socket and its address.
    pub folder: PathBuf,
    /// Where its data volume is kept when it is destroyed with `keep_volume`.
    pub kept_volume: PathBuf,
}

impl Machine {
    /// The places of an owner's machine, whether it exists or not.
    pub fn of(owner: &Owner, dirs: &Dirs) -> Self {
        let name = owner.machine_name();
        Self {
            folder: dirs.machines.join(&name),
            // A machine's name always ends in `-<lineage>`, so none is called `volumes`.
            kept_volume: dirs.machines.join("volumes").join(format!("{name}.qcow2")),
            name,
        }
    }

    /// The places of a machine by its folder.
    pub fn at(folder: PathBuf) -> Self {
        let name = folder
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        Self {
            kept_volume: folder.with_file_name("volumes").join(format!("{name}.qcow2")),
            folder,
            name,
        }
    }

    /// What the machine is and how it runs.
    pub fn record(&self) -> PathBuf {
        self.folder.join("machine.json")
    }
    /// The root disk, an overlay of the base image.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root.qcow2")
    }
    /// The data volume.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data.qcow2")
    }
    /// The NoCloud seed.
    pub fn seed(&self) -> PathBuf {
        self.folder.join("seed.img")
    }
    /// What the guest wrote to its serial console.
    pub fn serial(&self) -> PathBuf {
        self.folder.join("serial.log")
    }
    /// What QEMU said while it started.
    pub fn log(&self) -> PathBuf {
        self.folder.join("qemu.log")
    }
    /// QEMU's pid file. Its path in a process's arguments is also what tells that process from any other.
    pub fn pid(&self) -> PathBuf {
        self.folder.join("pid")
    }

    /// Makes the folder where it is missing and locks it.
    pub async fn make_and_lock(&self, say: Say<'_>) -> Result<MachineLock, ProviderError> {
        loop {
            private_folder(&self.folder)?;
            if let Some(lock) = self.lock(say).await? {
                return Ok(lock);
            }
        }
    }

    /// Locks the folder; none when there is no folder. The lock goes with its holder, however that ends.
    pub async fn lock(&self, say: Say<'_>) -> Result<Option<MachineLock>, ProviderError> {
        let failed = |why: std::io::Error| {
            ProviderError::new(format!("failed to lock `{}`", self.folder.display())).because(why)
        };
        let folder = match File::open(&self.folder) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        let begun = Instant::now();
        let mut said = false;
        loop {
            match folder.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(why)) => return Err(failed(why)),
                Err(TryLockError::WouldBlock) if begun.elapsed() > LOCK_DEADLINE => {
                    return Err(ProviderError::new(format!(
                        "failed to change the machine `{}`: another run of provision has been working on it for {} s",
                        self.name,
                        LOCK_DEADLINE.as_secs()
                    ))
                    .with_remedy("wait for it, or end it, and try again"));
                }
                Err(TryLockError::WouldBlock) => {}
            }
            if !said {
                say(Note::Waiting(format!("another run that works on {}", self.name)));
                said = true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // The earlier holder may have removed the folder: then this is a lock on nothing.
        let same = |path: &Path| -> std::io::Result<bool> {
            let (held, found) = (folder.metadata()?, std::fs::metadata(path)?);
            Ok((held.dev(), held.ino()) == (found.dev(), found.ino()))
        };
        match same(&self.folder) {
            Ok(true) => Ok(Some(MachineLock { _folder: folder })),
            Ok(false) => Ok(None),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(failed(why)),
        }
    }
}

/// Held while a run changes a machine.
#[derive(Debug)]
pub struct MachineLock {
    _folder: File,
}
