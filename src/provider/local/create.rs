//! Making a machine. Every step leaves something that the next call finds: it goes on, it never makes a second one.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::address::Addresses;
use super::dirs::Dirs;
use super::launch::LaunchError;
use super::machine::Machine;
use super::process::Process;
use super::record::{LocalSpec, Record};
use super::start::{launch_error, power_on, revive};
use super::tools::Tools;
use super::{disk, image, instance, launch, seed};
use crate::note::{Note, Say};
use crate::provider::{Instance, InstanceSpec, Owner, Power, ProviderError};

/// How often another address is tried when somebody takes the first one's ports before QEMU does.
const ADDRESSES: usize = 3;

pub async fn create(dirs: &Dirs, owner: &Owner, spec: &InstanceSpec, say: Say<'_>) -> Result<Instance, ProviderError> {
    let spec = &LocalSpec::try_from(spec)?;
    let tools = Tools::find()?;
    let machine = Machine::of(owner, dirs);
    let socket = dirs.socket(&machine.folder)?;
    dirs.prepare_runtime()?;
    let _lock = machine.make_and_lock(say).await?;

    let mut record = match Record::read(&machine)? {
        Some(mut made) if made.made => {
            if made.spec != *spec {
                say(Note::Warning(format!(
                    "`{}` exists with another specification; it stays as it is until the next plan",
                    machine.name
                )));
            }
            power_on(dirs, &tools, &machine, &mut made, say).await?;
            return instance(&machine, &made, Power::On);
        }
        Some(begun) if begun.spec == *spec => begun,
        none_or_other => {
            // It never ran, so nothing of it is worth keeping but its volume.
            while let Some(process) = Process::settled(&machine).await {
                let socket = none_or_other.as_ref().map_or(&socket, |other| &other.socket);
                launch::end_now(&process, socket).await?;
            }
            let record = Record::intend(owner, spec, now(), socket);
            record.write(&machine)?;
            record
        }
    };

    let running = revive(&machine, &record).await?;
    if running.is_none() {
        disks(dirs, &tools, &machine, &mut record, say).await?;
        seed::write(&machine, &record)?;
    }
    first_start(dirs, &tools, &machine, &mut record, running, say).await?;
    record.made = true;
    record.write(&machine)?;
    instance(&machine, &record, Power::On)
}

/// Base image, root disk and data volume. The root disk is made anew: nothing ever ran on it.
async fn disks(
    dirs: &Dirs,
    tools: &Tools,
    machine: &Machine,
    record: &mut Record,
    say: Say<'_>,
) -> Result<(), ProviderError> {
    let base = image::ensure(&record.shape().image, tools, &dirs.cache, say).await?;
    let needs = disk::info(tools, &base.path).await?.virtual_size.div_ceil(disk::GIB);
    if needs > u64::from(record.spec.disk_gib) {
        return Err(ProviderError::new(format!(
            "failed to make a root disk of {} GiB: the image `{}` has {needs} GiB",
            record.spec.disk_gib,
            base.path.display()
        ))
        .with_remedy(format!("set disk_gib = {needs} or more")));
    }
    if let Some(gib) = record.spec.volume_gib {
        volume(tools, machine, gib).await?;
    }
    disk::overlay(tools, &base, &machine.root(), record.spec.disk_gib).await?;
    record.base = Some(base);
    record.write(machine)
}

/// The data volume: the one that is there, the one that was kept, or a blank one.
pub async fn volume(tools: &Tools, machine: &Machine, gib: u32) -> Result<(), ProviderError> {
    let data = machine.data();
    if !data.exists() && machine.kept_volume.exists() {
        disk::refuse_shrinking(tools, &machine.kept_volume, gib, "volume_gib").await?;
        take(&machine.kept_volume, &data)?;
    }
    if !data.exists() {
        return disk::blank(tools, &data, gib).await;
    }
    disk::refuse_shrinking(tools, &data, gib, "volume_gib").await?;
    disk::grow(tools, &data, gib).await
}

/// Moves a volume; within the machines folder that is one atomic rename.
pub fn take(from: &Path, to: &Path) -> Result<(), ProviderError> {
    std::fs::rename(from, to).map_err(|why| {
        ProviderError::new(format!(
            "failed to move the data volume `{}` to `{}`",
            from.display(),
            to.display()
        ))
        .because(why)
    })
}

/// Starts a machine that has no address yet, at the first one that is free.
async fn first_start(
    dirs: &Dirs,
    tools: &Tools,
    machine: &Machine,
    record: &mut Record,
    running: Option<Process>,
    say: Say<'_>,
) -> Result<(), ProviderError> {
    let verdicts = super::acceleration::Verdicts::in_folder(&dirs.cache);
    let launch = launch::Launch {
        tools,
        machine,
        verdicts: &verdicts,
        say,
    };
    if running.is_some() {
        return launch
            .run(record, running)
            .await
            .map_err(|error| launch_error(machine, error));
    }
    let addresses = Addresses::of(dirs);
    let mut tries = 0;
    loop {
        record.endpoint = Some(addresses.claim(&machine.name)?);
        record.write(machine)?;
        tries += 1;
        match launch.run(record, None).await {
            Err(LaunchError::Ports(_)) if tries < ADDRESSES => {}
            other => return other.map_err(|error| launch_error(machine, error)),
        }
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
