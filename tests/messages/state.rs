//! States that cannot be used, locks, protection, and questions that nobody is there to answer.

use std::os::unix::fs::PermissionsExt as _;

use crate::project::{DEMO, Project, snapshot, told};

pub const APPLIED: &str = include_str!("../state/v1-demo.json");

pub fn with_state(text: &str) -> Project {
    let project = Project::new(DEMO);
    project.write(".provision/demo/state.json", text);
    project
}

told! {
    state_is_not_json: with_state("<<<<<<< HEAD\n{\"version\": 1}\n"), ["plan", "demo"];
    state_is_cut_short: with_state("{\n  \"version\": 1,\n  \"serial\": 4,\n"), ["apply", "demo", "--yes"];
    state_of_a_newer_version: with_state(&APPLIED.replace("\"version\": 1", "\"version\": 2").replace("provision 0.1.0", "provision 9.0.0")), ["plan", "demo"];
    state_of_another_environment: with_state(&APPLIED.replace("\"environment\": \"demo\"", "\"environment\": \"prod\"")), ["plan", "demo"];
    status_of_what_was_never_applied: Project::new(DEMO), ["status", "demo"];
    output_of_what_was_never_applied: Project::new(DEMO), ["output", "demo"];
    ssh_to_what_was_never_applied: Project::new(DEMO), ["ssh", "demo"];
    destroy_of_what_was_never_applied: Project::new(DEMO), ["destroy", "demo", "--yes"];
    output_with_an_unknown_key: with_state(APPLIED), ["output", "demo", "ulr"];
    apply_without_a_terminal: Project::new(DEMO), ["apply", "demo"];
    destroy_without_a_terminal: with_state(APPLIED), ["destroy", "demo"];
    destroy_of_what_is_protected: {
        let project = Project::new(&format!("protect = true\n{DEMO}"));
        project.write(".provision/demo/state.json", APPLIED);
        project
    }, ["destroy", "demo", "--yes"];
    rebuild_of_what_reads_well: with_state(APPLIED), ["state", "rebuild", "demo"];
    rebuild_of_nothing: Project::new(DEMO), ["state", "rebuild", "demo"];
    import_into_a_taken_place: with_state(APPLIED), ["state", "import", "demo", "machine.volume", "vol-0123"];
    import_of_a_stack: Project::new(DEMO), ["state", "import", "demo", "stack.web", "vol-0123"];
    import_at_home: Project::new(DEMO), ["state", "import", "demo", "machine.volume", "vol-0123"];
    state_list: with_state(APPLIED), ["state", "list", "demo"];
    state_list_of_what_was_never_applied: Project::new(DEMO), ["state", "list", "demo"];
    state_show: with_state(APPLIED), ["state", "show", "demo", "machine.instance"];
    state_show_of_what_is_not_recorded: with_state(APPLIED), ["state", "show", "demo", "stack.shop"];
    state_rm_of_what_is_not_recorded: with_state(APPLIED), ["state", "rm", "demo", "stack.shop", "--yes"];
    state_rm_without_a_terminal: with_state(APPLIED), ["state", "rm", "demo", "host.base"];
    state_rm_of_the_machine: with_state(APPLIED), ["state", "rm", "demo", "machine.instance", "--yes"];
    state_unlock_of_nobody: with_state(APPLIED), ["state", "unlock", "demo", "--yes"];
    state_pull_of_nothing: Project::new(DEMO), ["state", "pull", "demo"];
    state_push_of_no_file: with_state(APPLIED), ["state", "push", "demo", "other.json"];
    state_push_of_an_older_one: pushing(&APPLIED.replace("\"serial\": 14", "\"serial\": 9")), ["state", "push", "demo", "other.json"];
    state_push_of_another_life: pushing(&APPLIED.replace("0f1e2d3c4b5a6978", "ffffffffffffffff")), ["state", "push", "demo", "other.json"];
    state_push_of_no_state: pushing("{\"version\": 1}\n"), ["state", "push", "demo", "other.json"];
    state_push_of_another_environment: pushing(&APPLIED.replace("\"environment\": \"demo\"", "\"environment\": \"prod\"")), ["state", "push", "demo", "other.json", "--force"];
    state_migrate_to_where_it_is: with_state(APPLIED), ["state", "migrate", "demo"];
    gc_of_nothing: Project::new(DEMO), ["gc"];
    gc_that_would_destroy_all: Project::new(DEMO), ["gc", "--yes"];
    operator_cidr_of_no_network: Project::new(DEMO), ["plan", "demo", "--operator-cidr", "office"];
    destroy_with_a_broken_file: {
        let project = Project::new("protect = maybe\n");
        project.write(".provision/demo/state.json", APPLIED);
        project
    }, ["destroy", "demo", "--yes"];
}

fn pushing(text: &str) -> Project {
    let project = with_state(APPLIED);
    project.write("other.json", text);
    project
}

#[test]
fn state_that_may_not_be_read() {
    let project = with_state(APPLIED);
    let path = project.root().join(".provision/demo/state.json");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&path).is_ok() {
        // Root reads everything: a folder in the file's place is what it cannot read.
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
    }
    let filters = [
        (r"Permission denied|Is a directory", "[why]"),
        (r"os error \d+", "os error [number]"),
    ];
    snapshot("state_that_may_not_be_read", &project.run(&["plan", "demo"]), &filters);
}

/// This test's process is the holder: it lives, and it is on this computer.
#[tokio::test]
async fn locked_by_another_run() {
    let project = with_state(APPLIED);
    let folder = project.root().join(".provision/demo");
    let lock =
        provision::state::Lock::try_acquire(&provision::state::Storage::local(&folder), "apply", Some("release 12"))
            .unwrap();
    let filters = [
        (r"locked by \S+", "locked by [user@host]"),
        (r"Should \S+", "Should [user@host]"),
        (r"process \d+", "process [pid]"),
        (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "[time]"),
    ];
    snapshot(
        "locked_by_another_run",
        &project.run(&["destroy", "demo", "--yes"]),
        &filters,
    );
    drop(lock);
}

/// What is taken out by hand can be put back: the state as it was is in the backups before anything is written.
#[test]
fn a_lock_is_taken_from_who_holds_it() {
    let project = with_state(APPLIED);
    let storage = provision::state::Storage::local(&project.root().join(".provision/demo"));
    let lock = provision::state::Lock::try_acquire(&storage, "apply", Some("nightly")).unwrap();
    let refused = project.output(&["state", "unlock", "demo", "--yes"]);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(
        told.contains("running `apply`") && told.contains("(nightly)") && told.contains("--force"),
        "{told}"
    );
    assert!(lock.verify().is_ok());
    assert!(
        project
            .output(&["state", "unlock", "demo", "--yes", "--force"])
            .status
            .success()
    );
    assert!(lock.verify().is_err(), "the holder does not find out");
}
