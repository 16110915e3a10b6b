//! `auth: { mode: required }`: which role may use which route, what is open, and how a refusal looks.

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::accounts::{Protected, ROLES, bearing, message};
use crate::support::{API, Appliance, Request, Response, record, shared_postgres, unique};

fn protected() -> &'static Protected {
    static SHARED: OnceLock<Protected> = OnceLock::new();
    SHARED.get_or_init(|| Protected::start(", metrics: token|"))
}

/// The operations of the document: method, path, and the least powerful role that may use it; none if it is open.
fn operations(document: &Value) -> Vec<(String, String, Option<String>)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("there are paths") {
        for (method, operation) in item.as_object().expect("a path has methods") {
            let forbidden = operation["responses"]["403"]["description"].as_str().unwrap_or_default().to_owned();
            let role = forbidden.split('`').nth(1).map(str::to_owned);
            operations.push((method.to_uppercase(), path.clone(), role));
        }
    }
    operations
}

/// Whether a role may do what another one may.
fn includes(role: &str, least: &str) -> bool {
    let rank = |role: &str| ROLES.iter().position(|known| *known == role).expect("a role");
    match (role, least) {
        ("metrics", _) | (_, "metrics") => role == least,
        _ => rank(role) >= rank(least),
    }
}

/// A request that an operation refuses for another reason than its credentials: nothing is changed, and 401 and 403 are told apart from all else.
fn harmless(method: &str, path: &str) -> Request {
    let path = path.replace("{id}", "none").replace("{date}", "2020-01-01").replace("{username}", "nobody");
    let request = Request::new(method, &format!("{path}?not-a-parameter=1"));
    if ["POST", "PUT", "PATCH"].contains(&method) {
        request.header("Content-Type", "application/json").body("not JSON")
    } else {
        request
    }
}

#[test]
fn each_role_may_use_the_routes_of_its_permission_and_no_others() {
    let protected = protected();
    let document = protected.appliance.get("/openapi.json").expect(200).json();
    let operations = operations(&document);
    assert!(operations.iter().filter(|(_, _, role)| role.is_some()).count() > 30, "{operations:?}");
    for (method, path, least) in &operations {
        let least = least.as_deref();
        let request = harmless(method, path);
        let without = protected.appliance.send(&request);
        match least {
            Some(_) => {
                assert_eq!(without.status, 401, "{method} {path}");
                assert_eq!(without.header("www-authenticate"), Some("Bearer"), "{method} {path}");
                assert_eq!(without.header("vary"), Some("Authorization, Cookie"), "{method} {path}");
                assert_eq!(without.json()["error"], "Unauthorized");
            }
            None => assert!(![401, 403].contains(&without.status), "{method} {path}: {}", without.status),
        }
        for role in ROLES {
            let token = protected.token(role, "1");
            let answer = protected.appliance.send(&bearing(request.clone(), &token));
            let is_allowed = least.is_none_or(|least| includes(role, least));
            assert_eq!(answer.status != 403, is_allowed, "{role} {method} {path}: {}", answer.status);
            assert!(answer.status != 401 && answer.status < 500, "{role} {method} {path}: {}", answer.status);
            if let (false, Some(least)) = (is_allowed, least) {
                let expected = format!("This needs the role `{least}`; the role of these credentials is `{role}`.");
                assert_eq!(message(&answer), expected);
            }
        }
    }
}

