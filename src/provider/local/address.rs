//! Loopback addresses: one for each machine, so that each has the real ports 22, 80 and 443.
//!
//! A file per address says whose it is. Files are made whole and only where there is none, and the folder is locked
//! meanwhile: concurrent runs never get the same one. Whether an address is really free only binding its ports tells.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::dirs::{Dirs, private_folder};
use super::ports;
use crate::names::Endpoint;
use crate::provider::ProviderError;

/// How the names of files begin that are not written to their end yet.
const PENDING: &str = ".new-";

/// The addresses in use on this computer.
#[derive(Debug)]
pub struct Addresses<'a> {
    dirs: &'a Dirs,
}

impl<'a> Addresses<'a> {
    /// Those recorded in the addresses folder.
    pub fn of(dirs: &'a Dirs) -> Self {
        Self { dirs }
    }

    /// An endpoint for a machine whose folder exists: the address it already has, or the first free one.
    pub fn claim(&self, machine: &str) -> Result<Endpoint, ProviderError> {
        private_folder(&self.dirs.addresses)?;
        let folder = File::open(&self.dirs.addresses)
            .and_then(|folder| folder.lock().map(|()| folder))
            .map_err(|why| self.failed("lock").because(why))?;
        self.sweep()?;
        let own = self.held(machine)?;
        let endpoint = if ports::has_own_addresses() {
            let mut all = (0..=255_u8).flat_map(|x| (1..=254_u8).map(move |y| Ipv4Addr::new(127, 77, x, y)));
            all.find_map(|address| {
                let name = address.to_string();
                self.claim_as(&name, machine, &own, || ports::choose(IpAddr::V4(address)))
                    .transpose()
            })
        } else {
            (0..ports::SLOTS).find_map(|slot| {
                let name = format!("{}-{slot}", Ipv4Addr::LOCALHOST);
                self.claim_as(&name, machine, &own, || ports::choose_shared(slot))
                    .transpose()
            })
        };
        let endpoint = endpoint.transpose()?;
        // Another address that an interrupted run took is not needed any more.
        if let Some(endpoint) = &endpoint {
            for other in own.iter().filter(|path| !path.ends_with(self.name_of(endpoint))) {
                self.remove(other)?;
            }
        }
        drop(folder);
        endpoint.ok_or_else(|| {
            ProviderError::new(format!(
                "failed to find a loopback address with free ports for `{machine}`"
            ))
            .with_remedy("stop what listens on ports 22, 80 and 443 of 127.77.0.0/16, or destroy machines")
        })
    }

    /// Takes one address: none when it is another machine's or its ports are taken.
    fn claim_as(
        &self,
        name: &str,
        machine: &str,
        own: &[PathBuf],
        choose: impl FnOnce() -> Option<Endpoint>,
    ) -> Result<Option<Endpoint>, ProviderError> {
        let path = self.dirs.addresses.join(name);
        let mine = own.contains(&path);
        if !mine && path.exists() {
            let holder = std::fs::read_to_string(&path).unwrap_or_default();
            let lives = !holder.trim().is_empty() && self.dirs.machines.join(holder.trim()).is_dir();
            if lives {
                return Ok(None);
            }
            self.remove(&path)?;
        }
        let Some(endpoint) = choose() else { return Ok(None) };
        if !mine {
            let write = || -> std::io::Result<()> {
                let mut file = tempfile::Builder::new()
                    .prefix(PENDING)
                    .tempfile_in(&self.dirs.addresses)?;
                writeln!(file, "{machine}")?;
                file.persist_noclobber(&path).map_err(|failed| failed.error)?;
                Ok(())
            };
            match write() {
                Err(why) if why.kind() == ErrorKind::AlreadyExists => return Ok(None),
                other => other.map_err(|why| self.failed("record").because(why))?,
            }
        }
        Ok(Some(endpoint))
    }

