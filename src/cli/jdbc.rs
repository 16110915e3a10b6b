//! `jdbc:postgresql:` URLs, as the JDBC driver of PostgreSQL reads them.
//!
//! Policy: a parameter is obeyed or refused by its name, never ignored. If TLS is requested it is used, or the run fails.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_postgres::config::TargetSessionAttrs;

use crate::config::SslMode;
use crate::database::{ConnectionParameters, Database};

/// The characters that a host or a database of a URL may have unencoded.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Those of an IPv6 address, which is in brackets.
const PLAIN_IN_BRACKETS: &AsciiSet = &PLAIN.remove(b':');

/// Why a JDBC URL cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// It does not begin with `jdbc:postgresql:`.
    #[error("it must begin with jdbc:postgresql:")]
    Scheme,
    /// A host is empty, or an IPv6 address is not in brackets.
    #[error("its host {0:?} is not valid (write an IPv6 address as [::1])")]
    Host(String),
    /// The port is not a number from 1 to 65535.
    #[error("its port {0:?} is not a number from 1 to 65535")]
    Port(String),
    /// A `%` that is not followed by two hexadecimal digits, or text that is not UTF-8.
    #[error("its {0} is not valid (write % as %25)")]
    Encoding(String),
    /// The parameter is not supported.
    #[error("its parameter {0:?} is not supported; remove it")]
    Parameter(String),
    /// The value of a parameter is not supported.
    #[error("its parameter {name} has a value that is not supported; supported: {allowed}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What is supported.
        allowed: &'static str,
    },
}

/// The parts of a JDBC URL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JdbcUrl {
    /// The servers, in the order in which they are tried.
    pub hosts: Vec<(String, u16)>,
    /// The database; none is that of the role.
    pub database: Option<String>,
    /// `user`
    pub user: Option<String>,
    /// `password`
    pub password: Option<String>,
    /// `ssl` and `sslmode`
    pub sslmode: SslMode,
    /// The other parameters.
    pub parameters: ConnectionParameters,
}

impl JdbcUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// When it is malformed, or has a parameter that is not supported.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let rest = url.strip_prefix("jdbc:postgresql:").ok_or(Error::Scheme)?;
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, database) = match address.strip_prefix("//") {
            // jdbc:postgresql:name is a database of the local server.
            None => ("", address.strip_prefix('/').unwrap_or(address)),
            Some(rest) => rest.split_once('/').unwrap_or((rest, "")),
        };
        let hosts = hosts.split(',').map(host_and_port).collect::<Result<_, _>>()?;
        let database = Some(decoded(database, "database")?).filter(|name| !name.is_empty());
        let mut parsed = Self { hosts, database, ..Self::default() };
        let mut tls = Tls::default();
        let mut options = Vec::new();
        let mut search_path = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value, name)?;
            match name {
                "user" => parsed.user = Some(value),
                "password" => parsed.password = Some(value),
                "currentSchema" => search_path = Some(format!("-c search_path={}", option_value(&value))),
                "options" => options.push(value),
                "readOnly" if boolean("readOnly", &value)? => {
                    options.push("-c default_transaction_read_only=on".to_owned());
                }
                "readOnly" => {}
                "ApplicationName" => parsed.parameters.application_name = Some(value),
                "connectTimeout" => parsed.parameters.connect_timeout = seconds("connectTimeout", &value)?,
                "loginTimeout" => parsed.parameters.login_timeout = seconds("loginTimeout", &value)?,
                "socketTimeout" => parsed.parameters.read_timeout = seconds("socketTimeout", &value)?,
                "targetServerType" => parsed.parameters.target = target(&value)?,
                "ssl" => tls.is_requested = Some(value.is_empty() || boolean("ssl", &value)?),
                "sslmode" => tls.mode = Some(sslmode(&value)?),
                "sslfactory" if value == "org.postgresql.ssl.NonValidatingFactory" => tls.checks_nothing = true,
                "sslrootcert" => parsed.parameters.root_certificates = Some(PathBuf::from(value)),
                other => return Err(Error::Parameter(other.to_owned())),
            }
        }
        // As in the driver, currentSchema takes precedence over options.
        options.extend(search_path);
        parsed.parameters.options = (!options.is_empty()).then(|| options.join(" "));
        parsed.sslmode = tls.mode();
        if parsed.parameters.root_certificates.is_some() && parsed.sslmode != SslMode::VerifyFull {
            return Err(Error::Value { name: "sslrootcert", allowed: "a file, together with sslmode=verify-full" });
        }
        Ok(parsed)
    }
}

