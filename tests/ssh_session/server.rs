//! A real sshd on a loopback port, and a TCP proxy in front of it that delays and cuts.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use provision::names::Endpoint;
use provision::remote::{ClientKey, Target};
use provision::secret::Secret;
use ssh_key::{Algorithm, LineEnding, PrivateKey};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub const ALIAS: &str = "provision-test-1";

pub fn key() -> PrivateKey {
    let mut random = ssh_key::rand_core::OsRng;
    PrivateKey::random(&mut random, Algorithm::Ed25519).unwrap()
}

pub fn text(key: &PrivateKey) -> String {
    key.to_openssh(LineEnding::LF).unwrap().to_string()
}

pub struct Server {
    pub folder: TempDir,
    pub port: u16,
    pub client: PrivateKey,
    pub host: PrivateKey,
    child: Option<Child>,
}

impl Server {
    /// None, with a word, where there is no sshd.
    pub fn start() -> Option<Self> {
        let mut server = Self::stopped()?;
        server.serve();
        Some(server)
    }

    /// Everything but the process.
    pub fn stopped() -> Option<Self> {
        if sshd().is_none() {
            eprintln!("skipped: no sshd here (apt-get install openssh-server)");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let (client, host) = (key(), key());
        let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let at = |name: &str| folder.path().join(name);
        host.write_openssh_file(&at("host"), LineEnding::LF).unwrap();
        std::fs::write(at("authorized"), client.public_key().to_openssh().unwrap()).unwrap();
        std::fs::write(
            at("sshd_config"),
            format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized\nPidFile none\nStrictModes no\n\
                 UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
                 SetEnv HOME={0} PROVISION_ROOT={0}/root PROVISION_RUN={0}/run PROVISION_LASTING={0}/lasting\n",
                // Not this person's: their .bashrc may take half a second.
                folder.path().display(),
            ),
        )
        .unwrap();
        let server = Self {
            folder,
            port,
            client,
            host,
            child: None,
        };
        server.pin(&server.host);
        Some(server)
    }

    pub fn serve(&mut self) {
        // Debian's sshd wants this folder, which its service would make.
        let _ = std::fs::create_dir_all("/run/sshd");
        let config = self.folder.path().join("sshd_config");
        let child = Command::new(sshd().unwrap())
            .args(["-D", "-e", "-f"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    pub fn ready(&self) {
        for _ in 0..200 {
            if std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("sshd did not start");
    }

    pub fn known_hosts(&self) -> PathBuf {
        self.folder.path().join("known_hosts")
    }

    pub fn pin(&self, key: &PrivateKey) {
        let line = format!("{ALIAS} {}\n", key.public_key().to_openssh().unwrap());
        std::fs::write(self.known_hosts(), line).unwrap();
    }

    pub fn target(&self) -> Target {
        self.target_at(self.port)
    }

    pub fn target_at(&self, ssh: u16) -> Target {
        Target {
            endpoint: Endpoint {
                address: Ipv4Addr::LOCALHOST.into(),
                ssh,
                http: 80,
                https: 443,
            },
            user: user(),
            alias: ALIAS.to_owned(),
            known_hosts: self.known_hosts(),
            key: ClientKey::Generated(Secret::new(text(&self.client))),
            proxy_jump: None,
            escalate: false,
            host: None,
            ssh_config: None,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn sshd() -> Option<&'static Path> {
    ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"]
        .map(Path::new)
        .into_iter()
        .find(|path| path.exists())
}

/// A proxy that adds half of `round_trip` in each direction, and cuts everything when told.
pub struct Proxy {
    pub port: u16,
    pub connections: Arc<AtomicUsize>,
    cut: watch::Sender<bool>,
}

impl Proxy {
    pub async fn start(to: u16, round_trip: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (cut, cutting) = watch::channel(false);
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let mut cutting = cutting.clone();
                tokio::spawn(async move {
                    let far = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, to)))
                        .await
                        .unwrap();
                    let _ = (near.set_nodelay(true), far.set_nodelay(true));
                    let (near_in, near_out) = near.into_split();
                    let (far_in, far_out) = far.into_split();
                    tokio::select! {
                        () = async { tokio::join!(carry(near_in, far_out, round_trip / 2), carry(far_in, near_out, round_trip / 2)); } => {}
                        _ = cutting.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { port, connections, cut }
    }

    pub fn cut(&self) {
        self.cut.send(true).unwrap();
    }
}

async fn carry(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, delay: Duration) {
    let (send, mut receive) = mpsc::channel::<(Instant, Vec<u8>)>(4096);
    let read = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            if send.send((Instant::now() + delay, buffer[..n].to_vec())).await.is_err() {
                break;
            }
        }
    };
    let write = async move {
        while let Some((at, bytes)) = receive.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}
