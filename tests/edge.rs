//! The edge as it serves: the Caddyfile that the program renders, in the real Caddy, before real programs, asked by curl.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends at what it did not expect"
)]

#[path = "edge/world.rs"]
mod world;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use world::{PASSWORD, World, desired, peers, placed};

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

#[test]
fn requests_reach_their_services() {
    let Some(shop) = shop() else { return };
    is(
        &shop.ask(&["https://shop.test/a?b=1"]),
        "http/2 200",
        &[
            "get /a?b=1\n",
            "port 8000",
            "x-frame-options: deny",
            "alt-svc: h3=\":443\"",
        ],
        &["allow", "server:"],
    );
    is(
        &shop.ask(&["https://shop.test/api/x/y?z=1"]),
        "http/2 200",
        &["get /x/y?z=1\n", "x-route: the api", "x-frame-options: deny"],
        &["x-powered-by"],
    );
    is(&shop.ask(&["https://shop.test/ping"]), "http/2 200", &["\n\npong"], &[]);
    is(
        &shop.ask(&["http://shop.test/a?b=1"]),
        "http/1.1 308",
        &["location: https://shop.test/a?b=1\n"],
        &[],
    );
    is(
        &shop.ask(&["https://www.shop.test/a?b=1"]),
        "http/2 308",
        &["location: https://shop.test/a?b=1\n"],
        &[],
    );
    is(
        &shop.ask(&["https://shop.test/old/a?b=1"]),
        "http/2 308",
        &["location: /new/a?b=1\n"],
        &[],
    );
    let packed = shop.ask(&[
        "-H",
        "Accept-Encoding: gzip",
        "-H",
        &format!("X-Long: {}", "x".repeat(3000)),
        "https://shop.test/",
    ]);
    is(&packed, "http/2 200", &["content-encoding: gzip"], &[]);
}

#[test]
fn what_a_client_claims_of_itself_is_dropped() {
    let Some(shop) = shop() else { return };
    let forged = [
        "X-Forwarded-For: 198.51.100.7",
        "X-Forwarded-Host: evil.test",
        "X_Forwarded_For: 198.51.100.7",
        "Forwarded: for=198.51.100.7",
        "X-Real-IP: 198.51.100.7",
        "True-Client-IP: 198.51.100.7",
        "X-Auth-Request-User: evil",
        "X-Auth-Request-Email: evil@evil.test",
        "X_Auth_Request_User: evil",
        "X-Auth-Request-Groups: evil",
    ];
    let mut args: Vec<&str> = forged.iter().flat_map(|header| ["-H", header]).collect();
    args.push("https://shop.test/");
    is(
        &shop.ask(&args),
        "http/2 200",
        &[
            "x-forwarded-for: 127.0.0.1\n",
            "x-real-ip: 127.0.0.1\n",
            "x-forwarded-host: shop.test\n",
        ],
        &["198.51.100.7", "evil"],
    );
    args.pop();
    args.extend(["-H", "Cookie: session=ann", "https://shop.test/private/a"]);
    is(
        &shop.ask(&args),
        "http/2 200",
        &["x-auth-request-user: ann\n", "get /private/a\n"],
        // The proxy said nothing of an address.
        &["198.51.100.7", "evil", "{http"],
    );
}

#[test]
fn passwords_and_sign_ins_are_asked_for() {
    let Some(shop) = shop() else { return };
    let known = format!("admin:{PASSWORD}");
    is(
        &shop.ask(&["https://shop.test/panel/"]),
        "http/2 401",
        &["www-authenticate: basic"],
        &["port 3000"],
    );
    let wrong = shop.ask(&["--user", "admin:wrong", "https://shop.test/panel/"]);
    is(&wrong, "http/2 401", &[], &["port 3000"]);
    let stranger = shop.ask(&["--user", &format!("root:{PASSWORD}"), "https://shop.test/panel/"]);
    is(&stranger, "http/2 401", &[], &["port 3000"]);
    let right = shop.ask(&["--user", &known, "https://shop.test/panel/"]);
    is(&right, "http/2 200", &["port 3000"], &["\nauthorization:"]);
    let kept = shop.ask(&["--user", &known, "https://shop.test/queue/"]);
    is(&kept, "http/2 200", &["port 3000", "\nauthorization: basic"], &[]);

    is(
        &shop.ask(&["https://shop.test/private/a"]),
        "http/2 302",
        &["location: /oauth2/sign_in?rd=https://shop.test/private/a\n"],
        &["port 8000"],
    );
    let sign_in = shop.ask(&["https://shop.test/oauth2/sign_in?rd=https://shop.test/private/a"]);
    is(&sign_in, "http/2 200", &["sign in: /oauth2/sign_in"], &[]);
    let other = shop.ask(&["-H", "Cookie: session=eve", "https://shop.test/private/a"]);
    is(&other, "http/2 302", &[], &["port 8000"]);
}

