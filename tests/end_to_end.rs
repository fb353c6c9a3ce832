//! The whole way on real machines: cloud-init, sshd, Docker, Compose, Caddy, PostgreSQL, booted from the tool's own user-data.
//! Needs what `make lab` builds; without it the tests say so and pass.
//!
//! A machine of this computer is a virtual one. Those of the clouds' doubles and the host of somebody else are system containers where
//! they run, and virtual machines elsewhere or with `PROVISION_LAB_MACHINES=qemu`: see `lab/doubles/machines`. A boot under emulation
//! takes minutes, so one machine lives through one long story, told in order: `e2e/life.rs`, the same on all four providers.
//! `e2e/PROVIDER.rs` holds what differs there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test may fail loudly and tell its story"
)]

#[path = "e2e/audit.rs"]
mod audit;
#[cfg(feature = "aws")]
#[path = "e2e/aws.rs"]
mod aws;
#[path = "e2e/canary.rs"]
mod canary;
#[path = "e2e/cloud.rs"]
mod cloud;
#[path = "e2e/digitalocean.rs"]
mod digitalocean;
#[path = "e2e/double.rs"]
mod double;
#[path = "e2e/drift.rs"]
mod drift;
#[path = "e2e/everyday.rs"]
mod everyday;
#[path = "e2e/host.rs"]
mod host;
#[path = "e2e/lab.rs"]
mod lab;
#[path = "e2e/life.rs"]
mod life;
#[path = "e2e/local.rs"]
mod local;
#[path = "e2e/stand_ins.rs"]
mod stand_ins;
#[path = "e2e/systems.rs"]
mod systems;

use lab::Lab;

/// With Docker, so that not every first boot installs it.
const IMAGE: &str = "debian-13-docker.qcow2";

/// A virtual machine: firmware, boot loader, a kernel of its own, disks that outlive a power failure.
#[test]
fn a_virtual_machine_outlives_a_power_failure() {
    if let Some(mut lab) = Lab::new("first", IMAGE) {
        local::first_day(&mut lab);
    }
}

/// The whole life of the demo on one.
#[test]
#[ignore = "half an hour of emulation: `make machines`"]
fn a_demo_lives_through_its_days() {
    if let Some(lab) = Lab::new("demo", IMAGE) {
        life::live(&lab, &local::Local);
    }
}

/// The same on EC2, as the lab's double has it: volumes are disks, addresses move. And what happens there alone.
#[cfg(feature = "aws")]
#[test]
fn an_instance_in_the_cloud_lives_through_its_days() {
    if let Some((lab, cloud)) = Lab::in_cloud::<aws::Aws>("cloud", IMAGE) {
        life::live(&lab, &cloud);
    }
}

/// The same on a Droplet, as the lab's double has it.
#[test]
fn a_droplet_lives_through_its_days() {
    if let Some((lab, cloud)) = Lab::in_cloud::<digitalocean::DigitalOcean>("droplet", IMAGE) {
        life::live(&lab, &cloud);
    }
}

/// The same on a host that was there before and stays, with containers and a firewall of somebody else.
#[test]
fn a_host_of_somebody_else_is_left_as_it_was_found() {
    if let Some(lab) = Lab::new("guest", IMAGE) {
        life::live(&lab, &host::Guest::start(&lab));
    }
}

/// What `provision init` writes applies; an image without Docker comes up by the tool's user-data alone. And marker secrets are found
/// in the encrypted bundle and in their service's own files, and nowhere else.
#[test]
fn a_plain_cloud_image_comes_up_by_user_data_alone_and_secrets_stay_where_they_belong() {
    if let Some((mut lab, cloud)) = Lab::in_cloud::<digitalocean::DigitalOcean>("canary", "debian-13.qcow2") {
        canary::tell(&mut lab, &cloud);
    }
}

/// The analytics site and the commerce application of `environments/`, their stacks as they are there, with the real programs.
#[test]
fn two_of_the_systems_serve() {
    if let Some((lab, _cloud)) = Lab::in_cloud::<digitalocean::DigitalOcean>("systems", IMAGE) {
        systems::tell(&lab);
    }
}

/// Three instances consume one queue; with real PostgreSQL, RabbitMQ, Redis and Node, and stand-ins for the rest.
#[cfg(feature = "aws")]
#[test]
#[ignore = "images of ten minutes, and virtual machines where containers have no share of a processor: `make machines`"]
fn the_event_platform_serves() {
    if let Some((lab, _cloud)) = Lab::in_cloud::<aws::Aws>("events", IMAGE) {
        stand_ins::events(&lab);
    }
}

/// Seven services behind a gateway, each with its own schema.
#[cfg(feature = "aws")]
#[test]
#[ignore = "images of ten minutes: `make machines`"]
fn the_passport_platform_serves() {
    if let Some((lab, _cloud)) = Lab::in_cloud::<aws::Aws>("passport", IMAGE) {
        stand_ins::passport(&lab);
    }
}

/// Migrated, seeded once, its master key rotated.
#[test]
#[ignore = "images of ten minutes: `make machines`"]
fn the_commerce_suite_serves() {
    if let Some((lab, _cloud)) = Lab::in_cloud::<digitalocean::DigitalOcean>("suite-droplet", IMAGE) {
        stand_ins::suite(&lab);
    }
}
