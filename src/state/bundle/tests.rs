use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::super::identity::Source;
use super::super::keys::SshKey;
use super::*;

fn identity(folder: &Path, name: &str) -> Identity {
    Identity::load_or_create_from(&Source::Default(folder.join(name)))
        .unwrap()
        .0
}

fn file(store: &BundleStore) -> PathBuf {
    match store.place() {
        Place::Path(path) => path,
        other => panic!("{other}"),
    }
}

fn lineage() -> Lineage {
    Lineage::from_bytes([7; 16])
}

fn bundle() -> Bundle {
    let key = SshKey::generate("demo").unwrap();
    let mut bundle = Bundle {
        secrets: BTreeMap::from([("POSTGRES_PASSWORD".to_owned(), Secret::new("hunter2-former"))]),
        kept: BTreeMap::new(),
        keys: BTreeMap::from([(CLIENT_KEY.to_owned(), key.private_openssh.clone())]),
    };
    let now = "2026-11-21T10:00:00Z".parse().unwrap();
    let value = Secret::new("hunter2-\"quoted\"\n");
    bundle.put("POSTGRES_PASSWORD", value, Maker::Set, true, now);
    bundle
}

#[test]
fn what_is_saved_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let identity = identity(folder.path(), "identity");
    let store = BundleStore::new(&Storage::local(&folder.path().join("demo")), &lineage());
    assert!(store.load(&identity).unwrap().is_none());
    let bundle = bundle();
    store.save(&bundle, &identity).unwrap();
    assert_eq!(store.load(&identity).unwrap(), Some(bundle));
    assert_eq!(fs::metadata(file(&store)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn no_file_holds_a_secret_in_the_clear() {
    let folder = tempfile::tempdir().unwrap();
    let identity = identity(folder.path(), "identity");
    let inside = folder.path().join("demo");
    let store = BundleStore::new(&Storage::local(&inside), &lineage());
    let bundle = bundle();
    store.save(&bundle, &identity).unwrap();
    store.save(&bundle, &identity).unwrap();
    let names: Vec<_> = fs::read_dir(&inside)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none_or(|extension| extension != "guard"))
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for path in names {
        let bytes = fs::read(&path).unwrap();
        for needle in ["hunter2", "OPENSSH", "POSTGRES_PASSWORD", "AGE-SECRET"] {
            assert!(
                !bytes.windows(needle.len()).any(|window| window == needle.as_bytes()),
                "{needle} in {}",
                path.display()
            );
        }
    }
    assert!(!format!("{bundle:?}").contains("hunter2"));
}

#[test]
fn the_plaintext_never_outgrows_its_buffer() {
    let secrets = BTreeMap::from([("A".to_owned(), Secret::new("\u{1}".repeat(5000)))]);
    let mut bundle = Bundle {
        secrets,
        ..Bundle::default()
    };
    let plain = encode(&bundle, &lineage()).unwrap();
    assert!(plain.len() > 30_000);
    let first_reserved = 256 + (1 + 5000) * 6 + 16;
    assert_eq!(plain.capacity(), first_reserved);

    let now = "2026-11-21T10:00:00.123456789Z".parse().unwrap();
    for value in ["\u{2}", "\u{3}", "\u{4}"] {
        bundle.put("A", Secret::new(value.repeat(5000)), Maker::Generated, true, now);
        bundle.brought_out(now);
    }
    let plain = encode(&bundle, &lineage()).unwrap();
    assert!(plain.len() > 4 * 30_000);
    let told = 6 + 192 + 3 * (5000 * 6 + 192);
    assert_eq!(plain.capacity(), first_reserved + told);
}

#[test]
fn the_wrong_identity_is_told_which_one_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let right = identity(folder.path(), "right");
    let wrong = identity(folder.path(), "wrong");
    let store = BundleStore::new(&Storage::local(&folder.path().join("demo")), &lineage());
    store.save(&bundle(), &right).unwrap();
    let error = store.load(&wrong).unwrap_err();
    let text = error
        .to_string()
        .replace(&folder.path().display().to_string(), "ROOT")
        .replace(&right.recipient(), "age1right")
        .replace(&wrong.recipient(), "age1wrong");
    insta::assert_snapshot!(text, @"failed to open the secrets ROOT/demo/secrets.age: they are encrypted to age1right, and the identity in ROOT/wrong is age1wrong");
    assert!(error.remedy().contains("PROVISION_IDENTITY_FILE"));
}

