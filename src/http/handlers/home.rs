//! `GET /`: a page for a person who has found the port: what this is, whether it is healthy, where to go on.
//!
//! Policy: the page is complete in itself; it loads nothing and runs nothing.

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderValue};

use crate::http::request::RequestContext;
use crate::http::response::{Body, Reply};

const PAGE: &str = include_str!("home.html");
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page.
pub async fn home(context: &RequestContext) -> Reply {
    let up = context.app.health.postgresql.is_up().await;
    let (class, state) = if up { ("up", "healthy") } else { ("down", "not healthy") };
    let page = PAGE
        .replace("{{host}}", host(context.head.headers.get(HOST)))
        .replace("{{version}}", env!("CARGO_PKG_VERSION"))
        .replace("{{class}}", class)
        .replace("{{state}}", state);
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    let mut reply = Reply::new(StatusCode::OK, html, Body::full(page));
    reply.headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// The host as the client knows it, if nothing but a host can be meant by it.
fn host(header: Option<&HeaderValue>) -> &str {
    let sane = |host: &&str| {
        (1..=255).contains(&host.len()) && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
    };
    header.and_then(|host| host.to_str().ok()).filter(sane).unwrap_or("localhost:8080")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_host_is_written_into_the_page() {
        let of = |text: &'static str| host(Some(&HeaderValue::from_static(text))).to_owned();
        assert_eq!(of("[::1]:8080"), "[::1]:8080");
        assert_eq!(of("<script>"), "localhost:8080");
        assert_eq!(of("a'; rm"), "localhost:8080");
        assert_eq!(host(None), "localhost:8080");
    }

    #[test]
    fn every_place_of_the_page_is_filled() {
        let places = ["{{host}}", "{{version}}", "{{class}}", "{{state}}"];
        assert_eq!(PAGE.matches("{{").count(), places.iter().map(|place| PAGE.matches(place).count()).sum::<usize>());
    }
}
