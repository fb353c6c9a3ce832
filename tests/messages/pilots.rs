//! One file that serves many: names, values and ends.

use crate::project::{DEMO, Project, snapshot, told};

const APPLIED: &str = include_str!("../state/v1-pilot.json");

/// `pilot.toml`, beside `demo.toml`.
fn pilots() -> Project {
    let project = Project::new(DEMO);
    let vars = "[vars]\ncustomer = { needed = \"whose pilot it is\" }\ntheme = \"plain\"\n\n[stacks.web]";
    let pilot = DEMO
        .replace("\"/\"", "\"{{vars.customer}}.{{environment}}.example.com\"")
        .replace("[stacks.web]", vars);
    project.write("environments/pilot.toml", &format!("ttl = \"8h\"\n{pilot}"));
    project
}

/// One of it was applied as `pilot-acme`.
fn applied() -> Project {
    let project = pilots();
    project.write(".provision/pilot-acme/state.json", APPLIED);
    project
}

told! {
    pilot_without_a_needed_var: pilots(), ["validate", "pilot"];
    pilot_with_a_misspelt_var: pilots(), ["plan", "pilot", "--var", "custommer=acme"];
    pilot_with_an_unknown_var: pilots(), ["plan", "demo", "--var", "customer=acme"];
    pilot_with_a_var_that_is_none: pilots(), ["plan", "pilot", "--var", "customer"];
    pilot_with_two_values: pilots(), ["plan", "pilot", "--var", "customer=acme", "--var", "customer=globex"];
    pilot_with_a_value_that_is_no_host: pilots(), ["validate", "pilot", "--var", "customer=a b"];
    pilot_with_a_name_that_is_too_long: pilots(), ["plan", "pilot", "--name", "pilot-of-a-customer-whose-name-has-no-end"];
    pilot_under_the_name_of_another_file: pilots(), ["apply", "pilot", "--name", "demo", "--var", "customer=acme", "--yes"];
    pilot_from_another_file: applied(), ["apply", "demo", "--name", "pilot-acme", "--yes"];
    pilot_that_was_never_applied: pilots(), ["status", "pilot-acme"];
    pilot_with_a_file_of_its_name: {
        let project = applied();
        project.write("environments/pilot-acme.toml", DEMO);
        project
    }, ["output", "pilot-acme"];
    pilot_by_its_name_alone: applied(), ["output", "pilot-acme"];
    pilot_is_valid_by_its_name_alone: applied(), ["validate", "pilot-acme"];
    pilot_file_with_a_mistaken_var: Project::new(&format!("{DEMO}\n[vars]\na = 3\nb = {{ neded = \"x\" }}\n")), ["validate", "demo"];
    extend_without_an_end: {
        let project = Project::new(DEMO);
        project.write(".provision/demo/state.json", include_str!("../state/v1-demo.json"));
        project
    }, ["extend", "demo", "4h"];
    extend_by_no_time: applied(), ["extend", "pilot-acme", "soon"];
    extend_what_was_never_applied: pilots(), ["extend", "demo", "4h"];
}

#[test]
fn plan_of_a_pilot_whose_end_has_passed() {
    let filters = [(
        r"\(\d+ d \d+ h ago\)|\(\d+ h \d+ min ago\)|\(\d+ min ago\)|\(in [^)]*\)",
        "[time]",
    )];
    let project = applied();
    let old = APPLIED.replace("2026-11-21T18", "2026-01-01T18");
    project.write(".provision/pilot-acme/state.json", &old);
    let told = project.run(&["plan", "pilot-acme", "--var", "theme=dark"]);
    snapshot("plan_of_a_pilot_whose_end_has_passed", &told, &filters);
}

/// What was recorded is rendered; what is given now wins; the file's own value is the last.
#[test]
fn a_pilot_is_rendered_with_what_was_recorded() {
    let project = applied();
    let caddyfile = |args: &[&str]| {
        let out = project.root().join("out");
        let out = out.to_str().unwrap();
        let output = project.output(&[args, &["--out", out]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read_to_string(project.root().join("out/stacks/edge/config/Caddyfile")).unwrap()
    };
    assert!(caddyfile(&["render", "pilot-acme"]).contains("acme.pilot-acme.example.com"));
    let given = caddyfile(&["render", "pilot-acme", "--var", "customer=globex"]);
    assert!(given.contains("globex.pilot-acme.example.com"), "{given}");
    let other = caddyfile(&["render", "pilot", "--name", "pilot-two", "--var", "customer=two"]);
    assert!(other.contains("two.pilot-two.example.com"), "{other}");
}
