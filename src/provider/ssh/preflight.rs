//! What a host must be like before anything is put there, and what is wrong with this one: all of it at once.

use crate::names::Lineage;
use crate::remote::{RemoteCommand, Script};

/// Tells what the host is like: run as the user that logged in.
const PREFLIGHT: Script = Script::new("preflight", include_str!("preflight.sh"));

/// Free space that images and data need, in KiB: 4 GiB.
const DISK: u64 = 4 << 20;

/// Memory that Docker, the edge and a small stack need, in KiB: 700 MiB, which a machine sold with 1 GiB has.
const MEMORY: u64 = 700 << 10;

/// A clock that is off by more, in seconds, makes certificates look expired or not yet valid.
const CLOCK: i64 = 120;

/// What the converge script knows to install Docker on.
const SUPPORTED: [&str; 4] = ["debian 12", "debian 13", "ubuntu 22.04", "ubuntu 24.04"];

/// A host before anything was put there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preflight {
    /// Whether commands get to be root, or why not.
    sudo: String,
    /// Distribution and version, as `/etc/os-release` has them.
    os: String,
    /// The same in words.
    os_name: String,
    /// Whether systemd runs it.
    systemd: bool,
    /// Seconds since 1970.
    clock: Option<i64>,
    /// All memory.
    memory_kib: Option<u64>,
    /// What is free where Docker keeps its data.
    disk_free_kib: Option<u64>,
    /// Whether there is an engine, and whether it came as a snap.
    docker: String,
    /// Whose it is.
    pub owner: Option<Lineage>,
    /// The same by name.
    pub environment: Option<String>,
    /// Ports that the edge needs and who listens there.
    taken: Vec<(String, String)>,
    /// Ports that a container has published.
    published: Vec<(String, String)>,
}

impl Preflight {
    /// The question.
    pub fn command() -> RemoteCommand {
        RemoteCommand::script(PREFLIGHT, [""; 0]).as_user()
    }

