//! Sessions in a real browser: the cookie, requests from pages of other origins, and "Authorize" in Swagger UI.

use serde_json::{Value, json};

use crate::support::accounts::{PASSWORD, Protected, bearing};
use crate::support::{API, Browser, Request, eventually, page_of_another_origin, record, unique};

/// What `fetch` in the page gives: the status and the body, or `error`.
fn fetch(browser: &Browser, url: &str, options: &Value) -> Value {
    let url = json!(url);
    browser.run(&format!(
        "window.result = null; fetch({url}, {options}).then(async r => ({{status: r.status, body: await r.text()}})).catch(() => 'error').then(r => window.result = r)"
    ));
    browser.wait_for("the answer to a fetch", "return window.result")
}

/// Logs the browser in from a page of the appliance itself.
fn log_in(browser: &Browser, protected: &Protected, name: &str) {
    let origin = format!("http://{}", protected.appliance.address());
    browser.open(&format!("{origin}/"));
    let body = json!({"username": name, "password": PASSWORD}).to_string();
    let options = json!({"method": "POST", "headers": {"Content-Type": "application/json"}, "body": body});
    // The policy of the home page allows requests to its own origin.
    let answer = fetch(browser, &format!("{origin}{API}/session"), &options);
    assert_eq!(answer["status"], 200, "{answer}");
    assert!(!answer["body"].as_str().unwrap().contains("att_s_"), "a script must not get the session: {answer}");
    assert_eq!(browser.run("return document.cookie"), "");
    let own = fetch(browser, &format!("{origin}{API}/session"), &json!({}));
    assert!(own["status"] == 200 && own["body"].as_str().unwrap().contains(name), "{own}");
}

/// The status of the request that the appliance has logged for a method and a target since `seen` lines.
fn logged_status(protected: &Protected, seen: usize, method: &str, part: &str) -> Value {
    eventually("the request of the page is logged", || {
        let lines = protected.appliance.log();
        let wanted = |line: &&Value| {
            line.get("status_code").is_some() && line.to_string().contains(&format!("{method} {API}/{part}"))
        };
        lines.iter().skip(seen).find(wanted).map(|line| line["status_code"].clone())
    })
}

#[test]
fn a_page_of_another_origin_cannot_act_for_the_user_of_the_browser() {
    let protected = Protected::start("");
    let (browser, stranger) = (Browser::start(), page_of_another_origin());
    log_in(&browser, &protected, "root");
    let api = format!("http://{}{API}", protected.appliance.address());
    // Another port of a host belongs to its site, so the browser sends the cookie.
    let open = || browser.open(&format!("http://{stranger}/"));
    let id = unique("csrf");
    let body = record(&id, "n", "s", "2023-08-01").to_string();

    open();
    let seen = protected.appliance.log().len();
    // Without a preflight, and with a body that is JSON.
    let plain = json!({"method": "POST", "mode": "no-cors", "credentials": "include", "headers": {"Content-Type": "text/plain"}, "body": body});
    fetch(&browser, &format!("{api}/create"), &plain);
    assert_eq!(logged_status(&protected, seen, "POST", "create"), 403);
    // With a preflight, which is not allowed.
    let json_body = json!({"method": "POST", "credentials": "include", "headers": {"Content-Type": "application/json"}, "body": body});
    assert_eq!(fetch(&browser, &format!("{api}/create"), &json_body), "error");
    let log_out = json!({"method": "DELETE", "credentials": "include"});
    assert_eq!(fetch(&browser, &format!("{api}/session"), &log_out), "error");

    // A form that a page sends by itself; its content type makes the body nearly any text.
    for (target, text) in [("create", body), ("session", json!({"username": "root", "password": PASSWORD}).to_string())]
    {
        open();
        let seen = protected.appliance.log().len();
        let (name, value) = text.split_at(text.len() - 1);
        browser.run(&format!(
            "const form = document.createElement('form'); form.method = 'POST'; form.enctype = 'text/plain'; form.action = {}; \
             const input = document.createElement('input'); input.name = {}; input.value = {}; form.append(input); \
             document.body.append(form); setTimeout(() => form.submit(), 0)",
            json!(format!("{api}/{target}")),
            json!(name),
            json!(value)
        ));
        assert_eq!(logged_status(&protected, seen, "POST", target), 403, "{target}");
    }

    // An image is a GET, which changes nothing, and whose answer the page cannot read.
    open();
    let seen = protected.appliance.log().len();
    browser.run(&format!(
        "const image = new Image(); image.src = {}; document.body.append(image)",
        json!(format!("{api}/session"))
    ));
    logged_status(&protected, seen, "GET", "session");
    assert_eq!(fetch(&browser, &format!("{api}/search/all"), &json!({"credentials": "include"})), "error");

    protected.as_admin(Request::get(&format!("{API}/search?id={id}"))).expect(404);
    // The session of the browser has survived all of it.
    browser.open(&format!("http://{}/", protected.appliance.address()));
    assert_eq!(fetch(&browser, &format!("{api}/session"), &json!({}))["status"], 200);
    let create = fetch(&browser, &format!("{api}/create"), &json_body);
    assert_eq!(create["status"], 200, "the page of the server itself may: {create}");
}

#[test]
fn authorize_in_swagger_makes_requests_with_the_token() {
    let protected = Protected::start("");
    let browser = Browser::start();
    let url = format!("http://{}/apidocs/", protected.appliance.address());
    browser.open(&url);
    browser.wait_for("the button", "return document.querySelector('.auth-wrapper .authorize') !== null");
    browser.click(".auth-wrapper .authorize");
    browser.fill("#auth-bearer-value", &protected.token("reader", ""));
    browser.click(".modal-ux .auth-btn-wrapper button.authorize");
    browser.click(".modal-ux .auth-btn-wrapper button.btn-done");
    let operation = "[id$=\"showSession\"]";
    browser.click(&format!("{operation} .opblock-summary-control"));
    browser.wait_for(
        "the form",
        &format!("return document.querySelector('{operation} button.execute, {operation} .try-out__btn') !== null"),
    );
    if browser.run(&format!("return document.querySelector('{operation} button.execute') === null")) == json!(true) {
        browser.click(&format!("{operation} .try-out__btn"));
    }
    browser.click(&format!("{operation} button.execute"));
    let answer = browser.wait_for(
        "the answer",
        &format!("return document.querySelector('{operation} .live-responses-table tbody')?.innerText"),
    );
    assert!(answer.to_string().contains("200") && answer.to_string().contains("reader"), "{answer}");
    protected.appliance.send(&bearing(Request::get(&format!("{API}/session")), &protected.admin)).expect(200);
}
