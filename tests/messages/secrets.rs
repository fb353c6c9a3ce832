//! Secrets that cannot be had, and a bundle that does not open.

use crate::project::{DEMO, Project, snapshot, told};

const IDENTITY: &str = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ";

fn secret(source: &str) -> Project {
    Project::new(&format!("{DEMO}\n[secrets]\nAPI_KEY = {source}\n"))
}

told! {
    secret_variable_unset: secret("{ env = \"SHOP_API_KEY\" }"), ["plan", "demo"];
    secret_file_missing: secret("{ file = \"api-key.txt\" }"), ["plan", "demo"];
    secret_command_fails: secret("{ command = [\"false\"] }"), ["plan", "demo"];
    secret_command_missing: secret("{ command = [\"no-such-vault\", \"read\"] }"), ["plan", "demo"];
    secret_nobody_set: secret("{ bundle = true }"), ["plan", "demo"];
    secret_with_what_does_not_belong: secret("{ env = \"K\", retention = \"48h\" }"), ["validate", "demo"];
    secret_that_is_not_there: secret("{ bundle = true }"), ["secrets", "get", "demo", "API_KEI"];
    secret_that_was_never_made: secret("{ generate = 32 }"), ["secrets", "get", "demo", "API_KEY"];
    secret_set_that_comes_from_elsewhere: secret("{ env = \"K\" }"), ["secrets", "set", "demo", "API_KEY"];
    secret_set_to_nothing: secret("{ bundle = true }"), ["secrets", "set", "demo", "API_KEY"];
    secret_rotation_by_hand: secret("{ bundle = true }"), ["secrets", "rotate", "demo", "API_KEY"];
    secrets_edit_without_editor: secret("{ bundle = true }"), ["secrets", "edit", "demo"];
    secret_source_unknown: secret("{ vault = \"x\" }"), ["validate", "demo"];
    ssh_key_missing: Project::new(&format!("{DEMO}\n[access]\nssh_key = \"id_ed25519\"\n")), ["plan", "demo"];
    not_an_identity: Project::new(DEMO).with("PROVISION_IDENTITY", IDENTITY), ["apply", "demo", "--yes"];
    identity_file_missing: Project::new(DEMO).with("PROVISION_IDENTITY_FILE", "/nonexistent/identity"), ["apply", "demo", "--yes"];
}

/// A build without the clouds says so; one with them asks for a region.
#[test]
fn secret_in_a_vault() {
    let project = secret("{ ssm = \"/shop/key\" }").with("AWS_EC2_METADATA_DISABLED", "true");
    let name = match cfg!(feature = "aws") {
        true => "secret_in_a_vault_of_no_region",
        false => "secret_in_a_vault_without_clouds",
    };
    snapshot(name, &project.run(&["plan", "demo"]), &[]);
}

/// The first apply writes the bundle and then fails for want of QEMU; the next has another identity.
#[test]
fn identity_lost() {
    let project = Project::new(DEMO).with_programs(&[]);
    project.output(&["apply", "demo", "--yes"]);
    std::fs::remove_dir_all(project.root().join("home/config")).unwrap();
    snapshot("identity_lost", &project.run(&["plan", "demo"]), &[]);
    assert!(
        !project.root().join("home/config").exists(),
        "looking makes no identity"
    );
}

#[test]
fn another_identity() {
    let project = Project::new(DEMO).with_programs(&[]);
    project.output(&["apply", "demo", "--yes"]);
    let other = Project::new(DEMO).with_programs(&[]);
    other.output(&["apply", "demo", "--yes"]);
    let identity = "home/config/provision/identity";
    std::fs::copy(other.root().join(identity), project.root().join(identity)).unwrap();
    let filters = [("age1[0-9a-z]{58}", "[recipient]")];
    snapshot("another_identity", &project.run(&["apply", "demo", "--yes"]), &filters);
}