#[test]
fn a_request_brings_no_more_than_it_may() {
    let Some(shop) = shop() else { return };
    let body = shop.write("body", vec![b'x'; 500_000]);
    let body = format!("@{}", body.display());
    let put = |address: &str, more: &[&str]| shop.ask(&[&["--data-binary", &body, address], more].concat());
    // What a service has begun to answer cannot be taken back; ours reads to the end before.
    is(
        &put("https://shop.test/x", &[]),
        "http/2 413",
        &["too large"],
        &["body 500000"],
    );
    let chunked = ["--http1.1", "-H", "Transfer-Encoding: chunked", "-H", "Expect:"];
    is(
        &put("https://shop.test/x", &chunked),
        "http/1.1 413",
        &["too large"],
        &["port 8000"],
    );
    is(
        &put("https://shop.test/api/x", &[]),
        "http/2 200",
        &["body 500000"],
        &[],
    );
}

#[test]
fn while_nothing_answers_a_page_says_so() {
    let Some(shop) = shop() else { return };
    for path in ["down/x", "nowhere/x"] {
        let address = format!("https://shop.test/{path}");
        let has = [
            "retry-after: 30",
            "cache-control: no-store",
            "x-frame-options: deny",
            "back soon</h1>",
        ];
        for more in [
            &[][..],
            &["--data", "x"],
            &["-H", "Range: bytes=0-1"],
            &["-H", "If-None-Match: *"],
        ] {
            let answer = shop.ask(&[more, &[&address]].concat());
            is(&answer, "http/2 503", &has, &["etag", "last-modified", "server:"]);
            // The page is nobody's template.
            assert!(answer.contains("{$home} {http.request.uri}"), "{answer}");
        }
        is(
            &shop.ask(&["--head", &address]),
            "http/2 503",
            &["retry-after: 30"],
            &["back soon"],
        );
    }
    // What the application says itself is the application's.
    let own = shop.ask(&["https://shop.test/busy"]);
    is(
        &own,
        "http/2 503",
        &["the application is busy"],
        &["back soon", "retry-after"],
    );
}

#[test]
fn sockets_and_calls_pass() {
    let Some(shop) = shop() else { return };
    let root = shop.root("edge");
    let told = shop.done(
        "python3",
        &[&peers(), "websocket", "shop.test", "/socket", root.to_str().unwrap()],
    );
    assert_eq!(told, "HTTP/1.1 101 Switching Protocols\none\ntwo\n");
    // One message as gRPC frames it: not compressed, five bytes.
    let message = shop.write("message", b"\0\0\0\0\x05hello");
    let message = format!("@{}", message.display());
    let call = [
        "-H",
        "Content-Type: application/grpc",
        "-H",
        "TE: trailers",
        "--data-binary",
        &message,
    ];
    let answer = shop.ask(&[&call[..], &["https://shop.test/rpc.Echo/Say"]].concat());
    is(
        &answer,
        "http/2 200",
        &[
            "content-type: application/grpc",
            "hello",
            "grpc-status: 0",
            "grpc-message: fine",
        ],
        &[],
    );
    // HTTP/3 waits where the header `alt-svc` sends to.
    assert!(has_udp_443(shop));
}

#[test]
fn each_request_is_a_line_of_json() {
    let Some(shop) = shop() else { return };
    for address in [
        "https://shop.test/logged?1",
        "http://shop.test/logged?2",
        "https://www.shop.test/logged?3",
    ] {
        shop.ask(&["--user", &format!("admin:{PASSWORD}"), address]);
    }
    let mut seen = Vec::new();
    shop.wait("three lines", || {
        let log = shop.log("edge");
        seen = log
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| panic!("{line}")))
            .filter(|line| {
                line["request"]["uri"]
                    .as_str()
                    .is_some_and(|uri| uri.starts_with("/logged"))
            })
            .filter(|line| {
                line["logger"]
                    .as_str()
                    .is_some_and(|name| name.starts_with("http.log.access"))
            })
            .map(|line| line["request"]["uri"].as_str().unwrap().to_owned())
            .collect();
        seen.len() == 3
    });
    assert_eq!(seen, ["/logged?1", "/logged?2", "/logged?3"]);
    use base64::Engine as _;
    let password = base64::engine::general_purpose::STANDARD.encode(format!("admin:{PASSWORD}"));
    assert!(!shop.log("edge").contains(&password));
}

