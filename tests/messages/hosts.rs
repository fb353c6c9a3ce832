//! What keeps a host that was there before from being taken into use: by what it is recognised, whether it is reached, and all that is
//! wrong with it at once. A real sshd on this computer's loopback is the host.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::project::{DEMO, Project, snapshot, told};

/// `[machine.ssh]` in place of the demo's machine.
fn environment(ssh: &str) -> String {
    DEMO.replace(
        "[machine.local]\nimage = \"base.qcow2\"\n",
        &format!("[machine.ssh]\n{ssh}"),
    )
}

told! {
    ssh_of_no_host: Project::new(&environment("user = \"root\"\n")), ["validate", "demo"];
    ssh_without_a_user: Project::new(&environment("host = \"192.0.2.7\"\n")), ["validate", "demo"];
    ssh_values: Project::new(&format!(
        "ttl = \"8h\"\n\n{}\n[data]\nvolume_gib = 5\n\n[access]\nssh_key = \"key\"\nauthorized_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1Y0Gt1yMx1ZQwxOZkTqVnLXXnQ8oZ4YkXWvQwFhE3h bob\"]\nssh_from = [\"operator\"]\n",
        environment("host = \"web 1\"\nport = 70000\nuser = \"-x\"\nfingerprint = \"16:27:ac\"\n")
    )), ["validate", "demo"];
    ssh_of_a_name_that_leads_nowhere: Project::new(&environment("host = \"web1.invalid\"\nuser = \"root\"\n")), ["plan", "demo"];
}

/// An sshd of one test; it ends with this value.
struct Host {
    sshd: Child,
    port: u16,
    fingerprint: String,
}

impl Host {
    /// None, with a word, where there is no sshd for root. `forced` is what whoever logs in runs in place of every command.
    fn start(folder: &Path, forced: &str) -> Option<Self> {
        let sshd = Path::new("/usr/sbin/sshd");
        let id = Command::new("id").arg("-u").output().unwrap();
        if !sshd.exists() || id.stdout != b"0\n" {
            println!("skipped: root logs in to an sshd of its own here (apt-get install openssh-server)");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = folder.display();
        for key in ["host", "client"] {
            let made = Command::new("ssh-keygen")
                .args([
                    "-q",
                    "-t",
                    "ed25519",
                    "-N",
                    "",
                    "-C",
                    "",
                    "-f",
                    &format!("{folder}/{key}"),
                ])
                .status();
            assert!(made.unwrap().success());
        }
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/client.pub\nPidFile none\n\
             StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nForceCommand {forced}\n"
        );
        std::fs::write(format!("{folder}/sshd_config"), config).unwrap();
        // Debian's sshd wants this folder, which its service would make.
        let _ = std::fs::create_dir_all("/run/sshd");
        let sshd = Command::new(sshd)
            .args(["-D", "-e", "-f", &format!("{folder}/sshd_config")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let listed = Command::new("ssh-keygen")
            .args(["-lf", &format!("{folder}/host.pub")])
            .output()
            .unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let fingerprint = listed.split(' ').nth(1).unwrap().to_owned();
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Some(Self {
            sshd,
            port,
            fingerprint,
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

/// Plans against an sshd that answers every command with `forced`; `written` gets its fingerprint and gives the rest of the table.
fn plan(name: &str, forced: &str, written: impl Fn(&str) -> String) {
    let folder = tempfile::tempdir().unwrap();
    let Some(host) = Host::start(folder.path(), forced) else {
        return;
    };
    let text = format!(
        "{}\n[access]\nssh_key = \"{}/client\"\n",
        environment(&format!(
            "host = \"127.0.0.1\"\nport = {}\nuser = \"root\"\n{}",
            host.port,
            written(&host.fingerprint)
        )),
        folder.path().display()
    );
    let project = Project::new(&text);
    let port = host.port.to_string();
    let filters = [
        (port.as_str(), "[port]"),
        (host.fingerprint.as_str(), "[fingerprint]"),
        (r"clock is \d+ s", "clock is [far]"),
        (r"script {4}[0-9a-f]{12}\b", "script    [digest]"),
    ];
    let filters: Vec<(String, &str)> = filters
        .map(|(text, name)| {
            (
                if text.contains('\\') {
                    text.to_owned()
                } else {
                    escaped(text)
                },
                name,
            )
        })
        .into();
    let filters: Vec<(&str, &str)> = filters.iter().map(|(text, name)| (text.as_str(), *name)).collect();
    snapshot(name, &project.run(&["plan", "demo"]), &filters);
}

fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_alphanumeric() { vec![c] } else { vec!['\\', c] })
        .collect()
}

#[test]
fn ssh_without_a_fingerprint() {
    plan("ssh_without_a_fingerprint", "true", |_| String::new());
}

#[test]
fn ssh_with_another_fingerprint() {
    plan("ssh_with_another_fingerprint", "true", |_| {
        "fingerprint = \"SHA256:uNiVztksCsDhcc0u9e8BrCJXIa6L7PHNZyPcBLWNcjI\"\n".to_owned()
    });
}

#[test]
fn ssh_that_runs_no_commands() {
    let forced = "echo This account is currently not available.";
    plan("ssh_that_runs_no_commands", forced, |key| {
        format!("fingerprint = \"{key}\"\n")
    });
}

#[test]
fn ssh_to_an_unfit_host() {
    let folder = tempfile::tempdir().unwrap();
    let answer = folder.path().join("answer");
    std::fs::write(
        &answer,
        "preflight 1\nclock 1700000000\narch x86_64\nos fedora 43\nos_name Fedora Linux 43\nsystemd yes\nmemory_kib 400000\n\
         disk_free_kib 900000\ndocker snap\nsudo asks\n",
    )
    .unwrap();
    let forced = format!("cat {}", answer.display());
    plan("ssh_to_an_unfit_host", &forced, |key| {
        format!("fingerprint = \"{key}\"\n")
    });
}

#[test]
fn ssh_to_a_host_of_another_environment() {
    let folder = tempfile::tempdir().unwrap();
    let answer = folder.path().join("answer");
    let now = jiff::Timestamp::now().as_second();
    std::fs::write(
        &answer,
        format!(
            "preflight 1\nclock {now}\nos debian 13\nsystemd yes\nmemory_kib 4000000\ndisk_free_kib 9000000\ndocker there\nsudo yes\n\
             owner 22222222222222222222222222222222\nenvironment pilot\ntaken 80/tcp docker-proxy (process 7)\ntaken 443/tcp nginx \
             (process 812)\npublished 80 edge-caddy-1\n"
        ),
    )
    .unwrap();
    let forced = format!("cat {}", answer.display());
    plan("ssh_to_a_host_of_another_environment", &forced, |key| {
        format!("fingerprint = \"{key}\"\n")
    });
}

#[test]
fn ssh_to_nobody() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let project = Project::new(&environment(&format!(
        "host = \"127.0.0.1\"\nport = {port}\nuser = \"root\"\nfingerprint = \"SHA256:uNiVztksCsDhcc0u9e8BrCJXIa6L7PHNZyPcBLWNcjI\"\n"
    )));
    let port = port.to_string();
    snapshot("ssh_to_nobody", &project.run(&["plan", "demo"]), &[(&port, "[port]")]);
}
