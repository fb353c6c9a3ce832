//! Ports of this computer: whether they can be bound, and who has them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use crate::names::Endpoint;

/// An address of 127.77.0.0/16 that no machine gets: a port that is taken even here is taken at every address.
const NOBODYS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 77, 255, 254));
/// The high ports of a machine are 10022, 10080 and 10443, or the same some hundreds above: readable, below the range
/// of outgoing connections (32768 on Linux), and a port of one kind never meets another kind's.
const HIGH: u16 = 10_000;
const HIGH_STEPS: u16 = 90;

/// What became of trying to bind a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bind {
    /// It is free.
    Free,
    /// This user may not bind it.
    Denied,
    /// Somebody else has it.
    Taken,
    /// This computer does not have the address.
    NoAddress,
}

/// Tries to bind a port for all that is forwarded to it, and lets it go again. Both we and QEMU bind with
/// `SO_REUSEADDR`, so what holds for us holds for it.
pub fn probe(address: IpAddr, port: u16, with_udp: bool) -> Bind {
    let at = SocketAddr::new(address, port);
    let bound = TcpListener::bind(at).and_then(|_tcp| {
        if with_udp {
            UdpSocket::bind(at).map(drop)
        } else {
            Ok(())
        }
    });
    match bound.map_err(|why| why.kind()) {
        Ok(()) => Bind::Free,
        Err(io::ErrorKind::PermissionDenied) => Bind::Denied,
        Err(io::ErrorKind::AddrNotAvailable) => Bind::NoAddress,
        Err(_) => Bind::Taken,
    }
}

/// Whether every address of 127.0.0.0/8 is this computer, as on Linux.
pub fn has_own_addresses() -> bool {
    probe(NOBODYS, 0, false) == Bind::Free
}

/// The ports for a machine at an address of its own: the real ones where they can be had, high ones where they may not
/// be bound or are taken at every address. None when somebody has this very address.
pub fn choose(address: IpAddr) -> Option<Endpoint> {
    let port = |inside: u16| match probe(address, inside, inside == 443) {
        Bind::Free => Some(inside),
        Bind::Taken if probe(NOBODYS, inside, inside == 443) != Bind::Taken => None,
        Bind::NoAddress => None,
        Bind::Taken | Bind::Denied => (0..HIGH_STEPS)
            .map(|step| HIGH + 100 * step + inside)
            .find(|high| probe(address, *high, inside == 443) == Bind::Free),
    };
    Some(Endpoint {
        address,
        ssh: port(22)?,
        http: port(80)?,
        https: port(443)?,
    })
}

/// The ports of the machine with this number at the one address that all machines share. None when one is taken.
pub fn choose_shared(slot: u16) -> Option<Endpoint> {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let port = |inside: u16| {
        let high = HIGH + 100 * slot + inside;
        (probe(address, high, inside == 443) == Bind::Free).then_some(high)
    };
    Some(Endpoint {
        address,
        ssh: port(22)?,
        http: port(80)?,
        https: port(443)?,
    })
}

/// How many machines can share an address.
pub const SLOTS: u16 = HIGH_STEPS;

/// The first port of an endpoint that cannot be bound now, and why.
pub fn conflict(endpoint: &Endpoint) -> Option<(u16, Bind)> {
    let Endpoint {
        address,
        ssh,
        http,
        https,
    } = endpoint;
    [(*ssh, false), (*http, false), (*https, true)]
        .into_iter()
        .map(|(port, with_udp)| (port, probe(*address, port, with_udp)))
        .find(|(_, bind)| *bind != Bind::Free)
}

/// The process that listens at a TCP port, as `name (pid)`, where that can be known: on Linux, for one's own processes
/// and, as root, for all.
pub fn holder(address: IpAddr, port: u16) -> Option<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let inode = listening_inode(&table, address, port)?;
    let wanted = format!("socket:[{inode}]");
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let holds = files
            .flatten()
            .any(|file| std::fs::read_link(file.path()).is_ok_and(|link| link.to_str() == Some(wanted.as_str())));
        if holds {
            let name = std::fs::read_to_string(process.path().join("comm")).ok()?;
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }
    None
}

/// The inode of the listening socket in the text of /proc/net/tcp, at the address or at all addresses.
fn listening_inode(table: &str, address: IpAddr, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    let IpAddr::V4(address) = address else { return None };
    // The kernel prints the address as a number in the machine's byte order.
    let local = |address: Ipv4Addr| format!("{:08X}:{port:04X}", u32::from_ne_bytes(address.octets()));
    let wanted = [local(address), local(Ipv4Addr::UNSPECIFIED)];
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (at, state) = (*fields.get(1)?, *fields.get(3)?);
        if state == LISTEN && wanted.iter().any(|wanted| wanted == at) {
            fields.get(9)?.parse().ok()
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_seen_and_its_holder_named() {
        let _turn = crate::provider::local::PORTS.lock();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        assert_eq!(probe(at.ip(), at.port(), false), Bind::Taken);
        if cfg!(target_os = "linux") {
            let holder = holder(at.ip(), at.port()).unwrap();
            assert!(holder.contains(&format!("(pid {})", std::process::id())), "{holder}");
        }
        drop(listener);
        assert_eq!(probe(at.ip(), at.port(), false), Bind::Free);
    }

    #[test]
    fn a_listener_at_all_addresses_is_found_too() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n";
        if cfg!(target_endian = "little") {
            assert_eq!(listening_inode(table, [127, 77, 0, 1].into(), 22), Some(4711));
            assert_eq!(listening_inode(table, [127, 77, 0, 1].into(), 23), None);
        }
    }
}
