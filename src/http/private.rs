//! Answers that depend on the credentials of the request.
//!
//! Policy: a shared cache must not store such an answer (`private`), and the cache of one client must revalidate it before each use (`no-cache`), as without
//! access control. An answer with `no-store` keeps it.

use hyper::HeaderMap;
use hyper::header::{CACHE_CONTROL, Entry, HeaderValue, VARY};

/// What such an answer depends on.
const CREDENTIALS: &str = "Authorization, Cookie";

/// Lets caches keep the answer for its client only.
pub fn restrict(headers: &mut HeaderMap) {
    if headers.get(CACHE_CONTROL).is_none_or(|control| control == "no-cache") {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    match headers.entry(VARY) {
        Entry::Vacant(entry) => {
            entry.insert(HeaderValue::from_static(CREDENTIALS));
        }
        // A second line means the same as a longer one, and is a constant.
        Entry::Occupied(mut entry) => entry.append(HeaderValue::from_static(CREDENTIALS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restricted(headers: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        restrict(&mut map);
        let mut lines: Vec<String> =
            map.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[test]
    fn an_answer_is_kept_for_its_client_only_unless_it_is_not_kept_at_all() {
        let vary = "vary: Authorization, Cookie";
        assert_eq!(restricted(&[]), ["cache-control: private, no-cache", vary]);
        assert_eq!(restricted(&[("cache-control", "no-cache")]), ["cache-control: private, no-cache", vary]);
        assert_eq!(restricted(&[("cache-control", "no-store")]), ["cache-control: no-store", vary]);
        let compressed = restricted(&[("cache-control", "no-store"), ("vary", "Accept-Encoding")]);
        assert_eq!(compressed[1..], ["vary: Accept-Encoding", vary]);
    }
}
