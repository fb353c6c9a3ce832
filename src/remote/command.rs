//! What is run on a host, as a value: built and compared without a connection.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::scripts::Script;

/// How long an ordinary command may take. Long ones say so with [`RemoteCommand::within`].
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);

/// One program with its arguments. No shell sees them unquoted: the session escapes every word.
///
/// Arguments are visible in the host's process list; secrets travel on [`Stdin`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteCommand {
    /// What people are told is running.
    pub name: String,
    /// The program, found through the host's `PATH`.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// What it reads.
    pub stdin: Stdin,
    /// How long it may take; it is ended on the host, too, when that is over.
    pub timeout: Duration,
    /// Whether it runs as the user that logged in, where others run as root.
    pub as_user: bool,
}

impl RemoteCommand {
    /// A program with arguments and nothing to read.
    pub fn new<A: Into<String>>(program: impl Into<String>, args: impl IntoIterator<Item = A>) -> Self {
        let program = program.into();
        Self {
            name: program.clone(),
            program,
            args: args.into_iter().map(Into::into).collect(),
            stdin: Stdin::None,
            timeout: DEFAULT_TIMEOUT,
            as_user: false,
        }
    }

    /// A script of ours that reads nothing: `sh -s -- args…` with its text on standard input, so that the host needs
    /// no copy of it and its length does not matter.
    pub fn script<A: Into<String>>(script: Script, args: impl IntoIterator<Item = A>) -> Self {
        Self::rendered_script(script.name(), script.text(), args)
    }

    /// A script of ours that reads `stdin`: `sh -c TEXT NAME args…`. Its text is an argument, which is no harm because
    /// the scripts hold no secrets.
    pub fn script_reading<A: Into<String>>(script: Script, args: impl IntoIterator<Item = A>, stdin: Stdin) -> Self {
        Self {
            name: script.name().to_owned(),
            program: "sh".to_owned(),
            args: ["-c".to_owned(), script.text().to_owned(), script.name().to_owned()]
                .into_iter()
                .chain(args.into_iter().map(Into::into))
                .collect(),
            stdin,
            timeout: DEFAULT_TIMEOUT,
            as_user: false,
        }
    }

    /// A shell script that was rendered for this host (the converge script), on standard input like [`Self::script`].
    pub fn rendered_script<A: Into<String>>(
        name: impl Into<String>,
        text: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            name: name.into(),
            program: "sh".to_owned(),
            args: ["-s".to_owned(), "--".to_owned()]
                .into_iter()
                .chain(args.into_iter().map(Into::into))
                .collect(),
            stdin: Stdin::Bytes(text.as_bytes().to_vec()),
            timeout: DEFAULT_TIMEOUT,
            as_user: false,
        }
    }

    /// A program inside the running container of the edge.
    pub fn in_edge<A: Into<String>>(args: impl IntoIterator<Item = A>) -> Self {
        let compose = ["compose", "--project-name", "edge", "exec", "-T", "caddy"];
        Self::new(
            "docker",
            compose
                .into_iter()
                .map(str::to_owned)
                .chain(args.into_iter().map(Into::into)),
        )
    }

    /// The same, reading `stdin`.
    #[must_use]
    pub fn reading(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// The same under another name for people, where the program's says too little.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same with another limit.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same as the user that logged in.
    #[must_use]
    pub fn as_user(mut self) -> Self {
        self.as_user = true;
        self
    }

    /// The words that the host executes: as root when the user has to ask for it, and under the host's own `timeout`,
    /// because a connection that goes away does not end what it started: a forgotten `apt-get` would hold its lock
    /// against the next run.
    pub fn words(&self, escalate: bool) -> Vec<Cow<'_, str>> {
        let mut words: Vec<Cow<'_, str>> = Vec::with_capacity(self.args.len() + 7);
        if escalate && !self.as_user {
            // -n: fail instead of asking for a password that nobody can type.
            words.extend(["sudo", "-n", "--"].map(Cow::Borrowed));
        }
        words.extend(["timeout", "--kill-after=10"].map(Cow::Borrowed));
        words.push(Cow::Owned(self.timeout.as_secs().max(1).to_string()));
        words.push(Cow::Borrowed(&self.program));
        words.extend(self.args.iter().map(|arg| Cow::Borrowed(arg.as_str())));
        words
    }
}

/// What a remote command reads.
#[derive(Clone, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing: end of file at once.
    None,
    /// These bytes, which may be secret: they never appear in `Debug`.
    Bytes(Vec<u8>),
    /// A file of this computer, streamed; its length is read when the command starts.
    File(PathBuf),
    /// The same, packed with gzip on the way unless it is packed already: for programs that take both.
    Packed(PathBuf),
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Packed(path) => f.debug_tuple("Packed").field(path).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: Script = Script::new("probe", "#!/bin/sh\necho '{}'\n");

    #[test]
    fn a_script_travels_on_stdin_and_its_arguments_behind_two_dashes() {
        assert_eq!(
            RemoteCommand::script(PROBE, ["-x", "a b"]),
            RemoteCommand {
                name: "probe".to_owned(),
                program: "sh".to_owned(),
                args: ["-s", "--", "-x", "a b"].map(str::to_owned).to_vec(),
                stdin: Stdin::Bytes(b"#!/bin/sh\necho '{}'\n".to_vec()),
                timeout: DEFAULT_TIMEOUT,
                as_user: false,
            }
        );
    }

    #[test]
    fn a_script_that_reads_is_an_argument() {
        let command = RemoteCommand::script_reading(PROBE, ["app"], Stdin::Bytes(vec![1, 2]));
        assert_eq!(command.args, ["-c", "#!/bin/sh\necho '{}'\n", "probe", "app"]);
        assert_eq!(command.stdin, Stdin::Bytes(vec![1, 2]));
    }

    #[test]
    fn the_host_limits_the_time_and_root_is_asked_for_only_where_needed() {
        let command = RemoteCommand::new("docker", ["load"]).within(Duration::from_secs(30));
        assert_eq!(
            command.words(false),
            ["timeout", "--kill-after=10", "30", "docker", "load"]
        );
        assert_eq!(
            command.words(true),
            ["sudo", "-n", "--", "timeout", "--kill-after=10", "30", "docker", "load"]
        );
    }

    #[test]
    fn what_a_command_reads_is_never_shown() {
        let command = RemoteCommand::new("cat", [""; 0]).reading(Stdin::Bytes(b"hunter2".to_vec()));
        let shown = format!("{command:?}");
        assert!(
            shown.contains("Bytes(7 bytes)") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
