//! The roles of the managed PostgreSQL: the superuser, the owner and the role of the requests.
//!
//! Policy: requests connect as [`REQUESTS`], which may do what their statements do and nothing else; migrations connect as [`OWNER`], which
//! owns the database and everything in it; the superuser is for the supervision and for administrators. A cluster in which the superuser owns
//! everything (version 0.1.0, or a dump restored by an administrator) is converted at the start, in one transaction, before
//! anything else uses it. One query decides whether there is something to do, so that a usual start pays for that query only.
//!
//! The passwords are in `DATA/postgres/roles`, each beside the verifier that the server keeps for it. If the file is missing, or a verifier is
//! not the server's, both roles get new passwords; so neither a lost file nor a changed password needs a repair by hand.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use tracing::info;

use super::installation::SUPERUSER;
use super::{postgres_error, secret_file};
use crate::config::Secret;

/// The role of the migrations.
pub(super) const OWNER: &str = "attendance_owner";
/// The role of the requests.
pub(super) const REQUESTS: &str = "attendance_request";
/// The name of the file with the passwords, beside the clusters.
const FILE_NAME: &str = "roles";

/// The settings that must be on, in the order of the columns of [`STATE`].
pub(super) const DURABILITY_SETTINGS: [&str; 4] = ["fsync", "full_page_writes", "synchronous_commit", "data_checksums"];

/// What the superuser owns in this database beyond what every PostgreSQL has, and tables of the appliance that belong to a third role: for each
/// object, the end of an `ALTER … OWNER`. User objects
/// have an oid of 16384 or more. Indexes, sequences of columns and types of tables follow their table; members of an
/// extension are left alone. `OFFSET 0` keeps the planner from joining all of `pg_depend`, of which few rows are needed.
const OF_SUPERUSER: &str = "\
    SELECT format('SCHEMA %I', nspname) AS name FROM pg_namespace \
        WHERE nspowner = 10 AND (nspname = 'public' OR (oid >= 16384 AND nspname !~ '^pg_')) \
    UNION ALL SELECT format('%s %s', CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' \
            WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, oid::regclass) FROM pg_class \
        WHERE oid >= 16384 AND relowner = 10 AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f') \
        AND relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_') AND NOT EXISTS (SELECT FROM pg_depend \
            WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid \
            AND (deptype = 'e' OR (relkind = 'S' AND deptype IN ('a', 'i'))) OFFSET 0) \
    UNION ALL SELECT format('ROUTINE %s', oid::regprocedure) FROM pg_proc WHERE oid >= 16384 AND proowner = 10 AND NOT EXISTS \
        (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype IN ('e', 'i') OFFSET 0) \
    UNION ALL SELECT format('TYPE %s', oid::regtype) FROM pg_type WHERE oid >= 16384 AND typowner = 10 \
        AND (typtype IN ('d', 'e', 'r') OR (typtype = 'c' AND EXISTS (SELECT FROM pg_class WHERE oid = typrelid AND relkind = 'c'))) \
        AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_type'::regclass AND objid = pg_type.oid AND deptype IN ('e', 'i') OFFSET 0) \
    UNION ALL SELECT format('SCHEMA %I', nspname) FROM pg_namespace \
        WHERE nspname = 'attendance_api' AND nspowner NOT IN (10, coalesce(to_regrole('attendance_owner')::oid, 10)) \
    UNION ALL SELECT format('TABLE %s', oid::regclass) FROM pg_class WHERE relkind IN ('r', 'p') \
        AND (relnamespace = to_regnamespace('attendance_api') OR oid IN (to_regclass('public.records'), \
            to_regclass('public.employees'), to_regclass('public.calendar_days'), to_regclass('public.record_changes'), \
            to_regclass('public.databasechangelog'), to_regclass('public.databasechangeloglock'))) \
        AND relowner NOT IN (10, coalesce(to_regrole('attendance_owner')::oid, 10))";

