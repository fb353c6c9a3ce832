//! The session against a real sshd: every way in which it can fail, and what it leaves behind.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may fail, and says what it measured"
)]

mod lease;
mod server;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use provision::note::Note;
use provision::remote::{
    Archive, ArchiveEntry, ClientKey, ConnectPolicy, Exit, Interactive, Pipe, Probe, RemoteCommand, Script, Session,
    SessionError, Stdin, Target,
};
use provision::secret::Secret;
use server::{ALIAS, Proxy, Server};

const QUICK: ConnectPolicy = ConnectPolicy {
    deadline: Duration::from_secs(15),
    first_contact: false,
};

fn boot(seconds: u64) -> ConnectPolicy {
    ConnectPolicy {
        deadline: Duration::from_secs(seconds),
        first_contact: true,
    }
}

fn silent(_: Note) {}

fn sh(text: &str) -> RemoteCommand {
    RemoteCommand::new("sh", ["-c", text])
}

async fn connect(target: &Target) -> Session {
    Session::connect(target, QUICK, &silent).await.unwrap()
}

/// Whether a process runs (one that ended and was not waited for yet does not).
fn runs(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn ends(process: u32) -> bool {
    for _ in 0..300 {
        if !runs(process) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

fn folder_of(process: u32) -> PathBuf {
    let words = std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap();
    let config = words.split('\0').skip_while(|word| *word != "-F").nth(1).unwrap();
    PathBuf::from(config).parent().unwrap().to_owned()
}

#[tokio::test]
async fn commands_run_and_end_as_they_do_on_the_host() {
    let Some(server) = Server::start() else { return };
    server.ready();
    let session = connect(&server.target()).await;

    let command = RemoteCommand::new("printf", ["%s|", "a b", "it's", "$HOME", "x!y", "", "é"]);
    let output = session.run_ok(&command, &silent).await;
    assert_eq!(output.unwrap().stdout, "a b|it's|$HOME|x!y||é|".as_bytes());

    let output = session
        .run(&sh("echo out; echo err >&2; exit 7"), &silent)
        .await
        .unwrap();
    assert_eq!(
        (output.exit, output.stdout.as_slice(), output.stderr.as_slice()),
        (Exit::Code(7), &b"out\n"[..], &b"err\n"[..])
    );
    let error = session
        .run_ok(&sh("echo first >&2; echo why >&2; exit 7").named("migrate"), &silent)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "failed to run `migrate`: exit code 7\nfirst\nwhy");

    let output = session
        .run(&RemoteCommand::new("no-such-program", [""; 0]), &silent)
        .await
        .unwrap();
    assert_eq!(output.exit, Exit::Code(127));
    let output = session.run(&sh("kill -TERM $$"), &silent).await.unwrap();
    assert!(!output.success(), "{output:?}");
    let output = session.run(&sh("kill -KILL $PPID"), &silent).await.unwrap();
    assert_eq!(output.exit, Exit::Signal, "the connection stands");

    let command = RemoteCommand::new("cat", [""; 0]).reading(Stdin::Bytes(b"secret".to_vec()));
    let echoed = session.run_ok(&command, &silent).await;
    assert_eq!(echoed.unwrap().stdout, b"secret");
    // A command that does not read what it is sent.
    let large = RemoteCommand::new("true", [""; 0]).reading(Stdin::Bytes(vec![b'x'; 8 << 20]));
    assert!(session.run(&large, &silent).await.unwrap().success());
    assert_eq!(
        (
            session.count().connections,
            session.count().attempts,
            session.count().commands
        ),
        (1, 1, 8)
    );
    session.close().await;
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_ended_on_the_host() {
    let Some(server) = Server::start() else { return };
    server.ready();
    let session = connect(&server.target()).await;
    let started = Instant::now();
    let slow = sh("echo $$; exec sleep 97")
        .named("slow")
        .within(Duration::from_secs(1));
    let pids = Mutex::new(Vec::new());
    let on_line = |_: Pipe, line: &str| pids.lock().unwrap().push(line.parse::<u32>().unwrap());
    let error = session.run_lines(&slow, &on_line, &silent).await.unwrap_err();
    assert_eq!(error.to_string(), "failed to run `slow`: no end after 1 s");
    assert!(started.elapsed() < Duration::from_secs(5));
    let pid = pids.lock().unwrap()[0];
    assert!(ends(pid).await);
    session.close().await;
}

#[tokio::test]
async fn lines_arrive_while_a_command_runs() {
    let Some(server) = Server::start() else { return };
    server.ready();
    let session = connect(&server.target()).await;
    let seen = Mutex::new(Vec::new());
    let started = Instant::now();
    let on_line = |pipe: Pipe, line: &str| seen.lock().unwrap().push((pipe, line.to_owned(), started.elapsed()));
    let output = session
        .run_lines(&sh("echo one; echo two >&2; sleep 1; echo three"), &on_line, &silent)
        .await
        .unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen[2].2 - seen[0].2 > Duration::from_millis(500), "{seen:?}");
    assert!(output.success() && output.stdout.is_empty());
}

#[tokio::test]
async fn another_host_key_than_the_pinned_one_is_final() {
    let Some(server) = Server::start() else { return };
    server.ready();
    let pinned = server::key();
    server.pin(&pinned);
    for policy in [QUICK, boot(20)] {
        let started = Instant::now();
        let error = Session::connect(&server.target(), policy, &silent).await.unwrap_err();
        let shown = |key: &ssh_key::PrivateKey| key.fingerprint(ssh_key::HashAlg::Sha256).to_string();
        assert_eq!(
            error.to_string(),
            format!(
                "failed to recognise 127.0.0.1:{}: its host key is {}, but {} (ssh-ed25519) is pinned for `{ALIAS}`",
                server.port,
                shown(&server.host),
                shown(&pinned)
            )
        );
        assert!(error.remedy().unwrap().contains("another machine may be answering"));
        assert!(started.elapsed() < Duration::from_secs(5), "not waited for");
    }
}

#[tokio::test]
async fn a_host_without_a_pin_is_not_trusted() {
    let Some(server) = Server::start() else { return };
    server.ready();
    std::fs::write(server.known_hosts(), "").unwrap();
    let error = Session::connect(&server.target(), boot(20), &silent).await.unwrap_err();
    assert!(matches!(error, SessionError::UnknownHostKey { .. }), "{error}");
    assert_eq!(
        std::fs::read_to_string(server.known_hosts()).unwrap(),
        "",
        "nothing is learnt"
    );
}

#[tokio::test]
async fn a_refused_key_is_named_and_waited_for_at_first_contact_only() {
    let Some(server) = Server::start() else { return };
    server.ready();
    let other = server::key();
    let target = Target {
        key: ClientKey::Generated(Secret::new(server::text(&other))),
        ..server.target()
    };
    let error = Session::connect(&target, QUICK, &silent).await.unwrap_err();
    let print = other.fingerprint(ssh_key::HashAlg::Sha256);
    assert!(
        error
            .to_string()
            .ends_with(&format!("the host refused the environment's key {print}")),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("PRIVATE KEY"));

    let authorized = server.folder.path().join("authorized");
    let line = other.public_key().to_openssh().unwrap();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        std::fs::write(authorized, line).unwrap();
    });
    let waited = Mutex::new(Vec::new());
    let say = |note: Note| waited.lock().unwrap().push(note);
    let session = Session::connect(&target, boot(30), &say).await.unwrap();
    assert_eq!(session.count().attempts, 2);
    let expected = format!(
        "sshd at 127.0.0.1:{} (banner seen, login not possible yet)",
        server.port
    );
    assert_eq!(*waited.lock().unwrap(), [Note::Waiting(expected)]);
}

