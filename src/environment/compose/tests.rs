use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

const WHOLE: &str = r#"
name: ignored
x-defaults: &defaults
  restart: unless-stopped
  ports: ["9000:9000"]
services:
  web:
    <<: *defaults
    image: "app:${TAG:-1}"
    build: .
    depends_on: { db: { condition: service_healthy } }
    env_file:
      - web.env
      - { path: extra.env, required: false }
    volumes:
      - ./conf:/etc/app:ro
      - data:/data
      - /srv/files:/files
      - { type: bind, source: ./site, target: /site }
      - { type: volume, source: data, target: /more }
    deploy: { replicas: 2 }
    profiles: [debug]
    privileged: ${PRIVILEGED:-false}
    secrets: [token]
    healthcheck: { test: ["CMD", "true"] }
  db:
    image: postgres:17
    network_mode: host
    depends_on: [web]
    healthcheck: { disable: true }
    privileged: false
    scale: 3
volumes: { data: }
networks: { inner: {} }
secrets:
  token: { file: ./token.txt }
  other: { environment: OTHER }
configs:
  site: { file: site.conf }
"#;

fn source(text: &str) -> Source {
    Source::new("compose/app/compose.yaml", text)
}

fn problems(text: &str) -> String {
    Compose::decode(&source(text)).unwrap_err().render(false, 100)
}

fn texts(list: &[Spanned<String>]) -> Vec<&str> {
    list.iter().map(|item| item.get().as_str()).collect()
}

#[test]
fn the_view_sees_what_matters() {
    let compose = Compose::decode(&source(WHOLE)).unwrap();
    let web = &compose.services["web"];
    assert_eq!(&WHOLE[web.span.clone()], "web");
    assert_eq!(web.image.as_ref().unwrap().get(), "app:${TAG:-1}");
    assert_eq!(&WHOLE[web.build.clone().unwrap()], "build");
    assert_eq!(texts(&web.depends_on), ["db"]);
    assert_eq!(texts(&web.env_files), ["web.env"]);
    assert_eq!(texts(&web.binds), ["./conf", "/srv/files", "./site"]);
    assert_eq!(web.relative_binds().count(), 2);
    assert_eq!(web.replicas, Some(2));
    assert_eq!(web.profiles, ["debug"]);
    assert_eq!(web.restart.as_deref(), Some("unless-stopped"), "through the merge key");
    assert!(web.healthcheck);
    let db = &compose.services["db"];
    assert_eq!((db.healthcheck, db.replicas), (false, Some(3)));
    assert_eq!(texts(&compose.volumes), ["data"]);
    assert_eq!(texts(&compose.networks), ["inner"]);
    let files =
        |list: &[(String, Spanned<String>)]| list.iter().map(|(_, file)| file.get().clone()).collect::<Vec<_>>();
    assert_eq!(files(&compose.secret_files), ["./token.txt"]);
    assert_eq!(files(&compose.config_files), ["site.conf"]);
}

#[test]
fn named_volumes_are_told_from_paths() {
    let text = r#"services:
  db:
    volumes:
      - data:/var/lib/db
      - socket_1.x:/run/db:ro
      - ./conf:/etc/db
      - /srv:/srv
      - ~/keys:/keys
      - ${ROOT:-/var/lib/docker}/containers:/logs:ro
      - /anonymous
      - { type: volume, source: more, target: /more }
      - { type: volume, target: /unnamed }
      - { type: bind, source: ./site, target: /site }
"#;
    let compose = Compose::decode(&source(text)).unwrap();
    let names: Vec<&str> = compose.services["db"].volumes.iter().map(String::as_str).collect();
    assert_eq!(names, ["data", "more", "socket_1.x"]);
}

