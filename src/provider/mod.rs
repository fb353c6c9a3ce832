//! Machines: what a provider is asked for and what it answers, in our own words.
//!
//! One file or folder per provider. A vendor's types, error texts and pagination end there; nothing here knows a plan.
//! Reading calls (`observe`, `leftovers`) never write; every writing call is idempotent under its token, so that a call
//! repeated after a crash finds what the first one made.

pub mod local;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::names::{Endpoint, EnvironmentName, Lineage};
use crate::note::Say;

/// How a line of [`Provider::leftovers`] begins when it names something that was kept on purpose.
pub const KEPT: &str = "kept: ";

/// Who the machine belongs to: every resource's name and tag derive from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The environment.
    pub environment: EnvironmentName,
    /// Its lineage.
    pub lineage: Lineage,
}

impl Owner {
    /// The name of the environment's machine: `<environment>-<eight digits of lineage>`.
    pub fn machine_name(&self) -> String {
        format!("{}-{}", self.environment, self.lineage.short())
    }
}

/// A machine as it shall be made. Whatever the first boot needs is in here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSpec {
    /// The provider's own part.
    pub shape: Shape,
    /// Size of the root disk in GiB.
    pub disk_gib: u32,
    /// Size of the data volume in GiB; no volume without.
    pub volume_gib: Option<u32>,
    /// The rendered `#cloud-config`.
    pub user_data: String,
}

/// What differs between providers in an [`InstanceSpec`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// A QEMU virtual machine on this computer.
    Local(LocalShape),
}

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

/// A machine that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The provider's identifier.
    pub id: String,
    /// Whether it has power.
    pub power: Power,
    /// Where it is reached; kept over a stop.
    pub endpoint: Endpoint,
    /// What it was made with, as far as the provider can tell: attribute names as in the plan.
    pub attributes: std::collections::BTreeMap<String, String>,
}

/// Whether a machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    /// It runs.
    On,
    /// It exists and does not run.
    Off,
}

/// The provider of one environment.
#[derive(Debug)]
pub enum Provider {
    /// QEMU on this computer.
    Local(local::Local),
}

impl Provider {
    /// What there is of this owner's machine. Reads only.
    ///
    /// # Errors
    /// When the provider cannot be asked.
    pub async fn observe(&self, owner: &Owner) -> Result<Option<Instance>, ProviderError> {
        match self {
            Self::Local(local) => local.observe(owner).await,
        }
    }

    /// Makes the machine and starts it, or adopts the one that an interrupted run made for the same owner.
    ///
    /// # Errors
    /// When it cannot be made; what was half made is removed or adopted by the next call.
    pub async fn create(&self, owner: &Owner, spec: &InstanceSpec, say: Say<'_>) -> Result<Instance, ProviderError> {
        match self {
            Self::Local(local) => local.create(owner, spec, say).await,
        }
    }

    /// Gives an existing machine power. Nothing happens when it runs.
    ///
    /// # Errors
    /// When there is no such machine or it does not start.
    pub async fn start(&self, owner: &Owner, say: Say<'_>) -> Result<Instance, ProviderError> {
        match self {
            Self::Local(local) => local.start(owner, say).await,
        }
    }

    /// Changes processors, memory or disk size of an existing machine, stopping and starting it where that is needed.
    ///
    /// # Errors
    /// When there is no such machine or the change cannot be made.
    pub async fn resize(&self, owner: &Owner, spec: &InstanceSpec, say: Say<'_>) -> Result<Instance, ProviderError> {
        match self {
            Self::Local(local) => local.resize(owner, spec, say).await,
        }
    }

    /// Removes the machine and, unless `keep_volume`, its data volume. Nothing happens when it is gone.
    ///
    /// # Errors
    /// When something is left.
    pub async fn destroy(&self, owner: &Owner, keep_volume: bool, say: Say<'_>) -> Result<(), ProviderError> {
        match self {
            Self::Local(local) => local.destroy(owner, keep_volume, say).await,
        }
    }

    /// Everything that still exists for this owner, one line each: the proof after a destroy. Reads only.
    /// A line that begins with [`KEPT`] names a volume that was kept on purpose; it is no failure of a destroy.
    ///
    /// # Errors
    /// When the provider cannot be asked.
    pub async fn leftovers(&self, owner: &Owner) -> Result<Vec<String>, ProviderError> {
        match self {
            Self::Local(local) => local.leftovers(owner).await,
        }
    }
}

/// Why a provider did not do what it was asked for. `what` begins with "failed to …".
#[derive(Debug, Error)]
#[error("{what}")]
pub struct ProviderError {
    /// What failed, on which resource.
    pub what: String,
    /// What the person can do.
    pub remedy: Option<String>,
    /// Why.
    #[source]
    pub why: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ProviderError {
    /// An error that says what failed; begin with "failed to …".
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: None,
            why: None,
        }
    }

    /// Adds why.
    #[must_use]
    pub fn because(mut self, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Adds what the person can do.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}
