//! What is no Compose file: told at its place, and never a crash.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::super::Compose;
use super::{WHOLE, problems, source};

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
fn places_are_right_with_windows_line_ends_and_a_byte_order_mark() {
    let text = "\u{feff}# é\r\nservices:\r\n  wéb:\r\n    image: ü\r\n    networks: ['é', b]\r\n";
    let compose = Compose::decode(&source(text)).unwrap();
    let web = &compose.services["wéb"];
    assert_eq!(&text[web.image.as_ref().unwrap().span()], "ü");
    let marked: Vec<&str> = web.networks.iter().map(|name| &text[name.span()]).collect();
    assert_eq!(marked, ["'é'", "b"]);
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
