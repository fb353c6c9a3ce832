//! What goes into a command and what comes out: bounded memory, whatever the host sends.

use std::collections::VecDeque;
use std::io::{self, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncSeekExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;

use super::command::{RemoteCommand, Stdin};
use super::error::SessionError;
use super::pack;
use crate::note::{Note, Say};

/// More than anything of ours prints; a probe of a full host has some hundred KiB.
pub(super) const STDOUT_LIMIT: usize = 16 * 1024 * 1024;

/// As much of standard error as can be of use in a message.
const STDERR_KEPT: usize = 64 * 1024;

/// A line is cut into pieces of this length, so that a program that never ends one fills no memory.
const LONGEST_LINE: usize = 16 * 1024;

/// Inputs shorter than this are over before a person has read about them.
const WORTH_TELLING: u64 = 256 * 1024;

/// Pause between two reports of a transfer.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// Which of a command's outputs a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pipe {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Where the lines of a running command go, without their line ends. Cheap to call; never blocks.
pub type OnLine<'a> = &'a (dyn Fn(Pipe, &str) + Send + Sync);

/// An input that is ready to be sent.
pub(super) enum Feed<'a> {
    None,
    Bytes(&'a [u8]),
    File {
        name: &'a str,
        path: PathBuf,
        file: File,
        length: u64,
        /// Whether to pack it on the way.
        pack: bool,
    },
}

impl<'a> Feed<'a> {
    /// Opens the file, if it is one: before anything runs on the host.
    pub(super) async fn open(command: &'a RemoteCommand) -> Result<Self, SessionError> {
        Ok(match &command.stdin {
            Stdin::None => Self::None,
            Stdin::Bytes(bytes) => Self::Bytes(bytes),
            Stdin::File(path) | Stdin::Packed(path) => {
                let failed = |why| SessionError::Input {
                    name: command.name.clone(),
                    path: path.clone(),
                    why,
                };
                let mut file = File::open(path).await.map_err(failed)?;
                let length = file.metadata().await.map_err(failed)?.len();
                let pack = match command.stdin {
                    Stdin::Packed(_) => !begins_packed(&mut file).await.map_err(failed)?,
                    _ => false,
                };
                Self::File {
                    name: &command.name,
                    path: path.clone(),
                    file,
                    length,
                    pack,
                }
            }
        })
    }

    /// Sends everything, then the end of file. A command that stops reading is no error: its exit code tells.
    pub(super) async fn into<W: AsyncWrite + Unpin>(self, sink: Option<W>, say: Say<'_>) -> Result<(), SessionError> {
        let Some(mut sink) = sink else { return Ok(()) };
        match self {
            Self::None => {}
            Self::Bytes(bytes) => {
                let mut tell = Tell::new(bytes.len() as u64, say);
                for chunk in bytes.chunks(64 * 1024) {
                    if sink.write_all(chunk).await.is_err() {
                        return Ok(());
                    }
                    tell.add(chunk.len());
                }
            }
            Self::File {
                name,
                path,
                mut file,
                length,
                pack,
            } => {
                let failed = |why| SessionError::Input {
                    name: name.to_owned(),
                    path: path.clone(),
                    why,
                };
                // Counted in bytes of the file either way: what is packed has no length before its end.
                let mut tell = Tell::new(length, say);
                if pack {
                    let mut pieces = pack::pack(file.into_std().await);
                    while let Some(piece) = pieces.recv().await {
                        let piece = piece.map_err(failed)?;
                        if sink.write_all(&piece.bytes).await.is_err() {
                            return Ok(());
                        }
                        tell.add(piece.of_file);
                    }
                } else {
                    let mut buffer = vec![0; 64 * 1024];
                    loop {
                        let n = file.read(&mut buffer).await.map_err(failed)?;
                        if n == 0 {
                            break;
                        }
                        if sink.write_all(&buffer[..n]).await.is_err() {
                            return Ok(());
                        }
                        tell.add(n);
                    }
                }
            }
        }
        // Dropping the sink is the end of file.
        Ok(())
    }
}

/// Whether the file is compressed already; leaves it at its begin.
async fn begins_packed(file: &mut File) -> io::Result<bool> {
    let mut begin = Vec::with_capacity(pack::MAGIC);
    file.take(pack::MAGIC as u64).read_to_end(&mut begin).await?;
    file.seek(SeekFrom::Start(0)).await?;
    Ok(pack::is_packed(&begin))
}

/// Reports of one transfer: now and then, and the last byte always.
struct Tell<'a> {
    done: u64,
    total: u64,
    next: Instant,
    say: Say<'a>,
}