#[test]
fn what_everyone_may_see_needs_no_credentials_and_ignores_wrong_ones() {
    let protected = protected();
    for target in ["/livez", "/readyz", "/", "/apidocs/", "/openapi.json", "/apispec_1.json", "/favicon.ico"] {
        let plain = protected.appliance.get(target).expect(200);
        assert!(!plain.header("vary").unwrap_or_default().contains("Authorization"), "{target}");
        protected.appliance.send(&Request::get(target).header("Authorization", "Basic YTpi")).expect(200);
    }
    protected.appliance.get(&format!("{API}/health")).expect(200);
    protected.appliance.get("/apidocs").expect(308);
    protected.appliance.get("/nowhere").expect(404);
    protected.appliance.get(&format!("{API}/search/")).expect(308);
    protected.appliance.send(&Request::new("DELETE", &format!("{API}/search"))).expect(405);
    protected.appliance.send(&Request::new("OPTIONS", &format!("{API}/accounts"))).expect(200);
    protected.appliance.send(&Request::new("OPTIONS", "*")).expect(200);
    // HEAD needs what GET needs, in each spelling of the path.
    for target in [format!("{API}/search?id=1"), format!("{API}/s%65arch?id=1"), format!("{API}/accounts")] {
        protected.appliance.send(&Request::new("HEAD", &target)).expect(401);
    }
}

#[test]
fn the_health_has_its_four_members_for_everyone_and_the_rest_for_accounts() {
    let protected = protected();
    let target = format!("{API}/health/detail");
    let members = |answer: Response| -> Vec<String> { answer.json().as_object().unwrap().keys().cloned().collect() };
    let few = ["message", "postgresql", "redis", "status"];
    let stranger = protected.appliance.get(&target).expect(200);
    assert_eq!(stranger.header("vary"), Some("Authorization, Cookie"));
    let mut found = members(stranger);
    found.sort();
    assert_eq!(found, few);
    for authorization in ["Bearer x".to_owned(), format!("Bearer {}", protected.token("metrics", ""))] {
        let answer = protected.appliance.send(&Request::get(&target).header("Authorization", &authorization));
        assert_eq!(members(answer.expect(200)).len(), few.len(), "{authorization}");
    }
    let full = members(protected.appliance.send(&bearing(Request::get(&target), &protected.token("reader", ""))));
    assert!(full.len() > few.len() && full.contains(&"details".to_owned()), "{full:?}");
}

#[test]
fn the_metrics_are_open_unless_they_need_a_token() {
    let open = Protected::start("");
    open.appliance.get("/metrics").expect(200);
    open.appliance.send(&Request::get("/metrics").header("Authorization", "Bearer x")).expect(200);
    protected().appliance.get("/metrics").expect(401);
    assert!(message(&protected().as_admin(Request::get("/metrics")).expect(403)).contains("`metrics`"));
    protected().appliance.send(&bearing(Request::get("/metrics"), &protected().token("metrics", ""))).expect(200);
}

#[test]
fn answers_are_for_their_client_only_and_are_not_used_without_revalidation() {
    let protected = protected();
    let id = unique("private");
    let create = Request::post_json(&format!("{API}/create"), record(&id, "n", "s", "2023-08-01").to_string());
    protected.as_admin(create).expect(200);
    for target in [format!("{API}/search?id={id}"), format!("{API}/search/all?id={id}"), format!("{API}/calendar")] {
        let first = protected.as_admin(Request::get(&target)).expect(200);
        let etag = first.header("etag").expect("a read has an entity tag").to_owned();
        let again = protected.as_admin(Request::get(&target)).expect(200);
        let unchanged = protected.as_admin(Request::get(&target).header("If-None-Match", &etag)).expect(304);
        assert_eq!(first.body, again.body);
        for answer in [first, again, unchanged] {
            assert_eq!(answer.header("cache-control"), Some("private, no-cache"), "{target}");
            let vary: Vec<&str> =
                answer.headers.iter().filter(|(name, _)| name == "vary").map(|(_, value)| value.as_str()).collect();
            assert!(vary.join(", ").contains("Authorization, Cookie"), "{target} {vary:?}");
        }
        assert_eq!(protected.as_admin(Request::new("HEAD", &target)).expect(200).header("etag"), Some(&*etag));
    }
}

