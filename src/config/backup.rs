//! `backup:` — when backups are made, and which are kept.

use std::path::PathBuf;

use super::backup_keep::{self, Keep};
use super::choice::{Choice, choice};
use super::kind::Kind;
use super::section::section;
use super::settings::Settings;
use super::time_of_day::TimeOfDay;
use super::units::{GIB, MIB};

section! {
    /// Backups. Without a schedule none are made, except by `attendance-api backup create` and before an upgrade.
    "backup" {
        /// `backup:` — when backups are made, and where.
        pub struct Backup {
            resolved {
                /// Which are kept.
                keep: Keep;
            }
            /// The time of day of a daily backup, in UTC, 00:00 to 23:59. Example: "03:15"
            schedule: Option<TimeOfDay> => Kind::TimeOfDay;
            /// Whether every change is also copied as it is made (the WAL of PostgreSQL), true or false, so that the database of any moment of the
            /// last days can be restored (`backup restore --to`). For the managed PostgreSQL only.
            wal: bool = "false" => Kind::Boolean;
            /// How many days back a moment can be restored with `wal: true`, 1 to 365. A new base backup is made each seventh of that time, but
            /// not more often than once a day.
            wal_days: i64 = "7" => Kind::Integer(1, 365);
            /// Maximum size of the WAL that PostgreSQL keeps because it is not copied yet, 32MiB to 1TiB. Beyond that, copying begins anew with a new
            /// base backup, so that the disk does not become full.
            wal_max_lag: u64 = "1GiB" => Kind::Size(32 * MIB, 1024 * GIB);
            /// Maximum size of the base backups and the copied WAL, 64MiB to 1024TiB. At that size, copying pauses until older ones are
            /// removed, and this is reported. When not set: what the file system has room for; on that of the database, a tenth of it stays free,
            /// from 64 MiB to 512 MiB.
            wal_max_size: Option<u64> => Kind::Size(64 * MIB, 1024 * 1024 * GIB);
            /// The directory of backups, an absolute path. Several appliances may share one; each removes only what it has made. When not set: backups
            /// in the data directory.
            directory: Option<PathBuf> => Kind::AbsolutePath;
            /// A shell command that copies each scheduled backup to another machine; "$1" is the file. Its failure is a failure of the
            /// backup. Example: rsync -a "$1" store:/backups/
            copy_command: Option<String> => Kind::Text;
            /// A file of public keys of age, one a line, as an absolute path: backups are encrypted to them. Their private keys need not be on
            /// this machine.
            encrypt_to: Option<PathBuf> => Kind::AbsolutePath;
            /// A file with a passphrase in its first line, as an absolute path: backups are encrypted with it. It is refused if others can read it:
            /// it must belong to the user of the appliance (chmod 600), or to root (chmod 640).
            passphrase_file: Option<PathBuf> => Kind::AbsolutePath;
            /// A file of private keys of age, as an absolute path, with which encrypted backups are verified and restored. Others must not be able to
            /// read it, like the passphrase. Without it, backups that are encrypted to keys are not verified.
            identity: Option<PathBuf> => Kind::AbsolutePath;
            /// Whether the newest scheduled backup is proven by restoring it into a temporary cluster: weekly or off.
            verify: Verify = "weekly" => Kind::Enum(Verify::WORDS);
        }
    }
}

choice! {
    /// `backup.verify`
    pub enum Verify {
        /// Once in seven days.
        Weekly = "weekly",
        /// Never.
        Off = "off",
    }
}

/// Reads the sections.
pub(super) fn resolve(settings: &mut Settings) -> Option<Backup> {
    let keep = backup_keep::resolve(settings);
    let backup = Backup::read(settings, keep);
    settings.check_exclusive("backup.encrypt_to", "backup.passphrase_file", "keep one of them");
    if backup.as_ref().is_some_and(|backup| backup.wal) {
        for server in ["postgres.url", "postgres.host"] {
            let remedy = "an external PostgreSQL has an archive of its own: leave the first out";
            settings.check_exclusive("backup.wal", server, remedy);
        }
    }
    backup
}
