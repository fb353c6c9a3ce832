//! Removing a machine, and the proof that nothing is left. Neither needs the machine's record: half a machine goes too.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::address::Addresses;
use super::create::take;
use super::dirs::{Dirs, private_folder};
use super::launch::{end_gently, end_now};
use super::machine::Machine;
use super::process::Process;
use super::record::Record;
use crate::note::{Note, Say};
use crate::provider::{KEPT, Owner, ProviderError};

pub async fn destroy(dirs: &Dirs, owner: &Owner, keep_volume: bool, say: Say<'_>) -> Result<(), ProviderError> {
    let machine = Machine::of(owner, dirs);
    let _lock = machine.lock(say).await?;
    let sockets = sockets(dirs, &machine)?;
    while let Some(process) = Process::settled(&machine).await {
        let socket = sockets.first().map_or(machine.folder.as_path(), PathBuf::as_path);
        if keep_volume && machine.data().exists() {
            // What stays shall be whole: the guest writes what it still has in memory.
            end_gently(&process, socket, say).await?;
        } else {
            say(Note::Waiting("QEMU to end".to_owned()));
            end_now(&process, socket).await?;
        }
    }
    if keep_volume {
        keep(&machine)?;
    } else {
        remove(&machine.kept_volume, |path| std::fs::remove_file(path))?;
    }
    for socket in &sockets {
        remove(socket, |path| std::fs::remove_file(path))?;
    }
    Addresses::of(dirs).release(&machine.name)?;
    // Last: as long as it is there, a destroy that was interrupted finds what to do.
    remove(&machine.folder, |path| std::fs::remove_dir_all(path))
}

fn keep(machine: &Machine) -> Result<(), ProviderError> {
    let data = machine.data();
    if !data.exists() {
        return Ok(());
    }
    if machine.kept_volume.exists() {
        return Err(ProviderError::new(format!(
            "failed to keep the data volume `{}`: `{}` was kept before",
            data.display(),
            machine.kept_volume.display()
        ))
        .with_remedy("move one of them away and destroy again"));
    }
    if let Some(folder) = machine.kept_volume.parent() {
        private_folder(folder)?;
    }
    take(&data, &machine.kept_volume)
}

pub fn leftovers(dirs: &Dirs, owner: &Owner) -> Result<Vec<String>, ProviderError> {
    let machine = Machine::of(owner, dirs);
    let mut left = Vec::new();
    for process in Process::all(&machine) {
        left.push(format!("process: QEMU (pid {})", process.id()));
    }
    if machine.folder.exists() {
        left.push(format!("folder: {}", machine.folder.display()));
    }
    for held in Addresses::of(dirs).held(&machine.name)? {
        left.push(format!("address: {}", held.display()));
    }
    for socket in sockets(dirs, &machine)?.iter().filter(|socket| socket.exists()) {
        left.push(format!("control socket: {}", socket.display()));
    }
    if machine.kept_volume.exists() {
        left.push(format!("{KEPT}data volume {}", machine.kept_volume.display()));
    }
    Ok(left)
}

/// Where the machine's socket may be: as recorded, and where one would be made now.
fn sockets(dirs: &Dirs, machine: &Machine) -> Result<Vec<PathBuf>, ProviderError> {
    // A record that cannot be read is no reason to leave a machine behind.
    let recorded = Record::read(machine).ok().flatten().map(|record| record.socket);
    let mut sockets: Vec<PathBuf> = recorded.into_iter().chain([dirs.socket(&machine.folder)?]).collect();
    sockets.dedup();
    Ok(sockets)
}

fn remove(path: &Path, with: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<(), ProviderError> {
    match with(path) {
        Err(why) if why.kind() != ErrorKind::NotFound => {
            Err(ProviderError::new(format!("failed to remove `{}`", path.display())).because(why))
        }
        _ => Ok(()),
    }
}