#[tokio::test]
async fn a_closed_port_is_waited_for_until_the_deadline() {
    let Some(server) = Server::stopped() else { return };
    for policy in [
        boot(2),
        ConnectPolicy {
            first_contact: false,
            ..boot(2)
        },
    ] {
        let waited = Mutex::new(Vec::new());
        let say = |note: Note| waited.lock().unwrap().push(note);
        let started = Instant::now();
        let error = Session::connect(&server.target(), policy, &say).await.unwrap_err();
        assert!(matches!(error, SessionError::PortClosed { .. }), "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(3));
        let expected = format!(
            "sshd at 127.0.0.1:{0} (port {0} closed: connection refused)",
            server.port
        );
        assert!(waited.lock().unwrap().contains(&Note::Waiting(expected)));
    }
}

#[tokio::test]
async fn while_a_machine_boots_no_ssh_is_started_in_vain() {
    let Some(mut server) = Server::stopped() else { return };
    // Like user-mode networking: accepts, is silent, hangs up.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", server.port)).await.unwrap();
    let quiet = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            held.push(stream);
            if held.len() % 2 == 0 {
                held.clear();
            }
        }
    });
    let target = server.target();
    let waited = Mutex::new(Vec::new());
    let say = |note: Note| waited.lock().unwrap().push(note);
    let connecting = Session::connect(&target, boot(40), &say);
    let booting = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        quiet.abort();
        let _ = quiet.await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.serve();
    };
    let (session, ()) = tokio::join!(connecting, booting);
    assert_eq!(session.unwrap().count().attempts, 1);
    let waited = waited.lock().unwrap();
    let said = |text: &str| {
        waited
            .iter()
            .any(|note| matches!(note, Note::Waiting(reason) if reason.contains(text)))
    };
    assert!(said("no ssh banner yet") && said("connection refused"), "{waited:?}");
}

