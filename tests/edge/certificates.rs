//! Certificates of one's own, and those that an authority issues.

use std::path::Path;
use std::process::{Command, Stdio};

use super::world::{World, desired, placed};
use super::{NAMES, SHOP, http3, is, project};

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
    assert!(!http3::has_udp_443(&world));
    if let Some(output) = http3::asked(&world, &own, &["https://shop.test/"]) {
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && told.contains("no answer over HTTP/3"),
            "{told}"
        );
    }

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

/// Whom Caddy itself would ask, as it reads what is rendered.
#[test]
fn the_staging_service_is_asked_where_it_is_named() {
    let Some(world) = World::new() else { return };
    for (mode, service) in [
        ("acme-staging", "https://acme-staging-v02.api.letsencrypt.org/directory"),
        ("acme", ""),
    ] {
        let tls = format!("mode = \"{mode}\"\nemail = \"ops@shop.test\"");
        let text = SHOP.replace("mode = \"internal\"", &tls);
        // No public authority knows a machine of this computer.
        let cloud = "[machine.aws]\nregion = \"eu-central-1\"\nsize = \"t3.small\"";
        let root = project(&world, &text.replace("[machine.local]", cloud));
        let folder = world.path(mode);
        placed(&desired(&root, "demo"), &folder);
        world.mount(&folder.join("config"));
        let read = world.done(
            "caddy",
            &["adapt", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"],
        );
        world.done("umount", &["/etc/caddy"]);
        let read: serde_json::Value = serde_json::from_str(&read).unwrap();
        let policies = read["apps"]["tls"]["automation"]["policies"].as_array().unwrap();
        for issuer in policies.iter().map(|policy| &policy["issuers"][0]) {
            assert_eq!(issuer["module"], "acme", "{mode}: {issuer}");
            assert_eq!(issuer["ca"].as_str().unwrap_or_default(), service, "{mode}: {issuer}");
            assert_eq!(issuer["email"], "ops@shop.test", "{mode}: {issuer}");
        }
        assert!(!policies.is_empty(), "{mode}");
    }
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
