//! The pages in a real browser that can reach only the appliance.

use serde_json::json;

use crate::support::{API, Appliance, Browser, record, shared, unique};

const CREATE: &str = ".opblock-post";

/// Schemes of URLs that cause no network request, such as those of the browser's own start page.
const INTERNAL_SCHEMES: [&str; 5] = ["data:", "blob:", "about:", "chrome:", "chrome-untrusted:"];

/// Fails if the page wrote to the console or sent a request to another host.
fn assert_no_errors_and_no_other_host(browser: &Browser, appliance: &Appliance) {
    let console = browser.console();
    assert!(console.is_empty(), "{console:#?}");
    let origin = format!("http://{}/", appliance.address());
    let other_hosts: Vec<_> = browser
        .requested()
        .into_iter()
        .filter(|url| !INTERNAL_SCHEMES.iter().any(|scheme| url.starts_with(scheme)) && !url.starts_with(&origin))
        .collect();
    assert!(other_hosts.is_empty(), "{other_hosts:#?}");
}

#[test]
fn the_page_renders_and_try_it_out_creates_a_record() {
    let browser = Browser::start();
    browser.open(&format!("http://{}/apidocs", shared().address()));
    browser.wait_for("the operations", &format!("return document.querySelectorAll('{CREATE}').length > 0"));
    assert!(browser.url().ends_with("/apidocs/"), "{}", browser.url());
    let text = browser.run("return document.body.innerText").to_string();
    for path in ["/create", "/search", "/search/all", "/health", "/health/detail"] {
        assert!(text.contains(path), "{path}: {text}");
    }
    assert!(!text.contains("Failed to load"), "{text}");

    let id = unique("browser");
    let body = record(&id, "Browser ü", "Present", "2023-08-01");
    browser.click(&format!("{CREATE} .opblock-summary-control"));
    // If there is no button, the form is open already: `tryItOutEnabled` is a setting of the page.
    let button = format!("return document.querySelector('{CREATE} .try-out__btn:not(.cancel)') !== null");
    browser.wait_for(
        "the form",
        &format!("return document.querySelector('{CREATE} .body-param__text, {CREATE} .try-out__btn') !== null"),
    );
    if browser.run(&button) == json!(true) {
        browser.click(&format!("{CREATE} .try-out__btn"));
    }
    browser.fill(&format!("{CREATE} textarea.body-param__text"), &body.to_string());
    browser.click(&format!("{CREATE} button.execute"));
    let status = format!(
        "return document.querySelector('{CREATE} .live-responses-table tbody .response-col_status')?.innerText"
    );
    let status = browser.wait_for("the answer", &status);
    assert!(status.to_string().contains("200"), "{status}");
    let stored = shared().get(&format!("{API}/search?id={id}")).expect(200).json();
    assert_eq!(stored, body);
    assert_no_errors_and_no_other_host(&browser, shared());
}

#[test]
fn the_home_page_is_complete_without_the_internet() {
    let browser = Browser::start();
    browser.open(&format!("http://{}/", shared().address()));
    let text = browser.run("return document.body.innerText").to_string();
    assert!(text.to_lowercase().contains("attendance"), "{text}");
    let links = browser.run("return [...document.links].map(link => link.href)");
    for link in links.as_array().expect("an array").iter().filter_map(|link| link.as_str()) {
        let origin = format!("http://{}", shared().address());
        if let Some(path) = link.strip_prefix(&origin) {
            assert!(shared().get(path).status < 400, "{link} is broken");
        }
    }
    assert_no_errors_and_no_other_host(&browser, shared());
}
