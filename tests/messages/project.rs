//! A project in a temporary folder, and the program run in it with nothing of the caller's environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What every environment here has unless a test says otherwise.
pub const DEMO: &str =
    "[machine.local]\nimage = \"base.qcow2\"\n\n[stacks.web]\npath = \"../web\"\n\n[routes]\n\"/\" = \"web:8000\"\n";

/// A stack that is as it should be.
pub const COMPOSE: &str = "services:\n  web:\n    image: web:1\n";

pub struct Project {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
    path: Option<PathBuf>,
}

impl Project {
    /// `environments/demo.toml` with this text, and the stack `web` that [`DEMO`] names.
    pub fn new(environment: &str) -> Self {
        let project = Self::empty();
        project.write("environments/demo.toml", environment);
        project.write("web/compose.yaml", COMPOSE);
        project
    }

    /// A folder with nothing in it.
    pub fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
            path: None,
        }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// One more environment variable.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// A `PATH` that holds these shell scripts and nothing else.
    pub fn with_programs(mut self, programs: &[(&str, &str)]) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = self.root().join("programs");
        std::fs::create_dir_all(&folder).unwrap();
        for (name, script) in programs {
            let path = self.write(&format!("programs/{name}"), &format!("#!/bin/sh\n{script}\n"));
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        self.path = Some(folder);
        self
    }

    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// The program, about to run in this project.
    pub fn command(&self, args: &[&str]) -> Command {
        let home = self.root().join("home");
        let mut command = Command::new(env!("CARGO_BIN_EXE_provision"));
        command
            .args(args)
            .current_dir(self.root())
            .env_clear()
            .env("HOME", &home)
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_STATE_HOME", home.join("state"))
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("USER", "ada")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        match &self.path {
            Some(path) => command.env("PATH", path),
            None => command.env("PATH", std::env::var_os("PATH").unwrap()),
        };
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Exit code, then standard output where there is any, then standard error; what differs from run to run is named.
    pub fn run(&self, args: &[&str]) -> String {
        report(&self.output(args), &self.root())
    }
}

fn report(output: &Output, root: &Path) -> String {
    let root = root.display().to_string();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replace(&root, "[root]");
    let code = output.status.code().unwrap();
    let mut told = format!("exit code {code}\n");
    if !output.stdout.is_empty() {
        told.push_str(&format!("--- stdout\n{}", text(&output.stdout)));
    }
    if !output.stderr.is_empty() {
        told.push_str(&format!("--- stderr\n{}", text(&output.stderr)));
    }
    told.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Compares with `tests/messages/snapshots/<name>.snap`; `filters` name what differs from run to run.
pub fn snapshot(name: &str, told: &str, filters: &[(&str, &str)]) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("snapshots");
    settings.set_omit_expression(true);
    // The script's digest depends on keys that are made, the rest on the computer.
    for (pattern, name) in [
        (r"script  [0-9a-f]{12}", "script  [digest]"),
        (r"\[ +\d+\.\ds\]", "[time]"),
        (r"after \d+\.\ds", "after [time]"),
        (r"qemu-system-\w+", "qemu-system-[arch]"),
        (r"(\s)qemu-system-\[arch\] qemu-efi-aarch64", "${1}qemu-system-[arch]"),
    ] {
        settings.add_filter(pattern, name);
    }
    for (pattern, name) in filters {
        settings.add_filter(pattern, *name);
    }
    settings.bind(|| insta::assert_snapshot!(name, told));
}

/// One test: this environment file, these arguments, this snapshot.
macro_rules! told {
    ($($test:ident: $project:expr, $args:expr;)*) => {$(
        #[test]
        fn $test() {
            let project = $project;
            crate::project::snapshot(stringify!($test), &project.run(&$args), &[]);
        }
    )*};
}
pub(crate) use told;
