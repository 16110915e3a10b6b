//! Messages on the control socket: a kind, a length, and so many bytes.

use std::io::{self, Read, Write};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest message, in bytes.
const MAX_FRAME_BYTES: u32 = 16 << 20;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// From the client: its request, as JSON.
    Request = b'Q' as isize,
    /// Bytes of a backup.
    Data = b'D' as isize,
    /// The manifest of the backup that was sent.
    Manifest = b'M' as isize,
    /// Why there is none.
    Error = b'E' as isize,
    /// From the client: the backup is complete and on disk; has its size, a space, and its path if it is in the directory of backups.
    Stored = b'S' as isize,
    /// What was asked for is done.
    Done = b'O' as isize,
}

impl Kind {
    fn byte(self) -> u8 {
        self as u8
    }

    fn from_byte(byte: u8) -> io::Result<Self> {
        let all = [Self::Request, Self::Data, Self::Manifest, Self::Error, Self::Stored, Self::Done];
        all.into_iter().find(|kind| kind.byte() == byte).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

fn head(kind: Kind, length: usize) -> io::Result<[u8; 5]> {
    let length = u32::try_from(length).map_err(io::Error::other)?.to_be_bytes();
    Ok([kind.byte(), length[0], length[1], length[2], length[3]])
}

fn parse(head: [u8; 5]) -> io::Result<(Kind, usize)> {
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    if length > MAX_FRAME_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((Kind::from_byte(head[0])?, length as usize))
}

/// Writes a message.
pub(super) async fn send(stream: &mut (impl AsyncWrite + Unpin), kind: Kind, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(&head(kind, bytes.len())?).await?;
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Reads a message.
pub(super) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(Kind, Vec<u8>)> {
    let mut bytes = [0; 5];
    stream.read_exact(&mut bytes).await?;
    let (kind, length) = parse(bytes)?;
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok((kind, bytes))
}

/// Like [`send`], for a command, which does nothing else meanwhile.
pub(super) fn send_blocking(stream: &mut impl Write, kind: Kind, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(&head(kind, bytes.len())?)?;
    stream.write_all(bytes)?;
    stream.flush()
}

/// Like [`receive`], for a command.
pub(super) fn receive_blocking(stream: &mut impl Read) -> io::Result<(Kind, Vec<u8>)> {
    let mut bytes = [0; 5];
    stream.read_exact(&mut bytes)?;
    let (kind, length) = parse(bytes)?;
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok((kind, bytes))
}
