//! Base backups: the files of the running cluster, from which WAL is replayed.
//!
//! Policy: `pg_basebackup` writes one tar into a pipe, which is compressed and hashed on its way to the disk. A base counts when its description is there, which
//! is written last, after the WAL that it needs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use zstd::stream::{read::Decoder, write::Encoder};

use super::archive::hex;
use super::base_description::{BASE_SUFFIX, Base, DESCRIPTION_SUFFIX};
use super::lineage::Lineage;
use super::state::whole_seconds;
use super::stream::{PROGRAM_TIMEOUT, consume};
use super::{Error, clock, fault};
use crate::managed::client_programs::{ClientPrograms, Login};
use crate::managed::secret_file;

const PROGRAM: &str = "pg_basebackup";
/// In the name of a file that is not complete.
const PARTIAL_MARK: &str = ".partial-";
/// The compression of `zstd` without options.
const LEVEL: i32 = 3;
const BUFFER_BYTES: usize = 1 << 20;

/// Takes the files of the cluster into a lineage. What is returned is no base before [`complete`].
pub(super) async fn take(
    lineage: &Lineage,
    programs: &ClientPrograms,
    login: &Login,
    start: String,
) -> Result<Base, Error> {
    let (file, _) = lineage.base_files(whole_seconds(clock::now()));
    let partial = lineage.path.join(format!("base{PARTIAL_MARK}{}", std::process::id()));
    let copied = copy(programs, login, &partial).await;
    let named = file.clone();
    // The file system may hang, which must not block requests.
    let finishing = spawn_blocking(move || match copied {
        Ok(copied) => {
            fs::rename(&partial, &named).and_then(|()| secret_file::sync_parent(&named)).map_err(Error::at(&named))?;
            Ok(copied)
        }
        Err(error) => {
            if let Err(error) = fs::remove_file(&partial) {
                tracing::debug!("cannot remove {}: {error}", partial.display());
            }
            Err(error)
        }
    });
    let (unpacked_bytes, sha256) = finishing.await??;
    let appliance = env!("CARGO_PKG_VERSION").to_owned();
    let postgres = programs.version().major;
    Ok(Base { from: String::new(), start, postgres, appliance, unpacked_bytes, sha256, file })
}

/// Copies the files of the cluster into a compressed file; returns their size and the checksum of the file.
async fn copy(programs: &ClientPrograms, login: &Login, target: &Path) -> Result<(u64, String), Error> {
    let arguments = ["-D", "-", "-Ft", "-X", "none", "--checkpoint=fast", "-w", "--label=attendance-api"];
    let mut program = programs.start(PROGRAM, login, arguments, false).await?;
    let output = program.take_output().map_err(|source| Error::Stream { program: PROGRAM, source })?;
    program.follow();
    let target = target.to_owned();
    let stored = consume(PROGRAM, output, move |blocks| {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&target)?;
        let hashing = HashingWriter { target: BufWriter::with_capacity(BUFFER_BYTES, file), hash: Sha256::new() };
        let mut encoder = Encoder::new(hashing, LEVEL)?;
        let mut unpacked_bytes = 0;
        for block in blocks {
            encoder.write_all(&block)?;
            unpacked_bytes += block.len() as u64;
        }
        let mut hashing = encoder.finish()?;
        hashing.flush()?;
        hashing.target.get_ref().sync_all()?;
        Ok((unpacked_bytes, hex(&hashing.hash.finalize())))
    })
    .await;
    let finished = program.finish(PROGRAM_TIMEOUT).await;
    match (stored, finished) {
        // A full disk ends the program, too; the first error is the reason.
        (Err(error), _) => Err(error),
        (_, Err(error)) => Err(error.into()),
        (Ok(stored), Ok(())) => Ok(stored),
    }
}

/// Makes a base of the files, when all WAL that they need is in the lineage. `from` is the first moment that it restores.
pub(super) fn complete(base: &Base, from: Timestamp) -> Result<(), Error> {
    let base = Base { from: from.to_string(), ..base.clone() };
    let description = base.description();
    let text = serde_json::to_string(&base).map_err(|source| Error::Encode { source })?;
    fault::point("base-before-description");
    secret_file::write(&description, &text).map_err(Error::at(&description))
}

/// Removes what killed processes left of bases in a lineage.
pub(super) fn remove_incomplete(lineage: &Lineage) -> Result<(), Error> {
    for entry in fs::read_dir(&lineage.path).map_err(Error::at(&lineage.path))?.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        // One with a damaged description stays: an administrator may be able to mend that.
        let has_description =
            |stem: &str| lineage.path.join(format!("{stem}{DESCRIPTION_SUFFIX}")).symlink_metadata().is_ok();
        let is_incomplete = name.strip_suffix(BASE_SUFFIX).is_some_and(|stem| !has_description(stem));
        if name.contains(PARTIAL_MARK) || name.contains(secret_file::PARTIAL_MARK) || is_incomplete {
            fs::remove_file(&path).map_err(Error::at(&path))?;
        }
    }
    Ok(())
}

/// Unpacks a base into a new directory, and checks every byte of it.
pub(super) fn unpack(base: &Base, directory: &Path) -> Result<(), Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(Error::at(directory))?;
    let damaged = |what| Error::Altered { what, position: 0 }.of(&base.file);
    let file = File::open(&base.file).map_err(Error::at(&base.file))?;
    let mut hashing = HashingReader { source: BufReader::with_capacity(BUFFER_BYTES, file), hash: Sha256::new() };
    let unpacked = (|| {
        let mut archive = tar::Archive::new(Decoder::with_buffer(BufReader::new(&mut hashing))?);
        archive.set_preserve_permissions(true);
        archive.set_preserve_mtime(false);
        archive.unpack(directory)?;
        // The end of the tar is followed by zeros.
        io::copy(&mut archive.into_inner(), &mut io::sink())
    })();
    let rest = io::copy(&mut hashing, &mut io::sink());
    let is_whole = rest.is_ok() && hex(&hashing.hash.finalize()) == base.sha256;
    match unpacked {
        Ok(_) if is_whole => Ok(()),
        Ok(_) => Err(damaged("its checksum")),
        Err(_) if !is_whole => Err(damaged("its content")),
        Err(source) => Err(Error::at(directory)(source)),
    }
}

struct HashingWriter<W> {
    target: W,
    hash: Sha256,
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.target.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

struct HashingReader<R> {
    source: R,
    hash: Sha256,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(bytes)?;
        self.hash.update(&bytes[..read]);
        Ok(read)
    }
}