/// What the services of these files ask for, a line each; and what could not be followed.
fn claims(files: &[(&str, &str)]) -> (Vec<String>, String) {
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
    let (lines, told) = claims(&[("compose.yaml", WHOLE)]);
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
    assert_snapshot!(claims(&[("compose.yaml", text)]).0.join("\n"), @r#"
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
    let (lines, told) = claims(&files);
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
    let (_, told) = claims(&files);
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
    let (_, told) = claims(&[("compose.yaml", &text)]);
    assert!(told.contains("more than 32 deep"));
    let names: Vec<String> = (0..200).map(|n| format!("f{n}.yaml")).collect();
    let texts: Vec<String> = (0..200).map(|n| format!("include: [f{}.yaml]\n", n + 1)).collect();
    let files: Vec<(&str, &str)> = names
        .iter()
        .zip(&texts)
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    assert!(claims(&files).1.contains("more than 32 deep"));
}

#[test]
fn published_ports_are_seen_in_each_syntax() {
    let text = r#"services:
  db:
    ports:
      - 5432
      - "5432:5432"
      - 5433:5432/udp
      - 127.0.0.1:5434:5432
      - "[::1]:5435:5432"
      - "::1:5436:5432"
      - 3000-3005:3000-3005
      - "127.0.0.1::5432"
      - ${PORT:-5437}:5432
      - "${IP:-0.0.0.0}:5438:5432/${PROTO:-tcp}"
      - { target: 5432 }
      - target: 5432
        published: "5439"
        host_ip: 127.0.0.1
        protocol: udp
        mode: host
"#;
    let compose = Compose::decode(&source(text)).unwrap();
    let line = |port: &Port| {
        let place = source(text).at(port.span.clone()).to_string();
        let (ip, host) = (
            port.host_ip.as_deref().unwrap_or("-"),
            port.published.as_deref().unwrap_or("-"),
        );
        let place = place.trim_start_matches("compose/app/compose.yaml:");
        format!("{place} {} = {ip} {host} {} {}", port.text, port.target, port.protocol)
    };
    let lines: Vec<String> = compose.services["db"].ports.iter().map(line).collect();
    assert_snapshot!(lines.join("\n"), @r#"
    4:9 5432 = - - 5432 tcp
    5:9 5432:5432 = - 5432 5432 tcp
    6:9 5433:5432/udp = - 5433 5432 udp
    7:9 127.0.0.1:5434:5432 = 127.0.0.1 5434 5432 tcp
    8:9 [::1]:5435:5432 = ::1 5435 5432 tcp
    9:9 ::1:5436:5432 = ::1 5436 5432 tcp
    10:9 3000-3005:3000-3005 = - 3000-3005 3000-3005 tcp
    11:9 127.0.0.1::5432 = 127.0.0.1 - 5432 tcp
    12:9 ${PORT:-5437}:5432 = - ${PORT:-5437} 5432 tcp
    13:9 ${IP:-0.0.0.0}:5438:5432/${PROTO:-tcp} = ${IP:-0.0.0.0} 5438 5432 ${PROTO:-tcp}
    14:11 5432 = - - 5432 tcp
    15:9 127.0.0.1:5439:5432 = 127.0.0.1 5439 5432 udp
    "#);
    assert_eq!(claims(&[("compose.yaml", text)]).0.len(), 12);
}

#[test]
fn what_is_no_compose_file_is_told() {
    assert_snapshot!(problems(""), @r#"
    error: a Compose file needs `services`
     ,-[compose/app/compose.yaml:1:1]
     `----
    help: add `services:` with at least one service
    "#);
    assert_snapshot!(problems("services: [a]\n"), @r#"
     error: `services` must be a mapping of services, not a list
      ,-[compose/app/compose.yaml:1:11]
    1 | services: [a]
      :           ^
      `----
    "#);
    assert_snapshot!(problems("services:\n  a:\n  b:\n    ports: 80\n    volumes: { a: b }\n  c:\n    ports: [[80], \"http:80\", true]\n    image: [x]\n"), @r#"
      error: `services.a` is empty, it must be a mapping
       ,-[compose/app/compose.yaml:2:4]
     1 | services:
     2 |   a:
       :    ^
     3 |   b:
       `----

      error: `services.b.ports` must be a list, not a number
       ,-[compose/app/compose.yaml:4:12]
     3 |   b:
     4 |     ports: 80
       :            ^^
     5 |     volumes: { a: b }
       `----

      error: `services.b.volumes` must be a list, not a mapping
       ,-[compose/app/compose.yaml:5:14]
     4 |     ports: 80
     5 |     volumes: { a: b }
       :              ^
     6 |   c:
       `----

      error: `services.c.ports` must be ports such as "127.0.0.1:8080:80", not a list
       ,-[compose/app/compose.yaml:7:13]
     6 |   c:
     7 |     ports: [[80], "http:80", true]
       :             ^
     8 |     image: [x]
       `----

      error: `services.c.ports` must be ports such as "127.0.0.1:8080:80", not a text
       ,-[compose/app/compose.yaml:7:19]
     6 |   c:
     7 |     ports: [[80], "http:80", true]
       :                   ^^^^^^^^^
     8 |     image: [x]
       `----

      error: `services.c.ports` must be ports such as "127.0.0.1:8080:80", not true or false
       ,-[compose/app/compose.yaml:7:30]
     6 |   c:
     7 |     ports: [[80], "http:80", true]
       :                              ^^^^
     8 |     image: [x]
       `----

      error: `services.c.image` must be a text, not a list
       ,-[compose/app/compose.yaml:8:12]
     7 |     ports: [[80], "http:80", true]
     8 |     image: [x]
       :            ^
       `----

    7 problems found
    "#);
}

#[test]
fn yaml_mistakes_have_their_place() {
    assert_snapshot!(problems("services:\n  a:\n    image: x\n    image: y\n"), @r#"
     error: `image` is given twice
      ,-[compose/app/compose.yaml:4:5]
    3 |     image: x
    4 |     image: y
      :     ^^^^^
      `----
     help: keep one of them
    "#);
    assert_snapshot!(problems("services:\n  a:\n\timage: x\n"), @r#"
     error: tabs disallowed within this context (block indentation)
      ,-[compose/app/compose.yaml:3:2]
    2 |   a:
    3 |     image: x
      :     ^
      `----
    "#);
    assert_snapshot!(problems("services:\n  ä: { image: \"ü\n"), @r#"
     error: unclosed quote
      ,-[compose/app/compose.yaml:2:15]
    1 | services:
    2 |   ä: { image: "ü
      :               ^
      `----
    "#);
    assert_snapshot!(problems("services: {}\n---\nservices: {}\n"), @r#"
     error: the file holds more than one YAML document
      ,-[compose/app/compose.yaml:3:1]
    2 | ---
    3 | services: {}
      : ^
      `----
     help: keep one, without `---`
    "#);
    assert_snapshot!(problems("services:\n  a: *nothing\n"), @r#"
     error: alias references unknown anchor
      ,-[compose/app/compose.yaml:2:6]
    1 | services:
    2 |   a: *nothing
      :      ^
      `----
    "#);
}

#[test]
fn an_alias_bomb_is_a_problem_and_not_a_crash() {
    let mut text = "a0: &a0 [x, x]\n".to_owned();
    for n in 1..40 {
        text += &format!("a{n}: &a{n} [*a{}, *a{}]\n", n - 1, n - 1);
    }
    Compose::decode(&source(&text)).unwrap_err();
}

#[test]
fn deep_nesting_is_a_problem_and_not_a_crash() {
    Compose::decode(&source(&format!("services: {}", "[".repeat(100_000)))).unwrap_err();
}

#[test]
fn an_include_alone_is_a_compose_file() {
    let compose = Compose::decode(&source("include: [other.yaml]\n")).unwrap();
    assert!(compose.include.is_some() && compose.services.is_empty());
}

#[test]
fn variables_are_seen_with_what_they_need() {
    let text = r#"services:
  web:
    image: "app:${TAG:-1}"
    environment:
      URL: ${URL}
      OTHER: "$OTHER and ${MUST:?tell me} and ${A:-${B}} and $$NONE and $${NONE} and ${C+x}"
"#;
    let compose = Compose::decode(&source(text)).unwrap();
    let line = |v: &Variable| format!("{} {}", v.name, if v.required { "required" } else { "optional" });
    let lines: Vec<String> = compose.variables.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "TAG optional",
            "URL required",
            "OTHER required",
            "MUST required",
            "A optional",
            "B optional",
            "C optional"
        ]
    );
    assert_eq!(&text[compose.variables[1].span.clone()], "${URL}");
}

#[test]
fn places_are_right_with_windows_line_ends_and_a_byte_order_mark() {
    let text = "\u{feff}# é\r\nservices:\r\n  wéb:\r\n    image: ü\r\n    ports: ['80:80', 81:81]\r\n";
    let compose = Compose::decode(&source(text)).unwrap();
    let (name, web) = compose.services.first_key_value().unwrap();
    assert_eq!((name.as_str(), &text[web.span.clone()]), ("wéb", "wéb"));
    let marked: Vec<&str> = web.ports.iter().map(|port| &text[port.span.clone()]).collect();
    assert_eq!(marked, ["'80:80'", "81:81"]);
}

#[test]
fn merge_keys_override_as_yaml_says() {
    let text = "x-a: &a { image: a:1, privileged: true }\nx-b: &b { image: b:1, restart: always }\nservices:\n  web:\n    <<: [*a, *b]\n    privileged: false\n";
    let compose = Compose::decode(&source(text)).unwrap();
    let web = &compose.services["web"];
    assert_eq!(web.image.as_ref().unwrap().get(), "a:1");
    assert_eq!(web.restart.as_deref(), Some("always"));
    assert_eq!(claims(&[("compose.yaml", text)]).0, Vec::<String>::new());
}

fn check_places(text: &str) -> Result<(), TestCaseError> {
    let Err(problems) = Compose::decode(&source(text)) else {
        return Ok(());
    };
    for problem in problems.iter() {
        prop_assert!(text.get(problem.span.clone()).is_some(), "{problem:?}");
    }
    prop_assert!(!problems.render(false, 80).is_empty());
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_read_or_told(text in any::<String>()) {
        check_places(&text)?;
    }

    #[test]
    fn any_damage_is_read_or_told(at in 0..WHOLE.len(), cut in 0_usize..20, put in "\\PC{0,5}") {
        let mut bytes = WHOLE.as_bytes().to_vec();
        bytes.splice(at..(at + cut).min(WHOLE.len()), put.bytes());
        if let Ok(text) = String::from_utf8(bytes) {
            check_places(&text)?;
        }
    }

    #[test]
    fn any_port_like_text_is_read_or_told(port in r#"[\[\]{}$:/0-9a-c.-]{0,12}"#) {
        check_places(&format!("services:\n  a:\n    ports:\n    - {port}\n    - \"{port}\"\n"))?;
    }
}

#[test]
fn what_a_service_takes_from_the_stack_is_known_by_name() {
    let text = "\
services:
  web:
    image: web:${TAG:-1}
    environment:
      URL: postgres://u:${PASSWORD}@db
      TOKEN:
    secrets: [api, {source: tls, target: /tls}]
  worker:
    image: web:1
    environment: [QUEUE, MODE=fast]
    configs: [site]
volumes:
  data: { name: \"data-${SUFFIX:-x}\" }
";
    let compose = Compose::decode(&source(text)).unwrap();
    let names = |all: &BTreeSet<String>| all.iter().cloned().collect::<Vec<_>>().join(" ");
    let web = &compose.services["web"];
    assert_eq!(names(&web.variables), "PASSWORD TAG TOKEN");
    assert_eq!(
        (names(&web.secrets), names(&web.configs)),
        ("api tls".into(), String::new())
    );
    let worker = &compose.services["worker"];
    assert_eq!(
        (names(&worker.variables), names(&worker.configs)),
        ("QUEUE".into(), "site".into())
    );
    assert_eq!(names(&compose.shared_variables), "SUFFIX");
}
