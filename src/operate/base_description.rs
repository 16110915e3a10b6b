//! What a complete base backup says about itself: a small JSON file beside its files.
//!
//! Policy: a description that cannot be read, or has not the form that was written, is no base, and does not stop the work with others. It stays where it is
//! until it is too old, because its content may still be of use.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::Error;
use super::layout::TIME_FORMAT;
use super::wal_segment::Lsn;

pub(super) const BASE_PREFIX: &str = "base-";
pub(super) const DESCRIPTION_SUFFIX: &str = ".json";
/// After the description's name, instead of its suffix.
pub(super) const BASE_SUFFIX: &str = ".tar.zst";
/// The largest description, in bytes.
const MAX_DESCRIPTION_BYTES: u64 = 64 << 10;

/// What a complete base backup says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Base {
    /// The end of the backup: the first moment that it can restore (RFC 3339).
    pub(super) from: String,
    /// A position at or before the first WAL that it needs.
    pub(super) start: String,
    /// The major version of PostgreSQL.
    pub(super) postgres: u32,
    /// The version of the appliance.
    pub(super) appliance: String,
    /// The size of the tar, in bytes.
    pub(super) unpacked_bytes: u64,
    /// The checksum of the compressed tar.
    pub(super) sha256: String,
    /// Its file.
    #[serde(skip)]
    pub(super) file: PathBuf,
}

impl Base {
    /// Reads a description, and checks that its base is there.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read { source };
        // Looked at before it is opened, because opening a pipe would wait for its writer.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(Error::NotAFile);
        }
        let mut bytes = Vec::new();
        File::open(path).and_then(|file| file.take(MAX_DESCRIPTION_BYTES).read_to_end(&mut bytes)).map_err(failed)?;
        let mut base: Self = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
        base.file = PathBuf::from(path.to_string_lossy().replace(DESCRIPTION_SUFFIX, BASE_SUFFIX));
        base.from()?;
        base.first_segment()?;
        if !fs::metadata(&base.file).map_err(|source| Error::at(&base.file)(source))?.is_file() {
            return Err(Error::NotAFile.of(&base.file));
        }
        Ok(base)
    }

    /// The first moment that it can restore.
    pub(super) fn from(&self) -> Result<Timestamp, Error> {
        self.from.parse().map_err(|_| damaged())
    }

    /// The position from which it needs WAL.
    pub(super) fn start(&self) -> Result<Lsn, Error> {
        Lsn::parse(&self.start).ok_or_else(damaged)
    }

    /// The number of the first segment that it needs.
    pub(super) fn first_segment(&self) -> Result<u64, Error> {
        self.start().map(Lsn::segment)
    }

    /// The file with its description.
    pub(super) fn description(&self) -> PathBuf {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        self.file.with_file_name(name.replace(BASE_SUFFIX, DESCRIPTION_SUFFIX))
    }
}

fn damaged() -> Error {
    Error::Altered { what: "the description of a base", position: 0 }
}

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamagedFile {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

impl DamagedFile {
    /// When its base was begun, by its name.
    pub(super) fn begun(&self) -> Option<Timestamp> {
        let name = self.file.file_name()?.to_str()?;
        let time = name.strip_prefix(BASE_PREFIX)?.strip_suffix(DESCRIPTION_SUFFIX)?;
        Some(DateTime::strptime(TIME_FORMAT, time).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
    }
}

/// The bases of a lineage.
#[derive(Debug, Default)]
pub(super) struct Bases {
    /// Those that can be used, the oldest first.
    pub(super) good: Vec<Base>,
    /// The descriptions of others.
    pub(super) damaged: Vec<DamagedFile>,
}

impl Bases {
    /// Those in the directory of a lineage.
    pub(super) fn read(lineage: &Path) -> Result<Self, Error> {
        let mut found: Vec<(Timestamp, Base)> = Vec::new();
        let mut damaged = Vec::new();
        for entry in fs::read_dir(lineage).map_err(Error::at(lineage))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with(BASE_PREFIX) || !name.ends_with(DESCRIPTION_SUFFIX) {
                continue;
            }
            let file = entry.path();
            match Base::read(&file).and_then(|base| Ok((base.from()?, base))) {
                Ok(base) => found.push(base),
                Err(error) => damaged.push(DamagedFile { file, problem: error.to_string() }),
            }
        }
        found.sort_by_key(|(from, _)| *from);
        damaged.sort_by(|one, other| one.file.cmp(&other.file));
        Ok(Self { good: found.into_iter().map(|(_, base)| base).collect(), damaged })
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;
    use crate::managed::testing::scratch;

    #[test]
    fn one_damaged_description_leaves_the_others_usable() {
        let lineage = scratch("damaged-descriptions");
        let good = r#"{"from":"2026-01-31T12:00:02Z","start":"0/3000028","postgres":16,"appliance":"1","unpacked_bytes":1,"sha256":"a"}"#;
        let write = |day: u32, text: &[u8]| {
            let stem = format!("base-2026-01-{day:02}T120000Z");
            fs::write(lineage.join(format!("{stem}.tar.zst")), "").unwrap();
            fs::write(lineage.join(format!("{stem}.json")), text).unwrap();
        };
        write(1, good.as_bytes());
        let texts: [&[u8]; 8] = [
            b"",
            &good.as_bytes()[..40],
            b"\xff\xfe",
            b"[]",
            &good.replace("2026-01-31T12", "yesterday").into_bytes(),
            &good.replace("0/3000028", "x").into_bytes(),
            &good.replace("16", "\"16\"").into_bytes(),
            &vec![b' '; 200_000],
        ];
        for (number, text) in texts.into_iter().enumerate() {
            write(number as u32 + 2, text);
        }
        fs::create_dir(lineage.join("base-2026-01-20T120000Z.json")).unwrap();
        mkfifo(&lineage.join("base-2026-01-21T120000Z.json"), Mode::from_bits_truncate(0o600)).unwrap();
        // Its base is missing.
        fs::write(lineage.join("base-2026-01-22T120000Z.json"), good).unwrap();
        let found = Bases::read(&lineage).unwrap();
        assert_eq!(found.good.len(), 1);
        assert_eq!(found.damaged.len(), 11, "{:?}", found.damaged);
        assert_eq!(found.damaged[0].begun(), Some("2026-01-02T12:00:00Z".parse().unwrap()));
        assert!(found.damaged.iter().all(|file| !file.problem.is_empty()));
    }
}
