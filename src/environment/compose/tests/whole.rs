//! What all files of a stack make together.

use insta::assert_snapshot;

use super::super::super::diagnostic::Source;
use super::super::{Compose, Followed, Service, Spanned, follow};

/// The whole of these files; the first is the stack's own.
fn whole(files: &[(&str, &str)]) -> Compose {
    let main = Source::new("app/compose.yaml", files[0].1);
    let Followed { compose, problems, .. } = follow((files[0].0, &main), "app", &|path| {
        let found = files.iter().find(|(name, _)| *name == path);
        found.map(|(_, text)| text.as_bytes().to_vec())
    });
    assert!(problems.is_empty(), "{problems:?}");
    compose
}

fn texts(list: &[Spanned<String>]) -> Vec<&str> {
    list.iter().map(|item| item.get().as_str()).collect()
}

/// The nearest limit of an `extends` wins; a profile of it holds, too; each service is there once.
#[test]
fn a_service_is_whole_with_what_it_extends() {
    let main = "\
include: [more/compose.yaml, more/compose.yaml]
services:
  web:
    extends: { file: parts/base.yaml, service: far }
    networks: [front]
  own:
    image: o:1
    mem_limit: 1g
    scale: 2
    restart: \"no\"
    extends: { file: parts/base.yaml, service: far }
";
    let base = "\
services:
  far:
    image: b:1
    deploy: { replicas: 3 }
    environment: { KEY: \"${KEY}\" }
    extends: near
  near:
    image: n:1
    mem_limit: ${SIZE:-64m}
    profiles: [tools]
    restart: always
    networks: [back]
    secrets: [token]
    volumes: [\"./conf:/conf:ro\", \"../top:/top\", \"/srv:/srv\", \"data:/data\"]
    env_file: near.env
    depends_on: [db]
";
    let more = "\
services:
  worker:
    image: w:1
    deploy: { replicas: 4, resources: { limits: { memory: \"${SIZE}\" } } }
";
    let compose = whole(&[
        ("compose.yaml", main),
        ("parts/base.yaml", base),
        ("more/compose.yaml", more),
        ("more/.env", "SIZE=32m\n"),
    ]);
    let line = |(name, service): (&String, &Service)| {
        format!(
            "{name}: {} {:?} × {:?}, restart {:?}, profiles {:?}, {:?}\n  {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            service.image.as_ref().unwrap().get(),
            service.memory.as_ref().map(Spanned::get),
            service.replicas,
            service.restart,
            service.profiles,
            service.defaults,
            texts(&service.networks),
            texts(&service.binds),
            service.volumes,
            texts(&service.env_files),
            service.secrets,
            service.variables,
            texts(&service.depends_on),
        )
    };
    let lines: Vec<String> = compose.services.iter().map(line).collect();
    assert_snapshot!(lines.join("\n"), @r#"
    own: o:1 Some("1g") × Some(2), restart Some("no"), profiles ["tools"], {}
      ["back"] ["./parts/conf", "./top", "/srv"] {"data"} ["./parts/near.env"] {"token"} {"KEY", "SIZE"} ["db"]
    web: b:1 Some("${SIZE:-64m}") × Some(3), restart Some("always"), profiles ["tools"], {}
      ["front", "back"] ["./parts/conf", "./top", "/srv"] {"data"} ["./parts/near.env"] {"token"} {"KEY", "SIZE"} ["db"]
    worker: w:1 Some("${SIZE}") × Some(4), restart None, profiles [], {"SIZE": "32m"}
      [] [] {} [] {} {"SIZE"} []
    "#);
    let variables: Vec<String> = compose
        .variables
        .iter()
        .map(|variable| format!("{} {} {}", variable.place, variable.name, variable.required))
        .collect();
    assert_snapshot!(variables.join("\n"), @r"
    app/parts/base.yaml:5:25 KEY true
    app/parts/base.yaml:9:16 SIZE false
    ");
}

/// With its paths as they are from the stack's folder, and at the place of the stack's own file where it is asked for.
#[test]
fn an_included_file_is_a_part_of_the_stack() {
    let main = "include:\n  - path: deep/compose.yaml\nservices:\n  web:\n    image: w:1\n";
    let deep = "\
include: [../side/compose.yaml]
services:
  worker:
    image: \"worker:${TAG}\"
    environment: { PASSWORD: \"${PASSWORD}\" }
    volumes: [\"./conf:/conf\"]
    secrets: [key, pass]
    configs: [site]
    mem_limit: 64m
volumes: { data: }
networks: { back: }
secrets: { key: { file: key.txt }, pass: { environment: PASS } }
configs: { site: { file: ../site.conf }, own: { environment: OWN } }
";
    let side = "volumes: { side: { name: \"side-${WHERE}\" } }\n";
    let compose = whole(&[
        ("compose.yaml", main),
        ("deep/compose.yaml", deep),
        ("deep/.env", "TAG=2\n"),
        ("side/compose.yaml", side),
    ]);
    let worker = &compose.services["worker"];
    let place = |span: std::ops::Range<usize>| &main[span];
    assert_eq!(place(worker.image.as_ref().unwrap().span()), "deep/compose.yaml");
    assert_eq!(texts(&worker.binds), ["./deep/conf"]);
    assert_eq!(
        (texts(&compose.volumes), texts(&compose.networks)),
        (vec!["data", "side"], vec!["back"])
    );
    let from = |list: &[(String, Spanned<String>)]| {
        let lines = list.iter().map(|(name, from)| format!("{name}={}", from.get()));
        lines.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(from(&compose.secret_files), "key=./deep/key.txt");
    assert_eq!(from(&compose.config_files), "site=./site.conf");
    assert_eq!(from(&compose.secret_variables), "pass=PASS");
    assert_eq!(from(&compose.config_variables), "own=OWN");
    assert!(compose.shared_variables.contains("WHERE"));
    let variables: Vec<String> = compose
        .variables
        .iter()
        .map(|variable| format!("{} {}", variable.place, variable.name))
        .collect();
    assert_snapshot!(variables.join("\n"), @r"
    app/deep/compose.yaml:5:30 PASSWORD
    app/deep/compose.yaml:12:57 PASS
    app/deep/compose.yaml:13:62 OWN
    app/side/compose.yaml:1:26 WHERE
    ");
}