impl<'a> Tell<'a> {
    fn new(total: u64, say: Say<'a>) -> Self {
        Self {
            done: 0,
            total,
            next: Instant::now(),
            say,
        }
    }

    fn add(&mut self, bytes: usize) {
        self.done += bytes as u64;
        let now = Instant::now();
        if self.total >= WORTH_TELLING && (self.done >= self.total || now >= self.next) {
            self.next = now + TELL_EVERY;
            (self.say)(Note::Bytes {
                done: self.done,
                total: Some(self.total),
            });
        }
    }
}

/// Reads standard output: into memory, or line by line to a callback.
pub(super) async fn stdout<R: AsyncRead + Unpin>(
    source: Option<R>,
    command: &RemoteCommand,
    on_line: Option<OnLine<'_>>,
) -> Result<Vec<u8>, SessionError> {
    let mut all = Vec::new();
    let mut lines = Lines::new(Pipe::Stdout, on_line);
    let Some(mut source) = source else { return Ok(all) };
    let mut buffer = vec![0; 32 * 1024];
    // A pipe that breaks is a connection that is lost; the end of the command tells.
    while let Ok(n @ 1..) = source.read(&mut buffer).await {
        if on_line.is_some() {
            lines.add(&buffer[..n]);
        } else {
            all.extend_from_slice(&buffer[..n]);
            if all.len() > STDOUT_LIMIT {
                return Err(SessionError::TooMuchOutput {
                    name: command.name.clone(),
                    limit: STDOUT_LIMIT,
                });
            }
        }
    }
    lines.end();
    Ok(all)
}

/// Reads standard error, keeping its end.
pub(super) async fn stderr<R: AsyncRead + Unpin>(source: Option<R>, on_line: Option<OnLine<'_>>) -> Vec<u8> {
    let mut kept = VecDeque::new();
    let mut lines = Lines::new(Pipe::Stderr, on_line);
    let Some(mut source) = source else { return Vec::new() };
    let mut buffer = vec![0; 8 * 1024];
    while let Ok(n @ 1..) = source.read(&mut buffer).await {
        lines.add(&buffer[..n]);
        kept.extend(&buffer[..n]);
        let surplus = kept.len().saturating_sub(STDERR_KEPT);
        kept.drain(..surplus);
    }
    lines.end();
    kept.into()
}

/// Cuts a stream into lines. A carriage return ends one as well: that is how progress bars are drawn.
struct Lines<'a> {
    pipe: Pipe,
    on_line: Option<OnLine<'a>>,
    open: Vec<u8>,
}

impl<'a> Lines<'a> {
    fn new(pipe: Pipe, on_line: Option<OnLine<'a>>) -> Self {
        Self {
            pipe,
            on_line,
            open: Vec::new(),
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.on_line.is_none() {
            return;
        }
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => self.end(),
                _ => {
                    self.open.push(*byte);
                    if self.open.len() >= LONGEST_LINE {
                        self.end();
                    }
                }
            }
        }
    }

    fn end(&mut self) {
        if let Some(on_line) = self.on_line
            && !self.open.is_empty()
        {
            on_line(self.pipe, &String::from_utf8_lossy(&self.open));
            self.open.clear();
        }
    }
}

