//! What services ask for beyond their walls, through all files of a stack.

use insta::assert_snapshot;

use super::super::super::diagnostic::{Problems, Source};
use super::super::{Followed, follow};
use super::WHOLE;

/// What the services of these files ask for, a line each; and what could not be followed.
pub fn asked(files: &[(&str, &str)]) -> (Vec<String>, String) {
    let all: std::collections::BTreeMap<&str, &str> = files.iter().copied().collect();
    let main = Source::new("app/compose.yaml", files[0].1);
    let Followed { claims, problems, .. } = follow((files[0].0, &main), "app", &|path| {
        all.get(path).map(|text| text.as_bytes().to_vec())
    });
    let lines = claims.iter().map(|claim| {
        let variables: String = claim
            .variables
            .iter()
            .map(|(name, value)| format!(" {name}={value}"))
            .collect();
        let folder = if claim.folder.is_empty() { "." } else { &claim.folder };
        format!(
            "{} {} in {folder}: {:?}{variables}",
            claim.service, claim.place, claim.asks
        )
    });
    let told = Problems::check(problems)
        .err()
        .map(|problems| problems.render(false, 100));
    (lines.collect(), told.unwrap_or_default())
}

#[test]
fn claims_are_seen_through_anchors_and_variables() {
    let (lines, told) = asked(&[("compose.yaml", WHOLE)]);
    assert_snapshot!(format!("{}\n{told}", lines.join("\n")), @r#"
    db app/compose.yaml:28:19 in .: Network("host")
    web app/compose.yaml:5:11 in .: Port("9000:9000")
    web app/compose.yaml:23:17 in .: Privileged("${PRIVILEGED:-false}")
    web app/compose.yaml:16:9 in .: Mount("./conf:/etc/app:ro")
    web app/compose.yaml:17:9 in .: Mount("data:/data")
    web app/compose.yaml:18:9 in .: Mount("/srv/files:/files")
    web app/compose.yaml:19:39 in .: LongMount { source: "./site", writable: true }
    web app/compose.yaml:36:18 in .: LongMount { source: "./token.txt", writable: false }
    "#);
}

#[test]
fn every_way_past_the_walls_is_a_claim() {
    let text = r#"services:
  all:
    privileged: true
    pid: host
    network_mode: ${MODE:-host}
    use_api_socket: true
    cap_add: [SYS_ADMIN, NET_ADMIN]
    devices: ["/dev/sda:/dev/sda", { source: /dev/fuse, target: /dev/fuse }]
    device_cgroup_rules: ["b 8:* rmw"]
    post_start: [{ command: sh, privileged: true }]
    volumes:
      - /var/run/docker.sock:/s:ro
      - ${SOCKET:-/run/docker.sock}:/t
      - { type: bind, source: /, target: /host, read_only: true }
      - host:/host
      - "${VOLUME}:/x"
      - /anonymous
    secrets: [shadow]
    configs: [{ source: conf, target: /c }]
  lan:
    networks: [lan, outer, named]
  plain:
    image: x
volumes:
  host: { driver_opts: { type: none, o: bind, device: /etc } }
  own: {}
networks:
  default: { driver: macvlan }
  lan: { driver: ipvlan }
  outer: { external: true }
  named: { external: true, name: host }
secrets:
  shadow: { file: /etc/shadow }
configs:
  conf: { file: ./conf }
"#;
    assert_snapshot!(asked(&[("compose.yaml", text)]).0.join("\n"), @r#"
    all app/compose.yaml:3:17 in .: Privileged("true")
    all app/compose.yaml:6:21 in .: ApiSocket("true")
    all app/compose.yaml:5:19 in .: Network("${MODE:-host}")
    all app/compose.yaml:4:10 in .: Processes("host")
    all app/compose.yaml:7:15 in .: Capability("SYS_ADMIN")
    all app/compose.yaml:7:26 in .: Capability("NET_ADMIN")
    all app/compose.yaml:8:15 in .: Device("/dev/sda:/dev/sda")
    all app/compose.yaml:8:46 in .: Device("/dev/fuse")
    all app/compose.yaml:9:27 in .: DeviceRule("b 8:* rmw")
    all app/compose.yaml:10:45 in .: Privileged("true")
    all app/compose.yaml:12:9 in .: Mount("/var/run/docker.sock:/s:ro")
    all app/compose.yaml:13:9 in .: Mount("${SOCKET:-/run/docker.sock}:/t")
    all app/compose.yaml:25:55 in .: LongMount { source: "/etc", writable: true }
    all app/compose.yaml:14:34 in .: LongMount { source: "/", writable: false }
    all app/compose.yaml:15:9 in .: Mount("host:/host")
    all app/compose.yaml:25:55 in .: LongMount { source: "/etc", writable: true }
    all app/compose.yaml:16:9 in .: Mount("${VOLUME}:/x")
    all app/compose.yaml:25:55 in .: LongMount { source: "/etc", writable: true }
    all app/compose.yaml:17:9 in .: Mount("/anonymous")
    all app/compose.yaml:33:19 in .: LongMount { source: "/etc/shadow", writable: false }
    all app/compose.yaml:35:17 in .: LongMount { source: "./conf", writable: false }
    lan app/compose.yaml:29:18 in .: Network("ipvlan")
    lan app/compose.yaml:30:12 in .: Network("outer")
    lan app/compose.yaml:31:34 in .: Network("host")
    plain app/compose.yaml:28:22 in .: Network("macvlan")
    "#);
}

#[test]
fn files_are_followed_within_the_folder() {
    let files = [
        (
            "compose.yaml",
            "include:\n  - jobs.yaml\n  - { path: [sub/a.yaml, sub/b.yaml], env_file: sub/vars.env }\nservices:\n  web:\n    extends: { file: base/web.yaml, service: base }\n    privileged: false\n  near: { extends: web }\n",
        ),
        (
            "base/web.yaml",
            "services:\n  base:\n    extends: { file: deep/root.yaml, service: root }\n    ports: [\"${PORT:-80}:80\"]\n    volumes: [\"../../../../x:/x\"]\n",
        ),
        (
            "base/deep/root.yaml",
            "services:\n  root:\n    privileged: true\n    pid: host\n    ports: [81]\n",
        ),
        ("jobs.yaml", "services:\n  job: { network_mode: host }\n"),
        ("sub/a.yaml", "services:\n  a: { ports: [\"${A}:1\"] }\n"),
        ("sub/b.yaml", "include: [c.yaml]\nservices:\n  b: { image: b }\n"),
        ("sub/c.yaml", "services:\n  c: { ports: [\"3:3\"] }\n"),
        ("sub/.env", "A=wrong\n"),
        ("sub/vars.env", "# a comment\nexport A='8000' # so\nB=2\n"),
    ];
    let (lines, told) = asked(&files);
    assert_eq!(told, "");
    assert_snapshot!(lines.join("\n"), @r#"
    near app/base/web.yaml:4:13 in base: Port("${PORT:-80}:80")
    near app/base/web.yaml:5:15 in base: Mount("../../../../x:/x")
    near app/base/deep/root.yaml:5:13 in base/deep: Port("81")
    near app/base/deep/root.yaml:4:10 in base/deep: Processes("host")
    web app/base/web.yaml:4:13 in base: Port("${PORT:-80}:80")
    web app/base/web.yaml:5:15 in base: Mount("../../../../x:/x")
    web app/base/deep/root.yaml:5:13 in base/deep: Port("81")
    web app/base/deep/root.yaml:4:10 in base/deep: Processes("host")
    job app/jobs.yaml:2:24 in .: Network("host")
    a app/sub/a.yaml:2:16 in sub: Port("${A}:1") A=8000 B=2
    c app/sub/c.yaml:2:16 in sub: Port("3:3") A=8000 B=2
    "#);
}

#[test]
fn what_cannot_be_followed_is_told() {
    let files = [
        (
            "compose.yaml",
            "include: [other.yaml, ../up.yaml, \"https://example.com/c.yaml\", \"${X}.yaml\", gone.yaml, late.yaml, { env_file: x }, { path: tab.yaml, env_file: gone.env }]\nservices:\n  a: { extends: b }\n  b: { extends: { service: a } }\n  c: { extends: { file: /etc/c.yaml, service: c } }\n  d: { extends: { file: other.yaml, service: nobody } }\n  e: { extends: {} }\n  f: { extends: { file: other.yaml, service: f } }\n",
        ),
        (
            "other.yaml",
            "include: [compose.yaml]\nservices: { f: { ports: {} } }\n",
        ),
        ("late.yaml.hbs", "services: {}\n"),
        ("tab.yaml", "services:\n\ta: {}\n"),
    ];
    let (_, told) = asked(&files);
    assert_snapshot!(told, @r#"
      error: `include` of ../up.yaml: it lies outside of the stack's folder, so it is not there on the
      | host
       ,-[app/compose.yaml:1:23]
     1 | include: [other.yaml, ../up.yaml, "https://example.com/c.yaml", "${X}.yaml", gone.yaml, late.yaml, { env_file: x }, { path: tab.yaml, env_file: gone.env }]
       :                       ^^^^^^^^^^
     2 | services:
       `----
      help: copy it into the folder and name that

      error: `include` of https://example.com/c.yaml: it lies outside of the stack's folder, so it is
      | not there on the host
       ,-[app/compose.yaml:1:35]
     1 | include: [other.yaml, ../up.yaml, "https://example.com/c.yaml", "${X}.yaml", gone.yaml, late.yaml, { env_file: x }, { path: tab.yaml, env_file: gone.env }]
       :                                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
     2 | services:
       `----
      help: copy it into the folder and name that

      error: `include` of ${X}.yaml: a path with a variable cannot be followed
       ,-[app/compose.yaml:1:65]
     1 | include: [other.yaml, ../up.yaml, "https://example.com/c.yaml", "${X}.yaml", gone.yaml, late.yaml, { env_file: x }, { path: tab.yaml, env_file: gone.env }]
       :                                                                 ^^^^^^^^^^^
     2 | services:
       `----
      help: write it out: what it brings must be checked before it is sent

      error: there is no file gone.yaml in the stack's folder
       ,-[app/compose.yaml:1:78]
     1 | include: [other.yaml, ../up.yaml, "https://example.com/c.yaml", "${X}.yaml", gone.yaml, late.yaml, { env_file: x }, { path: tab.yaml, env_file: gone.env }]
       :                                                                              ^^^^^^^^^
     2 | services:
       `----
      help: add it, or take the line out

      error: late.yaml is a template, and a Compose file cannot be one
       ,-[app/compose.yaml:1:89]
     1 | include: [other.yaml, ../up.yaml, "https://example.com/c.yaml", "${X}.yaml", gone.yaml, late.yaml, { env_file: x }, { path: tab.yaml, env_file: gone.env }]
       :                                                                                         ^^^^^^^^^
     2 | services:
       `----
      help: it is checked as it stands. Use ${NAME} and [env] of stack.toml

      error: `include` does not say which file
       ,-[app/compose.yaml:1:100]
     1 | include: [other.yaml, ../up.yaml, "https://example.com/c.yaml", "${X}.yaml", gone.yaml, late.yaml, { env_file: x }, { path: tab.yaml, env_file: gone.env }]
       :                                                                                                    ^
     2 | services:
       `----
      help: write the path of a file of the stack's folder

      error: there is no file gone.env in the stack's folder
       ,-[app/compose.yaml:1:145]
     1 | include: [other.yaml, ../up.yaml, "https://example.com/c.yaml", "${X}.yaml", gone.yaml, late.yaml, { env_file: x }, { path: tab.yaml, env_file: gone.env }]
       :                                                                                                                                                 ^^^^^^^^
     2 | services:
       `----
      help: add it, or take the line out

      error: service `b` extends itself in the end
       ,-[app/compose.yaml:3:17]
     2 | services:
     3 |   a: { extends: b }
       :                 ^
     4 |   b: { extends: { service: a } }
       `----
      help: take one `extends` of the chain out

      error: service `a` extends itself in the end
       ,-[app/compose.yaml:4:28]
     3 |   a: { extends: b }
     4 |   b: { extends: { service: a } }
       :                            ^
     5 |   c: { extends: { file: /etc/c.yaml, service: c } }
       `----
      help: take one `extends` of the chain out

      error: `extends` of /etc/c.yaml: it lies outside of the stack's folder, so it is not there on
      | the host
       ,-[app/compose.yaml:5:25]
     4 |   b: { extends: { service: a } }
     5 |   c: { extends: { file: /etc/c.yaml, service: c } }
       :                         ^^^^^^^^^^^
     6 |   d: { extends: { file: other.yaml, service: nobody } }
       `----
      help: copy it into the folder and name that

      error: `extends` does not say which service
       ,-[app/compose.yaml:7:8]
     6 |   d: { extends: { file: other.yaml, service: nobody } }
     7 |   e: { extends: {} }
       :        ^^^^^^^
     8 |   f: { extends: { file: other.yaml, service: f } }
       `----
      help: write `extends: { file: other.yaml, service: name }`, or only the name

      error: `services.f.ports` must be a list, not a mapping
       ,-[app/other.yaml:2:25]
     1 | include: [compose.yaml]
     2 | services: { f: { ports: {} } }
       :                         ^
       `----

      error: tabs disallowed within this context (block indentation)
       ,-[app/tab.yaml:2:2]
     1 | services:
     2 |     a: {}
       :     ^
       `----

    13 problems found
    "#);
}

#[test]
fn a_chain_without_end_is_a_problem_and_not_a_crash() {
    let mut text = "services:\n".to_owned();
    for n in 0..400 {
        text += &format!("  s{n}: {{ extends: s{} }}\n", n + 1);
    }
    text += "  s400: { image: x }\n";
    let (_, told) = asked(&[("compose.yaml", &text)]);
    assert!(told.contains("more than 32 deep"));
    let names: Vec<String> = (0..200).map(|n| format!("f{n}.yaml")).collect();
    let texts: Vec<String> = (0..200).map(|n| format!("include: [f{}.yaml]\n", n + 1)).collect();
    let files: Vec<(&str, &str)> = names
        .iter()
        .zip(&texts)
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    assert!(asked(&files).1.contains("more than 32 deep"));
}
