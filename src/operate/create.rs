//! Makes a backup: everything from one snapshot, while the appliance serves.
//!
//! Policy: requests go first. The sessions that read the tables of the managed server, the programs and the compression have a lower priority, and a session
//! has no parallel workers, which would have the priority of the server.

use std::time::Duration;

use jiff::Timestamp;
use tokio::process::ChildStdout;
use tokio::time::sleep;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::archive::{CONFIGURATION, DATABASE, GLOBALS};
use super::archive_writer::{ArchiveWriter, Sink};
use super::inventory::{self, Inventory, LOCK_TABLE};
use super::manifest::{Manifest, PostgresVersions, Schema, Trigger};
use super::stream::{PROGRAM_TIMEOUT, limited, write_part};
use super::{Error, Source, database_settings::DatabaseSettings};
use crate::database::Pooling;
use crate::managed::client_programs::{APPLICATION_NAME, ClientPrograms};
use crate::managed::piped_program::PipedProgram;
use crate::priority::{self, BACKUP_NICENESS};

/// How long a lock on a table is waited for: a migration may hold one.
const LOCK_WAIT: &str = "--lock-wait-timeout=300s";
/// The limit for the connection of a server that is not up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the session of `pg_dump` is looked for, to lower its priority. A backup is made without that, too.
const CONNECT_POLLS: usize = 100;
const CONNECT_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// What a backup says besides its content.
#[derive(Debug, Clone)]
pub struct Request {
    /// When it is made.
    pub time: Timestamp,
    /// What makes it.
    pub trigger: Trigger,
    /// Its label.
    pub label: Option<String>,
    /// The configuration, without secrets.
    pub configuration: String,
}

/// Writes a backup of `source` into `sink`.
///
/// # Errors
/// When something cannot be read or written; what is in the sink is then no backup.
pub async fn create(
    source: &Source,
    programs: &ClientPrograms,
    sink: Box<dyn Sink>,
    request: &Request,
) -> Result<Manifest, Error> {
    limited("the backup", write(source, programs, sink, request)).await
}

async fn write(
    source: &Source,
    programs: &ClientPrograms,
    sink: Box<dyn Sink>,
    request: &Request,
) -> Result<Manifest, Error> {
    let client = source.database.connect(CONNECT_TIMEOUT).await?;
    // `pg_dump` sets the search path of its session to nothing, and such a pooler gives the session to other programs afterwards.
    if source.database.pooling() == Pooling::Transaction {
        return Err(Error::SharedSessions { address: source.database.address().to_owned() });
    }
    check_source(source, programs, &client).await?;
    let snapshot = begin_snapshot(&client).await?;
    let archive = ArchiveWriter::new(sink, u64::try_from(request.time.as_second()).unwrap_or_default());

    // Both are started at once, because each needs a while before its first byte.
    let (globals, dump) = tokio::try_join!(start_globals(source, programs), start_dump(source, programs, &snapshot))?;
    let archive = globals.write(archive, GLOBALS).await?;
    let archive = write_part(archive, CONFIGURATION, request.configuration.as_bytes()).await?;
    let describing = async {
        if source.is_managed {
            lower_priority(&client).await?;
        }
        describe(&client, programs, request).await
    };
    let (archive, description) = tokio::try_join!(dump.write(archive, DATABASE), describing)?;
    tokio::task::spawn_blocking(move || archive.finish(description)).await?
}

/// Refuses a server that the programs cannot read, and a role that may not read everything.
async fn check_source(source: &Source, programs: &ClientPrograms, client: &Client) -> Result<(), Error> {
    let failed = Error::statement("say its version");
    let query = "SELECT current_setting('server_version_num')::int / 10000, current_setting('server_version'), current_user::text";
    let row = client.query_typed_one(query, &[]).await.map_err(failed)?;
    let major = u32::try_from(row.get::<_, i32>(0)).unwrap_or_default();
    if major > programs.version().major {
        return Err(Error::NewerServer {
            address: source.database.address().to_owned(),
            server: row.get(1),
            major,
            programs: programs.version().full.clone(),
        });
    }
    let unreadable = inventory::unreadable(client).await.map_err(Error::statement("list its tables"))?;
    if unreadable.is_empty() {
        return Ok(());
    }
    Err(Error::Unreadable { role: row.get(2), tables: unreadable.join(", ") })
}