/// How long a word gets when the openssh crate has quoted it: in single quotes, with `'` and `!` as `'\''`.
pub(super) fn quoted_length(word: &str) -> usize {
    word.len() + 2 + 3 * word.bytes().filter(|b| matches!(b, b'\'' | b'!')).count()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn lines_come_whole_and_the_last_without_its_end_too() {
        let seen = Mutex::new(Vec::new());
        let on_line = |pipe: Pipe, line: &str| seen.lock().unwrap().push((pipe, line.to_owned()));
        let command = RemoteCommand::new("x", [""; 0]);
        let kept = stdout(Some(&b"one\ntwo\r\nthr"[..]), &command, Some(&on_line))
            .await
            .unwrap();
        assert!(kept.is_empty());
        let expected = ["one", "two", "thr"].map(|line| (Pipe::Stdout, line.to_owned()));
        assert_eq!(*seen.lock().unwrap(), expected);
    }

    #[tokio::test]
    async fn a_line_without_an_end_fills_no_memory() {
        let seen = Mutex::new(Vec::new());
        let on_line = |_: Pipe, line: &str| seen.lock().unwrap().push(line.len());
        stderr(Some(tokio::io::repeat(b'x').take(40_000)), Some(&on_line)).await;
        assert_eq!(
            *seen.lock().unwrap(),
            [LONGEST_LINE, LONGEST_LINE, 40_000 - 2 * LONGEST_LINE]
        );
    }

    #[tokio::test]
    async fn of_standard_error_the_end_is_kept() {
        let text = format!("{}the end", "x".repeat(100_000));
        let kept = stderr(Some(text.as_bytes()), None).await;
        assert_eq!(kept.len(), STDERR_KEPT);
        assert!(kept.ends_with(b"the end"));
    }

    #[tokio::test]
    async fn more_output_than_the_limit_is_an_error() {
        let command = RemoteCommand::new("yes", [""; 0]);
        let error = stdout(Some(tokio::io::repeat(b'y')), &command, None).await.unwrap_err();
        assert_eq!(error.to_string(), "failed to run `yes`: it wrote more than 16 MiB");
    }

    #[tokio::test]
    async fn a_transfer_tells_its_last_byte_and_a_short_one_nothing() {
        let told = Mutex::new(Vec::new());
        let say = |note: Note| told.lock().unwrap().push(note);
        Feed::Bytes(&[0; 1000])
            .into(Some(tokio::io::sink()), &say)
            .await
            .unwrap();
        assert!(told.lock().unwrap().is_empty());
        let long = vec![0; 1_000_000];
        Feed::Bytes(&long).into(Some(tokio::io::sink()), &say).await.unwrap();
        let last = Note::Bytes {
            done: 1_000_000,
            total: Some(1_000_000),
        };
        assert_eq!(told.lock().unwrap().last(), Some(&last));
    }

    /// What a host receives of a file, and what a person was told last.
    async fn received(file: &[u8]) -> (Vec<u8>, Option<Note>) {
        let temp = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(temp.path(), file).unwrap();
        let command = RemoteCommand::new("docker", ["load"]).reading(Stdin::Packed(temp.path().to_owned()));
        let told = Mutex::new(None);
        let say = |note: Note| *told.lock().unwrap() = Some(note);
        let mut sink = Vec::new();
        let feed = Feed::open(&command).await.unwrap();
        feed.into(Some(&mut sink), &say).await.unwrap();
        (sink, told.into_inner().unwrap())
    }

    #[tokio::test]
    async fn a_file_is_packed_on_the_way_and_counted_as_what_it_is() {
        // Longer than one piece, and neither all alike nor all different.
        let file: Vec<u8> = (0..3_000_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 29) as u8)
            .collect();
        let (sent, told) = received(&file).await;
        assert!(sent.len() < file.len() / 2, "{} bytes", sent.len());
        let mut back = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&sent[..]), &mut back).unwrap();
        assert!(back == file);
        let length = file.len() as u64;
        let last = Note::Bytes {
            done: length,
            total: Some(length),
        };
        assert_eq!(told, Some(last));
    }

    #[tokio::test]
    async fn what_is_packed_already_goes_as_it_is() {
        for begin in [&b"\x1f\x8b\x08"[..], b"\x28\xb5\x2f\xfd", b"BZh9", b"\xfd7zXZ\0"] {
            assert_eq!(received(begin).await.0, begin);
        }
        let (empty, _) = received(b"").await;
        assert_eq!(empty[..2], [0x1f, 0x8b]);
    }

    #[tokio::test]
    async fn a_host_that_stops_reading_is_no_error() {
        let temp = tempfile::NamedTempFile::new().unwrap();
        temp.as_file().set_len(200 << 20).unwrap();
        let command = RemoteCommand::new("docker", ["load"]).reading(Stdin::Packed(temp.path().to_owned()));
        let (ours, theirs) = tokio::io::duplex(1024);
        drop(theirs);
        let feed = Feed::open(&command).await.unwrap();
        feed.into(Some(ours), &|_| {}).await.unwrap();
    }
}
