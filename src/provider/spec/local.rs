//! A virtual machine on this computer, as it shall be.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Attributes, Course, number};

/// A local virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalShape {
    /// Virtual processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Where the base image comes from.
    pub image: LocalImage,
    /// Boot this kernel directly instead of the image's boot loader.
    pub boot: Option<DirectBoot>,
    /// How the guest is executed.
    pub acceleration: Acceleration,
}

/// The base image of a local machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocalImage {
    /// A file on this computer, absolute.
    Path(PathBuf),
    /// A download, verified against its SHA-512 (128 hexadecimal digits) and kept in the user's cache.
    Url {
        /// Where it is.
        url: String,
        /// What it must hash to.
        sha512: Sha512Source,
    },
}

/// How the checksum of a download is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sha512Source {
    /// Written in the environment file: 128 lower-case hexadecimal digits.
    Digest(String),
    /// The publisher's `SHA512SUMS` file, fetched over HTTPS (Debian publishes one beside its cloud images).
    SumsUrl(String),
}

/// A kernel to boot directly: faster under emulation than a boot loader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectBoot {
    /// The kernel image, absolute.
    pub kernel: PathBuf,
    /// The initial RAM disk, absolute.
    pub initrd: Option<PathBuf>,
    /// The kernel command line.
    pub cmdline: String,
}

/// How QEMU executes the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Acceleration {
    /// KVM or HVF when it really runs a guest, otherwise emulation with a warning.
    Auto,
    /// KVM, or an error.
    Kvm,
    /// Apple's hypervisor, or an error.
    Hvf,
    /// Emulation.
    Tcg,
}

/// What the provider tells of a machine that is there, of what it was asked for.
pub const TOLD: [&str; 6] = ["acceleration", "cpus", "disk_gib", "image", "memory_mib", "volume_gib"];

impl LocalShape {
    /// As it stands in plan and state.
    pub fn attributes(&self) -> Attributes {
        let Self {
            cpus,
            memory_mib,
            image,
            boot,
            acceleration,
        } = self;
        let image = match image {
            LocalImage::Path(path) => path.display().to_string(),
            LocalImage::Url { url, sha512: _ } => url.clone(),
        };
        let acceleration = match acceleration {
            Acceleration::Auto => "auto",
            Acceleration::Kvm => "kvm",
            Acceleration::Hvf => "hvf",
            Acceleration::Tcg => "tcg",
        };
        let mut attributes = Attributes::from([
            ("provider".to_owned(), "local".to_owned()),
            ("cpus".to_owned(), cpus.to_string()),
            ("memory_mib".to_owned(), memory_mib.to_string()),
            ("image".to_owned(), image),
            ("acceleration".to_owned(), acceleration.to_owned()),
        ]);
        if let Some(boot) = boot {
            attributes.insert("kernel".to_owned(), boot.kernel.display().to_string());
        }
        attributes
    }
}

/// How an attribute of the machine can change.
pub fn course(attribute: &str, old: Option<&str>, new: Option<&str>) -> Course {
    match attribute {
        "cpus" | "memory_mib" | "acceleration" => Course::Restart,
        "disk_gib" | "volume_gib" => match (number(old), number(new)) {
            (Some(old), Some(new)) if new >= old => Course::Restart,
            (Some(_), Some(_)) if attribute == "volume_gib" => {
                Course::Refuse("volume_gib cannot shrink: no disk does without losing data; write the old size".into())
            }
            (Some(_), Some(_)) => Course::Replace(format!("{attribute} cannot shrink")),
            (None, Some(_)) => Course::Replace("Docker's data moves to a volume only on a new machine".into()),
            (_, None) => Course::Refuse(format!(
                "{attribute} cannot be taken away: its data would be lost; destroy the environment instead"
            )),
        },
        other => Course::Replace(format!("{other} is fixed when the machine is made")),
    }
}
