//! Is there an sshd yet? Asked with a plain TCP connection, which costs nothing, before `ssh` is started.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What one look at a port saw.
#[derive(Debug)]
pub(super) enum Seen {
    /// A server that speaks SSH.
    Banner,
    /// No connection.
    Closed(io::Error),
    /// A connection, but no SSH on it. User-mode networking of a virtual machine accepts in the name of a guest that
    /// does not listen yet, then hangs or hangs up.
    NoBanner,
}

impl Seen {
    /// In words that fit behind "waiting for sshd at …: ".
    pub(super) fn describe(&self, port: u16) -> String {
        match self {
            Self::Banner => "banner seen, login not possible yet".to_owned(),
            Self::Closed(why) => format!("port {port} closed: {}", cause(why)),
            Self::NoBanner => format!("port {port} open, no ssh banner yet"),
        }
    }
}

/// The reason without Rust's "(os error 111)".
fn cause(why: &io::Error) -> String {
    match why.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut => "no answer".to_owned(),
        io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        _ => why.to_string(),
    }
}

/// One look, no longer than `limit` for the connection and as long again for the banner (RFC 4253 section 4.2: the
/// server sends it first; lines before it are allowed).
pub(super) async fn look(place: SocketAddr, limit: Duration) -> Seen {
    let mut stream = match timeout(limit, TcpStream::connect(place)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(why)) => return Seen::Closed(why),
        Err(_) => return Seen::Closed(io::ErrorKind::TimedOut.into()),
    };
    let banner = async {
        let mut seen = Vec::new();
        let mut buffer = [0; 256];
        while seen.len() < 8192 {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return false,
                Ok(n) => seen.extend_from_slice(&buffer[..n]),
            }
            if seen.split(|b| *b == b'\n').any(|line| line.starts_with(b"SSH-")) {
                return true;
            }
        }
        false
    };
    match timeout(limit, banner).await {
        Ok(true) => Seen::Banner,
        Ok(false) | Err(_) => Seen::NoBanner,
    }
}
