//! Streams between programs, which are asynchronous, and archives, which are not.
//!
//! Policy: a bounded number of blocks is on the way, so the slower side sets the pace and memory stays bounded. What compresses has a lower priority than requests.

use std::future::Future;
use std::io::{self, Read, Write};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Error;
use super::archive_reader::PartReader;
use super::archive_writer::ArchiveWriter;
use super::pace::Pace;
use crate::priority::{self, BACKUP_NICENESS};

/// The size of a block, in bytes.
const BLOCK_BYTES: usize = 256 << 10;
/// The blocks that are on the way.
const QUEUE_BLOCKS: usize = 4;
/// The longest time of one backup, verification or restore.
const MAX_HOURS: u64 = 48;

/// Writes what a program prints as one part.
pub(super) async fn write_part(
    archive: ArchiveWriter,
    name: &'static str,
    input: impl AsyncRead + Unpin,
) -> Result<ArchiveWriter, Error> {
    consume("pg_dump", input, move |blocks| {
        let mut part = archive.part(name)?;
        for block in blocks {
            part.write_all(&block)?;
        }
        part.finish()
    })
    .await
}

/// Gives what a program prints, in blocks, to a function that may block.
pub(super) async fn consume<T: Send + 'static>(
    program: &'static str,
    mut input: impl AsyncRead + Unpin,
    consumer: impl FnOnce(&mut dyn Iterator<Item = Bytes>) -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(QUEUE_BLOCKS);
    let consuming = move || consumer(&mut std::iter::from_fn(|| receiver.blocking_recv()));
    // A thread of the pool, which the runtime waits for, waits for it.
    let writing = spawn_blocking(move || priority::run("backup", BACKUP_NICENESS, consuming)?);
    let mut buffer = BytesMut::new();
    let mut pace = Pace::begin();
    loop {
        buffer.reserve(BLOCK_BYTES);
        let read = input.read_buf(&mut buffer).await.map_err(|source| Error::Stream { program, source })?;
        if (read == 0 || buffer.len() >= BLOCK_BYTES / 2) && !buffer.is_empty() {
            // It fails only if the writer has ended with an error, which is returned below.
            if sender.send(buffer.split().freeze()).await.is_err() {
                break;
            }
            pace.pause().await;
        }
        if read == 0 {
            break;
        }
    }
    drop(sender);
    writing.await?.map_err(|source| Error::Write { source })
}

/// Writes one part of a backup into the input of a program.
pub(super) async fn feed_part(
    backup: impl Read + Send + 'static,
    name: &'static str,
    mut output: impl AsyncWrite + Unpin,
) -> Result<(), Error> {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(QUEUE_BLOCKS);
    let reading = spawn_blocking(move || -> io::Result<()> {
        let mut part = PartReader::new(backup, name)?;
        loop {
            let mut block = vec![0; BLOCK_BYTES];
            let read = part.read(&mut block)?;
            block.truncate(read);
            // A program that does not read any more has ended with an error, which is reported by its status.
            if read == 0 || sender.blocking_send(block.into()).is_err() {
                return Ok(());
            }
        }
    });
    while let Some(block) = receiver.recv().await {
        if output.write_all(&block).await.is_err() {
            break;
        }
    }
    drop(receiver);
    // The end of its input.
    drop(output);
    reading.await?.map_err(|source| Error::Read { source })
}

/// The whole of a small part.
pub(super) async fn read_part(
    backup: impl Read + Send + 'static,
    name: &'static str,
    limit: u64,
) -> Result<Vec<u8>, Error> {
    let reading = spawn_blocking(move || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        PartReader::new(backup, name)?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    reading.await?.map_err(|source| Error::Read { source })
}

/// Gives an operation up after the longest time.
pub(super) async fn limited<T>(
    what: &'static str,
    operation: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let limit = Duration::from_secs(MAX_HOURS * 3600);
    timeout(limit, operation).await.unwrap_or(Err(Error::TooLong { what, hours: MAX_HOURS }))
}

/// The longest time that a program may take to end after its streams have ended.
pub(super) const PROGRAM_TIMEOUT: Duration = Duration::from_secs(MAX_HOURS * 3600);
