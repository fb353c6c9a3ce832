//! Starting and ending the QEMU process of a machine whose files are complete.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::acceleration::{Verdicts, candidate};
use super::machine::Machine;
use super::process::Process;
use super::qmp::{DEADLINE, GuestStatus, Qmp};
use super::record::{Accelerator, Record};
use super::tools::{Arch, Tools};
use super::{disk, qemu};
use crate::names::Endpoint;
use crate::note::{Note, Say};
use crate::provider::{Acceleration, ProviderError};

/// QEMU sets everything up before it becomes a daemon; allocating memory on a busy computer takes seconds.
const SETUP: Duration = Duration::from_secs(60);
/// How long a guest is watched that says nothing on its console and opens no sshd: firmware and boot loader's menu
/// together stay below, and a kernel that an accelerator cannot run dies within seconds after.
const WATCH: Duration = Duration::from_secs(15);
/// How long a guest may take to shut down in order. Under emulation with databases running: most of a minute.
const POWERDOWN: Duration = Duration::from_secs(90);
/// The caller's variables that QEMU gets: where programs, libraries and temporary files are.
const INHERITED: [&str; 8] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "XDG_RUNTIME_DIR",
];
/// How long QEMU may take to end when told to; it flushes its disks.
const QUIT: Duration = Duration::from_secs(10);

/// Why a machine did not start.
#[derive(Debug)]
pub enum LaunchError {
    /// One of its ports was taken between our look and QEMU's.
    Ports(String),
    /// QEMU ended, or its guest did, with what was said of it.
    Ended(String),
    /// Anything else.
    Other(ProviderError),
}

impl From<ProviderError> for LaunchError {
    fn from(error: ProviderError) -> Self {
        Self::Other(error)
    }
}

/// What a start needs.
pub struct Launch<'a> {
    /// QEMU.
    pub tools: &'a Tools,
    /// The machine's places.
    pub machine: &'a Machine,
    /// Where verdicts on accelerators are kept.
    pub verdicts: &'a Verdicts,
    /// Where notes go.
    pub say: Say<'a>,
}

impl Launch<'_> {
    /// Starts the guest, or goes on with the process that an interrupted run started, and records what executes it.
    pub async fn run(&self, record: &mut Record, running: Option<Process>) -> Result<(), LaunchError> {
        let asked = record.shape().acceleration;
        let accelerator = match (asked, running.is_some(), record.accelerator) {
            (_, true, Some(used)) => used,
            (Acceleration::Tcg, ..) => Accelerator::Tcg,
            (Acceleration::Kvm, ..) => Accelerator::Kvm,
            (Acceleration::Hvf, ..) => Accelerator::Hvf,
            (Acceleration::Auto, ..) => self.likely(),
        };
        match self.execute(record, accelerator, running).await {
            Err(LaunchError::Ended(why)) if accelerator != Accelerator::Tcg => {
                if asked != Acceleration::Auto {
                    return Err(ProviderError::new(format!(
                        "failed to run `{}` with {}: {why}",
                        self.machine.name,
                        accelerator.as_str()
                    ))
                    .with_remedy("set acceleration = \"auto\" (or \"tcg\" for emulation) in the environment file")
                    .into());
                }
                (self.say)(Note::Warning(format!(
                    "{} does not run this guest ({why}); it is emulated, which is several times slower",
                    accelerator.as_str()
                )));
                if let (false, Some(base)) = (record.made, &record.base) {
                    // The first boot begins on an untouched disk.
                    disk::overlay(self.tools, base, &self.machine.root(), record.spec.disk_gib).await?;
                }
                self.execute(record, Accelerator::Tcg, None).await?;
                // Only now it was the accelerator's fault and not, say, the memory's.
                self.remember(accelerator, false);
                Ok(())
            }
            other => other,
        }
    }

    /// The hypervisor that this computer seems to have, unless it has failed since the last boot.
    fn likely(&self) -> Accelerator {
        let (accelerator, why) = match candidate() {
            None => (Accelerator::Tcg, "this computer has no hypervisor that you may use"),
            Some(failed) if self.verdicts.of(failed) == Some(false) => {
                (Accelerator::Tcg, "its hypervisor did not run a guest before")
            }
            Some(hypervisor) => return hypervisor,
        };
        (self.say)(Note::Warning(format!(
            "the machine is emulated ({why}), which is several times slower"
        )));
        accelerator
    }

    fn remember(&self, accelerator: Accelerator, runs: bool) {
        if let Err(error) = self.verdicts.remember(accelerator, runs) {
            (self.say)(Note::Warning(format!("{error}; the next start will try again")));
        }
    }

    async fn execute(
        &self,
        record: &mut Record,
        accelerator: Accelerator,
        running: Option<Process>,
    ) -> Result<(), LaunchError> {
        let endpoint = record.endpoint.clone().ok_or_else(|| {
            ProviderError::new(format!("failed to start `{}`: it has no address", self.machine.name))
                .with_remedy("apply again")
        })?;
        if self.tools.arch == (Arch::Aarch64 { firmware: None }) && record.shape().boot.is_none() {
            return Err(
                ProviderError::new("failed to find the UEFI firmware that an ARM machine boots with")
                    .with_remedy(
                        "install it: sudo apt install qemu-efi-aarch64 (Debian, Ubuntu); on macOS it comes with qemu",
                    )
                    .into(),
            );
        }
        let console = console_length(self.machine);
        let process = match running {
            Some(process) => process,
            None => {
                // Recorded first: a run that finds the process knows what executes it.
                record.accelerator = Some(accelerator);
                record.write(self.machine)?;
                self.boot(record, &endpoint, accelerator).await?
            }
        };
        if accelerator == Accelerator::Tcg || self.verdicts.of(accelerator) == Some(true) {
            return Ok(());
        }
        (self.say)(Note::Waiting(format!(
            "proof that {} runs a guest",
            accelerator.as_str()
        )));
        match watch(&process, record, &endpoint, self.machine, console).await {
            Ok(true) => self.remember(accelerator, true),
            // Nothing bad was seen and nothing good either: no verdict, the next start looks again.
            Ok(false) => {}
            Err(why) => {
                end_now(&process, &record.socket).await?;
                return Err(LaunchError::Ended(why));
            }
        }
        Ok(())
    }

    /// Runs QEMU until it is a daemon.
    async fn boot(
        &self,
        record: &Record,
        endpoint: &Endpoint,
        accelerator: Accelerator,
    ) -> Result<Process, LaunchError> {
        let name = &self.machine.name;
        let failed =
            |why: std::io::Error| ProviderError::new(format!("failed to start QEMU for `{name}`")).because(why);
        // Both write to it: QEMU itself once it is a daemon.
        let log = std::fs::File::create(self.machine.log())
            .and_then(|_| std::fs::File::options().append(true).open(self.machine.log()))
            .map_err(failed)?;
        let args = qemu::arguments(self.machine, record, endpoint, &self.tools.arch, accelerator);
        let mut child = Command::new(&self.tools.system)
            .args(args)
            // It lives on after us, and the caller's variables hold secrets that everybody who runs as this user could read.
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| INHERITED.iter().any(|kept| name == kept)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C at the terminal is for us.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let ended = tokio::time::timeout(SETUP, child.wait()).await;
        let said = std::fs::read_to_string(self.machine.log()).unwrap_or_default();
        match ended {
            Ok(status) if status.as_ref().is_ok_and(std::process::ExitStatus::success) => {}
            Ok(status) => {
                status.map_err(failed)?;
                let said = last_line(&said);
                return Err(if said.contains("host forwarding rule") {
                    LaunchError::Ports(said)
                } else {
                    LaunchError::Ended(said)
                });
            }
            Err(_) => {
                let _ = child.kill().await;
                return Err(LaunchError::Ended(format!(
                    "QEMU was not ready within {} s: {}",
                    SETUP.as_secs(),
                    last_line(&said)
                )));
            }
        }
        Process::by_pid_file(self.machine)
            .ok_or_else(|| LaunchError::Ended(format!("QEMU ended at once: {}", last_line(&said))))
    }
}