/// Grants the requests what their statements need. Without a table there is nothing to grant yet. An entry of the history cannot be changed;
/// an erasure deletes it. An entry of the audit can be neither changed nor deleted, except by two functions.
const GRANT: &str = "DO $$ BEGIN \
    IF to_regclass('public.records') IS NOT NULL THEN \
        GRANT SELECT, INSERT, UPDATE (name, status), DELETE ON public.records TO attendance_request; END IF; \
    IF to_regclass('public.record_changes') IS NOT NULL THEN \
        GRANT SELECT, INSERT, DELETE ON public.record_changes TO attendance_request; END IF; \
    IF to_regclass('public.employees') IS NOT NULL THEN \
        GRANT SELECT, INSERT, UPDATE, DELETE ON public.employees TO attendance_request; END IF; \
    IF to_regclass('public.calendar_days') IS NOT NULL THEN \
        GRANT SELECT, INSERT, UPDATE, DELETE ON public.calendar_days TO attendance_request; END IF; \
    IF to_regclass('attendance_api.audit') IS NOT NULL THEN \
        GRANT USAGE ON SCHEMA attendance_api TO attendance_request; \
        GRANT SELECT, INSERT, UPDATE, DELETE ON attendance_api.accounts, attendance_api.sessions, attendance_api.tokens, \
            attendance_api.login_failures, attendance_api.login_networks TO attendance_request; \
        GRANT SELECT, INSERT ON attendance_api.access_key, attendance_api.audit TO attendance_request; \
        GRANT EXECUTE ON FUNCTION attendance_api.redact_audit(text, bigint[]), attendance_api.remove_audit(double precision, bigint) \
            TO attendance_request; END IF; \
    END $$";

/// Whether the requests have what [`GRANT`] grants; unknown, thus false, if a table is missing.
const IS_GRANTED: &str = "coalesce((SELECT bool_and(has_table_privilege(requests.oid, to_regclass(granted.name), granted.privilege)) \
        FROM (VALUES ('public.records', 'SELECT'), ('public.records', 'INSERT'), ('public.records', 'DELETE'), \
            ('public.record_changes', 'SELECT'), ('public.record_changes', 'INSERT'), ('public.record_changes', 'DELETE'), \
            ('public.employees', 'SELECT'), ('public.employees', 'INSERT'), ('public.employees', 'UPDATE'), ('public.employees', 'DELETE'), \
            ('public.calendar_days', 'SELECT'), ('public.calendar_days', 'INSERT'), ('public.calendar_days', 'UPDATE'), \
            ('public.calendar_days', 'DELETE'), ('attendance_api.accounts', 'DELETE'), ('attendance_api.sessions', 'DELETE'), \
            ('attendance_api.tokens', 'DELETE'), ('attendance_api.login_failures', 'DELETE'), ('attendance_api.login_networks', 'DELETE'), \
            ('attendance_api.access_key', 'INSERT'), ('attendance_api.audit', 'INSERT')) AS granted (name, privilege)) \
    AND (SELECT count(to_regclass(name)) = 11 FROM unnest(ARRAY['public.records', 'public.record_changes', \
        'public.employees', 'public.calendar_days', 'attendance_api.accounts', 'attendance_api.sessions', 'attendance_api.tokens', \
        'attendance_api.login_failures', 'attendance_api.login_networks', 'attendance_api.access_key', 'attendance_api.audit']) AS needed (name)) \
    AND has_any_column_privilege(requests.oid, to_regclass('public.records'), 'UPDATE') \
    AND has_function_privilege(requests.oid, to_regprocedure('attendance_api.redact_audit(text, bigint[])'), 'EXECUTE') \
    AND has_function_privilege(requests.oid, to_regprocedure('attendance_api.remove_audit(double precision, bigint)'), 'EXECUTE'), false)";

/// The passwords of the two roles.
#[derive(Debug, Clone)]
pub(super) struct Passwords {
    /// Of [`OWNER`].
    pub(super) owner: Secret,
    /// Of [`REQUESTS`].
    pub(super) requests: Secret,
}

/// The passwords and the server's verifiers of them.
struct Recorded {
    passwords: Passwords,
    verifiers: [String; 2],
}

/// What a query to the server found.
pub(super) struct State {
    /// The values of [`DURABILITY_SETTINGS`], as they apply to requests.
    pub(super) settings: [String; 4],
    is_owned: bool,
    verifiers: [Option<String>; 2],
    is_granted: bool,
}

/// The roles, ready to be used.
#[derive(Debug)]
pub(super) struct Roles {
    /// Their passwords.
    pub(super) passwords: Passwords,
    /// Whether the requests have their privileges already; they have not before the first migration.
    pub(super) is_granted: bool,
}

/// The file in the directory `root` of the clusters.
fn file(root: &Path) -> PathBuf {
    root.join(FILE_NAME)
}

/// The passwords that an appliance has recorded; none before the first start of one that has these roles.
pub(super) fn recorded_passwords(root: &Path) -> Option<Passwords> {
    Some(read(&file(root))?.passwords)
}

