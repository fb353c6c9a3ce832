use sha2::{Digest as _, Sha512};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::names::hex;

#[test]
fn debian_13_is_debians_own_image() {
    let Some(LocalImage::Url { url, sha512 }) = alias("debian-13", "aarch64") else {
        panic!("no alias");
    };
    assert_eq!(
        url,
        "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-generic-arm64.qcow2"
    );
    let sums = "https://cloud.debian.org/images/cloud/trixie/latest/SHA512SUMS";
    assert_eq!(sha512, Sha512Source::SumsUrl(sums.to_owned()));
    assert_eq!(alias("debian-13", "riscv64"), None);
    assert_eq!(alias("debian-12", "x86_64"), None);
}

#[test]
fn a_sum_is_found_by_the_whole_name() {
    let list = "aa  x-debian.qcow2\nbb *debian.qcow2\n";
    assert_eq!(find_sum(list, "debian.qcow2").as_deref(), Some("bb"));
    assert_eq!(find_sum(list, "other"), None);
}

/// A web server with one image and its checksums; it lives as long as what is returned.
struct Mirror {
    at: std::net::SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Mirror {
    async fn with(image: &'static [u8]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let sums = format!("{}  base.raw\n", hex(&Sha512::digest(image)));
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                let body = if request.starts_with(b"GET /SHA512SUMS") {
                    sums.as_bytes()
                } else {
                    image
                };
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
            }
        });
        Self { at, task }
    }

    fn image(&self) -> LocalImage {
        LocalImage::Url {
            url: format!("http://{}/base.raw", self.at),
            sha512: Sha512Source::SumsUrl(format!("http://{}/SHA512SUMS", self.at)),
        }
    }
}

#[tokio::test]
async fn a_download_is_cached_and_serves_without_the_publisher_too() {
    let Ok(tools) = Tools::find() else {
        println!("skipped: there is no QEMU here");
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let cache = temp.path().join("images");
    let mirror = Mirror::with(&[7; 4096]).await;
    let image = mirror.image();
    let base = ensure(&image, &tools, &cache, &|_| ()).await.unwrap();
    assert_eq!((base.format.as_str(), base.length), ("raw", 4096));

    // Cleared from the cache and fetched again for the machine that has it.
    std::fs::remove_file(&base.path).unwrap();
    check(&base, &image, &cache, &|_| ()).await.unwrap();
    assert!(base.path.is_file());

    mirror.task.abort();
    let _ = mirror.task.await;
    let heard = std::sync::Mutex::new(Vec::new());
    let say = |note| heard.lock().unwrap().push(note);
    let again = ensure(&image, &tools, &cache, &say).await.unwrap();
    assert_eq!(again.path, base.path);
    assert!(matches!(heard.lock().unwrap().as_slice(), [Note::Warning(text)] if text.contains("downloaded before")));

    std::fs::remove_file(&base.path).unwrap();
    let error = check(&base, &image, &cache, &|_| ()).await.unwrap_err();
    assert!(error.remedy.unwrap().contains("check the connection"));
    assert!(ensure(&image, &tools, &cache, &|_| ()).await.is_err());
}

#[tokio::test]
async fn what_is_no_image_and_what_is_no_digest_is_refused() {
    let Ok(tools) = Tools::find() else {
        println!("skipped: there is no QEMU here");
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let folder = LocalImage::Path(temp.path().to_path_buf());
    let error = ensure(&folder, &tools, temp.path(), &|_| ()).await.unwrap_err();
    assert!(error.what.starts_with("failed to find the base image"), "{error}");
    let short = LocalImage::Url {
        url: "http://127.0.0.1:1/x".to_owned(),
        sha512: Sha512Source::Digest("abc".to_owned()),
    };
    let error = ensure(&short, &tools, temp.path(), &|_| ()).await.unwrap_err();
    assert_eq!(error.remedy.as_deref(), Some("give 128 hexadecimal digits"));
}
