use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::powers::absolute;
use super::*;

fn stack() -> StackName {
    "app".parse().unwrap()
}

fn listed(config: &Value, granted: &BTreeMap<String, Grant>) -> Vec<String> {
    refused(&stack(), config, granted)
}

fn port(text: &str) -> Result<Vec<HostPort>, Vague> {
    HostPort::read(text)
}

#[test]
fn ports_are_those_that_docker_opens() {
    let shown = |text: &str| match port(text) {
        Ok(ports) => ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        Err(vague) => format!("{vague:?}"),
    };
    for (text, expected) in [
        ("8883:8883", "8883:8883"),
        ("0.0.0.0:8883:1883", "8883:1883"),
        ("[::]:8883:1883", "8883:1883"),
        ("127.0.0.1:9000:9000/udp", "127.0.0.1:9000:9000/udp"),
        ("[::1]:9000:9000", "[::1]:9000:9000"),
        ("::1:9000:9000", "[::1]:9000:9000"),
        ("5000-5002:6000-6002", "5000:6000 5001:6001 5002:6002"),
        ("5000-5002:6000", "Random"),
        ("8883", "Random"),
        ("127.0.0.1::80", "Random"),
        ("0:80", "Random"),
        ("80:80/sctp", "Protocol"),
        ("99999:80", "Unknown"),
        ("2-1:2-1", "Unknown"),
        ("1-65535:1-65535", "Many"),
        ("host:80:80", "Unknown"),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
    let public = |text: &str| port(text).unwrap()[0].is_public();
    assert!(public("1:1") && public("10.0.0.7:1:1") && !public("127.0.0.1:1:1") && !public("[::1]:1:1"));
}

#[test]
fn paths_that_give_the_host_away() {
    for (path, read, written) in [
        ("/", true, true),
        ("/var", true, true),
        ("/var/run", true, true),
        ("/var/run/", true, true),
        ("/run", true, true),
        ("/run/docker.sock", true, true),
        ("/var/run/../run/docker.sock", true, true),
        ("/srv/docker.sock", true, true),
        ("/run/dbus", true, true),
        ("/var/lib/docker", true, true),
        ("/var/lib/docker/containers", false, false),
        ("/etc", true, true),
        ("/etc/localtime", false, false),
        ("/etc/cron.d", false, true),
        ("/etc/ssl/certs", false, false),
        ("/root", true, true),
        ("/root/.docker/config.json", false, true),
        ("/proc", false, true),
        ("/sys", false, true),
        ("/sys/fs/cgroup", false, true),
        ("/runner", false, false),
        ("/srv/files", false, false),
        ("/opt/provision/stacks/app/conf", false, false),
    ] {
        assert_eq!(
            (takes_host(path, false), takes_host(path, true)),
            (read, written),
            "{path}"
        );
    }
    let at = |path: &str| absolute("/opt/provision/stacks/app", path);
    assert_eq!(at("../../../../run/docker.sock").as_deref(), Some("/run/docker.sock"));
    assert_eq!(at("./conf").as_deref(), Some("/opt/provision/stacks/app/conf"));
    assert_eq!(at("~/.ssh").as_deref(), Some("/root/.ssh"));
    assert_eq!((at("data"), at("")), (None, None));
}

#[test]
fn a_private_stack_has_no_holes() {
    let config = json!({"services": {"db": {"image": "x", "expose": ["5432"], "privileged": false, "cap_add": ["NET_BIND_SERVICE"],
        "networks": {"default": null}, "devices": ["/dev/fuse:/dev/fuse:rwm"],
        "volumes": [{"type": "volume", "source": "data", "target": "/data"}, {"type": "bind", "source": "/opt/provision/incoming/app-0/conf", "target": "/c"}]}},
        "networks": {"default": {"name": "provision", "external": true}}, "volumes": {"data": {"name": "app_data"}}});
    assert!(listed(&config, &BTreeMap::new()).is_empty());
}

#[test]
fn every_hole_is_found_in_the_resolved_configuration() {
    let config = json!({"services": {
        "any": {"ports": [{"mode": "ingress", "target": 80, "protocol": "tcp"}]},
        "db": {"ports": [{"mode": "ingress", "target": 5432, "published": "5432", "protocol": "tcp"}]},
        "deep": {"volumes": [{"type": "volume", "source": "host", "target": "/h"}], "networks": {"lan": null}},
        "host": {"network_mode": "host", "pid": "host", "ipc": "host"},
        "root": {"privileged": true, "cap_add": ["CAP_SYS_ADMIN"], "devices": [{"source": "/dev/sda", "target": "/dev/sda", "permissions": "rwm"}],
            "volumes": [{"type": "bind", "source": "/var/run/docker.sock", "target": "/s", "read_only": true, "bind": {"create_host_path": true}}]},
    }, "volumes": {"host": {"driver_opts": {"device": "/", "o": "bind", "type": "none"}}}, "networks": {"lan": {"driver": "macvlan"}}});
    assert_eq!(
        listed(&config, &BTreeMap::new()),
        [
            "service `any` publishes 80",
            "service `db` publishes 5432:5432",
            "service `deep` is in the host's own network, past its firewall: all its ports are public",
            "service `deep` mounts / of the host",
            "service `host` uses the host's own network: all its ports are public",
            "service `host` sees the host's processes",
            "service `root` runs privileged",
            "service `root` has the capability CAP_SYS_ADMIN",
            "service `root` has the device /dev/sda",
            "service `root` mounts /var/run/docker.sock of the host",
        ]
    );
}

#[test]
fn what_is_allowed_is_allowed_to_that_service_alone() {
    let service = |published: &str| {
        json!({"ports": [{"target": 8883, "published": published, "protocol": "tcp"}],
        "volumes": [{"type": "bind", "source": "/run/docker.sock", "target": "/s"}]})
    };
    let config = json!({"services": {"broker": service("8883"), "other": service("8883")}});
    let grant = Grant {
        ports: port("8883:8883").unwrap().into_iter().collect(),
        powers: [Power::DockerSocket].into(),
        reason: "devices".into(),
    };
    let granted = BTreeMap::from([("broker".to_owned(), grant)]);
    assert_eq!(
        listed(&config, &granted),
        [
            "service `other` publishes 8883:8883",
            "service `other` mounts /run/docker.sock of the host"
        ]
    );
    let moved = json!({"services": {"broker": service("8884")}});
    assert_eq!(listed(&moved, &granted), ["service `broker` publishes 8884:8883"]);
}
