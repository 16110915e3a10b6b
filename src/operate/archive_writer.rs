//! Writes a backup: its parts one after the other, then the manifest.
//!
//! Policy: nothing is written twice, so the target can be a file, a socket or an encryption. One chunk of a part is in memory.

use std::io::{self, Write};

use sha2::{Digest, Sha256};
use zstd::stream::write::Encoder;

use super::Error;
use super::archive::{
    CHUNK_BYTES, MANIFEST, MANIFEST_CHECKSUM, TRAILER_BYTES, checksum_line, chunk_name, header, hex, padding,
};
use super::manifest::{Manifest, Part};

/// The compression of `zstd` without options.
const LEVEL: i32 = 3;

/// Where a backup is written to.
pub trait Sink: Write + Send {
    /// Writes what is buffered. Without this call, the target is not complete.
    ///
    /// # Errors
    /// When it cannot be written.
    fn complete(&mut self) -> io::Result<()>;
}

/// A backup that is being written.
pub struct ArchiveWriter {
    sink: Box<dyn Sink>,
    /// Seconds since 1970.
    time: u64,
    parts: Vec<Part>,
}

impl ArchiveWriter {
    /// Begins a backup; `time` is when, in seconds since 1970.
    pub fn new(sink: Box<dyn Sink>, time: u64) -> Self {
        Self { sink, time, parts: Vec::new() }
    }

    /// Begins a part.
    pub(super) fn part(self, name: &'static str) -> io::Result<PartWriter> {
        let chunks = ChunkWriter {
            archive: self,
            buffer: Vec::with_capacity(CHUNK_BYTES),
            hash: Sha256::new(),
            part: Part { name: name.to_owned(), entries: 0, bytes: 0, unpacked_bytes: 0, sha256: String::new() },
        };
        Ok(PartWriter { unpacked_bytes: 0, encoder: Encoder::new(chunks, LEVEL)? })
    }

    /// Writes the manifest, which gets the parts, and the end.
    pub(super) fn finish(mut self, mut manifest: Manifest) -> Result<Manifest, Error> {
        manifest.parts = std::mem::take(&mut self.parts);
        let bytes = manifest.to_bytes()?;
        let line = checksum_line(&hex(&Sha256::digest(&bytes)), bytes.len() as u64);
        let written = self
            .entry(MANIFEST, &bytes)
            .and_then(|()| self.entry(MANIFEST_CHECKSUM, line.as_bytes()))
            .and_then(|()| self.sink.write_all(&[0; TRAILER_BYTES]))
            .and_then(|()| self.sink.complete());
        written.map_err(|source| Error::Write { source })?;
        Ok(manifest)
    }

    fn entry(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let size = bytes.len() as u64;
        self.sink.write_all(&header(name, size, self.time)?)?;
        self.sink.write_all(bytes)?;
        self.sink.write_all(&vec![0; padding(size)])
    }
}

/// A part that is being written: bytes are compressed and divided into entries.
pub(super) struct PartWriter {
    unpacked_bytes: u64,
    encoder: Encoder<'static, ChunkWriter>,
}

impl PartWriter {
    /// Ends the part.
    pub(super) fn finish(self) -> io::Result<ArchiveWriter> {
        let mut chunks = self.encoder.finish()?;
        chunks.end_entry()?;
        let ChunkWriter { mut archive, hash, mut part, .. } = chunks;
        part.unpacked_bytes = self.unpacked_bytes;
        part.sha256 = hex(&hash.finalize());
        archive.parts.push(part);
        Ok(archive)
    }
}

impl Write for PartWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.encoder.write(bytes)?;
        self.unpacked_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }
}

/// Divides compressed bytes into entries.
struct ChunkWriter {
    archive: ArchiveWriter,
    buffer: Vec<u8>,
    hash: Sha256,
    part: Part,
}

impl ChunkWriter {
    fn end_entry(&mut self) -> io::Result<()> {
        self.hash.update(&self.buffer);
        self.archive.entry(&chunk_name(&self.part.name, self.part.entries), &self.buffer)?;
        self.part.entries += 1;
        self.part.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == CHUNK_BYTES {
            self.end_entry()?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
