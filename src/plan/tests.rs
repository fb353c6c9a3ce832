//! What is planned when one thing differs from an environment as it shall be. Each plan is also carried out on the world in
//! memory, after which there must be nothing left to do.

mod drift;
mod existing;
mod host;
mod interrupted;
mod life;
mod machine;
mod parts;
mod scope;
mod secrets;
mod stacks;

use crate::fixture::{Lab, Run};
use crate::plan::{Allowed, Plan, render_plan};

/// What a person reads, without the digests of files that change often; no secret may be in it, nor in the plan itself.
fn shown(plan: &Plan) -> String {
    let mut text = render_plan(plan, false);
    let scripts = plan.steps.iter().filter_map(|step| step.attributes.get("script"));
    for script in scripts {
        text = text.replace(&script[..12], "SCRIPT");
    }
    for (index, _) in text.clone().match_indices("provision.files: ") {
        let start = index + "provision.files: ".len();
        text.replace_range(start..start + 12, "(12 digits).");
    }
    assert!(!text.contains("5ecret"), "{text}");
    assert!(!format!("{plan:?}").contains("5ecret"));
    text
}

/// The plan as text; afterwards it is applied and there is nothing left.
fn settle(run: &mut Run, lab: &Lab) -> String {
    settle_allowing(run, lab, Allowed::default())
}

fn settle_allowing(run: &mut Run, lab: &Lab, allowed: Allowed) -> String {
    let text = shown(&run.plan_allowing(lab, allowed));
    run.settle_allowing(lab, allowed);
    text
}

/// A settled demo.
fn demo() -> (Lab, Run) {
    let lab = Lab::demo();
    let run = Run::settled(&lab);
    (lab, run)
}

#[test]
fn an_environment_as_it_shall_be_changes_nothing() {
    let (lab, run) = demo();
    let plan = run.plan(&lab);
    assert_eq!(shown(&plan), "demo is as it shall be: nothing to do.\n");
    assert_eq!((plan.steps, plan.notes, plan.refusals), (vec![], vec![], vec![]));
    assert_eq!(plan.look_again, None);
}

#[test]
fn everything_is_made_in_order() {
    let lab = Lab::demo();
    let mut run = Run::new();
    insta::assert_snapshot!(settle(&mut run, &lab), @r"
    + machine.instance
        acceleration  auto
        cpus          2
        disk_gib      20
        image         /images/debian-13.qcow2
        memory_mib    2048
        provider      local
        volume_gib    5
    + host.identity
        host key  made on the host, replaces the one of the first boot
    + host.base
        script  SCRIPT (first boot, Docker, firewall, sshd, updates)
    + stack.postgres
        databases  postgres:17 (job)
        postgres   postgres:17
    + stack.demo
        migrate  provision-demo:1 (job)
        seed     provision-demo:1 (job)
        web      provision-demo:1
        image    provision-demo:1, 1 MB over SSH
    + edge.caddy
        caddy  caddy:2
    demo: 6 to add, 0 to change, 0 to replace, 0 to remove.
    ");
}

impl Plan {
    /// Every refusal, a line each.
    fn refusals(&self) -> String {
        let refusals: Vec<String> = self.refusals.iter().map(ToString::to_string).collect();
        refusals.join("\n")
    }
}
