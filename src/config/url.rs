//! `postgres://` and `redis://` addresses.
//!
//! Policy: what is not understood is rejected, never ignored. An error does not repeat the address, because it may contain a
//! password.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::choice::Choice;
use super::secret::Secret;
use super::ssl_mode::SslMode;

/// The parts of a `postgres://` URL; a part that is left out is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PostgresUrl {
    /// Host name, address or socket directory.
    pub host: String,
    /// TCP port.
    pub port: Option<u16>,
    /// Role.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// Database name.
    pub database: Option<String>,
    /// `sslmode`
    pub sslmode: Option<SslMode>,
}

/// The parts of a `redis://` URL; a part that is left out is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RedisUrl {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: Option<u16>,
    /// ACL user.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// Database number.
    pub database: Option<i64>,
}

/// What is wrong with a URL.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Another scheme than the one that is needed.
    #[error("it must begin with {0}")]
    Scheme(&'static str),
    /// `rediss://`
    #[error("encrypted connections to Redis are not supported; use redis:// within a private network")]
    RedisTls,
    /// Nothing between `//` and the port or path.
    #[error("the host is missing")]
    NoHost,
    /// More than one host.
    #[error("only one host is supported")]
    ManyHosts,
    /// `[` without `]`, or text after the bracket that is not a port.
    #[error("an IPv6 address must be in brackets, like [::1]:5432")]
    Brackets,
    /// The port is not a number from 1 to 65535.
    #[error("its port is not a number from 1 to 65535 (in a password, write : / ? # @ as %3A %2F %3F %23 %40)")]
    Port,
    /// A `%` that is not followed by two hexadecimal digits, not UTF-8, or a control character.
    #[error("its {0} is not valid (write % as %25)")]
    Encoding(&'static str),
    /// The path of a Redis URL is its database number.
    #[error("its path must be a database number, like /0")]
    Database,
    /// A path with more than the database's name.
    #[error("its path must be the name of the database (write a / in the name as %2F)")]
    Path,
    /// An unknown parameter.
    #[error("its parameter {0:?} is not supported; the only one is sslmode")]
    Parameter(String),
    /// `sslmode` with an unknown word.
    #[error("its sslmode must be one of disable, prefer, require, verify-full")]
    SslMode,
}

/// The parts of any URL, not decoded yet.
struct Parts<'a> {
    user: Option<&'a str>,
    password: Option<&'a str>,
    host: &'a str,
    port: Option<u16>,
    path: &'a str,
    query: &'a str,
}

/// Parses `postgres://user:password@host:port/database?sslmode=...`.
pub fn postgres(text: &str) -> Result<PostgresUrl, Error> {
    let rest = ["postgres://", "postgresql://"]
        .into_iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .ok_or(Error::Scheme("postgres://"))?;
    let parts = split(rest)?;
    if parts.path.contains('/') {
        return Err(Error::Path);
    }
    Ok(PostgresUrl {
        host: decoded(parts.host, "host")?.into_owned(),
        port: parts.port,
        user: optional(parts.user, "user")?,
        password: optional(parts.password, "password")?.map(Secret::new),
        database: optional(Some(parts.path), "database")?,
        sslmode: sslmode(parts.query)?,
    })
}

/// Parses `redis://username:password@host:port/database`.
pub fn redis(text: &str) -> Result<RedisUrl, Error> {
    if text.starts_with("rediss://") {
        return Err(Error::RedisTls);
    }
    let parts = split(text.strip_prefix("redis://").ok_or(Error::Scheme("redis://"))?)?;
    if let Some((name, _)) = parameters(parts.query).next() {
        return Err(Error::Parameter(name.to_owned()));
    }
    let database = match parts.path {
        "" => None,
        path if path.bytes().all(|b| b.is_ascii_digit()) => Some(path.parse().map_err(|_| Error::Database)?),
        _ => return Err(Error::Database),
    };
    Ok(RedisUrl {
        host: decoded(parts.host, "host")?.into_owned(),
        port: parts.port,
        username: optional(parts.user, "username")?,
        password: optional(parts.password, "password")?.map(Secret::new),
        database,
    })
}

/// The URL with its password masked; only `***` if it is malformed, because then the end of the password is not certain.
pub fn masked(text: &str) -> String {
    let understood = postgres(text).is_ok() || redis(text).is_ok();
    let Some((scheme, rest)) = text.split_once("://").filter(|_| understood) else {
        return "***".to_owned();
    };
    match rest.split_once('@').map(|(login, address)| (login.split_once(':'), address)) {
        Some((Some((user, _)), address)) => format!("{scheme}://{user}:***@{address}"),
        _ => text.to_owned(),
    }
}

