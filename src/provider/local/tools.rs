//! QEMU's programs on this computer, and the firmware that an ARM machine needs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::provider::ProviderError;

/// Where Debian, Fedora, Arch and Homebrew put the UEFI firmware of `virt` machines.
const ARM_FIRMWARE: [&str; 5] = [
    "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd",
    "/usr/share/AAVMF/AAVMF_CODE.fd",
    "/usr/share/edk2/aarch64/QEMU_EFI.fd",
    "/opt/homebrew/share/qemu/edk2-aarch64-code.fd",
    "/usr/local/share/qemu/edk2-aarch64-code.fd",
];

/// QEMU's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// Runs machines of this computer's architecture.
    pub system: PathBuf,
    /// Makes disks.
    pub img: PathBuf,
    /// The architecture: guests have the host's, anything else would be emulation by mistake.
    pub arch: Arch,
}

/// A guest's architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arch {
    /// x86-64 with SeaBIOS, which QEMU brings along.
    X86_64,
    /// ARM with the UEFI firmware, when there is one. A direct kernel boot needs none.
    Aarch64 {
        /// The firmware's file.
        firmware: Option<PathBuf>,
    },
}

impl Tools {
    /// Finds them on `PATH`.
    pub fn find() -> Result<Self, ProviderError> {
        Self::find_in(
            std::env::var_os("PATH").as_deref(),
            std::env::consts::ARCH,
            std::env::consts::OS,
        )
    }

    fn find_in(path: Option<&OsStr>, arch: &str, os: &str) -> Result<Self, ProviderError> {
        let arch = match arch {
            "x86_64" => Arch::X86_64,
            "aarch64" => Arch::Aarch64 {
                firmware: ARM_FIRMWARE.iter().map(PathBuf::from).find(|file| file.is_file()),
            },
            other => {
                return Err(ProviderError::new(format!(
                    "failed to use the local provider: it knows x86_64 and aarch64, this computer is {other}"
                ))
                .with_remedy("name another provider in the environment file, for example [machine.ssh]"));
            }
        };
        let (system, package) = match arch {
            Arch::X86_64 => ("qemu-system-x86_64", "qemu-system-x86"),
            Arch::Aarch64 { .. } => ("qemu-system-aarch64", "qemu-system-arm qemu-efi-aarch64"),
        };
        let find = |program: &str| {
            on_path(path, program).ok_or_else(|| {
                ProviderError::new(format!("failed to find QEMU: there is no `{program}` on the PATH")).with_remedy(
                    if os == "macos" {
                        "install it: brew install qemu".to_owned()
                    } else {
                        format!(
                            "install it: sudo apt install {package} qemu-utils (Debian, Ubuntu); \
                             sudo dnf install qemu-kvm qemu-img (Fedora)"
                        )
                    },
                )
            })
        };
        Ok(Self {
            system: find(system)?,
            img: find("qemu-img")?,
            arch,
        })
    }
}

fn on_path(path: Option<&OsStr>, program: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let runs = |file: &Path| {
        std::fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(path?)
        .map(|folder| folder.join(program))
        .find(|file| runs(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_qemu_says_what_to_install() {
        let empty = Some(OsStr::new("/nonexistent"));
        let error = Tools::find_in(empty, "x86_64", "linux").unwrap_err();
        assert_eq!(
            error.what,
            "failed to find QEMU: there is no `qemu-system-x86_64` on the PATH"
        );
        assert!(error.remedy.unwrap().contains("apt install qemu-system-x86 qemu-utils"));
        let error = Tools::find_in(empty, "aarch64", "macos").unwrap_err();
        assert_eq!(error.remedy.unwrap(), "install it: brew install qemu");
        assert!(Tools::find_in(empty, "riscv64", "linux").is_err());
    }
}
