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
    /// Prints as JSON what keeps the host private: `SALT [updates]`; read by [`super::audit::Walls`].
    pub const AUDIT: Self = Self::new("audit", include_str!("scripts/audit.sh"));
    /// Takes a packed stack from stdin: `STACK DIGEST BYTES`.
    pub const RECEIVE_STACK: Self = Self::new("receive-stack", include_str!("scripts/receive-stack.sh"));
    /// Puts a received release in place: `STACK DIGEST`.
    pub const ACTIVATE_STACK: Self = Self::new("activate-stack", include_str!("scripts/activate-stack.sh"));
    /// Makes a kept release ready to be put in place again: `STACK DIGEST`.
    pub const RESTORE_STACK: Self = Self::new("restore-stack", include_str!("scripts/restore-stack.sh"));
    /// Waits for the first boot to get on: `SECONDS [LAST_PART]`.
    pub const WAIT_FIRST_BOOT: Self = Self::new("wait-first-boot", include_str!("scripts/wait-first-boot.sh"));
    /// What Compose itself makes of a stack's files: `STACK [DIR]`. Its output holds secrets.
    pub const CHECK_COMPOSE: Self = Self::new("check-compose", include_str!("scripts/check-compose.sh"));
    /// Whether Caddy takes a received release of the edge: `DIGEST IMAGE`.
    pub const CHECK_EDGE: Self = Self::new("check-edge", include_str!("scripts/check-edge.sh"));
    /// Stops a container that is in the way of a stack and gives its name free: `STACK NAME`.
    pub const SET_ASIDE: Self = Self::new("set-aside", include_str!("scripts/set-aside.sh"));
    /// Starts what changed in a stack: `STACK [ARGUMENT…]`.
    pub const UP_STACK: Self = Self::new("up-stack", include_str!("scripts/up-stack.sh"));
    /// Runs one service of a stack to its end: `STACK SERVICE [COMMAND…]`.
    pub const JOB: Self = Self::new("job", include_str!("scripts/job.sh"));
    /// Waits until a stack serves, or answers with a failure bundle: `STACK SECONDS [SERVICE…]`.
    pub const HEALTH: Self = Self::new("health", include_str!("scripts/health.sh"));
    /// Takes a stack down and its files away: `STACK [--volumes]`.
    pub const REMOVE_STACK: Self = Self::new("remove-stack", include_str!("scripts/remove-stack.sh"));
    /// Has Caddy take its present files, and shows what it made of them: `[CONFIG]`.
    pub const CADDY_RELOAD: Self = Self::new("caddy-reload", include_str!("scripts/caddy-reload.sh"));
    /// Replaces the host key of the first boot: `prepare|activate|drop`.
    pub const ROTATE_HOST_KEY: Self = Self::new("rotate-host-key", include_str!("scripts/rotate-host-key.sh"));
    /// Changes sshd and firewall so that what was there before comes back unless somebody confirms: `change SECONDS CONVERGE PART…` or
    /// `confirm`.
    pub const GUARD: Self = Self::new("guard", include_str!("scripts/guard.sh"));
    /// Who may change the host now, and whose it is: `VERB ARGUMENT…`; read by [`super::lease::Answer`].
    pub const LEASE: Self = Self::new("lease", include_str!("scripts/lease.sh"));

    /// Sets when the machine turns itself off: `SECONDS_SINCE_1970|never`. Prints its clock.
    pub const TTL: Self = Self::new("ttl", include_str!("scripts/ttl.sh"));

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
