//! What answers from outside: every TCP port of an address, and HTTP/3.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, sleep, timeout};

/// All of them.
pub const ALL: RangeInclusive<u16> = 1..=u16::MAX;

/// How long a port may take to answer: Linux sends a lost SYN again after one second (RFC 6298), so one may be lost.
const PATIENCE: Duration = Duration::from_millis(1_200);

/// So many at once: all ports of a host that drops everything take 40 seconds, and a home router's table holds them.
const AT_ONCE: u64 = 2_000;

/// File descriptors that are for others.
const OTHERS: u64 = 96;

/// How often a port is tried again that this computer could not ask, and after how long.
const AGAIN: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);

/// An address of this computer that no machine gets: what answers there, too, listens at every address of this computer.
const NOBODYS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 77, 255, 254));

/// A version of QUIC that nobody speaks (RFC 9000, 15): a server answers with those that it does, and nothing has happened.
const NO_VERSION: [u8; 4] = [0x1a, 0x2a, 0x3a, 0x4a];
/// The smallest datagram that a server answers (RFC 9000, 14.1).
const SMALLEST: usize = 1_200;
const QUIC_TRIES: u32 = 3;
const QUIC_PATIENCE: Duration = Duration::from_millis(700);

/// What one address answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outside {
    /// The address.
    pub address: IpAddr,
    /// How many ports were asked.
    pub asked: u32,
    /// Ports that answer.
    pub open: BTreeSet<u16>,
    /// Ports that answer because a program of this computer listens there: the address of a local machine is one of its own.
    pub own: BTreeSet<u16>,
    /// Ports that could not be asked, with why.
    pub unknown: Option<(u32, String)>,
    /// Whether HTTP/3 is spoken.
    pub http3: bool,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

enum Answer {
    Open(u16),
    Closed,
    Unknown(io::Error),
}

/// Asks every port in `ports`, and `https` for HTTP/3.
pub async fn look(address: IpAddr, ports: RangeInclusive<u16>, https: u16) -> Outside {
    let begun = Instant::now();
    let at_once = usize::try_from(descriptors()).unwrap_or(64);
    let asked = u32::from(*ports.end()) - u32::from(*ports.start()) + 1;
    let mut answers = stream::iter(ports)
        .map(|port| ask(address, port))
        .buffer_unordered(at_once);
    let (mut open, mut unknown) = (BTreeSet::new(), None);
    while let Some(answer) = answers.next().await {
        match answer {
            Answer::Open(port) => _ = open.insert(port),
            Answer::Closed => {}
            Answer::Unknown(why) => unknown.get_or_insert_with(|| (0, why.to_string())).0 += 1,
        }
    }
    let mut own = BTreeSet::new();
    if address.is_loopback() {
        for port in &open {
            // Where all machines share one address, nothing tells them from this computer.
            if address == IpAddr::V4(Ipv4Addr::LOCALHOST) || matches!(ask(NOBODYS, *port).await, Answer::Open(_)) {
                own.insert(*port);
            }
        }
    }
    Outside {
        address,
        asked,
        open,
        own,
        unknown,
        http3: http3(address, https).await,
        millis: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

async fn ask(address: IpAddr, port: u16) -> Answer {
    let at = SocketAddr::new(address, port);
    let mut tries = 0;
    loop {
        let why = match timeout(PATIENCE, TcpStream::connect(at)).await {
            // A connection to one's own end: the kernel gave this very port to us.
            Ok(Ok(stream)) if stream.local_addr().is_ok_and(|own| own == at) => return Answer::Closed,
            Ok(Ok(_)) => return Answer::Open(port),
            Err(_) => return Answer::Closed,
            Ok(Err(why)) => why,
        };
        match why.kind() {
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::TimedOut
            // What a firewall that rejects answers with ICMP.
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::PermissionDenied => return Answer::Closed,
            io::ErrorKind::NetworkUnreachable => return Answer::Unknown(why),
            _ if tries < AGAIN => {
                tries += 1;
                sleep(PAUSE * tries).await;
            }
            _ => return Answer::Unknown(why),
        }
    }
}

/// As many connections as this process may have, after asking for more.
fn descriptors() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = AT_ONCE + OTHERS;
    let Some(limit) = current.filter(|limit| *limit < wanted) else {
        return AT_ONCE;
    };
    let more = maximum.map_or(wanted, |maximum| maximum.min(wanted)).max(limit);
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(more),
            maximum,
        },
    )
    .is_ok();
    let limit = if raised { more } else { limit };
    limit.saturating_sub(OTHERS).clamp(16, AT_ONCE)
}

/// Whether somebody at this port answers as QUIC does.
async fn http3(address: IpAddr, port: u16) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let Ok(socket) = UdpSocket::bind((any, 0)).await else {
        return false;
    };
    if socket.connect((address, port)).await.is_err() {
        return false;
    }
    let mut question = vec![0; SMALLEST];
    // A long header, the version, and connection identifiers of eight bytes each.
    question[0] = 0xc0;
    question[1..5].copy_from_slice(&NO_VERSION);
    question[5] = 8;
    question[6..14].copy_from_slice(b"audit-it");
    question[14] = 8;
    question[15..23].copy_from_slice(b"provisio");
    let mut answer = [0; 1_500];
    for _ in 0..QUIC_TRIES {
        if socket.send(&question).await.is_err() {
            continue;
        }
        if let Ok(Ok(length)) = timeout(QUIC_PATIENCE, socket.recv(&mut answer)).await {
            // Version negotiation: a long header with version 0.
            return length > 6 && answer[0] & 0x80 != 0 && answer[1..5] == [0; 4];
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 77, 254, 7));

    #[tokio::test(flavor = "multi_thread")]
    async fn of_all_ports_those_are_found_that_answer() {
        let one = TcpListener::bind((HERE, 0)).unwrap();
        let everywhere = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let ports = [&one, &everywhere].map(|listener| listener.local_addr().unwrap().port());
        let seen = look(HERE, ALL, ports[0]).await;
        assert_eq!(seen.asked, 65_535);
        assert_eq!(seen.unknown, None);
        assert!(
            seen.open.contains(&ports[0]) && seen.open.contains(&ports[1]),
            "{seen:?}"
        );
        assert!(
            !seen.own.contains(&ports[0]) && seen.own.contains(&ports[1]),
            "{seen:?}"
        );
        assert!(!seen.http3);
        drop(one);
        assert!(!look(HERE, ports[0]..=ports[0], 1).await.open.contains(&ports[0]));
    }

    #[tokio::test]
    async fn http3_is_what_answers_as_quic_does() {
        let server = UdpSocket::bind((HERE, 0)).await.unwrap();
        let port = server.local_addr().unwrap().port();
        let serve = async {
            let mut question = [0; 2_000];
            for answer in [&b"no"[..], &[0xca, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]] {
                let (length, from) = server.recv_from(&mut question).await.unwrap();
                assert!(length >= 1_200 && question[0] & 0x80 != 0);
                server.send_to(answer, from).await.unwrap();
            }
        };
        let ask = async { (http3(HERE, port).await, http3(HERE, port).await) };
        let ((), heard) = tokio::join!(serve, ask);
        assert_eq!(heard, (false, true));
    }
}
