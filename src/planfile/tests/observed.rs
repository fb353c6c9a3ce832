//! Every field of a probe: whether it counts for a plan. A new one must be named here.

use super::super::Seen;
use crate::observe::{Host, Observed};
use crate::remote::probe::{Base, Container, Disk, HostFile, Image, Listener, Memory, Os, Probe};

fn probe() -> Probe {
    Probe {
        probe: 1,
        boot_id: Some("b".into()),
        os: Os {
            id: Some("debian".into()),
            version: Some("13".into()),
            arch: Some("x86_64".into()),
            kernel: Some("6.12".into()),
        },
        hostname: Some("demo".into()),
        clock: Some(1),
        cloud_init: serde_json::json!({"status": "done", "last_update": "now"}),
        owner: Some("o".into()),
        converged: Some("c".into()),
        converge_failed: Some("f".into()),
        expires: Some(7),
        base: Base::default(),
        host_key: Some("ssh-ed25519 AAAA".into()),
        files: [(
            "/opt/provision/stacks/web/a".to_owned(),
            HostFile {
                sha256: "aa".into(),
                mode: "0644".into(),
                owner: "root:root".into(),
                ..HostFile::default()
            },
        )]
        .into(),
        releases: [("web".to_owned(), "r".to_owned())].into(),
        containers: vec![Container {
            name: "web-1".into(),
            project: "web".into(),
            state: "running".into(),
            ..Container::default()
        }],
        images: vec![Image {
            id: "sha256:1".into(),
            tags: vec!["web:1".into()],
        }],
        networks: vec!["bridge".into()],
        own_networks: [("demo".to_owned(), "n".to_owned())].into(),
        volumes: vec!["data".into()],
        listeners: vec![Listener {
            proto: "tcp".into(),
            address: "0.0.0.0".into(),
            port: 22,
            process: Some("sshd".into()),
        }],
        disk: vec![Disk {
            mount: "/".into(),
            total_bytes: 10,
            free_bytes: 5,
        }],
        memory: Memory::default(),
        uptime_seconds: Some(1),
        starting: false,
    }
}

fn seen(probe: Probe) -> Seen {
    let observed = Observed {
        instance: None,
        parts: Default::default(),
        provider: Default::default(),
        news: Vec::new(),
        obstacles: Default::default(),
        host: Host::Seen(Box::new(probe)),
    };
    Seen::of(&observed, None)
}

/// Whether a change is one that makes a plan stale.
fn counts(change: impl FnOnce(&mut Probe)) -> bool {
    let mut changed = probe();
    change(&mut changed);
    assert_ne!(changed, probe(), "nothing was changed");
    seen(changed) != seen(probe())
}

#[test]
fn every_field_of_a_probe_counts_or_moves_by_itself() {
    // A field that is not listed does not compile.
    let Probe {
        probe: _,
        boot_id: _,
        os: _,
        hostname: _,
        clock: _,
        cloud_init: _,
        owner: _,
        converged: _,
        converge_failed: _,
        expires: _,
        base: _,
        host_key: _,
        files: _,
        releases: _,
        containers: _,
        images: _,
        networks: _,
        own_networks: _,
        volumes: _,
        listeners: _,
        disk: _,
        memory: _,
        uptime_seconds: _,
        starting: _,
    } = probe();

    assert!(!counts(|p| p.probe = 2));
    assert!(!counts(|p| p.boot_id = None));
    assert!(counts(|p| p.os.version = Some("14".into())));
    assert!(!counts(|p| p.os.kernel = None));
    assert!(counts(|p| p.hostname = Some("other".into())));
    assert!(!counts(|p| p.clock = Some(2)));
    assert!(counts(|p| p.cloud_init["status"] = "error".into()));
    assert!(!counts(|p| p.cloud_init["last_update"] = "later".into()));
    assert!(counts(|p| p.converged = None));
    assert!(counts(|p| p.converge_failed = None));
    assert!(counts(|p| p.owner = None));
    assert!(counts(|p| p.expires = Some(8)));
    assert!(!counts(|p| p.releases.clear()));
    assert!(counts(|p| p.own_networks.clear()));
    assert!(counts(|p| p.host_key = None));
    assert!(counts(|p| p.files.clear()));
    assert!(counts(|p| p.images[0].id = "sha256:2".into()));
    assert!(counts(|p| p.networks.clear()));
    assert!(counts(|p| p.volumes.push("more".into())));
    assert!(!counts(|p| p.volumes.push("a".repeat(64))));
    assert!(counts(|p| p.listeners[0].port = 23));
    assert!(counts(|p| p.disk[0].total_bytes = 11));
    assert!(!counts(|p| p.disk[0].free_bytes = 4));
    assert!(!counts(|p| p.memory.available_bytes = 1));
    assert!(!counts(|p| p.memory.total_bytes = 1));
    assert!(!counts(|p| p.uptime_seconds = Some(2)));
    assert!(!counts(|p| p.starting = true));
}

