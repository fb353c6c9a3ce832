//! A project in a folder of its own, with a home of its own, and the binary that works on it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::cloud::Cloud;

/// The images of the demo's two stacks and of the edge, with their archives.
const OF_THE_DEMO: [(&str, &str); 3] = [
    ("caddy:2", "caddy_2.tar"),
    ("postgres:17", "postgres_17.tar"),
    ("provision-demo:1", "provision-demo_1.tar"),
];

/// A project, its state and its machine; all of it goes when this goes.
pub struct Lab {
    folder: TempDir,
    pub name: &'static str,
    image: PathBuf,
    images: PathBuf,
    started: Instant,
    variables: Vec<(&'static str, String)>,
}

impl Lab {
    /// None, and a word, where the lab's images are not built.
    pub fn new(name: &'static str, image: &str) -> Option<Self> {
        let images = std::env::var_os("PROVISION_LAB_DIR").map_or_else(default_images, PathBuf::from);
        let Ok(image) = images.join(image).canonicalize() else {
            eprintln!("skipped: no {image} in {}; `make lab` builds it", images.display());
            return None;
        };
        Some(Self {
            folder: TempDir::with_prefix("provision-e2e-").unwrap(),
            name,
            image,
            images,
            started: Instant::now(),
            variables: Vec::new(),
        })
    }

    /// One whose machine is in a cloud of the lab's.
    pub fn in_cloud<C: Cloud>(name: &'static str, image: &str) -> Option<(Self, C)> {
        let mut lab = Self::new(name, image)?;
        let cloud = C::start(&lab.images, &lab.image)?;
        lab.variables = cloud.variables();
        // Where it calls from.
        lab.set("PROVISION_OPERATOR_CIDR", "127.0.0.1/32");
        Some((lab, cloud))
    }

    /// An environment file of a machine of this computer with a data volume, these stacks on it, and archives.
    pub fn write_local(&self, stacks: &str, archives: &str) {
        let text = format!(
            "[machine.local]\nimage = {:?}\ndisk_gib = 12\nmemory_gib = 2\nacceleration = \"auto\"\n\n[data]\nvolume_gib = 4\n\n\
             {stacks}\n[routes]\n\"/\" = \"web:8000\"\n\n{archives}",
            self.image
        );
        std::fs::create_dir(self.path("environments")).unwrap();
        std::fs::write(self.environment(), text).unwrap();
    }

    /// An environment file of a Droplet, what a story wants on it, and archives of images.
    pub fn write_system(&self, more: &str, images: &[&str]) {
        let machine = "[machine.digitalocean]\nregion = \"fra1\"\nimage = \"debian-13\"\nsize = \"s-2vcpu-4gb\"\n\n[tls]\nmode = \"internal\"";
        let mut text = format!("{machine}\n\n{more}\n[images]\n");
        for reference in images {
            let file = format!("{}.tar", reference.replace(':', "_"));
            let _ = writeln!(text, "{reference:?} = {:?}", self.images.join(file));
        }
        std::fs::create_dir_all(self.path("environments")).unwrap();
        std::fs::write(self.environment(), text).unwrap();
    }

    /// Whether an archive of this image is there.
    pub fn has_image(&self, reference: &str) -> bool {
        self.images
            .join(format!("{}.tar", reference.replace(':', "_")))
            .exists()
    }

    /// A variable of every run from now on.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.variables.push((name, value.to_owned()));
    }

    /// The environment file that `provision init` writes, in an empty folder, and behind it what a story adds, with its images, and those of
    /// `caddy:2`, `postgres:17` and `provision-demo:1`, which lie in no registry here.
    pub fn init(&self, provider: &str, more: &str, images: &[(&str, &str)]) {
        self.ok(&["init", self.name, "--provider", provider]);
        let path = self.environment();
        let written = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{written}\n{more}\n{}", self.archives(images))).unwrap();
    }

    /// The images of the demo's two stacks and the edge, and these, as archives: the lab has no registry.
    pub fn archives(&self, more: &[(&str, &str)]) -> String {
        self.archives_of(&[&OF_THE_DEMO, more].concat())
    }

    /// `[images]` with these archives.
    pub fn archives_of(&self, archives: &[(&str, &str)]) -> String {
        let mut text = "[images]\n".to_owned();
        for (reference, file) in archives {
            let _ = writeln!(text, "{reference:?} = {:?}", self.archive(file));
        }
        text
    }

    /// An archive of the lab.
    pub fn archive(&self, file: &str) -> PathBuf {
        self.images.join(file)
    }

