use std::fs;

use insta::assert_snapshot;

use super::*;

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let project = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = project.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    project
}

fn error(project: &tempfile::TempDir, name: &str) -> String {
    let error = load(project.path(), &name.parse().unwrap()).unwrap_err();
    let text = match &error {
        LoadError::Problems(problems) => problems.render(false, 100),
        other => format!("{other}\nhelp: {}", other.help().unwrap()),
    };
    text.replace(&project.path().display().to_string(), "PROJECT")
}

const APP: &str = "services:\n  web:\n    image: app:1\n";

#[test]
fn everything_that_was_written_is_loaded() {
    let project = project(&[
        (
            "environments/demo.toml",
            "[machine.local]\n[stacks.app]\npath = \"../app\"\n[stacks.other]\n",
        ),
        ("app/compose.yaml", APP),
        ("compose/other/compose.yaml", APP),
    ]);
    let sources = load(project.path(), &"demo".parse().unwrap()).unwrap();
    assert_eq!(sources.file.name, "environments/demo.toml");
    assert_eq!(sources.directory, project.path().join("environments"));
    let shown: Vec<&str> = sources
        .stacks
        .values()
        .map(|stack| stack.compose_source.name.as_str())
        .collect();
    assert_eq!(shown, ["app/compose.yaml", "compose/other/compose.yaml"]);
}

#[test]
fn mistakes_in_several_files_are_told_at_once() {
    let project = project(&[
        (
            "environments/demo.toml",
            "[machine.local]\n[stacks.App]\n[stacks.nothing]\npath = \"../nothing\"\n[stacks.other]\n[images]\n\"app:1\" = \"app.tar\"\n",
        ),
        ("compose/other/compose.yaml", "services:\n  web: 3\n"),
    ]);
    assert_snapshot!(error(&project, "demo"), @r#"
      error: `services.web` must be a mapping, not a number
       ,-[compose/other/compose.yaml:2:8]
     1 | services:
     2 |   web: 3
       :        ^
       `----

      error: `App` is not a stack name: use 1 to 40 lower-case letters, digits and `-`, starting with
      | a letter and ending with a letter or digit
       ,-[environments/demo.toml:2:9]
     1 | [machine.local]
     2 | [stacks.App]
       :         ^^^
     3 | [stacks.nothing]
       `----

      error: there is no folder nothing
       ,-[environments/demo.toml:4:8]
     3 | [stacks.nothing]
     4 | path = "../nothing"
       :        ^^^^^^^^^^^^
     5 | [stacks.other]
       `----
      help: a path here is relative to the environment file

      error: the image archive PROJECT/environments/app.tar does not exist
       ,-[environments/demo.toml:7:11]
     6 | [images]
     7 | "app:1" = "app.tar"
       :           ^^^^^^^^^
       `----
      help: make it with `docker save app:1 -o PROJECT/environments/app.tar`

    4 problems found
    "#);
}

#[test]
fn an_unknown_environment_is_told_with_those_that_there_are() {
    let project = project(&[
        ("environments/demo.toml", ""),
        ("environments/prod.toml", ""),
        ("environments/x.txt", ""),
    ]);
    assert_snapshot!(error(&project, "demoo"), @r#"
    there is no environment `demoo`: PROJECT/environments/demoo.toml does not exist
    help: did you mean `demo`? there are: demo, prod. A new one is written by `provision init demoo`; one of a file that serves many is `FILE --name demoo` until it is applied
    "#);
}

#[test]
fn a_file_that_cannot_be_text_is_told() {
    let project = project(&[("environments/a.toml", "")]);
    fs::write(
        project.path().join("environments/latin.toml"),
        b"# ok\ndomain = \"\xe4\"\n",
    )
    .unwrap();
    let big = fs::File::create(project.path().join("environments/big.toml")).unwrap();
    big.set_len(5 * 1024 * 1024).unwrap();
    assert_snapshot!(error(&project, "latin"), @r#"
    error: environments/latin.toml:2: the file is not UTF-8 text
    help: save it as UTF-8
    "#);
    assert_snapshot!(error(&project, "big"), @r#"
    error: failed to read environments/big.toml: it has 5242880 bytes, more than 1 MiB
    help: is this really the file that was meant?
    "#);
}

#[test]
fn the_root_is_found_from_below() {
    let project = project(&[("environments/demo.toml", ""), ("app/src/x", "")]);
    assert_eq!(find_root(&project.path().join("app/src")).unwrap(), project.path());
    assert_eq!(find_root(project.path()).unwrap(), project.path());
    assert!(matches!(find_root(Path::new("/")), Err(LoadError::NoProject { .. })));
}

#[test]
fn paths_are_shown_without_detours() {
    assert_eq!(clean(Path::new("/p/environments/../app/./x")), Path::new("/p/app/x"));
    assert_eq!(clean(Path::new("../../x")), Path::new("../../x"));
}