/// Watches a guest that a hypervisor executes: true when it was seen running, false when nothing was seen at all.
async fn watch(
    process: &Process,
    record: &Record,
    endpoint: &Endpoint,
    machine: &Machine,
    console: u64,
) -> Result<bool, String> {
    let begun = Instant::now();
    while begun.elapsed() < WATCH {
        if !process.alive() {
            return Err("QEMU ended".to_owned());
        }
        if let Ok(mut qmp) = Qmp::connect(&record.socket, DEADLINE).await
            && let Ok(GuestStatus::Dead) = qmp.status().await
        {
            return Err("the guest died with an internal error".to_owned());
        }
        if console_shows_a_system(machine, console) || sshd_answers(endpoint).await {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(false)
}

fn console_length(machine: &Machine) -> u64 {
    std::fs::metadata(machine.serial()).map_or(0, |found| found.len())
}

/// Whether a kernel or what it started has written to the console since.
fn console_shows_a_system(machine: &Machine, since: u64) -> bool {
    let text = std::fs::read(machine.serial()).unwrap_or_default();
    let new = text
        .get(usize::try_from(since).unwrap_or(usize::MAX)..)
        .unwrap_or_default();
    let new = String::from_utf8_lossy(new);
    ["systemd[1]", "cloud-init", " login:"]
        .iter()
        .any(|proof| new.contains(proof))
}

/// The forwarded port accepts whatever the guest does; only a byte from it is a sign of life.
async fn sshd_answers(endpoint: &Endpoint) -> bool {
    let talk = async {
        let mut stream = tokio::net::TcpStream::connect((endpoint.address, endpoint.ssh)).await?;
        stream.read_u8().await
    };
    matches!(tokio::time::timeout(Duration::from_millis(200), talk).await, Ok(Ok(_)))
}

fn last_line(text: &str) -> String {
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or("it said nothing").to_owned()
}

/// Ends a machine in order: the guest shuts down, or QEMU is told to end, or it is killed.
pub async fn end_gently(process: &Process, socket: &Path, say: Say<'_>) -> Result<(), ProviderError> {
    say(Note::Waiting("the machine to shut down".to_owned()));
    if let Ok(mut qmp) = Qmp::connect(socket, DEADLINE).await
        && qmp.status().await.is_ok_and(|status| status == GuestStatus::Running)
        && qmp.execute("system_powerdown").await.is_ok()
    {
        drop(qmp);
        if process.gone_within(POWERDOWN).await {
            return Ok(());
        }
        say(Note::Warning(format!(
            "the guest did not shut down within {} s; its power is cut",
            POWERDOWN.as_secs()
        )));
    }
    end_now(process, socket).await
}

/// Ends a machine without asking the guest.
pub async fn end_now(process: &Process, socket: &Path) -> Result<(), ProviderError> {
    if let Ok(mut qmp) = Qmp::connect(socket, DEADLINE).await {
        // QEMU may be gone before its answer is.
        let _ = qmp.execute("quit").await;
        if process.gone_within(QUIT).await {
            return Ok(());
        }
    }
    let failed = || ProviderError::new(format!("failed to end QEMU (pid {})", process.id()));
    process.kill().map_err(|why| failed().because(why))?;
    if process.gone_within(QUIT).await {
        Ok(())
    } else {
        Err(failed().with_remedy("it hangs in the kernel, probably on a disk: see `ps` and the kernel's log"))
    }
}
