//! The edge as it serves: the Caddyfile that the program renders, in the real Caddy, before real programs, asked by curl.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends at what it did not expect"
)]
#![allow(
    clippy::zombie_processes,
    reason = "what runs in a namespace ends with it, and the test's own process soon after"
)]

#[path = "edge/certificates.rs"]
mod certificates;
#[path = "edge/checked.rs"]
mod checked;
#[path = "edge/files.rs"]
mod files;
#[path = "edge/http3.rs"]
mod http3;
#[path = "lab/folder.rs"]
mod lab;
#[path = "edge/requests.rs"]
mod requests;
#[path = "edge/world.rs"]
mod world;

use std::path::PathBuf;
use std::sync::OnceLock;

use world::{World, desired, placed};

const COMPOSE: &str = "services:\n  web: {image: \"web:1\"}\n  panel: {image: \"panel:1\"}\n  rpc: {image: \"rpc:1\"}\n  \
                       oauth2-proxy: {image: \"oauth2-proxy:1\"}\n  down: {image: \"down:1\"}\n";

/// Everything that a route can be.
const SHOP: &str = r#"
domain = "shop.test"
[machine.local]
[tls]
mode = "internal"
[secrets]
ADMIN = { bundle = true }
[stacks.shop]
path = "../shop"
[edge]
headers     = { X-Frame-Options = "DENY", Server = false }
max_body    = "100KB"
maintenance = "page.html"
snippets    = "snippets"
[routes]
"/"             = "web:8000"
"/api/*"        = { to = "web:8000", strip = true, max_body = "1MB", headers = { X-Route = "the api", X-Powered-By = false } }
"/rpc.Echo/*"   = "h2c://rpc:9000"
"/panel/*"      = { to = "panel:3000", users = { admin = "{{secrets.ADMIN}}" } }
"/queue/*"      = { to = "panel:3000", users = { admin = "{{secrets.ADMIN}}" }, keep_authorization = true }
"/private/*"    = { to = "web:8000", forward_auth = "oauth2-proxy:4180" }
"/down/*"       = "down:8000"
"/nowhere/*"    = { to = "web:8001" }
"/old/*"        = { redirect = "/new", strip = true }
"www.shop.test" = { redirect = "shop.test" }
"#;

const NAMES: &str = "shop.test www.shop.test ca.test web panel rpc oauth2-proxy";

/// A project with one environment.
fn project(world: &World, environment: &str) -> PathBuf {
    world.write("project/environments/demo.toml", environment);
    world.write(
        "project/environments/page.html",
        "<h1>{$HOME} {http.request.uri} back soon</h1>\n",
    );
    world.write(
        "project/environments/snippets/ping.caddy",
        "handle /ping {\n\trespond pong\n}\n",
    );
    world.write("project/shop/compose.yaml", COMPOSE);
    world.write("project/shop/stack.toml", "admin = [\"panel:3000\"]\n");
    world.path("project")
}

/// The shop, served; made once.
fn shop() -> Option<&'static World> {
    static SHOP_WORLD: OnceLock<Option<World>> = OnceLock::new();
    SHOP_WORLD
        .get_or_init(|| {
            let world = World::new()?;
            placed(&desired(&project(&world, SHOP), "demo"), &world.path("files"));
            world.knows(NAMES);
            world.mount(&world.path("files/config"));
            world.peers();
            world.edge("shop.test");
            Some(world)
        })
        .as_ref()
}

impl World {
    /// Status, headers and body of an answer.
    fn ask(&self, args: &[&str]) -> String {
        let root = self.root("edge");
        let output = self.curl(&[&["--include", "--cacert", root.to_str().unwrap()], args].concat());
        assert!(
            output.status.success(),
            "{args:?}: {}\n{}",
            String::from_utf8_lossy(&output.stderr),
            self.log("edge")
        );
        String::from_utf8_lossy(&output.stdout).replace('\r', "").to_lowercase()
    }
}

/// What an answer has to begin with, have, and not have.
#[track_caller]
fn is(answer: &str, begin: &str, has: &[&str], lacks: &[&str]) {
    assert!(answer.starts_with(begin), "{begin}:\n{answer}");
    for text in has {
        assert!(answer.contains(text), "{text} in\n{answer}");
    }
    for text in lacks {
        assert!(!answer.contains(text), "no {text} in\n{answer}");
    }
}
