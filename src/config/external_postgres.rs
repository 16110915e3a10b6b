//! `postgres:` when somebody else runs it: from single keys or from a URL, never half from each.

use super::problem::Problem;
use super::settings::Settings;
use super::{ExternalPostgres, Secret, SslMode, url};

/// Keys that say where the server is and as whom to log in; they mean nothing to a managed one.
const LOGIN: [&str; 5] =
    ["postgres.port", "postgres.user", "postgres.password", "postgres.database", "postgres.sslmode"];

/// The external server the settings name; `None` when the appliance runs its own.
pub fn read(settings: &mut Settings) -> Option<ExternalPostgres> {
    let external = match (settings.origin("postgres.url").is_some(), settings.origin("postgres.host").is_some()) {
        (true, _) => from_url(settings),
        (false, true) => Some(from_keys(settings)),
        (false, false) => {
            refuse_login_without_host(settings);
            return None;
        }
    };
    refuse_programs(settings);
    external
}

fn from_keys(settings: &mut Settings) -> ExternalPostgres {
    settings.set_default("postgres.port", "5432");
    settings.set_default("postgres.user", "postgres");
    settings.set_default("postgres.database", "attendance_db");
    settings.set_default("postgres.sslmode", "prefer");
    let text = |path| settings.text(path).unwrap_or_default().to_owned();
    ExternalPostgres {
        host: text("postgres.host"),
        port: settings.number("postgres.port").unwrap_or_default(),
        user: text("postgres.user"),
        password: Secret::new(text("postgres.password")),
        database: text("postgres.database"),
        sslmode: sslmode(settings.text("postgres.sslmode")),
    }
}

/// `None` when the URL was refused before.
fn from_url(settings: &mut Settings) -> Option<ExternalPostgres> {
    for path in ["postgres.host", "postgres.port", "postgres.user", "postgres.database"] {
        settings.check_exclusive("postgres.url", path, "give the address in one of them");
    }
    let url = url::postgres(settings.text("postgres.url")?).ok()?;
    if url.password.is_some() {
        settings.check_exclusive("postgres.url", "postgres.password", "give the password in one of them");
    }
    if url.sslmode.is_some() {
        settings.check_exclusive("postgres.url", "postgres.sslmode", "give the mode in one of them");
    }
    let given = Secret::new(settings.text("postgres.password").unwrap_or_default());
    Some(ExternalPostgres {
        host: url.host,
        port: url.port.unwrap_or(5432),
        user: url.user.unwrap_or_else(|| "postgres".to_owned()),
        password: url.password.unwrap_or(given),
        database: url.database.unwrap_or_else(|| "attendance_db".to_owned()),
        sslmode: sslmode(url.sslmode.as_deref().or(settings.text("postgres.sslmode"))),
    })
}

fn sslmode(word: Option<&str>) -> SslMode {
    match word {
        Some("disable") => SslMode::Disable,
        Some("require") => SslMode::Require,
        Some("verify-full") => SslMode::VerifyFull,
        _ => SslMode::Prefer,
    }
}

fn refuse_login_without_host(settings: &mut Settings) {
    for path in LOGIN {
        if let Some(origin) = settings.origin(path).cloned() {
            settings.problems.push(Problem::Incomplete {
                origin,
                key: path.to_owned(),
                missing: "postgres.host or postgres.url",
                remedy: "name the server, or remove the key and the appliance runs its own PostgreSQL".to_owned(),
            });
        }
    }
}

fn refuse_programs(settings: &mut Settings) {
    let server = if settings.origin("postgres.url").is_some() { "postgres.url" } else { "postgres.host" };
    let remedy =
        "the first uses a PostgreSQL that somebody else runs, the second one that the appliance runs: keep one";
    settings.check_exclusive(server, "postgres.bin_dir", remedy);
}
