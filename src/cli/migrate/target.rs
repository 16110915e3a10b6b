//! The database that `--url` names.

use crate::cli::migrate_error::Error;
use crate::config::{ExternalPostgres, Secret, SslMode, parse_postgres_url};

/// A database and its name in messages.
#[derive(Debug, Clone)]
pub struct Target {
    /// How to reach it.
    pub server: ExternalPostgres,
    /// `jdbc:postgresql://host:port/name`, without a password.
    pub url: String,
}

impl Target {
    /// Reads `jdbc:postgresql://HOST:PORT/NAME?user=...&password=...&sslmode=...` or `postgres://USER:PASSWORD@HOST:PORT/NAME`.
    ///
    /// # Errors
    /// If it is neither.
    pub fn parse(url: &str, username: Option<String>, password: Option<Secret>) -> Result<Self, Error> {
        let jdbc = url.strip_prefix("jdbc:");
        let (plain, parameters) = match jdbc {
            Some(rest) => jdbc_parts(rest),
            None => (url.to_owned(), Vec::new()),
        };
        let parameter = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let parsed = parse_postgres_url(&plain).map_err(Error::Url)?;
        let sslmode = match (parsed.sslmode, parameter("sslmode").as_deref()) {
            (Some(mode), _) => mode,
            (None, None | Some("prefer" | "allow")) => SslMode::Prefer,
            (None, Some("disable")) => SslMode::Disable,
            (None, Some("require")) => SslMode::Require,
            (None, Some("verify-full" | "verify-ca")) => SslMode::VerifyFull,
            (None, Some(other)) => return Err(Error::SslMode(other.to_owned())),
        };
        let server = ExternalPostgres {
            host: parsed.host,
            port: parsed.port.unwrap_or(5432),
            user: username.or(parsed.user).or_else(|| parameter("user")).unwrap_or_else(|| "postgres".to_owned()),
            password: password
                .or(parsed.password)
                .or_else(|| parameter("password").map(Secret::new))
                .unwrap_or_default(),
            database: parsed.database.unwrap_or_else(|| "postgres".to_owned()),
            sslmode,
        };
        let host = if server.host.contains(':') { format!("[{}]", server.host) } else { server.host.clone() };
        let shown = format!("jdbc:postgresql://{host}:{}/{}", server.port, server.database);
        Ok(Self { server, url: shown })
    }
}

/// A JDBC URL as a plain one, and its parameters, because a plain URL accepts fewer of them.
fn jdbc_parts(rest: &str) -> (String, Vec<(String, String)>) {
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    // jdbc:postgresql:name and jdbc:postgresql://host mean the local server, or the database named like the role.
    let address = match address.strip_prefix("postgresql:").filter(|name| !name.starts_with("//")) {
        Some(name) => format!("postgresql://localhost/{name}"),
        None => address.replacen(":///", "://localhost/", 1),
    };
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    (address, pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jdbc_and_plain_urls_are_accepted() {
        let jdbc = Target::parse("jdbc:postgresql://db:6432/app?user=me&password=a%26b&ssl=false", None, None).unwrap();
        assert_eq!((jdbc.server.host.as_str(), jdbc.server.port, jdbc.server.user.as_str()), ("db", 6432, "me"));
        assert_eq!(jdbc.server.password.expose(), "a&b");
        assert_eq!(jdbc.url, "jdbc:postgresql://db:6432/app");
        let plain = Target::parse("postgres://me:geheim@db/app", Some("other".to_owned()), None).unwrap();
        assert_eq!((plain.server.user.as_str(), plain.url.as_str()), ("other", "jdbc:postgresql://db:5432/app"));
        assert!(!format!("{plain:?}").contains("geheim"));
        assert!(Target::parse("jdbc:mysql://db/app", None, None).is_err());
        let local = Target::parse("jdbc:postgresql:app", None, None).unwrap();
        assert_eq!((local.server.host.as_str(), local.server.database.as_str()), ("localhost", "app"));
    }
}
