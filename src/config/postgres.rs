//! `postgres:` — a managed child, or an external server described by single keys or by a URL, never by both.

use std::path::PathBuf;
use std::time::Duration;

use super::choice::Choice;
use super::kind::Kind;
use super::pooler::Pooler;
use super::problem::Problem;
use super::secret::Secret;
use super::section::section;
use super::setting_names::SettingNames;
use super::settings::Settings;
use super::ssl_mode::SslMode;
use super::units::{GIB, HOUR, MIB, MILLISECOND, SECOND};
use super::url::PostgresUrl;

section! {
    /// The database. With a host or a url it is an external PostgreSQL, which the appliance does not start or stop; without,
    /// the appliance runs its own (managed).
    "postgres" {
        /// The keys that describe an external server, as they were set.
        struct ServerKeys {
            /// External: host name, IP address, or the absolute path of a socket directory. Example: 10.0.0.3
            host: Option<String> => Kind::Text;
            /// External: TCP port, 1 to 65535. 5432 when not set.
            port: Option<u16> => Kind::Port;
            /// External: the role to log in as. postgres when not set.
            user: Option<String> => Kind::Text;
            /// External: the role's password. "" is none. A file that holds one must not be readable by others (chmod 640).
            password: Option<Secret> => Kind::Text, secret;
            /// External: the name of the database. attendance_db when not set.
            database: Option<String> => Kind::Text;
            /// External: encryption, with libpq's meanings: disable, prefer, require, verify-full. prefer when not set.
            sslmode: Option<SslMode> => Kind::Enum(SslMode::WORDS);
            /// External: all of the above in one: `postgres://user:password@host:5432/database?sslmode=require`
            /// The password may be left out of it and given as postgres.password.
            url: Option<PostgresUrl> => Kind::PostgresUrl;
            /// External: the pooler (PgBouncer) that the address leads to: auto, session, transaction. auto when not set: the start
            /// finds out. session stands for no pooler as well; with transaction, statements are not prepared, and nothing is kept in
            /// sessions.
            pooler: Option<Pooler> => Kind::Enum(Pooler::WORDS);
        }

        /// `postgres:` — which database, and how long to wait for it.
        pub struct Postgres {
            resolved {
                /// A managed child or an external server.
                service: PostgresService;
            }
            /// External: at start-up, how long to wait for the server to come up, 1s to 24h.
            connect_timeout: Duration = "60s" => Kind::Duration(SECOND, 24 * HOUR);
            /// Connections in the pool, 1 to 1000.
            pool_size: usize = "8" => Kind::Integer(1, 1000);
            /// While serving, how long one request may wait for the database before it is answered with 503, 10ms to 1h.
            request_timeout: Duration = "1900ms" => Kind::Duration(10 * MILLISECOND, HOUR);
            /// Whether writes by other programs (psql, the Python service) are seen at once, true or false. Triggers on the table
            /// announce them; false removes the triggers, and such writes are seen when redis.ttl has passed.
            watch_foreign_writes: bool = "true" => Kind::Enum(<bool as Choice>::WORDS);
            /// External: the server's own address, if host or url leads to a pooler in transaction mode, which passes no
            /// announcements on and cannot be used for backups. Like url; the user, the password, the database and sslmode may be
            /// left out of it.
            listen_url: Option<PostgresUrl> => Kind::PostgresUrl;
        }

        /// How to run a PostgreSQL of our own.
        pub struct ManagedPostgresConfig {
            /// Managed: the directory of the PostgreSQL programs (initdb, postgres) to use instead of the embedded ones.
            /// Example: /usr/lib/postgresql/16/bin
            bin_dir: Option<PathBuf> => Kind::Path;
            /// Managed: memory in which PostgreSQL keeps pages of its tables, 1MiB to 1TiB. When not set: an eighth of the
            /// memory (of the computer, or of the limit of the unit or container), but at least 128MiB, unless that is more
            /// than a quarter, and at most 1GiB.
            shared_buffers: Option<usize> => Kind::Size(MIB, 1024 * GIB);
            /// Managed: maximum time to make a new database cluster (initdb), 1s to 24h.
            init_timeout: Duration = "60s" => Kind::Duration(SECOND, 24 * HOUR);
            /// Managed: maximum time to start, crash recovery included, 1s to 24h.
            start_timeout: Duration = "10m" => Kind::Duration(SECOND, 24 * HOUR);
            /// Managed: maximum time to stop before the stop is forced, 1s to 1h.
            stop_timeout: Duration = "10s" => Kind::Duration(SECOND, HOUR);
        }
    }
}

/// Which PostgreSQL is used.
#[derive(Debug, Clone)]
pub enum PostgresService {
    /// A child of the appliance.
    Managed(ManagedPostgresConfig),
    /// A server that the appliance does not start or stop.
    External(ExternalPostgres),
}

