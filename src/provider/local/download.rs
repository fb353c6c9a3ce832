//! Downloads that survive a broken line: resumed, verified, and under their name only when they are whole.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, RANGE};
use sha2::{Digest as _, Sha512};

use crate::names::hex;
use crate::note::{Note, Say};
use crate::provider::ProviderError;

/// How often in a row a transfer may break without having brought a byte.
const ATTEMPTS: u32 = 4;
/// The pause before the next attempt; it grows with each.
const PAUSE: Duration = Duration::from_millis(500);
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// How long a server may stay silent.
const SILENCE: Duration = Duration::from_secs(30);
/// How long another run's download is waited for.
const OTHER_RUN: Duration = Duration::from_secs(3600);
/// How many bytes pass between two notes of progress.
const NOTE_EVERY: u64 = 256 * 1024;
/// A list of checksums is a few kilobytes; whatever is longer is not one.
const TEXT_MAX: usize = 1 << 20;

/// Why one attempt ended.
enum Broken {
    /// Another attempt may go on where this one ended.
    Line(reqwest::Error),
    /// The server ended before everything was there.
    Short { has: u64, of: u64 },
    /// Another attempt would end the same way.
    Final(ProviderError),
}

/// A small text, such as a list of checksums.
pub async fn text(url: &str) -> Result<String, ProviderError> {
    let failed = |why: reqwest::Error| offline(url, why);
    let answer = client()?.get(url).send().await.map_err(failed)?;
    let answer = answer.error_for_status().map_err(failed)?;
    let mut text = Vec::new();
    let mut stream = answer.bytes_stream();
    while let Some(chunk) = stream.next().await {
        text.extend_from_slice(&chunk.map_err(failed)?);
        if text.len() > TEXT_MAX {
            return Err(
                ProviderError::new(format!("failed to read {url}: it is too long for a list of checksums"))
                    .with_remedy("check the url"),
            );
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Brings `url` to `target`, whose SHA-512 must be `digest`. What an earlier call has brought already stays in
/// `<target>.part` and is not transferred again. Concurrent callers wait for the first.
pub async fn verified(url: &str, digest: &str, target: &Path, say: Say<'_>) -> Result<(), ProviderError> {
    let part = target.with_extension("part");
    let failed = |why: std::io::Error| {
        let full = why.kind() == std::io::ErrorKind::StorageFull;
        let error = ProviderError::new(format!("failed to keep the download in `{}`", part.display())).because(why);
        if full {
            error.with_remedy("free space on that disk and apply again: the download goes on where it is")
        } else {
            error
        }
    };
    let Some(mut file) = lock_part(&part, target, url, say).await.map_err(failed)? else {
        return Ok(());
    };
    let resumed = length(&file).map_err(failed)? > 0;
    transfer(url, &mut file, say).await?;
    let mut got = sha512(&file).await.map_err(failed)?;
    if got != digest && resumed {
        say(Note::Line(
            "the part that was there before does not fit; downloading the whole".to_owned(),
        ));
        file.set_len(0).map_err(failed)?;
        transfer(url, &mut file, say).await?;
        got = sha512(&file).await.map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    if got != digest {
        std::fs::remove_file(&part).map_err(failed)?;
        return Err(ProviderError::new(format!(
            "failed to verify {url}: expected sha512 {digest}, got {got}; the file was removed"
        ))
        .with_remedy(
            "check `sha512` in the environment file; if it is right, the server's file is not the one that was meant",
        ));
    }
    std::fs::rename(&part, target).map_err(failed)
}

/// Opens the partial file as the only one who writes it; none when somebody else has completed it meanwhile.
async fn lock_part(part: &Path, target: &Path, url: &str, say: Say<'_>) -> std::io::Result<Option<File>> {
    let begun = Instant::now();
    let mut said = false;
    loop {
        let file = OpenOptions::new().read(true).append(true).create(true).open(part)?;
        match file.try_lock() {
            Err(TryLockError::Error(why)) => return Err(why),
            Err(TryLockError::WouldBlock) if begun.elapsed() > OTHER_RUN => {
                return Err(std::io::Error::other("another run has been downloading it for an hour"));
            }
            Err(TryLockError::WouldBlock) => {}
            Ok(()) if target.is_file() => {
                // Opened after the other run had moved its file to the target: this one is new and empty.
                if file.metadata()?.len() == 0 {
                    std::fs::remove_file(part)?;
                }
                return Ok(None);
            }
            // The other run may have removed the file that we opened.
            Ok(()) if std::fs::metadata(part).is_ok_and(|found| is_same(&found, &file)) => return Ok(Some(file)),
            Ok(()) => continue,
        }
        if !said {
            say(Note::Waiting(format!("another run that downloads {url}")));
            said = true;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn is_same(found: &std::fs::Metadata, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    file.metadata()
        .is_ok_and(|held| (held.dev(), held.ino()) == (found.dev(), found.ino()))
}

/// Appends what is missing, attempt after attempt.
async fn transfer(url: &str, file: &mut File, say: Say<'_>) -> Result<(), ProviderError> {
    let client = client()?;
    let mut without_a_byte = 0;
    loop {
        let before = length(file).map_err(|why| disk_error(url, why))?;
        let why = match attempt(&client, url, file, before, say).await {
            Ok(()) => return Ok(()),
            Err(Broken::Final(error)) => return Err(error),
            Err(Broken::Line(why)) => offline(url, why),
            Err(Broken::Short { has, of }) => ProviderError::new(format!(
                "failed to download {url}: the connection ended after {has} of {of} bytes"
            ))
            .with_remedy("apply again: the download goes on where it is"),
        };
        let after = length(file).map_err(|why| disk_error(url, why))?;
        without_a_byte = if after > before { 1 } else { without_a_byte + 1 };
        if without_a_byte >= ATTEMPTS {
            return Err(why);
        }
        say(Note::Line(format!(
            "the download broke off after {after} bytes; going on"
        )));
        tokio::time::sleep(PAUSE * without_a_byte).await;
    }
}

async fn attempt(client: &reqwest::Client, url: &str, file: &mut File, has: u64, say: Say<'_>) -> Result<(), Broken> {
    let mut request = client.get(url);
    if has > 0 {
        request = request.header(RANGE, format!("bytes={has}-"));
    }
    let answer = request.send().await.map_err(Broken::Line)?;
    let mut done = match answer.status() {
        StatusCode::PARTIAL_CONTENT if starts_at(&answer, has) => has,
        // Nothing is missing, or what is there is longer than the whole: the checksum tells.
        StatusCode::RANGE_NOT_SATISFIABLE if has > 0 => return Ok(()),
        status if status.is_success() => {
            file.set_len(0).map_err(|why| Broken::Final(disk_error(url, why)))?;
            0
        }
        status if status.is_client_error() => {
            return Err(Broken::Final(
                ProviderError::new(format!("failed to download {url}: the server answered {status}"))
                    .with_remedy("check the url in the environment file"),
            ));
        }
        _ => match answer.error_for_status() {
            Err(why) => return Err(Broken::Line(why)),
            Ok(answer) => {
                return Err(Broken::Final(ProviderError::new(format!(
                    "failed to download {url}: the server answered {}",
                    answer.status()
                ))));
            }
        },
    };
    let total = answer.content_length().map(|rest| done + rest);
    say(Note::Bytes { done, total });
    let mut noted = done;
    let mut stream = answer.bytes_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(Broken::Line)?;
        file.write_all(&chunk)
            .map_err(|why| Broken::Final(disk_error(url, why)))?;
        done += chunk.len() as u64;
        if done - noted >= NOTE_EVERY {
            say(Note::Bytes { done, total });
            noted = done;
        }
    }
    say(Note::Bytes { done, total });
    match total {
        Some(of) if done < of => Err(Broken::Short { has: done, of }),
        _ => Ok(()),
    }
}

/// Whether a partial answer begins where our file ends: `Content-Range: bytes <first>-<last>/<total>`.
fn starts_at(answer: &reqwest::Response, has: u64) -> bool {
    answer
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("bytes "))
        .and_then(|range| range.split('-').next())
        .and_then(|first| first.parse().ok())
        .is_some_and(|first: u64| first == has)
}

fn client() -> Result<reqwest::Client, ProviderError> {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_DEADLINE)
        .read_timeout(SILENCE)
        .user_agent(concat!("provision/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|why| ProviderError::new("failed to prepare a download").because(why))
}

fn offline(url: &str, why: reqwest::Error) -> ProviderError {
    ProviderError::new(format!("failed to download {url}")).because(why).with_remedy(
        "check the connection to the internet (HTTPS_PROXY is respected) and apply again: a download goes on where it \
         is; without internet set `image` to the path of an image",
    )
}

fn disk_error(url: &str, why: std::io::Error) -> ProviderError {
    ProviderError::new(format!("failed to write the download of {url}"))
        .because(why)
        .with_remedy("free space in the cache folder and apply again: the download goes on where it is")
}

fn length(file: &File) -> std::io::Result<u64> {
    Ok(file.metadata()?.len())
}

async fn sha512(file: &File) -> std::io::Result<String> {
    let mut file = file.try_clone()?;
    let hashing = tokio::task::spawn_blocking(move || {
        file.seek(SeekFrom::Start(0))?;
        let mut hash = Sha512::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hex(&hash.finalize())),
                n => hash.update(buffer.get(..n).unwrap_or_default()),
            }
        }
    });
    hashing.await.map_err(std::io::Error::other)?
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
