//! HTTP/1.1 as RFC 9110 and RFC 9112 define it: what is accepted, what is refused and how, and that no two readers can disagree about
//! where a request ends.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{API, Appliance, Request, raw_exchange, record, shared, shared_postgres, signal, unique};

/// Sends bytes and says that nothing follows; returns the status of each answer and the text of all.
fn answers(bytes: impl AsRef<[u8]>) -> (Vec<u16>, String) {
    let text = raw_exchange(shared().address(), bytes.as_ref());
    let statuses = text.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().expect("a status")).collect();
    (statuses, text)
}

/// Fails unless there is exactly one answer with that status, in the form of every error if it is one.
fn expect(bytes: impl AsRef<[u8]>, status: u16) -> String {
    let shown = String::from_utf8_lossy(&bytes.as_ref()[..bytes.as_ref().len().min(300)]).into_owned();
    let (statuses, text) = answers(bytes);
    assert_eq!(statuses, [status], "{shown:?}: {text}");
    if status >= 400 {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let head = head.to_ascii_lowercase();
        for header in [
            "content-type: application/json",
            "cache-control: no-store",
            "x-request-id: ",
            "x-content-type-options: nosniff",
        ] {
            assert!(head.contains(header), "{shown:?}: {header}: {text}");
        }
        if !shown.starts_with("HEAD") {
            let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert!(body["message"].is_string() && body["error"].is_string(), "{text}");
        }
    }
    text
}

fn expect_closing(bytes: impl AsRef<[u8]>, status: u16) {
    let text = expect(bytes, status).to_ascii_lowercase();
    assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
}

fn get(headers: &str) -> String {
    format!("GET /livez HTTP/1.1\r\n{headers}\r\n")
}

