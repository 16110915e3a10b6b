//! Whether a request comes from a page that may act for the user of the browser.
//!
//! Policy: a browser adds a cookie by itself, also to a request that a page of another site makes. So a request that changes something and shows a cookie,
//! and every login by a browser, must say that it comes from this origin (`Sec-Fetch-Site: same-origin`), or from an `Origin` that is this host or
//! is listed in `server.cors.origins` with `credentials: true`. Pages cannot set either header. A request with neither is refused.

use hyper::header::{HOST, HeaderName, HeaderValue, ORIGIN};
use hyper::{HeaderMap, Method};

use super::error::HttpError;
use super::session_cookie::SessionCookie;
use crate::config::{AllowedOrigin, Cors};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a method may change something.
pub fn is_unsafe(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a browser sent the request: a page cannot keep it from saying so.
pub fn is_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(SEC_FETCH_SITE)
}

/// Checks a request that shows a cookie and may change something.
///
/// # Errors
/// When it may come from a page of another site.
pub fn check(headers: &HeaderMap, is_https: bool, cors: &Cors) -> Result<(), HttpError> {
    let is_same_origin = headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "same-origin");
    if is_same_origin || headers.get(ORIGIN).is_some_and(|origin| is_trusted(origin, headers, is_https, cors)) {
        return Ok(());
    }
    Err(HttpError::forbidden(
        "A request with the cookie of a session must come from a page of this server, or of an origin in server.cors.origins \
         with credentials: true. A program sends the session as `Authorization: Bearer` instead.",
    ))
}

/// Checks a login, if a browser or a request with a cookie makes it. Otherwise another site could log its own account in.
///
/// # Errors
/// When it may come from a page of another site.
pub fn check_login(headers: &HeaderMap, is_https: bool, cors: &Cors) -> Result<(), HttpError> {
    let is_from_browser = is_browser(headers)
        || headers.contains_key(ORIGIN)
        || SessionCookie::of(headers, is_https) != SessionCookie::Absent;
    if is_from_browser { check(headers, is_https, cors) } else { Ok(()) }
}

fn is_trusted(origin: &HeaderValue, headers: &HeaderMap, is_https: bool, cors: &Cors) -> bool {
    let is_listed = cors.credentials && matches!(cors.find(origin.as_bytes()), Some(AllowedOrigin::Only(_)));
    is_listed || headers.get(HOST).is_some_and(|host| is_host(origin.as_bytes(), host.as_bytes(), is_https))
}

/// Whether an origin is this host. Whether the client used TLS is known for certain only if a trusted proxy says so.
fn is_host(origin: &[u8], host: &[u8], is_https: bool) -> bool {
    let (authority, default_port) = match (origin.strip_prefix(b"https://"), origin.strip_prefix(b"http://")) {
        (Some(authority), _) => (authority, &b":443"[..]),
        (None, Some(authority)) if !is_https => (authority, &b":80"[..]),
        _ => return false,
    };
    let without_port = |text: &'_ [u8]| text.strip_suffix(default_port).unwrap_or(text).to_ascii_lowercase();
    !authority.is_empty() && without_port(authority) == without_port(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn is_allowed(request: &[(&'static str, &'static str)], is_https: bool, set: &[&str]) -> bool {
        let set = set.iter().map(|set| format!("server.cors.{set}")).collect();
        let flags = config::Flags { set, data_dir: Some("/d".to_owned()), ..config::Flags::default() };
        let cors = config::load(&flags, &config::Environment::empty()).unwrap().config.server.cors;
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("api.example:8080"));
        for (name, value) in request {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        check(&headers, is_https, &cors).is_ok()
    }

    #[test]
    fn a_page_of_this_origin_may_change_things() {
        for (request, is_https) in [
            (("sec-fetch-site", "same-origin"), false),
            (("origin", "http://api.example:8080"), false),
            (("origin", "https://api.example:8080"), true),
            (("origin", "https://API.example:8080"), false),
        ] {
            assert!(is_allowed(&[request], is_https, &[]), "{request:?}");
        }
    }

    #[test]
    fn a_page_of_another_origin_may_not() {
        for request in [
            &[][..],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "http://")],
            &[("origin", "http://api.example")],
            &[("origin", "http://api.example:8080.evil")],
            &[("origin", "http://evil.example:8080"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(!is_allowed(request, false, &[]), "{request:?}");
        }
        assert!(!is_allowed(&[("origin", "http://api.example:8080")], true, &[]), "TLS was removed on the way");
    }

    #[test]
    fn a_listed_origin_may_if_it_may_use_credentials() {
        let origin = [("origin", "http://ui:3000"), ("sec-fetch-site", "cross-site")];
        assert!(is_allowed(&origin, false, &["origins=http://ui:3000", "credentials=true"]));
        assert!(!is_allowed(&origin, false, &["origins=http://ui:3000"]));
        assert!(!is_allowed(&origin, false, &["origins=http://other", "credentials=true"]));
        assert!(!is_allowed(&origin, false, &["origins=*"]));
    }

    #[test]
    fn the_default_port_is_not_written_by_all() {
        assert!(is_host(b"http://a", b"a:80", false) && is_host(b"https://a", b"a:443", true));
        assert!(!is_host(b"http://a", b"a:443", false));
        assert!(!is_host(b"http://", b"", false));
    }
}