/// Begins a transaction that sees one state, and returns the name by which another session sees the same.
async fn begin_snapshot(client: &Client) -> Result<String, Error> {
    let failed = Error::statement("make a snapshot");
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; SET LOCAL TIME ZONE 'UTC'; \
        SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL DateStyle = 'ISO, YMD'";
    client.batch_execute(begin).await.map_err(&failed)?;
    Ok(client.query_typed_one("SELECT pg_export_snapshot()", &[]).await.map_err(&failed)?.get(0))
}

/// Lets requests go before the processes of the server that read its tables: that of this session, and that of `pg_dump`, which may still be connecting.
async fn lower_priority(client: &Client) -> Result<(), Error> {
    let query = "SELECT pid FROM pg_stat_activity WHERE application_name = $1 OR pid = pg_backend_pid()";
    for _ in 0..CONNECT_POLLS {
        let rows = client
            .query_typed(query, &[(&APPLICATION_NAME, Type::TEXT)])
            .await
            .map_err(Error::statement("list its sessions"))?;
        rows.iter().for_each(|row| priority::lower_process(row.get(0), BACKUP_NICENESS));
        if rows.len() > 1 {
            break;
        }
        sleep(CONNECT_POLL_INTERVAL).await;
    }
    Ok(())
}

/// A running program whose output becomes a part.
struct PartSource {
    program: PipedProgram,
    output: ChildStdout,
}

impl PartSource {
    fn new(name: &'static str, mut program: PipedProgram) -> Result<Self, Error> {
        let output = program.take_output().map_err(|source| Error::Stream { program: name, source })?;
        program.follow();
        Ok(Self { program, output })
    }

    async fn write(self, archive: ArchiveWriter, part: &'static str) -> Result<ArchiveWriter, Error> {
        let archive = write_part(archive, part, self.output).await?;
        self.program.finish(PROGRAM_TIMEOUT).await?;
        Ok(archive)
    }
}

async fn start_globals(source: &Source, programs: &ClientPrograms) -> Result<PartSource, Error> {
    let mut arguments = vec!["--globals-only", "--no-comments", "--no-tablespaces", "--no-security-labels", "-w"];
    if !source.is_managed {
        // Only a superuser may read the verifiers of passwords.
        arguments.push("--no-role-passwords");
    }
    arguments.extend(["-l", &source.login.database]);
    PartSource::new("pg_dumpall", programs.start("pg_dumpall", &source.login, arguments, false).await?)
}

async fn start_dump(source: &Source, programs: &ClientPrograms, snapshot: &str) -> Result<PartSource, Error> {
    let snapshot = format!("--snapshot={snapshot}");
    let lock = format!("--exclude-table-data={LOCK_TABLE}");
    let arguments = ["-Fc", "-Z0", "-w", LOCK_WAIT, &snapshot, &lock];
    PartSource::new("pg_dump", programs.start("pg_dump", &source.login, arguments, false).await?)
}

/// Everything in the manifest but the parts, from the snapshot of this session.
async fn describe(client: &Client, programs: &ClientPrograms, request: &Request) -> Result<Manifest, Error> {
    let mut manifest = Manifest::new(request.time.to_string(), request.trigger, request.label.clone());
    let query = "SELECT current_setting('server_version'), current_database()::text, pg_database_size(current_database()), \
        to_regclass('attendance_api.refinery_schema_history') IS NOT NULL, to_regclass('public.databasechangelog') IS NOT NULL";
    let row = client.query_typed_one(query, &[]).await.map_err(Error::statement("describe itself"))?;
    manifest.postgres = PostgresVersions {
        server: row.get(0),
        programs: programs.version().full.clone(),
        programs_major: programs.version().major,
    };
    manifest.database = row.get(1);
    manifest.database_bytes = u64::try_from(row.get::<_, i64>(2)).unwrap_or_default();
    manifest.schema = schema(client, row.get(3), row.get(4)).await.map_err(Error::statement("say its schema"))?;
    manifest.settings =
        DatabaseSettings::read(client).await.map_err(Error::statement("say the settings of the database"))?;
    manifest.content = Inventory::read(client).await.map_err(Error::statement("count its rows"))?;
    Ok(manifest)
}

async fn schema(client: &Client, has_own_tables: bool, has_changelog: bool) -> Result<Schema, tokio_postgres::Error> {
    let newest = "SELECT coalesce(max(version), 0)::int8 FROM attendance_api.refinery_schema_history";
    let migration = if has_own_tables { client.query_typed_one(newest, &[]).await?.get(0) } else { 0 };
    let count = "SELECT count(*) FROM public.databasechangelog";
    let changesets: i64 = if has_changelog { client.query_typed_one(count, &[]).await?.get(0) } else { 0 };
    Ok(Schema { migration, changesets: u64::try_from(changesets).unwrap_or_default() })
}
