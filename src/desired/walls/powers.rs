//! What makes a container root of the host. Each is one step from it for whoever is root in the container, by means that are well known;
//! what only weakens a wall is left out.

/// What has to be answered by the host alone: with these, a container asks for whatever it wants.
const SOCKETS: [&str; 5] = [
    "/run/containerd/containerd.sock",
    "/run/dbus/system_bus_socket",
    "/run/docker.sock",
    "/run/systemd/private",
    "/var/lib/docker",
];

/// Folders with other people's keys and secrets, and what root runs from.
const HOST: [&str; 11] = [
    "/boot",
    "/data/docker",
    "/etc",
    "/home",
    "/opt",
    "/opt/provision",
    "/opt/provision/stacks",
    "/root",
    "/usr",
    "/var",
    "/var/lib",
];

/// What harms once it can be written to: what root runs, who may log in, the kernel's own settings.
const WRITTEN: [&str; 24] = [
    "/bin",
    "/etc/cron",
    "/etc/docker",
    "/etc/group",
    "/etc/ld.so",
    "/etc/pam.d",
    "/etc/passwd",
    "/etc/profile",
    "/etc/shadow",
    "/etc/ssh",
    "/etc/sudoers",
    "/etc/systemd",
    "/lib",
    "/lib64",
    "/proc",
    "/root",
    "/sbin",
    "/sys",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/sbin",
    "/var/spool/cron",
    "/var/lib/provision",
];

/// Capabilities that are as good as root of the host.
const CAPABILITIES: [&str; 7] = [
    "ALL",
    "SYS_ADMIN",
    "SYS_MODULE",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "DAC_READ_SEARCH",
    "BPF",
];

/// What the names of disks, and of the memory, begin with.
const DEVICES: [&str; 15] = [
    "/dev/disk",
    "/dev/dm-",
    "/dev/hd",
    "/dev/kmem",
    "/dev/kmsg",
    "/dev/loop",
    "/dev/mapper",
    "/dev/md",
    "/dev/mem",
    "/dev/nvme",
    "/dev/port",
    "/dev/sd",
    "/dev/vd",
    "/dev/xvd",
    "/dev/mmcblk",
];

/// Whether a file or folder of the host, mounted, gives the host away. A socket that is mounted read-only answers all the same.
pub fn takes_host(path: &str, writable: bool) -> bool {
    let path = absolute("/", path).unwrap_or_default();
    // One is a link to the other.
    let path = match path.strip_prefix("/var/run") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("/run{rest}"),
        _ => path,
    };
    let holds = |inner: &&str| {
        path == "/"
            || inner
                .strip_prefix(path.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    // Of /etc whole families of names count: /etc/cron.d, /etc/cron.daily.
    let within = |begin: &&str| {
        let rest = path.strip_prefix(begin);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || begin.starts_with("/etc/"))
    };
    SOCKETS.iter().any(holds)
        || HOST.contains(&path.as_str())
        || path.ends_with("/docker.sock")
        || path.ends_with("/containerd.sock")
        || writable && WRITTEN.iter().any(within)
}

/// Whether a capability, with or without `CAP_`, is as good as root of the host.
pub fn is_root_capability(name: &str) -> bool {
    let name = name.trim().to_ascii_uppercase();
    CAPABILITIES.contains(&name.strip_prefix("CAP_").unwrap_or(&name))
}

/// Whether a device holds the host's files or memory.
pub fn is_root_device(path: &str) -> bool {
    path == "/dev" || path == "/dev/" || DEVICES.iter().any(|begin| path.starts_with(begin))
}

/// A path as the host sees it, without `.` and `..`; none for what is no path but a volume's name.
pub(super) fn absolute(folder: &str, path: &str) -> Option<String> {
    let home;
    let path = match path.strip_prefix('~') {
        Some(rest) => {
            home = format!("/root{rest}");
            home.as_str()
        }
        None => path,
    };
    let all = match path.chars().next()? {
        '/' => path.to_owned(),
        '.' => format!("{folder}/{path}"),
        _ => return None,
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in all.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}
