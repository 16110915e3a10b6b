//! `auth: { mode: off }`: everything is as without access control.

use crate::support::accounts::{PASSWORD, Protected, login};
use crate::support::{API, Appliance, Request, record, shared, shared_postgres, unique};

#[test]
fn without_access_control_its_routes_do_not_exist() {
    let unknown = shared().get("/nowhere").expect(404);
    for target in [
        "session",
        "session/password",
        "sessions",
        "sessions/1",
        "tokens",
        "tokens/1",
        "accounts",
        "accounts/a",
        "audit",
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"] {
            let answer = shared().send(&Request::new(method, &format!("{API}/{target}"))).expect(404);
            if method != "HEAD" {
                assert_eq!(answer.body, unknown.body, "{method} {target}");
            }
        }
        shared().get(&format!("{API}/{target}/")).expect(404);
    }
    shared().send(&login("root", PASSWORD)).expect(404);
    let methods = shared().send(&Request::new("OPTIONS", "*")).expect(200);
    assert!(!methods.header("allow").unwrap().contains("PATCH"));
    let document = shared().get("/openapi.json").expect(200).text();
    assert!(!document.contains("securitySchemes") && !document.contains("/accounts"));
}

#[test]
fn without_access_control_credentials_mean_nothing() {
    let id = unique("off");
    shared().post(&format!("{API}/create"), &record(&id, "n", "s", "2023-08-01").to_string()).expect(200);
    let target = format!("{API}/search?id={id}");
    let plain = shared().get(&target).expect(200);
    for (name, value) in [
        ("Authorization", "Basic YTpi"),
        ("Authorization", "Bearer x"),
        ("Cookie", "attendance_session=x; attendance_session=y"),
    ] {
        let answer = shared().send(&Request::get(&target).header(name, value)).expect(200);
        assert_eq!((&answer.body, answer.headers.len()), (&plain.body, plain.headers.len()));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert_eq!(answer.header("vary"), None);
    }
    let token = format!("att_t_{}", "x".repeat(49));
    shared().get(&format!("{target}&token={token}")).expect(200);
    let listed = shared().get(&format!("{API}/records?id={id}")).expect(200).json();
    assert!(listed[0]["created_by"].is_null());
}

#[test]
fn switching_it_off_restores_what_was_without_it() {
    let mut protected = Protected::start("");
    let id = unique("again");
    let create = Request::post_json(&format!("{API}/create"), record(&id, "n", "s", "2023-08-01").to_string());
    protected.as_admin(create).expect(200);
    protected.appliance.stop();
    let file = protected.appliance.settings().scratch().join("settings.yaml");
    let text = std::fs::read_to_string(&file).unwrap().replace("mode: required", "mode: off");
    // The harness writes the configuration again when it starts the appliance, so this one reads it from elsewhere.
    let builder = Appliance::builder().config(&text);
    let appliance = builder.start();
    assert_eq!(appliance.get(&format!("{API}/search?id={id}")).expect(200).header("vary"), None);
    let listed = appliance.get(&format!("{API}/records?id={id}")).expect(200).json();
    assert_eq!(listed[0]["created_by"], "root");
    appliance.get(&format!("{API}/session")).expect(404);
    let (other, day) = (unique("again"), "2023-08-01");
    appliance.post(&format!("{API}/create"), &record(&other, "n", "s", day).to_string()).expect(200);
    assert!(appliance.get(&format!("{API}/records?id={other}")).json()[0]["created_by"].is_null());
}

#[test]
fn switching_it_on_and_off_is_in_the_audit() {
    let database = shared_postgres().create_database();
    let sql = shared_postgres().sql(&database);
    let start = |auth: &str| {
        let builder = Appliance::builder().postgres(shared_postgres(), &database);
        builder.config(&format!("auth: {{ {auth} }}\n")).start().stop();
        sql.value(
            "SELECT string_agg(concat_ws('/', details->>'auth.mode', details->>'auth.metrics'), ' ' ORDER BY id) \
             FROM attendance_api.audit WHERE action = 'settings_changed'",
        )
    };
    assert_eq!(start("mode: off"), "", "it was never on");
    assert_eq!(start("mode: required"), "required/open");
    assert_eq!(start("mode: required"), "required/open", "nothing has changed");
    assert_eq!(start("mode: off"), "required/open off/open");
    assert_eq!(start("mode: off"), "required/open off/open");
    assert_eq!(start("mode: required"), "required/open off/open required/open");
    assert_eq!(start("mode: required, metrics: token"), "required/open off/open required/open required/token");
}
