//! Which accelerator to try, and what is known of it. An opened /dev/kvm proves nothing: it may run the firmware and
//! then die in the guest's kernel. Only a guest that was seen running counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::record::{Accelerator, write_atomically};
use crate::provider::ProviderError;

/// The hypervisor that this computer seems to have.
pub fn candidate() -> Option<Accelerator> {
    if cfg!(target_os = "macos") {
        return Some(Accelerator::Hvf);
    }
    let opened = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm");
    opened.ok().map(|_| Accelerator::Kvm)
}

/// What was seen of the accelerators since this computer was booted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    boot: String,
    /// By accelerator: whether it ran a guest.
    runs: BTreeMap<String, bool>,
}

/// The verdicts, remembered until the computer is booted again.
#[derive(Debug)]
pub struct Verdicts {
    file: PathBuf,
    boot: String,
}

impl Verdicts {
    /// Those kept in a cache folder.
    pub fn in_folder(cache: &Path) -> Self {
        Self {
            file: cache.join("acceleration.json"),
            boot: boot_id(),
        }
    }

    /// Whether an accelerator runs guests; none when it was not seen since the last boot.
    pub fn of(&self, accelerator: Accelerator) -> Option<bool> {
        self.seen().runs.get(accelerator.as_str()).copied()
    }

    /// Remembers what was seen.
    pub fn remember(&self, accelerator: Accelerator, runs: bool) -> Result<(), ProviderError> {
        let mut seen = self.seen();
        seen.runs.insert(accelerator.as_str().to_owned(), runs);
        let text = serde_json::to_vec(&seen)
            .map_err(|why| ProviderError::new("failed to remember what accelerates guests").because(why))?;
        if let Some(folder) = self.file.parent() {
            super::dirs::private_folder(folder)?;
        }
        write_atomically(&self.file, &text)
    }

    /// Nothing when there is no readable file or it is from before the last boot.
    fn seen(&self) -> Seen {
        std::fs::read(&self.file)
            .ok()
            .and_then(|text| serde_json::from_slice::<Seen>(&text).ok())
            .filter(|seen| seen.boot == self.boot)
            .unwrap_or_else(|| Seen {
                boot: self.boot.clone(),
                runs: BTreeMap::new(),
            })
    }
}

/// What differs from boot to boot of this computer; empty where nothing tells, and then verdicts last.
fn boot_id() -> String {
    let linux = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let text = linux.or_else(|_| {
        let done = std::process::Command::new("sysctl")
            .args(["-n", "kern.boottime"])
            .output()?;
        String::from_utf8(done.stdout).map_err(std::io::Error::other)
    });
    text.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_lasts_until_the_next_boot() {
        let temp = tempfile::tempdir().unwrap();
        let mut verdicts = Verdicts::in_folder(&temp.path().join("images"));
        assert_eq!(verdicts.of(Accelerator::Kvm), None);
        verdicts.remember(Accelerator::Kvm, false).unwrap();
        assert_eq!(verdicts.of(Accelerator::Kvm), Some(false));
        assert_eq!(verdicts.of(Accelerator::Hvf), None);
        verdicts.boot = "another boot".to_owned();
        assert_eq!(verdicts.of(Accelerator::Kvm), None);
    }
}