/// The parameters that decide about TLS.
#[derive(Debug, Default)]
struct Tls {
    is_requested: Option<bool>,
    mode: Option<SslMode>,
    checks_nothing: bool,
}

impl Tls {
    /// `sslmode` takes precedence over `ssl`, which requests a checked connection.
    fn mode(&self) -> SslMode {
        match (self.mode, self.is_requested) {
            (Some(SslMode::VerifyFull), _) | (None, Some(true)) if self.checks_nothing => SslMode::Require,
            (Some(mode), _) => mode,
            (None, Some(true)) => SslMode::VerifyFull,
            (None, _) => SslMode::Prefer,
        }
    }
}

/// The URL of a database, `jdbc:postgresql://host:port/name`, without a user and a password. [`JdbcUrl::parse`] reads it.
pub fn address(database: &Database) -> String {
    let encoded = |text: &str, plain: &'static AsciiSet| utf8_percent_encode(text, plain).to_string();
    let server = |(host, port): &(String, u16)| match host.contains(':') && !host.contains('/') {
        true => format!("[{}]:{port}", encoded(host, PLAIN_IN_BRACKETS)),
        false => format!("{}:{port}", encoded(host, PLAIN)),
    };
    let servers: Vec<String> = database.servers().iter().map(server).collect();
    format!("jdbc:postgresql://{}/{}", servers.join(","), encoded(database.name(), PLAIN))
}

fn host_and_port(text: &str) -> Result<(String, u16), Error> {
    let invalid = || Error::Host(text.to_owned());
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']').ok_or_else(invalid)?;
            let port = if behind.is_empty() { None } else { Some(behind.strip_prefix(':').ok_or_else(invalid)?) };
            (host, port)
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let host = if host.is_empty() && port.is_none() { "localhost" } else { host };
    if host.is_empty() || host.contains(['@', '/']) {
        return Err(invalid());
    }
    let port = match port {
        None | Some("") => 5432,
        Some(text) => text.parse().ok().filter(|port| *port > 0).ok_or_else(|| Error::Port(text.to_owned()))?,
    };
    Ok((decoded(host, "host")?, port))
}

/// Decodes `%41`, and `+` for a blank, as Java does.
fn decoded(text: &str, what: &str) -> Result<String, Error> {
    let invalid = || Error::Encoding(what.to_owned());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digits = [rest.clone().next(), rest.clone().nth(1)];
        if byte == b'%' && !digits.iter().all(|digit| digit.is_some_and(|digit| digit.is_ascii_hexdigit())) {
            return Err(invalid());
        }
    }
    let blanks = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&blanks).decode_utf8().map_err(|_| invalid())?;
    if decoded.contains('\0') { Err(invalid()) } else { Ok(decoded.into_owned()) }
}

/// The value of a setting within the startup option `options`, whose words are separated by blanks.
fn option_value(text: &str) -> String {
    text.replace('\\', "\\\\").replace(' ', "\\ ")
}

fn boolean(name: &'static str, value: &str) -> Result<bool, Error> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Error::Value { name, allowed: "true, false" }),
    }
}

/// A number of seconds; 0 is no limit.
fn seconds(name: &'static str, value: &str) -> Result<Option<Duration>, Error> {
    let seconds: u32 = value.parse().map_err(|_| Error::Value { name, allowed: "a whole number of seconds" })?;
    Ok((seconds > 0).then(|| Duration::from_secs(u64::from(seconds))))
}

fn sslmode(value: &str) -> Result<SslMode, Error> {
    match value.to_ascii_lowercase().as_str() {
        "disable" => Ok(SslMode::Disable),
        "prefer" => Ok(SslMode::Prefer),
        "require" => Ok(SslMode::Require),
        "verify-full" => Ok(SslMode::VerifyFull),
        _ => Err(Error::Value { name: "sslmode", allowed: "disable, prefer, require, verify-full" }),
    }
}

