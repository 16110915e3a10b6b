//! Reads a backup: checks every byte of it, and reads one part.

use std::io::{self, ErrorKind, Read};

use sha2::{Digest, Sha256};
use tar::Header;

use super::Error;
use super::archive::{
    BLOCK_BYTES, CHECKSUM_BYTES, CHUNK_BYTES, MANIFEST, MANIFEST_CHECKSUM, MAX_MANIFEST_BYTES, TRAILER_BYTES,
    checksum_line, chunk_name, header, hex, padding,
};
use super::manifest::{Manifest, Part};

/// The size of the pieces in which content is read, in bytes.
const PIECE_BYTES: usize = 128 << 10;

/// An entry of the file, of which the header has been read.
struct Entry {
    name: String,
    size: u64,
    time: u64,
}

/// Reads entries one after the other.
struct EntryReader<R> {
    input: R,
    position: u64,
}

impl<R: Read> EntryReader<R> {
    fn new(input: R) -> Self {
        Self { input, position: 0 }
    }

    fn altered(&self, what: &'static str) -> Error {
        Error::Altered { what, position: self.position }
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.input.read(&mut bytes[filled..]) {
                Ok(0) => return Err(Error::Truncated { bytes: self.position }),
                Ok(read) => {
                    filled += read;
                    self.position += read as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Only the decryption reports these.
                Err(error) if error.kind() == ErrorKind::InvalidData => return Err(self.altered("its encryption")),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(Error::Truncated { bytes: self.position });
                }
                Err(source) => return Err(Error::Read { source }),
            }
        }
        Ok(())
    }

    /// The next entry, whose header is exactly the one that was written.
    fn next(&mut self) -> Result<Entry, Error> {
        let is_first = self.position == 0;
        let mut block = [0; BLOCK_BYTES];
        self.read_exact(&mut block)?;
        let found = Header::from_byte_slice(&block);
        let parsed = found.path().ok().and_then(|path| path.to_str().map(str::to_owned));
        let entry = match (parsed, found.size(), found.mtime()) {
            (Some(name), Ok(size), Ok(time)) => Entry { name, size, time },
            _ if is_first => return Err(Error::NotABackup),
            _ => return Err(self.altered("the header of an entry")),
        };
        let is_as_written = header(&entry.name, entry.size, entry.time).is_ok_and(|written| written == block);
        match is_as_written {
            true => Ok(entry),
            false if is_first => Err(Error::NotABackup),
            false => Err(self.altered("the header of an entry")),
        }
    }

    /// Reads the content of an entry in pieces, and its padding.
    fn content(&mut self, size: u64, mut each: impl FnMut(&[u8])) -> Result<(), Error> {
        let mut buffer = vec![0; PIECE_BYTES];
        let mut left = size;
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            self.read_exact(&mut buffer[..piece])?;
            each(&buffer[..piece]);
            left -= piece as u64;
        }
        self.zeros(padding(size), "the padding of an entry")
    }

    fn zeros(&mut self, count: usize, what: &'static str) -> Result<(), Error> {
        let mut buffer = vec![0; count];
        self.read_exact(&mut buffer)?;
        if buffer.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(self.altered(what)) }
    }

    /// The content of a small entry.
    fn small(&mut self, size: u64, limit: u64) -> Result<Vec<u8>, Error> {
        if size > limit {
            return Err(self.altered("the size of an entry"));
        }
        let mut bytes = Vec::new();
        self.content(size, |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }
}

/// Checks every byte of a backup and returns its manifest.
///
/// # Errors
/// When it is not exactly what was written.
pub(super) fn check(input: impl Read) -> Result<Manifest, Error> {
    let mut reader = EntryReader::new(input);
    let mut parts: Vec<(Part, Sha256)> = Vec::new();
    let mut time = None;
    let manifest_size = loop {
        let entry = reader.next()?;
        if *time.get_or_insert(entry.time) != entry.time {
            return Err(reader.altered("the time of an entry"));
        }
        if entry.name == MANIFEST {
            break entry.size;
        }
        begin_or_continue(&mut parts, &entry).ok_or(match parts.is_empty() {
            true => Error::NotABackup,
            false => reader.altered("the name of an entry"),
        })?;
        if let Some((part, hash)) = parts.last_mut() {
            part.entries += 1;
            part.bytes += entry.size;
            reader.content(entry.size, |piece| hash.update(piece))?;
        }
    };
    let bytes = reader.small(manifest_size, MAX_MANIFEST_BYTES)?;
    check_end(&mut reader, &bytes, time)?;
    let manifest = Manifest::parse(&bytes)?;
    let found = parts.into_iter().map(|(part, hash)| Part { sha256: hex(&hash.finalize()), ..part });
    let expected = manifest.parts.iter().map(|part| Part { unpacked_bytes: 0, ..part.clone() });
    if !found.eq(expected) {
        return Err(reader.altered("the checksum of a part"));
    }
    if u64::try_from(manifest.created()?.as_second()).ok() != time {
        return Err(reader.altered("the time of the entries"));
    }
    Ok(manifest)
}

