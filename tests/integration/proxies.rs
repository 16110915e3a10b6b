//! `server.trusted_proxies`: the client that the log names for a request that a proxy passed on.

use nix::sys::signal::Signal;

use crate::support::{Appliance, Request, eventually, shared, shared_postgres, signal, unique};

fn behind(trusted: &str) -> Appliance {
    let database = shared_postgres().create_database();
    let settings = Appliance::builder().postgres(shared_postgres(), &database).config("redis: { mode: off }\n");
    settings.config(&format!("server: {{ trusted_proxies: {trusted} }}\n")).start()
}

/// The client that the log names for a request from 127.0.0.1 with these headers.
fn logged(appliance: &Appliance, headers: &[(&str, &str)]) -> String {
    let id = unique("client");
    let request = Request::get("/livez").header("X-Request-Id", &id);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    appliance.send(&request).expect(200);
    appliance.access(&id)["remote_address"].as_str().expect("an address").to_owned()
}

#[test]
fn the_log_has_the_client_that_a_trusted_proxy_names() {
    let appliance = behind("[192.0.2.0/24, 127.0.0.1]");
    for (headers, expected) in [
        (vec![], "127.0.0.1"),
        (vec![("X-Forwarded-For", "203.0.113.9")], "203.0.113.9"),
        (vec![("X-Forwarded-For", "6.6.6.6, 203.0.113.9, 192.0.2.77")], "203.0.113.9"),
        (vec![("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "203.0.113.9")], "203.0.113.9"),
        (vec![("Forwarded", "for=6.6.6.6, for=\"[2001:db8::9]:4711\";proto=https")], "2001:db8::9"),
        (vec![("X-Forwarded-For", "203.0.113.9, \"><script>")], "127.0.0.1"),
        (vec![("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=6.6.6.6")], "127.0.0.1"),
    ] {
        assert_eq!(logged(&appliance, &headers), expected, "{headers:?}");
    }
}

#[test]
fn an_untrusted_peer_cannot_claim_to_be_another_client() {
    let claims = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https"), ("Forwarded", "for=203.0.113.9")];
    assert_eq!(logged(shared(), &claims), "127.0.0.1");
    assert!(shared().send(&Request::get("/").header("X-Forwarded-Proto", "https")).text().contains("curl http://"));
    assert_eq!(logged(&behind("127.0.0.2/32"), &claims), "127.0.0.1");
}

#[test]
fn the_examples_of_the_home_page_have_the_protocol_of_the_client() {
    let appliance = behind("\"127.0.0.0/8, ::1\"");
    let page = |proto: &str| appliance.send(&Request::get("/").header("X-Forwarded-Proto", proto)).expect(200).text();
    assert!(page("https").contains("curl https://attendance.test/"));
    assert!(page("http").contains("curl http://attendance.test/"));
}

#[test]
fn the_proxies_change_without_a_restart() {
    let appliance = behind("[192.0.2.1]");
    let claim = [("X-Forwarded-For", "203.0.113.9")];
    assert_eq!(logged(&appliance, &claim), "127.0.0.1");
    let file = appliance.settings().scratch().join("settings.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("[192.0.2.1]", "127.0.0.0/8")).unwrap();
    signal(appliance.pid(), Signal::SIGHUP);
    eventually("the proxy is trusted", || (logged(&appliance, &claim) == "203.0.113.9").then_some(()));
}