#[test]
fn a_bundle_that_ends_at_any_byte_or_is_altered_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let identity = identity(folder.path(), "identity");
    let store = BundleStore::new(&Storage::local(&folder.path().join("demo")), &lineage());
    store.save(&bundle(), &identity).unwrap();
    store.save(&bundle(), &identity).unwrap();
    let sealed = fs::read(file(&store)).unwrap();
    let mut tried = 0;
    for length in (0..sealed.len()).step_by(11).chain([sealed.len() - 1]) {
        fs::write(file(&store), &sealed[..length]).unwrap();
        let error = store.load(&identity).unwrap_err();
        assert!(
            matches!(error, BundleError::Damaged { previous: Some(_), .. }),
            "{length}: {error:?}"
        );
        assert!(error.remedy().contains("secrets.age.bak"));
        tried += 1;
    }
    assert!(tried > 40, "{tried}");
    let mut altered = sealed.clone();
    *altered.last_mut().unwrap() ^= 1;
    fs::write(file(&store), &altered).unwrap();
    assert!(matches!(store.load(&identity), Err(BundleError::Damaged { .. })));

    fs::copy(file(&store).with_file_name(PREVIOUS), file(&store)).unwrap();
    assert!(store.load(&identity).unwrap().is_some());
}

#[test]
fn another_lifes_bundle_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let identity = identity(folder.path(), "identity");
    let inside = folder.path().join("demo");
    BundleStore::new(&Storage::local(&inside), &lineage())
        .save(&bundle(), &identity)
        .unwrap();
    let other = BundleStore::new(&Storage::local(&inside), &Lineage::from_bytes([8; 16]));
    assert!(matches!(other.load(&identity), Err(BundleError::OtherLineage { .. })));
}

#[test]
fn content_that_cannot_be_decoded_is_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let identity = identity(folder.path(), "identity");
    let store = BundleStore::new(&Storage::local(folder.path()), &lineage());
    let content = r#"{"version":1,"lineage":"hunter2","secrets":"hunter2"}"#;
    let sealed = age::encrypt(&identity.key().to_public(), content.as_bytes()).unwrap();
    fs::write(file(&store), sealed).unwrap();
    let error = store.load(&identity).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");

    let sealed = age::encrypt(&identity.key().to_public(), br#"{"version":2}"#).unwrap();
    fs::write(file(&store), sealed).unwrap();
    assert!(matches!(
        store.load(&identity),
        Err(BundleError::Newer { version: 2, .. })
    ));
}

/// As the first build wrote it: nothing but values and keys.
#[test]
fn a_bundle_of_the_first_build_is_read() {
    let text = format!(
        r#"{{"version":1,"lineage":"{}","secrets":{{"A":"hunter2-hunter2"}},"keys":{{"ssh":"k"}}}}"#,
        lineage()
    );
    let folder = tempfile::tempdir().unwrap();
    let identity = identity(folder.path(), "identity");
    let store = BundleStore::new(&Storage::local(folder.path()), &lineage());
    let sealed = age::encrypt(&identity.key().to_public(), text.as_bytes()).unwrap();
    fs::write(file(&store), sealed).unwrap();
    let bundle = store.load(&identity).unwrap().unwrap();
    assert_eq!(bundle.secrets["A"].expose(), "hunter2-hunter2");
    assert!(bundle.kept.is_empty());
}