fn target(value: &str) -> Result<TargetSessionAttrs, Error> {
    match value.to_ascii_lowercase().as_str() {
        "any" => Ok(TargetSessionAttrs::Any),
        "primary" | "master" => Ok(TargetSessionAttrs::ReadWrite),
        "secondary" | "slave" => Ok(TargetSessionAttrs::ReadOnly),
        _ => Err(Error::Value { name: "targetServerType", allowed: "any, primary, secondary" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> JdbcUrl {
        JdbcUrl::parse(&format!("jdbc:postgresql://db/app?{query}")).unwrap()
    }

    #[test]
    fn the_address_is_read_in_every_form() {
        for (url, hosts, database) in [
            ("jdbc:postgresql://db:6432/app", &[("db", 6432)][..], Some("app")),
            ("jdbc:postgresql://db/", &[("db", 5432)], None),
            ("jdbc:postgresql://db", &[("db", 5432)], None),
            ("jdbc:postgresql:app", &[("localhost", 5432)], Some("app")),
            ("jdbc:postgresql:///app", &[("localhost", 5432)], Some("app")),
            ("jdbc:postgresql:/", &[("localhost", 5432)], None),
            ("jdbc:postgresql://a:1,[::1]:2,c/a%2Fb", &[("a", 1), ("::1", 2), ("c", 5432)], Some("a/b")),
        ] {
            let parsed = JdbcUrl::parse(url).unwrap();
            let found: Vec<(&str, u16)> = parsed.hosts.iter().map(|(host, port)| (host.as_str(), *port)).collect();
            assert_eq!((&found[..], parsed.database.as_deref()), (hosts, database), "{url}");
        }
    }

    #[test]
    fn parameters_that_decide_where_and_how_to_connect_are_obeyed() {
        let url =
            parsed("user=me&password=a%26b+c&currentSchema=foo,My%20Schema&options=-c%20work_mem=4MB&readOnly=true");
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("me"), Some("a&b c")));
        assert_eq!(
            url.parameters.options.as_deref(),
            Some("-c work_mem=4MB -c default_transaction_read_only=on -c search_path=foo,My\\ Schema")
        );
        let url = parsed("ApplicationName=x&connectTimeout=3&loginTimeout=4&socketTimeout=0&targetServerType=primary");
        assert_eq!(url.parameters.application_name.as_deref(), Some("x"));
        assert_eq!(url.parameters.connect_timeout, Some(Duration::from_secs(3)));
        assert_eq!(url.parameters.login_timeout, Some(Duration::from_secs(4)));
        assert_eq!(url.parameters.read_timeout, None);
        assert_eq!(url.parameters.target, TargetSessionAttrs::ReadWrite);
    }

    #[test]
    fn tls_that_is_requested_is_used() {
        for (query, mode) in [
            ("", SslMode::Prefer),
            ("ssl=false", SslMode::Prefer),
            ("ssl=true", SslMode::VerifyFull),
            ("ssl", SslMode::VerifyFull),
            ("ssl=true&sslmode=require", SslMode::Require),
            ("ssl=false&sslmode=verify-full", SslMode::VerifyFull),
            ("sslmode=DISABLE", SslMode::Disable),
            ("ssl=true&sslfactory=org.postgresql.ssl.NonValidatingFactory", SslMode::Require),
            ("sslrootcert=/ca.pem&sslmode=verify-full", SslMode::VerifyFull),
        ] {
            assert_eq!(parsed(query).sslmode, mode, "{query}");
        }
    }

    #[test]
    fn everything_else_is_refused_by_its_name() {
        for query in [
            "prepareThreshold=0",
            "sslmode=allow",
            "sslmode=verify-ca",
            "ssl=maybe",
            "sslfactory=org.example.F",
            "sslrootcert=x",
            "sslmode=require&sslrootcert=x",
            "readOnly=1",
            "connectTimeout=soon",
            "targetServerType=preferSecondary",
            "user=%zz",
            "user=%ff",
            "currentschema=foo",
        ] {
            let error = JdbcUrl::parse(&format!("jdbc:postgresql://db/app?{query}")).unwrap_err().to_string();
            let name = query.split('&').next_back().unwrap().split('=').next().unwrap();
            assert!(error.contains(name), "{query}: {error}");
        }
        for url in
            ["jdbc:mysql://db/app", "jdbc:postgresql://db:0/a", "jdbc:postgresql://[::1/a", "jdbc:postgresql://u@db/a"]
        {
            assert!(JdbcUrl::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic() {
        let letters = ["%", "4", "1", "é", "&", "=", "?", "/", ":", ",", "[", "]", "@", "ssl", "+", "\0"];
        for first in letters {
            for second in letters {
                for third in letters {
                    let _ = JdbcUrl::parse(&format!("jdbc:postgresql:{first}{second}{third}"));
                    let _ = JdbcUrl::parse(&format!("jdbc:postgresql://{first}{second}{third}"));
                    let _ = JdbcUrl::parse(&format!("jdbc:postgresql://a/b?{first}{second}{third}"));
                }
            }
        }
    }
}
