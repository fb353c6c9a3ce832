//! A network and a mount namespace of the test's own: ports 80 and 443 are free there, names are what a file of ours says, and
//! `/etc/caddy` is what the program rendered. In it run the real Caddy, the programs behind it, and curl.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use provision::desired::{Desired, Given, desire, secrets};
use provision::environment::load;
use provision::names::{Endpoint, EnvironmentName, Lineage};
use provision::render::Bindings;
use provision::secret::{FingerprintKey, Secret};

/// What every wait here has at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// The password of every user, and the value of every other secret.
pub const PASSWORD: &str = "correct-horse-battery";

/// Where Debian's package has its files, and the container ours.
const ETC_CADDY: &str = "/etc/caddy";

pub struct World {
    folder: tempfile::TempDir,
    /// It ends, and everything in its process namespace with it, when its standard input is closed: when the test does.
    holder: Child,
    inside: u32,
}

impl World {
    /// None, and a word, where something is missing.
    pub fn new() -> Option<Self> {
        for program in ["caddy", "curl", "python3", "openssl", "unshare", "nsenter", "ip"] {
            let found = Command::new("sh")
                .args(["-c", &format!("command -v {program}")])
                .output()
                .unwrap();
            if !found.status.success() {
                println!("skipped: {program} is not installed");
                return None;
            }
        }
        if !Path::new(ETC_CADDY).is_dir() {
            println!("skipped: there is no {ETC_CADDY} to put ours over");
            return None;
        }
        let mut unshare = Command::new("unshare");
        if !is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        let mut holder = unshare
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--",
                "sh",
                "-c",
                "echo here; exec cat",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        if line.trim() != "here" {
            println!("skipped: no namespaces here");
            return None;
        }
        let children = format!("/proc/{0}/task/{0}/children", holder.id());
        let children = std::fs::read_to_string(children).unwrap();
        let inside = children.split_whitespace().next().unwrap().parse().unwrap();
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            holder,
            inside,
        };
        world.done("ip", &["link", "set", "lo", "up"]);
        Some(world)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A program that runs in there.
    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.inside.to_string(), "--net", "--mount", "--pid"]);
        if !is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--").arg(program).args(args).stdin(Stdio::null());
        command.env("HOME", self.folder.path()).env_remove("XDG_DATA_HOME");
        command
    }

    /// What a program said that had to do what it was told.
    pub fn done(&self, program: &str, args: &[&str]) -> String {
        let output = self.command(program, args).output().unwrap();
        assert!(
            output.status.success(),
            "{program} {args:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// All names are this computer's own.
    pub fn knows(&self, names: &str) {
        let hosts = self.write("hosts", format!("127.0.0.1 localhost {names}\n"));
        self.done("mount", &["--bind", hosts.to_str().unwrap(), "/etc/hosts"]);
    }

    /// A folder is what Caddy reads.
    pub fn mount(&self, folder: &Path) {
        self.done("mount", &["--bind", folder.to_str().unwrap(), ETC_CADDY]);
    }

    /// The programs behind the edge.
    pub fn peers(&self) {
        let mut peers = self
            .command("python3", &[&peers(), "serve"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(peers.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
    }

    /// Caddy with data of its own; its log goes to `NAME.log`.
    pub fn caddy(&self, name: &str, caddyfile: &str) -> Child {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path(&format!("{name}.log")))
            .unwrap();
        self.command("caddy", &["run", "--config", caddyfile, "--adapter", "caddyfile"])
            .env("XDG_DATA_HOME", self.path(name))
            .env("XDG_CONFIG_HOME", self.path(name))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }

    /// The root of the authority of one of them.
    pub fn root(&self, name: &str) -> PathBuf {
        self.path(name).join("caddy/pki/authorities/local/root.crt")
    }

    /// The edge's, once it serves a host.
    pub fn edge(&self, host: &str) -> Child {
        let caddy = self.caddy("edge", &format!("{ETC_CADDY}/Caddyfile"));
        let address = format!("https://{host}/");
        self.wait(&format!("{host} to be served"), || {
            let output = self.curl(&["--insecure", "--output", "/dev/null", &address]);
            output.status.success()
        });
        caddy
    }

    /// curl, with at most ten seconds.
    pub fn curl(&self, args: &[&str]) -> Output {
        let all = [&["--silent", "--show-error", "--max-time", "10"], args].concat();
        self.command("curl", &all).output().unwrap()
    }

    pub fn wait(&self, what: &str, mut there: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !there() {
            let log = self.log("edge");
            let last: Vec<&str> = log.lines().rev().take(5).collect();
            assert!(
                begun.elapsed() < PATIENCE,
                "waited too long for {what}\n{}",
                last.join("\n")
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

pub fn peers() -> String {
    format!("{}/tests/edge/peers.py", env!("CARGO_MANIFEST_DIR"))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// What an environment file of a project shall be, every secret known.
pub fn desired(root: &Path, name: &str) -> Desired {
    let name: EnvironmentName = name.parse().unwrap();
    let sources = match load(root, &name) {
        Ok(sources) => sources,
        Err(error) => panic!("{error:?}"),
    };
    let values = secrets::names(&secrets::sources(&sources))
        .map(|name| (name, Secret::new(PASSWORD)))
        .collect::<BTreeMap<_, _>>();
    let mut values = values;
    if let Some(key) = &sources.beside.key {
        values.insert(secrets::TLS_KEY.to_owned(), key.clone());
    }
    let bindings = Bindings {
        endpoint: Some(Endpoint::standard("127.0.0.1".parse().unwrap())),
        secrets: values,
        fingerprints: FingerprintKey::new(Secret::new("a key of the test's own")),
        ..Bindings::default()
    };
    let given = Given {
        name: &name,
        lineage: &Lineage::from_bytes([7; 16]),
        authorized_keys: &["ssh-ed25519 AAAA operator".to_owned()],
        host_key_public: "ssh-ed25519 BBBB host",
        bindings: &bindings,
    };
    match desire(&sources, &given) {
        Ok(desired) => desired,
        Err(problems) => panic!("{}", problems.render(false, 100)),
    }
}

/// Writes the edge's files as they go to the host.
pub fn placed(desired: &Desired, folder: &Path) {
    for (path, file) in &desired.edge.as_ref().unwrap().stack.files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file.bind(&desired.bindings)).unwrap();
    }
}
