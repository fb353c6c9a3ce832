//! A host as `audit.sh` tells it, with a hole in one wall after the other: each is found, and nothing else.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Allowed, Finding, Rule, Severity, inside, line, outside, violations};
use crate::desired::Power;
use crate::desired::walls::{Grant, HostPort};
use crate::fixture::{Lab, endpoint};
use crate::names::hex;
use crate::observe::outside::Outside;
use crate::remote::audit::Walls;

const SALT: &str = "5a17";

const NFT: &str = r#"table inet provision {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		ct state invalid drop
		iif "lo" accept
		meta l4proto { icmp, ipv6-icmp } accept
		udp sport 67 udp dport 68 accept comment "DHCP"
		ip6 saddr fe80::/10 udp dport 546 accept comment "DHCPv6"
		tcp dport { 22, 80, 443 } accept
		udp dport 443 accept
	}
}"#;

const IPTABLES: &str = "-P INPUT ACCEPT
-P FORWARD DROP
-P OUTPUT ACCEPT
-N DOCKER
-N DOCKER-USER
-N PROVISION-DOCKER
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j DOCKER
-A DOCKER -d 172.18.0.3/32 ! -i br-0a1b2c3d4e5f -o br-0a1b2c3d4e5f -p tcp -m tcp --dport 443 -j ACCEPT
-A DOCKER-USER -j PROVISION-DOCKER
-A DOCKER-USER -j RETURN
-A PROVISION-DOCKER -d 169.254.169.254/32 -i docker+ -j REJECT --reject-with icmp-port-unreachable
-A PROVISION-DOCKER -d 169.254.169.254/32 -i br-+ -j REJECT --reject-with icmp-port-unreachable
-A PROVISION-DOCKER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A PROVISION-DOCKER -i docker+ -j RETURN
-A PROVISION-DOCKER -i br-+ -j RETURN
-A PROVISION-DOCKER -p tcp -m conntrack --ctstate DNAT --ctorigdstport 80 --ctdir ORIGINAL -j RETURN
-A PROVISION-DOCKER -p tcp -m conntrack --ctstate DNAT --ctorigdstport 443 --ctdir ORIGINAL -j RETURN
-A PROVISION-DOCKER -p udp -m conntrack --ctstate DNAT --ctorigdstport 443 --ctdir ORIGINAL -j RETURN
-A PROVISION-DOCKER -m conntrack --ctstate DNAT -j DROP
-A PROVISION-DOCKER -o docker+ -j DROP
-A PROVISION-DOCKER -o br-+ -j DROP
-A PROVISION-DOCKER -j RETURN";

const SSHD: &str = "port 22\npermitrootlogin no\npubkeyauthentication yes\npasswordauthentication no\nkbdinteractiveauthentication no\npermitemptypasswords no\nhostbasedauthentication no";

fn container(project: &str, service: &str) -> Value {
    json!({
        "name": format!("{project}-{service}-1"), "project": project, "service": service,
        "image": "registry.example.com/x:1@sha256:00", "user": "1000:1000", "privileged": false,
        "network_mode": "provision", "pid_mode": "", "cap_add": null,
        "mounts": [{"Type": "volume", "Source": "/var/lib/docker/volumes/app_data/_data"}, {"Type": "bind", "Source": "/opt/provision/stacks/app/conf"}],
        "ports": {"5432/tcp": null}, "env": [{"name": "PATH", "value": "aa", "password": null}, {"name": "DB_PASSWORD_FILE", "value": "bb", "password": null}],
    })
}

