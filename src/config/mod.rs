//! What the appliance can be told, as types.
//!
//! Policy: everything is checked before anything is started. A `Config` that exists is valid; whoever
//! holds one never checks it again. Times are `Duration`, sizes are bytes, secrets are [`Secret`] and never print.

mod data_dir;
mod external_postgres;
mod external_redis;
mod file;
mod keys;
mod kind;
mod layers;
mod load;
mod origin;
mod problem;
mod secret;
mod settings;
mod show;
mod suggest;
#[cfg(test)]
mod tests;
mod typed;
mod units;
mod url;
mod yaml;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use layers::{Environment, Flags};
pub use load::{Loaded, load, template};
pub use problem::Error;
pub use secret::Secret;
pub use url::postgres as postgres_url;

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the data, the unpacked distribution and the lock live. Absolute.
    pub data_dir: PathBuf,
    /// The HTTP server.
    pub server: Server,
    /// How the API answers.
    pub api: Api,
    /// The database: managed or external.
    pub postgres: Postgres,
    /// The schema: which changelog, and which part of it.
    pub migrations: Migrations,
    /// The cache: managed, external or off.
    pub redis: Redis,
    /// What is written to standard output.
    pub log: Log,
}

/// `migrations:` — what brings the schema up to date at start-up.
#[derive(Debug, Clone, Default)]
pub struct Migrations {
    /// The changelog to apply, by its path below `search_path`; `None` is the one built in.
    pub changelog: Option<String>,
    /// The directory that the changelog, and what it includes, is in.
    pub search_path: Option<PathBuf>,
    /// The contexts of the run; none runs changesets of every context.
    pub contexts: Vec<String>,
    /// An expression over labels; empty passes all.
    pub labels: String,
}

/// `server:` — limits and times of the HTTP server.
#[derive(Debug, Clone)]
pub struct Server {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Threads that handle requests; by the processors where it is not set.
    pub workers: Option<usize>,
    /// Open connections at the most; more wait in the listen queue.
    pub max_connections: usize,
    /// Longest request body, in bytes.
    pub max_body: usize,
    /// Longest request head (request line and headers), in bytes.
    pub max_head: usize,
    /// A request head must be complete within this time.
    pub head_timeout: Duration,
    /// A request body must be complete within this time.
    pub body_timeout: Duration,
    /// A connection without a request is closed after this time.
    pub idle_timeout: Duration,
    /// A client that takes no byte of its answer for this long is cut off.
    pub write_timeout: Duration,
    /// At stop, requests in flight get this long.
    pub drain_timeout: Duration,
}

/// `api:` — how the API answers.
#[derive(Debug, Clone)]
pub struct Api {
    /// How a date is written in an answer.
    pub date_format: DateFormat,
}

/// How a date is written in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DateFormat {
    /// `2023-08-01`
    #[default]
    Iso,
    /// `Tue, 01 Aug 2023 00:00:00 GMT`, as the Python service answers.
    Http,
}

/// `postgres:` — which database, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct Postgres {
    /// Managed child or external server.
    pub service: PostgresService,
    /// Connections in the pool.
    pub pool_size: usize,
    /// At start-up: how long an external server may take to come up.
    pub connect_timeout: Duration,
    /// While serving: how long one request may wait for the database, connection included.
    pub request_timeout: Duration,
}

/// Who runs PostgreSQL.
#[derive(Debug, Clone)]
pub enum PostgresService {
    /// The appliance does.
    Managed {
        /// Use these programs instead of the embedded ones.
        bin_dir: Option<PathBuf>,
        /// Bytes it keeps pages of its tables in; by the memory there is where it is not set.
        shared_buffers: Option<usize>,
        /// initdb may take this long.
        init_timeout: Duration,
        /// The start, crash recovery included, may take this long.
        start_timeout: Duration,
        /// The stop may take this long before it is forced.
        stop_timeout: Duration,
    },
    /// Somebody else does.
    External(ExternalPostgres),
}

/// How to reach a PostgreSQL that somebody else runs.
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
}

/// `postgres.sslmode`, with libpq's meanings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Never encrypt.
    Disable,
    /// Encrypt where the server can.
    #[default]
    Prefer,
    /// Encrypt or fail; the certificate is not checked.
    Require,
    /// Encrypt or fail; the certificate must be valid for the host.
    VerifyFull,
}

/// `redis:` — which cache, and how patient to be with it.
#[derive(Debug, Clone)]
pub struct Redis {
    /// Managed child, external server, or no cache.
    pub service: RedisService,
    /// A cache slower than this is a miss.
    pub timeout: Duration,
    /// How long a stored answer may live.
    pub ttl: Duration,
    /// Answers larger than this are not stored, in bytes.
    pub max_value: usize,
    /// Memory for answers in this process, in bytes; 0 for none.
    pub local_memory: usize,
}

/// Who runs Redis.
#[derive(Debug, Clone)]
pub enum RedisService {
    /// Nobody: every read asks PostgreSQL.
    Off,
    /// The appliance does.
    Managed {
        /// A `redis-server` to run instead of the built-in mini-redis.
        program: Option<PathBuf>,
        /// The child is restarted, empty, when it holds more than this many bytes.
        max_memory: u64,
    },
    /// Somebody else does.
    External(ExternalRedis),
}

/// How to reach a Redis that somebody else runs.
#[derive(Debug, Clone)]
pub struct ExternalRedis {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// ACL user, where one is used.
    pub username: Option<String>,
    /// Its password, where one is needed.
    pub password: Option<Secret>,
    /// Database number.
    pub database: i64,
}

/// `log:` — what is written to standard output.
#[derive(Debug, Clone)]
pub struct Log {
    /// One JSON object a line, or text for a person.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`.
    pub level: tracing::Level,
    /// Which requests get a line.
    pub access: Access,
}

/// `log.format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For a person.
    Text,
}

/// `log.access`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Every request.
    #[default]
    All,
    /// Requests answered with 4xx or 5xx.
    Errors,
    /// None.
    Off,
}
