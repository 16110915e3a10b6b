//! Settings → [`Config`]: typed, and free of contradictions.
//!
//! Policy: a value that was refused is already among the problems, and then the `Config` made here is thrown away;
//! so a stand-in for it is never seen by anybody. That the defaults leave nothing to a stand-in is a test.

use std::path::PathBuf;
use std::time::Duration;

use super::settings::Settings;
use super::{Access, Api, Config, DateFormat, Log, LogFormat, Migrations, Postgres, PostgresService, Redis, Server};
use super::{external_postgres, external_redis};

/// Makes the configuration; contradictions join the problems in the settings.
pub fn config(settings: &mut Settings, data_dir: PathBuf) -> Config {
    let postgres = postgres(settings);
    let migrations = migrations(settings);
    let redis = redis(settings);
    Config { data_dir, server: server(settings), api: api(settings), postgres, migrations, redis, log: log(settings) }
}

fn server(settings: &Settings) -> Server {
    Server {
        listen: settings.address("server.listen").unwrap_or(([127, 0, 0, 1], 0).into()),
        workers: settings.number("server.workers"),
        max_connections: settings.number("server.max_connections").unwrap_or_default(),
        max_body: settings.number("server.max_body").unwrap_or_default(),
        max_head: settings.number("server.max_head").unwrap_or_default(),
        head_timeout: duration(settings, "server.head_timeout"),
        body_timeout: duration(settings, "server.body_timeout"),
        idle_timeout: duration(settings, "server.idle_timeout"),
        write_timeout: duration(settings, "server.write_timeout"),
        drain_timeout: duration(settings, "server.drain_timeout"),
    }
}

fn api(settings: &Settings) -> Api {
    let date_format = match settings.text("api.date_format") {
        Some("http") => DateFormat::Http,
        _ => DateFormat::Iso,
    };
    Api { date_format }
}

fn postgres(settings: &mut Settings) -> Postgres {
    let service = match external_postgres::read(settings) {
        Some(external) => PostgresService::External(external),
        None => PostgresService::Managed {
            bin_dir: settings.text("postgres.bin_dir").map(PathBuf::from),
            shared_buffers: settings.number("postgres.shared_buffers"),
            init_timeout: duration(settings, "postgres.init_timeout"),
            start_timeout: duration(settings, "postgres.start_timeout"),
            stop_timeout: duration(settings, "postgres.stop_timeout"),
        },
    };
    Postgres {
        service,
        pool_size: settings.number("postgres.pool_size").unwrap_or_default(),
        connect_timeout: duration(settings, "postgres.connect_timeout"),
        request_timeout: duration(settings, "postgres.request_timeout"),
    }
}

fn migrations(settings: &Settings) -> Migrations {
    let text = |path| settings.text(path).unwrap_or_default().trim().to_owned();
    let contexts = text("migrations.contexts");
    Migrations {
        changelog: settings.text("migrations.changelog").map(str::to_owned),
        search_path: settings.text("migrations.search_path").map(PathBuf::from),
        contexts: contexts.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect(),
        labels: text("migrations.labels"),
    }
}

fn redis(settings: &mut Settings) -> Redis {
    Redis {
        service: external_redis::service(settings),
        timeout: duration(settings, "redis.timeout"),
        ttl: duration(settings, "redis.ttl"),
        max_value: settings.number("redis.max_value").unwrap_or_default(),
        local_memory: settings.number("redis.local_memory").unwrap_or_default(),
    }
}

fn log(settings: &Settings) -> Log {
    Log {
        format: match settings.text("log.format") {
            Some("json") => LogFormat::Json,
            Some("text") => LogFormat::Text,
            _ => LogFormat::Auto,
        },
        level: settings.text("log.level").and_then(|word| word.parse().ok()).unwrap_or(tracing::Level::INFO),
        access: match settings.text("log.access") {
            Some("errors") => Access::Errors,
            Some("off") => Access::Off,
            _ => Access::All,
        },
    }
}

fn duration(settings: &Settings, path: &str) -> Duration {
    settings.duration(path).unwrap_or_default()
}