/// A host without a fault.
fn sound() -> Value {
    let mut edge = container("edge", "caddy");
    edge["ports"] = json!({
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "80"}, {"HostIp": "::", "HostPort": "80"}],
        "443/tcp": [{"HostIp": "0.0.0.0", "HostPort": "443"}],
        "443/udp": [{"HostIp": "0.0.0.0", "HostPort": "443"}],
        "2019/tcp": null,
    });
    json!({
        "audit": 1, "clock": 1_800_000_000, "ipv6": true,
        "listeners": [
            {"proto": "tcp", "address": "0.0.0.0", "port": 22, "process": "sshd"},
            {"proto": "tcp", "address": "*", "port": 443, "process": "docker-proxy"},
            {"proto": "udp", "address": "127.0.0.53", "port": 53, "process": "systemd-resolve"},
            {"proto": "udp", "address": "10.0.2.15", "port": 68, "process": "systemd-network"},
            {"proto": "tcp", "address": "::1", "port": 631, "process": "cupsd"},
        ],
        "nft": NFT, "iptables": IPTABLES, "ip6tables": IPTABLES.replace("-N DOCKER\n", "").replace("-A FORWARD -j DOCKER-USER\n", ""),
        "sshd": {"root": SSHD, "login": SSHD},
        "docker": true, "containers": [edge, container("app", "web")],
        "updates": {"security": [], "others": 3, "listed": 1_799_990_000}, "reboot": false,
    })
}

fn allowed() -> Allowed {
    Allowed::of(&Lab::demo().desired(Some(endpoint())), &endpoint(), SALT)
}

fn judged(host: &Value) -> Vec<Finding> {
    inside(&Walls::parse(host.to_string().as_bytes()).unwrap(), &allowed())
}

/// What is found when the sound host is changed.
fn after(change: impl FnOnce(&mut Value)) -> Vec<Finding> {
    let mut host = sound();
    change(&mut host);
    judged(&host)
}

/// The one thing that is found.
fn hole(change: impl FnOnce(&mut Value)) -> (Rule, String) {
    let findings = after(change);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    (
        findings[0].rule,
        format!("{}: {}", findings[0].subject, findings[0].what),
    )
}

fn rule(name: &str, old: &str, new: &str) -> (Rule, String) {
    hole(|host| {
        let text = host[name].as_str().unwrap();
        assert!(text.contains(old), "{old}");
        host[name] = text.replacen(old, new, 1).into();
    })
}

fn digest(text: &str) -> String {
    use sha2::Digest as _;
    hex(&sha2::Sha256::digest(format!("{SALT}{text}")))
}

#[test]
fn a_sound_host_is_private() {
    assert_eq!(judged(&sound()), []);
    assert_eq!(line(&[]), "audit: private as seen on the host");
}

#[test]
fn a_hole_in_the_input_chain_is_found() {
    let chain = |old, new| {
        let (found, what) = rule("nft", old, new);
        assert_eq!(found, Rule::FirewallInput);
        what
    };
    assert!(chain("policy drop", "policy accept").contains("does not drop"));
    for more in [
        "tcp dport 5432 accept",
        "tcp dport { 22, 5432 } accept",
        "tcp dport 1-65535 accept",
        "ip saddr 192.0.2.1 accept",
        "accept",
        "udp dport 53 accept",
        "meta l4proto { tcp, icmp } accept",
        "jump others",
        "iif \"eth0\" accept",
        "tcp dport 5432 accept comment \"x\"",
        "tcp dport vmap { 22 : accept, 5432 : accept }",
        "ct state established,related,new accept",
    ] {
        assert!(chain("udp dport 443 accept", more).ends_with(more), "{more}");
    }
    let (found, what) = hole(|host| host["nft"] = Value::Null);
    assert_eq!(
        (found, what.as_str()),
        (
            Rule::FirewallInput,
            "inet provision: the table is not loaded: every port of the host is open"
        )
    );
    // Another port of sshd's is no hole.
    let moved = after(|host| {
        host["sshd"]["root"] = SSHD.replace("port 22", "port 22\nport 2222").into();
        host["nft"] = NFT.replace("{ 22,", "{ 22, 2222,").into();
    });
    assert_eq!(moved, []);
}

