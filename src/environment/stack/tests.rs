use std::fs;

use insta::assert_snapshot;

use super::*;

/// A project with one stack folder, `compose/app`.
struct Project(tempfile::TempDir);

impl Project {
    fn new(files: &[(&str, &str)]) -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(project.app()).unwrap();
        for (path, text) in files {
            let path = project.app().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        project
    }

    fn app(&self) -> PathBuf {
        self.0.path().join("compose/app")
    }

    fn load(&self, name: &str) -> Result<StackSource, Problems> {
        let file = Source::new("environments/demo.toml", format!("[stacks.{name}]\n"));
        let stack = load_stack(
            &name.parse().unwrap(),
            None,
            None,
            self.0.path(),
            &file.at(8..8 + name.len()),
        )?;
        Problems::check(stack.mistakes.clone()).map(|()| stack)
    }

    fn problems(&self) -> String {
        self.load("app").unwrap_err().render(false, 100)
    }
}

const COMPOSE: &str = "services:\n  web:\n    image: app:1\n    env_file: [web.env]\n";

#[test]
fn a_folder_is_loaded_whole() {
    let project = Project::new(&[
        ("compose.yaml", COMPOSE),
        ("stack.toml", "description = \"x\"\n[jobs]\nonce = [\"web\"]\n"),
        ("web.env.hbs", "A={{parameters.a}}\n"),
        ("conf/site.conf", "x"),
        ("README.md", "x"),
        (".env", "SECRET=1"),
        (".git/config", "x"),
        ("notes~", "x"),
        (".site.conf.swp", "x"),
    ]);
    let stack = project.load("app").unwrap();
    let files: Vec<&String> = stack.files.keys().collect();
    assert_eq!(files, ["compose.yaml", "conf/site.conf", "web.env.hbs"]);
    assert_eq!(stack.origin, StackOrigin::Folder(project.app()));
    assert_eq!(stack.compose_source.name, "compose/app/compose.yaml");
    assert_eq!(stack.manifest.description, "x");
}

#[test]
fn a_folder_without_a_manifest_is_a_stack() {
    let project = Project::new(&[("compose.yml", "services:\n  web:\n    image: app:1\n")]);
    let stack = project.load("app").unwrap();
    assert_eq!(stack.manifest, Manifest::default());
    assert_eq!(stack.compose_file, "compose.yml");
}

