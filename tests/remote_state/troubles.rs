//! What keeps a bucket from being used: each told apart, with a remedy. The servers here answer as they are told, so that every
//! answer of every service can be had.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use aws_config::SdkConfig;
use provision::state::StoreError;
use provision::state::storage::Expect;

use crate::service::{self, bucket, config, state};

/// What a request was: method and path.
type Script = dyn Fn(&str, &str) -> Reply + Send + Sync;

struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

fn reply(status: u16, code: &str, message: &str) -> Reply {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
    Reply {
        status,
        headers: Vec::new(),
        body,
    }
}

/// A server that answers by a script, on a thread that ends with the test's process.
fn server(script: impl Fn(&str, &str) -> Reply + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let script: Arc<Script> = Arc::new(script);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let script = script.clone();
            std::thread::spawn(move || {
                let stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut writer = stream;
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 {
                        return;
                    }
                    let mut words = line.split(' ');
                    let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
                    let mut length = 0;
                    loop {
                        let mut header = String::new();
                        reader.read_line(&mut header).unwrap();
                        let header = header.trim().to_ascii_lowercase();
                        if let Some(text) = header.strip_prefix("content-length:") {
                            length = text.trim().parse().unwrap();
                        }
                        if header.is_empty() {
                            break;
                        }
                    }
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    let Reply { status, headers, body } = script(&method, &path);
                    let headers: String = headers
                        .iter()
                        .map(|(name, value)| format!("{name}: {value}\r\n"))
                        .collect();
                    let answer = format!(
                        "HTTP/1.1 {status} Said\r\n{headers}content-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    if writer.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    endpoint
}

fn told(error: &StoreError, endpoint: &str) -> String {
    let mut text = format!("error: {error}");
    let mut cause = std::error::Error::source(error);
    let mut last = error.to_string();
    while let Some(why) = cause {
        let words = why.to_string();
        if words != last {
            text.push_str(&format!("\n  because: {words}"));
        }
        last = words;
        cause = why.source();
    }
    text.push_str(&format!("\nhint: {}", error.remedy()));
    text.replace(endpoint, "[endpoint]")
}

fn loading(endpoint: &str, config: &SdkConfig) -> String {
    let root = tempfile::tempdir().unwrap();
    let store = service::store(config, root.path(), &bucket("shop"));
    told(&store.load().unwrap_err(), endpoint)
}

fn answered(reply: impl Fn() -> Reply + Send + Sync + 'static) -> String {
    let endpoint = server(move |_, _| reply());
    loading(&endpoint, &config(&endpoint, "AKIA", "secret"))
}

#[test]
fn no_bucket() {
    insta::assert_snapshot!(answered(|| reply(404, "NoSuchBucket", "The specified bucket does not exist")), @r#"
    error: failed to read the state s3://states/shop/demo/state.json
      because: there is no bucket `states` at [endpoint]
    hint: make it with `aws --endpoint-url [endpoint] s3 mb s3://states --region eu-central-1` and keep it from the public, or correct `bucket` under [state]
    "#);
}

#[test]
fn a_bucket_of_another_region() {
    insta::assert_snapshot!(answered(|| Reply {
        headers: vec![("x-amz-bucket-region", "eu-west-1".to_owned())],
        ..reply(301, "PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint.")
    }), @r#"
    error: failed to read the state s3://states/shop/demo/state.json
      because: the bucket `states` is in eu-west-1, not in eu-central-1
    hint: write `region = "eu-west-1"` under [state]
    "#);
}

#[test]
fn not_permitted() {
    insta::assert_snapshot!(answered(|| reply(403, "AccessDenied", "User: arn:aws:iam::123456789012:user/ci is not authorized")), @r#"
    error: failed to read the state s3://states/shop/demo/state.json
      because: s3:GetObject on arn:aws:s3:::states/shop/demo/state.json is not permitted: User: arn:aws:iam::123456789012:user/ci is not authorized
    hint: let a policy of these credentials hold {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], "Resource": "arn:aws:s3:::states/shop/*"} and {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::states"}
    "#);
}

#[test]
fn keys_of_nobody() {
    insta::assert_snapshot!(answered(|| reply(403, "InvalidAccessKeyId", "The key does not exist")), @r#"
    error: failed to read the state s3://states/shop/demo/state.json
      because: the credentials are not accepted (InvalidAccessKeyId: The key does not exist)
    hint: look at AWS_PROFILE, AWS_ACCESS_KEY_ID and `profile` under [state]: these credentials are of another account or service
    "#);
}

#[test]
fn keys_that_expired() {
    insta::assert_snapshot!(answered(|| reply(400, "ExpiredToken", "The provided token has expired.")), @r#"
    error: failed to read the state s3://states/shop/demo/state.json
      because: the credentials are not accepted (ExpiredToken: The provided token has expired.)
    hint: log in again (`aws sso login`) or renew the credentials, then run the command again
    "#);
}

#[test]
fn another_answer() {
    insta::assert_snapshot!(answered(|| reply(400, "InvalidRequest", "Missing required header")), @r#"
    error: failed to read the state s3://states/shop/demo/state.json
      because: s3:GetObject on arn:aws:s3:::states/shop/demo/state.json was answered with InvalidRequest: Missing required header
    hint: run the command again; when it stays, the service's own log tells more
    "#);
}

#[test]
fn no_service() {
    let endpoint = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let text = loading(&endpoint, &config(&endpoint, "AKIA", "secret"));
    insta::with_settings!({filters => vec![(r"\(os error \d+\)", "(os error [number])")]}, {
        insta::assert_snapshot!(text, @r#"
    error: failed to read the state s3://states/shop/demo/state.json
      because: [endpoint] does not answer: error sending request: client error (Connect): tcp connect error: Connection refused (os error [number])
    hint: look at the network, at `endpoint` and `region` under [state], and at AWS_ENDPOINT_URL; then run the command again
    "#);
    });
}

#[test]
fn no_credentials() {
    let endpoint = server(|_, _| reply(404, "NoSuchKey", "Nothing is there"));
    let config = config(&endpoint, "AKIA", "secret").into_builder();
    let config = config.credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(Nobody));
    insta::assert_snapshot!(loading(&endpoint, &config.build()), @r#"
    error: failed to read the state s3://states/shop/demo/state.json
      because: there are no credentials for it: the credential provider was not enabled: no providers in chain provided credentials
    hint: log in (`aws sso login`, `aws configure`), or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write `profile` under [state]
    "#);
}

#[derive(Debug)]
struct Nobody;

impl aws_credential_types::provider::ProvideCredentials for Nobody {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        use aws_credential_types::provider::error::CredentialsError;
        aws_credential_types::provider::future::ProvideCredentials::ready(Err(CredentialsError::not_loaded(
            "no providers in chain provided credentials",
        )))
    }
}

#[test]
fn no_region() {
    let config = config("http://127.0.0.1:1", "AKIA", "secret").into_builder();
    let mut config = config;
    config.set_region(None).set_endpoint_url(None);
    insta::assert_snapshot!(loading("-", &config.build()), @r#"
    error: failed to read the state s3://states/shop/demo/state.json
      because: the region of the bucket `states` is not known
    hint: write `region = "…"` under [state], or set AWS_REGION, or `region` in the profile of ~/.aws/config
    "#);
}

/// Writes and says so, whatever the condition; the object is always there.
fn careless(method: &str, _: &str) -> Reply {
    match method {
        "GET" => Reply {
            status: 200,
            headers: vec![tag()],
            body: "x".to_owned(),
        },
        _ => Reply {
            status: 200,
            headers: vec![tag()],
            body: String::new(),
        },
    }
}

fn tag() -> (&'static str, String) {
    (
        "etag",
        "\"0123\"\r\nlast-modified: Sat, 21 Nov 2026 10:00:00 GMT".to_owned(),
    )
}

#[test]
fn a_service_that_ignores_conditions_is_refused() {
    let endpoint = server(careless);
    let root = tempfile::tempdir().unwrap();
    let store = service::store(&config(&endpoint, "AKIA", "secret"), root.path(), &bucket("shop"));
    let error = store.save(&mut state()).unwrap_err();
    insta::assert_snapshot!(told(&error, &endpoint), @r#"
    error: failed to write s3://states/shop/demo/
      because: [endpoint] does not honour conditional writes: it created an object over one that was there (If-None-Match)
    hint: two runs at once could overwrite each other's state there: upgrade the service, use another one (Amazon S3 honours them), or keep `backend = "local"`
    "#);
}

#[test]
fn a_service_that_knows_no_conditions_is_refused() {
    let endpoint = server(|method, path| match method {
        "PUT" => reply(
            501,
            "NotImplemented",
            "A header you provided implies functionality that is not implemented",
        ),
        _ => careless(method, path),
    });
    let root = tempfile::tempdir().unwrap();
    let store = service::store(&config(&endpoint, "AKIA", "secret"), root.path(), &bucket("shop"));
    let error = store.save(&mut state()).unwrap_err();
    insta::assert_snapshot!(told(&error, &endpoint), @r#"
    error: failed to write s3://states/shop/demo/
      because: [endpoint] does not honour conditional writes: it answers “A header you provided implies functionality that is not implemented”
    hint: two runs at once could overwrite each other's state there: upgrade the service, use another one (Amazon S3 honours them), or keep `backend = "local"`
    "#);
    assert!(!root.path().join(".provision/demo/backend.json").exists());
}

/// A holder's lease ends by the clock of whoever keeps it, not by that of either computer.
#[test]
fn the_services_clock_counts() {
    let endpoint = server(|_, _| {
        let there = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(3);
        Reply {
            headers: vec![("date", there.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())],
            ..reply(404, "NoSuchKey", "Nothing is there")
        }
    });
    let root = tempfile::tempdir().unwrap();
    let store = service::store(&config(&endpoint, "AKIA", "secret"), root.path(), &bucket("shop"));
    assert!(store.load().unwrap().is_none());
    let ahead = store.storage().now().duration_since(jiff::Timestamp::now());
    assert!((10_795..=10_805).contains(&ahead.as_secs()), "{ahead}");
    assert!(store.storage().remove("state.json", &Expect::Absent).is_ok());
}
