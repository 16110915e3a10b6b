//! Selects the PostgreSQL to run.
//!
//! Policy: the first source that applies is used: `postgres.bin_dir` of the configuration; the embedded distribution; the newest
//! version installed in `/usr/lib/postgresql/*/bin`; pg-embed's download, if this build has it. [`Source::find`] has no side
//! effects; [`Source::install`] unpacks or downloads the programs and asks them for their version.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::command::ChildCommand;
use super::embedded::EmbeddedArchive;
use super::helper;
use super::installation::{Installation, Origin, Version};
use super::io_remedy::io_remedy;
#[cfg(feature = "download")]
use super::pg_embed;

/// Older versions lack features that the appliance uses.
const MIN_MAJOR_VERSION: u32 = 14;
/// Where Debian and Ubuntu install PostgreSQL, with one directory for each major version.
const DEBIAN_ROOT: &str = "/usr/lib/postgresql";
/// The time-out of `postgres --version`; long, because the first read from a cold disk is slow.
const VERSION_TIMEOUT: Duration = Duration::from_secs(30);

/// Why no PostgreSQL can be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No source applies.
    #[error(
        "there is no PostgreSQL to run: this build embeds none, postgres.bin_dir is not set and none is installed in \
         {DEBIAN_ROOT}; install one (apt-get install postgresql), or use a build that embeds it (make build)"
    )]
    Nothing,
    /// A program of the installation is missing.
    #[error(
        "{dir} has no program '{program}'{remedy}",
        dir = .bin_dir.display(),
        remedy = remedy(.origin)
    )]
    NoProgram {
        /// The directory that lacks it.
        bin_dir: PathBuf,
        /// Its name.
        program: &'static str,
        /// Where the installation comes from.
        origin: Origin,
    },
    /// `postgres --version` failed.
    #[error("PostgreSQL's version cannot be asked for: {0}; libraries may be missing (ldd shows which)")]
    Version(#[from] helper::Error),
    /// `postgres --version` printed something else than a version of PostgreSQL.
    #[error("'{program} --version' answers '{answer}', which is not PostgreSQL; check postgres.bin_dir", program = .program.display())]
    NotPostgres {
        /// The program.
        program: PathBuf,
        /// Its output.
        answer: String,
    },
    /// The version is too old.
    #[error("{dir} has PostgreSQL {version}, which is not supported; use version {MIN_MAJOR_VERSION} or newer", dir = .bin_dir.display())]
    Unsupported {
        /// The directory of its programs.
        bin_dir: PathBuf,
        /// Its version.
        version: Version,
    },
    /// The embedded distribution cannot be unpacked.
    #[error("cannot unpack PostgreSQL into {dir}: {cause}{hint}", dir = .dir.display(), cause = root_cause(.source), hint = io_remedy(.source))]
    Unpack {
        /// The directory for distributions.
        dir: PathBuf,
        /// The error of the file system or of the archive.
        source: io::Error,
    },
    /// pg-embed could not download a distribution.
    #[cfg(feature = "download")]
    #[error(
        "PostgreSQL cannot be downloaded: {0}; install one (apt-get install postgresql) or use a build that embeds it"
    )]
    Download(#[from] pg_embed::DownloadError),
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

/// The innermost error: those around it only name files of the archive.
fn root_cause(error: &io::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

/// Where PostgreSQL would be taken from; nothing has been unpacked, downloaded or run yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `postgres.bin_dir`
    Configured(PathBuf),
    /// The embedded distribution, of this version.
    Embedded(String),
    /// The newest version that the operating system has installed.
    Installed(PathBuf),
    /// A download of this version with pg-embed.
    #[cfg(feature = "download")]
    Download(&'static str),
}

impl Source {
    /// Finds the first source that applies.
    ///
    /// # Errors
    /// When none does.
    pub fn find(configured: Option<&Path>) -> Result<Self, Error> {
        if let Some(bin_dir) = configured {
            return Ok(Self::Configured(bin_dir.to_owned()));
        }
        if let Some(distribution) = EmbeddedArchive::embedded() {
            return Ok(Self::Embedded(distribution.version().to_owned()));
        }
        if let Some(bin_dir) = newest_installed(Path::new(DEBIAN_ROOT)) {
            return Ok(Self::Installed(bin_dir));
        }
        #[cfg(feature = "download")]
        return Ok(Self::Download(pg_embed::DOWNLOADED_VERSION));
        #[cfg(not(feature = "download"))]
        Err(Error::Nothing)
    }

    /// Puts the programs in place and asks for their version. `dist` is the directory into which distributions are unpacked.
    ///
    /// # Errors
    /// When a program is missing or does not run, the version is too old, or unpacking or downloading fails.
    pub async fn install(self, dist: &Path) -> Result<Installation, Error> {
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
        if version.major < MIN_MAJOR_VERSION {
            return Err(Error::Unsupported { bin_dir, version });
        }
        Ok(Installation { bin_dir, version, origin })
    }
}

/// Removes distributions below `dist` that this build does not use. Only for the holder of the lock of the data directory.
pub(super) fn remove_unused(dist: &Path) {
    if let Some(distribution) = EmbeddedArchive::embedded() {
        distribution.remove_others(dist);
    }
}

/// The version of the embedded distribution, if this build has one.
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

/// The newest supported version below `root`, which has one directory for each major version.
fn newest_installed(root: &Path) -> Option<PathBuf> {
    let majors = std::fs::read_dir(root).ok()?.flatten();
    let majors = majors.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())));
    let usable = majors.filter(|(major, path)| *major >= MIN_MAJOR_VERSION && path.join("bin/postgres").is_file());
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
    fn the_newest_installed_version_is_chosen_by_number_not_by_name() {
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
    async fn the_error_about_a_wrong_bin_dir_names_it_and_its_key() {
        let root = scratch("bin-dir");
        let error = Source::find(Some(&root)).unwrap().install(&root).await.unwrap_err();
        let message = error.to_string();
        assert!(message.contains(&root.display().to_string()) && message.contains("postgres.bin_dir"), "{message}");
    }
}
