//! A file as one gzip stream, packed while it is sent. What reads it knows gzip from a plain file by itself.

use std::fs::File;
use std::io::{self, Read as _, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::mpsc;

/// The first bytes of what would not get smaller: gzip, zstd, xz, bzip2.
const PACKED: [&[u8]; 4] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd], b"\xfd7zXZ\0", b"BZh"];

/// As much of a file as tells whether it is packed.
pub(super) const MAGIC: usize = 6;

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;

/// Pieces that wait while the connection is slower than the packing.
const AHEAD: usize = 4;

/// A piece of the stream, and how much of the file has gone into it.
#[derive(Debug)]
pub(super) struct Piece {
    pub bytes: Vec<u8>,
    pub of_file: usize,
}

/// Whether a file that begins like this is compressed already.
pub(super) fn is_packed(begin: &[u8]) -> bool {
    PACKED.iter().any(|magic| begin.starts_with(magic))
}

/// Packs the rest of the file on a thread of its own, which ends early when nobody takes the pieces any more.
pub(super) fn pack(file: File) -> mpsc::Receiver<io::Result<Piece>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        if let Err(why) = send(file, &sender) {
            let _ = sender.blocking_send(Err(why));
        }
    });
    receiver
}

fn send(mut file: File, pieces: &mpsc::Sender<io::Result<Piece>>) -> io::Result<()> {
    // Level 1: on a fast link the packing must not be what takes the time.
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    let mut buffer = vec![0; CHUNK];
    let mut of_file = 0;
    loop {
        let n = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            Err(why) => return Err(why),
        };
        packer.write_all(&buffer[..n])?;
        of_file += n;
        if packer.get_ref().len() >= CHUNK / 4 {
            let bytes = std::mem::take(packer.get_mut());
            if pieces.blocking_send(Ok(Piece { bytes, of_file })).is_err() {
                return Ok(());
            }
            of_file = 0;
        }
    }
    let bytes = packer.finish()?;
    // Nobody there any more is no error: the command's exit code tells.
    let _ = pieces.blocking_send(Ok(Piece { bytes, of_file }));
    Ok(())
}
