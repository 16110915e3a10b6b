//! One request to a running appliance, to find out whether it is healthy.
//!
//! Policy: one request, a time limit for all of it, and an answer of limited size, so that a container's health check never hangs
//! on an appliance that does.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const PATH: &str = "/api/v1/attendance/health";
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// In bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// The longest part of an answer that a message repeats, in characters.
const MAX_SHOWN: usize = 300;

/// Why the appliance is not known to be healthy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a URL that can be asked.
    #[error("{url:?} is not a URL that can be asked; give one like http://127.0.0.1:8080{PATH}")]
    BadUrl {
        /// What was given.
        url: String,
    },
    /// The configuration takes any free port, so the port in use is not known.
    #[error(
        "the configuration listens on port 0, and no appliance runs in its data directory; give the URL that the log names"
    )]
    UnknownPort,
    /// No connection.
    #[error("{url} cannot be reached; is the appliance running there?")]
    Unreachable {
        /// What was asked.
        url: Uri,
        /// The system's answer.
        source: io::Error,
    },
    /// The server does not speak HTTP, or closed the connection.
    #[error("{url} gave no proper answer; is it the appliance that listens there?")]
    NoAnswer {
        /// What was asked.
        url: Uri,
        /// What went wrong.
        source: ExchangeError,
    },
    /// No answer in time.
    #[error("{url} did not answer within {} seconds; look into its log", PROBE_TIMEOUT.as_secs())]
    Timeout {
        /// What was asked.
        url: Uri,
    },
    /// The answer says that it is not healthy.
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

/// Why a connection brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// Not HTTP, or the connection was closed.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// The URL makes no valid request.
    #[error(transparent)]
    Request(#[from] hyper::http::Error),
    /// The body broke off or is too large.
    #[error(transparent)]
    Body(Box<dyn std::error::Error + Send + Sync>),
}

/// Completes a URL: without a path, it is that of the health check.
pub fn parse_url(text: &str) -> Result<Uri, Error> {
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

/// The URL of the health check of an appliance that listens on this address of this machine.
pub fn url_of_listener(listen: SocketAddr) -> Result<Uri, Error> {
    if listen.port() == 0 {
        return Err(Error::UnknownPort);
    }
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    parse_url(&format!("http://{}", SocketAddr::new(ip, listen.port())))
}

/// Asks, and returns the message of a healthy answer.
pub async fn probe(url: Uri) -> Result<String, Error> {
    let answer = tokio::time::timeout(PROBE_TIMEOUT, exchange(&url)).await;
    let (status, body) = answer.map_err(|_| Error::Timeout { url: url.clone() })??;
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

async fn get(url: &Uri, stream: TcpStream) -> Result<(StatusCode, Bytes), ExchangeError> {
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
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(ExchangeError::Body)?.to_bytes();
    connection.abort();
    Ok((status, body))
}

/// The `message` member of the answer, or the first line of an answer that is not the appliance's JSON.
fn message(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = json.as_ref().and_then(|json| json.get("message")?.as_str());
    let text = message.map_or_else(|| String::from_utf8_lossy(body).into_owned(), ToOwned::to_owned);
    text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_gets_that_of_the_health_check() {
        let url = |text: &str| parse_url(text).map(|url| url.to_string());
        assert_eq!(url("http://h:1").unwrap(), format!("http://h:1{PATH}"));
        assert_eq!(url("http://h:1/").unwrap(), format!("http://h:1{PATH}"));
        assert_eq!(url("http://h:1/readyz").unwrap(), "http://h:1/readyz");
        for bad in ["", "h:1", "https://h", "/health", "http://"] {
            assert!(parse_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_appliance_that_listens_on_every_address_is_asked_on_the_loopback_address() {
        let url = |listen: &str| url_of_listener(listen.parse().unwrap()).map(|url| url.to_string());
        assert_eq!(url("0.0.0.0:8080").unwrap(), format!("http://127.0.0.1:8080{PATH}"));
        assert_eq!(url("[::]:81").unwrap(), format!("http://[::1]:81{PATH}"));
        assert!(matches!(url_of_listener(([127, 0, 0, 1], 0).into()), Err(Error::UnknownPort)));
    }

    #[test]
    fn the_message_of_an_answer_is_one_line() {
        assert_eq!(message(br#"{"message":"fine"}"#), "fine");
        assert_eq!(message(b"<html>\nno</html>"), "<html>");
        assert_eq!(message(b""), "");
    }
}
