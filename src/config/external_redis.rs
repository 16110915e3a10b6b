//! `redis:` → managed, external or off; a `mode` that contradicts the rest is a problem.

use std::path::PathBuf;

use super::problem::Problem;
use super::settings::Settings;
use super::{ExternalRedis, RedisService, Secret, url};

/// Keys that say how to log in; they mean nothing to a managed server.
const LOGIN: [&str; 4] = ["redis.port", "redis.username", "redis.password", "redis.database"];

/// Who runs Redis.
pub fn service(settings: &mut Settings) -> RedisService {
    let server = ["redis.url", "redis.host"].into_iter().find(|path| settings.origin(path).is_some());
    let mode = settings.text("redis.mode").map(ToOwned::to_owned);
    match (mode.as_deref(), server) {
        (Some(mode @ ("managed" | "off")), Some(server)) => refuse_mode(settings, mode, server),
        (Some("external"), None) => refuse_without_host(settings, &["redis.mode"]),
        (None | Some("managed"), None) => refuse_without_host(settings, &LOGIN),
        _ => {}
    }
    if let Some(server) = server {
        let remedy = "the first uses a Redis that somebody else runs, the second one that the appliance runs: keep one";
        settings.check_exclusive(server, "redis.program", remedy);
    }
    settings.set_default("redis.mode", if server.is_some() { "external" } else { "managed" });
    match (mode.as_deref(), server) {
        (Some("off"), _) => RedisService::Off,
        (_, Some("redis.url")) => from_url(settings).map_or(RedisService::Off, RedisService::External),
        (_, Some(_)) => RedisService::External(from_keys(settings)),
        _ => RedisService::Managed {
            program: settings.text("redis.program").map(PathBuf::from),
            max_memory: settings.number("redis.max_memory").unwrap_or_default(),
        },
    }
}

fn from_keys(settings: &mut Settings) -> ExternalRedis {
    settings.set_default("redis.port", "6379");
    settings.set_default("redis.database", "0");
    ExternalRedis {
        host: settings.text("redis.host").unwrap_or_default().to_owned(),
        port: settings.number("redis.port").unwrap_or_default(),
        username: settings.text("redis.username").map(ToOwned::to_owned),
        password: settings.text("redis.password").map(Secret::new),
        database: settings.number("redis.database").unwrap_or_default(),
    }
}

/// `None` when the URL was refused before; the configuration is thrown away then.
fn from_url(settings: &mut Settings) -> Option<ExternalRedis> {
    for path in ["redis.host", "redis.port", "redis.username", "redis.database"] {
        settings.check_exclusive("redis.url", path, "give the address in one of them");
    }
    let url = url::redis(settings.text("redis.url")?).ok()?;
    if url.password.is_some() {
        settings.check_exclusive("redis.url", "redis.password", "give the password in one of them");
    }
    Some(ExternalRedis {
        host: url.host,
        port: url.port.unwrap_or(6379),
        username: url.username,
        password: url.password.or_else(|| settings.text("redis.password").map(Secret::new)),
        database: url.database.unwrap_or(0),
    })
}

fn refuse_mode(settings: &mut Settings, mode: &str, server: &'static str) {
    let (Some(first_origin), Some(second_origin)) = (settings.origin("redis.mode"), settings.origin(server)) else {
        return;
    };
    settings.problems.push(Problem::Contradiction {
        first: format!("redis.mode: {mode}"),
        first_origin: first_origin.clone(),
        second: server.to_owned(),
        second_origin: second_origin.clone(),
        remedy: format!("remove {server} (or set it to nothing), or write redis.mode: external"),
    });
}

fn refuse_without_host(settings: &mut Settings, paths: &[&'static str]) {
    for path in paths {
        let Some(origin) = settings.origin(path).cloned() else { continue };
        let external = if *path == "redis.mode" { ": external" } else { "" };
        settings.problems.push(Problem::Incomplete {
            origin,
            key: format!("{path}{external}"),
            missing: "redis.host or redis.url",
            remedy: "name the server, or remove the key and the appliance runs its own Redis".to_owned(),
        });
    }
}