#[tokio::test]
async fn a_machine_that_never_speaks_runs_into_the_deadline() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let Some(server) = Server::stopped() else { return };
    let target = server.target_at(listener.local_addr().unwrap().port());
    for first_contact in [true, false] {
        let started = Instant::now();
        let policy = ConnectPolicy {
            deadline: Duration::from_secs(3),
            first_contact,
        };
        let error = Session::connect(&target, policy, &silent).await.unwrap_err();
        assert!(matches!(error, SessionError::Timeout { .. }), "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_cut_connection_is_no_exit_code() {
    let Some(server) = Server::start() else { return };
    server.ready();
    let proxy = Proxy::start(server.port, Duration::ZERO).await;
    let session = connect(&server.target_at(proxy.port)).await;
    let process = session.process().unwrap();
    let command = sh("echo begun; sleep 5").named("deploy");
    let on_line = |_: Pipe, _: &str| proxy.cut();
    let started = Instant::now();
    let error = session.run_lines(&command, &on_line, &silent).await.unwrap_err();
    assert!(matches!(error, SessionError::Lost { .. }), "{error:?}");
    assert!(error.to_string().ends_with("during `deploy`"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(4));
    let error = session.run(&sh("true"), &silent).await.unwrap_err();
    assert!(matches!(error, SessionError::Lost { .. }), "{error:?}");
    assert!(ends(process).await);
}

#[tokio::test]
async fn a_large_upload_takes_no_memory() {
    let Some(server) = Server::start() else { return };
    server.ready();
    let session = connect(&server.target()).await;
    let path = server.folder.path().join("image.tar");
    std::fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
    let command = RemoteCommand::new("wc", ["-c"]).reading(Stdin::File(path));
    let last = Mutex::new(None);
    let say = |note: Note| *last.lock().unwrap() = Some(note);
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let (before, started) = (peak(), Instant::now());
    let output = session.run_ok(&command, &say).await.unwrap();
    let grown = peak() - before;
    eprintln!("100 MiB in {:?}, memory +{grown} KiB", started.elapsed());
    assert_eq!(output.stdout.trim_ascii(), b"104857600");
    assert_eq!(
        *last.lock().unwrap(),
        Some(Note::Bytes {
            done: 100 << 20,
            total: Some(100 << 20)
        })
    );
    // Other tests of this process run meanwhile.
    assert!(grown < 48 * 1024, "{grown} KiB");
}

#[tokio::test]
async fn more_commands_than_the_server_allows_wait_for_their_turn() {
    let Some(server) = Server::start() else { return };
    server.ready();
    let proxy = Proxy::start(server.port, Duration::ZERO).await;
    let session = connect(&server.target_at(proxy.port)).await;
    let runs = (0..30).map(|n| {
        let session = &session;
        async move {
            session
                .run_ok(&sh(&format!("sleep 0.1; head -c 300000 /dev/zero; echo {n}")), &silent)
                .await
                .map(|output| output.stdout)
        }
    });
    for (n, output) in futures_util::future::join_all(runs).await.into_iter().enumerate() {
        let output = output.unwrap();
        assert!(
            output.ends_with(format!("\0{n}\n").as_bytes()) && output.len() > 300_000,
            "{n}: {}",
            output.len()
        );
    }
    assert_eq!(proxy.connections.load(Ordering::Relaxed), 1, "one TCP connection a run");
}

#[tokio::test]
async fn nothing_is_left_after_a_session() {
    let Some(server) = Server::start() else { return };
    server.ready();
    for drops in [false, true] {
        let session = connect(&server.target()).await;
        let process = session.process().unwrap();
        let folder = folder_of(process);
        assert!(runs(process) && folder.join("config").exists());
        assert!(!folder.join("key").exists(), "the key is not needed after the login");
        if drops {
            drop(session);
            assert!(ends(process).await);
        } else {
            session.close().await;
            assert!(!runs(process));
        }
        assert!(!folder.exists());
    }
    // Given up in the middle of connecting.
    let target = Target {
        key: ClientKey::Generated(Secret::new(server::text(&server::key()))),
        ..server.target()
    };
    let gone = tokio::time::timeout(Duration::from_millis(30), Session::connect(&target, QUICK, &silent)).await;
    drop(gone);
}

#[tokio::test]
async fn nothing_is_left_after_a_kill() {
    let Some(server) = Server::start() else { return };
    server.ready();
    let at = |name: &str| server.folder.path().join(name);
    std::fs::write(at("client"), server::text(&server.client)).unwrap();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "holds_a_session_until_it_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .env("TEST_HOLD", server.folder.path())
        .env("TEST_PORT", server.port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut process = None;
    for _ in 0..500 {
        process = std::fs::read_to_string(at("process"))
            .ok()
            .and_then(|text| text.parse().ok());
        if process.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let process = process.unwrap();
    assert!(runs(process));
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(ends(process).await, "the master ends when this program is killed");
}

#[tokio::test]
#[ignore = "run by the test above"]
async fn holds_a_session_until_it_is_killed() {
    let folder = PathBuf::from(std::env::var_os("TEST_HOLD").unwrap());
    let Some(server) = Server::stopped() else { return };
    let target = Target {
        known_hosts: folder.join("known_hosts"),
        key: ClientKey::Generated(Secret::new(std::fs::read_to_string(folder.join("client")).unwrap())),
        ..server.target_at(std::env::var("TEST_PORT").unwrap().parse().unwrap())
    };
    let session = connect(&target).await;
    std::fs::write(folder.join("process.new"), session.process().unwrap().to_string()).unwrap();
    std::fs::rename(folder.join("process.new"), folder.join("process")).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_key_file_and_a_jump_host_of_the_persons_own_configuration_work() {
    let (Some(server), Some(jump)) = (Server::start(), Server::start()) else {
        return;
    };
    server.ready();
    jump.ready();
    let own = jump.folder.path().join("own key");
    server.client.write_openssh_file(&own, ssh_key::LineEnding::LF).unwrap();
    jump.client
        .write_openssh_file(&jump.folder.path().join("jump"), ssh_key::LineEnding::LF)
        .unwrap();
    let config = jump.folder.path().join("config");
    // A person whose own settings would weaken or break what matters.
    std::fs::write(
        &config,
        format!(
            "Host bastion\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile {}\n  UserKnownHostsFile {}\n  HostKeyAlias {ALIAS}\n\
             Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  NoHostAuthenticationForLocalhost yes\n  RemoteCommand false\n\
             ControlMaster auto\n  ControlPath /nowhere\n  LocalForward 1 localhost:1\n  ForwardAgent yes\n",
            jump.port,
            server::user(),
            jump.folder.path().join("jump").display(),
            jump.known_hosts().display(),
        ),
    )
    .unwrap();
    let direct = Target {
        key: ClientKey::File(own),
        ssh_config: Some(config.clone()),
        ..server.target()
    };
    let through = Target {
        proxy_jump: Some("bastion".to_owned()),
        ..direct.clone()
    };
    for target in [&direct, &through] {
        let session = Session::connect(target, boot(10), &silent).await.unwrap();
        assert!(session.run_ok(&sh("true"), &silent).await.is_ok());
        session.close().await;
    }
    // The same through the person's file alone: the port cannot be looked at, which is found out.
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("Host {ALIAS}\n  ProxyJump bastion\n{text}")).unwrap();
    let session = Session::connect(&direct, boot(10), &silent).await.unwrap();
    assert!(session.run_ok(&sh("true"), &silent).await.is_ok());
    server.pin(&server::key());
    let error = Session::connect(&direct, boot(10), &silent).await.unwrap_err();
    assert!(
        matches!(error, SessionError::HostKeyMismatch { .. }),
        "their settings do not weaken ours: {error}"
    );
}

#[tokio::test]
async fn a_key_that_only_the_agent_holds_works() {
    let Some(server) = Server::start() else { return };
    server.ready();
    let folder = server.folder.path();
    let (socket, key, config) = (
        folder.join("agent"),
        folder.join("agent-key"),
        folder.join("agent-config"),
    );
    server.client.write_openssh_file(&key, ssh_key::LineEnding::LF).unwrap();
    let public = folder.join("agent-key.pub");
    std::fs::write(&public, server.client.public_key().to_openssh().unwrap()).unwrap();
    let mut agent = std::process::Command::new("ssh-agent")
        .arg("-D")
        .arg("-a")
        .arg(&socket)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !socket.exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let added = std::process::Command::new("ssh-add")
        .arg(&key)
        .env("SSH_AUTH_SOCK", &socket)
        .output()
        .unwrap();
    // The private half is nowhere but in the agent now.
    std::fs::remove_file(&key).unwrap();
    std::fs::write(&config, format!("Host *\n  IdentityAgent {}\n", socket.display())).unwrap();
    let target = Target {
        key: ClientKey::Agent(Some(public)),
        ssh_config: Some(config),
        ..server.target()
    };
    let session = Session::connect(&target, boot(10), &silent).await;
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(added.status.success(), "{added:?}");
    assert!(session.unwrap().run_ok(&sh("true"), &silent).await.is_ok());
}

#[tokio::test]
async fn a_script_reads_its_own_input() {
    let Some(server) = Server::start() else { return };
    server.ready();
    let session = connect(&server.target()).await;
    let script = Script::new("count", "set -eu\necho \"$1: it's $(wc -c) bytes!\"\n");
    let command = RemoteCommand::script_reading(script, ["a b"], Stdin::Bytes(vec![0; 1000]));
    assert_eq!(
        session.run_ok(&command, &silent).await.unwrap().stdout,
        b"a b: it's 1000 bytes!\n"
    );
    let command = RemoteCommand::rendered_script("converge", "set -eu\necho \"$1 $#\"\n", ["a b", "c"]);
    assert_eq!(session.run_ok(&command, &silent).await.unwrap().stdout, b"a b 2\n");
    let error = session.run(&sh(&"x".repeat(200_000)), &silent).await.unwrap_err();
    assert!(matches!(error, SessionError::TooLong { .. }), "{error}");
}

#[tokio::test]
async fn one_probe_over_a_slow_link_is_quick() {
    let Some(server) = Server::start() else { return };
    server.ready();
    let mut took = Vec::new();
    for round_trip in [0, 50] {
        let proxy = Proxy::start(server.port, Duration::from_millis(round_trip)).await;
        let target = server.target_at(proxy.port);
        let started = Instant::now();
        let session = connect(&target).await;
        let connected = started.elapsed();
        session.run_ok(&sh("true"), &silent).await.unwrap();
        let ran = started.elapsed();
        session.close().await;
        eprintln!(
            "{round_trip} ms: connected {connected:?}, one command {ran:?}, closed {:?}",
            started.elapsed()
        );
        took.push(started.elapsed());
    }
    assert!(took[1].saturating_sub(took[0]) < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_packed_stack_is_what_the_hosts_scripts_take() {
    let Some(server) = Server::start() else { return };
    if server::user() != "root" {
        eprintln!("skipped: the scripts want to be root");
        return;
    }
    server.ready();
    let session = connect(&server.target()).await;
    let entry = |path: &str, text: &str, mode| ArchiveEntry {
        path: path.to_owned(),
        bytes: text.as_bytes().to_vec(),
        mode,
    };
    let long = format!("conf/{}.conf", "x".repeat(120));
    let files = [
        entry("compose.yaml", "services: {}", 0o644),
        entry(".env", "A='1'", 0o600),
        entry(&long, "", 0o755),
    ];
    let archive = Archive::pack(files).unwrap();
    let digest = archive.digest.as_str();
    let bytes = archive.unpacked.to_string();
    let receive = RemoteCommand::script_reading(
        Script::RECEIVE_STACK,
        ["app", digest, &bytes],
        Stdin::Bytes(archive.bytes.clone()),
    );
    session.run_ok(&receive, &silent).await.unwrap();
    session
        .run_ok(&RemoteCommand::script(Script::ACTIVATE_STACK, ["app", digest]), &silent)
        .await
        .unwrap();
    let stack = server.folder.path().join("root/stacks/app");
    assert_eq!(std::fs::read_to_string(stack.join(".env")).unwrap(), "A='1'");
    assert_eq!(
        std::fs::read_to_string(stack.join(".manifest")).unwrap(),
        archive.manifest
    );
    assert!(stack.join(&long).exists());

    let probe = session.run_ok(&Probe::command(), &silent).await.unwrap();
    let probe = Probe::parse(&probe.stdout).unwrap();
    assert!(
        probe.boot_id.is_some() && !probe.disk.is_empty() && probe.memory.total_bytes > 0,
        "{probe:?}"
    );
}

#[tokio::test]
async fn a_person_logs_in_with_the_same_checks() {
    let Some(server) = Server::start() else { return };
    server.ready();
    let run = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let login = Interactive::new(&server.target(), &words, false).unwrap();
        login.status()
    };
    assert_eq!(run(&["exit", "3"]).await.unwrap().code(), Some(3));
    server.pin(&server::key());
    assert_eq!(
        run(&["true"]).await.unwrap().code(),
        Some(255),
        "the host key is checked"
    );
}

#[tokio::test]
async fn without_ssh_it_says_what_to_install() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fails_without_ssh", "--ignored", "--nocapture"])
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("failed to start `ssh`") && text.contains("apt-get install openssh-client"),
        "{text}"
    );
}

#[tokio::test]
#[ignore = "run by the test above"]
async fn fails_without_ssh() {
    let target = Target {
        endpoint: provision::names::Endpoint::standard([127, 0, 0, 1].into()),
        user: "deploy".to_owned(),
        alias: ALIAS.to_owned(),
        known_hosts: "/nonexistent".into(),
        key: ClientKey::Agent(None),
        proxy_jump: None,
        escalate: true,
        host: None,
        ssh_config: None,
    };
    let error = Session::connect(&target, QUICK, &silent).await.unwrap_err();
    eprintln!("{error}\n{}", error.remedy().unwrap());
}