/// A line for each role: its name, its password and its verifier.
fn read(path: &Path) -> Option<Recorded> {
    let text = fs::read_to_string(path).ok()?;
    let find = |role: &str| {
        let mut words =
            text.lines().map(str::split_whitespace).find_map(|mut line| (line.next() == Some(role)).then_some(line))?;
        Some((Secret::new(words.next()?), words.next()?.to_owned()))
    };
    let (owner, owner_verifier) = find(OWNER)?;
    let (requests, requests_verifier) = find(REQUESTS)?;
    Some(Recorded { passwords: Passwords { owner, requests }, verifiers: [owner_verifier, requests_verifier] })
}

/// Asks the server for everything that decides whether there is something to do.
pub(super) async fn state(client: &Client) -> Result<State, tokio_postgres::Error> {
    // The commit setting may be changed for one role; the others belong to the whole server.
    let query = format!(
        "SELECT current_setting('fsync'), current_setting('full_page_writes'), coalesce((SELECT split_part(setting, '=', 2) \
            FROM pg_db_role_setting, unnest(setconfig) AS setting WHERE setrole = requests.oid \
            AND setdatabase IN (0, base.oid) AND setting LIKE 'synchronous_commit=%' ORDER BY setdatabase DESC LIMIT 1), \
            current_setting('synchronous_commit')), current_setting('data_checksums'), \
            coalesce(base.datdba = owner.oid AND base.datconnlimit = -1 \
            AND NOT owner.rolsuper AND owner.rolcanlogin AND owner.rolinherit AND owner.rolconnlimit = -1 \
            AND coalesce(owner.rolvaliduntil = 'infinity', true) \
            AND NOT requests.rolsuper AND requests.rolcanlogin AND requests.rolconnlimit = -1 \
            AND coalesce(requests.rolvaliduntil = 'infinity', true) \
            AND has_database_privilege(requests.oid, base.oid, 'CONNECT') \
            AND coalesce(has_schema_privilege(requests.oid, to_regnamespace('public'), 'USAGE'), true), false) \
            AND NOT EXISTS ({OF_SUPERUSER}), owner.rolpassword, requests.rolpassword, \
            {IS_GRANTED} \
        FROM pg_database AS base LEFT JOIN pg_authid AS owner ON owner.rolname = '{OWNER}' \
            LEFT JOIN pg_authid AS requests ON requests.rolname = '{REQUESTS}' WHERE datname = current_database()"
    );
    let row: Row = client.query_typed_one(&query, &[]).await?;
    Ok(State {
        settings: [row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?],
        is_owned: row.try_get(4)?,
        verifiers: [row.try_get(5)?, row.try_get(6)?],
        is_granted: row.try_get(7)?,
    })
}

/// Why the roles are not there.
#[derive(Debug)]
pub(super) enum Error {
    /// A statement failed.
    Query(tokio_postgres::Error),
    /// The passwords cannot be made or recorded.
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl From<Error> for postgres_error::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Query(source) => Self::Query { what: "setting up its roles", source },
            Error::File { path, source } => Self::Roles { path, source },
        }
    }
}

/// Makes the roles, their passwords and their ownership what the policy says, if they are not that already. `client` is the superuser's, in the
/// database of the appliance, which is `database`; `root` is the directory of the clusters.
///
/// `keep` has the passwords that are in use already; otherwise new ones are made.
pub(super) async fn establish(
    client: &Client,
    database: &str,
    root: &Path,
    state: &State,
    keep: Option<Passwords>,
) -> Result<Roles, Error> {
    let path = file(root);
    if state.is_owned
        && let Some(Recorded { passwords, verifiers }) = read(&path)
        && state.verifiers == verifiers.map(Some)
    {
        return Ok(Roles { passwords, is_granted: state.is_granted });
    }
    let failed = |source| Error::File { path: path.clone(), source };
    if let Some(Recorded { verifiers, .. }) = read(&path) {
        restore_names(client, &verifiers).await.map_err(Error::Query)?;
    }
    let made = || secret_file::random().map(Secret::new).map_err(failed);
    let passwords = match keep {
        Some(passwords) => passwords,
        None => Passwords { owner: made()?, requests: made()? },
    };
    client.batch_execute(&statements(database, &passwords)).await.map_err(Error::Query)?;
    let found = self::state(client).await.map_err(Error::Query)?;
    let [owner, requests] = found.verifiers.map(Option::unwrap_or_default);
    let text = format!(
        "{OWNER} {} {owner}\n{REQUESTS} {} {requests}\n",
        passwords.owner.expose(),
        passwords.requests.expose()
    );
    secret_file::write(&path, &text).map_err(failed)?;
    info!(
        "PostgreSQL has the roles {OWNER} and {REQUESTS}; the database belongs to the first, requests use the second"
    );
    Ok(Roles { passwords, is_granted: found.is_granted })
}

