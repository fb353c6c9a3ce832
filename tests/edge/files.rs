//! The stack `static`: files behind the edge, served by a second Caddy.

use super::is;
use super::world::{World, desired, placed};

const SITE: &str = r#"
domain = "shop.test"
[machine.local]
[tls]
mode = "internal"
[stacks.static]
files = "../public"
[routes]
"/" = "static:8080"
"#;

/// Writes the stack's files, and has its Caddy serve them from where its Compose file mounts them.
fn served(world: &World, environment: &str) {
    world.write("project/environments/demo.toml", environment);
    world.write("project/public/index.html", "the first page\n");
    world.write("project/public/docs/index.html", "the documents\n");
    world.write("project/public/docs/a.txt", "a text\n");
    let desired = desired(&world.path("project"), "demo");
    let stack = desired
        .stacks
        .iter()
        .find(|stack| stack.name.as_str() == "static")
        .unwrap();
    for (path, file) in &stack.files {
        world.write(&format!("static/{path}"), file.bind(&desired.bindings));
    }
    let files = world.path("static/files");
    world.done("mount", &["--bind", files.to_str().unwrap(), "/srv"]);
    let caddyfile = world.path("static/config/Caddyfile");
    world.caddy("static", caddyfile.to_str().unwrap());
    world.knows("shop.test static");
    placed(&desired, &world.path("files"));
    world.mount(&world.path("files/config"));
    world.edge("shop.test");
}

#[test]
fn files_are_served() {
    let Some(world) = World::new() else { return };
    served(&world, SITE);
    is(
        &world.ask(&["https://shop.test/"]),
        "http/2 200",
        &["text/html", "the first page"],
        &[],
    );
    is(
        &world.ask(&["https://shop.test/docs/a.txt"]),
        "http/2 200",
        &["text/plain", "a text"],
        &[],
    );
    is(
        &world.ask(&["https://shop.test/docs/"]),
        "http/2 200",
        &["the documents"],
        &[],
    );
    // The application's own answer, not the page of the edge for what does not answer.
    is(
        &world.ask(&["https://shop.test/nothing"]),
        "http/2 404",
        &[],
        &["the first page", "retry-after"],
    );
    is(
        &world.ask(&["--path-as-is", "https://shop.test/../config/Caddyfile"]),
        "http/2 404",
        &[],
        &["file_server"],
    );
}

#[test]
fn an_application_that_routes_in_the_browser_is_served() {
    let Some(world) = World::new() else { return };
    served(
        &world,
        &SITE.replace("../public\"", "../public\"\nfallback = \"/index.html\""),
    );
    is(
        &world.ask(&["https://shop.test/orders/7"]),
        "http/2 200",
        &["the first page"],
        &[],
    );
    is(
        &world.ask(&["https://shop.test/docs/a.txt"]),
        "http/2 200",
        &["a text"],
        &[],
    );
    is(
        &world.ask(&["https://shop.test/docs"]),
        "http/2 200",
        &["the documents"],
        &[],
    );
}
