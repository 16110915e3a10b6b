//! Which PostgreSQL is used.
//!
//! Policy, the first that applies: `postgres.bin_dir` of the configuration; the embedded distribution; the newest
//! installed one (`/usr/lib/postgresql/*/bin`); pg-embed's download, where this build has it. A candidate can be named
//! without side effects ([`Source::find`]); choosing it unpacks or downloads it and asks it for its version.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::command::ChildCommand;
use super::embedded::EmbeddedArchive;
use super::helper;
#[cfg(feature = "download")]
use super::pg_embed;

/// Older versions lack what the appliance relies on.
const OLDEST_MAJOR: u32 = 14;
/// Where Debian and Ubuntu install PostgreSQL, one directory a major version.
const INSTALLED: &str = "/usr/lib/postgresql";
/// `postgres --version` may take this long; cold disks are slow.
const VERSION_TIMEOUT: Duration = Duration::from_secs(30);

/// Why no PostgreSQL can be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing applies.
    #[error(
        "there is no PostgreSQL to run: this build embeds none, postgres.bin_dir is not set and none is installed in \
         {INSTALLED}; install one (apt-get install postgresql), or use a build that embeds it (make build)"
    )]
    Nothing,
    /// A program is missing.
    #[error(
        "{dir} has no program '{program}'{remedy}",
        dir = .bin_dir.display(),
        remedy = remedy(.origin)
    )]
    NoProgram {
        /// Where it was looked for.
        bin_dir: PathBuf,
        /// Which one.
        program: &'static str,
        /// Why it was looked for there.
        origin: Origin,
    },
    /// A program is there and does not run.
    #[error("PostgreSQL's version cannot be asked for: {0}; libraries may be missing (ldd shows which)")]
    Version(#[from] helper::Error),
    /// The answer is not one of PostgreSQL.
    #[error("'{program} --version' answers '{answer}', which is not PostgreSQL; check postgres.bin_dir", program = .program.display())]
    NotPostgres {
        /// What was asked.
        program: PathBuf,
        /// What it said.
        answer: String,
    },
    /// Too old.
    #[error("{dir} has PostgreSQL {version}, which is not supported; use version {OLDEST_MAJOR} or newer", dir = .bin_dir.display())]
    Unsupported {
        /// Where it lies.
        bin_dir: PathBuf,
        /// What it is.
        version: Version,
    },
    /// The embedded one cannot be unpacked.
    #[error("cannot unpack PostgreSQL into {dir}: {cause}{hint}", dir = .dir.display(), cause = root_cause(.source), hint = hint(.source))]
    Unpack {
        /// Where to.
        dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The download failed.
    #[cfg(feature = "download")]
    #[error(
        "PostgreSQL cannot be downloaded: {0}; install one (apt-get install postgresql) or use a build that embeds it"
    )]
    Download(String),
}

fn remedy(origin: &Origin) -> &'static str {
    match origin {
        Origin::Configured => "; set postgres.bin_dir to the directory that has 'postgres' and 'initdb', or remove it",
        Origin::Embedded => "; remove that directory, it is unpacked again at the next start",
        Origin::Installed => "; install the server completely (apt-get install postgresql)",
        #[cfg(feature = "download")]
        Origin::Downloaded => "; remove that directory, it is downloaded again at the next start",
    }
}

/// The error at the bottom: those above it name the files of the archive, which help nobody.
fn root_cause(error: &io::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

/// What a person can do about an error of the file system.
pub(super) fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space (100 MB) or choose another data directory"
        }
        io::ErrorKind::PermissionDenied => "; give this user the directory or choose another data directory",
        io::ErrorKind::ReadOnlyFilesystem => "; choose a data directory that can be written",
        _ => "",
    }
}

/// A version as `postgres --version` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// What decides whether a cluster can be used.
    pub major: u32,
    /// All of it, such as `16.14`.
    pub full: String,
}

impl Version {
    /// Reads `postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)` and the like.
    fn parse(answer: &str) -> Option<Self> {
        let full = answer.split_once("(PostgreSQL) ")?.1.split_whitespace().next()?;
        let digits = full.find(|c: char| !c.is_ascii_digit()).unwrap_or(full.len());
        Some(Self { major: full[..digits].parse().ok()?, full: full.to_owned() })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}

/// Where a PostgreSQL comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `postgres.bin_dir`
    Configured,
    /// This binary.
    Embedded,
    /// A package of the system.
    Installed,
    /// pg-embed fetched it.
    #[cfg(feature = "download")]
    Downloaded,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configured => "configured",
            Self::Embedded => "embedded",
            Self::Installed => "installed",
            #[cfg(feature = "download")]
            Self::Downloaded => "downloaded",
        })
    }
}

/// The PostgreSQL that is used.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The directory of its programs.
    pub bin_dir: PathBuf,
    /// What it says it is.
    pub version: Version,
    /// Where it comes from.
    pub origin: Origin,
}

impl Installation {
    /// The path of one of its programs.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }
}

impl fmt::Display for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL {} ({}, {})", self.version, self.origin, self.bin_dir.display())
    }
}

/// A PostgreSQL that would be used; nothing has been unpacked, downloaded or run yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `postgres.bin_dir`
    Configured(PathBuf),
    /// The embedded one, of this version.
    Embedded(String),
    /// The newest installed one.
    Installed(PathBuf),
    /// pg-embed's download of this version.
    #[cfg(feature = "download")]
    Download(&'static str),
}

