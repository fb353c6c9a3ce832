//! Requests as they pass the edge: routes, headers, passwords, limits, the page while nothing answers, the log.

use super::world::{PASSWORD, peers};
use super::{is, shop};

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
