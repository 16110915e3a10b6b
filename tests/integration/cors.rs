//! `server.cors`: pages of other origins, as headers and in a real browser.

use serde_json::{Value, json};

use crate::support::{
    API, Appliance, Browser, Request, Response, create, page_of_another_origin, record, shared, shared_postgres, unique,
};

fn allowing(cors: &str) -> Appliance {
    let database = shared_postgres().create_database();
    let settings = Appliance::builder().postgres(shared_postgres(), &database);
    settings.config(&format!("server: {{ cors: {cors} }}\n")).start()
}

fn permissions(answer: &Response) -> Vec<(String, String)> {
    answer.headers.iter().filter(|(name, _)| name.starts_with("access-control-")).cloned().collect()
}

/// An answer without what differs from one request to the next.
fn comparable(mut answer: Response) -> (u16, Vec<(String, String)>, Vec<u8>) {
    answer.headers.retain(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()));
    (answer.status, answer.headers, answer.body)
}

#[test]
fn every_answer_to_a_listed_origin_may_be_read_and_no_answer_to_another_one() {
    let appliance = allowing("{ origins: [http://ui:3000, 'https://hr.example'] }");
    let id = unique("cors");
    create(&appliance, &record(&id, "n", "s", "2023-08-01")).expect(200);
    let requests = [
        (Request::get(&format!("{API}/search?id={id}")), 200),
        (Request::get(&format!("{API}/search?id={id}")).header("If-None-Match", "*"), 304),
        (Request::get(&format!("{API}/search/all?limit=1")), 200),
        (Request::get(&format!("{API}/search?id=none")), 404),
        (Request::post_json(&format!("{API}/create"), "{}"), 400),
        (Request::new("DELETE", &format!("{API}/create")), 405),
        (Request::get("/nowhere"), 404),
        (Request::get("/apidocs"), 308),
        (Request::get("/openapi.json"), 200),
        (Request::new("OPTIONS", "/openapi.json"), 200),
    ];
    for (request, status) in requests {
        for origin in ["http://ui:3000", "https://hr.example"] {
            let answer = appliance.send(&request.clone().header("Origin", origin)).expect(status);
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{request:?}");
            assert_eq!(
                answer.header("access-control-expose-headers"),
                Some("ETag, Link, X-Request-Id, Location"),
                "{request:?}"
            );
            assert_eq!(answer.header("access-control-allow-credentials"), None);
            assert!(answer.header("vary").is_some_and(|vary| vary.ends_with("Origin")), "{answer:?}");
        }
        for origin in ["http://ui:3001", "http://ui", "https://ui:3000", "null", "http://ui:3000.evil.example"] {
            let answer = appliance.send(&request.clone().header("Origin", origin)).expect(status);
            assert_eq!(permissions(&answer), [], "{origin}: {request:?}");
            assert!(answer.header("vary").is_some_and(|vary| vary.ends_with("Origin")), "{answer:?}");
        }
        let plain = comparable(appliance.send(&request).expect(status));
        assert!(!plain.1.iter().any(|(_, value)| value.contains("Origin")), "{plain:?}");
    }
}

#[test]
fn without_the_setting_an_origin_changes_nothing() {
    for target in [format!("{API}/search?id=none"), "/livez".into(), "/openapi.json".into(), "/nowhere".into()] {
        for method in ["GET", "HEAD", "OPTIONS"] {
            let request = Request::new(method, &target);
            let from_page =
                request.clone().header("Origin", "http://ui").header("Access-Control-Request-Method", "GET");
            assert_eq!(comparable(shared().send(&request)), comparable(shared().send(&from_page)), "{method} {target}");
        }
    }
}

