//! The cookie of a session, for browsers.
//!
//! Policy: no script can read the cookie, no other site can have it sent, and it belongs to the host as a whole, whatever the base path is. Behind TLS
//! it is sent over TLS only, and its name has the prefix `__Host-`, with which a browser takes no cookie of that name from another host or
//! from a plain connection. So behind TLS only that name counts, and elsewhere only the other one. Whether the client used TLS is what a
//! trusted proxy says.

use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderValue};

/// The cookie of a plain connection.
pub const NAME: &str = "attendance_session";
/// The cookie behind TLS.
const SECURE_NAME: &str = "__Host-attendance_session";
/// What every cookie has.
const ATTRIBUTES: &str = "; Path=/; HttpOnly; SameSite=Strict";

/// The cookies of a request that name a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionCookie<'a> {
    /// None.
    Absent,
    /// One.
    One(&'a [u8]),
    /// Several: which of them another site may have set is unknown.
    Several,
}

impl<'a> SessionCookie<'a> {
    /// Reads the cookies of a request.
    pub fn of(headers: &'a HeaderMap, is_https: bool) -> Self {
        let mut found = Self::Absent;
        for header in headers.get_all(COOKIE) {
            for pair in header.as_bytes().split(|byte| *byte == b';') {
                let pair = pair.trim_ascii_start();
                let Some(value) = pair.strip_prefix(name(is_https).as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
                else {
                    continue;
                };
                found = if found == Self::Absent { Self::One(value.trim_ascii_end()) } else { Self::Several };
            }
        }
        found
    }
}

fn name(is_https: bool) -> &'static str {
    if is_https { SECURE_NAME } else { NAME }
}

fn secure(is_https: bool) -> &'static str {
    if is_https { "; Secure" } else { "" }
}

/// The header that gives the browser a session. It has no end, so that the browser removes it when it is closed; the server ends it earlier.
pub fn set(session: &str, is_https: bool) -> Option<HeaderValue> {
    let mut value =
        HeaderValue::try_from(format!("{}={session}{ATTRIBUTES}{}", name(is_https), secure(is_https))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The header that takes it away.
pub fn clear(is_https: bool) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("{}={ATTRIBUTES}; Max-Age=0{}", name(is_https), secure(is_https))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, HeaderValue::from_static(cookie));
        }
        headers
    }

    #[test]
    fn only_the_name_that_belongs_to_the_connection_counts() {
        let both = headers(&["a=1; attendance_session=plain", "__Host-attendance_session=tls;b=2"]);
        assert_eq!(SessionCookie::of(&both, false), SessionCookie::One(b"plain"));
        assert_eq!(SessionCookie::of(&both, true), SessionCookie::One(b"tls"));
        let plain = headers(&["attendance_session=plain"]);
        assert_eq!(SessionCookie::of(&plain, true), SessionCookie::Absent);
        let similar = headers(&["xattendance_session=1; attendance_session2=1; attendance_session; ="]);
        assert_eq!(SessionCookie::of(&similar, false), SessionCookie::Absent);
    }

    #[test]
    fn two_cookies_of_the_name_are_ambiguous() {
        for cookies in
            [&["attendance_session=1; attendance_session=2"][..], &["attendance_session=1", "attendance_session=1"]]
        {
            assert_eq!(SessionCookie::of(&headers(cookies), false), SessionCookie::Several);
        }
    }

    #[test]
    fn a_cookie_is_for_the_whole_host_and_neither_for_scripts_nor_for_other_sites() {
        let text = |value: Option<HeaderValue>| value.unwrap().to_str().unwrap().to_owned();
        assert_eq!(text(set("x", false)), "attendance_session=x; Path=/; HttpOnly; SameSite=Strict");
        assert_eq!(text(set("x", true)), "__Host-attendance_session=x; Path=/; HttpOnly; SameSite=Strict; Secure");
        assert_eq!(
            text(clear(true)),
            "__Host-attendance_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0; Secure"
        );
        assert!(set("x\n", false).is_none() && set("x", false).unwrap().is_sensitive());
    }
}
