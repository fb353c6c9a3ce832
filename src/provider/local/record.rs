//! `machine.json`: what a machine was made with and how it runs. The first thing that is written, the last that goes.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use jiff::Timestamp;

use super::dirs::Dirs;
use super::machine::Machine;
use crate::names::{Address, Digest, Endpoint, EnvironmentName, Lineage};
use crate::provider::{EXPIRES, Found, InstanceSpec, LocalImage, LocalShape, Owner, ProviderError, Shape};

/// The shape of the file. A later one is refused instead of half understood.
const VERSION: u32 = 1;

/// What is known of one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// The machine's name.
    pub name: String,
    /// Its owner's environment.
    pub environment: EnvironmentName,
    /// Its owner's lineage.
    pub lineage: Lineage,
    /// Seconds since 1970 when it was made: part of the instance-id, so that cloud-init never takes a machine that was
    /// made anew for the one before.
    pub generation: u64,
    /// What it was made with. Holds the user-data, hence the file's mode 0600.
    pub spec: LocalSpec,
    /// Whether it ever ran. Until then it may be made again from another specification.
    pub made: bool,
    /// The base of the root disk, once there is one.
    pub base: Option<Base>,
    /// Its address, once there is one.
    pub endpoint: Option<Endpoint>,
    /// What really executed the guest at its last start.
    pub accelerator: Option<Accelerator>,
    /// Where its QMP socket is; recorded because the runtime folder may differ from login to login.
    pub socket: PathBuf,
    /// When it shall be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// A machine of this provider as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalSpec {
    /// The machine.
    pub shape: Only,
    /// Size of the root disk in GiB.
    pub disk_gib: u32,
    /// Size of the data volume in GiB; no volume without.
    pub volume_gib: Option<u32>,
    /// The rendered `#cloud-config`.
    pub user_data: String,
}

/// The shape, in the words of [`Shape`]: machines of other providers have no record here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Only {
    /// A QEMU virtual machine.
    Local(LocalShape),
}

/// Every machine with a record, by name.
pub fn all(dirs: &Dirs) -> Result<Vec<Found>, ProviderError> {
    let entries = match std::fs::read_dir(&dirs.machines) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(ProviderError::new(format!("failed to read {}", dirs.machines.display())).because(error));
        }
    };
    let mut found = Vec::new();
    for entry in entries
        .flatten()
        .filter(|entry| entry.path().join("machine.json").is_file())
    {
        let machine = Machine::at(entry.path());
        let Some(record) = Record::read(&machine)? else {
            continue;
        };
        found.push(Found {
            address: Address::MachineInstance,
            id: record.name,
            environment: record.environment,
            lineage: record.lineage,
            created: i64::try_from(record.generation)
                .ok()
                .and_then(|made| Timestamp::from_second(made).ok()),
            expires: record.expires,
            monthly: None,
        });
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

impl TryFrom<&InstanceSpec> for LocalSpec {
    type Error = ProviderError;

    fn try_from(spec: &InstanceSpec) -> Result<Self, ProviderError> {
        let Shape::Local(shape) = &spec.shape else {
            return Err(ProviderError::new(
                "failed to make a machine on this computer: another provider's was asked for",
            ));
        };
        let Some(disk_gib) = spec.disk_gib else {
            return Err(ProviderError::new(
                "failed to make a machine on this computer: the size of its disk is missing",
            ));
        };
        Ok(Self {
            shape: Only::Local(shape.clone()),
            disk_gib,
            volume_gib: spec.volume_gib,
            user_data: spec.user_data.clone(),
        })
    }
}

/// The file that the root disk overlays. A base that changes under its overlay is a broken disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// Its format as `qemu-img` names it.
    pub format: String,
    /// Its length in bytes.
    pub length: u64,
    /// When it was changed last, in nanoseconds since 1970.
    pub modified: u64,
    /// Its SHA-512 when it was downloaded.
    pub sha512: Option<String>,
}

/// What executes a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// Linux's hypervisor.
    Kvm,
    /// Apple's hypervisor.
    Hvf,
    /// Emulation.
    Tcg,
}