/// Splits the text after `scheme://`.
fn split(rest: &str) -> Result<Parts<'_>, Error> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, address) = authority.rsplit_once('@').map_or((None, authority), |(login, a)| (Some(login), a));
    // With a raw @ in the password, the rest of the password would be taken for the host.
    if login.is_some_and(|login| login.contains('@')) {
        return Err(Error::Encoding("password"));
    }
    let (user, password) = match login.map(|login| login.split_once(':')) {
        None => (None, None),
        Some(None) => (login, None),
        Some(Some((user, password))) => (Some(user), Some(password)),
    };
    let (host, port) = host_and_port(address)?;
    Ok(Parts { user, password, host, port, path, query })
}

fn host_and_port(address: &str) -> Result<(&str, Option<u16>), Error> {
    if address.contains(',') {
        return Err(Error::ManyHosts);
    }
    let (host, port) = if let Some(bracketed) = address.strip_prefix('[') {
        let (host, behind) = bracketed.split_once(']').ok_or(Error::Brackets)?;
        let port = if behind.is_empty() { None } else { Some(behind.strip_prefix(':').ok_or(Error::Brackets)?) };
        (host, port)
    } else {
        address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port)))
    };
    if host.is_empty() {
        return Err(Error::NoHost);
    }
    let port = port.map(|text| text.parse().ok().filter(|port| *port > 0).ok_or(Error::Port)).transpose()?;
    Ok((host, port))
}

fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn sslmode(query: &str) -> Result<Option<SslMode>, Error> {
    let mut mode = None;
    for (name, value) in parameters(query) {
        if name != "sslmode" {
            return Err(Error::Parameter(name.to_owned()));
        }
        mode = Some(SslMode::from_word(value).ok_or(Error::SslMode)?);
    }
    Ok(mode)
}

/// Decodes a part that may be left out; an empty one counts as left out.
fn optional(part: Option<&str>, what: &'static str) -> Result<Option<String>, Error> {
    part.filter(|text| !text.is_empty()).map(|text| decoded(text, what).map(Cow::into_owned)).transpose()
}

fn decoded<'a>(text: &'a str, what: &'static str) -> Result<Cow<'a, str>, Error> {
    let escapes_are_whole =
        text.split('%').skip(1).all(|tail| tail.len() >= 2 && tail.bytes().take(2).all(|b| b.is_ascii_hexdigit()));
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| Error::Encoding(what))?;
    if !escapes_are_whole || decoded.chars().any(char::is_control) {
        return Err(Error::Encoding(what));
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_postgres_url_is_split_into_its_parts() {
        let url = postgres("postgres://app:p%40ss%2Fword@db.example:6432/attendance_db?sslmode=require").unwrap();
        assert_eq!(url.host, "db.example");
        assert_eq!(url.port, Some(6432));
        assert_eq!(url.user.as_deref(), Some("app"));
        assert_eq!(url.password, Some(Secret::new("p@ss/word")));
        assert_eq!(url.database.as_deref(), Some("attendance_db"));
        assert_eq!(url.sslmode, Some(SslMode::Require));
        let short = postgres("postgresql://[::1]").unwrap();
        assert_eq!(short, PostgresUrl { host: "::1".to_owned(), ..PostgresUrl::default() });
        assert_eq!(postgres("postgres://u@%2Frun%2Fpostgresql/d").unwrap().host, "/run/postgresql");
    }

    #[test]
    fn a_redis_url_is_split_into_its_parts() {
        let url = redis("redis://:secret@10.0.0.4:6380/3").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.database), ("10.0.0.4", Some(6380), Some(3)));
        assert_eq!((url.username, url.password), (None, Some(Secret::new("secret"))));
    }

    #[test]
    fn urls_that_are_not_understood_are_rejected() {
        let errors = [
            ("mysql://h/d", Error::Scheme("postgres://")),
            ("postgres:///d", Error::NoHost),
            ("postgres://u:p@/d", Error::NoHost),
            ("postgres://a,b/d", Error::ManyHosts),
            ("postgres://[::1/d", Error::Brackets),
            ("postgres://h:0/d", Error::Port),
            ("postgres://u:a/b@h/d", Error::Port),
            ("postgres://u:a@b@h/d", Error::Encoding("password")),
            ("postgres://u:100%@h/d", Error::Encoding("password")),
            ("postgres://h/a/b", Error::Path),
            ("postgres://h/d?application_name=x", Error::Parameter("application_name".to_owned())),
            ("postgres://h/d?sslmode=sometimes", Error::SslMode),
        ];
        for (text, error) in errors {
            assert_eq!(postgres(text), Err(error), "{text}");
        }
        assert_eq!(redis("rediss://h"), Err(Error::RedisTls));
        assert_eq!(redis("redis://h/zero"), Err(Error::Database));
    }

    #[test]
    fn a_password_is_masked() {
        assert_eq!(masked("postgres://u:geheim@h:1/d"), "postgres://u:***@h:1/d");
        assert_eq!(masked("redis://:geheim@h"), "redis://:***@h");
        assert_eq!(masked("postgres://u@h/d"), "postgres://u@h/d");
        assert_eq!(masked("postgres://u:ge@heim@h/d"), "***");
        assert_eq!(masked("geheim"), "***");
    }
}