    /// The machine image that this lab is for.
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// The package repository that the lab's plain image installs from, on this computer's loopback. It ends by itself
    /// when nobody asks it for anything any more; other machines of the lab may be using it.
    #[track_caller]
    pub fn serve_packages(&self) {
        self.say("tests/lab/serve-apt");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/serve-apt");
        let output = Command::new(&script)
            .env("PROVISION_LAB_DIR", &self.images)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|why| panic!("failed to run {}: {why}", script.display()));
        assert!(
            output.status.success(),
            "without a package repository a plain image cannot install Docker:\n{}",
            text(&output)
        );
    }

    pub fn environment(&self) -> PathBuf {
        self.folder.path().join(format!("environments/{}.toml", self.name))
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    pub fn say(&self, what: &str) {
        eprintln!("[{:6.1}s] {}: {what}", self.started.elapsed().as_secs_f64(), self.name);
    }

    /// The binary with a home of its own: no state, identity or ssh configuration of whoever runs the tests.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provision"));
        let home = self.folder.path().join("home");
        std::fs::create_dir_all(&home).unwrap();
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("HOME", &home)
            .env("CI", "true")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_CACHE_HOME")
            .env_remove("XDG_STATE_HOME")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs, shows what it said, and wants exit code 0. Gives standard output and standard error.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        self.say(&format!("provision {}", args.join(" ")));
        let output = self.run(args);
        let text = text(&output);
        eprintln!("{text}");
        assert!(
            output.status.success(),
            "provision {args:?} ended with {}",
            output.status
        );
        text
    }

    /// A plan right after an apply finds nothing to do.
    #[track_caller]
    pub fn is_settled(&self) {
        let plan = self.ok(&["plan", self.name, "--detailed-exitcode"]);
        assert!(plan.contains("nothing to do"), "{plan}");
    }

    /// Runs something that must fail with this code; gives what it said.
    #[track_caller]
    pub fn fails(&self, code: i32, args: &[&str]) -> String {
        self.say(&format!("provision {} (must end with {code})", args.join(" ")));
        let output = self.run(args);
        let text = text(&output);
        eprintln!("{text}");
        assert_eq!(output.status.code(), Some(code), "provision {args:?}");
        text
    }

    pub fn start(&self, args: &[&str]) -> Child {
        self.say(&format!("provision {} (in the background)", args.join(" ")));
        self.command(args)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// A command on the host; wants exit code 0 and gives its standard output.
    #[track_caller]
    pub fn on_host(&self, script: &str) -> String {
        let output = self.run(&["ssh", self.name, "--", script]);
        assert!(output.status.success(), "on the host: {script}\n{}", text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// As [`Lab::on_host`], with standard input.
    #[track_caller]
    pub fn on_host_reading(&self, script: &str, input: &str) -> String {
        use std::io::Write as _;
        let mut child = self
            .command(&["ssh", self.name, "--", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "on the host: {script}\n{}", text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[track_caller]
    pub fn output(&self, key: &str) -> String {
        let output = self.run(&["output", self.name, key, "--raw"]);
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// `curl` with the environment's own certificate authority. Gives the body.
    #[track_caller]
    pub fn curl(&self, args: &[&str]) -> String {
        let mut command = Command::new("curl");
        command.args([
            "--silent",
            "--show-error",
            "--fail",
            "--max-time",
            "60",
            "--cacert",
            &self.output("ca_certificate"),
        ]);
        let output = command.args(args).output().unwrap();
        assert!(output.status.success(), "curl {args:?}: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn state(&self) -> serde_json::Value {
        let path = self.path(&format!(".provision/{}/state.json", self.name));
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    /// The machine's folder and the process of its QEMU.
    pub fn qemu(&self) -> (PathBuf, i32) {
        let machines = self.path("home/.local/state/provision/machines");
        let folder = std::fs::read_dir(&machines)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.join("pid").exists())
            .expect("a machine with a pid file");
        let pid = std::fs::read_to_string(folder.join("pid"))
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        (folder, pid)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A failed test must not leave a machine behind.
        if self.path(&format!(".provision/{}/state.json", self.name)).exists() {
            let _ = self.run(&["destroy", self.name, "--yes"]);
        }
    }
}

fn default_images() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache
        .or_else(|| Some(std::env::home_dir()?.join(".cache")))
        .unwrap_or_default();
    cache.join("provision-lab")
}

pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    )
}

/// Whether somebody listens there and answers.
pub fn reaches(address: &str, port: u16) -> bool {
    let socket: std::net::SocketAddr = format!("{address}:{port}").parse().unwrap();
    std::net::TcpStream::connect_timeout(&socket, Duration::from_secs(5)).is_ok()
}

/// Waits until `done`, at most `limit`.
#[track_caller]
pub fn until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

pub fn kill(pid: i32) {
    signal(pid, "KILL");
}

pub fn alive(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Such as `STOP`.
pub fn signal(pid: i32, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}
