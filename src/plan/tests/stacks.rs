//! Stacks and the edge.

use insta::assert_snapshot;

use super::{demo, settle, shown};
use crate::fixture::Deed;

const FILES: &str = "/opt/provision/stacks";

#[test]
fn a_changed_compose_file_is_shown_as_a_diff_and_touches_only_its_stack() {
    let (lab, mut run) = demo();
    lab.edit("compose/demo/compose.yaml", "mem_limit: 256m", "mem_limit: 512m");
    assert_snapshot!(settle(&mut run, &lab), @r#"
    ~ stack.demo
        compose.yaml
                  start_period: 120s
                  start_interval: 1s
                security_opt: ["no-new-privileges:true"]
          -     mem_limit: 256m
          +     mem_limit: 512m
            
              # Makes the table; runs before every deploy.
              migrate: &job
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    "#);
    let jobs = [Deed::Job("demo.migrate".into())];
    assert_eq!(
        run.world.deeds, jobs,
        "jobs before a deploy run again, those for once do not"
    );
}

#[test]
fn a_changed_route_touches_only_the_edge() {
    let (lab, mut run) = demo();
    lab.change(
        "\"/\" = \"web:8000\"",
        "\"/\" = \"web:8000\"\n\"/api/*\" = \"web:8000\"",
    );
    assert_snapshot!(settle(&mut run, &lab), @r"
    ~ edge.caddy
        config/Caddyfile
            	encode zstd gzip
            	log
            	# X-Forwarded-* are set here; whatever a client sent under these names is dropped (Caddy trusts no proxy by default).
          + 	handle /api/* {
          + 		reverse_proxy web:8000
          + 	}
            	handle {
            		reverse_proxy web:8000
            	}
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(run.world.deeds, []);
}

#[test]
fn a_new_stack_is_added() {
    let (lab, mut run) = demo();
    lab.write(
        "shop/compose.yaml",
        "services:\n  shop:\n    image: shop:1\n    deploy: { replicas: 2 }\n  tidy:\n    image: tidy:1\n    profiles: [jobs]\n",
    );
    lab.change("[stacks.demo]", "[stacks.shop]\npath = \"../shop\"\n\n[stacks.demo]");
    assert_snapshot!(settle(&mut run, &lab), @r"
    + stack.shop
        shop  shop:1 × 2
        tidy  tidy:1 (job)
    demo: 1 to add, 0 to change, 0 to replace, 0 to remove.
    ");
}

#[test]
fn a_removed_stack_goes_and_its_data_stays() {
    let (lab, mut run) = demo();
    lab.change("[stacks.demo]", "");
    lab.change("\"/\" = \"web:8000\"", "\"/\" = \"postgres:5432\"");
    lab.change("[images]\n\"provision-demo:1\" = \"../demo.tar\"", "");
    assert_snapshot!(settle(&mut run, &lab), @r"
    - stack.demo
        data  its volumes stay on the host
    ~ edge.caddy
        config/Caddyfile
            	log
            	# X-Forwarded-* are set here; whatever a client sent under these names is dropped (Caddy trusts no proxy by default).
            	handle {
          - 		reverse_proxy web:8000
          + 		reverse_proxy postgres:5432
            	}
            	# Only what Caddy itself could not do comes here: an answer of a service passes as it is.
            	handle_errors {
    demo: 0 to add, 1 to change, 0 to replace, 1 to remove.
    ");
    assert!(run.world.host().volumes.contains(&"demo_data".to_owned()));
    assert!(!run.world.host().containers.iter().any(|c| c.project == "demo"));
}

#[test]
fn no_routes_no_edge() {
    let (lab, mut run) = demo();
    lab.change("[routes]\n\"/\" = \"web:8000\"", "");
    assert_snapshot!(settle(&mut run, &lab), @r"
    - edge.caddy
        data  its volumes stay on the host
    demo: 0 to add, 0 to change, 0 to replace, 1 to remove.
    ");
}

#[test]
fn a_scaled_service_is_shown_in_the_override() {
    let (lab, mut run) = demo();
    lab.change("[stacks.demo]", "[stacks.demo]\nscale = { web = 3 }");
    assert_snapshot!(settle(&mut run, &lab), @r"
    ~ stack.demo
        compose.provision.yaml
                labels:
                  provision.environment: demo
                  provision.stack: demo
          +     scale: 3
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(
        run.world
            .host()
            .containers
            .iter()
            .filter(|c| c.service == "web")
            .count(),
        3
    );
}

#[test]
fn a_stopped_container_is_drift_and_its_repair_runs_no_job() {
    let (lab, mut run) = demo();
    let container = run.world.container("demo-web-1");
    container.state = "exited".into();
    container.exit_code = 137;
    assert_snapshot!(settle(&mut run, &lab), @r"
    Changed outside of provision since the last apply:
    ! stack.demo
        container demo-web-1: running → exited (137)

    What will be done:
    ~ stack.demo
        service web (drift): 0 running (demo-web-1 exited) → 1 running
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(run.world.deeds, []);
}

#[test]
fn a_container_that_is_gone_is_drift() {
    let (lab, mut run) = demo();
    run.world.host().containers.retain(|c| c.name != "postgres-postgres-1");
    assert_snapshot!(settle(&mut run, &lab), @r"
    Changed outside of provision since the last apply:
    ! stack.postgres
        container postgres-postgres-1: running → gone

    What will be done:
    ~ stack.postgres
        service postgres (drift): 0 running → 1 running
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
}

#[test]
fn a_container_too_many_is_drift() {
    let (lab, mut run) = demo();
    let mut second = run.world.container("demo-web-1").clone();
    second.name = "demo-web-2".into();
    run.world.host().containers.push(second);
    assert_snapshot!(settle(&mut run, &lab), @r"
    Changed outside of provision since the last apply:
    ! stack.demo
        container demo-web-2: (none) → running

    What will be done:
    ~ stack.demo
        service web (drift): 2 running → 1 running
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
}

#[test]
fn an_unhealthy_container_is_noted_and_left_alone() {
    let (lab, mut run) = demo();
    run.world.container("demo-web-1").health = Some("unhealthy".into());
    let plan = run.plan(&lab);
    assert!(plan.is_empty());
    assert_snapshot!(shown(&plan), @r"
    note: demo-web-1 is running and unhealthy: see `docker logs demo-web-1` on the host
    demo is as it shall be: nothing to do.
    ");
}

#[test]
fn a_service_that_may_end_has_ended() {
    let (lab, mut run) = demo();
    lab.edit("compose/demo/compose.yaml", "    restart: unless-stopped\n", "");
    settle(&mut run, &lab);
    run.world.container("demo-web-1").state = "exited".into();
    assert!(run.plan(&lab).is_empty());
    run.world.container("demo-web-1").exit_code = 1;
    assert_snapshot!(settle(&mut run, &lab), @r"
    Changed outside of provision since the last apply:
    ! stack.demo
        container demo-web-1: running → exited (1)

    What will be done:
    ~ stack.demo
        service web (drift): 0 running (demo-web-1 exited) → 1 running
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
}

#[test]
fn a_job_left_behind_is_no_container_of_the_service() {
    let (lab, mut run) = demo();
    let mut job = run.world.container("demo-web-1").clone();
    (job.name, job.oneoff, job.state) = ("demo-web-run-1".into(), true, "exited".into());
    run.world.host().containers.push(job);
    assert!(run.plan(&lab).is_empty());
}

#[test]
fn a_file_edited_on_the_host_is_put_back() {
    let (lab, mut run) = demo();
    let path = format!("{FILES}/demo/compose.yaml");
    run.world.host().files.get_mut(&path).unwrap().sha256 = "0".repeat(64);
    run.world.host().files.remove(&format!("{FILES}/edge/config/Caddyfile"));
    assert_snapshot!(settle(&mut run, &lab), @r"
    Changed outside of provision since the last apply:
    ! stack.demo
        compose.yaml: as released → edited at 2025-11-21T10:00:00Z
    ! edge.caddy
        config/Caddyfile: as released → missing

    What will be done:
    ~ stack.demo
        compose.yaml (drift): edited on the host → as written, mode 0644
    ~ edge.caddy
        config/Caddyfile (drift): missing on the host → as written, mode 0644
    demo: 0 to add, 2 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(run.world.deeds, []);
}

#[test]
fn a_wrong_mode_is_put_right() {
    let (lab, mut run) = demo();
    let path = format!("{FILES}/demo/.env");
    run.world.host().files.get_mut(&path).unwrap().mode = "0644".into();
    assert_snapshot!(settle(&mut run, &lab), @r"
    Changed outside of provision since the last apply:
    ! stack.demo
        .env: as released → mode 0644

    What will be done:
    ~ stack.demo
        .env (drift): mode 0644 → as written, mode 0600
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
}

#[test]
fn a_missing_image_is_sent_again() {
    let (lab, mut run) = demo();
    run.world
        .host()
        .images
        .retain(|image| image.tags != ["provision-demo:1"]);
    assert_snapshot!(settle(&mut run, &lab), @r"
    Changed outside of provision since the last apply:
    ! stack.demo
        image provision-demo:1: sha256:7692c3ad3540 → missing

    What will be done:
    ~ stack.demo
        image provision-demo:1 (drift): missing on the host → sha256:7692c3ad3540
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(run.world.deeds, [Deed::Sent("provision-demo:1".into())]);
}

#[test]
fn another_image_under_the_tag_is_drift() {
    let (lab, mut run) = demo();
    for image in &mut run.world.host().images {
        if image.tags == ["provision-demo:1"] {
            image.id = "sha256:e1e1e1e1e1e1e1e1".into();
        }
    }
    assert_snapshot!(settle(&mut run, &lab), @r"
    Changed outside of provision since the last apply:
    ! stack.demo
        image provision-demo:1: sha256:7692c3ad3540 → sha256:e1e1e1e1e1e1

    What will be done:
    ~ stack.demo
        image provision-demo:1 (drift): sha256:e1e1e1e1e1e1 → sha256:7692c3ad3540
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
}

#[test]
fn a_container_of_another_image_is_drift() {
    let (lab, mut run) = demo();
    run.world.container("demo-web-1").image = "sha256:e1e1e1e1e1e1e1e1".into();
    run.world.container("edge-caddy-1").image = "sha256:e2e2e2e2e2e2e2e2".into();
    let text = settle(&mut run, &lab);
    assert!(
        text.contains("container demo-web-1 (drift): runs sha256:e1e1e1e1e1e1 → provision-demo:1 is sha256:"),
        "{text}"
    );
    assert!(
        text.contains("container edge-caddy-1 (drift): runs sha256:e2e2e2e2e2e2 → caddy:2 is sha256:"),
        "{text}"
    );
}

#[test]
fn a_new_archive_is_a_change_of_the_files() {
    let (lab, mut run) = demo();
    lab.archive("demo.tar", "provision-demo:1", "two");
    assert_snapshot!(settle(&mut run, &lab), @r"
    ~ stack.demo
        provision-demo:1: sha256:7692c3ad3540 → sha256:3fc4ccfe7458
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
    let deeds = [Deed::Sent("provision-demo:1".into()), Deed::Job("demo.migrate".into())];
    assert_eq!(run.world.deeds, deeds);
}

#[test]
fn an_image_without_a_tag_is_found_under_docker_s_name_for_it() {
    let (lab, mut run) = demo();
    for image in ["provision-demo", "docker.io/library/provision-demo:latest"] {
        lab.write(
            "compose/demo/compose.yaml",
            &format!("services:\n  web:\n    image: {image}\n"),
        );
        lab.write("compose/demo/stack.toml", "");
        lab.write(
            "environments/demo.toml",
            &crate::fixture::DEMO.replace("provision-demo:1", image),
        );
        lab.archive("demo.tar", "provision-demo:latest", "one");
        settle(&mut run, &lab);
    }
    let host = run.world.host();
    assert!(
        host.images
            .iter()
            .any(|image| image.tags.contains(&"provision-demo:latest".to_owned()))
    );
}

#[test]
fn a_job_for_once_that_never_ran_runs() {
    let (lab, mut run) = demo();
    let address = "stack.demo".parse().unwrap();
    run.state.resources.get_mut(&address).unwrap().facts.remove("once.seed");
    assert_snapshot!(settle(&mut run, &lab), @r"
    ~ stack.demo
        job seed: never ran → runs once
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
    assert_eq!(run.world.count(&Deed::Job("demo.seed".into())), 1);
}

#[test]
fn a_changed_permission_is_told_when_nothing_else_is() {
    let (lab, mut run) = demo();
    let record = run.state.resources.get_mut(&"stack.demo".parse().unwrap()).unwrap();
    record.attributes.insert("written".into(), "0".repeat(64));
    assert_snapshot!(settle(&mut run, &lab), @r"
    ~ stack.demo
        files: other permissions → as written
    demo: 0 to add, 1 to change, 0 to replace, 0 to remove.
    ");
}