#[test]
fn a_hole_in_the_way_to_containers_is_found() {
    let chain = |old: &str, new: &str| {
        let (found, what) = rule("iptables", old, new);
        assert_eq!(found, Rule::FirewallDocker);
        what
    };
    let first = "-A DOCKER-USER -j PROVISION-DOCKER";
    assert!(chain(first, &format!("-A DOCKER-USER -p tcp -j ACCEPT\n{first}")).contains("stands before our rules"));
    assert!(chain(&format!("{first}\n"), "").contains("is missing"));
    let forward = "-A FORWARD -j DOCKER-USER\n";
    assert!(chain(forward, &format!("-A FORWARD -o br-+ -j ACCEPT\n{forward}")).contains("stands before our rules"));
    assert!(chain(forward, "").contains("is missing"));
    let drop = "-A PROVISION-DOCKER -m conntrack --ctstate DNAT -j DROP\n";
    assert!(chain(drop, "").contains("is not dropped"));
    for more in [
        "-A PROVISION-DOCKER -j RETURN",
        "-A PROVISION-DOCKER -p tcp -m conntrack --ctstate DNAT --ctorigdstport 5432 -j RETURN",
        "-A PROVISION-DOCKER ! -i docker+ -j RETURN",
        "-A PROVISION-DOCKER -p tcp -j ACCEPT",
        "-A PROVISION-DOCKER -p udp --ctorigdstport 80 -j RETURN",
    ] {
        assert!(chain(drop, &format!("{more}\n{drop}")).ends_with(more), "{more}");
    }
    let (found, _) = hole(|host| host["iptables"] = Value::Null);
    assert_eq!(found, Rule::FirewallDocker);
    let (_, what) = rule("ip6tables", &format!("{first}\n"), "");
    assert!(what.starts_with("ip6tables DOCKER-USER"), "{what}");
    assert_eq!(
        after(|host| {
            host["ipv6"] = false.into();
            host["ip6tables"] = Value::Null;
        }),
        []
    );
    // Another's rule that closes more is no hole.
    assert_eq!(
        after(|host| host["iptables"] = IPTABLES
            .replace(first, &format!("-A DOCKER-USER -s 192.0.2.0/24 -j DROP\n{first}"))
            .into()),
        []
    );
}

#[test]
fn a_container_that_may_too_much_is_found() {
    let of = |key: &str, value: Value| hole(|host| host["containers"][1][key] = value);
    let published = |ip: &str| json!({"5432/tcp": [{"HostIp": ip, "HostPort": "5432"}]});
    for ip in ["0.0.0.0", "::", "", "10.0.0.7"] {
        let (found, what) = of("ports", published(ip));
        assert_eq!(found, Rule::Published);
        assert!(what.starts_with("app/web: port 5432 of "), "{what}");
    }
    assert_eq!(of("ports", published("127.0.0.1")).0, Rule::LoopbackPort);
    for socket in [
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/run/containerd/containerd.sock",
        "/var/run/",
        "/",
        "/var/lib/docker",
        "/home",
        "/run/dbus/system_bus_socket",
    ] {
        assert_eq!(
            of("mounts", json!([{"Type": "bind", "Source": socket}])).0,
            Rule::DockerSocket,
            "{socket}"
        );
    }
    assert_eq!(of("privileged", json!(true)).0, Rule::Privileged);
    assert_eq!(of("pid_mode", json!("host")).0, Rule::Privileged);
    assert_eq!(
        of("cap_add", json!(["CAP_SYS_ADMIN", "NET_BIND_SERVICE"])).0,
        Rule::Privileged
    );
    assert_eq!(
        of("mounts", json!([{"Type": "bind", "Source": "/proc", "RW": true}])).0,
        Rule::DockerSocket
    );
    let read = json!([{"Type": "bind", "Source": "/proc", "RW": false}, {"Type": "bind", "Source": "/etc/localtime", "RW": true}]);
    assert_eq!(after(|host| host["containers"][1]["mounts"] = read), []);
    let disk = json!([{"PathOnHost": "/dev/vda1", "PathInContainer": "/dev/vda1", "CgroupPermissions": "rwm"}]);
    assert_eq!(
        of("devices", disk),
        (Rule::Privileged, "app/web: has the device /dev/vda1".to_owned())
    );
    assert_eq!(
        after(|host| host["containers"][1]["devices"] = json!([{"PathOnHost": "/dev/fuse"}])),
        []
    );
    assert_eq!(of("device_rules", json!(["b 8:* rwm", "c 10:* r"])).0, Rule::Privileged);
    assert_eq!(of("network_mode", json!("host")).0, Rule::HostNetwork);
    for user in ["", "root", "0", "0:1000"] {
        assert_eq!(of("user", json!(user)).0, Rule::Root);
    }
    assert_eq!(
        of("image", json!("postgres:17")),
        (Rule::Tag, "app/web: postgres:17 is a tag, not a digest".to_owned())
    );
    // The archive of this one we sent ourselves.
    assert_eq!(
        after(|host| host["containers"][1]["image"] = "provision-demo:1".into()),
        []
    );
    // The edge may publish its own ports, and no other.
    let (found, what) =
        hole(|host| host["containers"][0]["ports"]["2019/tcp"] = json!([{"HostIp": "0.0.0.0", "HostPort": "2019"}]));
    assert_eq!(
        (found, what.as_str()),
        (
            Rule::Published,
            "edge/caddy: port 2019 of 0.0.0.0 leads to its 2019/tcp"
        )
    );
    // One that nobody's Compose file made.
    let (_, what) = hole(|host| {
        host["containers"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "nc", "user": "1", "image": "x@sha256:0", "privileged": true}))
    });
    assert_eq!(what, "nc: runs privileged");
}

