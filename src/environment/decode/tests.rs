use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

const DEMO: &str = r#"
domain = "shop.example.com"
protect = true

[machine.local]
image = "debian-13"
cpus = 2
acceleration = "tcg"

[data]
volume_gib = 5

[tls]
mode = "internal"

[vars]
customer = "acme"

[secrets]
API_KEY = { env = "API_KEY" }
PEPPER = { generate = 48 }

[stacks.postgres]
databases = ["shop"]
[stacks.app]
path = "../app"
env = { DATABASE_URL = "{{stacks.postgres.url.shop}}" }
scale = { worker = 3 }
debug = true

[routes]
"/" = "web:8000"

[images]
"app:1" = "app.tar"
"#;

fn source(text: &str) -> Source {
    Source::new("environments/demo.toml", text)
}

fn problems(text: &str) -> String {
    decode(&source(text)).unwrap_err().render(false, 100)
}

#[test]
fn the_demo_file_has_no_problems() {
    let environment = decode(&source(DEMO)).unwrap();
    let (name, app) = environment.stacks.iter().find(|(name, _)| name.get() == "app").unwrap();
    assert_eq!(&DEMO[name.span()], "app");
    assert_eq!(app.scale.values().next().unwrap().get(), &3);
    assert_eq!(app.parameters.len(), 1, "{:?}", app.parameters);
    let url = app.env.values().next().unwrap();
    assert_eq!(&DEMO[url.span()], "\"{{stacks.postgres.url.shop}}\"");
}

#[test]
fn the_least_file_has_no_problems() {
    decode(&source("[machine.local]")).unwrap();
}

