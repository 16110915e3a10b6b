//! Entry points for the fuzz targets in `fuzz/`, into items that are not public. Compiled only for fuzzing.

use hyper::{Method, Uri};

use super::server::framing::Framing;
use super::{query, request, route_table, router};
use crate::attendance::ListQuery;

/// Finds the route of a request target, and parses its query as each kind of read does.
pub fn target(method: &str, target: &str) {
    let (Ok(method), Ok(uri)) = (Method::from_bytes(method.as_bytes()), target.parse::<Uri>()) else { return };
    let route = router::find(route_table::served(true), &method, uri.path(), None);
    assert!(route.label().path().len() < 100, "a label is the template of a route, never a path that a client sent");
    parse_query(uri.query().unwrap_or_default());
}

/// Parses a query as each kind of read does.
pub fn parse_query(text: &str) {
    if let Err(error) = query::search(text) {
        assert_eq!(error.status(), 400);
    }
    match query::search_all(text) {
        Ok(list) => {
            // What a link to the next page says must be read as the list that it continues.
            let next = query::search_all(&query::next_page(&list, ""));
            assert_eq!(next.ok(), Some(ListQuery { after: None, ..list }));
        }
        Err(error) => assert_eq!(error.status(), 400),
    }
}

/// Reads a body as a record. A record that is accepted has no control character.
pub fn body(bytes: &[u8]) {
    match request::parse_record(bytes) {
        Ok(record) => assert!(![&record.id, &record.name, &record.status].iter().any(|text| text.contains('\0'))),
        Err(error) => assert_eq!(error.status(), 400),
    }
}

/// Follows the framing of an input as a whole and in two pieces; both must come to one result.
pub fn framing(input: &[u8], cut: usize) {
    let mut whole = Framing::new(1 << 20);
    whole.follow(input);
    let mut pieces = Framing::new(1 << 20);
    let (first, second) = input.split_at(cut.min(input.len()));
    pieces.follow(first);
    pieces.follow(second);
    let results =
        |framing: &Framing| (framing.is_lost(), framing.has_oversized_length(), framing.has_oversized_chunk());
    assert_eq!(results(&whole), results(&pieces));
}
