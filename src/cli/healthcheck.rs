//! `attendance-api healthcheck`
//!
//! Policy: one request, three seconds for all of it, and an answer of bounded size; so a container's health check
//! never hangs on an appliance that does.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::flags::ConfigFlags;
use super::{help, output, runtime};

const PATH: &str = "/api/v1/attendance/health";
const PATIENCE: Duration = Duration::from_secs(3);
const ANSWER_LIMIT: usize = 64 * 1024;

/// Ask a running appliance whether it is healthy
///
/// Sends one request, waits at most 3 seconds, prints the answer's message. Without a URL it asks the address the
/// configuration listens on.
#[derive(Debug, Args)]
#[command(after_long_help = help::HEALTHCHECK)]
pub struct Arguments {
    /// What to ask [default: http://127.0.0.1:8080/api/v1/attendance/health, with the port of the configuration]
    #[arg(value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    config: ConfigFlags,
}

/// Why the appliance is not known to be healthy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an address that can be asked.
    #[error("{url:?} is not a URL to ask; give one like http://127.0.0.1:8080{PATH}")]
    BadUrl {
        /// What was given.
        url: String,
    },
    /// The configuration takes any free port, so nobody can know which.
    #[error("the configuration listens on port 0, so the real port is not known; give the URL the log names")]
    UnknownPort,
    /// Nobody answers there.
    #[error("{url} cannot be reached; is the appliance running there?")]
    Unreachable {
        /// What was asked.
        url: Uri,
        /// The system's answer.
        source: io::Error,
    },
    /// What answers does not speak HTTP, or broke off.
    #[error("{url} gave no proper answer; is it the appliance that listens there?")]
    NoAnswer {
        /// What was asked.
        url: Uri,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer in time.
    #[error("{url} did not answer within {} seconds; look into its log", PATIENCE.as_secs())]
    TooSlow {
        /// What was asked.
        url: Uri,
    },
    /// It answers that it is not healthy.
    #[error("{url} answered {status}: {message}")]
    Unhealthy {
        /// What was asked.
        url: Uri,
        /// The status.
        status: StatusCode,
        /// The answer's message.
        message: String,
    },
}

/// Asks and prints the answer's message.
pub fn run(arguments: &Arguments) -> Result<(), super::Error> {
    let url = match &arguments.url {
        Some(text) => given(text)?,
        None => of_listener(arguments.config.load()?.config.server.listen)?,
    };
    let message = runtime::run_here(ask(url))?;
    output::print(&format!("{message}\n"))
}

fn given(text: &str) -> Result<Uri, Error> {
    let bad = || Error::BadUrl { url: text.to_owned() };
    let url: Uri = text.parse().map_err(|_| bad())?;
    if url.scheme_str() != Some("http") || url.host().is_none_or(str::is_empty) {
        return Err(bad());
    }
    if url.path() != "/" || url.query().is_some() {
        return Ok(url);
    }
    format!("{}{PATH}", text.trim_end_matches('/')).parse().map_err(|_| bad())
}

/// The health of what listens on this address, asked from the same machine.
fn of_listener(listen: SocketAddr) -> Result<Uri, Error> {
    if listen.port() == 0 {
        return Err(Error::UnknownPort);
    }
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    given(&format!("http://{}", SocketAddr::new(ip, listen.port())))
}

async fn ask(url: Uri) -> Result<String, Error> {
    let answer = tokio::time::timeout(PATIENCE, exchange(&url)).await;
    let (status, body) = answer.map_err(|_| Error::TooSlow { url: url.clone() })??;
    let message = message(&body);
    if status == StatusCode::OK { Ok(message) } else { Err(Error::Unhealthy { url, status, message }) }
}

async fn exchange(url: &Uri) -> Result<(StatusCode, Bytes), Error> {
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, url.port_u16().unwrap_or(80)))
        .await
        .map_err(|source| Error::Unreachable { url: url.clone(), source })?;
    get(url, stream).await.map_err(|source| Error::NoAnswer { url: url.clone(), source })
}

async fn get(url: &Uri, stream: TcpStream) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let authority = url.authority().map(ToString::to_string).unwrap_or_default();
    let target = url.path_and_query().map_or(PATH, |target| target.as_str());
    let request = Request::get(target)
        .header(header::HOST, authority)
        .header(header::USER_AGENT, concat!("attendance-api-healthcheck/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_LIMIT).collect().await?.to_bytes();
    connection.abort();
    Ok((status, body))
}

/// The `message` member of the answer, or its first line when it is not the appliance's JSON.
fn message(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = json.as_ref().and_then(|json| json.get("message")?.as_str());
    let text = message.map_or_else(|| String::from_utf8_lossy(body).into_owned(), ToOwned::to_owned);
    text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_completed_or_refused() {
        let url = |text: &str| given(text).map(|url| url.to_string());
        assert_eq!(url("http://h:1").unwrap(), format!("http://h:1{PATH}"));
        assert_eq!(url("http://h:1/").unwrap(), format!("http://h:1{PATH}"));
        assert_eq!(url("http://h:1/readyz").unwrap(), "http://h:1/readyz");
        for bad in ["", "h:1", "https://h", "/health", "http://"] {
            assert!(given(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_interface_is_asked_on_this_machine() {
        let url = |listen: &str| of_listener(listen.parse().unwrap()).map(|url| url.to_string());
        assert_eq!(url("0.0.0.0:8080").unwrap(), format!("http://127.0.0.1:8080{PATH}"));
        assert_eq!(url("[::]:81").unwrap(), format!("http://[::1]:81{PATH}"));
        assert!(matches!(of_listener(([127, 0, 0, 1], 0).into()), Err(Error::UnknownPort)));
    }

    #[test]
    fn the_message_is_one_line() {
        assert_eq!(message(br#"{"message":"fine"}"#), "fine");
        assert_eq!(message(b"<html>\nno</html>"), "<html>");
        assert_eq!(message(b""), "");
    }
}