impl Accelerator {
    /// The word in attributes and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Hvf => "hvf",
            Self::Tcg => "tcg",
        }
    }
}

impl Record {
    /// A machine that is about to be made.
    pub fn intend(owner: &Owner, spec: &LocalSpec, generation: u64, socket: PathBuf) -> Self {
        Self {
            version: VERSION,
            name: owner.machine_name(),
            environment: owner.environment.clone(),
            lineage: owner.lineage.clone(),
            generation,
            spec: spec.clone(),
            made: false,
            base: None,
            endpoint: None,
            accelerator: None,
            socket,
            expires: owner.expires,
        }
    }

    /// The local part of the specification.
    pub fn shape(&self) -> &LocalShape {
        let Only::Local(shape) = &self.spec.shape;
        shape
    }

    /// cloud-init's name for this very machine.
    pub fn instance_id(&self) -> String {
        format!("{}-{}", self.name, self.generation)
    }

    /// Reads a machine's record; none when there is none.
    pub fn read(machine: &Machine) -> Result<Option<Self>, ProviderError> {
        let path = machine.record();
        let failed = || ProviderError::new(format!("failed to read `{}`", path.display()));
        let text = match std::fs::read_to_string(&path) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|why| failed().because(why))?,
        };
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let broken = |why: serde_json::Error| {
            failed()
                .because(why)
                .with_remedy("destroy the machine and apply again; a destroy does not need this file")
        };
        let Version { version } = serde_json::from_str(&text).map_err(broken)?;
        if version != VERSION {
            return Err(failed()
                .because(format!(
                    "it has version {version}, this provision knows version {VERSION}"
                ))
                .with_remedy("use the provision that made the machine, or a newer one"));
        }
        serde_json::from_str(&text).map(Some).map_err(broken)
    }

    /// Writes the record so that a reader sees the old one or the new one.
    pub fn write(&self, machine: &Machine) -> Result<(), ProviderError> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|why| ProviderError::new("failed to write the machine's record").because(why))?;
        text.push(b'\n');
        write_atomically(&machine.record(), &text)
    }

    /// What the plan compares, by the plan's names.
    pub fn attributes(&self) -> std::collections::BTreeMap<String, String> {
        let LocalShape {
            cpus,
            memory_mib,
            image,
            boot: _,
            acceleration,
        } = self.shape();
        let image = match image {
            LocalImage::Path(path) => path.display().to_string(),
            LocalImage::Url { url, .. } => url.clone(),
        };
        let asked = match acceleration {
            crate::provider::Acceleration::Auto => "auto",
            crate::provider::Acceleration::Kvm => "kvm",
            crate::provider::Acceleration::Hvf => "hvf",
            crate::provider::Acceleration::Tcg => "tcg",
        };
        let mut attributes: std::collections::BTreeMap<String, String> = [
            ("image", image),
            ("cpus", cpus.to_string()),
            ("memory_mib", memory_mib.to_string()),
            ("disk_gib", self.spec.disk_gib.to_string()),
            ("acceleration", asked.to_owned()),
            ("user_data", Digest::of(&self.spec.user_data).to_string()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        if let Some(gib) = self.spec.volume_gib {
            attributes.insert("volume_gib".to_owned(), gib.to_string());
        }
        attributes.insert(
            EXPIRES.to_owned(),
            self.expires
                .map_or_else(|| "none".to_owned(), |expires| expires.to_string()),
        );
        if let Some(used) = self.accelerator {
            attributes.insert("accelerator".to_owned(), used.as_str().to_owned());
        }
        attributes
    }
}

/// Writes a file of mode 0600 beside its place, syncs it and moves it there.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), ProviderError> {
    let write = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|failed| failed.error)?;
        std::fs::File::open(folder)?.sync_all()
    };
    write().map_err(|why| {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let full = matches!(why.kind(), StorageFull | QuotaExceeded | FileTooLarge);
        let error = ProviderError::new(format!("failed to write `{}`", path.display())).because(why);
        if full {
            error.with_remedy("free space on that disk and apply again")
        } else {
            error
        }
    })
}
