//! The database a run works on, as `--url` names it.

use crate::cli::jdbc::JdbcUrl;
use crate::cli::migrate_error::Error;
use crate::config::{ExternalPostgres, Secret, SslMode, parse_postgres_url};
use crate::database::{self, ConnectionParameters, Database};

/// A database and the name it goes by in messages.
#[derive(Debug, Clone)]
pub struct Target {
    /// How to reach it.
    pub server: ExternalPostgres,
    /// Everything else that the URL says.
    parameters: ConnectionParameters,
    /// `jdbc:postgresql://host:port/name`, without a password.
    pub url: String,
}

impl Target {
    /// Reads `jdbc:postgresql://HOST:PORT/NAME?user=...&password=...&sslmode=...` or `postgres://USER:PASSWORD@HOST:PORT/NAME`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(url: &str, username: Option<String>, password: Option<Secret>) -> Result<Self, Error> {
        let parts = if url.starts_with("jdbc:") { JdbcUrl::parse(url).map_err(Error::Jdbc)? } else { plain(url)? };
        let mut hosts = parts.hosts.into_iter();
        let (host, port) = hosts.next().unwrap_or_else(|| ("localhost".to_owned(), 5432));
        let user = username.or(parts.user).unwrap_or_else(|| "postgres".to_owned());
        let server = ExternalPostgres {
            host,
            port,
            // As in the driver, a URL without a database means the one that is named like the role.
            database: parts.database.unwrap_or_else(|| user.clone()),
            user,
            password: password.or(parts.password.map(Secret::new)).unwrap_or_default(),
            sslmode: parts.sslmode,
        };
        let parameters = ConnectionParameters { further_hosts: hosts.collect(), ..parts.parameters };
        let all = std::iter::once((&server.host, server.port));
        let all = all.chain(parameters.further_hosts.iter().map(|(host, port)| (host, *port)));
        let shown = |(host, port): (&String, u16)| match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let hosts = all.map(shown).collect::<Vec<_>>().join(",");
        let url = format!("jdbc:postgresql://{hosts}/{}", server.database);
        Ok(Self { server, parameters, url })
    }

    /// The database.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn database(&self) -> Result<Database, database::Error> {
        Database::with_parameters(&self.server, &self.parameters)
    }
}

/// The parts of a `postgres://` URL.
fn plain(url: &str) -> Result<JdbcUrl, Error> {
    let parsed = parse_postgres_url(url).map_err(Error::Url)?;
    Ok(JdbcUrl {
        hosts: vec![(parsed.host, parsed.port.unwrap_or(5432))],
        database: Some(parsed.database.unwrap_or_else(|| "postgres".to_owned())),
        user: parsed.user,
        password: parsed.password.map(|password| password.expose().to_owned()),
        sslmode: parsed.sslmode.unwrap_or(SslMode::Prefer),
        parameters: ConnectionParameters::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_url_are_taken() {
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
        let several = Target::parse("jdbc:postgresql://a,[::1]:2/app", None, None).unwrap();
        assert_eq!(several.url, "jdbc:postgresql://a:5432,[::1]:2/app");
    }
}
