//! The credential that a request shows.
//!
//! Policy: `Authorization: Bearer` comes first; the cookie counts only without it. A request with two `Authorization` headers or two session cookies is
//! ambiguous and is refused; so is a request with a credential in its URL, because logs and browser histories keep URLs. A mistyped credential is
//! refused by its checksum, without a look-up. Parsing allocates nothing.

use std::borrow::Cow;

use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Uri};
use memchr::memmem;
use percent_encoding::percent_decode;

use super::error::{ErrorStatus, HttpError};
use super::session_cookie::SessionCookie;
use crate::access::{Credential, CredentialKind};

/// The common beginning of all kinds of credentials.
const PREFIX: &[u8] = b"att_";
/// How often a URL may have been encoded for a credential in it to be found: an URL within an URL within an URL.
const MAX_ENCODINGS: usize = 3;

/// What a request shows as its credential, and where it came from.
#[derive(Clone, Copy)]
pub struct PresentedCredential<'a> {
    /// The text, which may be anything.
    pub text: &'a [u8],
    /// Whether it came in the cookie, which a browser also adds to requests of pages of other sites.
    pub is_cookie: bool,
}

impl<'a> PresentedCredential<'a> {
    /// What a request with these headers shows; `None` if it shows nothing.
    ///
    /// # Errors
    /// The answer, if that is ambiguous or has another scheme.
    pub fn of(headers: &'a HeaderMap, is_https: bool) -> Result<Option<Self>, HttpError> {
        let mut authorizations = headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes);
        if let Some(authorization) = authorizations.next() {
            if authorizations.next().is_some() {
                return Err(ambiguous("The request has more than one `Authorization` header."));
            }
            let text = bearer(authorization).ok_or_else(not_bearer)?;
            return Ok(Some(Self { text, is_cookie: false }));
        }
        match SessionCookie::of(headers, is_https) {
            SessionCookie::Absent => Ok(None),
            SessionCookie::One(text) => Ok(Some(Self { text, is_cookie: true })),
            SessionCookie::Several => Err(ambiguous("The request has more than one cookie of a session.")),
        }
    }

    /// The credential. Only a session can be in a cookie.
    ///
    /// # Errors
    /// The answer, if it is none.
    pub fn parse(&self) -> Result<Credential, HttpError> {
        let is_allowed = |credential: &Credential| !self.is_cookie || credential.kind() == CredentialKind::Session;
        Credential::parse(self.text).filter(is_allowed).ok_or_else(HttpError::invalid_credential)
    }
}

/// What follows the scheme `Bearer`, which may be in upper or lower case.
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, credential) = authorization.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| credential.trim_ascii_start())
}

/// Whether a URL contains what looks like a credential, in plain text or percent-encoded, also more than once.
pub fn is_in_url(uri: &Uri) -> bool {
    let target = uri.path_and_query().map_or("", PathAndQuery::as_str).as_bytes();
    // Of nearly every request, this is all: a credential has an underscore, which may be encoded.
    if memchr::memchr2(b'_', b'%', target).is_none() {
        return false;
    }
    if contains_credential(target) {
        return true;
    }
    let mut decoded = Cow::Borrowed(target);
    for _ in 0..MAX_ENCODINGS {
        // Without an encoded character, nothing is allocated.
        let Cow::Owned(plainer) = Cow::from(percent_decode(&decoded)) else { return false };
        if contains_credential(&plainer) {
            return true;
        }
        decoded = Cow::Owned(plainer);
    }
    false
}

fn contains_credential(text: &[u8]) -> bool {
    memmem::find_iter(text, PREFIX)
        .any(|at| matches!(&text[at + PREFIX.len()..], [b's' | b't', b'_', rest @ ..] if rest.len() >= 32))
}

/// The answer to a request with a credential in its URL.
pub fn in_url() -> HttpError {
    let message = "A session or a token does not belong in a URL, which logs and histories keep: send it as \
                   `Authorization: Bearer`, and revoke this one.";
    HttpError::new(ErrorStatus::BAD_REQUEST, message)
}

fn not_bearer() -> HttpError {
    HttpError::unauthenticated(
        "The only scheme of the header `Authorization` that is known is `Bearer`, with a session or a token.",
    )
}

fn ambiguous(message: &str) -> HttpError {
    HttpError::new(ErrorStatus::BAD_REQUEST, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(headers: &[(&'static str, &'static str)]) -> Option<u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        let presented =
            PresentedCredential::of(&map, false).and_then(|presented| presented.map(|it| it.parse()).transpose());
        presented.err().map(|error| error.status().as_u16())
    }

    #[test]
    fn what_is_no_bearer_credential_is_refused() {
        assert_eq!(status(&[]), None);
        for authorization in [
            "",
            "Basic YTpi",
            "Bearer",
            "Bearer ",
            "Bearer x",
            "att_t_x",
            "Bearer att_t_x",
            "Digest a=b",
            "Bearerx att_t_x",
        ] {
            assert_eq!(status(&[("authorization", authorization)]), Some(401), "{authorization}");
        }
        assert_eq!(status(&[("authorization", "Bearer x"), ("authorization", "Bearer x")]), Some(400));
        // The header comes first, so the cookies do not matter.
        assert_eq!(status(&[("authorization", "Basic YTpi"), ("cookie", "attendance_session=x")]), Some(401));
        assert_eq!(status(&[("cookie", "attendance_session=x")]), Some(401));
        assert_eq!(status(&[("cookie", "attendance_session=x; attendance_session=y")]), Some(400));
        assert_eq!(status(&[("cookie", "other=x")]), None);
    }

    #[test]
    fn the_scheme_is_known_in_any_case() {
        assert_eq!(bearer(b"bEARER  x"), Some(&b"x"[..]));
        assert_eq!(bearer(b"Bearer"), None);
    }

    #[test]
    fn a_credential_in_a_url_is_recognised() {
        let long = "x".repeat(49);
        for target in [format!("/a?token=att_t_{long}"), format!("/a?x=att_att_s_{long}&y"), format!("/att_s_{long}")] {
            assert!(is_in_url(&target.parse().unwrap()), "{target}");
        }
        let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        for target in [
            format!("/a?token=att%5Fs_{long}"),
            format!("/a?token=%61tt_t%5f{long}"),
            format!("/att%5Ft%5F{}", encoded(&long)),
            format!("/a?b={}", encoded(&format!("att_s_{long}"))),
            format!("/a?next=%2Fb%3Ftoken%3Datt%255Fs_{long}"),
            format!("/a?next={}", encoded(&encoded(&encoded(&format!("att_s_{long}"))))),
        ] {
            assert!(is_in_url(&target.parse().unwrap()), "{target}");
        }
        let harmless = format!("/a?b=%25%41tt%5Fx_{long}");
        assert!(!is_in_url(&harmless.parse().unwrap()), "{harmless}");
        for target in
            ["/a", "/a?id=att_t_", "/a?id=att_t_short", "*", "/a?att_x_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]
        {
            assert!(!is_in_url(&target.parse().unwrap()), "{target}");
        }
    }
}
