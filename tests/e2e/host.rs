//! What happens on a host that was there before: a Debian machine with users, containers and a firewall of somebody else, who finds all
//! of it again at the end.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use super::lab::{Lab, reaches, text, until};
use super::life::{Place, edit};

/// A loopback address that no other machine of the lab takes.
const ADDRESS: &str = "127.90.0.1";

/// Where a second sshd of the host listens, which `sshd -T` does not know of.
const SIDE_DOOR: u16 = 2222;

/// What cloud-init of a vendor does, and nothing of ours: two people who may be root, one of whom bears the name of our own user.
const USER_DATA: &str = "#cloud-config\nssh_pwauth: true\nusers:\n\
    - {name: admin, shell: /bin/bash, sudo: \"ALL=(ALL) NOPASSWD:ALL\", ssh_authorized_keys: [\"@KEY@\"]}\n\
    - {name: deploy, shell: /bin/bash, sudo: \"ALL=(ALL) NOPASSWD:ALL\", ssh_authorized_keys: [\"@KEY@\"]}\n";

/// What somebody did on the host long before us. The rules are written by hand, and their table closes what they do not open.
const THEIRS: &str = "set -e
docker network create theirs
docker volume create theirs
docker run -d --name theirs --restart always --network theirs -v theirs:/data -p 8080:8080 busybox:1 \
    sh -c 'echo their page >/data/index.html; exec httpd -f -p 8080 -h /data'
cat >/etc/nftables.conf <<'NFT'
table inet mine
delete table inet mine
table inet mine {
  chain input {
    type filter hook input priority 10; policy drop;
    ct state established,related accept
    iif lo accept
    udp sport 67 accept
    tcp dport { 22, 80, 443, 2222, 8080 } accept
  }
}
NFT
nft -f /etc/nftables.conf
printf 'Port 2222\\nHostKey /etc/ssh/ssh_host_ed25519_key\\nPidFile none\\nUsePAM yes\\nPasswordAuthentication no\\nKbdInteractiveAuthentication no\\n' >/etc/ssh/side_door
systemd-run --quiet --unit=side-door /usr/sbin/sshd -D -f /etc/ssh/side_door
";

/// What is theirs, and how the host is as far as it is theirs to say.
const SEEN: [(&str, &str); 9] = [
    (
        "container",
        "docker inspect --format '{{.Id}} {{.State.StartedAt}} {{.State.Running}}' theirs",
    ),
    ("networks", "docker network ls --format '{{.Name}}' | sort"),
    ("rules", "nft list table inet mine"),
    (
        "files",
        "sha256sum /etc/nftables.conf /etc/passwd /etc/shadow /etc/sudoers /etc/ssh/sshd_config /home/*/.ssh/authorized_keys",
    ),
    (
        "docker",
        "ls -a /etc/docker /etc/systemd/system/docker.service.d 2>/dev/null; sha256sum /etc/docker/daemon.json 2>/dev/null; true",
    ),
    ("sudoers", "ls /etc/sudoers.d"),
    ("sshd", "sshd -T | sort"),
    ("host keys", "sha256sum /etc/ssh/ssh_host_*"),
    (
        "firewall",
        "nft list tables | grep -v docker; iptables -S | grep -v '^-A DOCKER\\|^-[PN] \\|-A FORWARD -[io] '; true",
    ),
];

/// A machine that the lab boots without our user-data.
pub struct Host {
    child: Child,
    key: PathBuf,
}

impl Host {
    pub fn start(lab: &Lab) -> Self {
        lab.say("a machine of somebody else boots");
        let (key, user_data) = (lab.path("theirs"), lab.path("user-data"));
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status();
        assert!(made.unwrap().success());
        let public = std::fs::read_to_string(lab.path("theirs.pub")).unwrap();
        std::fs::write(&user_data, USER_DATA.replace("@KEY@", public.trim())).unwrap();
        let mut child = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/machine"))
            .args(["--address", ADDRESS, "--ports", "22,80,443,2222,8080", "--image"])
            .arg(lab.image())
            .arg("--user-data")
            .arg(&user_data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut ready)
            .unwrap();
        assert!(ready.contains("folder"), "the machine did not start");
        let host = Self { child, key };
        until("the first boot", Duration::from_secs(600), || {
            let done = host.ssh("cloud-init status --wait && sudo docker info").output();
            done.is_ok_and(|output| output.status.success())
        });
        host.root_reading("docker load", &std::fs::read(lab.archive("busybox_1.tar")).unwrap());
        host.root_reading("sh -s", THEIRS.as_bytes());
        until("their page", Duration::from_secs(60), || host.their_page());
        host
    }

