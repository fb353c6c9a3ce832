use super::*;

fn default_source(folder: &tempfile::TempDir) -> Source {
    Source::Default(folder.path().join("config/provision/identity"))
}

#[test]
fn it_is_made_once_and_then_found() {
    let folder = tempfile::tempdir().unwrap();
    let source = default_source(&folder);
    let (made, created) = Identity::load_or_create_from(&source).unwrap();
    assert!(created);
    assert!(made.notice().contains("config/provision/identity"), "{}", made.notice());
    let (found, created) = Identity::load_or_create_from(&source).unwrap();
    assert!(!created);
    assert_eq!(found.recipient(), made.recipient());
    let mode = fs::metadata(found.origin()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn of_many_that_make_it_at_the_same_time_all_get_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let source = default_source(&folder);
    let found: Vec<_> = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| Identity::load_or_create_from(&source).unwrap()))
            .collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    assert_eq!(found.iter().filter(|(_, created)| *created).count(), 1);
    assert!(
        found
            .iter()
            .all(|(identity, _)| identity.recipient() == found[0].0.recipient())
    );
}

#[test]
fn one_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let source = default_source(&folder);
    let (identity, _) = Identity::load_or_create_from(&source).unwrap();
    fs::set_permissions(identity.origin(), Permissions::from_mode(0o640)).unwrap();
    let error = Identity::load_or_create_from(&source).unwrap_err();
    let text = format!("{error}\nhint: {}", error.remedy());
    insta::assert_snapshot!(text.replace(&folder.path().display().to_string(), "HOME"), @r"
    refused the age identity HOME/config/provision/identity: its mode is 0640, so that others can read it
    hint: run `chmod 600 HOME/config/provision/identity`
    ");
}

#[test]
fn a_text_is_read_as_age_keygen_writes_it() {
    let key = x25519::Identity::generate();
    let text = key.to_string();
    for text in [
        text.expose_secret().to_owned(),
        format!(
            "# created: 2026-11-21\n# public key: {}\n{}\n",
            key.to_public(),
            text.expose_secret()
        ),
    ] {
        let (identity, created) = Identity::load_or_create_from(&Source::Text(Secret::new(text))).unwrap();
        assert!(!created);
        assert_eq!(identity.recipient(), key.to_public().to_string());
        assert_eq!(identity.origin(), "PROVISION_IDENTITY");
    }
}

#[test]
fn what_is_no_identity_is_refused_without_being_quoted() {
    let key = x25519::Identity::generate().to_string();
    let broken = key.expose_secret().trim_end_matches(char::is_alphanumeric).to_owned() + "SECRETPART";
    for text in ["", "# only a comment\n", "AGE-SECRET-KEY-1SECRETPART", &broken] {
        let error = Identity::load_or_create_from(&Source::Text(Secret::new(text))).unwrap_err();
        let shown = format!("{error} {error:?} {}", error.remedy());
        assert!(
            shown.contains("PROVISION_IDENTITY") && !shown.contains("SECRETPART"),
            "{shown}"
        );
    }
    let two = format!("{0}\n{0}\n", key.expose_secret());
    let error = Identity::load_or_create_from(&Source::Text(Secret::new(two))).unwrap_err();
    assert!(error.to_string().ends_with("it holds more than one key"), "{error}");
}

#[test]
fn a_named_file_that_is_missing_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identity");
    let error = Identity::load_or_create_from(&Source::File(path.clone())).unwrap_err();
    assert!(
        error.remedy().starts_with("PROVISION_IDENTITY_FILE names"),
        "{}",
        error.remedy()
    );
    assert!(!path.exists());
}

#[test]
fn an_identity_prints_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let (identity, _) = Identity::load_or_create_from(&default_source(&folder)).unwrap();
    assert!(!format!("{identity:?}").contains("SECRET"));
}

const CHILD_EXPECTS: &str = "PROVISION_TEST_CHILD_EXPECTS";

#[test]
fn child_looks_for_its_identity() {
    if let Ok(expected) = env::var(CHILD_EXPECTS) {
        let found = match Source::from_environment() {
            Ok(Source::Text(text)) => format!("text {}", text.expose()),
            Ok(Source::File(path)) => format!("file {}", path.display()),
            Ok(Source::Default(path)) => format!("default {}", path.display()),
            Err(why) => why.remedy(),
        };
        assert_eq!(found, expected);
    }
}

#[test]
fn the_text_comes_before_the_file_and_the_file_before_the_usual_place() {
    let (text, file) = ((TEXT_VARIABLE, "key"), (FILE_VARIABLE, "/f"));
    let (xdg, home) = (("XDG_CONFIG_HOME", "/x"), ("HOME", "/h"));
    for (variables, expected) in [
        (vec![text, file, xdg, home], "text key"),
        (vec![(TEXT_VARIABLE, ""), home], "text "),
        (vec![file, xdg, home], "file /f"),
        (vec![xdg, home], "default /x/provision/identity"),
        (
            vec![("XDG_CONFIG_HOME", "relative"), home],
            "default /h/.config/provision/identity",
        ),
        (vec![home], "default /h/.config/provision/identity"),
        (
            vec![],
            "set HOME, or PROVISION_IDENTITY_FILE to the identity's file, or PROVISION_IDENTITY to its text",
        ),
    ] {
        let output = std::process::Command::new(env::current_exe().unwrap())
            .args([
                "state::identity::tests::child_looks_for_its_identity",
                "--exact",
                "--quiet",
            ])
            .env_clear()
            .envs(variables)
            .env(CHILD_EXPECTS, expected)
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && shown.contains("1 passed"),
            "{expected}: {shown}"
        );
    }
}
