//! What `provision init` wrote, on a plain image that gets Docker by user-data alone, with a stack that has marker secrets through a
//! whole life. In the end they are searched for everywhere: they may be in the encrypted
//! bundle, in the service's own files of mode 0600, and nowhere else.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::cloud::nothing_is_left;
use super::digitalocean::DigitalOcean;
use super::lab::{Lab, text};

/// One from the caller's variable, one from a file, one typed into the bundle; the generated one is read back.
const OF_VARIABLE: &str = "canary+variable/7d41f6";
const OF_FILE: &str = "canary file \"9c02e8\"";
const OF_BUNDLE: &str = "canary-bundle-55ab10";
const ROTATED: &str = "canary-bundle-once-more-81";

/// The stack that uses them: one service by a file, by its variables, and by what it prints when it fails.
const COMPOSE: &str = "\
services:
  vault:
    image: busybox:1
    command: [\"sh\", \"-c\", \"trap exit TERM; while :; do sleep 1 & wait; done\"]
    restart: unless-stopped
    secrets: [all]
    env_file: vault.env
    healthcheck: { test: [\"CMD\", \"true\"], interval: 30s, start_period: 60s, start_interval: 1s }
  bystander:
    image: busybox:1
    command: [\"sh\", \"-c\", \"trap exit TERM; while :; do sleep 1 & wait; done\"]
    restart: unless-stopped
  talker:
    image: busybox:1
    profiles: [jobs]
    secrets: [all]
    command: [\"sh\", \"-c\", \"echo all of it:; cat /run/secrets/all; base64 /run/secrets/all; cat /run/secrets/all >&2\"]
secrets:
  all: { file: ./all }
";

const ENVIRONMENT: &str = r#"
[tls]
mode = "internal"

[secrets]
OF_VARIABLE = { env = "CANARY" }
OF_FILE     = { file = "canary.txt" }
OF_BUNDLE   = { bundle = true, retention = "1h" }
GENERATED   = { generate = 32 }

[stacks.vault]
path = "../vault"
"#;

/// Deployed, looked at, rotated, failed, destroyed; and everything that was said and left is searched.
pub fn tell(lab: &mut Lab, cloud: &DigitalOcean) {
    write(lab);
    let lab = &*lab;
    let mut watched = Watched::new(lab);
    watched.given(&["secrets", "set", lab.name, "OF_BUNDLE"], OF_BUNDLE);
    watched.ok(&["plan", lab.name, "--out", "saved.plan"]);
    let sampling = Sampling::begin();
    watched.ok(&["apply", lab.name, "--yes", "--json"]);
    comes_up_by_user_data_alone(lab);
    let generated = watched.read("GENERATED");
    assert_eq!(generated.len(), 32);
    let own = lab.on_host("sudo cat /opt/provision/stacks/vault/all");
    for value in [OF_VARIABLE, OF_FILE, OF_BUNDLE, &generated] {
        assert!(own.contains(value), "the service has what it needs");
    }

    // A rotation by hand names whom it restarts, and restarts only those; old and new stand side by side.
    let before = started(lab);
    watched.given(&["secrets", "set", lab.name, "OF_BUNDLE"], ROTATED);
    let plan = watched.fails(2, &["plan", lab.name, "--detailed-exitcode"]);
    assert!(
        plan.contains("secret OF_BUNDLE: as deployed → rotated; restarts vault"),
        "{plan}"
    );
    watched.ok(&["apply", lab.name, "--yes"]);
    let after = started(lab);
    assert_ne!(after[1], before[1], "vault");
    assert_eq!(after[0], before[0], "bystander");
    let both = lab.on_host("sudo cat /opt/provision/stacks/vault/all");
    assert!(both.contains(ROTATED) && both.contains(OF_BUNDLE), "{}", both.len());
    watched.ok(&["plan", lab.name, "--detailed-exitcode"]);
    watched.ok(&["secrets", "list", lab.name]);
    watched.ok(&["secrets", "list", lab.name, "--json"]);

    a_failure_that_prints_them(lab, &mut watched);
    watched.ok(&["status", lab.name, "--json"]);

    let markers = Markers::of(&[OF_VARIABLE, OF_FILE, OF_BUNDLE, ROTATED, &generated]);
    let seen = sampling.end();
    markers.absent("the arguments of a process on this computer", &seen);
    on_the_host(lab, &markers);
    on_this_computer(lab, &markers);
    markers.absent("what anybody can ask the cloud for", &cloud.knows());
    markers.absent("what was said", &watched.said);
    lab.ok(&["destroy", lab.name, "--yes"]);
    nothing_is_left(lab, cloud);
    below(&lab.path(".provision"), &markers);
}

fn comes_up_by_user_data_alone(lab: &Lab) {
    assert!(lab.curl(&[&lab.output("url")]).contains("<html"), "a page");
    lab.is_settled();
    lab.on_host("sudo docker compose version");
    lab.on_host("test -s /var/lib/provision/converged && cloud-init status | grep -q done");
}

/// A job of the deploy prints all that it knows, then fails: the error shows its last lines.
fn a_failure_that_prints_them(lab: &Lab, watched: &mut Watched<'_>) {
    let manifest = lab.path("vault/stack.toml");
    std::fs::write(&manifest, "[jobs]\nbefore_deploy = [\"talker\"]\n").unwrap();
    let compose = COMPOSE.replace("cat /run/secrets/all >&2", "cat /run/secrets/all >&2; exit 3");
    std::fs::write(lab.path("vault/compose.yaml"), compose).unwrap();
    let told = watched.fails(1, &["apply", lab.name, "--yes"]);
    assert!(
        told.contains("(secret)"),
        "the job's words are shown, without them: {told}"
    );
    std::fs::remove_file(&manifest).unwrap();
    // A service that prints them and dies: its log is shown.
    let compose = COMPOSE.replacen(
        "trap exit TERM;",
        "env; cat /run/secrets/all; exit 3; trap exit TERM;",
        1,
    );
    std::fs::write(
        lab.path("vault/compose.yaml"),
        compose.replacen("restart: unless-stopped", "restart: 'no'", 1),
    )
    .unwrap();
    let told = watched.fails(1, &["apply", lab.name, "--yes"]);
    assert!(
        told.contains("(secret)") && told.contains("--- vault-vault-1"),
        "{told}"
    );
    std::fs::write(lab.path("vault/compose.yaml"), COMPOSE).unwrap();
    watched.ok(&["apply", lab.name, "--yes"]);
}

fn write(lab: &mut Lab) {
    lab.serve_packages();
    lab.init("digitalocean", ENVIRONMENT, &[("busybox:1", "busybox_1.tar")]);
    lab.set("CANARY", OF_VARIABLE);
    std::fs::write(lab.path("environments/canary.txt"), format!("{OF_FILE}\n")).unwrap();
    std::fs::create_dir(lab.path("vault")).unwrap();
    std::fs::write(lab.path("vault/compose.yaml"), COMPOSE).unwrap();
    std::fs::write(
        lab.path("vault/all.hbs"),
        "{{secrets.OF_VARIABLE}}\n{{secrets.OF_FILE}}\n{{secrets.OF_BUNDLE}}\n{{secrets.OF_BUNDLE_ROTATING_FROM}}\n\
         {{secrets.GENERATED}}\nurl://u:{{url secrets.OF_VARIABLE}}@h\n",
    )
    .unwrap();
    std::fs::write(lab.path("vault/vault.env.hbs"), "OF_VARIABLE={{secrets.OF_VARIABLE}}\n").unwrap();
}

/// When each container of the stack was started: `bystander`, then `vault`.
fn started(lab: &Lab) -> Vec<String> {
    let list = lab.on_host(
        "sudo docker ps -aq --filter label=com.docker.compose.project=vault | \
         xargs sudo docker inspect --format '{{.Name}} {{.Id}} {{.State.StartedAt}}' | sort",
    );
    list.lines().map(str::to_owned).collect()
}

/// Runs that remember what was said.
struct Watched<'l> {
    lab: &'l Lab,
    said: String,
}

impl<'l> Watched<'l> {
    fn new(lab: &'l Lab) -> Self {
        Self {
            lab,
            said: String::new(),
        }
    }

    fn heard(&mut self, output: &Output) -> String {
        let text = text(output);
        self.said.push_str(&text);
        text
    }

    #[track_caller]
    fn ok(&mut self, args: &[&str]) -> String {
        self.lab.say(&format!("provision {}", args.join(" ")));
        let output = self.lab.run(args);
        let text = self.heard(&output);
        assert!(output.status.success(), "{args:?}: {text}");
        text
    }

    #[track_caller]
    fn fails(&mut self, code: i32, args: &[&str]) -> String {
        self.lab
            .say(&format!("provision {} (must end with {code})", args.join(" ")));
        let output = self.lab.run(args);
        let text = self.heard(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        text
    }

    #[track_caller]
    fn given(&mut self, args: &[&str], input: &str) {
        use std::io::Write as _;
        let mut command = self.lab.command(args);
        let mut child = command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = self.heard(&output);
        assert!(output.status.success(), "{args:?}: {text}");
    }

    /// The one command whose output may hold a value: it is not remembered.
    #[track_caller]
    fn read(&self, secret: &str) -> String {
        let output = self.lab.run(&["secrets", "get", self.lab.name, secret, "--raw"]);
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Values and what else they may look like.
struct Markers(Vec<(String, Vec<u8>)>);

impl Markers {
    fn of(values: &[&str]) -> Self {
        let mut forms = Vec::new();
        for value in values {
            let hex = value.bytes().fold(String::new(), |mut out, byte| {
                let _ = write!(out, "{byte:02x}");
                out
            });
            let percent = value.bytes().fold(String::new(), |mut out, byte| {
                let _ = match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    true => write!(out, "{}", char::from(byte)),
                    false => write!(out, "%{byte:02X}"),
                };
                out
            });
            // Without its end, where it would look otherwise with something behind.
            let encoded = STANDARD.encode(value);
            let encoded = &encoded[..value.len() * 8 / 6];
            for (form, text) in [
                ("plain", *value),
                ("hex", &hex),
                ("percent", &percent),
                ("base64", encoded),
            ] {
                forms.push((format!("{value} ({form})"), text.as_bytes().to_vec()));
            }
        }
        Self(forms)
    }

    /// As patterns for `grep -F`, one a line.
    fn patterns(&self) -> String {
        let lines = self
            .0
            .iter()
            .map(|(_, form)| String::from_utf8_lossy(form).into_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    fn found<'a>(&'a self, bytes: &[u8]) -> Option<&'a str> {
        let inside = |form: &[u8]| bytes.windows(form.len()).any(|window| window == form);
        self.0
            .iter()
            .find(|(_, form)| inside(form))
            .map(|(name, _)| name.as_str())
    }

    #[track_caller]
    fn absent(&self, place: &str, text: &str) {
        if let Some(name) = self.found(text.as_bytes()) {
            panic!("{name} is in {place}");
        }
    }
}

/// The arguments of all processes of this computer, looked at again and again.
struct Sampling {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<String>,
}

impl Sampling {
    fn begin() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = std::collections::BTreeSet::new();
            while !until.load(Ordering::Relaxed) {
                for entry in std::fs::read_dir("/proc").unwrap().flatten() {
                    let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                    if !line.is_empty() {
                        seen.insert(String::from_utf8_lossy(&line).replace('\0', " "));
                    }
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            seen.into_iter().collect::<Vec<_>>().join("\n")
        });
        Self { stop, thread }
    }

    fn end(self) -> String {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Files, journal, processes and containers of the machine.
fn on_the_host(lab: &Lab, markers: &Markers) {
    // The patterns travel by standard input into memory, or they would be found in the search itself.
    let search = "\
sudo sh -c '
umask 077; cat >/dev/shm/patterns
hit() { grep -qaFf /dev/shm/patterns && echo \"FOUND in $1\"; }
grep -rlaFf /dev/shm/patterns /opt/provision 2>/dev/null | while read -r file; do
  stat -c \"OWN %a %U %n\" \"$file\"
done
grep -rlaFf /dev/shm/patterns /var/lib/cloud /var/lib/provision /var/log /etc /tmp /var/tmp /run /home /root /usr/local --exclude-dir=journal --exclude-dir=containerd --exclude-dir=docker 2>/dev/null | sed \"s/^/FOUND in /\"
journalctl --no-pager -o cat 2>/dev/null | hit journal
own=$(docker ps -q --filter label=com.docker.compose.service=vault)
for id in $(docker ps -aq); do
  case \" $own \" in *\"$id\"*) continue ;; esac
  docker inspect \"$id\" | hit \"docker inspect of $id\"
  docker logs \"$id\" 2>&1 | hit \"docker logs of $id\"
done
docker images -q | xargs docker image inspect | hit \"docker image inspect\"
for process in /proc/[0-9]*; do
  tr \"\\\\0\" \" \" <$process/cmdline 2>/dev/null | hit \"$process/cmdline\"
  grep -q \"$own\" $process/cgroup 2>/dev/null ||
    tr \"\\\\0\" \"\\n\" <$process/environ 2>/dev/null | hit \"$process/environ\"
done
rm /dev/shm/patterns
echo searched
'";
    let said = lab.on_host_reading(search, &markers.patterns());
    assert!(said.contains("searched"), "{said}");
    let found: Vec<&str> = said.lines().filter(|line| line.starts_with("FOUND")).collect();
    assert!(found.is_empty(), "{found:#?}");
    let own: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("OWN ")).collect();
    assert!(
        own.iter().any(|line| line.ends_with("/opt/provision/stacks/vault/all")),
        "the search finds: {said}"
    );
    for line in own {
        let secret = line.starts_with("600 root /opt/provision/stacks/vault/")
            || line.starts_with("600 root /opt/provision/releases/vault/");
        assert!(secret, "{line}");
    }
}

/// The project's folder, and what the tool keeps elsewhere.
fn on_this_computer(lab: &Lab, markers: &Markers) {
    below(&lab.path(".provision"), markers);
    for file in [lab.path("saved.plan"), lab.environment()] {
        markers.absent(
            &file.display().to_string(),
            &String::from_utf8_lossy(&std::fs::read(&file).unwrap()),
        );
    }
    for folder in ["home/.cache", "home/.config", "home/.local/state"] {
        for path in files(&lab.path(folder)) {
            if path.metadata().is_ok_and(|meta| meta.len() < 1024 * 1024) {
                let bytes = std::fs::read(&path).unwrap_or_default();
                assert_eq!(markers.found(&bytes), None, "{}", path.display());
            }
        }
    }
    for folder in ["/dev/shm", "/tmp"] {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // Other stories and the lab's machines have folders of their own.
            let of_the_lab = [
                "provision-e2e-",
                "provision-aws-",
                "provision-digitalocean-",
                "provision-host-",
            ];
            if !name.starts_with("provision-") || of_the_lab.iter().any(|lab| name.starts_with(lab)) {
                continue;
            }
            for path in files(&entry.path()) {
                let bytes = std::fs::read(&path).unwrap_or_default();
                assert_eq!(markers.found(&bytes), None, "{}", path.display());
            }
        }
    }
}

fn below(folder: &Path, markers: &Markers) {
    let all = files(folder);
    assert!(!all.is_empty(), "{}", folder.display());
    for path in all {
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(markers.found(&bytes), None, "{}", path.display());
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(kind) if kind.is_file() => files.push(path),
                _ => {}
            }
        }
    }
    files
}