    fn ssh(&self, command: &str) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "ConnectTimeout=30",
        ])
        .args([
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
            "-i",
        ])
        .arg(&self.key)
        .args([&format!("admin@{ADDRESS}"), command]);
        ssh
    }

    /// A command of theirs, as root.
    #[track_caller]
    fn root(&self, command: &str) -> String {
        self.root_reading("sh -s", command.as_bytes())
    }

    #[track_caller]
    fn root_reading(&self, command: &str, input: &[u8]) -> String {
        let mut child = self
            .ssh(&format!("sudo {command}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let written = child.stdin.take().unwrap().write_all(input);
        let output: Output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{command}: {written:?} {}", text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn fingerprint(&self) -> String {
        let said = self.root("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub");
        said.split(' ').nth(1).unwrap().to_owned()
    }

    fn their_page(&self) -> bool {
        let page = Command::new("curl")
            .args(["-s", "--max-time", "20", &format!("http://{ADDRESS}:8080/")])
            .output();
        page.is_ok_and(|page| page.stdout.starts_with(b"their page"))
    }

    /// All that is theirs, by what it is.
    fn theirs(&self) -> BTreeMap<&'static str, String> {
        let script: String = SEEN
            .iter()
            .map(|(_, command)| format!("{command}\necho ----\n"))
            .collect();
        let said = self.root(&script);
        let parts = said.split("----\n").map(str::to_owned);
        SEEN.iter().map(|(name, _)| *name).zip(parts).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It ends its machine before itself.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A machine of somebody else, as it was before we came.
pub struct Guest {
    host: Host,
    before: BTreeMap<&'static str, String>,
}

impl Guest {
    pub fn start(lab: &Lab) -> Self {
        let host = Host::start(lab);
        let before = host.theirs();
        Self { host, before }
    }
}

impl Place for Guest {
    // While sshd and firewall are changed.
    const CUT: (&'static str, &'static str) = ("host.base", "a new connection, to confirm");

    fn write(&self, lab: &Lab) {
        write_environment(lab, &self.host);
        nobody_is_believed_unseen(lab, &self.host);
        what_is_in_the_way_is_told_before_anything_changes(lab, &self.host);
        assert_eq!(self.host.theirs(), self.before, "a plan changes nothing");
    }

    fn is_as_asked_for(&self, _: &Lab) {
        what_is_theirs_is_as_it_was(&self.host, &self.before);
    }

    fn days(&self, lab: &Lab) {
        another_environment_is_refused(lab);
        whoever_is_cut_off_comes_back_in(lab, &self.host);
        what_is_theirs_is_as_it_was(&self.host, &self.before);
    }

    fn end(&self, lab: &Lab) {
        nothing_of_ours_is_left(lab, &self.host, &self.before);
    }
}

/// A small page with a volume behind the edge, under the names that the other stories know.
fn write_environment(lab: &Lab, host: &Host) {
    let text = format!(
        "[machine.ssh]\nhost = \"{ADDRESS}\"\nuser = \"admin\"\n\n[access]\nssh_key = {:?}\n\n[tls]\nmode = \"internal\"\n\n\
         [stacks.demo]\npath = \"../page\"\n\n[routes]\n\"/\" = \"web:8000\"\n\n{}",
        host.key,
        lab.archives_of(&[("caddy:2", "caddy_2.tar"), ("busybox:1", "busybox_1.tar")])
    );
    let page = "services:\n  web:\n    image: busybox:1\n    volumes: [data:/data]\n    command:\n      - sh\n      - -c\n      \
                - echo a row that must outlive much >/data/entries; exec httpd -f -p 8000 -h /data\nvolumes:\n  data:\n";
    for folder in ["environments", "page"] {
        std::fs::create_dir(lab.path(folder)).unwrap();
    }
    std::fs::write(lab.path("page/compose.yaml"), page).unwrap();
    std::fs::write(lab.environment(), text).unwrap();
}

fn nobody_is_believed_unseen(lab: &Lab, host: &Host) {
    let said = lab.fails(1, &["plan", lab.name]);
    assert!(
        said.contains("has no `fingerprint`") && said.contains(&format!("ssh-keyscan {ADDRESS}")),
        "{said}"
    );
    let fingerprint = format!("user = \"admin\"\nfingerprint = \"{}\"", host.fingerprint());
    edit(lab, "user = \"admin\"", &fingerprint);
}

fn what_is_in_the_way_is_told_before_anything_changes(lab: &Lab, host: &Host) {
    host.root("docker run -d --name squatter -p 80:80 busybox:1 sleep 1000; docker create --name old-web --label com.docker.compose.project=demo busybox:1");
    let refused = lab.fails(5, &["apply", lab.name, "--yes"]);
    assert!(
        refused.contains("port 80/tcp is taken by the container squatter"),
        "{refused}"
    );
    host.root("docker rm -f squatter");
    let refused = lab.fails(5, &["apply", lab.name, "--yes"]);
    assert!(
        refused.contains("a Compose project `demo` of somebody else is on the host (old-web)"),
        "{refused}"
    );
    host.root("docker rm old-web; test ! -e /var/lib/provision && test ! -e /opt/provision");
}

fn what_is_theirs_is_as_it_was(host: &Host, before: &BTreeMap<&'static str, String>) {
    let now = host.theirs();
    for what in ["container", "rules", "files", "sudoers", "host keys"] {
        assert_eq!(now[what], before[what], "{what}");
    }
    assert!(host.their_page(), "what they publish is still reached");
    assert!(now["sshd"].contains("passwordauthentication no"), "{}", now["sshd"]);
}

fn another_environment_is_refused(lab: &Lab) {
    let text = std::fs::read_to_string(lab.environment()).unwrap();
    std::fs::write(lab.path("environments/pilot.toml"), text).unwrap();
    let refused = lab.fails(5, &["apply", "pilot", "--yes"]);
    assert!(
        refused.contains(&format!("the host belongs to the environment `{}`", lab.name)),
        "{refused}"
    );
}

/// The whole host is closed but for what sshd says are its ports, and we came in by another one: nobody confirms, and all is as before.
fn whoever_is_cut_off_comes_back_in(lab: &Lab, host: &Host) {
    let rules = "nft --stateless list table inet provision; iptables -S PROVISION-DOCKER";
    let before = host.root(rules);
    let door = format!("user = \"admin\"\nport = {SIDE_DOOR}\nfirewall = \"host\"");
    edit(lab, "user = \"admin\"", &door);
    let failed = lab.fails(1, &["apply", lab.name, "--yes"]);
    assert!(
        failed.contains("failed to come in by a new connection") && failed.contains("comes back by itself"),
        "{failed}"
    );
    until("the side door to open again", Duration::from_secs(90), || {
        banner(SIDE_DOOR)
    });
    until("the rules of before", Duration::from_secs(30), || {
        host.root(rules) == before
    });
    assert!(host.their_page());
    edit(lab, &door, "user = \"admin\"");
    lab.ok(&["apply", lab.name, "--yes"]);
    assert_eq!(host.root(rules), before);
    lab.is_settled();
}

/// Whether an sshd answers there: the lab's network accepts in the name of whoever does not.
fn banner(port: u16) -> bool {
    use std::io::Read as _;
    let Ok(mut stream) = std::net::TcpStream::connect((ADDRESS, port)) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut banner = [0; 4];
    stream.read_exact(&mut banner).is_ok() && banner == *b"SSH-"
}

fn nothing_of_ours_is_left(lab: &Lab, host: &Host, before: &BTreeMap<&'static str, String>) {
    let told = lab.ok(&["destroy", lab.name, "--yes"]);
    assert!(told.contains("kept: volume demo_data"), "{told}");
    assert_eq!(host.theirs(), *before, "all that was there is there, and nothing else");
    assert!(host.their_page());
    host.root("set -e; test ! -e /var/lib/provision; test ! -e /usr/local/lib/provision; test ! -e /opt/provision; test \"$(docker ps -a --format '{{.Names}}')\" = theirs; docker volume inspect demo_data");
    assert!(!reaches_tls(), "nobody serves 443");
    assert!(!lab.path(&format!(".provision/{}", lab.name)).exists(), "no state");
}

fn reaches_tls() -> bool {
    let page = Command::new("curl")
        .args(["-sk", "--max-time", "10", &format!("https://{ADDRESS}/")])
        .status();
    page.is_ok_and(|status| status.success()) && reaches(ADDRESS, 443)
}
