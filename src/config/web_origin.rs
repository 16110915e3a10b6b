//! Origins of web pages, in the form in which browsers send them.

/// The origin of a page, as the `Origin` header has it: scheme, host, and the port if it is not the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebOrigin(pub String);

/// An entry of a list of origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// `*`
    Any,
    /// One origin.
    Only(WebOrigin),
}

/// A text is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an origin: it has a scheme, a host and perhaps a port, and nothing after them")]
pub struct Error(String);

/// The longest part of a wrong item that a message repeats, in characters.
const MAX_SHOWN: usize = 50;

/// Reads origins that are separated by commas.
///
/// # Errors
/// The first text that is not an origin.
pub fn parse_list(text: &str) -> Result<Vec<AllowedOrigin>, Error> {
    let parse = |item| match item {
        "*" => Ok(AllowedOrigin::Any),
        item => {
            WebOrigin::parse(item).map(AllowedOrigin::Only).ok_or_else(|| Error(item.chars().take(MAX_SHOWN).collect()))
        }
    };
    text.split(',').map(str::trim).map(parse).collect()
}

impl WebOrigin {
    fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        let host_end = match authority.strip_prefix('[') {
            Some(literal) => literal.find(']')? + 2,
            None => authority.find(':').unwrap_or(authority.len()),
        };
        let (host, port) = authority.split_at(host_end);
        let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(literal) => literal.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)),
        };
        let port = match port.strip_prefix(':') {
            Some(digits) => Some(digits.parse::<u16>().ok().filter(|port| *port > 0 && !digits.starts_with('+'))?),
            None if port.is_empty() => None,
            None => return None,
        };
        if !is_scheme || !is_host {
            return None;
        }
        let port = port.filter(|port| !matches!((scheme, port), ("http", 80) | ("https", 443)));
        Some(Self(format!("{scheme}://{host}{}", port.map(|port| format!(":{port}")).unwrap_or_default())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_kept_as_browsers_send_it() {
        for (text, sent) in [
            ("http://ui:3000", "http://ui:3000"),
            ("HTTPS://UI.Example", "https://ui.example"),
            ("http://ui:80", "http://ui"),
            ("https://ui:443", "https://ui"),
            ("https://ui:80", "https://ui:80"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
            ("http://10.0.0.1:08080", "http://10.0.0.1:8080"),
        ] {
            assert_eq!(parse_list(text), Ok(vec![AllowedOrigin::Only(WebOrigin(sent.to_owned()))]));
        }
        assert_eq!(parse_list("http://a , *").unwrap().len(), 2);
    }

    #[test]
    fn what_is_not_an_origin_is_named() {
        for wrong in [
            "",
            "null",
            "ui",
            "ui:3000",
            "http://",
            "http://ui/",
            "http://ui/x",
            "http://ui?x",
            "http://u@ui",
            "://ui",
            "http://ui:",
            "http://ui:0",
            "http://ui:65536",
            "http://ui:+1",
            "http://ü",
            "http://*.ui",
            "http://[::1",
            "http://[x]",
            "http://[::1]x",
            "http://a b",
        ] {
            assert_eq!(parse_list(&format!("http://a,{wrong}")), Err(Error(wrong.to_owned())));
        }
    }
}
