//! What this server is, whether it is healthy, and where the rest is: a page for a person, JSON for a program that prefers it.
//!
//! Policy: the page is one file; it loads nothing but its icon and runs no script.

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderValue, REFERRER_POLICY};
use serde::Serialize;

use crate::http::error::HttpError;
use crate::http::negotiation;
use crate::http::request::RequestContext;
use crate::http::response::{Body, Reply, add_vary};

/// The page, with placeholders in double braces.
pub const PAGE: &str = include_str!("home.html");
/// The path of the documentation in the summary.
pub const DOCS: &str = "/apidocs/";
/// The path of the health in the summary.
pub const HEALTH: &str = "/api/v1/attendance/health";
/// The page itself requests nothing else from this server; Lighthouse asks in its name for `/robots.txt`.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What a program gets in place of the page.
#[derive(Debug, Serialize)]
struct Summary {
    name: &'static str,
    version: &'static str,
    /// `up` or `down`, as in the health.
    status: &'static str,
    /// The path of the documentation.
    docs: String,
    /// The path of the health.
    health: String,
}

/// Answers with the page, or with JSON.
pub async fn home(context: &RequestContext) -> Result<Reply, HttpError> {
    let up = context.app.health.postgresql.is_up().await;
    let mut reply = if negotiation::prefers_json(&context.head.headers) {
        Reply::uncacheable(StatusCode::OK, &summary(context, up))
    } else {
        page(context, up)
    };
    add_vary(&mut reply.headers, "Accept");
    Ok(reply)
}

fn summary(context: &RequestContext, up: bool) -> Summary {
    Summary {
        name: "Attendance API",
        version: env!("CARGO_PKG_VERSION"),
        status: if up { "up" } else { "down" },
        docs: context.link(DOCS),
        health: context.link(HEALTH),
    }
}

fn page(context: &RequestContext, up: bool) -> Reply {
    let (class, state) = if up { ("up", "healthy") } else { ("down", "not healthy") };
    let page = PAGE
        .replace("{{scheme}}", if context.client.is_https { "https" } else { "http" })
        .replace("{{host}}", host(context.head.headers.get(HOST)))
        .replace("{{base_path}}", &context.link(""))
        .replace("{{version}}", env!("CARGO_PKG_VERSION"))
        .replace("{{class}}", class)
        .replace("{{state}}", state);
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    let mut reply = Reply::new(StatusCode::OK, html, Body::full(page));
    reply.headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    reply.headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// The host as the client knows it, or a default if the header contains anything else than a host.
fn host(header: Option<&HeaderValue>) -> &str {
    let is_host = |host: &&str| {
        (1..=255).contains(&host.len()) && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
    };
    header.and_then(|host| host.to_str().ok()).filter(is_host).unwrap_or("localhost:8080")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_is_not_a_host_does_not_reach_the_page() {
        let of = |text: &'static str| host(Some(&HeaderValue::from_static(text))).to_owned();
        assert_eq!(of("[::1]:8080"), "[::1]:8080");
        assert_eq!(of("<script>"), "localhost:8080");
        assert_eq!(of("a'; rm"), "localhost:8080");
        assert_eq!(host(None), "localhost:8080");
    }

    #[test]
    fn every_placeholder_of_the_page_has_a_value() {
        let placeholders = ["{{scheme}}", "{{host}}", "{{base_path}}", "{{version}}", "{{class}}", "{{state}}"];
        assert_eq!(
            PAGE.matches("{{").count(),
            placeholders.iter().map(|placeholder| PAGE.matches(placeholder).count()).sum::<usize>()
        );
    }
}