/// How to reach an external PostgreSQL.
#[derive(Debug, Clone)]
pub struct ExternalPostgres {
    /// Host name, address, or the absolute path of a socket directory.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Role.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// Database name.
    pub database: String,
    /// Encryption.
    pub sslmode: SslMode,
    /// What the address leads to.
    pub pooler: Pooler,
    /// Where the above can be corrected.
    pub names: SettingNames,
}

impl Postgres {
    /// How to reach the external server for what needs a session of its own, announcements and backups; none if it is managed.
    pub fn direct_service(&self) -> Option<ExternalPostgres> {
        let PostgresService::External(server) = &self.service else { return None };
        let Some(url) = self.listen_url.clone() else { return Some(server.clone()) };
        Some(ExternalPostgres {
            host: url.host,
            port: url.port.unwrap_or(5432),
            user: url.user.unwrap_or_else(|| server.user.clone()),
            password: url.password.unwrap_or_else(|| server.password.clone()),
            database: url.database.unwrap_or_else(|| server.database.clone()),
            sslmode: url.sslmode.unwrap_or(server.sslmode),
            pooler: Pooler::Auto,
            names: SettingNames::one("postgres.listen_url"),
        })
    }
}

/// Keys that mean nothing without the address of an external server.
const LOGIN: [&str; 7] = [
    "postgres.port",
    "postgres.user",
    "postgres.password",
    "postgres.database",
    "postgres.sslmode",
    "postgres.listen_url",
    "postgres.pooler",
];

/// Reads the section; contradictions join the problems of the settings.
pub(super) fn resolve(settings: &mut Settings) -> Option<Postgres> {
    let service = service(settings);
    Postgres::read(settings, service)
}

fn service(settings: &mut Settings) -> Option<PostgresService> {
    let has_url = settings.origin("postgres.url").is_some();
    let external = if has_url {
        from_url(settings)
    } else if settings.origin("postgres.host").is_some() {
        from_keys(settings)
    } else {
        reject_login_without_host(settings);
        return ManagedPostgresConfig::read(settings).map(PostgresService::Managed);
    };
    let server = if has_url { "postgres.url" } else { "postgres.host" };
    settings.check_exclusive(
        server,
        "postgres.bin_dir",
        "the first selects an external PostgreSQL, the second configures a managed one: keep one",
    );
    external.map(PostgresService::External)
}

fn from_keys(settings: &mut Settings) -> Option<ExternalPostgres> {
    settings.set_default("postgres.port", "5432");
    settings.set_default("postgres.user", "postgres");
    settings.set_default("postgres.database", "attendance_db");
    settings.set_default("postgres.sslmode", "prefer");
    let keys = ServerKeys::read(settings)?;
    Some(ExternalPostgres {
        host: keys.host?,
        port: keys.port?,
        user: keys.user?,
        password: keys.password.unwrap_or_default(),
        database: keys.database?,
        sslmode: keys.sslmode?,
        pooler: keys.pooler.unwrap_or_default(),
        names: SettingNames::keys(),
    })
}

fn from_url(settings: &mut Settings) -> Option<ExternalPostgres> {
    for path in ["postgres.host", "postgres.port", "postgres.user", "postgres.database"] {
        settings.check_exclusive("postgres.url", path, "give the address in one of them");
    }
    let keys = ServerKeys::read(settings)?;
    let url = keys.url?;
    if url.password.is_some() {
        settings.check_exclusive("postgres.url", "postgres.password", "give the password in one of them");
    }
    if url.sslmode.is_some() {
        settings.check_exclusive("postgres.url", "postgres.sslmode", "give the mode in one of them");
    }
    let mut names = SettingNames::one("postgres.url");
    if url.password.is_none() {
        names.login.push_str(" and postgres.password");
    }
    if url.sslmode.is_none() {
        "postgres.sslmode".clone_into(&mut names.sslmode);
    }
    Some(ExternalPostgres {
        host: url.host,
        port: url.port.unwrap_or(5432),
        user: url.user.unwrap_or_else(|| "postgres".to_owned()),
        password: url.password.or(keys.password).unwrap_or_default(),
        database: url.database.unwrap_or_else(|| "attendance_db".to_owned()),
        sslmode: url.sslmode.or(keys.sslmode).unwrap_or_default(),
        pooler: keys.pooler.unwrap_or_default(),
        names,
    })
}

fn reject_login_without_host(settings: &mut Settings) {
    for path in LOGIN {
        if let Some(origin) = settings.origin(path).cloned() {
            settings.problems.push(Problem::Incomplete {
                origin,
                key: path.to_owned(),
                missing: "postgres.host or postgres.url",
                remedy: "name the server, or remove the key and the appliance runs its own PostgreSQL",
            });
        }
    }
}