    /// Removes what a run left that was killed while it wrote. The folder is locked: nobody is writing now.
    fn sweep(&self) -> Result<(), ProviderError> {
        let entries = std::fs::read_dir(&self.dirs.addresses).map_err(|why| self.failed("read").because(why))?;
        entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(PENDING))
            .try_for_each(|entry| self.remove(&entry.path()))
    }

    fn name_of(&self, endpoint: &Endpoint) -> String {
        if endpoint.address == IpAddr::V4(Ipv4Addr::LOCALHOST) {
            format!("{}-{}", endpoint.address, endpoint.ssh.saturating_sub(10_022) / 100)
        } else {
            endpoint.address.to_string()
        }
    }

    /// The files that say that the machine has an address.
    pub fn held(&self, machine: &str) -> Result<Vec<PathBuf>, ProviderError> {
        let entries = match std::fs::read_dir(&self.dirs.addresses) {
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|why| self.failed("read").because(why))?,
        };
        let mut held: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| std::fs::read_to_string(path).is_ok_and(|holder| holder.trim() == machine))
            .collect();
        held.sort();
        Ok(held)
    }

    /// Gives the machine's address back.
    pub fn release(&self, machine: &str) -> Result<(), ProviderError> {
        self.held(machine)?.iter().try_for_each(|path| self.remove(path))
    }

    fn remove(&self, path: &PathBuf) -> Result<(), ProviderError> {
        match std::fs::remove_file(path) {
            Err(why) if why.kind() != ErrorKind::NotFound => {
                Err(ProviderError::new(format!("failed to remove `{}`", path.display())).because(why))
            }
            _ => Ok(()),
        }
    }

    fn failed(&self, verb: &str) -> ProviderError {
        ProviderError::new(format!(
            "failed to {verb} the addresses in `{}`",
            self.dirs.addresses.display()
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::TcpListener;

    use super::*;

    fn dirs(temp: &tempfile::TempDir) -> Dirs {
        let at = |name: &str| temp.path().join(name);
        Dirs {
            machines: at("m"),
            addresses: at("a"),
            cache: at("c"),
            runtime: at("r"),
        }
    }

    fn machine(dirs: &Dirs, name: &str) {
        std::fs::create_dir_all(dirs.machines.join(name)).unwrap();
    }

    #[test]
    fn a_machine_keeps_its_address_and_a_stale_one_is_given_again() {
        let _turn = crate::provider::local::PORTS.lock();
        let temp = tempfile::tempdir().unwrap();
        let dirs = dirs(&temp);
        ["a", "b", "c"].iter().for_each(|name| machine(&dirs, name));
        let addresses = Addresses::of(&dirs);
        let a = addresses.claim("a").unwrap();
        assert_eq!(addresses.claim("a").unwrap(), a);
        let b = addresses.claim("b").unwrap();
        assert_ne!(a, b);
        std::fs::remove_dir_all(dirs.machines.join("a")).unwrap();
        assert_eq!(addresses.claim("c").unwrap(), a);
        addresses.release("b").unwrap();
        assert_eq!(addresses.held("b").unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_a_killed_claim_left_is_swept() {
        let temp = tempfile::tempdir().unwrap();
        let dirs = dirs(&temp);
        std::fs::create_dir_all(&dirs.addresses).unwrap();
        std::fs::set_permissions(&dirs.addresses, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        std::fs::write(dirs.addresses.join(".new-x1"), "").unwrap();
        machine(&dirs, "a");
        Addresses::of(&dirs).claim("a").unwrap();
        assert_eq!(std::fs::read_dir(&dirs.addresses).unwrap().count(), 1);
    }

    #[test]
    fn concurrent_claims_never_get_the_same() {
        let _turn = crate::provider::local::PORTS.lock();
        let temp = tempfile::tempdir().unwrap();
        let dirs = dirs(&temp);
        let names: Vec<String> = (0..12).map(|n| format!("m{n}")).collect();
        names.iter().for_each(|name| machine(&dirs, name));
        let found: BTreeSet<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = names
                .iter()
                .map(|name| scope.spawn(|| Addresses::of(&dirs).claim(name).unwrap()))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .map(|endpoint| format!("{}:{}", endpoint.address, endpoint.ssh))
                .collect()
        });
        assert_eq!(found.len(), names.len());
    }

    #[test]
    fn an_address_that_somebody_listens_at_is_passed_over() {
        let _turn = crate::provider::local::PORTS.lock();
        if !ports::has_own_addresses() {
            println!("skipped: 127.77.0.0/16 is not here");
            return;
        }
        let temp = tempfile::tempdir().unwrap();
        let dirs = dirs(&temp);
        ["a", "b"].iter().for_each(|name| machine(&dirs, name));
        let addresses = Addresses::of(&dirs);
        let first = addresses.claim("a").unwrap();
        addresses.release("a").unwrap();
        let _listener = TcpListener::bind((first.address, first.http)).unwrap();
        let second = addresses.claim("b").unwrap();
        assert_ne!((first.address, first.http), (second.address, second.http));
    }
}
