//! A headless Chromium, driven through ChromeDriver.
//!
//! Policy: the browser can reach only loopback addresses (all other names fail to resolve, and all other addresses go to
//! a proxy that does not exist), so a page that needs the internet fails its test.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Connection, Request, Response};
use super::{Scratch, free_port, reaper, within};

/// A browser with one window.
pub(crate) struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    _profile: Scratch,
}

impl Browser {
    /// Starts ChromeDriver and, through it, Chromium with an empty profile.
    pub(crate) fn start() -> Self {
        let port = free_port();
        let profile = Scratch::new("chromium");
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is needed: run `apt-get install chromium chromium-driver`");
        reaper::register(driver.id());
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut browser = Self { driver, address, session: String::new(), _profile: profile };
        within(Duration::from_secs(60), "chromedriver answers", || {
            let answer =
                Connection::open(address).ok()?.send(&Request::get("/status").header("Host", "127.0.0.1")).ok()?;
            (answer.status == 200).then_some(())
        });
        browser.open_session();
        browser
    }

    fn open_session(&mut self) {
        let flags = [
            "--headless".to_owned(),
            "--no-sandbox".into(),
            "--disable-gpu".into(),
            "--disable-quic".into(),
            "--disable-dev-shm-usage".into(),
            "--disable-background-networking".into(),
            "--disable-component-update".into(),
            "--disable-default-apps".into(),
            "--disable-sync".into(),
            "--no-first-run".into(),
            "--window-size=1400,2200".into(),
            "--proxy-server=127.0.0.1:9".into(),
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1".into(),
            format!("--user-data-dir={}", self._profile.path().join("profile").display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": flags},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let answer = self.call("POST", "/session", Some(wanted)).expect(200).json();
        self.session = answer["value"]["sessionId"].as_str().expect("a session has an id").to_owned();
    }

    fn call(&self, method: &str, path: &str, body: Option<Value>) -> Response {
        let mut request = Request::new(method, path).header("Host", "127.0.0.1");
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        let answer = Connection::open(self.address).and_then(|mut connection| connection.send(&request));
        answer.unwrap_or_else(|error| panic!("chromedriver: {method} {path}: {error}"))
    }

    fn in_session(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let path = format!("/session/{}/{path}", self.session);
        self.call(method, &path, body).expect(200).json()["value"].take()
    }

    /// Loads a page and waits for its `load` event.
    pub(crate) fn open(&self, url: &str) {
        self.in_session("POST", "url", Some(json!({"url": url})));
    }

    /// The URL of the page.
    pub(crate) fn url(&self) -> String {
        self.in_session("GET", "url", None).as_str().unwrap_or_default().to_owned()
    }

    /// Runs the body of a JavaScript function in the page and returns what it returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.in_session("POST", "execute/sync", Some(json!({"script": script, "args": []})))
    }

    /// Waits until the body of a JavaScript function returns a true value.
    pub(crate) fn wait_for(&self, what: &str, script: &str) -> Value {
        within(Duration::from_secs(60), what, || {
            let value = self.run(script);
            (value != Value::Null && value != json!(false) && value != json!("")).then_some(value)
        })
    }

    /// Clicks the first element that matches a CSS selector, as a user would.
    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.in_session("POST", &format!("element/{element}/click"), Some(json!({})));
    }

    /// Replaces the text of the first element that matches a CSS selector, by typing.
    pub(crate) fn fill(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.in_session("POST", &format!("element/{element}/clear"), Some(json!({})));
        self.in_session("POST", &format!("element/{element}/value"), Some(json!({"text": text})));
    }

    fn element(&self, selector: &str) -> String {
        let quoted = json!(selector);
        self.wait_for(selector, &format!("return document.querySelector({quoted}) !== null"));
        let found = self.in_session("POST", "element", Some(json!({"using": "css selector", "value": selector})));
        let id = found.as_object().and_then(|object| object.values().next()).and_then(Value::as_str);
        id.expect("an element has a reference").to_owned()
    }

    /// The console messages since the last call.
    pub(crate) fn console(&self) -> Vec<String> {
        self.log("browser").iter().map(Value::to_string).collect()
    }

    /// The URLs that the browser has requested since the last call.
    pub(crate) fn requested(&self) -> Vec<String> {
        let url = |entry: &Value| -> Option<String> {
            let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &event["message"];
            (message["method"] == "Network.requestWillBeSent")
                .then(|| message["params"]["request"]["url"].as_str().map(str::to_owned))?
        };
        self.log("performance").iter().filter_map(url).collect()
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.in_session("POST", "se/log", Some(json!({"type": kind})));
        entries.as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let path = format!("/session/{}", self.session);
            let request = Request::new("DELETE", &path).header("Host", "127.0.0.1");
            let _ = Connection::open(self.address).and_then(|mut connection| connection.send(&request));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        reaper::unregister(self.driver.id());
    }
}

/// Serves an empty page on a port of its own, which is another origin of one site, until the test ends.
pub(crate) fn page_of_another_origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().expect("a descriptor can be copied")).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let page = "<!doctype html><title>page</title><link rel=icon href=data:,><body>";
            let _ = write!(
                &stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
                page.len()
            );
        }
    });
    address
}
