use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const SIZE: usize = 3_000_000;

fn content() -> Vec<u8> {
    (0..SIZE).map(|n| (n % 251) as u8).collect()
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha512::digest(bytes))
}

/// A web server that breaks the first `breaks` transfers in their middle, and knows ranges or not.
async fn server(mut breaks: u32, ranges: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let request = String::from_utf8(request).unwrap().to_lowercase();
            let first = request
                .split("range: bytes=")
                .nth(1)
                .and_then(|rest| rest.split('-').next())
                .and_then(|first| first.parse::<usize>().ok())
                .filter(|_| ranges);
            let whole = content();
            let rest = &whole[first.unwrap_or(0)..];
            let head = match first {
                Some(first) => format!(
                    "206 Partial Content\r\nContent-Range: bytes {first}-{}/{SIZE}",
                    SIZE - 1
                ),
                None => "200 OK".to_owned(),
            };
            let head = format!(
                "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                rest.len()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            let sent = if breaks > 0 { rest.len() / 2 } else { rest.len() };
            breaks = breaks.saturating_sub(1);
            let _ = stream.write_all(&rest[..sent]).await;
            let _ = stream.shutdown().await;
        }
    });
    at
}

#[derive(Default)]
struct Heard(Mutex<Vec<Note>>);

impl Heard {
    fn hear(&self, note: Note) {
        self.0.lock().unwrap().push(note);
    }
    fn lines(&self) -> usize {
        let notes = self.0.lock().unwrap();
        notes.iter().filter(|note| matches!(note, Note::Line(_))).count()
    }
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_was() {
    for ranges in [true, false] {
        let at = server(2, ranges).await;
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("x.img");
        let heard = Heard::default();
        let say = |note| heard.hear(note);
        verified(&format!("http://{at}/x"), &digest(&content()), &target, &say)
            .await
            .unwrap();
        assert!(std::fs::read(&target).unwrap() == content());
        assert!(!temp.path().join("x.part").exists());
        assert_eq!(heard.lines(), 2, "ranges: {ranges}");
        let last = Note::Bytes {
            done: SIZE as u64,
            total: Some(SIZE as u64),
        };
        assert_eq!(heard.0.lock().unwrap().last(), Some(&last));
    }
}

#[tokio::test]
async fn what_an_earlier_run_brought_is_not_brought_again() {
    let at = server(0, true).await;
    let temp = tempfile::tempdir().unwrap();
    let target = temp.path().join("x.img");
    std::fs::write(temp.path().join("x.part"), &content()[..SIZE - 10]).unwrap();
    let heard = Heard::default();
    let say = |note| heard.hear(note);
    verified(&format!("http://{at}/x"), &digest(&content()), &target, &say)
        .await
        .unwrap();
    let first = heard.0.lock().unwrap().first().cloned();
    assert_eq!(
        first,
        Some(Note::Bytes {
            done: SIZE as u64 - 10,
            total: Some(SIZE as u64)
        })
    );
    assert!(std::fs::read(&target).unwrap() == content());
}

#[tokio::test]
async fn a_part_of_something_else_is_thrown_away() {
    let at = server(0, true).await;
    let temp = tempfile::tempdir().unwrap();
    let target = temp.path().join("x.img");
    std::fs::write(temp.path().join("x.part"), vec![0; 1000]).unwrap();
    verified(&format!("http://{at}/x"), &digest(&content()), &target, &|_| ())
        .await
        .unwrap();
    assert!(std::fs::read(&target).unwrap() == content());
}

#[tokio::test]
async fn two_runs_download_once() {
    let at = server(0, true).await;
    let temp = tempfile::tempdir().unwrap();
    let target = temp.path().join("x.img");
    let (url, digest) = (format!("http://{at}/x"), digest(&content()));
    let heard = Heard::default();
    let say = |note| heard.hear(note);
    let (one, two) = tokio::join!(
        verified(&url, &digest, &target, &say),
        verified(&url, &digest, &target, &say)
    );
    one.and(two).unwrap();
    assert!(std::fs::read(&target).unwrap() == content());
    let begun = Note::Bytes {
        done: 0,
        total: Some(SIZE as u64),
    };
    assert_eq!(heard.0.lock().unwrap().iter().filter(|note| **note == begun).count(), 1);
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_wrong_checksum_says_expected_and_got_and_removes_the_file() {
    let at = server(0, true).await;
    let temp = tempfile::tempdir().unwrap();
    let target = temp.path().join("x.img");
    let wanted = "a".repeat(128);
    let error = verified(&format!("http://{at}/x"), &wanted, &target, &|_| ())
        .await
        .unwrap_err();
    assert!(
        error
            .what
            .contains(&format!("expected sha512 {wanted}, got {}", digest(&content()))),
        "{error}"
    );
    assert!(error.what.ends_with("the file was removed"));
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn without_a_server_the_remedy_names_the_path() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let temp = tempfile::tempdir().unwrap();
    let target = temp.path().join("x.img");
    let error = verified(&format!("http://{closed}/x"), &"a".repeat(128), &target, &|_| ())
        .await
        .unwrap_err();
    assert!(error.remedy.unwrap().contains("set `image` to the path of an image"));
    assert!(text(&format!("http://{closed}/SHA512SUMS")).await.is_err());
}