#[test]
fn a_misspelt_key_is_told_with_the_nearest_one() {
    assert_snapshot!(problems("protct = true\n\n[machine.local]\n"), @r#"
     error: unknown key `protct`
      ,-[environments/demo.toml:1:1]
    1 | protct = true
      : ^^^|^^
      :    `-- unknown
    2 |
      `----
     help: did you mean `protect`? there are: access, data, dns, domain, edge, images, machine,
           network, protect, routes, secrets, stacks, state, tls, ttl, vars
    "#);
}

#[test]
fn a_misspelt_key_of_a_table_is_told() {
    assert_snapshot!(problems("[machine.local]\n[tls]\nmdoe = \"internal\"\n"), @r#"
     error: unknown key `tls.mdoe`
      ,-[environments/demo.toml:3:1]
    2 | [tls]
    3 | mdoe = "internal"
      : ^^|^
      :   `-- unknown
      `----
     help: did you mean `mode`? there are: certificate, directory, directory_root, email, key, mode
    "#);
}

#[test]
fn a_misspelt_key_of_the_provider_is_told() {
    assert_snapshot!(problems("[machine.local]\nmemory_gb = 4\n"), @r#"
     error: unknown key `machine.local.memory_gb`
      ,-[environments/demo.toml:2:1]
    1 | [machine.local]
    2 | memory_gb = 4
      : ^^^^|^^^^
      :     `-- unknown
      `----
     help: did you mean `memory_gib`? there are: acceleration, boot, cpus, disk_gib, image,
           memory_gib, sha512
    "#);
}

#[test]
fn a_wrong_type_is_told_with_what_would_be_right() {
    assert_snapshot!(problems("domain = 5\nprotect = \"yes\"\n[machine.local]\ncpus = \"2\"\nmemory_gib = -1\ndisk_gib = 2.5\n"), @r#"
      error: `domain` must be a text, not a whole number
       ,-[environments/demo.toml:1:10]
     1 | domain = 5
       :          ^
     2 | protect = "yes"
       `----
      help: write "5" with quotes

      error: `protect` must be true or false, not a text
       ,-[environments/demo.toml:2:11]
     1 | domain = 5
     2 | protect = "yes"
       :           ^^^^^
     3 | [machine.local]
       `----
      help: write true without quotes

      error: `machine.local.cpus` must be a whole number, not a text
       ,-[environments/demo.toml:4:8]
     3 | [machine.local]
     4 | cpus = "2"
       :        ^^^
     5 | memory_gib = -1
       `----
      help: write 2 without quotes

      error: `machine.local.memory_gib` must be at least 0, not -1
       ,-[environments/demo.toml:5:14]
     4 | cpus = "2"
     5 | memory_gib = -1
       :              ^^
     6 | disk_gib = 2.5
       `----
      help: Memory in GiB.

      error: `machine.local.disk_gib` must be a whole number, not a number with a fraction
       ,-[environments/demo.toml:6:12]
     5 | memory_gib = -1
     6 | disk_gib = 2.5
       :            ^^^
       `----
      help: Root disk in GiB.

    5 problems found
    "#);
}

#[test]
fn several_mistakes_are_told_at_once_in_their_order() {
    assert_snapshot!(problems("[machine.local]\nimge = \"x\"\n[data]\n[secrets]\nA = {}\nB = { env = \"x\", file = \"y\" }\nC = { generat = 3 }\n[stacks.app]\nscale = { web = \"two\" }\nlevel = 1.5\n"), @r#"
      error: unknown key `machine.local.imge`
       ,-[environments/demo.toml:2:1]
     1 | [machine.local]
     2 | imge = "x"
       : ^^|^
       :   `-- unknown
     3 | [data]
       `----
      help: did you mean `image`? there are: acceleration, boot, cpus, disk_gib, image, memory_gib,
            sha512

      error: `data.volume_gib` is missing
       ,-[environments/demo.toml:3:2]
     2 | imge = "x"
     3 | [data]
       :  ^^^^
     4 | [secrets]
       `----
      help: Size in GiB. It can grow, never shrink.

      error: `secrets.A` is empty
       ,-[environments/demo.toml:5:1]
     4 | [secrets]
     5 | A = {}
       : ^
     6 | B = { env = "x", file = "y" }
       `----
      help: give it one of `bundle`, `command`, `env`, `file`, `generate`, `secretsmanager`, `ssm`

      error: `secrets.B` can be only one thing: `env` and `file` exclude each other
       ,-[environments/demo.toml:6:18]
     5 | A = {}
     6 | B = { env = "x", file = "y" }
       :                  ^^^^
     7 | C = { generat = 3 }
       `----
      help: keep one of them

      error: unknown key `secrets.C.generat`
       ,-[environments/demo.toml:7:7]
     6 | B = { env = "x", file = "y" }
     7 | C = { generat = 3 }
       :       ^^^|^^^
       :          `-- unknown
     8 | [stacks.app]
       `----
      help: did you mean `generate`? there are: bundle, command, env, file, generate, secretsmanager,
            ssm, profile, region, retention

      error: `stacks.app.scale.web` must be a whole number, not a text
        ,-[environments/demo.toml:9:17]
      8 | [stacks.app]
      9 | scale = { web = "two" }
        :                 ^^^^^
     10 | level = 1.5
        `----

      error: `stacks.app.level` must be a whole number, true or false, a text or a list of texts, not
      | a number with a fraction
        ,-[environments/demo.toml:10:9]
      9 | scale = { web = "two" }
     10 | level = 1.5
        :         ^^^
        `----

    7 problems found
    "#);
}

#[test]
fn a_syntax_error_stands_alone() {
    assert_snapshot!(problems("protct = true\n[machine.local\ncpus = 2\n"), @r#"
     error: unclosed table, expected `]`
      ,-[environments/demo.toml:2:14]
    1 | protct = true
    2 | [machine.local
      :              ^
    3 | cpus = 2
      `----
    "#);
    assert_snapshot!(problems("domain = \"shop\n[machine.local]\n"), @r#"
     error: invalid basic string, expected `"`
      ,-[environments/demo.toml:1:14]
    1 | domain = "shop
      :              ^
    2 | [machine.local]
      `----
    "#);
    assert_snapshot!(problems("domain = \n[machine.local]\nimages = ["), @r#"
     error: string values must be quoted, expected literal string
      ,-[environments/demo.toml:1:9]
    1 | domain =
      :         ^
    2 | [machine.local]
      `----
    "#);
}

#[test]
fn a_missing_machine_is_told() {
    assert_snapshot!(problems("domain = \"a.example.com\"\n"), @r#"
     error: `machine` is missing
      ,-[environments/demo.toml:1:1]
    1 | domain = "a.example.com"
      : ^
      `----
     help: add one of [machine.aws], [machine.digitalocean], [machine.local], [machine.ssh]
    "#);
    assert_snapshot!(problems("[machine]\n"), @r#"
     error: `machine` is empty
      ,-[environments/demo.toml:1:2]
    1 | [machine]
      :  ^^^^^^^
      `----
     help: add one of [machine.aws], [machine.digitalocean], [machine.local], [machine.ssh]
    "#);
}

#[test]
fn an_unknown_provider_is_told() {
    assert_snapshot!(problems("[machine.locl]\ncpus = 2\n"), @r#"
     error: unknown provider `locl`
      ,-[environments/demo.toml:1:10]
    1 | [machine.locl]
      :          ^^|^
      :            `-- unknown
    2 | cpus = 2
      `----
     help: did you mean `local`? there are: aws, digitalocean, local, ssh
    "#);
    assert_snapshot!(problems("[machine.local]\n[machine.gcp]\nhost = \"x\"\n"), @r#"
     error: unknown provider `gcp`
      ,-[environments/demo.toml:2:10]
    1 | [machine.local]
    2 | [machine.gcp]
      :          ^|^
      :           `-- unknown
    3 | host = "x"
      `----
     help: there are: aws, digitalocean, local, ssh
    "#);
}

#[test]
fn an_unknown_word_is_told_with_the_nearest_one() {
    assert_snapshot!(problems("[machine.local]\nacceleration = \"kvn\"\n[tls]\nmode = \"letsencrypt\"\n"), @r#"
      error: `machine.local.acceleration` cannot be `kvn`
       ,-[environments/demo.toml:2:16]
     1 | [machine.local]
     2 | acceleration = "kvn"
       :                ^^|^^
       :                  `-- unknown
     3 | [tls]
       `----
      help: did you mean `kvm`? it is one of auto, kvm, hvf, tcg

      error: `tls.mode` cannot be `letsencrypt`
       ,-[environments/demo.toml:4:8]
     3 | [tls]
     4 | mode = "letsencrypt"
       :        ^^^^^^|^^^^^^
       :              `-- unknown
       `----
      help: it is one of acme, acme-staging, internal, files

    2 problems found
    "#);
}

#[test]
fn a_key_given_twice_is_told() {
    assert_snapshot!(problems("domain = \"a\"\nprotect = true\ndomain = \"b\"\n[machine.local]\n[machine.local]\n"), @r#"
      error: `domain` is given twice
       ,-[environments/demo.toml:3:1]
     2 | protect = true
     3 | domain = "b"
       : ^^^^^^
     4 | [machine.local]
       `----
      help: keep one of them

      error: `local` is given twice
       ,-[environments/demo.toml:5:10]
     4 | [machine.local]
     5 | [machine.local]
       :          ^^^^^
       `----
      help: keep one of them

    2 problems found
    "#);
}

#[test]
fn places_are_right_behind_letters_of_many_bytes() {
    assert_snapshot!(problems("# Größe\nvars = { \"größe\" = \"ü\", naïve = 3 }\n[machine.local]\n"), @r#"
     error: invalid unquoted key, expected letters, numbers, `-`, `_`
      ,-[environments/demo.toml:2:27]
    1 | # Größe
    2 | vars = { "größe" = "ü", naïve = 3 }
      :                           ^
    3 | [machine.local]
      `----
    "#);
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_fine() {
    let text = format!("\u{feff}{}", DEMO.replace('\n', "\r\n"));
    decode(&source(&text)).unwrap();
    let wrong = "\u{feff}domain = \"a\"\r\nprotct = true\r\n[machine.local]\r\n";
    assert_snapshot!(problems(wrong), @r#"
     error: unknown key `protct`
      ,-[environments/demo.toml:2:1]
    1 | ﻿domain = "a"
    2 | protct = true
      : ^^^|^^
      :    `-- unknown
    3 | [machine.local]
      `----
     help: did you mean `protect`? there are: access, data, dns, domain, edge, images, machine,
           network, protect, routes, secrets, stacks, state, tls, ttl, vars
    "#);
}

#[test]
fn what_is_no_text_is_told() {
    assert_snapshot!(problems("d\0o\0m\0a\0"), @r#"
     error: the file holds a NUL byte: it is not text, or it is UTF-16
      ,-[environments/demo.toml:1:2]
    1 | d?o?m?a?
      :  ^
      `----
     help: save it as UTF-8
    "#);
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let report = problems("\"\\u001b[31m\" = 1\n# \u{1b}[2J\n[machine.local]\n");
    assert!(!report.contains('\u{1b}'), "{report}");
    assert_snapshot!(problems("[machine.local]\nacceleration = \"\\u001b[31m\"\n"), @r#"
     error: `machine.local.acceleration` cannot be `?[31m`
      ,-[environments/demo.toml:2:16]
    1 | [machine.local]
    2 | acceleration = "\u001b[31m"
      :                ^^^^^^|^^^^^
      :                      `-- unknown
      `----
     help: it is one of auto, kvm, hvf, tcg
    "#);
}

#[test]
fn a_line_of_a_thousand_letters_is_not_quoted() {
    assert_snapshot!(problems(&format!("domain = {}\n[machine.local]\n", "1".repeat(1000))), @r#"
    error: environments/demo.toml:1:10: `domain` must be a text, not a whole number
      help: The host name that the system answers to. Without one, the machine's own address is used.
    "#);
}

#[test]
fn deep_nesting_is_a_problem_and_not_a_crash() {
    decode(&source(&format!("vars = {}", "[".repeat(100_000)))).unwrap_err();
    decode(&source(&"a.".repeat(100_000))).unwrap_err();
    decode(&source(&format!("{}b = 1", "a.".repeat(100_000)))).unwrap_err();
    decode(&source(&format!("[{}b]", "a.".repeat(100_000)))).unwrap_err();
}

#[test]
fn the_place_of_a_key_is_found_by_its_path() {
    let source = source(DEMO);
    let key = |path: &[&str]| &DEMO[source.span_of(path)];
    let value = |path: &[&str]| &DEMO[source.value_span_of(path)];
    assert_eq!(key(&["stacks", "postgres", "databases"]), "databases");
    assert_eq!(value(&["stacks", "postgres", "databases"]), "[\"shop\"]");
    assert_eq!(key(&["stacks", "postgres", "databases", "0"]), "\"shop\"");
    assert_eq!(key(&["stacks", "app"]), "app");
    assert_eq!(key(&["routes", "/"]), "\"/\"");
    assert_eq!(key(&["stacks", "app", "nothing", "here"]), "app");
    assert_eq!(key(&["nothing"]), "");
}

/// Every problem of a text lies in it, on characters' borders, and can be shown.
fn check_places(text: &str) -> Result<(), TestCaseError> {
    let Err(problems) = decode(&source(text)) else {
        return Ok(());
    };
    prop_assert!(problems.iter().count() > 0);
    for problem in problems.iter() {
        prop_assert!(text.get(problem.span.clone()).is_some(), "{problem:?}");
    }
    for color in [false, true] {
        prop_assert!(!problems.render(color, 80).is_empty());
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_read_or_told(text in any::<String>()) {
        check_places(&text)?;
    }

    #[test]
    fn any_toml_like_text_is_read_or_told(text in r#"([a-zé"'\[\]{}=., \n\r\t#0-9_-]|domain|machine|local|stacks|secrets|env|true){0,60}"#) {
        check_places(&text)?;
    }

    #[test]
    fn any_damage_to_the_demo_is_read_or_told(at in 0..DEMO.len(), cut in 0_usize..20, put in "\\PC{0,5}") {
        let mut bytes = DEMO.as_bytes().to_vec();
        bytes.splice(at..(at + cut).min(DEMO.len()), put.bytes());
        if let Ok(text) = String::from_utf8(bytes) {
            check_places(&text)?;
        }
    }
}