/// Adds an entry to the part that it continues or begins; none if it does neither.
fn begin_or_continue(parts: &mut Vec<(Part, Sha256)>, entry: &Entry) -> Option<()> {
    let (name, number) = entry.name.rsplit_once('.')?;
    if number.len() != 6 || entry.size > CHUNK_BYTES as u64 {
        return None;
    }
    if let Some((part, _)) = parts.last()
        && entry.name == chunk_name(&part.name, part.entries)
    {
        return Some(());
    }
    (entry.name == chunk_name(name, 0)).then(|| {
        let part = Part { name: name.to_owned(), entries: 0, bytes: 0, unpacked_bytes: 0, sha256: String::new() };
        parts.push((part, Sha256::new()));
    })
}

/// The checksum of the manifest, the end of the tar, and the end of the file.
fn check_end<R: Read>(reader: &mut EntryReader<R>, manifest: &[u8], time: Option<u64>) -> Result<(), Error> {
    let entry = reader.next()?;
    if entry.name != MANIFEST_CHECKSUM || Some(entry.time) != time {
        return Err(reader.altered("the name or time of an entry"));
    }
    let line = reader.small(entry.size, CHECKSUM_BYTES)?;
    if line != checksum_line(&hex(&Sha256::digest(manifest)), manifest.len() as u64).as_bytes() {
        return Err(reader.altered("the checksum of the manifest"));
    }
    reader.zeros(TRAILER_BYTES, "the end of the file")?;
    match reader.read_exact(&mut [0]) {
        Err(Error::Truncated { .. }) => Ok(()),
        Ok(()) => Err(reader.altered("something follows its end")),
        Err(error) => Err(error),
    }
}

/// Reads the manifest only, from the end of a file of this size. For a list: it shows nothing about the rest.
///
/// # Errors
/// When there is no manifest at the end.
pub(super) fn read_manifest<F: Read + io::Seek>(file: &mut F) -> Result<Manifest, Error> {
    let failed = |source: io::Error| match source.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::InvalidInput => Error::NotABackup,
        _ => Error::Read { source },
    };
    let block = BLOCK_BYTES as i64;
    // The trailer, and the block of the checksum before it.
    file.seek(io::SeekFrom::End(-(TRAILER_BYTES as i64) - block)).map_err(failed)?;
    let mut line = [0; CHECKSUM_BYTES as usize];
    file.read_exact(&mut line).map_err(failed)?;
    let text = std::str::from_utf8(&line).map_err(|_| Error::NotABackup)?;
    let (digest, size) = text.trim_end().split_once(' ').ok_or(Error::NotABackup)?;
    let size: u64 = size.parse().ok().filter(|size| *size <= MAX_MANIFEST_BYTES).ok_or(Error::NotABackup)?;
    let back = size as i64 + padding(size) as i64 + 2 * block + TRAILER_BYTES as i64;
    file.seek(io::SeekFrom::End(-back)).map_err(failed)?;
    let mut bytes = vec![0; size as usize];
    file.read_exact(&mut bytes).map_err(failed)?;
    if hex(&Sha256::digest(&bytes)) != digest {
        return Err(Error::NotABackup);
    }
    Manifest::parse(&bytes)
}

/// The bytes of one part, decompressed, of a backup that was checked.
pub(super) struct PartReader<R> {
    reader: EntryReader<R>,
    name: &'static str,
    /// The bytes of the entry that are left, and of its padding.
    left: u64,
    padding: usize,
    next_entry: u32,
    is_at_end: bool,
}

