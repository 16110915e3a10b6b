//! Why an operation on backups did not succeed. Each message says what failed and what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::database;
use crate::managed::{distribution, helper, postgres, run_dir};

/// Why an operation did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory cannot be read or written.
    #[error("{path}: {source}{hint}", path = .path.display(), hint = remedy(.source))]
    File {
        /// The file or directory.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
    /// The backup is no ordinary file, which is needed because it is read twice.
    #[error(
        "it is not an ordinary file, and a backup is read twice: first checked, then restored; copy it into a file"
    )]
    NotAFile,
    /// It has not the form of a backup.
    #[error("it is not a backup of attendance-api, or it was altered at its beginning")]
    NotABackup,
    /// It ends too early.
    #[error("it is incomplete: it ends after {bytes} bytes; copy it again, or use another backup")]
    Truncated {
        /// The bytes that there are.
        bytes: u64,
    },
    /// A check found another byte than the one that was written.
    #[error("it was altered or damaged ({what}, near byte {position}); use another backup")]
    Altered {
        /// What is wrong.
        what: &'static str,
        /// Where it was found.
        position: u64,
    },
    /// It is of a newer version.
    #[error(
        "it was made by attendance-api {appliance}, in a form that this version does not know; use that version or a newer one"
    )]
    NewerFormat {
        /// The version that made it.
        appliance: String,
    },
    /// Its schema is newer.
    #[error(
        "it was made by attendance-api {appliance}, whose schema (migration {found}) is newer than that of this version ({known}); use that \
         version or a newer one"
    )]
    NewerSchema {
        /// The version that made it.
        appliance: String,
        /// Its newest migration.
        found: i64,
        /// The newest migration of this program.
        known: i64,
    },
    /// The programs that made it are newer.
    #[error(
        "it was made with the programs of PostgreSQL {found}, and those here are of version {ours}; use an attendance-api with PostgreSQL {found} \
         (postgres.bin_dir)"
    )]
    NewerPrograms {
        /// The version of `pg_dump`.
        found: String,
        /// The version of `pg_restore` here.
        ours: String,
    },
    /// It cannot be read.
    #[error("it cannot be read: {source}")]
    Read {
        /// The error of the file system.
        source: io::Error,
    },
    /// There is no archive for point-in-time recovery.
    #[error("there is no archive of a managed PostgreSQL; set backup.wal: true, without postgres.host")]
    NoArchive,
    /// The archive has no base.
    #[error("{path} has no base backup from which a moment could be restored; `attendance-api backup list` shows what there is", path = .path.display())]
    EmptyArchive {
        /// The archive.
        path: PathBuf,
    },
    /// A file of WAL is missing.
    #[error("{path} lacks {segment}, so what follows it cannot be restored; restore a moment before it, or an ordinary backup", path = .path.display())]
    WalMissing {
        /// The directory.
        path: PathBuf,
        /// The file.
        segment: String,
    },
    /// The WAL ends before it should.
    #[error("the WAL in {path} is damaged after {reached}; restore a moment before it, or an ordinary backup", path = .path.display())]
    WalDamaged {
        /// The directory.
        path: PathBuf,
        /// The position that was reached.
        reached: String,
    },
    /// The moment cannot be restored.
    #[error("{moment} cannot be restored: {reason}; what can be: {windows}")]
    OutsideOfArchive {
        /// The moment.
        moment: String,
        /// Why not.
        reason: String,
        /// The first and the last moment of each window, in words.
        windows: String,
    },
    /// A base is of another major version.
    #[error("{path} was made by PostgreSQL {found}, and the programs here are of version {ours}; set postgres.bin_dir to those of a PostgreSQL {found}", path = .path.display())]
    OtherMajor {
        /// The base.
        path: PathBuf,
        /// Its major version.
        found: u32,
        /// The version of the programs.
        ours: String,
    },
    /// It is encrypted, and there is no key.
    #[error(
        "it is encrypted with {with}; name the key with --identity FILE, or the passphrase with --passphrase-file FILE"
    )]
    Encrypted {
        /// What opens it.
        with: &'static str,
    },
    /// The key is another one.
    #[error(
        "it is encrypted with {with}, and not with the one that was given; give the one that belongs to it (--identity, --passphrase-file)"
    )]
    WrongKey {
        /// What opens it.
        with: &'static str,
    },
    /// A file of public keys has something else.
    #[error("{path} has other lines than public keys of age, which begin with age1; `age-keygen -y KEYFILE` prints the one of a private key", path = .path.display())]
    Recipients {
        /// The file.
        path: PathBuf,
    },
    /// A file of private keys has something else.
    #[error("{path} has other lines than private keys of age, which begin with AGE-SECRET-KEY-1; `age-keygen -o FILE` makes one", path = .path.display())]
    Identities {
        /// The file.
        path: PathBuf,
    },
    /// A file with a passphrase has none.
    #[error("{path} has no passphrase in its first line", path = .path.display())]
    NoPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// An error about one backup.
    #[error("{path}: {source}", path = .path.display())]
    Backup {
        /// The backup.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Error>,
    },
    /// The manifest cannot be encoded: a bug.
    #[error("the description of the backup cannot be written: {source}; this is a bug, please report it")]
    Encode {
        /// Why.
        source: serde_json::Error,
    },
    /// The archive cannot be written.
    #[error("the backup cannot be written: {source}{hint}", hint = remedy(.source))]
    Write {
        /// The error of the file system.
        source: io::Error,
    },
    /// The file exists.
    #[error("{path} exists and is not overwritten; choose another --output", path = .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The directory belongs to another user.
    #[error(
        "{path} belongs to the user {owner}, and {user} may not write there; choose another directory, or give it to that user (chown {user})",
        path = .path.display()
    )]
    OtherOwner {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user of this process.
        user: u32,
    },
    /// The newest backup is of a later time than the clock.
    #[error(
        "the clock says {now}, and {newest} is of a later time: was the clock set back? Set the clock, or move that file away, or name the new file \
         with --output",
        newest = .newest.display()
    )]
    ClockSetBack {
        /// The time of the clock.
        now: String,
        /// The backup.
        newest: PathBuf,
    },
    /// The label cannot be part of a file name.
    #[error(
        "'{label}' is no label; use up to 40 letters, digits and any of - . _, of which the first is a letter or digit"
    )]
    BadLabel {
        /// The label.
        label: String,
    },
    /// Another backup is being made.
    #[error("another backup is being made (process {process}); wait for its end")]
    AnotherBackup {
        /// The process that makes it.
        process: String,
    },
    /// There is no free name for a scratch directory.
    #[error("no directory can be made in {path}: all names are taken; remove what is left there", path = .path.display())]
    NoScratch {
        /// The directory for scratch directories.
        path: PathBuf,
    },
    /// There is too little space.
    #[error("{path} has {free} MB free, and about {needed} MB are needed; free some space, or name another data directory (--data-dir)", path = .path.display())]
    NoSpace {
        /// The directory.
        path: PathBuf,
        /// What is free, in MB.
        free: u64,
        /// What is needed, in MB.
        needed: u64,
    },
    /// There is too little space for a base backup.
    #[error("{path} has {free} MB free, and a base backup needs about {needed} MB; free some space, or put the backups on another disk (backup.directory)", path = .path.display())]
    NoSpaceForBase {
        /// The directory.
        path: PathBuf,
        /// What is free, in MB.
        free: u64,
        /// What is needed, in MB.
        needed: u64,
    },
    /// The archive would take the space of the database.
    #[error(
        "{path} has {free} MB free, and {needed} MB are kept free for the database on the same file system: no changes are copied until then; free some space, \
         lower backup.wal_days, or put the backups on another disk (backup.directory)",
        path = .path.display()
    )]
    NoSpaceBesideDatabase {
        /// The directory of backups.
        path: PathBuf,
        /// What is free, in MB.
        free: u64,
        /// What must be free, in MB.
        needed: u64,
    },
    /// The archive has its largest size.
    #[error(
        "the archive in {path} has {size} MB, and may have {max} MB: no changes are copied until it is smaller; raise backup.wal_max_size, or lower \
         backup.wal_days",
        path = .path.display()
    )]
    ArchiveFull {
        /// The directory of backups.
        path: PathBuf,
        /// Its size, in MB.
        size: u64,
        /// The limit, in MB.
        max: u64,
    },
    /// The archive has the databases of several appliances, and none of this one.
    #[error(
        "{path} has what was copied of several databases, and none is of this data directory: move the directories of the one that is to be restored \
         ({systems}) to another directory, and name that (--set backup.directory=...)",
        path = .path.display()
    )]
    SeveralSystems {
        /// The archive.
        path: PathBuf,
        /// The beginnings of the names of their directories.
        systems: String,
    },
    /// A file operation does not end.
    #[error("{path} does not answer within {seconds} s; is its disk broken, or a network file system away?", path = .path.display())]
    FilesHang {
        /// The directory.
        path: PathBuf,
        /// The limit in seconds.
        seconds: u64,
    },
    /// A file with a secret can be read by others.
    #[error(
        "{path} has a secret, and its permissions ({mode:04o}) let other users read it; take them away: chmod {remedy} {path}",
        path = .path.display(), remedy = if *.is_of_root { "640" } else { "600" }
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// Whether it belongs to root, so that a group may read it.
        is_of_root: bool,
    },
    /// A file with a secret belongs to another user.
    #[error(
        "{path} has a secret and belongs to the user {owner}, who could exchange it; let it belong to root or to {user} (chown)",
        path = .path.display()
    )]
    KeyOwner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user of this process.
        user: u32,
    },
    /// The server is newer than the programs.
    #[error(
        "PostgreSQL at {address} is version {server}, and the programs here are of version {programs}, which cannot read it; use an attendance-api \
         with PostgreSQL {major} or newer, or that server's own pg_dump"
    )]
    NewerServer {
        /// The server.
        address: String,
        /// Its version.
        server: String,
        /// The major version that is needed.
        major: u32,
        /// The version of the programs.
        programs: String,
    },
    /// The address leads to a pooler in transaction mode.
    #[error(
        "{address} is a pooler in transaction mode, through which no backup can be made: pg_dump would change the sessions of other programs; let \
         postgres.listen_url name the server itself"
    )]
    SharedSessions {
        /// The pooler.
        address: String,
    },
    /// The role may not read everything.
    #[error(
        "the role {role} may not read {tables}, and a backup must have everything; let it: GRANT pg_read_all_data TO {role} (as the superuser), or set \
         postgres.user to the owner of the tables"
    )]
    Unreadable {
        /// The role.
        role: String,
        /// The first tables.
        tables: String,
    },
    /// A statement failed.
    #[error("PostgreSQL failed to {what}: {}", with_causes(source))]
    Statement {
        /// What the statement was for.
        what: &'static str,
        /// The error of the statement.
        source: tokio_postgres::Error,
    },
    /// A statement of the global objects failed.
    #[error("PostgreSQL does not accept '{statement}' of the backup: {}", with_causes(source))]
    Globals {
        /// Its first words.
        statement: String,
        /// The error of the statement.
        source: tokio_postgres::Error,
    },
    /// A program failed.
    #[error(transparent)]
    Program(#[from] helper::Error),
    /// The stream from or to a program broke off.
    #[error("the connection with {program} broke off: {source}")]
    Stream {
        /// The program.
        program: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The server does not answer.
    #[error("PostgreSQL did not {what} within {seconds} s; it hangs or has too much to do")]
    NoAnswer {
        /// What it was asked.
        what: &'static str,
        /// The limit in seconds.
        seconds: u64,
    },
    /// An operation took too long.
    #[error("{what} did not end within {hours} hours and was given up")]
    TooLong {
        /// What.
        what: &'static str,
        /// The limit in hours.
        hours: u64,
    },
    /// There are no programs of PostgreSQL.
    #[error(transparent)]
    Distribution(#[from] distribution::Error),
    /// The scratch cluster cannot be used.
    #[error(transparent)]
    Postgres(#[from] postgres::Error),
    /// The database cannot be reached.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// There is no directory for the control socket.
    #[error(transparent)]
    RunDir(#[from] run_dir::Error),
    /// What was restored differs from what was backed up.
    #[error(
        "what was restored differs from what was backed up: {difference}; use another backup, and keep this one for a report of the bug"
    )]
    Differs {
        /// The first difference.
        difference: String,
    },
    /// The journal is damaged.
    #[error(
        "{path} says that a restore was interrupted, and what it names is not there ({reason}); move the cluster that is to be used to {current}, and \
         remove that file",
        path = .path.display(), current = .current.display()
    )]
    Journal {
        /// The journal.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
        /// Where the cluster belongs.
        current: PathBuf,
    },
    /// A restore was interrupted, so one of the clusters is needed.
    #[error("a restore was interrupted; start the appliance first, which finishes or undoes it")]
    Interrupted,
    /// The appliance that runs reported an error.
    #[error("{0}")]
    Appliance(String),
    /// The command that asked for a backup has ended.
    #[error("the command that asked for the backup ended before it was stored")]
    CommandEnded,
    /// The appliance did not answer as expected.
    #[error("the appliance that runs closed the connection before the backup was complete; look into its log")]
    ControlEnded,
    /// A command that copies the backup failed.
    #[error("backup.copy_command failed: {0}; the backup itself is complete")]
    Copy(#[source] helper::Error),
    /// A task of this process ended without a result: a bug.
    #[error("a task was interrupted: {0}; this is a bug, please report it")]
    Task(#[from] tokio::task::JoinError),
}

impl Error {
    /// Makes the error of a file system into one that names the path.
    pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path: path.clone(), source }
    }

    /// Makes the error of a statement into one that says what it was for.
    pub(super) fn statement(what: &'static str) -> impl Fn(tokio_postgres::Error) -> Self {
        move |source| Self::Statement { what, source }
    }

    /// Names the backup.
    pub(super) fn of(self, path: &Path) -> Self {
        Self::Backup { path: path.to_owned(), source: Box::new(self) }
    }
}

/// What an administrator can do about an error of the file system.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space, or choose another directory",
        io::ErrorKind::PermissionDenied => "; let this user use it (chown, chmod), or choose another directory",
        io::ErrorKind::ReadOnlyFilesystem => {
            "; choose a directory that can be written (in a unit of systemd: one of its ReadWritePaths=)"
        }
        io::ErrorKind::NotFound => "; check the path",
        _ => "",
    }
}

fn with_causes(error: &tokio_postgres::Error) -> String {
    database::with_causes(error)
}
