//! Virtual machines on this computer: QEMU with user-mode networking, no privileges needed.
//!
//! Everything of one machine is in one folder that begins with `machine.json` (the intent) and is locked while it is
//! changed. QEMU is a daemon of its own. What exists is decided by looking: the folder, the process that has the
//! folder's pid file in its arguments, QMP's answer. So a call that was killed anywhere can be made again.

mod acceleration;
mod address;
mod create;
mod destroy;
mod dirs;
mod disk;
mod download;
mod end;
mod image;
mod launch;
mod machine;
mod ports;
mod process;
mod qemu;
mod qmp;
mod record;
mod resize;
mod seed;
mod start;
mod tools;

use std::path::PathBuf;
use std::time::Duration;

pub use dirs::Dirs;
pub use image::alias;

use self::machine::Machine;
use self::process::Process;
use self::qmp::{GuestStatus, Qmp};
use self::record::Record;
use super::{Found, Instance, InstanceSpec, Owner, Power, ProviderError};
use crate::note::Say;

/// How long QEMU may take to tell its status while somebody looks: it answers in a millisecond, or it serves another
/// client and is alive anyway.
const GLANCE: Duration = Duration::from_millis(500);

/// The local provider.
#[derive(Debug, Clone)]
pub struct Local {
    dirs: Dirs,
}

impl Local {
    /// A provider that keeps its machines in these folders. Nothing is made before the first `create`.
    pub fn new(dirs: Dirs) -> Self {
        Self { dirs }
    }

    /// What there is of this owner's machine. One that never ran does not count yet: `create` goes on with it.
    ///
    /// # Errors
    /// When the machine's record cannot be read.
    pub async fn observe(&self, owner: &Owner) -> Result<Option<Instance>, ProviderError> {
        let machine = Machine::of(owner, &self.dirs);
        let Some(record) = Record::read(&machine)?.filter(|record| record.made) else {
            return Ok(None);
        };
        let power = match Process::by_pid_file(&machine) {
            None => Power::Off,
            Some(_) => match glance(&record).await {
                Some(GuestStatus::Dead | GuestStatus::Paused) => Power::Off,
                Some(GuestStatus::Running) | None => Power::On,
            },
        };
        instance(&machine, &record, power).map(Some)
    }

    /// Whether its guest runs.
    ///
    /// # Errors
    /// When the machine's record cannot be read.
    pub async fn has_power(&self, owner: &Owner) -> Result<bool, ProviderError> {
        let seen = self.observe(owner).await?;
        Ok(seen.is_some_and(|instance| instance.power == Power::On))
    }

    /// Where guest and QEMU leave their last words.
    pub fn last_words(&self, owner: &Owner) -> [PathBuf; 2] {
        let machine = Machine::of(owner, &self.dirs);
        [machine.serial(), machine.log()]
    }

    /// Makes the machine and starts it, or goes on where an interrupted call ended.
    ///
    /// # Errors
    /// When QEMU, the image, a disk, an address or the start fails. What was made stays for the next call.
    pub async fn create(&self, owner: &Owner, spec: &InstanceSpec, say: Say<'_>) -> Result<Instance, ProviderError> {
        create::create(&self.dirs, owner, spec, say).await
    }

    /// Starts the machine's guest, if it does not run, on the disks that it has.
    ///
    /// # Errors
    /// When there is no machine, a file of it is missing, its ports are taken or QEMU fails.
    pub async fn start(&self, owner: &Owner, say: Say<'_>) -> Result<Instance, ProviderError> {
        start::start(&self.dirs, owner, say).await
    }

    /// Brings processors, memory, disk sizes, direct boot and acceleration to those of `spec`; the machine is shut down
    /// for it. Image and user-data stay those it was made with.
    ///
    /// # Errors
    /// When a disk would shrink or the volume go (before anything is touched), or stop, growth or start fails.
    pub async fn resize(&self, owner: &Owner, spec: &InstanceSpec, say: Say<'_>) -> Result<Instance, ProviderError> {
        resize::resize(&self.dirs, owner, spec, say).await
    }

    /// Writes down when the machine shall be gone.
    ///
    /// # Errors
    /// When there is no machine, or it cannot be written.
    pub async fn end(&self, owner: &Owner, say: Say<'_>) -> Result<(), ProviderError> {
        end::end(&self.dirs, owner, say).await
    }

    /// Removes the machine, and its data volume unless that is kept for the owner's next machine. A guest whose volume is
    /// kept is shut down in order; any other loses its power.
    ///
    /// # Errors
    /// When its process does not end or a file cannot be removed.
    pub async fn destroy(&self, owner: &Owner, keep_volume: bool, say: Say<'_>) -> Result<(), ProviderError> {
        destroy::destroy(&self.dirs, owner, keep_volume, say).await
    }

    /// Every machine of this computer's user, whosever environment it is.
    ///
    /// # Errors
    /// When the folder of machines cannot be read.
    pub async fn find(&self) -> Result<Vec<Found>, ProviderError> {
        record::all(&self.dirs)
    }

    /// Process, folder, address, socket and kept volume of this owner, as far as they exist.
    ///
    /// # Errors
    /// When the addresses cannot be read.
    pub async fn leftovers(&self, owner: &Owner) -> Result<Vec<String>, ProviderError> {
        destroy::leftovers(&self.dirs, owner)
    }
}

/// What QEMU says of its guest; none when it does not answer.
async fn glance(record: &Record) -> Option<GuestStatus> {
    Qmp::connect(&record.socket, GLANCE).await.ok()?.status().await.ok()
}

/// The machine as the provider's caller sees it.
fn instance(machine: &Machine, record: &Record, power: Power) -> Result<Instance, ProviderError> {
    let endpoint = record.endpoint.clone().ok_or_else(|| {
        ProviderError::new(format!(
            "failed to read `{}`: it has no endpoint",
            machine.record().display()
        ))
        .with_remedy("destroy the machine and apply again")
    })?;
    Ok(Instance {
        id: machine.name.clone(),
        power,
        endpoint,
        attributes: record.attributes(),
        ipv6: None,
        facts: std::collections::BTreeMap::new(),
    })
}

/// Tests that bind real ports take turns: one would see another's as taken.
#[cfg(test)]
static PORTS: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// A machine for tests of the parts.
#[cfg(test)]
fn sample() -> (Machine, Record) {
    use super::{Acceleration, LocalImage, LocalShape};
    use crate::names::Lineage;
    use record::{LocalSpec, Only};
    let owner = Owner {
        environment: "demo".parse().unwrap(),
        lineage: Lineage::from_bytes([0; 16]),
        ids: Default::default(),
        expires: None,
    };
    let dirs = Dirs {
        machines: "/m".into(),
        addresses: "/a".into(),
        cache: "/c".into(),
        runtime: "/run".into(),
    };
    let spec = LocalSpec {
        shape: Only::Local(LocalShape {
            cpus: 2,
            memory_mib: 1024,
            image: LocalImage::Path("/images/base.qcow2".into()),
            boot: None,
            acceleration: Acceleration::Auto,
        }),
        disk_gib: 10,
        volume_gib: Some(1),
        user_data: "#cloud-config\n".to_owned(),
    };
    let record = Record::intend(&owner, &spec, 7, "/run/x.qmp".into());
    (Machine::of(&owner, &dirs), record)
}
