//! The client of a request that a proxy passed on.
//!
//! Policy: `X-Forwarded-For`, `X-Forwarded-Proto` and `Forwarded` (RFC 7239) count only if the peer is a trusted proxy. Each proxy appends
//! the address of its own peer, so the list is read from its end: the client is the last address that is not a trusted proxy, or
//! the first one if all are. What precedes that address was written by the client, who may write anything. An entry on the way that is not
//! an address ends the reading, and the peer counts as the client. If both headers are present and name different clients, a proxy has
//! passed on one that the client wrote, and the peer counts as the client, too.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName};

use crate::config::Network;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client that sent a request, and its scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The address of the client.
    pub address: IpAddr,
    /// Whether the client used HTTPS. This server itself never does.
    pub is_https: bool,
}

/// The peer of a connection, and whether its requests may name another client.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    address: IpAddr,
    is_trusted: bool,
}

impl Peer {
    /// A peer, which is trusted if one of the networks contains it.
    pub fn new(address: SocketAddr, trusted: &[Network]) -> Self {
        Self { address: address.ip(), is_trusted: is_trusted(address.ip(), trusted) }
    }

    /// The client of a request with these headers.
    pub fn client(self, headers: &HeaderMap, trusted: &[Network]) -> Client {
        let peer = Client { address: self.address, is_https: false };
        if !self.is_trusted {
            return peer;
        }
        match (from_x_forwarded(headers, trusted), from_forwarded(headers, trusted)) {
            (Named::Absent, Named::Absent) => Client { is_https: last_proto(headers), ..peer },
            (Named::Client(client), Named::Absent) | (Named::Absent, Named::Client(client)) => client,
            (Named::Client(one), Named::Client(other)) if one.address == other.address => one,
            _ => peer,
        }
    }
}

/// Whether an address belongs to one of the networks.
pub fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// What a header says about the client.
enum Named {
    /// There is no such header.
    Absent,
    /// An entry is not an address.
    Unusable,
    Client(Client),
}

/// The client among entries from the last to the first, each with what it says about HTTPS.
fn named(entries: impl Iterator<Item = (Option<IpAddr>, bool)>, trusted: &[Network]) -> Named {
    let mut found = Named::Absent;
    for (address, is_https) in entries {
        let Some(address) = address else { return Named::Unusable };
        found = Named::Client(Client { address, is_https });
        if !is_trusted(address, trusted) {
            break;
        }
    }
    found
}

fn from_x_forwarded(headers: &HeaderMap, trusted: &[Network]) -> Named {
    // With fewer protocols than addresses, the first one counts for the rest: a proxy may replace the header instead of appending.
    let protos: Vec<&[u8]> = list(headers, &X_FORWARDED_PROTO);
    let is_https = |position: usize| {
        let proto = protos.iter().rev().nth(position).or(protos.first());
        proto.is_some_and(|proto| proto.eq_ignore_ascii_case(b"https"))
    };
    let addresses = list(headers, &X_FORWARDED_FOR);
    let entries = addresses.iter().rev().map(|entry| address(entry));
    named(entries.enumerate().map(|(position, address)| (address, is_https(position))), trusted)
}

/// What the proxy said about HTTPS if it said nothing about the client.
fn last_proto(headers: &HeaderMap) -> bool {
    list(headers, &X_FORWARDED_PROTO).last().is_some_and(|proto| proto.eq_ignore_ascii_case(b"https"))
}

/// The entries of a header that is a list without quoted strings, in their order.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a [u8]> {
    let values = headers.get_all(name).iter();
    values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).collect()
}

fn from_forwarded(headers: &HeaderMap, trusted: &[Network]) -> Named {
    let values = headers.get_all(FORWARDED).iter();
    let elements: Vec<&[u8]> = values.flat_map(|value| split(value.as_bytes(), b',')).collect();
    named(elements.iter().rev().map(|element| forwarded_element(element)), trusted)
}

/// The address and the use of HTTPS in an element of `Forwarded`.
fn forwarded_element(element: &[u8]) -> (Option<IpAddr>, bool) {
    let (mut client, mut is_https) = (None, false);
    for pair in split(element, b';') {
        let Some(at) = pair.iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = (&pair[..at], unquoted(&pair[at + 1..]));
        if name.eq_ignore_ascii_case(b"for") {
            client = address(value);
        } else if name.eq_ignore_ascii_case(b"proto") {
            is_https = value.eq_ignore_ascii_case(b"https");
        }
    }
    (client, is_https)
}

/// The parts between separators that are not in a quoted string.
fn split(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(|byte| {
        let escaped = std::mem::take(&mut is_escaped);
        match *byte {
            _ if escaped => {}
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            other => return other == separator && !is_quoted,
        }
        false
    })
    .map(<[u8]>::trim_ascii)
    .collect()
}

/// A value without its quotes. An address contains no escapes.
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