fn granted() -> Allowed {
    let mut allowed = allowed();
    let port = |text: &str| HostPort::read(text).unwrap();
    let grant = Grant {
        ports: [port("8883:1883"), port("127.0.0.1:9000:9000"), port("5000:5000/udp")]
            .concat()
            .into_iter()
            .collect(),
        powers: [Power::DockerSocket, Power::Privileged].into(),
        reason: "devices".into(),
    };
    allowed.grants = [("app".to_owned(), [("web".to_owned(), grant)].into())].into();
    allowed
}

#[test]
fn what_is_allowed_is_told_with_its_reason_and_no_violation() {
    let look = |host: &Value| inside(&Walls::parse(host.to_string().as_bytes()).unwrap(), &granted());
    assert_eq!(look(&sound()), [], "what is allowed need not be there");
    let mut host = sound();
    host["nft"] = NFT
        .replace("443 }", "443, 8883 }")
        .replace("udp dport 443 ", "udp dport { 443, 5000 } ")
        .into();
    let one = "-A PROVISION-DOCKER -p tcp -m conntrack --ctstate DNAT --ctorigdstport 8883 --ctdir ORIGINAL -j RETURN";
    let two = one.replace("tcp", "udp").replace("8883", "5000");
    let drop = "-A PROVISION-DOCKER -m conntrack --ctstate DNAT -j DROP";
    host["iptables"] = IPTABLES.replacen(drop, &format!("{one}\n{two}\n{drop}"), 1).into();
    host["containers"][1]["ports"] = json!({"1883/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8883"}, {"HostIp": "::", "HostPort": "8883"}],
        "9000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "9000"}]});
    host["containers"][1]["mounts"] = json!([{"Type": "bind", "Source": "/run/docker.sock"}]);
    host["containers"][1]["privileged"] = json!(true);
    let found = look(&host);
    assert_eq!(violations(&found), 0, "{found:#?}");
    let told: Vec<String> = found
        .iter()
        .map(|found| format!("{} {}", found.rule, found.what))
        .collect();
    assert_eq!(
        told,
        [
            "published-port port 8883 of 0.0.0.0 leads to its 1883/tcp (allowed: devices)",
            "published-port port 8883 of :: leads to its 1883/tcp (allowed: devices)",
            "docker-socket /run/docker.sock of the host is mounted (allowed: devices)",
            "privileged runs privileged (allowed: devices)",
            "loopback-port port 9000 of 127.0.0.1 leads to its 9000/tcp (allowed: devices)",
        ]
    );
    assert_eq!(line(&found), "audit: private as seen on the host, 5 allowed");
    // To that service, to those ports, and no further.
    for (at, hole, rule) in [
        ("network_mode", json!("host"), Rule::HostNetwork),
        (
            "ports",
            json!({"1883/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8884"}]}),
            Rule::Published,
        ),
        (
            "ports",
            json!({"1884/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8883"}]}),
            Rule::Published,
        ),
        (
            "ports",
            json!({"9000/tcp": [{"HostIp": "0.0.0.0", "HostPort": "9000"}]}),
            Rule::Published,
        ),
        ("service", json!("other"), Rule::Published),
    ] {
        let mut host = host.clone();
        host["containers"][1][at] = hole;
        assert_eq!(look(&host)[0].rule, rule, "{at}");
    }
    let mut wide = host.clone();
    wide["nft"] = NFT.replace("443 }", "443, 9000 }").into();
    assert_eq!(
        look(&wide)[0].rule,
        Rule::FirewallInput,
        "a loopback port opens nothing"
    );
    let answers = outside(&seen(&[22, 80, 443, 8883, 9000]), &granted());
    let told: Vec<_> = answers
        .iter()
        .map(|found| (found.severity, found.what.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (Severity::Violation, "answers from outside"),
            (Severity::Allowed, "answers from outside (allowed: app/web: devices)"),
        ]
    );
}