#[cfg(unix)]
#[test]
fn programs_stay_programs() {
    use std::os::unix::fs::PermissionsExt as _;
    let project = Project::new(&[("compose.yaml", "services: {}"), ("run", "#!/bin/sh")]);
    fs::set_permissions(project.app().join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    let stack = project.load("app").unwrap();
    assert!(stack.files["run"].executable && !stack.files["compose.yaml"].executable);
}

#[test]
fn an_unknown_stack_is_told_with_those_that_there_are() {
    let project = Project::new(&[("compose.yaml", "services: {}")]);
    let report = project.load("ap").unwrap_err().to_string();
    assert_eq!(report, "environments/demo.toml:1:9: there is no stack `ap`");
    let problem = project.load("ap").unwrap_err().into_vec().remove(0);
    let help = problem.help.unwrap();
    assert!(help.starts_with("did you mean `app`? there are: app"), "{help}");
    assert!(
        help.ends_with("A stack of your own needs `path`, or a folder compose/ap"),
        "{help}"
    );
}

#[test]
fn the_catalogue_holds_folders_only() {
    for name in built_in() {
        name.parse::<StackName>().unwrap();
        let empty = tempfile::tempdir().unwrap();
        let file = Source::new("x.toml", "");
        let stack = load_stack(&name.parse().unwrap(), None, None, empty.path(), &file.at(0..0));
        let stack = stack.unwrap_or_else(|problems| panic!("{}", problems.render(false, 120)));
        assert_eq!(stack.origin, StackOrigin::BuiltIn);
        assert!(!stack.manifest.description.is_empty(), "{name} has no description");
    }
}

#[test]
fn mistakes_in_all_files_of_a_stack_are_told_at_once() {
    let project = Project::new(&[
        (
            "compose.yaml",
            "services:\n  web:\n    image: app:1\n    depends_on: [dbb]\n    env_file: web.env\n  db:\n    image: x\n",
        ),
        ("stack.toml", "memory = 3\n"),
        ("a.conf", ""),
        ("a.conf.hbs", ""),
        ("compose.provision.yaml", ""),
    ]);
    assert_snapshot!(project.problems(), @r#"
      error: there is no service `dbb` in compose/app/compose.yaml
       ,-[compose/app/compose.yaml:4:18]
     3 |     image: app:1
     4 |     depends_on: [dbb]
       :                  ^^^
     5 |     env_file: web.env
       `----
      help: did you mean `db`? services: db, web

      error: there is no file web.env in the stack's folder
       ,-[compose/app/compose.yaml:5:15]
     4 |     depends_on: [dbb]
     5 |     env_file: web.env
       :               ^^^^^^^
     6 |   db:
       `----
      help: add it, or web.env.hbs as a template of it

      error: unknown key `memory`
       ,-[compose/app/stack.toml:1:1]
     1 | memory = 3
       : ^^^|^^
       :    `-- unknown
       `----
      help: there are: admin, backup, description, each, env, jobs, memory_mib, parameters, requires,
            secrets, urls

      error: the stack `app` has a file compose.provision.yaml, which is generated
       ,-[environments/demo.toml:1:9]
     1 | [stacks.app]
       :         ^^^
       `----
      help: rename it

      error: the stack `app` has both a.conf.hbs and a.conf
       ,-[environments/demo.toml:1:9]
     1 | [stacks.app]
       :         ^^^
       `----
      help: the first becomes the second when it is rendered; remove one of them

    5 problems found
    "#);
}

#[test]
fn a_job_that_is_no_service_is_told() {
    let project = Project::new(&[
        ("compose.yaml", "services:\n  migrate:\n    image: app:1\n"),
        ("stack.toml", "[jobs]\nbefore_deploy = [\"migrat\"]\n"),
    ]);
    assert_snapshot!(project.problems(), @r#"
     error: there is no service `migrat` in compose/app/compose.yaml
      ,-[compose/app/stack.toml:2:18]
    1 | [jobs]
    2 | before_deploy = ["migrat"]
      :                  ^^^^^^^^
      `----
     help: did you mean `migrate`? services: migrate
    "#);
}

#[test]
fn a_folder_without_a_compose_file_is_told() {
    assert_snapshot!(Project::new(&[("x", "")]).problems(), @r#"
     error: the stack `app` has no compose.yaml in compose/app
      ,-[environments/demo.toml:1:9]
    1 | [stacks.app]
      :         ^^^
      `----
     help: add one, or let `path` name the folder that has it
    "#);
    assert_snapshot!(Project::new(&[("compose.yaml.hbs", "")]).problems(), @r#"
     error: the stack `app` has no compose.yaml in compose/app
      ,-[environments/demo.toml:1:9]
    1 | [stacks.app]
      :         ^^^
      `----
     help: a Compose file cannot be a template: it is checked as it stands. Use ${NAME} and [env] of
           stack.toml
    "#);
}

#[cfg(unix)]
#[test]
fn links_that_leave_the_folder_or_go_round_are_told() {
    use std::os::unix::fs::symlink;
    let project = Project::new(&[("compose.yaml", "services: {}"), ("conf/a", "x")]);
    symlink("/etc/hostname", project.app().join("out")).unwrap();
    symlink("..", project.app().join("conf/round")).unwrap();
    symlink("nowhere", project.app().join("dead")).unwrap();
    assert_snapshot!(project.problems(), @r#"
      error: compose/app/conf/round is a symbolic link to a folder that it is in
       ,-[environments/demo.toml:1:9]
     1 | [stacks.app]
       :         ^^^
       `----
      help: remove it

      error: compose/app/dead leads nowhere: No such file or directory (os error 2)
       ,-[environments/demo.toml:1:9]
     1 | [stacks.app]
       :         ^^^
       `----
      help: remove it

      error: compose/app/out is a symbolic link that leaves the folder
       ,-[environments/demo.toml:1:9]
     1 | [stacks.app]
       :         ^^^
       `----
      help: copy what it leads to into the folder

    3 problems found
    "#);
}

#[cfg(unix)]
#[test]
fn links_inside_the_folder_are_followed() {
    use std::os::unix::fs::symlink;
    let project = Project::new(&[("compose.yaml", "services: {}"), ("conf/a", "x")]);
    symlink("conf", project.app().join("more")).unwrap();
    let stack = project.load("app").unwrap();
    assert_eq!(stack.files["more/a"].bytes, b"x");
}

#[test]
fn a_file_that_is_too_big_is_told() {
    let project = Project::new(&[("compose.yaml", "services: {}")]);
    let file = fs::File::create(project.app().join("dump.sql")).unwrap();
    file.set_len(33 * 1024 * 1024).unwrap();
    assert_snapshot!(project.problems(), @r#"
     error: compose/app/dump.sql has 34603008 bytes, more than 32 MiB
      ,-[environments/demo.toml:1:9]
    1 | [stacks.app]
      :         ^^^
      `----
     help: large data belongs into a volume or an image
    "#);
}