impl<R: Read> PartReader<R> {
    /// The part of this name.
    pub(super) fn new(
        input: R,
        name: &'static str,
    ) -> io::Result<zstd::stream::read::Decoder<'static, io::BufReader<Self>>> {
        let reader = EntryReader::new(input);
        zstd::stream::read::Decoder::new(Self { reader, name, left: 0, padding: 0, next_entry: 0, is_at_end: false })
    }

    fn next_entry(&mut self) -> Result<(), Error> {
        self.reader.zeros(self.padding, "the padding of an entry")?;
        self.padding = 0;
        loop {
            let entry = self.reader.next()?;
            if entry.name == chunk_name(self.name, self.next_entry) {
                self.next_entry += 1;
                self.left = entry.size;
                self.padding = padding(entry.size);
                return Ok(());
            }
            if self.next_entry > 0 || entry.name == MANIFEST {
                self.is_at_end = true;
                return Ok(());
            }
            self.reader.content(entry.size, |_| {})?;
        }
    }
}

impl<R: Read> Read for PartReader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            if self.is_at_end {
                return Ok(0);
            }
            self.next_entry().map_err(io::Error::other)?;
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let read = self.reader.input.read(&mut bytes[..wanted])?;
        if read == 0 && wanted > 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        self.reader.position += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};
    use std::sync::{Arc, Mutex};

    use super::super::archive::{CONFIGURATION, DATABASE, GLOBALS};
    use super::super::archive_writer::{ArchiveWriter, Sink};
    use super::super::manifest::Trigger;
    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink for Memory {
        fn complete(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Bytes that do not compress.
    fn noise(count: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..count).map(|_| next()).collect()
    }

    fn backup(database: &[u8]) -> Vec<u8> {
        let memory = Memory::default();
        let created: jiff::Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let mut writer = ArchiveWriter::new(Box::new(memory.clone()), created.as_second() as u64);
        for (name, content) in [(GLOBALS, &b"CREATE ROLE a;"[..]), (CONFIGURATION, b""), (DATABASE, database)] {
            let mut part = writer.part(name).unwrap();
            part.write_all(content).unwrap();
            writer = part.finish().unwrap();
        }
        writer.finish(Manifest::new(created.to_string(), Trigger::Command, None)).unwrap();
        memory.0.lock().unwrap().clone()
    }

    fn part(bytes: &[u8], name: &'static str) -> Vec<u8> {
        let mut content = Vec::new();
        PartReader::new(bytes, name).unwrap().read_to_end(&mut content).unwrap();
        content
    }

    #[test]
    fn what_is_written_is_read_whatever_its_size() {
        for size in [0, 1, 1000, CHUNK_BYTES, 2 * CHUNK_BYTES + 77] {
            let content = noise(size);
            let bytes = backup(&content);
            let manifest = check(&bytes[..]).unwrap();
            assert_eq!(manifest.parts[2].unpacked_bytes, size as u64);
            assert!(part(&bytes, DATABASE) == content, "{size}");
            assert_eq!(part(&bytes, GLOBALS), b"CREATE ROLE a;");
            assert_eq!(part(&bytes, CONFIGURATION), b"");
            assert_eq!(read_manifest(&mut Cursor::new(&bytes)).unwrap(), manifest);
        }
    }

    #[test]
    fn a_change_of_any_byte_is_found() {
        let mut bytes = backup(&noise(700));
        check(&bytes[..]).unwrap();
        for position in 0..bytes.len() {
            for bit in [0x01, 0x20, 0x80] {
                bytes[position] ^= bit;
                assert!(check(&bytes[..]).is_err(), "byte {position}, bit {bit:#x}");
                bytes[position] ^= bit;
            }
        }
    }

    #[test]
    fn a_backup_that_ends_early_or_late_is_refused_at_every_length() {
        let mut bytes = backup(&noise(700));
        for length in 0..bytes.len() {
            assert!(matches!(check(&bytes[..length]), Err(Error::Truncated { .. })), "{length}");
        }
        bytes.push(0);
        assert!(matches!(check(&bytes[..]), Err(Error::Altered { .. })));
    }

    #[test]
    fn files_of_other_programs_are_no_backups() {
        let mut other = Vec::new();
        let mut builder = tar::Builder::new(&mut other);
        let mut header = Header::new_gnu();
        header.set_size(3);
        builder.append_data(&mut header, "letter.txt", &b"abc"[..]).unwrap();
        builder.finish().unwrap();
        drop(builder);
        for bytes in [other, vec![b'x'; 4096], vec![0; 4096]] {
            assert!(matches!(check(&bytes[..]), Err(Error::NotABackup)), "{:?}", check(&bytes[..]));
        }
    }
}
