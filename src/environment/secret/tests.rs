use insta::assert_snapshot;

use super::super::decode::decode;
use super::super::diagnostic::Source;
use super::*;

fn entries(text: &str) -> Result<Vec<SecretEntry>, String> {
    let text = format!("[machine.local]\n[secrets]\n{text}");
    let source = Source::new("environments/demo.toml", text);
    let environment = decode(&source).map_err(|problems| problems.render(false, 100))?;
    Ok(environment.secrets.values().map(|entry| entry.get().clone()).collect())
}

fn vaulted(name: &str, region: Option<&str>) -> Vaulted {
    Vaulted {
        name: name.to_owned(),
        region: region.map(str::to_owned),
        profile: None,
    }
}

#[test]
fn every_source_is_read() {
    let read = entries(
        r#"A = { generate = 32 }
B = { bundle = true, retention = "48h" }
C = { env = "C" }
D = { file = "d" }
E = { command = ["op", "read"] }
F = { ssm = "/shop/stripe" }
G = { secretsmanager = "shop#key", region = "eu-west-1" }
"#,
    );
    let sources: Vec<SecretSource> = read.unwrap().into_iter().map(|entry| entry.source).collect();
    assert_eq!(
        sources,
        [
            SecretSource::Generate(32),
            SecretSource::Bundle,
            SecretSource::Env("C".into()),
            SecretSource::File("d".into()),
            SecretSource::Command(vec!["op".into(), "read".into()]),
            SecretSource::Ssm(vaulted("/shop/stripe", None)),
            SecretSource::SecretsManager(vaulted("shop#key", Some("eu-west-1"))),
        ]
    );
}

#[test]
fn a_retention_is_a_time() {
    let retention =
        |text: &str| entries(&format!("A = {{ generate = 32, retention = \"{text}\" }}")).map(|all| all[0].retention);
    assert_eq!(retention("48h"), Ok(Some(SignedDuration::from_hours(48))));
    assert_eq!(retention("7d"), Ok(Some(SignedDuration::from_hours(7 * 24))));
    assert_snapshot!(retention("soon").unwrap_err(), @r#"
     error: `soon` is no time to keep an old value: write hours or days such as "48h" or "7d", from a
     | minute to a year
      ,-[environments/demo.toml:3:5]
    2 | [secrets]
    3 | A = { generate = 32, retention = "soon" }
      :     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      `----
    "#);
    assert!(retention("10s").is_err());
    assert!(retention("2 years").is_err());
}

#[test]
fn what_does_not_go_together_is_told_at_its_place() {
    let told = entries(
        r#"A = { generate = 4 }
B = { env = "B", retention = "48h" }
C = { ssm = "/c", secretsmanager = "c" }
D = { region = "eu-west-1" }
E = { bundle = false }
"#,
    );
    assert_snapshot!(told.unwrap_err(), @r#"
      error: `secrets.A.generate` must be at least 8, not 4
       ,-[environments/demo.toml:3:18]
     2 | [secrets]
     3 | A = { generate = 4 }
       :                  ^
     4 | B = { env = "B", retention = "48h" }
       `----
      help: Made once, this many letters and digits long, and kept in the encrypted bundle.

      error: `secrets.B.retention` does not belong here
       ,-[environments/demo.toml:4:18]
     3 | A = { generate = 4 }
     4 | B = { env = "B", retention = "48h" }
       :                  ^^^^^^^^^
     5 | C = { ssm = "/c", secretsmanager = "c" }
       `----
      help: it goes with `bundle`, `generate`

      error: `secrets.C` can be only one thing: `ssm` and `secretsmanager` exclude each other
       ,-[environments/demo.toml:5:19]
     4 | B = { env = "B", retention = "48h" }
     5 | C = { ssm = "/c", secretsmanager = "c" }
       :                   ^^^^^^^^^^^^^^
     6 | D = { region = "eu-west-1" }
       `----
      help: keep one of them

      error: `secrets.D.region` does not belong here
       ,-[environments/demo.toml:6:7]
     5 | C = { ssm = "/c", secretsmanager = "c" }
     6 | D = { region = "eu-west-1" }
       :       ^^^^^^
     7 | E = { bundle = false }
       `----
      help: it goes with `secretsmanager`, `ssm`

    4 problems found
    "#);
    assert_snapshot!(entries("E = { bundle = false }").unwrap_err(), @r"
     error: `bundle` can only be true: the value is kept in the bundle, by `provision secrets set`
      ,-[environments/demo.toml:3:5]
    2 | [secrets]
    3 | E = { bundle = false }
      :     ^^^^^^^^^^^^^^^^^^
      `----
    ");
}
