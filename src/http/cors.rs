//! Requests from pages of other origins (CORS).
//!
//! Policy: an answer to a request without an `Origin` header, and every answer if no origin is configured, is the same as without this
//! module. Otherwise the answer varies with `Origin`, and a page whose origin is listed may read it and some of its headers; any other
//! origin gets no `Access-Control-…` header, and its browser withholds the answer. The request itself is answered as always: what an
//! origin may not do is decided by its browser, which asks first (preflight) if a page of HTML could not have sent the request. No answer may be
//! used by a cache without revalidation, so one that was stored without these headers gets them with the 304.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    ALLOW, HeaderValue, ORIGIN,
};
use hyper::{HeaderMap, Method};

use super::response::add_vary;
use crate::config::{AllowedOrigin, Cors};

/// The headers that a page may send.
const ALLOWED_HEADERS: &str =
    "Accept, Authorization, Cache-Control, Content-Type, If-Match, If-None-Match, X-Request-Id, X-Requested-With";
/// The headers of an answer that a page may read beside those that every page may.
const EXPOSED_HEADERS: &str = "ETag, Link, X-Request-Id, Location";
/// How long a browser may keep the answer to a preflight, in seconds. Chromium keeps none for longer.
const PREFLIGHT_MAX_AGE: &str = "7200";

/// A request with an `Origin` header, and what its origin may do.
#[derive(Debug)]
pub struct CorsRequest {
    /// What is sent as `Access-Control-Allow-Origin`, if the origin is listed.
    allowed_origin: Option<HeaderValue>,
    has_credentials: bool,
    is_preflight: bool,
}

impl CorsRequest {
    /// `None` if no origin is configured or the request has no `Origin` header.
    pub fn of(cors: &Cors, method: &Method, headers: &HeaderMap) -> Option<Self> {
        if cors.origins.is_empty() {
            return None;
        }
        let origin = headers.get(ORIGIN)?;
        let allowed_origin = cors.find(origin.as_bytes()).map(|allowed| match allowed {
            AllowedOrigin::Any => HeaderValue::from_static("*"),
            AllowedOrigin::Only(_) => origin.clone(),
        });
        let is_preflight = method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        Some(Self { allowed_origin, has_credentials: cors.credentials, is_preflight })
    }

    /// Adds the headers of the answer. An answer to OPTIONS has the methods of its route in `Allow`.
    pub fn add_headers(self, headers: &mut HeaderMap) {
        add_vary(headers, "Origin");
        let Some(origin) = self.allowed_origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let mut insert = |name, value| headers.insert(name, HeaderValue::from_static(value));
        if self.has_credentials {
            insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        if !self.is_preflight {
            insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
            return;
        }
        insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
        insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE);
        if let Some(methods) = headers.get(ALLOW).cloned() {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn answer(set: &[&str], method: Method, request: &[(&'static str, &'static str)]) -> Vec<String> {
        let set = set.iter().map(|set| format!("server.cors.{set}")).collect();
        let flags = config::Flags { set, data_dir: Some("/d".to_owned()), ..config::Flags::default() };
        let cors = config::load(&flags, &config::Environment::empty()).unwrap().config.server.cors;
        let mut headers = HeaderMap::new();
        for (name, value) in request {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let request = CorsRequest::of(&cors, &method, &headers);
        let mut headers = HeaderMap::new();
        headers.insert("allow", HeaderValue::from_static("GET, OPTIONS"));
        if let Some(request) = request {
            request.add_headers(&mut headers);
        }
        headers.remove("allow");
        let mut lines: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_listed_origin_may_read_the_answer() {
        let origin = [("origin", "http://ui:3000")];
        let expected = [
            "access-control-allow-origin: http://ui:3000",
            "access-control-expose-headers: ETag, Link, X-Request-Id, Location",
            "vary: Origin",
        ];
        assert_eq!(answer(&["origins=http://other,http://ui:3000"], Method::GET, &origin), expected);
        let with = answer(&["origins=http://ui:3000", "credentials=true"], Method::GET, &origin);
        assert!(with.contains(&"access-control-allow-credentials: true".to_owned()), "{with:?}");
        let any = answer(&["origins=*"], Method::GET, &[("origin", "null")]);
        assert!(any.contains(&"access-control-allow-origin: *".to_owned()), "{any:?}");
    }

    #[test]
    fn a_preflight_is_told_methods_and_headers() {
        let request = [("origin", "http://ui:3000"), ("access-control-request-method", "POST")];
        let lines = answer(&["origins=http://ui:3000"], Method::OPTIONS, &request);
        assert_eq!(lines[1], "access-control-allow-methods: GET, OPTIONS");
        assert!(lines[0].contains("Content-Type") && lines[3] == "access-control-max-age: 7200", "{lines:?}");
        assert_eq!(lines.len(), 5, "{lines:?}");
    }

    #[test]
    fn an_origin_that_is_not_listed_gets_no_permission() {
        for origin in ["http://ui", "http://ui:30000", "https://ui:3000", "http://UI:3000", "null", "", "*"] {
            let request = [("origin", origin), ("access-control-request-method", "POST")];
            for method in [Method::GET, Method::OPTIONS] {
                assert_eq!(answer(&["origins=http://ui:3000"], method, &request), ["vary: Origin"], "{origin}");
            }
        }
    }

    #[test]
    fn without_a_list_or_an_origin_nothing_is_added() {
        assert!(answer(&[], Method::GET, &[("origin", "http://ui:3000")]).is_empty());
        assert!(answer(&["origins=*"], Method::GET, &[]).is_empty());
    }
}