#[test]
fn a_preflight_names_the_methods_of_the_route() {
    let appliance = allowing("{ origins: [http://ui:3000], credentials: true }");
    let preflight = |target: &str, origin: &str| {
        let request = Request::new("OPTIONS", target).header("Origin", origin);
        appliance.send(
            &request
                .header("Access-Control-Request-Method", "POST")
                .header("Access-Control-Request-Headers", "content-type"),
        )
    };
    for (target, methods) in [("create", "OPTIONS, POST"), ("search/all", "GET, HEAD, OPTIONS")] {
        let answer = preflight(&format!("{API}/{target}"), "http://ui:3000").expect(200);
        assert_eq!(answer.header("access-control-allow-methods"), Some(methods));
        assert_eq!(answer.header("access-control-allow-origin"), Some("http://ui:3000"));
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(answer.header("access-control-max-age"), Some("7200"));
        let headers = answer.header("access-control-allow-headers").unwrap_or_default().to_lowercase();
        for header in ["content-type", "authorization", "if-none-match", "x-request-id"] {
            assert!(headers.split(", ").any(|listed| listed == header), "{header}: {headers}");
        }
        assert_eq!(permissions(&preflight(&format!("{API}/{target}"), "http://evil")), []);
    }
}

#[test]
fn all_origins_are_allowed_without_credentials_only() {
    let appliance = allowing("{ origins: '*' }");
    let answer = appliance.send(&Request::get("/livez").header("Origin", "http://anything")).expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let wrong = "server: { cors: { origins: '*', credentials: true } }\n";
    let run = Appliance::builder().config(wrong).command(&["config", "check"]).finish().expect(78);
    assert!(run.output().contains("server.cors.origins: *"), "{}", run.output());
}

/// What `fetch` in the page gives for a request: status, headers and body, or `error`.
fn fetch(browser: &Browser, url: &str, options: &Value) -> Value {
    let (url, options) = (json!(url), options);
    browser.run(&format!(
        "window.result = null; fetch({url}, {options}).then(async r => ({{status: r.status, body: await r.text(), etag: r.headers.get('ETag'), \
         link: r.headers.get('Link'), id: r.headers.get('X-Request-Id')}})).catch(() => 'error').then(r => window.result = r)"
    ));
    browser.wait_for("the answer to a fetch", "return window.result")
}

#[test]
fn a_page_of_a_listed_origin_uses_the_api_in_a_browser_and_another_page_cannot() {
    let (ui, stranger) = (page_of_another_origin(), page_of_another_origin());
    let appliance = allowing(&format!("{{ origins: ['http://{ui}'], credentials: true }}"));
    let api = format!("http://{}{API}", appliance.address());
    let browser = Browser::start();
    browser.open(&format!("http://{ui}/"));
    let id = unique("page");
    // The content type makes the browser send a preflight.
    let body = record(&id, "Zoë", "Present", "2023-08-01").to_string();
    let post = json!({"method": "POST", "credentials": "include", "headers": {"Content-Type": "application/json"}, "body": body});
    assert_eq!(fetch(&browser, &format!("{api}/create"), &post)["status"], 200);
    create(&appliance, &record(&id, "Zoë", "Present", "2023-08-02")).expect(200);
    let found = fetch(&browser, &format!("{api}/search/all?id={id}&limit=1"), &json!({"credentials": "include"}));
    assert_eq!(found["status"], 200, "{found}");
    assert!(found["link"].as_str().is_some_and(|link| link.contains("rel=\"next\"")), "{found}");
    assert!(found["etag"].is_string() && found["id"].is_string(), "{found}");
    // `If-None-Match` makes the browser send a preflight, too.
    let again = json!({"credentials": "include", "cache": "no-store", "headers": {"If-None-Match": found["etag"]}});
    let unchanged = fetch(&browser, &format!("{api}/search/all?id={id}&limit=1"), &again);
    assert_eq!(unchanged["status"], 304, "{unchanged}");
    let refused = fetch(&browser, &format!("{api}/search?id=none"), &json!({}));
    assert!(refused["status"] == 404 && refused["body"].to_string().contains("no such record"), "{refused}");

    browser.open(&format!("http://{stranger}/"));
    assert_eq!(fetch(&browser, &format!("{api}/search?id={id}"), &json!({})), "error");
    let second = body.replace("2023-08-01", "2023-08-03");
    assert_eq!(
        fetch(
            &browser,
            &format!("{api}/create"),
            &json!({"method": "POST", "headers": {"Content-Type": "application/json"}, "body": second})
        ),
        "error"
    );
    appliance.get(&format!("{API}/search?id={id}&date=2023-08-03")).expect(404);
}
