//! QEMU's arguments, as a pure function of what is known of a machine.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::Path;

use super::machine::Machine;
use super::record::{Accelerator, Record};
use super::tools::Arch;
use crate::names::Endpoint;

/// The arguments that run the machine. QEMU turns itself into a daemon once everything is set up, so a start that fails
/// fails in the foreground with its reason, and one that works outlives whoever started it.
pub fn arguments(
    machine: &Machine,
    record: &Record,
    endpoint: &Endpoint,
    arch: &Arch,
    accelerator: Accelerator,
) -> Vec<OsString> {
    let shape = record.shape();
    let mut args = Arguments(Vec::new());
    args.flag("-nodefaults").flag("-no-user-config").flag("-daemonize");
    // A daemon's last words would be lost otherwise.
    args.pair("-D", machine.log().as_os_str());
    args.pair("-name", format!("guest=provision-{}", machine.name));
    args.pair("-display", "none");
    args.pair("-machine", machine_type(arch));
    args.pair("-accel", accel(accelerator))
        .pair("-cpu", cpu(arch, accelerator));
    args.pair("-smp", shape.cpus.to_string());
    args.pair("-m", shape.memory_mib.to_string());
    args.pair("-rtc", "base=utc");
    if let Some(boot) = &shape.boot {
        args.pair("-kernel", boot.kernel.as_os_str());
        if let Some(initrd) = &boot.initrd {
            args.pair("-initrd", initrd.as_os_str());
        }
        args.pair("-append", &boot.cmdline);
    } else if let Arch::Aarch64 { firmware: Some(file) } = arch {
        args.pair("-bios", file.as_os_str());
    }

    // Every device has its slot: a volume that comes later renames neither the disks nor the network interface.
    // writeback keeps what the guest has fsynced when QEMU is killed: it is in the host's page cache by then.
    let disk = "format=qcow2,cache=writeback,discard=unmap";
    args.option("-drive", &format!("if=none,id=root,{disk}"), &machine.root());
    args.pair("-device", "virtio-blk-pci,drive=root,addr=0x2,bootindex=0");
    args.option("-drive", "if=none,id=seed,format=raw,readonly=on", &machine.seed());
    args.pair("-device", "virtio-blk-pci,drive=seed,addr=0x3");
    if record.spec.volume_gib.is_some() {
        args.option("-drive", &format!("if=none,id=data,{disk}"), &machine.data());
        args.pair("-device", "virtio-blk-pci,drive=data,serial=provision-data,addr=0x4");
    }
    args.pair("-netdev", network(endpoint));
    // No option ROM: the machine never boots from the network.
    args.pair("-device", "virtio-net-pci,netdev=net,romfile=,addr=0x5");
    args.pair("-device", "virtio-rng-pci,addr=0x6");

    args.option("-chardev", "file,id=serial,append=on", &machine.serial());
    args.pair("-serial", "chardev:serial");
    args.option("-chardev", "socket,id=qmp,server=on,wait=off", &record.socket);
    args.pair("-mon", "chardev=qmp,mode=control");
    args.pair("-pidfile", machine.pid());
    args.0
}

fn machine_type(arch: &Arch) -> &'static str {
    match arch {
        // Without the chip set's own controllers, which have nothing attached: a guest need not probe them.
        Arch::X86_64 => "q35,sata=off,smbus=off",
        Arch::Aarch64 { .. } => "virt",
    }
}

fn accel(accelerator: Accelerator) -> &'static str {
    match accelerator {
        Accelerator::Kvm => "kvm",
        Accelerator::Hvf => "hvf",
        // One thread per virtual processor, and room for the translation of a whole booted system.
        Accelerator::Tcg => "tcg,thread=multi,tb-size=512",
    }
}

fn cpu(arch: &Arch, accelerator: Accelerator) -> &'static str {
    match (arch, accelerator) {
        (_, Accelerator::Kvm | Accelerator::Hvf) => "host",
        // The oldest that current distributions run on is the one with the least to emulate (measured: fastest boot).
        (Arch::X86_64, Accelerator::Tcg) => "Nehalem",
        (Arch::Aarch64 { .. }, Accelerator::Tcg) => "cortex-a72",
    }
}

/// User-mode networking: 10.0.2.0/24 with the host at 10.0.2.2, and the ports of an ordinary web server.
fn network(endpoint: &Endpoint) -> String {
    let Endpoint {
        address,
        ssh,
        http,
        https,
    } = endpoint;
    let address = match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    };
    let forwards = [
        ("tcp", ssh, 22),
        ("tcp", http, 80),
        ("tcp", https, 443),
        ("udp", https, 443),
    ];
    forwards.iter().fold(
        "user,id=net,ipv6=off".to_owned(),
        |text, (protocol, outside, inside)| format!("{text},hostfwd={protocol}:{address}:{outside}-:{inside}"),
    )
}

struct Arguments(Vec<OsString>);

impl Arguments {
    fn flag(&mut self, flag: &str) -> &mut Self {
        self.0.push(flag.into());
        self
    }

    fn pair(&mut self, option: &str, value: impl Into<OsString>) -> &mut Self {
        self.0.extend([option.into(), value.into()]);
        self
    }

    /// An option with a file. QEMU splits its options at commas; a doubled one is a comma of the path.
    fn option(&mut self, option: &str, head: &str, file: &Path) -> &mut Self {
        let key = if option == "-drive" { "file" } else { "path" };
        let file = file.to_string_lossy().replace(',', ",,");
        self.pair(option, format!("{head},{key}={file}"))
    }
}

#[cfg(test)]
#[path = "qemu_tests.rs"]
mod tests;
