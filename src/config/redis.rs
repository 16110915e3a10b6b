//! `redis:` — a managed child, an external server, or no cache; a `mode` that contradicts the other keys is a problem.

use std::path::PathBuf;
use std::time::Duration;

use super::choice::{Choice, choice};
use super::kind::Kind;
use super::problem::Problem;
use super::secret::Secret;
use super::section::section;
use super::settings::Settings;
use super::units::{GIB, HOUR, KIB, MIB, MILLISECOND, SECOND};
use super::url::RedisUrl;

section! {
    /// The cache. With a host or a url it is an external Redis, which the appliance does not start or stop; without, the
    /// appliance runs its own (managed). A cache that is down never fails a request.
    "redis" {
        /// The keys that select and describe the server, as they were set.
        struct ServerKeys {
            /// managed, external or off (no cache: every read asks PostgreSQL). When not set: external if there is a host or a
            /// url, else managed.
            mode: Option<Mode> => Kind::Enum(Mode::WORDS);
            /// External: host name or IP address. Example: 10.0.0.4
            host: Option<String> => Kind::Text;
            /// External: TCP port, 1 to 65535. 6379 when not set.
            port: Option<u16> => Kind::Port;
            /// External: the ACL user. None when not set.
            username: Option<String> => Kind::Text;
            /// External: the password. "" is none. A file that holds one must not be readable by others (chmod 640).
            password: Option<Secret> => Kind::Text, secret;
            /// External: the number of the database, 0 to 1000000. 0 when not set.
            database: Option<i64> => Kind::Integer(0, 1_000_000);
            /// External: all of the above in one: `redis://username:password@host:6379/0`
            /// The password may be left out of it and given as redis.password.
            url: Option<RedisUrl> => Kind::RedisUrl;
        }

        /// How to run a Redis of our own.
        pub struct ManagedRedisConfig {
            /// Managed: the redis-server program to run instead of the built-in one. Example: /usr/bin/redis-server
            program: Option<PathBuf> => Kind::Path;
            /// Managed: the child is restarted, empty, when it holds more than this, 16MiB to 1TiB. When not set: 128MiB, or an
            /// eighth of the memory if that is less, but at least 16MiB.
            max_memory: Option<u64> => Kind::Size(16 * MIB, 1024 * GIB);
        }

        /// `redis:` — which cache, and its limits. Sizes are in bytes.
        pub struct Redis {
            resolved {
                /// A managed child, an external server, or no cache.
                service: RedisService;
            }
            /// An answer of the cache that takes longer than this is a miss, 1ms to 10s.
            timeout: Duration = "50ms" => Kind::Duration(MILLISECOND, 10 * SECOND);
            /// How long a stored answer may live, 1s to 24h.
            ttl: Duration = "20s" => Kind::Duration(SECOND, 24 * HOUR);
            /// Answers larger than this are not stored, 1KiB to 64MiB.
            max_value: usize = "1MiB" => Kind::Size(KIB, 64 * MIB);
            /// Memory for answers in this process, in front of Redis, 0 to 64GiB; 0 keeps none there. When not set: 16MiB, or a
            /// 32nd of the memory if that is less. Sessions and tokens have as much, at most 8MiB, also if redis.mode is off.
            local_memory: Option<usize> => Kind::Size(0, 64 * GIB);
        }
    }
}

choice! {
    /// `redis.mode`
    pub enum Mode {
        /// A child of the appliance.
        Managed = "managed",
        /// A server that the appliance does not start or stop.
        External = "external",
        /// No cache.
        Off = "off",
    }
}

/// Which Redis is used.
#[derive(Debug, Clone)]
pub enum RedisService {
    /// None: every read of records asks PostgreSQL.
    Off,
    /// A child of the appliance.
    Managed(ManagedRedisConfig),
    /// A server that the appliance does not start or stop.
    External(ExternalRedis),
}