#[test]
fn credentials_are_checked_before_the_body_is_read() {
    let protected = protected();
    let mut connection = protected.appliance.connect();
    // The body never comes.
    let head = "Host: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n";
    connection.write(format!("POST {API}/create HTTP/1.1\r\n{head}").as_bytes()).unwrap();
    let answer = connection.read(false).unwrap().expect(401);
    assert_eq!(answer.header("connection"), Some("close"), "what follows is the rest of a body");
    let mut connection = protected.appliance.connect();
    let token = protected.token("reader", "");
    connection
        .write(format!("POST {API}/create HTTP/1.1\r\nAuthorization: Bearer {token}\r\n{head}").as_bytes())
        .unwrap();
    connection.read(false).unwrap().expect(403);
}

#[test]
fn the_history_names_the_account_that_made_each_change() {
    let protected = protected();
    let (id, day) = (unique("history"), "2023-08-01");
    let (writer, manager) = (protected.account("writer", None), protected.account("manager", None));
    let session = |name: &str| {
        let answer = crate::support::accounts::log_in(&protected.appliance, name, crate::support::accounts::PASSWORD);
        answer.expect(200).json()["token"].as_str().unwrap().to_owned()
    };
    let (as_writer, as_manager) = (session(&writer), session(&manager));
    let create = Request::post_json(&format!("{API}/create"), record(&id, "n", "s", day).to_string());
    protected.appliance.send(&bearing(create, &as_writer)).expect(200);
    let body = json!({"name": "m", "status": "s", "reason": "a mistake"}).to_string();
    let correct =
        Request::new("PUT", &format!("{API}/records/{id}/{day}")).header("Content-Type", "application/json").body(body);
    protected.appliance.send(&bearing(correct, &as_manager)).expect(200);
    let listed = protected.as_admin(Request::get(&format!("{API}/records?id={id}"))).expect(200).json();
    assert_eq!(listed[0]["created_by"], writer);
    let history = protected.as_admin(Request::get(&format!("{API}/records/{id}/{day}/history"))).expect(200).json();
    let by: Vec<&Value> = history.as_array().unwrap().iter().map(|entry| &entry["by"]).collect();
    assert_eq!(by, [&json!(writer), &json!(manager)], "{history}");
    // A batch stores the account of each record.
    let creates: Vec<_> = (0..20)
        .map(|number| {
            let create = Request::post_json(
                &format!("{API}/create"),
                record(&format!("{id}-{number}"), "n", "s", day).to_string(),
            );
            let credential = if number % 2 == 0 { &as_writer } else { &as_manager };
            let mut connection = protected.appliance.connect();
            connection.begin(&bearing(create, credential)).unwrap();
            connection
        })
        .collect();
    for mut connection in creates {
        connection.read(false).unwrap().expect(200);
    }
    for number in 0..20 {
        let listed = protected.as_admin(Request::get(&format!("{API}/records?id={id}-{number}"))).expect(200).json();
        assert_eq!(listed[0]["created_by"], if number % 2 == 0 { &*writer } else { &*manager });
    }
}

#[test]
fn an_erasure_is_in_the_audit_without_the_person() {
    let protected = protected();
    let id = unique("erased");
    let erase = Request::new("DELETE", &format!("{API}/employees/{id}/data?reason=asked"));
    protected.as_admin(erase).expect(200);
    let audit = protected.as_admin(Request::get(&format!("{API}/audit?action=person_erased&limit=1"))).expect(200);
    assert_eq!(audit.json()[0]["by"], "root");
    assert!(!audit.text().contains(&id), "the audit must not name the person");
}

#[test]
fn a_first_start_without_an_account_serves_and_says_how_to_make_one() {
    let database = shared_postgres().create_database();
    let builder = Appliance::builder().postgres(shared_postgres(), &database);
    let appliance = builder.config("auth: { mode: required }\n").start();
    appliance.wait_log("how to make an account", |line| line.to_string().contains("account add"));
    appliance.get("/livez").expect(200);
    appliance.get(&format!("{API}/search?id=1")).expect(401);
}
