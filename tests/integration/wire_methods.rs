//! Methods and paths: HEAD, OPTIONS, 405, 308, and the pages that are not the API.

use crate::support::{API, Request, Response, create, raw_exchange, record, shared, unique};

fn send(method: &str, target: &str) -> Response {
    shared().connect().send(&Request::new(method, target)).unwrap_or_else(|error| panic!("{method} {target}: {error}"))
}

/// A path that answers 200 for each route with a `GET`.
fn readable_paths() -> Vec<String> {
    let id = unique("head");
    create(shared(), &record(&id, "n", "s", "2023-08-01")).expect(200);
    let mut paths: Vec<String> = ["/health", &format!("/search?id={id}"), &format!("/search/all?id={id}")]
        .map(|path| format!("{API}{path}"))
        .into();
    paths.extend(["/", "/livez", "/readyz", "/openapi.json", "/apispec_1.json", "/apidocs/"].map(String::from));
    paths
}

#[test]
fn head_answers_as_get_does_without_the_body() {
    for path in readable_paths() {
        let (get, head) = (send("GET", &path).expect(200), send("HEAD", &path).expect(200));
        assert!(head.body.is_empty());
        let kept = |answer: &Response| -> Vec<(String, String)> {
            let varies = ["date", "x-request-id"];
            let kept = answer.headers.iter().filter(|(name, _)| !varies.contains(&name.as_str()));
            let mut kept: Vec<_> = kept.cloned().collect();
            kept.sort();
            kept
        };
        assert_eq!(kept(&head), kept(&get), "{path}");
        if path != "/" {
            assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()), "{path}");
        }
    }
    send("HEAD", &format!("{API}/health/detail")).expect(200);
    send("HEAD", "/metrics").expect(200);
    send("HEAD", &format!("{API}/search")).expect(400);
    send("HEAD", "/nowhere").expect(404);
    send("HEAD", &format!("{API}/create")).expect(405);
}

#[test]
fn a_connection_is_usable_after_a_head_request() {
    let mut connection = shared().connect();
    for path in readable_paths() {
        connection.send(&Request::new("HEAD", &path)).unwrap().expect(200);
        connection.send(&Request::get("/livez")).unwrap().expect(200);
    }
}

#[test]
fn options_names_the_methods_and_others_are_rejected_with_them() {
    let mut paths = readable_paths();
    paths.extend([format!("{API}/health/detail"), "/metrics".into()]);
    for path in &paths {
        let options = send("OPTIONS", path).expect(200);
        let allowed = allowed_methods(&options);
        assert_eq!(allowed, ["GET", "HEAD", "OPTIONS"], "{path}");
        for method in ["POST", "PUT", "DELETE", "PATCH", "FOO"] {
            let rejected = send(method, path).expect(405);
            assert_eq!(allowed_methods(&rejected), allowed, "{method} {path}");
            assert!(rejected.json()["error"].is_string());
        }
    }
    let create = format!("{API}/create");
    assert_eq!(allowed_methods(&send("OPTIONS", &create).expect(200)), ["OPTIONS", "POST"]);
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        assert_eq!(allowed_methods(&send(method, &create).expect(405)), ["OPTIONS", "POST"], "{method}");
    }
    send("OPTIONS", "/nowhere").expect(404);
}

fn allowed_methods(answer: &Response) -> Vec<String> {
    let allow = answer.header("allow").expect("an Allow header");
    let mut allowed_methods: Vec<String> = allow.split(',').map(|method| method.trim().to_owned()).collect();
    allowed_methods.sort();
    allowed_methods
}

#[test]
fn stray_slashes_redirect_to_the_clean_path() {
    let cases = [
        ("GET", format!("{API}/health/"), format!("{API}/health")),
        ("GET", format!("{API}//health"), format!("{API}/health")),
        ("GET", format!("/{API}/health"), format!("{API}/health")),
        ("GET", format!("{API}/search/?id=1&id=a%20b"), format!("{API}/search?id=1&id=a%20b")),
        ("GET", format!("{API}/search/all//"), format!("{API}/search/all")),
        ("GET", format!("{API}/health/detail/"), format!("{API}/health/detail")),
        ("POST", format!("{API}/create/"), format!("{API}/create")),
        ("POST", "/api/v1//attendance/create?x=1".to_string(), format!("{API}/create?x=1")),
        ("GET", "/metrics/".into(), "/metrics".into()),
        ("GET", "/openapi.json/".into(), "/openapi.json".into()),
        ("GET", "/apidocs".into(), "/apidocs/".into()),
        ("GET", "/apidocs?x=1".into(), "/apidocs/?x=1".into()),
    ];
    for (method, from, to) in cases {
        let answer = send(method, &from).expect(308);
        assert_eq!(answer.header("location"), Some(to.as_str()), "{method} {from}");
    }
    let index = send("GET", "/apidocs/index.html");
    assert!(index.status == 200 || index.header("location").is_some_and(|to| to.ends_with("/apidocs/")), "{index:?}");
    send("GET", "/nowhere/").expect(404);
}

#[test]
fn a_redirect_never_leads_to_another_host() {
    for target in ["//evil.example/", "//evil.example//api", "/\\evil.example/", "//evil.example/%2e%2e"] {
        let answer = send("GET", target);
        let location = answer.header("location").unwrap_or("/");
        assert!(location.starts_with('/') && !location.starts_with("//") && !location.starts_with("/\\"), "{location}");
    }
}

#[test]
fn a_path_is_decoded_before_it_is_matched() {
    send("GET", &format!("{API}/h%65alth")).expect(200);
    send("GET", &format!("{API}/health%00")).expect(404);
    send("GET", &format!("{API}/health/x")).expect(404);
}

#[test]
fn an_absolute_target_is_served_and_options_of_everything_is_answered() {
    let request = format!("GET http://attendance.test{API}/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(raw_exchange(shared().address(), request.as_bytes()).starts_with("HTTP/1.1 200"));
    let star = raw_exchange(shared().address(), b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(star.starts_with("HTTP/1.1 200"), "{star}");
}

#[test]
fn the_home_page_has_its_links_and_needs_no_other_host() {
    let page = send("GET", "/").expect(200);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{page:?}");
    assert!(page.header("content-security-policy").is_some());
    let text = page.text();
    for link in ["/apidocs/", "/metrics", "/openapi.json", "/api/v1/attendance/search", "curl"] {
        assert!(text.contains(link), "{link}\n{text}");
    }
    for outside in ["src=\"http", "href=\"http", "url(http", "@import", "src=\"//", "href=\"//"] {
        assert!(!text.contains(outside), "{outside}\n{text}");
    }
}
