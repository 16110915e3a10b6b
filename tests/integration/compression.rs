//! Compressed answers: the codings, their entity tags, and what a client accepts.

use std::io::Read as _;
use std::sync::OnceLock;

use crate::support::{
    API, Appliance, Request, Response, create, record, shared, shared_postgres, unique, wait_for_cache,
};

const CODINGS: [&str; 3] = ["zstd", "br", "gzip"];

fn decoded(answer: &Response) -> Vec<u8> {
    let (body, mut out) = (answer.body.as_slice(), Vec::new());
    match answer.header("content-encoding") {
        Some("zstd") => zstd::stream::read::Decoder::new(body).unwrap().read_to_end(&mut out),
        Some("br") => brotli::Decompressor::new(body, 4096).read_to_end(&mut out),
        Some("gzip") => flate2::read::GzDecoder::new(body).read_to_end(&mut out),
        other => panic!("the content coding {other:?}"),
    }
    .unwrap();
    out
}

fn accepting(target: &str, accept: &str) -> Request {
    Request::get(target).header("Accept-Encoding", accept)
}

/// An appliance with lists of every size.
fn lists() -> &'static Appliance {
    static LISTS: OnceLock<Appliance> = OnceLock::new();
    LISTS.get_or_init(|| {
        let appliance = Appliance::builder().existing_cluster().start();
        wait_for_cache(&appliance);
        let insert = "INSERT INTO records (id, name, status, date) \
             SELECT 'e' || n % 500, 'Employee ' || n % 500, 'Present', DATE '2020-01-01' + n / 500 FROM generate_series(0, 29999) n";
        appliance.sql().run(insert);
        appliance
    })
}

/// A list that is kept in memory, a page that is too large for that, and a stream.
const QUERIES: [&str; 3] = ["?id=e7", "?limit=10000", ""];

#[test]
fn a_list_is_the_same_in_every_coding_with_a_tag_for_each() {
    for query in QUERIES {
        let target = format!("{API}/search/all{query}");
        let plain = lists().get(&target).expect(200);
        assert_eq!(
            (plain.header("content-encoding"), plain.header("vary")),
            (None, Some("Accept-Encoding")),
            "{query}"
        );
        let mut tags = vec![plain.header("etag").map(str::to_owned)];
        for coding in CODINGS {
            // A second time from memory.
            for _ in 0..2 {
                let answer = lists().send(&accepting(&target, coding)).expect(200);
                assert_eq!(answer.header("content-encoding"), Some(coding), "{query}");
                assert_eq!(answer.header("vary"), Some("Accept-Encoding"), "{query}");
                assert_eq!(answer.header("content-type"), Some("application/json"), "{query}");
                assert_eq!(answer.header("link"), plain.header("link"), "{query}");
                assert!(answer.body.len() * 3 < plain.body.len(), "{query} {coding}: {}", answer.body.len());
                assert!(decoded(&answer) == plain.body, "{query} {coding}");
                tags.push(answer.header("etag").map(str::to_owned));
            }
        }
        if !query.is_empty() {
            assert!(tags.iter().all(|tag| tag.as_ref().is_some_and(|tag| tag.starts_with('"'))), "{tags:?}");
            tags.sort();
            tags.dedup();
            assert_eq!(tags.len(), 4, "{tags:?}");
        }
    }
}

#[test]
fn a_client_that_has_the_form_it_would_get_gets_a_304() {
    let bundle = "/apidocs/swagger-ui-bundle.js".to_owned();
    for target in [format!("{API}/search/all?id=e8"), format!("{API}/search/all?limit=10000"), bundle] {
        for coding in ["identity", "zstd", "br", "gzip"] {
            let request = accepting(&target, coding);
            let tag = lists().send(&request).expect(200).header("etag").expect("a tag").to_owned();
            let again = lists().send(&request.clone().header("If-None-Match", &tag)).expect(304);
            assert_eq!((again.header("etag"), again.header("vary")), (Some(tag.as_str()), Some("Accept-Encoding")));
            assert_eq!(again.header("content-encoding"), None, "a 304 has no content");
            let other = accepting(&target, if coding == "gzip" { "br" } else { "gzip" });
            lists().send(&other.header("If-None-Match", &tag)).expect(200);
        }
    }
}