/// An address with or without a port; one of IPv6 may have brackets, and has them if there is a port.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address = text.parse().ok().or_else(with_port).or_else(bracketed)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// The networks of a configuration.
    fn networks(list: &str) -> Vec<Network> {
        let set = vec![format!("server.trusted_proxies={list}")];
        let flags = config::Flags { set, data_dir: Some("/d".to_owned()), ..config::Flags::default() };
        config::load(&flags, &config::Environment::empty()).unwrap().config.server.trusted_proxies
    }

    /// The client of a request from 10.0.0.1 with these headers, as text, in which HTTPS is a prefix.
    fn client(headers: &[(&'static str, &str)]) -> String {
        let trusted = networks("10.0.0.0/8,fd00::/8");
        let peer = Peer::new("10.0.0.1:1".parse().unwrap(), &trusted);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let Client { address, is_https } = peer.client(&map, &trusted);
        format!("{}{address}", if is_https { "https " } else { "" })
    }

    #[test]
    fn headers_of_an_untrusted_peer_do_not_count() {
        let trusted = networks("10.0.0.0/8");
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "1.2.3.4".parse().unwrap());
        headers.append("x-forwarded-proto", "https".parse().unwrap());
        headers.append("forwarded", "for=1.2.3.4;proto=https".parse().unwrap());
        let peer = Peer::new("192.0.2.1:1".parse().unwrap(), &trusted);
        let expected = Client { address: "192.0.2.1".parse().unwrap(), is_https: false };
        assert_eq!(peer.client(&headers, &trusted), expected);
        let peer = Peer::new("10.0.0.1:1".parse().unwrap(), &[]);
        assert_eq!(peer.client(&headers, &[]).address, "10.0.0.1".parse::<IpAddr>().unwrap());
        let mapped = Peer::new("[::ffff:10.0.0.1]:1".parse().unwrap(), &trusted);
        assert_eq!(mapped.client(&headers, &trusted).address, "1.2.3.4".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_trusted() {
        for (value, expected) in [
            ("1.2.3.4", "1.2.3.4"),
            ("6.6.6.6, 1.2.3.4", "1.2.3.4"),
            ("6.6.6.6,1.2.3.4,10.9.9.9 , 10.0.0.2", "1.2.3.4"),
            ("10.0.0.7, 10.0.0.2", "10.0.0.7"),
            ("1.2.3.4:5678", "1.2.3.4"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443, fd00::1", "2001:db8::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            // What the client wrote is not looked at.
            ("<script>, 1.2.3.4", "1.2.3.4"),
        ] {
            assert_eq!(client(&[("x-forwarded-for", value)]), expected, "{value}");
        }
        assert_eq!(client(&[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4, 10.0.0.2")]), "1.2.3.4");
    }

    #[test]
    fn an_entry_that_is_not_an_address_leads_to_the_peer() {
        for value in ["", "unknown", "1.2.3.4,", "1.2.3.4, x, 10.0.0.2", "1.2.3", "1.2.3.4:x", "[1.2.3.4]", "01.2.3.4"]
        {
            assert_eq!(client(&[("x-forwarded-for", value)]), "10.0.0.1", "{value}");
        }
        for value in ["for=unknown", "for=_hidden", "proto=https", "for", "for=1.2.3.4, by=10.0.0.2", "for=\"1.2.3.4"] {
            assert_eq!(client(&[("forwarded", value)]), "10.0.0.1", "{value}");
        }
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        for (value, expected) in [
            ("for=1.2.3.4", "1.2.3.4"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=1.2.3.4;proto=http;by=203.0.113.43", "1.2.3.4"),
            ("proto=HTTPS ; for=1.2.3.4", "https 1.2.3.4"),
            ("for=6.6.6.6, for=1.2.3.4;proto=https, for=10.0.0.2;proto=http", "https 1.2.3.4"),
            ("for=6.6.6.6;host=\"a,for=7.7.7.7;\\\"\", for=1.2.3.4", "1.2.3.4"),
        ] {
            assert_eq!(client(&[("forwarded", value)]), expected, "{value}");
        }
    }

    #[test]
    fn the_protocol_is_that_of_the_client() {
        let from =
            |addresses: &str, protos: &str| client(&[("x-forwarded-for", addresses), ("x-forwarded-proto", protos)]);
        assert_eq!(from("1.2.3.4", "https"), "https 1.2.3.4");
        assert_eq!(from("1.2.3.4", "http"), "1.2.3.4");
        assert_eq!(from("1.2.3.4, 10.0.0.2", "https, http"), "https 1.2.3.4");
        assert_eq!(from("6.6.6.6, 1.2.3.4", "https, http"), "1.2.3.4");
        assert_eq!(from("1.2.3.4, 10.0.0.2", "https"), "https 1.2.3.4");
        assert_eq!(client(&[("x-forwarded-proto", "https")]), "https 10.0.0.1");
    }

    #[test]
    fn headers_that_contradict_each_other_lead_to_the_peer() {
        let both = |other: &str| client(&[("x-forwarded-for", "1.2.3.4"), ("forwarded", other)]);
        assert_eq!(both("for=1.2.3.4"), "1.2.3.4");
        assert_eq!(both("for=6.6.6.6"), "10.0.0.1");
        assert_eq!(both("for=unknown"), "10.0.0.1");
    }
}