impl Source {
    /// The first that applies.
    ///
    /// # Errors
    /// When nothing does.
    pub fn find(configured: Option<&Path>) -> Result<Self, Error> {
        if let Some(bin_dir) = configured {
            return Ok(Self::Configured(bin_dir.to_owned()));
        }
        if let Some(distribution) = EmbeddedArchive::embedded() {
            return Ok(Self::Embedded(distribution.version().to_owned()));
        }
        if let Some(bin_dir) = newest_installed(Path::new(INSTALLED)) {
            return Ok(Self::Installed(bin_dir));
        }
        #[cfg(feature = "download")]
        return Ok(Self::Download(pg_embed::DOWNLOADED_VERSION));
        #[cfg(not(feature = "download"))]
        Err(Error::Nothing)
    }

    /// Makes it usable and asks for its version. `dist` is where distributions are unpacked.
    ///
    /// # Errors
    /// When it is missing, does not run, is too old, or cannot be unpacked or downloaded.
    pub async fn choose(self, dist: &Path) -> Result<Installation, Error> {
        let (bin_dir, origin) = match self {
            Self::Configured(bin_dir) => (bin_dir, Origin::Configured),
            Self::Embedded(_) => (unpack(dist).await?, Origin::Embedded),
            Self::Installed(bin_dir) => (bin_dir, Origin::Installed),
            #[cfg(feature = "download")]
            Self::Download(_) => (pg_embed::download(dist).await?, Origin::Downloaded),
        };
        for program in ["postgres", "initdb"] {
            if !bin_dir.join(program).is_file() {
                return Err(Error::NoProgram { bin_dir, program, origin });
            }
        }
        let version = ask_version(&bin_dir.join("postgres")).await?;
        if version.major < OLDEST_MAJOR {
            return Err(Error::Unsupported { bin_dir, version });
        }
        Ok(Installation { bin_dir, version, origin })
    }
}

/// The version of the embedded distribution, where this build has one.
pub fn embedded_version() -> Option<String> {
    EmbeddedArchive::embedded().map(|distribution| distribution.version().to_owned())
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured(bin_dir) => write!(f, "the PostgreSQL of postgres.bin_dir, {}", bin_dir.display()),
            Self::Embedded(version) => write!(f, "the embedded PostgreSQL {version}"),
            Self::Installed(bin_dir) => write!(f, "the installed PostgreSQL in {}", bin_dir.display()),
            #[cfg(feature = "download")]
            Self::Download(version) => write!(f, "PostgreSQL {version}, to be downloaded"),
        }
    }
}

async fn unpack(dist: &Path) -> Result<PathBuf, Error> {
    let failed = |source| Error::Unpack { dir: dist.to_owned(), source };
    let target = dist.to_owned();
    let unpacked = tokio::task::spawn_blocking(move || match EmbeddedArchive::embedded() {
        Some(distribution) => distribution.unpack(&target).map(Some),
        None => Ok(None),
    });
    unpacked.await.map_err(|e| failed(io::Error::other(e)))?.map_err(failed)?.ok_or(Error::Nothing)
}

/// The newest supported version below `root`, which has one directory a major version.
fn newest_installed(root: &Path) -> Option<PathBuf> {
    let majors = std::fs::read_dir(root).ok()?.flatten();
    let majors = majors.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())));
    let usable = majors.filter(|(major, path)| *major >= OLDEST_MAJOR && path.join("bin/postgres").is_file());
    usable.max_by_key(|(major, _)| *major).map(|(_, path)| path.join("bin"))
}

async fn ask_version(program: &Path) -> Result<Version, Error> {
    let command = ChildCommand::new(program, Signal::SIGKILL).arg("--version");
    let answer = helper::run_helper(&command, VERSION_TIMEOUT).await?;
    Version::parse(&answer).ok_or_else(|| Error::NotPostgres { program: program.to_owned(), answer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::testing::scratch;

    #[test]
    fn versions() {
        let major = |answer| Version::parse(answer).map(|version| (version.major, version.full));
        assert_eq!(major("postgres (PostgreSQL) 16.14"), Some((16, "16.14".into())));
        assert_eq!(major("postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)"), Some((15, "15.8".into())));
        assert_eq!(major("postgres (PostgreSQL) 19beta2"), Some((19, "19beta2".into())));
        assert_eq!(major("bash 5.2"), None);
    }

    #[test]
    fn the_newest_installed_version_is_taken_by_number() {
        let root = scratch("installed");
        for major in ["9.6", "13", "14", "100", "15"] {
            std::fs::create_dir_all(root.join(major).join("bin")).unwrap();
            std::fs::write(root.join(major).join("bin/postgres"), "").unwrap();
        }
        std::fs::create_dir_all(root.join("200/bin")).unwrap();
        assert_eq!(newest_installed(&root), Some(root.join("100/bin")));
        assert_eq!(newest_installed(&root.join("nowhere")), None);
    }

    #[tokio::test]
    async fn a_wrong_bin_dir_is_named() {
        let root = scratch("bin-dir");
        let error = Source::find(Some(&root)).unwrap().choose(&root).await.unwrap_err();
        let message = error.to_string();
        assert!(message.contains(&root.display().to_string()) && message.contains("postgres.bin_dir"), "{message}");
    }
}
