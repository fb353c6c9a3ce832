//! What the view sees of a Compose file.

mod claims;
mod mistakes;
mod whole;

use insta::assert_snapshot;

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
    assert_eq!(web.image.as_ref().unwrap().get(), "app:${TAG:-1}");
    assert_eq!(texts(&web.depends_on), ["db"]);
    assert_eq!(texts(&web.env_files), ["web.env"]);
    assert_eq!(texts(&web.binds), ["./conf", "/srv/files", "./site"]);
    assert_eq!(web.relative_binds().count(), 2);
    assert_eq!(web.replicas, Some(2));
    assert_eq!(web.profiles, ["debug"]);
    assert_eq!(web.restart.as_deref(), Some("unless-stopped"), "through the merge key");
    assert_eq!(compose.services["db"].replicas, Some(3));
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
    let root = yaml::parse(&source(text)).unwrap();
    let db = root.get("services").unwrap().1.get("db").unwrap().1;
    let line = |node: &Node| {
        let port = ports::port(&source(text), node).unwrap();
        let place = source(text).at(port.span.clone()).to_string();
        let (ip, host) = (
            port.host_ip.as_deref().unwrap_or("-"),
            port.published.as_deref().unwrap_or("-"),
        );
        let place = place.trim_start_matches("compose/app/compose.yaml:");
        format!("{place} {} = {ip} {host} {} {}", port.text, port.target, port.protocol)
    };
    let lines: Vec<String> = db.get("ports").unwrap().1.items().iter().map(line).collect();
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
    assert_eq!(claims::asked(&[("compose.yaml", text)]).0.len(), 12);
}

#[test]
fn an_include_alone_is_a_compose_file() {
    let compose = Compose::decode(&source("include: [other.yaml]\n")).unwrap();
    assert!(compose.services.is_empty());
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
    assert_eq!(&text[compose.variables[1].place.span.clone()], "${URL}");
}

#[test]
fn merge_keys_override_as_yaml_says() {
    let text = "x-a: &a { image: a:1, privileged: true }\nx-b: &b { image: b:1, restart: always }\nservices:\n  web:\n    <<: [*a, *b]\n    privileged: false\n";
    let compose = Compose::decode(&source(text)).unwrap();
    let web = &compose.services["web"];
    assert_eq!(web.image.as_ref().unwrap().get(), "a:1");
    assert_eq!(web.restart.as_deref(), Some("always"));
    assert_eq!(claims::asked(&[("compose.yaml", text)]).0, Vec::<String>::new());
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
