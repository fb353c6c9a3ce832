//! Starting a machine that was made before.

use std::time::{Duration, Instant};

use super::acceleration::Verdicts;
use super::dirs::Dirs;
use super::launch::{Launch, LaunchError, end_now};
use super::machine::Machine;
use super::process::Process;
use super::qmp::{DEADLINE, GuestStatus, Qmp};
use super::record::Record;
use super::tools::Tools;
use super::{glance, image, instance, ports};
use crate::names::Endpoint;
use crate::note::Say;
use crate::provider::{Instance, Owner, Power, ProviderError};

/// A process that is just ending, or a child that is just beginning, may hold a port for a moment.
const LINGERING: Duration = Duration::from_secs(1);

pub async fn start(dirs: &Dirs, owner: &Owner, say: Say<'_>) -> Result<Instance, ProviderError> {
    let machine = Machine::of(owner, dirs);
    let lock = machine.lock(say).await?;
    let record = Record::read(&machine)?.filter(|record| record.made);
    let (Some(_lock), Some(mut record)) = (lock, record) else {
        return Err(none_there(&machine));
    };
    power_on(dirs, &Tools::find()?, &machine, &mut record, say).await?;
    instance(&machine, &record, Power::On)
}

/// What a call says that needs a machine and finds none.
pub fn none_there(machine: &Machine) -> ProviderError {
    ProviderError::new(format!("failed to find the machine `{}`", machine.name))
        .with_remedy("plan again: it was removed, or never completely made")
}

/// Has the guest of a machine run. Nothing happens when it does.
pub async fn power_on(
    dirs: &Dirs,
    tools: &Tools,
    machine: &Machine,
    record: &mut Record,
    say: Say<'_>,
) -> Result<(), ProviderError> {
    if revive(machine, record).await?.is_some() {
        return Ok(());
    }
    check_files(dirs, machine, record, say).await?;
    if let Some(endpoint) = &record.endpoint {
        check_ports(machine, endpoint).await?;
    }
    // The runtime folder may be another one in this login, or gone with the last.
    dirs.prepare_runtime()?;
    record.socket = dirs.socket(&machine.folder)?;
    let verdicts = Verdicts::in_folder(&dirs.cache);
    let launch = Launch {
        tools,
        machine,
        verdicts: &verdicts,
        say,
    };
    launch
        .run(record, None)
        .await
        .map_err(|error| launch_error(machine, error))?;
    record.write(machine)
}

/// The machine's process, if its guest runs or could be made to go on. One whose guest is dead is ended.
pub async fn revive(machine: &Machine, record: &Record) -> Result<Option<Process>, ProviderError> {
    let Some(process) = Process::settled(machine).await else {
        return Ok(None);
    };
    match glance(record).await {
        Some(GuestStatus::Running) | None => Ok(Some(process)),
        Some(GuestStatus::Paused) => {
            let resume = async { Qmp::connect(&record.socket, DEADLINE).await?.execute("cont").await };
            resume
                .await
                .map_err(|why| ProviderError::new(format!("failed to let `{}` go on", machine.name)).because(why))?;
            Ok(Some(process))
        }
        Some(GuestStatus::Dead) => {
            end_now(&process, &record.socket).await?;
            Ok(None)
        }
    }
}

/// Every file that QEMU will open, so that a missing one is named in our words.
async fn check_files(dirs: &Dirs, machine: &Machine, record: &Record, say: Say<'_>) -> Result<(), ProviderError> {
    let shape = record.shape();
    if let Some(base) = &record.base {
        image::check(base, &shape.image, &dirs.cache, say).await?;
    }
    let kernel = shape.boot.iter().map(|boot| boot.kernel.clone());
    let initrd = shape.boot.iter().filter_map(|boot| boot.initrd.clone());
    let volume = record.spec.volume_gib.map(|_| machine.data());
    let parts = [("root disk", machine.root()), ("cloud-init seed", machine.seed())]
        .into_iter()
        .chain(volume.map(|path| ("data volume", path)))
        .chain(kernel.map(|path| ("kernel", path)))
        .chain(initrd.map(|path| ("initial RAM disk", path)));
    for (part, path) in parts {
        if !path.is_file() {
            return Err(ProviderError::new(format!(
                "failed to start `{}`: its {part} `{}` is missing",
                machine.name,
                path.display()
            ))
            .with_remedy("put the file back, or replace the machine"));
        }
    }
    Ok(())
}

/// The endpoint of a machine never changes, so its ports must be free again.
async fn check_ports(machine: &Machine, endpoint: &Endpoint) -> Result<(), ProviderError> {
    let begun = Instant::now();
    let (port, bind) = loop {
        match ports::conflict(endpoint) {
            None => return Ok(()),
            Some((_, ports::Bind::Taken)) if begun.elapsed() < LINGERING => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Some(found) => break found,
        }
    };
    let at = std::net::SocketAddr::new(endpoint.address, port);
    let what = format!("failed to start `{}` at {at}", machine.name);
    Err(match bind {
        ports::Bind::Denied => ProviderError::new(format!("{what}: you may not bind this port")).with_remedy(format!(
            "start it as the user who made it, or allow it: sudo sysctl net.ipv4.ip_unprivileged_port_start={port}"
        )),
        ports::Bind::NoAddress => ProviderError::new(format!("{what}: this computer does not have the address"))
            .with_remedy("bring the loopback interface up"),
        ports::Bind::Taken | ports::Bind::Free => {
            let holder = ports::holder(endpoint.address, port).unwrap_or_else(|| "another process".to_owned());
            ProviderError::new(format!("{what}: {holder} listens there")).with_remedy("stop it and apply again")
        }
    })
}

/// What the person reads when a start failed.
pub fn launch_error(machine: &Machine, error: LaunchError) -> ProviderError {
    match error {
        LaunchError::Other(error) => error,
        LaunchError::Ports(said) => {
            ProviderError::new(format!("failed to start `{}`: its ports are taken", machine.name))
                .because(said)
                .with_remedy("stop what listens at its address and apply again")
        }
        LaunchError::Ended(said) => ProviderError::new(format!("failed to start `{}`", machine.name))
            .because(said)
            .with_remedy(format!(
                "see {} and {}; less memory_mib may help",
                machine.log().display(),
                machine.serial().display()
            )),
    }
}
