//! Which form of an answer a client prefers.
//!
//! Policy: preferences are weighted lists, as RFC 9110 (12.4.2) defines them; an entry whose weight is not valid is ignored. Of two forms
//! with the same weight, the one that the client names more precisely is preferred, and else the server's own choice.

use hyper::HeaderMap;
use hyper::header::{ACCEPT, HeaderName};

/// The weight of an entry without one, in thousandths.
const MAX_WEIGHT: u16 = 1000;

/// The entries of a weighted list, with weights in thousandths.
pub fn weighted<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = (&'a str, u16)> + use<'a> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let value = parts.next().filter(|value| !value.is_empty())?;
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some((value, weight.map_or(Some(MAX_WEIGHT), parse_weight)?))
    })
}

/// `0`, `1`, or one of these with up to three decimals, at most 1.
fn parse_weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1") || decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let weight: u16 = format!("{whole}{decimals:0<3}").parse().ok()?;
    (weight <= MAX_WEIGHT).then_some(weight)
}

/// Whether the client prefers JSON to HTML.
pub fn prefers_json(headers: &HeaderMap) -> bool {
    let json = preference(headers, "application", "json");
    json.weight > 0 && json > preference(headers, "text", "html")
}

/// The preference of a client for a media type. Compared by weight, then by precision.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Preference {
    weight: u16,
    /// How precisely the client named the type: 1 by `*/*`, 2 by `type/*`, 3 by its name.
    precision: u8,
}

/// The most precise entry for a media type counts.
fn preference(headers: &HeaderMap, kind: &str, subtype: &str) -> Preference {
    let matches = |range: &str| {
        let (range_kind, range_subtype) = range.split_once('/')?;
        let is_kind = range_kind.eq_ignore_ascii_case(kind);
        match (range_kind, range_subtype) {
            ("*", "*") => Some(1),
            (_, "*") if is_kind => Some(2),
            (_, range_subtype) if is_kind && range_subtype.eq_ignore_ascii_case(subtype) => Some(3),
            _ => None,
        }
    };
    let preferences = weighted(headers, &ACCEPT)
        .filter_map(|(range, weight)| Some(Preference { weight, precision: matches(range)? }));
    preferences.max_by_key(|preference| preference.precision).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &[&str]) -> HeaderMap {
        accept.iter().map(|value| (ACCEPT, value.parse().unwrap())).collect()
    }

    #[test]
    fn a_weight_has_at_most_three_decimals() {
        let list = headers(&[
            "a, b;q=0.5 , c;q=1.000;x=y,d;x=y;q=0",
            "e;Q=0.125, , f;q=1.",
            "g;q=1.5, h;q=x, i;q=0.1234, j;q=-1, k;q=",
        ]);
        let found: Vec<_> = weighted(&list, &ACCEPT).collect();
        assert_eq!(found, [("a", 1000), ("b", 500), ("c", 1000), ("d", 0), ("e", 125), ("f", 1000)]);
    }

    #[test]
    fn json_is_for_clients_that_prefer_it() {
        for accept in [
            "application/json",
            "application/json, text/plain, */*",
            "Application/JSON",
            "application/*",
            "application/json;charset=utf-8, text/html;q=0.9",
            "text/html;q=0.5, */*",
            "text/html;q=0, */*;q=0.1",
            "application/json;q=0.2, text/*;q=0.1",
        ] {
            assert!(prefers_json(&headers(&[accept])), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/html",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "text/html, application/json",
            "application/json;q=0.9, text/html",
            "application/json;q=0",
            "application/json;q=0, text/html;q=0",
            "image/png",
            "application/xml",
            "json",
            "application/json;q=2",
        ] {
            assert!(!prefers_json(&headers(&[accept])), "{accept}");
        }
        assert!(!prefers_json(&HeaderMap::new()));
        assert!(prefers_json(&headers(&["text/html;q=0.5", "application/json"])));
    }
}
