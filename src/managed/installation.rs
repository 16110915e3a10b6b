//! An installed PostgreSQL: where its programs are and which version they have.

use std::fmt;
use std::path::PathBuf;

/// The role that owns a cluster, and that the appliance uses.
pub(super) const SUPERUSER: &str = "postgres";

/// A version, as `postgres --version` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The major version, which decides whether a cluster can be used.
    pub major: u32,
    /// The complete version, such as `16.14`.
    pub full: String,
}

impl Version {
    /// Parses the output of `postgres --version`, such as `postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)`.
    pub(super) fn parse(answer: &str) -> Option<Self> {
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

/// Where an installation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `postgres.bin_dir`
    Configured,
    /// This binary contains it.
    Embedded,
    /// A package of the operating system.
    Installed,
    /// pg-embed downloaded it.
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

/// A PostgreSQL whose programs are in place and whose version is known.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The directory of its programs.
    pub bin_dir: PathBuf,
    /// Its version, as it reports it.
    pub version: Version,
    /// Where it comes from.
    pub origin: Origin,
}

impl Installation {
    /// The path of the program `name`.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }
}

impl fmt::Display for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL {} ({}, {})", self.version, self.origin, self.bin_dir.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_postgresql_are_parsed_and_other_output_is_not() {
        let major = |answer| Version::parse(answer).map(|version| (version.major, version.full));
        assert_eq!(major("postgres (PostgreSQL) 16.14"), Some((16, "16.14".into())));
        assert_eq!(major("postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)"), Some((15, "15.8".into())));
        assert_eq!(major("postgres (PostgreSQL) 19beta2"), Some((19, "19beta2".into())));
        assert_eq!(major("bash 5.2"), None);
    }
}