#[test]
fn a_secret_in_the_environment_is_found_and_never_told() {
    let lab = Lab::demo().desired(Some(endpoint()));
    let (name, secret) = lab.bindings.secrets.iter().next().unwrap();
    let of = |variable: Value| hole(|host| host["containers"][1]["env"] = json!([variable]));
    let known = of(json!({"name": "PLAIN", "value": digest(secret.expose()), "password": null}));
    assert_eq!(
        known,
        (Rule::Environment, format!("app/web: PLAIN is the secret {name}"))
    );
    let url = of(json!({"name": "DSN", "value": "00", "password": digest(secret.expose())}));
    assert_eq!(url.1, format!("app/web: DSN is a URL with the secret {name}"));
    assert_eq!(
        of(json!({"name": "DSN", "value": "00", "password": "01"})).1,
        "app/web: DSN is a URL with a password"
    );
    for name in ["DB_PASSWORD", "api_token", "STRIPE_SECRET_KEY", "MEILI_MASTER_KEY"] {
        assert_eq!(
            of(json!({"name": name, "value": "00", "password": null})).1,
            format!("app/web: {name} looks like a secret")
        );
    }
    let harmless = ["PASSWORD_FILE", "TOKEN_TTL", "GPG_KEY", "PATH", "SECRETARY_NAME"]
        .map(|name| json!({"name": name, "value": "00"}));
    assert_eq!(
        after(|host| host["containers"][1]["env"] = harmless.to_vec().into()),
        []
    );
    let empty = json!([{"name": "PASSWORD", "value": null, "password": null}]);
    assert_eq!(after(|host| host["containers"][1]["env"] = empty), []);
    // As Docker writes a value in JSON, with and without what HTML knows.
    let told = super::digests(SALT, "a\"b<\\");
    assert_eq!(
        told,
        [
            digest("a\\\"b<\\\\"),
            digest("a\\\"b\\u003c\\\\"),
            digest("a%22b%3C%5C")
        ]
    );
}