/// Gives a role that was renamed its name back: its verifier is the one on record. Without this, what it owns would stay out of reach.
async fn restore_names(client: &Client, verifiers: &[String; 2]) -> Result<(), tokio_postgres::Error> {
    let find = "SELECT format('ALTER ROLE %I RENAME TO %I', rolname, $2::text) FROM pg_authid WHERE rolpassword = $1 \
        AND NOT EXISTS (SELECT FROM pg_authid WHERE rolname = $2::text)";
    for (role, verifier) in [OWNER, REQUESTS].into_iter().zip(verifiers) {
        if let Some(row) = client.query_typed_opt(find, &[(verifier, Type::TEXT), (&role, Type::TEXT)]).await? {
            client.batch_execute(row.try_get(0)?).await?;
            info!("the role {role} had been renamed; it has its name back");
        }
    }
    Ok(())
}

/// Whether the cluster has the role of the owner, which is made after the database.
pub(super) async fn exist(client: &Client) -> Result<bool, postgres_error::Error> {
    let query = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)";
    let row =
        postgres_error::with_timeout("looking for its roles", client.query_typed_one(query, &[(&OWNER, Type::NAME)]))
            .await?;
    Ok(row.get(0))
}

/// One transaction, which may be repeated.
fn statements(database: &str, passwords: &Passwords) -> String {
    let database = format!("\"{}\"", database.replace('"', "\"\""));
    // The owner inherits: only so is it a member of pg_database_owner, which owns the schema `public`.
    let rights = "LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT -1 VALID UNTIL 'infinity'";
    // The passwords are hexadecimal digits, and statements are not logged.
    let (owner, requests) = (passwords.owner.expose(), passwords.requests.expose());
    format!(
        "BEGIN; \
        DO $$ BEGIN \
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{OWNER}') THEN CREATE ROLE {OWNER}; END IF; \
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{REQUESTS}') THEN CREATE ROLE {REQUESTS}; END IF; \
        END $$; \
        ALTER ROLE {OWNER} {rights} PASSWORD '{owner}'; \
        ALTER ROLE {REQUESTS} {rights} PASSWORD '{requests}'; \
        ALTER DATABASE {database} OWNER TO {OWNER}; ALTER DATABASE {database} CONNECTION LIMIT -1; \
        DO $$ DECLARE object record; BEGIN \
            FOR object IN {OF_SUPERUSER} LOOP EXECUTE 'ALTER ' || object.name || ' OWNER TO {OWNER}'; END LOOP; \
            IF to_regnamespace('public') IS NOT NULL THEN \
                REVOKE CREATE ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO {REQUESTS}; END IF; \
        END $$; \
        REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC; \
        GRANT CONNECT ON DATABASE {database} TO {REQUESTS}; \
        DO $$ DECLARE other name; BEGIN \
            FOR other IN SELECT datname FROM pg_database WHERE datname IN ('{SUPERUSER}', 'template1') LOOP \
                EXECUTE format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC', other); END LOOP; \
        END $$; \
        REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC; \
        GRANT EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) TO {OWNER}; \
        {GRANT}; \
        COMMIT"
    )
}

/// Grants the requests their privileges. Needed after migrations, which may have made the table.
pub(super) async fn grant(client: &Client) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(GRANT).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::testing::scratch;

    #[test]
    fn the_recorded_passwords_are_read_and_an_incomplete_file_is_none() {
        let root = scratch("roles");
        assert!(recorded_passwords(&root).is_none());
        let text = format!("{OWNER} a SCRAM-SHA-256$1\n{REQUESTS} b SCRAM-SHA-256$2\n");
        fs::write(file(&root), &text).unwrap();
        let read = recorded_passwords(&root).unwrap();
        assert_eq!((read.owner.expose(), read.requests.expose()), ("a", "b"));
        fs::write(file(&root), &text[..text.len() / 2]).unwrap();
        assert!(recorded_passwords(&root).is_none());
    }
}