/// How to reach an external Redis.
#[derive(Debug, Clone)]
pub struct ExternalRedis {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// ACL user, if one is used.
    pub username: Option<String>,
    /// Its password, if one is needed.
    pub password: Option<Secret>,
    /// Database number.
    pub database: i64,
}

/// Keys that mean nothing without the address of an external server.
const LOGIN: [&str; 4] = ["redis.port", "redis.username", "redis.password", "redis.database"];

/// Reads the section; contradictions join the problems of the settings.
pub(super) fn resolve(settings: &mut Settings) -> Option<Redis> {
    let service = service(settings);
    Redis::read(settings, service)
}

fn service(settings: &mut Settings) -> Option<RedisService> {
    let server = ["redis.url", "redis.host"].into_iter().find(|path| settings.origin(path).is_some());
    let mode: Option<Mode> = settings.read("redis.mode")?;
    match (mode, server) {
        (Some(Mode::Managed), Some(server)) => reject_mode(settings, "managed", server),
        (Some(Mode::Off), Some(server)) => reject_mode(settings, "off", server),
        (Some(Mode::External), None) => reject_without_host(settings, &["redis.mode"]),
        (None | Some(Mode::Managed), None) => reject_without_host(settings, &LOGIN),
        _ => {}
    }
    if let Some(server) = server {
        let remedy = "the first selects an external Redis, the second configures a managed one: keep one";
        settings.check_exclusive(server, "redis.program", remedy);
    }
    settings.set_default("redis.mode", if server.is_some() { "external" } else { "managed" });
    match (mode, server) {
        (Some(Mode::Off), _) => Some(RedisService::Off),
        (_, Some("redis.url")) => from_url(settings).map(RedisService::External),
        (_, Some(_)) => from_keys(settings).map(RedisService::External),
        (_, None) => ManagedRedisConfig::read(settings).map(RedisService::Managed),
    }
}

fn from_keys(settings: &mut Settings) -> Option<ExternalRedis> {
    settings.set_default("redis.port", "6379");
    settings.set_default("redis.database", "0");
    let keys = ServerKeys::read(settings)?;
    Some(ExternalRedis {
        host: keys.host?,
        port: keys.port?,
        username: keys.username,
        password: keys.password,
        database: keys.database?,
    })
}

fn from_url(settings: &mut Settings) -> Option<ExternalRedis> {
    for path in ["redis.host", "redis.port", "redis.username", "redis.database"] {
        settings.check_exclusive("redis.url", path, "give the address in one of them");
    }
    let keys = ServerKeys::read(settings)?;
    let url = keys.url?;
    if url.password.is_some() {
        settings.check_exclusive("redis.url", "redis.password", "give the password in one of them");
    }
    Some(ExternalRedis {
        host: url.host,
        port: url.port.unwrap_or(6379),
        username: url.username,
        password: url.password.or(keys.password),
        database: url.database.unwrap_or(0),
    })
}

fn reject_mode(settings: &mut Settings, mode: &str, server: &'static str) {
    let (Some(first_origin), Some(second_origin)) = (settings.origin("redis.mode"), settings.origin(server)) else {
        return;
    };
    settings.problems.push(Problem::Contradiction {
        first: format!("redis.mode: {mode}"),
        first_origin: first_origin.clone(),
        second: server,
        second_origin: second_origin.clone(),
        remedy: format!("remove {server} (or set it to nothing), or write redis.mode: external"),
    });
}

fn reject_without_host(settings: &mut Settings, paths: &[&str]) {
    for path in paths {
        let Some(origin) = settings.origin(path).cloned() else { continue };
        let external = if *path == "redis.mode" { ": external" } else { "" };
        settings.problems.push(Problem::Incomplete {
            origin,
            key: format!("{path}{external}"),
            missing: "redis.host or redis.url",
            remedy: "name the server, or remove the key and the appliance runs its own Redis",
        });
    }
}
