//! What Caddy takes, and what it would refuse.

use std::path::Path;

use super::world::{World, desired, placed};
use super::{SHOP, project};

/// What Caddy would refuse is found before anything on the host changes: by the script that the host runs, with a `docker` that
/// runs Caddy in a mount namespace in place of a container.
#[test]
fn a_mistaken_snippet_is_found_before_anything_changes() {
    let Some(world) = World::new() else { return };
    world.write(
        "bin/docker",
        "#!/bin/sh\n[ \"$1 $2\" != 'image inspect' ] || exit 0\n[ \"$1 $2 $3 $4\" = 'run --rm --network none' ] || exit 99\n\
         while [ \"$1\" != caddy:2 ]; do case $1 in *:/etc/caddy:ro) config=${1%%:*} ;; esac; shift; done\nshift\n\
         export config\nexec unshare --mount sh -c 'mount --bind \"$config\" /etc/caddy; exec \"$@\"' sh \"$@\"\n",
    );
    world.done("chmod", &["755", world.path("bin/docker").to_str().unwrap()]);
    world.done(
        "mount",
        &["--bind", world.path("bin").to_str().unwrap(), "/usr/local/sbin"],
    );
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/remote/scripts/check-edge.sh");
    let check = |digest: &str| {
        let mut command = world.command("sh", &[script, digest, "caddy:2"]);
        command.env("PROVISION_ROOT", world.path("host")).output().unwrap()
    };
    let root = project(&world, SHOP);
    placed(&desired(&root, "demo"), &world.path("host/incoming/edge-0a"));
    let output = check("0a");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    world.write(
        "project/environments/snippets/ping.caddy",
        "handle /ping {\n\trespnd pong\n}\n",
    );
    placed(&desired(&root, "demo"), &world.path("host/incoming/edge-0b"));
    let output = check("0b");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(65), "{told}");
    assert!(
        told.contains("respnd") && told.contains("snippets/ping.caddy:"),
        "{told}"
    );
    assert_eq!(check("0c").status.code(), Some(66));
}

#[test]
fn caddy_takes_the_edge_of_every_environment() {
    let Some(world) = World::new() else { return };
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<String> = std::fs::read_dir(repository.join("environments"))
        .unwrap()
        .filter_map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()?
                .strip_suffix(".toml")
                .map(str::to_owned)
        })
        // Its image archives are built by `make lab`.
        .filter(|name| name != "demo")
        .collect();
    names.sort();
    assert!(names.len() > 10);
    for name in names {
        let folder = world.path(&name);
        placed(&desired(repository, &name), &folder);
        world.mount(&folder.join("config"));
        world.done(
            "caddy",
            &["validate", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"],
        );
        world.done("umount", &["/etc/caddy"]);
    }
}