#[test]
fn the_files_of_the_documentation_are_compressed() {
    for (name, fraction) in [("", 1), ("swagger-ui-bundle.js", 3), ("swagger-ui.css", 5)] {
        let target = format!("/apidocs/{name}");
        let plain = shared().get(&target).expect(200);
        assert!(plain.header("etag").is_some() && plain.header("content-encoding").is_none(), "{plain:?}");
        for coding in CODINGS {
            let answer = shared().send(&accepting(&target, coding)).expect(200);
            assert!(decoded(&answer) == plain.body, "{name} {coding}");
            assert!(answer.body.len() * fraction < plain.body.len(), "{name} {coding}: {}", answer.body.len());
            assert_ne!(answer.header("etag"), plain.header("etag"));
            let head = Request::new("HEAD", &target).header("Accept-Encoding", coding);
            let head = shared().send(&head).expect(200);
            for name in ["content-length", "content-encoding", "etag", "vary", "content-type"] {
                assert_eq!(head.header(name), answer.header(name), "{name}");
            }
            // No ranges are served, so the whole form is the answer.
            let range = accepting(&target, coding).header("Range", "bytes=0-9");
            assert_eq!(shared().send(&range).expect(200).body.len(), answer.body.len());
        }
    }
    let browser = shared().send(&accepting("/apidocs/swagger-ui-bundle.js", "gzip, deflate, br, zstd")).expect(200);
    assert_eq!(browser.header("content-encoding"), Some("br"));
}

#[test]
fn the_client_decides_by_its_weights() {
    let target = format!("{API}/search/all?id=e9");
    for (accept, expected) in [
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip;q=0.9, br;q=1.0, zstd;q=0.5", Some("br")),
        ("GZIP", Some("gzip")),
        ("*", Some("zstd")),
        ("zstd;q=0, br;q=0, *;q=0.1", Some("gzip")),
        ("identity;q=0, gzip", Some("gzip")),
        ("identity, gzip;q=0.5", None),
        ("deflate, compress", None),
        ("*;q=0", None),
        ("identity;q=0", None),
        ("", None),
    ] {
        let answer = lists().send(&accepting(&target, accept)).expect(200);
        assert_eq!(answer.header("content-encoding"), expected, "{accept}");
    }
}

#[test]
fn every_large_answer_is_compressed_and_small_ones_are_as_before() {
    let details =
        format!("{{{}}}", (0..8).map(|n| format!("\"{n}{}\":1", "k".repeat(60))).collect::<Vec<_>>().join(","));
    for request in [
        Request::get("/openapi.json"),
        Request::get("/metrics"),
        Request::get("/"),
        Request::post_json(&format!("{API}/create"), details),
    ] {
        let plain = shared().send(&request);
        assert!(plain.body.len() > 1024 && plain.header("content-encoding").is_none(), "{request:?}");
        for coding in CODINGS {
            let answer = shared().send(&request.clone().header("Accept-Encoding", coding));
            assert_eq!((answer.status, answer.header("content-encoding")), (plain.status, Some(coding)), "{request:?}");
            assert!(answer.header("vary").is_some_and(|vary| vary.ends_with("Accept-Encoding")), "{answer:?}");
            let start = decoded(&answer);
            assert_eq!(start[..20], plain.body[..20], "{request:?}");
        }
    }
    let id = unique("small");
    create(shared(), &record(&id, "n", "s", "2023-08-01")).expect(200);
    for target in
        [format!("{API}/search?id={id}"), format!("{API}/search/all?id={id}"), format!("{API}/health"), "/livez".into()]
    {
        let comparable = |request: &Request| {
            let mut answer = shared().send(request);
            answer.headers.retain(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()));
            (answer.status, answer.headers, answer.body)
        };
        let compressed = comparable(&accepting(&target, "gzip, br, zstd"));
        assert_eq!(comparable(&Request::get(&target)), compressed);
        assert!(compressed.1.iter().all(|(name, _)| name != "vary"), "{target}");
    }
    let refusing = shared().send(&accepting(&format!("{API}/search?id={id}"), "gzip, identity;q=0")).expect(200);
    assert_eq!(decoded(&refusing), shared().get(&format!("{API}/search?id={id}")).body);
}

#[test]
fn a_compressed_list_is_as_fresh_as_any() {
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).start();
    wait_for_cache(&appliance);
    for day in 1..=28 {
        create(&appliance, &record("1", "Asha", "Present", &format!("2023-08-{day:02}"))).expect(200);
        let answer = appliance.send(&accepting(&format!("{API}/search/all"), "zstd")).expect(200);
        let body = if answer.header("content-encoding").is_some() { decoded(&answer) } else { answer.body };
        let records: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(records.as_array().map(Vec::len), Some(day));
    }
}
