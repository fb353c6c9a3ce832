//! Changing the size of a machine. What cannot be done is refused while the machine still runs.

use super::create::volume;
use super::dirs::Dirs;
use super::launch::end_gently;
use super::machine::Machine;
use super::process::Process;
use super::record::{LocalSpec, Only, Record};
use super::start::{none_there, power_on};
use super::tools::Tools;
use super::{disk, instance};
use crate::note::Say;
use crate::provider::{Instance, InstanceSpec, LocalShape, Owner, Power, ProviderError};

pub async fn resize(dirs: &Dirs, owner: &Owner, spec: &InstanceSpec, say: Say<'_>) -> Result<Instance, ProviderError> {
    let tools = Tools::find()?;
    let machine = Machine::of(owner, dirs);
    let lock = machine.lock(say).await?;
    let record = Record::read(&machine)?.filter(|record| record.made);
    let (Some(_lock), Some(mut record)) = (lock, record) else {
        return Err(none_there(&machine));
    };
    let wanted = resized(&record.spec, &LocalSpec::try_from(spec)?);
    if wanted != record.spec {
        refuse(&tools, &machine, &record, &wanted).await?;
        while let Some(process) = Process::settled(&machine).await {
            end_gently(&process, &record.socket, say).await?;
        }
        disk::grow(&tools, &machine.root(), wanted.disk_gib).await?;
        if let Some(gib) = wanted.volume_gib {
            volume(&tools, &machine, gib).await?;
        }
        record.spec = wanted;
        record.write(&machine)?;
    }
    power_on(dirs, &tools, &machine, &mut record, say).await?;
    instance(&machine, &record, Power::On)
}

/// The specification after the change: image and user-data belong to the first boot and stay.
fn resized(has: &LocalSpec, wanted: &LocalSpec) -> LocalSpec {
    let Only::Local(old) = &has.shape;
    let Only::Local(new) = &wanted.shape;
    LocalSpec {
        shape: Only::Local(LocalShape {
            image: old.image.clone(),
            ..new.clone()
        }),
        disk_gib: wanted.disk_gib,
        volume_gib: wanted.volume_gib,
        user_data: has.user_data.clone(),
    }
}

async fn refuse(tools: &Tools, machine: &Machine, record: &Record, wanted: &LocalSpec) -> Result<(), ProviderError> {
    disk::refuse_shrinking(tools, &machine.root(), wanted.disk_gib, "disk_gib").await?;
    match (record.spec.volume_gib, wanted.volume_gib) {
        (Some(_), None) => Err(ProviderError::new(format!(
            "failed to resize `{}`: that would take its data volume away",
            machine.name
        ))
        .with_remedy("keep volume_gib, or destroy the machine when the data is not needed any more")),
        (Some(_), Some(gib)) => disk::refuse_shrinking(tools, &machine.data(), gib, "volume_gib").await,
        (None, _) => Ok(()),
    }
}