#[test]
fn every_field_of_the_base_and_of_a_file_counts_or_moves_by_itself() {
    let Base {
        sshd: _,
        daemon_json: _,
        firewall_script: _,
        firewall_live: _,
        docker: _,
        firewall_rules: _,
        foreign_rules: _,
        sshd_settings: _,
        files: _,
    } = Base::default();
    assert!(counts(|p| p.base.sshd = Some("x".into())));
    assert!(counts(|p| p.base.daemon_json = Some("x".into())));
    assert!(counts(|p| p.base.firewall_script = Some("x".into())));
    assert!(counts(|p| p.base.firewall_live = true));
    assert!(counts(|p| p.base.docker = true));
    assert!(counts(|p| p.base.firewall_rules = Some("x".into())));
    assert!(!counts(|p| p.base.foreign_rules = Some("x".into())));
    assert!(counts(|p| p.base.sshd_settings = Some("x".into())));
    assert!(counts(|p| {
        p.base.files.insert("/etc/x".into(), HostFile::default());
    }));

    let HostFile {
        sha256: _,
        mode: _,
        owner: _,
        placed: _,
        placed_mode: _,
        modified: _,
    } = HostFile::default();
    // Of a stack that is not written, its content may be a secret.
    let of = |change: fn(&mut HostFile)| counts(|p| p.files.values_mut().for_each(change));
    assert!(!of(|f| f.sha256 = "bb".into()));
    assert!(of(|f| f.mode = "0600".into()));
    assert!(of(|f| f.owner = "ada:ada".into()));
    assert!(!of(|f| f.placed = Some("x".into())));
    assert!(!of(|f| f.placed_mode = Some("x".into())));
    assert!(!of(|f| f.modified = Some(1)));
}

#[test]
fn every_field_of_a_container_counts_or_moves_by_itself() {
    let Container {
        name: _,
        id: _,
        image: _,
        image_ref: _,
        project: _,
        service: _,
        labels: _,
        state: _,
        health: _,
        started_at: _,
        restart_count: _,
        exit_code: _,
        oneoff: _,
        restart: _,
        config: _,
        ports: _,
    } = Container::default();

    let of = |change: fn(&mut Container)| counts(|p| change(&mut p.containers[0]));
    assert!(of(|c| c.name = "other".into()));
    assert!(of(|c| c.id = "other".into()));
    assert!(of(|c| c.image = "other".into()));
    assert!(of(|c| c.image_ref = "other".into()));
    assert!(of(|c| c.project = "other".into()));
    assert!(of(|c| c.service = "other".into()));
    assert!(of(|c| c.state = "paused".into()));
    assert!(of(|c| c.oneoff = true), "the service's container is gone");
    assert!(!of(|c| {
        c.labels.insert("provision.files".into(), "1".into());
    }));
    assert!(!of(|c| c.health = Some("starting".into())));
    assert!(!of(|c| c.started_at = Some("now".into())));
    assert!(of(|c| c.restart = "no".into()), "it can be changed while it runs");
    assert!(!of(|c| c.config = "x".into()));
    assert!(!of(|c| c.ports = vec!["80".into()]));
    assert!(!of(|c| c.restart_count = 3));
    assert!(!of(|c| c.exit_code = 3), "of one that runs");
    assert!(counts(|p| {
        p.containers[0].state = "exited".into();
        p.containers[0].exit_code = 3;
    }));
}

#[test]
fn what_asks_the_network_something_opens_no_port() {
    let open = |proto: &str, port| {
        let proto = proto.to_owned();
        move |p: &mut Probe| {
            let listener = p.listeners[0].clone();
            p.listeners.push(Listener {
                proto,
                port,
                ..listener
            });
        }
    };
    assert!(!counts(open("udp", 40_000)));
    assert!(counts(open("udp", 53)));
    assert!(counts(open("tcp", 40_000)));
}
