//! The shell scripts that run on the host. Each is a file of its own below `scripts/`, compiled in.

/// One of our scripts: its name for people and its text. It holds no secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    name: &'static str,
    text: &'static str,
}

impl Script {
    /// Reads what is on the host and prints it as JSON; read by [`super::Probe`].
    pub const PROBE: Self = Self::new("probe", include_str!("scripts/probe.sh"));
    /// Takes a packed stack from stdin: `STACK DIGEST BYTES`.
    pub const RECEIVE_STACK: Self = Self::new("receive-stack", include_str!("scripts/receive-stack.sh"));
    /// Puts a received release in place: `STACK DIGEST`.
    pub const ACTIVATE_STACK: Self = Self::new("activate-stack", include_str!("scripts/activate-stack.sh"));
    /// Makes a kept release ready to be put in place again: `STACK DIGEST`.
    pub const RESTORE_STACK: Self = Self::new("restore-stack", include_str!("scripts/restore-stack.sh"));
    /// Waits for the first boot to get on: `SECONDS [LAST_PART]`.
    pub const WAIT_FIRST_BOOT: Self = Self::new("wait-first-boot", include_str!("scripts/wait-first-boot.sh"));

    /// Prints what Compose makes of a folder: `STACK DIR`. The answer holds secrets.
    pub const CHECK_COMPOSE: Self = Self::new("check-compose", include_str!("scripts/check-compose.sh"));
    /// Starts what changed in a stack: `STACK`.
    pub const UP_STACK: Self = Self::new("up-stack", include_str!("scripts/up-stack.sh"));
    /// Waits until a stack serves: `STACK SECONDS [SERVICE…]`.
    pub const HEALTH: Self = Self::new("health", include_str!("scripts/health.sh"));
    /// Runs a one-shot service to its end: `STACK SERVICE`.
    pub const JOB: Self = Self::new("job", include_str!("scripts/job.sh"));
    /// Takes a stack down: `STACK [--volumes]`.
    pub const REMOVE_STACK: Self = Self::new("remove-stack", include_str!("scripts/remove-stack.sh"));
    /// Has Caddy take its files and shows what it runs.
    pub const CADDY_RELOAD: Self = Self::new("caddy-reload", include_str!("scripts/caddy-reload.sh"));
    /// Replaces the SSH host key: `prepare`, `activate`, `drop`.
    pub const ROTATE_HOST_KEY: Self = Self::new("rotate-host-key", include_str!("scripts/rotate-host-key.sh"));

    /// Names a text.
    pub const fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text }
    }

    /// What people are told is running.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The whole script.
    pub const fn text(self) -> &'static str {
        self.text
    }
}
