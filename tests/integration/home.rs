//! `/`: a page for people, JSON for programs that prefer it.

use crate::support::{Request, Response, shared};

fn home(accept: Option<&str>) -> Response {
    let request = Request::get("/");
    shared().send(&accept.iter().fold(request, |request, accept| request.header("Accept", accept))).expect(200)
}

#[test]
fn a_program_that_prefers_json_gets_the_essentials_and_working_links() {
    for accept in ["application/json", "application/json, text/plain, */*", "text/html;q=0.5, application/json"] {
        let answer = home(Some(accept));
        assert_eq!(answer.header("content-type"), Some("application/json"), "{accept}");
        assert_eq!(answer.header("vary"), Some("Accept"));
        let summary = answer.json();
        let members: Vec<_> = summary.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(members, ["docs", "health", "name", "status", "version"]);
        assert_eq!((&summary["status"], &summary["version"]), (&"up".into(), &env!("CARGO_PKG_VERSION").into()));
        for link in ["docs", "health"] {
            shared().get(summary[link].as_str().expect("a path")).expect(200);
        }
    }
    let head = shared().send(&Request::new("HEAD", "/").header("Accept", "application/json")).expect(200);
    assert_eq!(head.header("content-type"), Some("application/json"));
}

#[test]
fn browsers_and_clients_without_a_preference_get_the_page() {
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
    for accept in [None, Some("*/*"), Some(browser), Some("application/json;q=0.9,*/*"), Some("image/png")] {
        let answer = home(accept);
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{accept:?}");
        assert!(answer.header("vary").is_some_and(|vary| vary.split(", ").any(|name| name == "Accept")), "{answer:?}");
        assert_eq!(answer.body, home(None).body, "{accept:?}");
    }
}
