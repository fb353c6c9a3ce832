//! Mistakes in what is asked of a cloud, told before it is asked; and environments that would move.

use crate::project::{DEMO, Project, told};

const APPLIED: &str = include_str!("../state/v1-demo.json");

/// The demo on an EC2 instance.
fn aws(machine: &str) -> String {
    DEMO.replace(
        "[machine.local]\nimage = \"base.qcow2\"\n",
        &format!("[machine.aws]\n{machine}"),
    )
}

fn with(before: &str, machine: &str, after: &str) -> Project {
    Project::new(&format!("{before}{}\n{after}", aws(machine)))
}

/// Applied already, at that provider.
fn applied(environment: &str, facts: &str) -> Project {
    let project = Project::new(environment);
    let state = APPLIED.replacen("\"address\":", &format!("{facts}\"address\":"), 1);
    let state = state.replace("\"cpus\":", "\"provider\": \"local\", \"cpus\":");
    assert_ne!(state, APPLIED);
    project.write(".provision/demo/state.json", &state);
    project
}

const AT_AWS: &str = "\"provider\": \"aws\", \"region\": \"eu-central-1\", ";

told! {
    aws_values: with("", "size = \"small\"\nimage = \"debain-13\"\nregion = \"Frankfurt\"\nsubnet = \"0123\"\nvpc = \"subnet-0123\"\ndisk_gib = 1\n", ""), ["validate", "demo"];
    aws_unknown_key: with("", "sise = \"t3.small\"\n", ""), ["validate", "demo"];
    aws_image_of_nobody: with("", "image = \"windows\"\n", ""), ["validate", "demo"];
    aws_reserved_tags: with("", "tags = { \"aws:cloud\" = \"x\", \"provision:lineage\" = \"y\", Name = \"z\", Names = \"fine\" }\n", ""), ["validate", "demo"];
    ssh_from_of_no_network: with("", "", "[access]\nssh_from = [\"operator\", \"office\", \"203.0.113.7/24\", \"2001:db8::/48\"]\n"), ["validate", "demo"];
    ssh_from_at_home: Project::new(&format!("{DEMO}\n[access]\nssh_from = [\"operator\"]\n")), ["validate", "demo"];
    ttl_of_no_time: with("ttl = \"tomorrow\"\n", "", ""), ["validate", "demo"];
    ttl_too_short: with("ttl = \"30s\"\n", "", ""), ["validate", "demo"];
    dns_without_names: with("", "", "[dns]\nprovider = \"route53\"\n"), ["validate", "demo"];
    dns_at_home: Project::new(&format!("domain = \"shop.example.com\"\n{DEMO}\n[dns]\nprovider = \"route53\"\n")), ["validate", "demo"];
    dns_of_another_zone: with("domain = \"shop.example.com\"\n", "", "[dns]\nprovider = \"route53\"\nzone = \"example.org\"\n"), ["validate", "demo"];
    dns_provider_unknown: with("domain = \"shop.example.com\"\n", "", "[dns]\nprovider = \"hosts\"\n"), ["validate", "demo"];
    another_provider: applied(DEMO, AT_AWS), ["plan", "demo"];
    another_provider_than_an_old_state: applied(&aws(""), ""), ["plan", "demo"];
    another_region: applied(&aws("region = \"us-east-1\"\n"), AT_AWS), ["plan", "demo"];
}