/// A certificate of one's own, and the settings that are on by default off.
#[test]
fn files_of_ones_own_are_served() {
    let Some(world) = World::new() else { return };
    let make = |name: &str| {
        let folder = world.path("project/environments");
        std::fs::create_dir_all(&folder).unwrap();
        let (key, certificate) = (folder.join("own.key"), folder.join("own.crt"));
        let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj";
        let mut openssl = Command::new("openssl");
        openssl.args(words.split(' ')).arg(format!("/CN={name}"));
        openssl.args(["-addext", "subjectAltName=DNS:shop.test,DNS:*.shop.test", "-keyout"]);
        let made = openssl
            .arg(key)
            .arg("-out")
            .arg(&certificate)
            .stderr(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        certificate
    };
    let own = make("first");
    let text = SHOP.replace("mode = \"internal\"", "certificate = \"own.crt\"\nkey = \"own.key\"");
    let text = text.replace("snippets    = ", "compression = false\nhttp3 = false\nsnippets = ");
    let root = project(&world, &text);
    let first = desired(&root, "demo");
    placed(&first, &world.path("files"));
    let key = first
        .edge
        .as_ref()
        .unwrap()
        .stack
        .files
        .iter()
        .find(|(path, _)| path.ends_with(".key"))
        .unwrap();
    assert_eq!(key.1.mode, 0o600);
    assert!(!key.1.shown(&first.bindings).unwrap().contains("PRIVATE"));
    world.knows(NAMES);
    world.mount(&world.path("files/config"));
    world.peers();
    world.edge("shop.test");
    let trusted = |certificate: &Path, host: &str| {
        let address = format!("https://{host}/");
        let more = [
            "-H",
            "Accept-Encoding: gzip",
            "--include",
            "--cacert",
            certificate.to_str().unwrap(),
            &address,
        ];
        let output = world.curl(&more);
        String::from_utf8_lossy(&output.stdout).to_lowercase()
    };
    is(
        &trusted(&own, "shop.test"),
        "http/2 200",
        &[],
        &["alt-svc", "content-encoding"],
    );
    is(&trusted(&own, "www.shop.test"), "http/2 308", &[], &[]);
    assert!(!has_udp_443(&world));

    // A renewed one is taken in by a reload, without anybody being cut off.
    let old = world.write("old.crt", std::fs::read(&own).unwrap());
    let own = make("second");
    placed(&desired(&root, "demo"), &world.path("files"));
    world.done(
        "caddy",
        &["reload", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"],
    );
    is(&trusted(&own, "shop.test"), "http/2 200", &[], &[]);
    assert_eq!(trusted(&old, "shop.test"), "");
}

/// A real ACME server, which is another Caddy: it looks whether the edge has the name, issues, and is not asked again after a restart.
#[test]
fn an_authority_of_ones_own_issues_a_certificate_once() {
    let Some(world) = World::new() else { return };
    world.knows(NAMES);
    let authority = world.write(
        "ca.caddy",
        "{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n\thttp_port 8081\n\thttps_port 4443\n\tlog {\n\t\toutput stdout\n\t}\n}\n\
         https://ca.test:4443 {\n\ttls internal\n\tlog\n\tacme_server\n}\n",
    );
    world.caddy("ca", authority.to_str().unwrap());
    let ca = world.root("ca");
    world.wait("the authority's root", || ca.exists());
    world.write("project/environments/root.pem", std::fs::read(&ca).unwrap());
    let tls = "mode = \"acme\"\nemail = \"ops@shop.test\"\ndirectory = \"https://ca.test:4443/acme/local/directory\"\n\
               directory_root = \"root.pem\"";
    let root = project(&world, &SHOP.replace("mode = \"internal\"", tls));
    placed(&desired(&root, "demo"), &world.path("files"));
    world.mount(&world.path("files/config"));
    world.peers();
    let issued = || {
        let output = world.curl(&[
            "--include",
            "--cacert",
            ca.to_str().unwrap(),
            "https://shop.test/",
            "https://www.shop.test/",
        ]);
        output.status.success()
    };
    let orders = || world.log("ca").matches("/acme/local/new-order").count();
    let mut edge = world.caddy("edge", "/etc/caddy/Caddyfile");
    world.wait("a certificate of that authority", issued);
    let asked = orders();
    assert!(asked >= 2, "{}", world.log("ca"));
    let folder = world.path("edge/caddy/certificates");
    assert!(std::fs::read_dir(&folder).unwrap().count() == 1, "{folder:?}");

    // The program that enters the namespace ends with it.
    world.done("caddy", &["stop"]);
    edge.wait().unwrap();
    assert!(!issued());
    world.caddy("edge", "/etc/caddy/Caddyfile");
    world.wait("the certificate again", issued);
    assert_eq!(orders(), asked);
}

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

fn has_udp_443(world: &World) -> bool {
    let tables = world.done("cat", &["/proc/net/udp", "/proc/net/udp6"]);
    tables.lines().any(|line| {
        line.split_whitespace()
            .nth(1)
            .is_some_and(|local| local.ends_with(":01BB"))
    })
}