/// A create whose head has these lines besides, and this body as it is.
fn post(lines: &str, body: &str) -> String {
    format!("POST {API}/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{lines}\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

#[test]
fn the_host_is_required_once_and_must_be_a_host() {
    for host in ["x", "", "x:80", "x.example.", "127.0.0.1:8080", "[::1]:80", "%41", "x:"] {
        expect(get(&format!("Host: {host}\r\n")), 200);
    }
    expect(get("HOST:x\r\n"), 200);
    expect_closing(get(""), 400);
    for host in ["a b", "u:secret@x", "a/b", "a:b", "::1", "[::1", "<x>", "a,b c", "x?y", "x#y"] {
        expect_closing(get(&format!("Host: {host}\r\n")), 400);
    }
    for twice in ["Host: x\r\nHost: x\r\n", "Host: x\r\nhost: y\r\n", "Host:\r\nA: b\r\nHost: x\r\n"] {
        expect_closing(get(twice), 400);
    }
    for request in [
        "HEAD /livez",
        "OPTIONS /livez",
        "OPTIONS *",
        "DELETE /livez",
        "GET /nowhere",
        "GET /livez/",
        "GET http://x/livez",
    ] {
        expect_closing(format!("{request} HTTP/1.1\r\n\r\n"), 400);
        expect_closing(format!("{request} HTTP/1.1\r\nHost: a b\r\n\r\n"), 400);
    }
    let search = format!("GET {API}/search?id=1 HTTP/1.1\r\n\r\n");
    expect_closing(search, 400);
    expect_closing(chunked("0\r\n\r\n").replace("Host: x\r\n", ""), 400);
}

#[test]
fn http_1_0_needs_no_host_and_closes_unless_it_is_asked_to_stay() {
    let text = raw_exchange(shared().address(), b"GET /livez HTTP/1.0\r\n\r\nGET /livez HTTP/1.0\r\n\r\n");
    assert_eq!(text.matches(" 200 OK").count(), 1, "{text}");
    let kept = "GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let text = raw_exchange(shared().address(), format!("{kept}{kept}").as_bytes());
    assert_eq!(text.matches(" 200 OK").count(), 2, "{text}");
    let text = raw_exchange(shared().address(), b"GET /livez HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n");
    assert!(text.contains(" 400 "), "{text}");
    let with_coding = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let text = raw_exchange(shared().address(), with_coding.as_bytes());
    assert!(text.contains(" 400 ") && !text.contains(" 200 "), "{text}");
}

#[test]
fn targets_have_the_forms_of_the_rfc() {
    expect(format!("GET http://attendance.test{API}/health HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    expect("GET http://attendance.test HTTP/1.1\r\nHost: attendance.test\r\n\r\n", 200);
    let star = expect("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 200).to_ascii_lowercase();
    assert!(
        star.contains("\r\nallow: delete, get, head, options, post, put\r\n")
            && star.contains("cache-control: no-store"),
        "{star}"
    );
    expect("GET * HTTP/1.1\r\nHost: x\r\n\r\n", 404);
    expect("CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 404);
    for target in ["livez", "/a b", "/a\u{1}", "", " /livez", "http://", "/\u{7f}"] {
        expect_closing(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
    }
}

#[test]
fn a_password_in_a_target_is_refused_and_never_logged() {
    let (host, secret) = (unique("userinfo"), unique("s3cr3t"));
    for target in [format!("http://u:{secret}@{host}/livez?a=b"), format!("http://{secret}@{host}/")] {
        expect_closing(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
    }
    expect_closing(format!("CONNECT u:{secret}@{host}:443 HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
    expect_closing(get(&format!("Host: u:{secret}@{host}\r\n")), 400);
    let logged = format!("GET http://{host}/livez?a=b HTTP/1.1");
    shared().wait_log("the access line", |line| line["request"] == logged.as_str());
    expect(get("Host: x\r\n"), 200);
    assert!(!shared().stdout_lines().iter().any(|line| line.contains(&secret)));
}

#[test]
fn other_versions_are_refused_with_505() {
    for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/1.2", "HTTP/9.9"] {
        expect_closing(format!("GET /livez {version}\r\nHost: x\r\n\r\n"), 505);
    }
    expect_closing("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0", 505);
    for version in ["http/1.1", "HTTP/1.10", "HTTP/1", "HTTPS/1.1", "HTTP/x.y", "HTTP/ 1.1"] {
        expect_closing(format!("GET /livez {version}\r\nHost: x\r\n\r\n"), 400);
    }
}

#[test]
fn a_transfer_coding_is_exactly_chunked() {
    let body = record(&unique("coded"), "n", "s", "2023-08-01").to_string();
    let framed = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for coding in [
        "gzip, chunked",
        "chunked, gzip",
        "identity",
        "xchunked",
        "chunked;a=b",
        "\"chunked\"",
        "chunked, chunked",
        "gzip",
        "",
    ] {
        expect_closing(post(&format!("Transfer-Encoding: {coding}\r\n"), &framed), 501);
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    expect_closing(post(twice, &framed), 501);
    expect_closing(post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", &framed), 501);
    for spelling in ["Transfer-Encoding: chunked", "transfer-encoding:CHUNKED", "Transfer-Encoding: \tChunked \t"] {
        let body = record(&unique("chunked"), "n", "s", "2023-08-01").to_string();
        expect(post(&format!("{spelling}\r\n"), &format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())), 200);
    }
}

#[test]
fn a_length_beside_a_transfer_coding_is_refused_and_nothing_behind_it_is_served() {
    let id = unique("smuggled");
    let body = record(&id, "n", "s", "2023-08-01").to_string();
    let hidden = post(&format!("Content-Length: {}\r\n", body.len()), &body);
    for lines in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
        "content-length:6\r\nA: b\r\nTRANSFER-ENCODING: chunked\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    ] {
        expect_closing(post(lines, &format!("0\r\n\r\n{hidden}")), 400);
        // Behind another request, in one piece and in two.
        let (statuses, text) = answers(get("Host: x\r\n") + &post(lines, &format!("0\r\n\r\n{hidden}")));
        assert_eq!(statuses, [200, 400], "{text}");
        let mut connection = shared().connect();
        let request = post(lines, &format!("0\r\n\r\n{hidden}"));
        let (first, second) = request.split_at(request.find("ength").unwrap_or_default());
        connection.write(first.as_bytes()).expect("the server reads");
        connection.write(second.as_bytes()).expect("the server reads");
        connection.read(false).expect("an answer").expect(400);
        assert!(connection.read_to_close().is_empty());
    }
    expect_closing(post("Transfer-Encoding: gzip, chunked\r\nContent-Length: 6\r\n", &hidden), 400);
    shared().get(&format!("{API}/search?id={id}")).expect(404);
}

#[test]
fn lengths_are_digits_and_agree_and_have_a_limit() {
    for length in ["-1", "+5", "0x5", "5 5", "", "5, 6", "5;5", "five", "1.0"] {
        expect_closing(post(&format!("Content-Length: {length}\r\n"), "{}"), 400);
    }
    expect_closing(post("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"), 400);
    let body = record(&unique("twice"), "n", "s", "2023-08-01").to_string();
    let length = format!("Content-Length: {}\r\n", body.len());
    expect(post(&length.repeat(2), &body), 200);
    for length in [
        "18446744073709551613",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999",
        "9223372036854775807",
    ] {
        expect_closing(post(&format!("Content-Length: {length}\r\n"), ""), 413);
    }
}

#[test]
fn a_chunk_that_no_body_can_have_is_refused_before_its_data() {
    let before = "3\r\n{\"i\r\n";
    for size in ["FFFFFFFFFFFFFFF", "7fffffffffffffff", "100001", "00000000000000000fffffff", "FFFFFFF;x=y"] {
        for begun in ["", before] {
            let request = chunked(&format!("{begun}{size}\r\n"));
            let mut connection = shared().connect();
            connection.write(request.as_bytes()).expect("the server reads");
            connection.read(false).expect("an answer before the data").expect(413);
            // In two pieces, the size in the second one.
            let (head, rest) = request.split_at(request.find("\r\n\r\n").expect("a head") + 4);
            let mut connection = shared().connect();
            connection.write(head.as_bytes()).expect("the server reads");
            connection.write(rest.as_bytes()).expect("the server reads");
            connection.read(false).expect("an answer before the data").expect(413);
        }
    }
    for body in [
        "zz\r\n",
        "-1\r\n",
        "\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
        "2\n{}\n0\n\n",
        "fffffffffffffffff\r\n",
    ] {
        let (statuses, text) = answers(chunked(body));
        assert!(matches!(statuses[..], [400 | 413]), "{body:?}: {text}");
    }
}

#[test]
fn extensions_of_chunks_and_trailers_are_read_over() {
    let body = |id: &str| record(&unique(id), "n", "s", "2023-08-01").to_string();
    let (one, two) = (body("extension"), body("trailer"));
    expect(chunked(&format!("{:x};name=value;q=\"v\"\r\n{one}\r\n0;last\r\n\r\n", one.len())), 200);
    expect(
        chunked(&format!("{:X}\r\n{two}\r\n0\r\nX-Checksum: 1\r\nHost: evil\r\nContent-Length: 1\r\n\r\n", two.len())),
        200,
    );
    let three = body("pieces");
    let pieces: String = three.chars().map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len_utf8())).collect();
    let (statuses, text) = answers(chunked(&format!("{pieces}0\r\n\r\n")) + &get("Host: x\r\n"));
    assert_eq!(statuses, [200, 200], "{text}");
}

#[test]
fn heads_are_read_strictly() {
    for line in [
        "Host : x",
        " Host: x",
        "Host: x\r\n folded",
        "Host: x\r\n\tfolded",
        "Host: x\r\nna me: y",
        "Host: x\r\n: y",
        "Host: x\r\nn\0: y",
        "Host: x\r\nA: \0",
        "Host: x\r\nA: a\rb",
        "Host: x\r\nno colon",
        "Host: x\r\nn(me: y",
        "Host: x\r\nA: \u{1}",
        "Host: x\r\nüml: y",
    ] {
        expect_closing(get(&format!("{line}\r\n")), 400);
    }
    for line in [
        "GET  /livez HTTP/1.1",
        "GET\t/livez HTTP/1.1",
        "GET /livez",
        "GET",
        " GET /livez HTTP/1.1",
        "G@T /livez HTTP/1.1",
        "/livez",
    ] {
        expect_closing(format!("{line}\r\nHost: x\r\n\r\n"), 400);
    }
    // Allowed: a line feed alone, empty lines before the request, no space or several ones behind the colon.
    expect("GET /livez HTTP/1.1\nHost: x\n\n", 200);
    expect("\r\n\r\nGET /livez HTTP/1.1\r\nHost:  x \r\nA:\r\n\r\n", 200);
    // Methods are case-sensitive.
    expect("get /livez HTTP/1.1\r\nHost: x\r\n\r\n", 405);
    expect_closing(get(&format!("Host: x\r\n{}", "A: b\r\n".repeat(150))), 431);
    expect_closing(get(&format!("Host: x\r\nA: {}\r\n", "a".repeat(40_000))), 431);
    expect_closing(get(&format!("Host: x\r\n{}: b\r\n", "a".repeat(40_000))), 431);
    expect("HEAD /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404);
}

#[test]
fn expectations_other_than_100_continue_are_417() {
    for expectation in ["200-ok", "100-continue, x", "", "100"] {
        expect_closing(get(&format!("Host: x\r\nExpect: {expectation}\r\n")), 417);
        expect_closing(post(&format!("Expect: {expectation}\r\nContent-Length: 2\r\n"), "{}"), 417);
    }
    expect(get("Host: x\r\nExpect: 100-Continue\r\n"), 200);
    let mut connection = shared().connect();
    connection.write(post("Expect: 100-continue\r\nContent-Length: 2\r\n", "").as_bytes()).expect("the server reads");
    assert_eq!(connection.read_head().expect("an interim answer").status, 100);
    connection.write(b"{}").expect("the server reads");
    connection.read(false).expect("an answer").expect(400);
}

#[test]
fn connections_stay_open_as_long_as_both_sides_want_it() {
    let closing = get("Host: x\r\nConnection: close\r\n");
    let (statuses, _) = answers(closing.clone() + &closing);
    assert_eq!(statuses, [200]);
    let (statuses, _) = answers(get("Host: x\r\nConnection: keep-alive\r\n").repeat(3) + &closing);
    assert_eq!(statuses, [200; 4]);
    let (statuses, text) = answers(get("Host: x\r\n") + "bad\r\n\r\n" + &get("Host: x\r\n"));
    assert_eq!(statuses, [200, 400], "{text}");
    // An upgrade is never accepted; the request is answered as it is.
    for upgrade in ["h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__", "websocket", "TLS/1.3"] {
        expect(get(&format!("Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\n")), 200);
    }
    // The body of a GET is not taken for the next request.
    let (statuses, text) =
        answers(get(&format!("Host: x\r\nContent-Length: {}\r\n", closing.len())) + &closing + &closing);
    assert!(statuses.len() <= 2 && statuses[0] == 200 && !text.contains(" 400 "), "{text}");
}

#[test]
fn no_cache_keeps_an_error_a_redirect_an_answer_to_options_or_the_metrics() {
    let requests = [
        (Request::get("/nowhere"), 404),
        (Request::get("/livez/"), 308),
        (Request::get("/apidocs"), 308),
        (Request::get("/apidocs/none.js"), 404),
        (Request::new("DELETE", "/livez"), 405),
        (Request::new("OPTIONS", "/livez"), 200),
        (Request::get("/metrics"), 200),
        (Request::get(&format!("{API}/search")), 400),
        (Request::get(&format!("{API}/search?id=nobody-at-all")), 404),
        (Request::get(&format!("{API}/search?id={}", "z".repeat(12_000))), 414),
        (Request::new("POST", &format!("{API}/create")).body("{}"), 415),
        (Request::post_json(&format!("{API}/create"), "{}"), 400),
    ];
    for (request, status) in requests {
        let answer = shared().send(&request).expect(status);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{request:?}");
    }
    for page in ["/", "/apidocs/", "/apidocs/swagger-ui.css"] {
        let answer = shared().get(page).expect(200);
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{page}");
        assert!(
            answer.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'none'")),
            "{page}"
        );
    }
}

#[test]
fn a_signal_without_a_meaning_does_not_end_the_appliance() {
    let database = shared_postgres().create_database();
    let mut appliance =
        Appliance::builder().postgres(shared_postgres(), &database).config("redis: { mode: off }\n").start();
    for ignored in [
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGALRM,
        Signal::SIGVTALRM,
        Signal::SIGPROF,
        Signal::SIGIO,
        Signal::SIGPWR,
        Signal::SIGPIPE,
        Signal::SIGWINCH,
        Signal::SIGURG,
        Signal::SIGCHLD,
        Signal::SIGCONT,
        Signal::SIGHUP,
    ] {
        signal(appliance.pid(), ignored);
        appliance.get("/livez").expect(200);
    }
    appliance.stop();
}