#[test]
fn what_the_host_itself_lets_happen_is_found() {
    for setting in [
        "passwordauthentication yes",
        "kbdinteractiveauthentication yes",
        "permitemptypasswords yes",
        "hostbasedauthentication yes",
        "permitrootlogin yes",
    ] {
        let (word, _) = setting.split_once(' ').unwrap();
        for user in ["root", "login"] {
            let (found, what) = hole(|host| host["sshd"][user] = SSHD.replace(&format!("{word} no"), setting).into());
            assert_eq!(found, Rule::SshdLogin);
            assert!(what.ends_with(setting), "{what}");
        }
    }
    assert_eq!(
        hole(|host| host["sshd"]["root"] = SSHD
            .replace("permitrootlogin no", "permitrootlogin without-password")
            .into())
        .0,
        Rule::SshdRoot
    );
    assert_eq!(hole(|host| host["sshd"]["login"] = Value::Null).0, Rule::Unseen);
    assert_eq!(hole(|host| host["docker"] = false.into()).0, Rule::Unseen);
    let (found, what) = hole(|host| {
        host["listeners"]
            .as_array_mut()
            .unwrap()
            .push(json!({"proto": "tcp", "address": "0.0.0.0", "port": 9, "process": "nc"}))
    });
    assert_eq!(
        (found, what.as_str()),
        (
            Rule::Listener,
            "0.0.0.0:9/tcp: nc listens; only the firewall keeps it private"
        )
    );
    let (found, what) = hole(|host| host["updates"]["security"] = json!(["openssl", "libssl3"]));
    assert_eq!(
        (found, what.as_str()),
        (Rule::Updates, "packages: 2 security updates wait: openssl, libssl3")
    );
    assert_eq!(
        hole(|host| host["updates"]["listed"] = json!(1_799_000_000)).1,
        "package lists: the lists of packages are 11 days old"
    );
    assert_eq!(hole(|host| host["updates"]["listed"] = Value::Null).0, Rule::Updates);
    assert_eq!(hole(|host| host["reboot"] = true.into()).0, Rule::Updates);
    // Nobody asked.
    assert_eq!(after(|host| host["updates"] = Value::Null), []);
}

fn seen(open: &[u16]) -> Outside {
    Outside {
        address: endpoint().address,
        asked: 65_535,
        open: open.iter().copied().collect(),
        own: BTreeSet::new(),
        unknown: None,
        http3: true,
        millis: 1,
    }
}

#[test]
fn what_answers_outside_is_found() {
    let look = |seen: &Outside| {
        outside(seen, &allowed())
            .into_iter()
            .map(|found| (found.rule, found.subject))
            .collect::<Vec<_>>()
    };
    assert_eq!(look(&seen(&[22, 80, 443])), []);
    assert_eq!(
        look(&seen(&[22, 80, 443, 5432])),
        [(Rule::OutsidePort, "127.77.0.1:5432".to_owned())]
    );
    assert_eq!(
        look(&Outside {
            own: [5432].into(),
            ..seen(&[22, 80, 443, 5432])
        }),
        []
    );
    assert_eq!(look(&seen(&[22])), [(Rule::Unreached, "127.77.0.1:443".to_owned())]);
    assert_eq!(
        look(&Outside {
            http3: false,
            ..seen(&[22, 443])
        }),
        [(Rule::Unreached, "127.77.0.1:443/udp".to_owned())]
    );
    let lab = Lab::demo();
    lab.change("[stacks.postgres]", "[edge]\nhttp3 = false\n[stacks.postgres]");
    let without = Allowed::of(&lab.desired(Some(endpoint())), &endpoint(), SALT);
    let silent = Outside {
        http3: false,
        ..seen(&[22, 443])
    };
    assert_eq!(outside(&silent, &without), []);
    assert_eq!(
        look(&Outside {
            unknown: Some((7, "too many open files".into())),
            ..seen(&[22, 443])
        })[0]
            .0,
        Rule::Unseen
    );
    let six = Outside {
        address: "2001:db8::7".parse().unwrap(),
        unknown: Some((65_535, "unreachable".into())),
        ..seen(&[])
    };
    assert_eq!(look(&six), [(Rule::Unreached, "2001:db8::7".to_owned())]);
}

#[test]
fn a_host_that_tells_nothing_is_not_private() {
    let findings = judged(&json!({"audit": 1, "clock": 1}));
    assert_eq!(violations(&findings), findings.len());
    assert!(
        line(&findings).starts_with("audit: NOT PRIVATE: firewall-input: inet provision: "),
        "{}",
        line(&findings)
    );
    assert!(line(&findings).ends_with(" and 4 more"), "{}", line(&findings));
    for garbage in ["", "{}", "{\"audit\":2}", "[]", "audit"] {
        assert!(Walls::parse(garbage.as_bytes()).is_err(), "{garbage}");
    }
}

