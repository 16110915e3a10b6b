//! The database a run works on, as `--url` names it.

use super::value::Value;
use crate::cli::jdbc::JdbcUrl;
use crate::cli::migrate_error::Error;
use crate::config::{ExternalPostgres, Pooler, Secret, SettingNames, SslMode, parse_postgres_url};
use crate::database::{self, ConnectionParameters, Database};

/// The setting that holds the password if nothing else does.
const PASSWORD_VARIABLE: &str = "$LIQUIBASE_COMMAND_PASSWORD";

/// A database and how to reach it.
#[derive(Debug, Clone)]
pub struct Target {
    /// How to reach it.
    pub server: ExternalPostgres,
    /// Everything else that the URL says.
    parameters: ConnectionParameters,
}

impl Target {
    /// Reads `jdbc:postgresql://HOST:PORT/NAME?user=...&password=...&sslmode=...` or `postgres://USER:PASSWORD@HOST:PORT/NAME`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(url: &Value, username: Option<&Value>, password: Option<&Value>) -> Result<Self, Error> {
        let parts = parts(url)?;
        let names = names(url, &parts, username, password);
        let mut hosts = parts.hosts.into_iter();
        let (host, port) = hosts.next().unwrap_or_else(|| ("localhost".to_owned(), 5432));
        let user = username.map(|value| value.text.clone()).or(parts.user).unwrap_or_else(|| "postgres".to_owned());
        let server = ExternalPostgres {
            host,
            port,
            // As in the driver, a URL without a database means the one that is named like the role.
            database: parts.database.unwrap_or_else(|| user.clone()),
            user,
            password: password.map(|value| value.text.clone()).or(parts.password).map(Secret::new).unwrap_or_default(),
            sslmode: parts.sslmode,
            pooler: Pooler::Auto,
            names,
        };
        let parameters = ConnectionParameters { further_hosts: hosts.collect(), ..parts.parameters };
        Ok(Self { server, parameters })
    }

    /// The database.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn database(&self) -> Result<Database, database::Error> {
        Database::with_parameters(&self.server, &self.parameters)
    }
}

/// The names of the settings as they were given. A missing password has a place where it could be given.
fn names(url: &Value, parts: &JdbcUrl, username: Option<&Value>, password: Option<&Value>) -> SettingNames {
    let user = username.unwrap_or(url).place.as_str();
    let password = match (password, &parts.password) {
        (Some(password), _) => password.place.as_str(),
        (None, Some(_)) => url.place.as_str(),
        (None, None) => PASSWORD_VARIABLE,
    };
    let login = if user == password { user.to_owned() } else { format!("{user} and {password}") };
    SettingNames { login, ..SettingNames::one(&url.place) }
}

/// The parts of a URL of either kind.
fn parts(url: &Value) -> Result<JdbcUrl, Error> {
    let place = || url.place.clone();
    if url.text.starts_with("jdbc:") {
        return JdbcUrl::parse(&url.text).map_err(|source| Error::Jdbc { place: place(), source });
    }
    let parsed = parse_postgres_url(&url.text).map_err(|source| Error::Url { place: place(), source })?;
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
    use crate::cli::jdbc::address;

    fn value(place: &str, text: &str) -> Value {
        Value::new("url", place, text)
    }

    fn target(url: &str) -> Result<Target, Error> {
        Target::parse(&value("--url", url), None, None)
    }

    #[test]
    fn both_kinds_of_url_are_taken() {
        let jdbc = target("jdbc:postgresql://db:6432/app?user=me&password=a%26b&ssl=false").unwrap();
        assert_eq!((jdbc.server.host.as_str(), jdbc.server.port, jdbc.server.user.as_str()), ("db", 6432, "me"));
        assert_eq!(jdbc.server.password.expose(), "a&b");
        let other = value("--username", "other");
        let plain = Target::parse(&value("--url", "postgres://me:geheim@db/app"), Some(&other), None).unwrap();
        assert_eq!((plain.server.user.as_str(), plain.server.database.as_str()), ("other", "app"));
        assert!(!format!("{plain:?}").contains("geheim"));
        assert!(target("jdbc:mysql://db/app").is_err());
        let local = target("jdbc:postgresql:app").unwrap();
        assert_eq!((local.server.host.as_str(), local.server.database.as_str()), ("localhost", "app"));
    }

    #[test]
    fn a_url_that_is_printed_leads_to_its_database_again() {
        for (url, printed) in [
            ("jdbc:postgresql://db/app?user=me", "jdbc:postgresql://db:5432/app"),
            ("jdbc:postgresql://a,[::1]:2/app", "jdbc:postgresql://a:5432,[::1]:2/app"),
            ("jdbc:postgresql://[fe80::1%25eth0]/app", "jdbc:postgresql://[fe80::1%25eth0]:5432/app"),
            ("jdbc:postgresql:a%2Fb+c", "jdbc:postgresql://localhost:5432/a%2Fb%20c"),
            ("postgres://me@%2Frun%2Fa%20b/app", "jdbc:postgresql://%2Frun%2Fa%20b:5432/app"),
            ("postgres://me@[::1]/%C3%BC", "jdbc:postgresql://[::1]:5432/%C3%BC"),
        ] {
            let shown = |url: &str| address(&target(url).unwrap().database().unwrap());
            assert_eq!(shown(url), printed);
            assert_eq!(shown(printed), printed);
        }
    }

    #[test]
    fn messages_name_the_settings_that_were_given() {
        let names = |url: &str, username: Option<&str>, password: Option<&str>| {
            let given = |place: Option<&str>| place.map(|place| value(place, "x"));
            let (username, password) = (given(username), given(password));
            Target::parse(&value("url in l.properties", url), username.as_ref(), password.as_ref())
                .unwrap()
                .server
                .names
        };
        let all = names("postgres://me:x@db/app", None, None);
        assert_eq!(all, SettingNames::one("url in l.properties"));
        let none = names("postgres://db/app", None, None);
        assert_eq!(none.login, "url in l.properties and $LIQUIBASE_COMMAND_PASSWORD");
        assert_eq!(names("postgres://db/app", Some("--username"), Some("$P")).login, "--username and $P");
        let refused = Target::parse(&value("$LIQUIBASE_COMMAND_URL", "jdbc:mysql://db"), None, None).unwrap_err();
        assert!(refused.to_string().contains("$LIQUIBASE_COMMAND_URL"), "{refused}");
    }
}