    /// Reads the answer; none when it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut seen = Self::default();
        let mut lines = text.lines().skip_while(|line| *line != "preflight 1");
        lines.next()?;
        for line in lines {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let rest = rest.trim();
            let pair = || {
                let (port, who) = rest.split_once(' ')?;
                Some((port.to_owned(), who.to_owned()))
            };
            match word {
                "sudo" => seen.sudo = rest.to_owned(),
                "os" => seen.os = rest.to_owned(),
                "os_name" => seen.os_name = rest.to_owned(),
                "systemd" => seen.systemd = rest == "yes",
                "clock" => seen.clock = rest.parse().ok(),
                "memory_kib" => seen.memory_kib = rest.parse().ok(),
                "disk_free_kib" => seen.disk_free_kib = rest.parse().ok(),
                "docker" => seen.docker = rest.to_owned(),
                "owner" => seen.owner = rest.parse().ok(),
                "environment" => seen.environment = Some(rest.to_owned()),
                "taken" => seen.taken.extend(pair()),
                "published" => seen.published.extend(pair()),
                _ => {}
            }
        }
        Some(seen)
    }

    /// Everything that keeps the host from being used by `lineage`; `now` is this computer's clock, in seconds since 1970.
    pub fn problems(&self, user: &str, lineage: &Lineage, now: i64) -> Vec<String> {
        let Self {
            sudo,
            os,
            os_name,
            systemd,
            clock,
            memory_kib,
            disk_free_kib,
            docker,
            owner,
            environment,
            taken,
            published,
        } = self;
        let mut problems = Vec::new();
        match sudo.split_once(' ').unwrap_or((sudo.as_str(), "")) {
            ("yes", _) => {}
            ("missing", _) => problems.push(format!(
                "`{user}` is not root and there is no sudo: apt-get install sudo, and let `{user}` use it without a password"
            )),
            ("asks", _) => problems.push(format!(
                "sudo asks `{user}` for a password: echo '{user} ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/{user}, as root"
            )),
            (_, why) => problems.push(format!("sudo refuses `{user}`: {why}")),
        }
        if let Some(owner) = owner.as_ref().filter(|owner| *owner != lineage) {
            let name = environment.as_deref().unwrap_or("another one");
            problems.push(format!(
                "the host belongs to the environment `{name}` (lineage {owner}), and one host serves one: destroy that one first, or \
                 take another host. When its state was lost, `provision state rebuild` writes it again"
            ));
        }
        if !SUPPORTED.contains(&os.as_str()) {
            let name = if os_name.is_empty() {
                "something unknown"
            } else {
                os_name
            };
            problems.push(format!(
                "it runs {name}: supported are Debian 12 and 13, Ubuntu 22.04 and 24.04"
            ));
        }
        if !systemd {
            problems.push("systemd does not run it: a container is no host".to_owned());
        }
        if docker == "snap" {
            problems.push(
                "its Docker came as a snap, which cannot see /opt and is updated while containers run: move what is in it, then snap \
                 remove docker"
                    .to_owned(),
            );
        }
        // Who listens on a host that has an owner is that owner's edge.
        if owner.is_none() {
            for (port, who) in taken {
                let number = port.split('/').next().unwrap_or(port);
                let container = published.iter().find(|(port, _)| port == number);
                let who = match container {
                    Some((_, name)) if who.starts_with("docker-proxy") => format!("the container {name}"),
                    _ => who.clone(),
                };
                let problem = format!("port {port} is taken by {who}: the edge needs 80 and 443");
                // Docker's proxy has a process for each version of IP.
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
        if let Some(kib) = memory_kib.filter(|kib| *kib < MEMORY) {
            problems.push(format!(
                "it has {} MiB of memory: {} MiB are the least",
                kib / 1024,
                MEMORY / 1024
            ));
        }
        if let Some(kib) = disk_free_kib.filter(|kib| *kib < DISK && owner.as_ref() != Some(lineage)) {
            problems.push(format!(
                "{} MiB are free where Docker keeps its data: {} MiB are the least",
                kib / 1024,
                DISK / 1024
            ));
        }
        if let Some(off) = clock.map(|clock| clock - now).filter(|off| off.abs() > CLOCK) {
            let which = if off > 0 { "ahead of" } else { "behind" };
            problems.push(format!(
                "its clock is {} s {which} this computer's: certificates would not be believed; timedatectl set-ntp true",
                off.abs()
            ));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIT: &str = "preflight 1\nclock 1795290851\narch x86_64\nos debian 13\nos_name Debian GNU/Linux 13 (trixie)\nsystemd yes\n\
                       memory_kib 1013900\ndisk_free_kib 9000000\ndocker there\nsudo yes\n";

    fn problems(text: &str) -> String {
        let lineage = Lineage::from_bytes([1; 16]);
        Preflight::parse(text)
            .unwrap()
            .problems("admin", &lineage, 1_795_290_850)
            .join("\n")
    }

    #[test]
    fn a_fit_host_has_no_problems() {
        assert_eq!(problems(FIT), "");
        // A greeting of its shell goes before.
        assert_eq!(problems(&format!("welcome\n{FIT}")), "");
        assert_eq!(Preflight::parse("This account is currently not available."), None);
    }

    #[test]
    fn everything_is_told_at_once() {
        let text = "preflight 1\nclock 1795287250\nos arch \nos_name Arch Linux\nsystemd no\nmemory_kib 500000\ndisk_free_kib 100000\n\
                    docker snap\nsudo yes\n\
                    taken 80/tcp nginx (process 812)\ntaken 443/tcp docker-proxy (process 99)\ntaken 443/tcp docker-proxy (process 100)\npublished 443 web\n";
        insta::assert_snapshot!(problems(text), @r"
        it runs Arch Linux: supported are Debian 12 and 13, Ubuntu 22.04 and 24.04
        systemd does not run it: a container is no host
        its Docker came as a snap, which cannot see /opt and is updated while containers run: move what is in it, then snap remove docker
        port 80/tcp is taken by nginx (process 812): the edge needs 80 and 443
        port 443/tcp is taken by the container web: the edge needs 80 and 443
        it has 488 MiB of memory: 700 MiB are the least
        97 MiB are free where Docker keeps its data: 4096 MiB are the least
        its clock is 3600 s behind this computer's: certificates would not be believed; timedatectl set-ntp true
        ");
        for (sudo, said) in [
            ("missing", "there is no sudo"),
            ("asks", "sudo asks `admin` for a password"),
            (
                "refuses admin is not in the sudoers file.",
                "refuses `admin`: admin is not in the sudoers file.",
            ),
        ] {
            let text = FIT.replace("sudo yes", &format!("sudo {sudo}"));
            assert!(problems(&text).contains(said), "{}", problems(&text));
        }
    }

    #[test]
    fn a_host_that_serves_another_environment_is_refused_for_that_alone() {
        let theirs =
            "owner 22222222222222222222222222222222\nenvironment shop\ntaken 80/tcp docker-proxy (process 7)\n";
        let said = problems(&format!("{FIT}{theirs}"));
        assert!(
            said.starts_with("the host belongs to the environment `shop` (lineage 2222"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1);
    }

    #[test]
    fn what_is_ours_already_is_in_nobodys_way() {
        let ours = "owner 01010101010101010101010101010101\ntaken 80/tcp docker-proxy (process 7)\npublished 80 edge-caddy-1\n";
        let text = format!("{FIT}{ours}").replace("disk_free_kib 9000000", "disk_free_kib 1000");
        assert_eq!(problems(&text), "");
    }
}