#[test]
fn every_rule_is_explained() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/audit.md")).unwrap();
    for rule in Rule::ALL {
        let severity = if rule.severity() == Severity::Violation {
            "violation"
        } else {
            "note"
        };
        assert!(
            page.contains(&format!("| `{rule}` | {severity} |")),
            "docs/audit.md does not explain {rule}"
        );
    }
    assert_eq!(page.matches("\n| `").count(), Rule::ALL.len());
}

#[test]
fn on_a_host_of_others_only_what_is_ours_is_judged() {
    let guest = |outside: &[u16]| {
        let host = super::Whose::Guest(["app".to_owned(), "edge".to_owned()].into());
        let mut allowed = Allowed { host, ..allowed() };
        allowed.outside = outside.iter().copied().collect();
        allowed
    };
    let nft = "table inet provision {\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t\tiifname \"br-provision\" ct state established,related accept\n\t\tiifname \"br-provision\" meta l4proto { icmp, ipv6-icmp } accept\n\t\tiifname \"br-provision\" tcp dport { 80, 443 } accept\n\t\tiifname \"br-provision\" udp dport 443 accept\n\t\tiifname \"br-provision\" drop\n\t}\n}";
    let rules = "-A FORWARD -i vpn0 -j ACCEPT\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j PROVISION-DOCKER\n\
        -A PROVISION-DOCKER -d 169.254.169.254/32 -i br-provision -j REJECT --reject-with icmp-port-unreachable\n\
        -A PROVISION-DOCKER ! -o br-provision -j RETURN\n\
        -A PROVISION-DOCKER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN\n\
        -A PROVISION-DOCKER -i br-provision -j RETURN\n\
        -A PROVISION-DOCKER -p tcp -m conntrack --ctstate DNAT --ctorigdstport 443 --ctdir ORIGINAL -j RETURN\n\
        -A PROVISION-DOCKER -j DROP";
    let mut host = sound();
    host["nft"] = nft.into();
    host["iptables"] = rules.into();
    host["ip6tables"] = rules.into();
    let theirs = json!({"name": "theirs-db-1", "project": "theirs", "service": "db", "image": "mysql:8", "privileged": true,
        "ports": {"3306/tcp": [{"HostIp": "0.0.0.0", "HostPort": "3306"}]}});
    host["containers"].as_array_mut().unwrap().push(theirs);
    host["listeners"]
        .as_array_mut()
        .unwrap()
        .push(json!({"proto": "tcp", "address": "*", "port": 25, "process": "master"}));
    let judged = |host: &Value| inside(&Walls::parse(host.to_string().as_bytes()).unwrap(), &guest(&[]));
    assert_eq!(judged(&host), []);
    let hole = |change: &dyn Fn(&mut Value)| {
        let mut host = host.clone();
        change(&mut host);
        judged(&host).into_iter().map(|found| found.rule).collect::<Vec<_>>()
    };
    assert_eq!(
        hole(&|host| host["nft"] = nft.replace("\t\tiifname \"br-provision\" drop\n", "").into()),
        [Rule::FirewallInput]
    );
    assert_eq!(
        hole(&|host| host["nft"] = nft.replace("{ 80, 443 }", "{ 22, 443 }").into()),
        [Rule::FirewallInput]
    );
    assert_eq!(
        hole(&|host| host["iptables"] = rules.replace("\n-A PROVISION-DOCKER -j DROP", "").into()),
        [Rule::FirewallDocker]
    );
    assert_eq!(
        hole(&|host| host["iptables"] = rules.replace("! -o br-provision", "-o br-provision").into()),
        [Rule::FirewallDocker]
    );
    assert_eq!(
        hole(&|host| host["containers"][1]["privileged"] = true.into()),
        [Rule::Privileged]
    );
    let answers = outside(&seen(&[22, 25]), &guest(&[22]))
        .into_iter()
        .map(|found| found.rule)
        .collect::<Vec<_>>();
    assert_eq!(answers, [Rule::Unreached, Rule::Neighbour]);
}
