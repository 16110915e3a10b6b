//! `server.base_path`: everything is served below that path too, and its links lead there.

use std::sync::OnceLock;

use serde_json::json;

use crate::support::{API, Appliance, Browser, Request, create, record, shared_postgres, unique};

const BASE: &str = "/hr/attendance";

fn below() -> &'static Appliance {
    static BELOW: OnceLock<Appliance> = OnceLock::new();
    BELOW.get_or_init(|| {
        let database = shared_postgres().create_database();
        let settings = Appliance::builder().postgres(shared_postgres(), &database);
        settings.config(&format!("server: {{ base_path: {BASE} }}\n")).start()
    })
}

#[test]
fn the_api_is_the_same_at_the_root_and_below() {
    let id = unique("below");
    let body = record(&id, "n", "s", "2023-08-01").to_string();
    below().post(&format!("{BASE}{API}/create"), &body).expect(200);
    for path in [format!("{API}/search?id={id}"), format!("{API}/health"), "/livez".into(), "/readyz".into()] {
        let (root, prefixed) = (below().get(&path).expect(200), below().get(&format!("{BASE}{path}")).expect(200));
        assert_eq!(root.body, prefixed.body, "{path}");
        assert_eq!(root.header("etag"), prefixed.header("etag"), "{path}");
    }
    below().get(&format!("{BASE}/metrics")).expect(200);
    below().get(&format!("{BASE}/nowhere")).expect(404);
    below().get(&format!("{BASE}{BASE}/livez")).expect(404);
    let wrong = below().send(&Request::new("DELETE", &format!("{BASE}{API}/create"))).expect(405);
    assert_eq!(wrong.header("allow"), Some("OPTIONS, POST"));
}

#[test]
fn the_link_to_the_next_page_leads_to_where_the_request_came() {
    let id = unique("pages");
    for day in 1..=3 {
        create(below(), &record(&id, "n", "s", &format!("2023-08-0{day}"))).expect(200);
    }
    // In turn, so that a cached answer is read in both ways.
    for _ in 0..2 {
        for prefix in ["", BASE] {
            let path = format!("{prefix}{API}/search/all");
            let answer = below().get(&format!("{path}?id={id}&limit=2")).expect(200);
            let link = answer.header("link").expect("there is a next page").to_owned();
            let next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("a URL");
            assert!(next.starts_with(&format!("{path}?")), "{next}");
            assert_eq!(below().get(next).expect(200).json().as_array().map(Vec::len), Some(1));
        }
    }
}

#[test]
fn redirects_stay_below() {
    for (from, to) in [
        (BASE.to_owned(), format!("{BASE}/")),
        (format!("{BASE}?x=1"), format!("{BASE}/?x=1")),
        (format!("{BASE}/apidocs"), format!("{BASE}/apidocs/")),
        (format!("{BASE}/index.html"), format!("{BASE}/")),
        (format!("{BASE}{API}/search/?id=1"), format!("{BASE}{API}/search?id=1")),
        (format!("/{BASE}//livez"), format!("{BASE}/livez")),
        ("/apidocs".into(), "/apidocs/".into()),
    ] {
        assert_eq!(below().get(&from).expect(308).header("location"), Some(to.as_str()), "{from}");
    }
}

#[test]
fn the_document_names_the_server_below() {
    let servers = |path: &str| below().get(path).expect(200).json()["servers"].clone();
    assert_eq!(servers(&format!("{BASE}/openapi.json"))[0]["url"], BASE);
    assert_eq!(servers("/openapi.json")[0]["url"], "/");
    assert_eq!(servers("/openapi.json")[1]["url"], BASE);
}

#[test]
fn the_pages_below_work_in_a_browser_with_requests_below_only() {
    let browser = Browser::start();
    let url = format!("http://{}{BASE}", below().address());
    browser.open(&url);
    assert_eq!(browser.url(), format!("{url}/"));
    let links = browser.run("return [...document.links].map(link => link.href)");
    for link in links.as_array().expect("an array").iter().filter_map(|link| link.as_str()) {
        assert!(link.starts_with(&url), "{link}");
    }
    assert!(browser.run("return document.body.innerText").to_string().contains(&format!("{url}{API}/create")));
    browser.click("a[href$='apidocs/']");
    browser.wait_for("the operations", "return document.querySelectorAll('.opblock-post').length > 0");
    for link in ["../", "../openapi.json", "../metrics"] {
        assert!(
            browser
                .run(&format!("return document.querySelector('nav a[href={link:?}]').href"))
                .to_string()
                .contains(&url)
        );
    }
    let id = unique("tried");
    browser.click(".opblock-post .opblock-summary-control");
    browser.wait_for(
        "the form",
        "return document.querySelector('.opblock-post .body-param__text, .opblock-post .try-out__btn') !== null",
    );
    if browser.run("return document.querySelector('.opblock-post .try-out__btn:not(.cancel)') !== null") == json!(true)
    {
        browser.click(".opblock-post .try-out__btn");
    }
    browser.fill(".opblock-post textarea.body-param__text", &record(&id, "n", "s", "2023-08-01").to_string());
    browser.click(".opblock-post button.execute");
    let status =
        "return document.querySelector('.opblock-post .live-responses-table tbody .response-col_status')?.innerText";
    assert!(browser.wait_for("the answer", status).to_string().contains("200"));
    below().get(&format!("{BASE}{API}/search?id={id}")).expect(200);
    let requested: Vec<_> = browser.requested().into_iter().filter(|url| url.starts_with("http")).collect();
    assert!(requested.iter().any(|request| request.ends_with("/create")), "{requested:#?}");
    assert!(requested.iter().all(|request| request.starts_with(&url)), "{requested:#?}");
}
