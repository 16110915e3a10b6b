//! Sessions and tokens over HTTP: login, logout, cookies and their flags, CSRF rules, passwords, tokens, accounts, and the audit.

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::accounts::{
    PASSWORD, Protected, bearing, cookie, log_in, log_in_from_elsewhere, login, make_token, message,
};
use crate::support::{API, Connection, Request, Response, record, unique};

fn protected() -> &'static Protected {
    static SHARED: OnceLock<Protected> = OnceLock::new();
    SHARED.get_or_init(|| Protected::start(""))
}

fn session_target() -> String {
    format!("{API}/session")
}

fn token_of(answer: &Response) -> String {
    answer.json()["token"].as_str().expect("the answer has the session").to_owned()
}

fn send(request: Request) -> Response {
    protected().appliance.send(&request)
}

fn with_cookie(request: Request, cookie: &str) -> Request {
    request.header("Cookie", cookie).header("Sec-Fetch-Site", "same-origin")
}

#[test]
fn a_login_gives_a_session_that_works_as_a_header_and_as_a_cookie() {
    let name = protected().account("employee", Some("7"));
    let answer = log_in(&protected().appliance, &name.to_uppercase(), PASSWORD).expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    let account = json!({"username": name, "role": "employee", "employee_id": "7"});
    assert_eq!(body["account"], account);
    assert!(body["expires_at"].as_str().unwrap().ends_with('Z'));
    let token = token_of(&answer);
    assert!(token.starts_with("att_s_") && token.len() == 55, "{} characters", token.len());
    let (pair, attributes) = cookie(&answer);
    assert_eq!(pair, format!("attendance_session={token}"));
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Strict");
    for request in
        [bearing(Request::get(&session_target()), &token), Request::get(&session_target()).header("Cookie", &pair)]
    {
        assert_eq!(send(request).expect(200).json(), account);
    }
    // A token of a machine is no cookie, and a session in the header comes before the cookie.
    let machine = make_token(&protected().appliance, &token, "employee");
    send(Request::get(&session_target()).header("Cookie", &format!("attendance_session={machine}"))).expect(401);
    let both = bearing(Request::get(&session_target()), "att_s_wrong").header("Cookie", &pair);
    send(both).expect(401);
}

#[test]
fn unknown_names_wrong_passwords_and_disabled_accounts_have_one_answer() {
    let protected = Protected::start("");
    let disabled = protected.account("reader", None);
    let patch = Request::new("PATCH", &format!("{API}/accounts/{disabled}")).header("Content-Type", "application/json");
    protected.as_admin(patch.body(r#"{"disabled":true}"#)).expect(200);
    let answers: Vec<Response> = [("no-such-name", PASSWORD), (&disabled, PASSWORD), ("root", "another passphrase")]
        .into_iter()
        .map(|(name, password)| log_in_from_elsewhere(&protected.appliance, name, password).expect(401))
        .collect();
    for answer in &answers {
        assert_eq!(answer.body, answers[0].body);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert_eq!(answer.header("set-cookie"), None);
    }
}

#[test]
fn a_browser_gets_the_cookie_and_not_the_session_itself() {
    let name = protected().account("reader", None);
    let answer = send(login(&name, PASSWORD).header("Sec-Fetch-Site", "same-origin")).expect(200);
    assert!(answer.json().get("token").is_none(), "{}", answer.text());
    let (pair, _) = cookie(&answer);
    send(Request::get(&session_target()).header("Cookie", &pair)).expect(200);
    assert!(!answer.text().contains(pair.split('=').nth(1).unwrap()));
}

#[test]
fn a_login_never_adopts_a_session_and_ends_the_one_of_its_cookie() {
    let name = protected().account("reader", None);
    let fixed = format!("attendance_session=att_s_{}", "A".repeat(49));
    let answer = send(with_cookie(login(&name, PASSWORD), &fixed)).expect(200);
    let (first, _) = cookie(&answer);
    assert_ne!(first, fixed);
    let (second, _) = cookie(&send(with_cookie(login(&name, PASSWORD), &first)).expect(200));
    assert_ne!(first, second);
    send(Request::get(&session_target()).header("Cookie", &first)).expect(401);
    send(Request::get(&session_target()).header("Cookie", &second)).expect(200);
    // A failed login leaves the session alone.
    let protected = Protected::start("");
    let name = protected.account("reader", None);
    let (second, _) = cookie(&log_in(&protected.appliance, &name, PASSWORD).expect(200));
    let send = |request: Request| protected.appliance.send(&request);
    send(with_cookie(login(&name, "another passphrase"), &second)).expect(401);
    send(Request::get(&session_target()).header("Cookie", &second)).expect(200);
}

#[test]
fn a_session_cannot_be_used_after_the_logout() {
    let session = protected().session("reader", None);
    let mut connection = protected().appliance.connect();
    let read = bearing(Request::get(&format!("{API}/calendar")), &session);
    for _ in 0..3 {
        connection.send(&read).unwrap().expect(200);
    }
    let answer = send(bearing(Request::new("DELETE", &session_target()), &session)).expect(204);
    assert!(cookie(&answer).1.contains("Max-Age=0"));
    connection.send(&read).unwrap().expect(401);
    send(bearing(Request::new("DELETE", &session_target()), &session)).expect(401);
    send(Request::get(&session_target()).header("Cookie", &format!("attendance_session={session}"))).expect(401);
    let token = protected().token("reader", "");
    send(bearing(Request::new("DELETE", &session_target()), &token)).expect(404);
}

#[test]
fn an_account_lists_and_ends_its_own_sessions_only() {
    let (name, other) = (protected().account("reader", None), protected().session("reader", None));
    let sessions: Vec<String> =
        (0..3).map(|_| token_of(&send(login(&name, PASSWORD).header("User-Agent", "a client")).expect(200))).collect();
    let listed = send(bearing(Request::get(&format!("{API}/sessions")), &sessions[1])).expect(200).json();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!(listed.iter().filter(|session| session["current"] == true).count(), 1);
    assert!(listed.iter().all(|session| session["address"] == "127.0.0.1" && session["user_agent"] == "a client"));
    let end = |id: &Value, credential: &str| {
        send(bearing(Request::new("DELETE", &format!("{API}/sessions/{id}")), credential))
    };
    let newest = &listed[0]["id"];
    end(newest, &other).expect(404);
    end(&json!(0), &sessions[1]).expect(404);
    send(bearing(Request::new("DELETE", &format!("{API}/sessions/x")), &sessions[1])).expect(404);
    end(newest, &sessions[1]).expect(204);
    send(bearing(Request::get(&session_target()), &sessions[2])).expect(401);
    send(bearing(Request::get(&session_target()), &sessions[0])).expect(200);
    assert!(!send(bearing(Request::get(&format!("{API}/sessions")), &sessions[1])).text().contains("att_"));
}

#[test]
fn a_change_of_the_password_ends_the_other_sessions_and_no_tokens() {
    let name = protected().account("writer", None);
    let log_in_again = || token_of(&log_in(&protected().appliance, &name, PASSWORD).expect(200));
    let (own, other) = (log_in_again(), log_in_again());
    let token = make_token(&protected().appliance, &own, "writer");
    let change = |old: &str, new: &str| {
        let body = json!({"old": old, "new": new}).to_string();
        let request =
            Request::new("PUT", &format!("{API}/session/password")).header("Content-Type", "application/json");
        send(bearing(request.body(body), &own))
    };
    change("not the password", "a new passphrase of mine").expect(403);
    for (wrong, part) in
        [("short", "at least 12"), (&*"x".repeat(257), "at most 256"), ("password1234", "guessed first")]
    {
        let answer = change(PASSWORD, wrong).expect(400).json();
        assert_eq!(answer["details"][0]["field"], "new");
        assert!(answer["details"][0]["problem"].as_str().unwrap().contains(part), "{answer}");
    }
    change(PASSWORD, "a new passphrase of mine").expect(204);
    for (credential, status) in [(&own, 200), (&other, 401), (&token, 200)] {
        send(bearing(Request::get(&session_target()), credential)).expect(status);
    }
    log_in_from_elsewhere(&protected().appliance, &name, PASSWORD).expect(401);
    log_in(&protected().appliance, &name, "a new passphrase of mine").expect(200);
}

#[test]
fn the_cookie_says_over_which_connection_it_may_travel() {
    let behind = |proxies: &str| Protected::start(&format!("|server: {{ trusted_proxies: {proxies} }}\n"));
    let (trusting, distrusting) = (behind("127.0.0.0/8"), behind("192.0.2.0/24"));
    let log_in = |protected: &Protected, proto: &str| {
        cookie(&protected.appliance.send(&login("root", PASSWORD).header("X-Forwarded-Proto", proto)).expect(200))
    };
    let (secure, attributes) = log_in(&trusting, "https");
    assert!(secure.starts_with("__Host-attendance_session=att_s_"), "{secure}");
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Strict; Secure");
    let show = |cookie: &str, proto: &str| {
        let request = Request::get(&session_target()).header("Cookie", cookie).header("X-Forwarded-Proto", proto);
        trusting.appliance.send(&request).status
    };
    assert_eq!(show(&secure, "https"), 200);
    // A cookie without the prefix may have been set by another host of the domain.
    assert_eq!(show(secure.trim_start_matches("__Host-"), "https"), 401);
    assert_eq!(show(&secure, "http"), 401);
    for (protected, proto) in [(&trusting, "http"), (&distrusting, "https")] {
        let (plain, attributes) = log_in(protected, proto);
        assert!(plain.starts_with("attendance_session="), "{plain}");
        assert!(!attributes.contains("Secure"));
    }
}

#[test]
fn the_path_of_the_cookie_does_not_depend_on_the_base_path() {
    let protected = Protected::start("|server: { base_path: /attendance }\n");
    let login = Request::post_json(
        &format!("/attendance{API}/session"),
        json!({"username": "root", "password": PASSWORD}).to_string(),
    );
    let (pair, attributes) = cookie(&protected.appliance.send(&login).expect(200));
    assert!(attributes.starts_with("Path=/;"), "{attributes}");
    for target in [format!("/attendance{API}/session"), session_target()] {
        protected.appliance.send(&Request::get(&target).header("Cookie", &pair)).expect(200);
    }
    let body = json!({"name": "t", "role": "reader"}).to_string();
    let made = protected.as_admin(Request::post_json(&format!("/attendance{API}/tokens"), body)).expect(201);
    assert!(made.header("location").unwrap().starts_with(&format!("/attendance{API}/tokens/")));
}

#[test]
fn a_request_that_changes_something_with_a_cookie_must_come_from_this_origin() {
    let allowing = Protected::start("|server: { cors: { origins: [http://ui:3000], credentials: true } }\n");
    let listing = Protected::start("|server: { cors: { origins: [http://ui:3000] } }\n");
    for (protected, with_credentials) in [(&allowing, true), (&listing, false)] {
        let pair = format!("attendance_session={}", protected.admin);
        let create = |headers: &[(&str, &str)]| {
            let body = record(&unique("csrf"), "n", "s", "2023-08-01").to_string();
            let request = Request::post_json(&format!("{API}/create"), body).header("Cookie", &pair);
            let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
            protected.appliance.send(&request).status
        };
        let ui = if with_credentials { 200 } else { 403 };
        for (headers, status) in [
            (vec![], 403),
            (vec![("Sec-Fetch-Site", "same-origin")], 200),
            (vec![("Sec-Fetch-Site", "same-site")], 403),
            (vec![("Sec-Fetch-Site", "cross-site")], 403),
            (vec![("Sec-Fetch-Site", "none")], 403),
            (vec![("Origin", "http://attendance.test")], 200),
            (vec![("Origin", "http://attendance.test.evil.example")], 403),
            (vec![("Origin", "null")], 403),
            (vec![("Origin", "http://ui:3000"), ("Sec-Fetch-Site", "cross-site")], ui),
            (vec![("Origin", "http://ui:3001"), ("Sec-Fetch-Site", "cross-site")], 403),
        ] {
            assert_eq!(create(&headers), status, "{headers:?} {with_credentials}");
            // A login follows the same rule.
            let request = login("root", PASSWORD).header("Cookie", "attendance_session=x");
            let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
            assert_eq!(protected.appliance.send(&request).status, status, "login {headers:?} {with_credentials}");
        }
        // A read changes nothing, and a session in the header is not added by a browser itself.
        protected.appliance.send(&Request::get(&session_target()).header("Cookie", &pair)).expect(200);
        let body = record(&unique("csrf"), "n", "s", "2023-08-01").to_string();
        let create = Request::post_json(&format!("{API}/create"), body).header("Sec-Fetch-Site", "cross-site");
        protected.as_admin(create).expect(200);
        // A login without a cookie by a browser from elsewhere would log its own account in.
        let stranger = login("root", PASSWORD).header("Sec-Fetch-Site", "cross-site");
        assert_eq!(protected.appliance.send(&stranger).status, 403);
        protected.appliance.send(&login("root", PASSWORD)).expect(200);
    }
}

#[test]
fn a_token_may_do_what_its_role_says_and_never_more_than_its_owner() {
    let manager = protected().session("manager", Some("1"));
    let create = |session: &str, role: &str| {
        let body = json!({"name": "t", "role": role}).to_string();
        send(bearing(Request::post_json(&format!("{API}/tokens"), body), session))
    };
    for (role, status) in
        [("employee", 201), ("reader", 201), ("writer", 201), ("manager", 201), ("metrics", 201), ("admin", 403)]
    {
        let answer = create(&manager, role).expect(status);
        if status == 201 {
            let made = answer.json();
            let location = format!("{API}/tokens/{}", made["id"]);
            assert_eq!(answer.header("location"), Some(&*location));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(made["role"], role);
            let listed = send(bearing(Request::get(&format!("{API}/tokens")), &manager)).expect(200);
            assert!(!listed.text().contains(made["token"].as_str().unwrap()), "a token is shown once");
            let reader = protected().session("reader", None);
            send(bearing(Request::new("DELETE", &location), &reader)).expect(404);
            send(bearing(Request::new("DELETE", &location), &manager)).expect(204);
            send(bearing(Request::get(&session_target()), made["token"].as_str().unwrap())).expect(401);
        }
    }
    let writer = protected().session("writer", None);
    create(&writer, "metrics").expect(403);
    create(&writer, "root").expect(400);
    for (body, field) in [
        (json!({"name": "", "role": "reader"}), "name"),
        (json!({"name": "x".repeat(101), "role": "reader"}), "name"),
        (json!({"name": "t", "role": "reader", "expires_at": "2020-01-01T00:00:00Z"}), "expires_at"),
        (json!({"name": "t", "role": "reader", "expires_at": "-009998-06-01T00:00:00Z"}), "expires_at"),
        (json!({"name": "t", "role": "reader", "expires_at": "tomorrow"}), "expires_at"),
        (json!({"name": "t", "role": "reader", "scope": 1}), "body"),
    ] {
        let answer = send(bearing(Request::post_json(&format!("{API}/tokens"), body.to_string()), &writer)).expect(400);
        assert_eq!(answer.json()["details"][0]["field"], field, "{body}");
    }
    send(bearing(Request::get(&format!("{API}/tokens?scope=all")), &writer)).expect(403);
    let all = send(bearing(Request::get(&format!("{API}/tokens?scope=all")), &protected().admin)).expect(200);
    assert!(!all.text().contains("att_t_"));
}

#[test]
fn a_token_ends_with_the_token_that_made_it() {
    let session = protected().session("reader", None);
    let mut tokens = vec![make_token(&protected().appliance, &session, "reader")];
    for _ in 0..8 {
        tokens.push(make_token(&protected().appliance, &tokens[tokens.len() - 1], "reader"));
    }
    // The chain has an end, so that a revocation goes down a known number of levels.
    let body = json!({"name": "t", "role": "reader"}).to_string();
    let create = |token: &str| send(bearing(Request::post_json(&format!("{API}/tokens"), body.clone()), token));
    let refused = create(&tokens[8]).expect(409);
    assert!(message(&refused).contains("was made with a token"), "{}", refused.text());
    let sibling = create(&tokens[7]).expect(201).json();
    let listed = send(bearing(Request::get(&format!("{API}/tokens")), &session)).expect(200).json();
    let ids: Vec<i64> = listed.as_array().unwrap().iter().rev().map(|token| token["id"].as_i64().unwrap()).collect();
    assert_eq!((ids.len(), ids[9]), (10, sibling["id"].as_i64().unwrap()));
    send(bearing(Request::new("DELETE", &format!("{API}/tokens/{}", ids[3])), &session)).expect(204);
    for (position, token) in tokens.iter().enumerate() {
        let expected = if position < 3 { 200 } else { 401 };
        send(bearing(Request::get(&session_target()), token)).expect(expected);
    }
    send(bearing(Request::get(&session_target()), sibling["token"].as_str().unwrap())).expect(401);
    let entries = protected().as_admin(Request::get(&format!("{API}/audit?action=token_revoked"))).expect(200).json();
    let entry = entries.as_array().unwrap().iter().find(|entry| entry["details"]["token"] == ids[3]).unwrap();
    assert_eq!(entry["details"]["made_with_it"], json!(ids[4..]));
}

#[test]
fn a_list_of_tokens_has_pages() {
    let protected = Protected::start("");
    let names: Vec<String> = (0..7).map(|number| format!("token {number}")).collect();
    for name in &names {
        let body = json!({"name": name, "role": "reader"}).to_string();
        protected.as_admin(Request::post_json(&format!("{API}/tokens"), body)).expect(201);
    }
    let foreign = protected.session("reader", None);
    make_token(&protected.appliance, &foreign, "reader");
    for (query, count) in [("", 7), ("limit=1", 7), ("limit=3&scope=own", 7), ("scope=all&limit=3", 8), ("limit=7", 7)]
    {
        let (mut listed, mut next) = (Vec::new(), format!("{API}/tokens?{query}"));
        loop {
            let page = protected.as_admin(Request::get(&next)).expect(200);
            let tokens = page.json().as_array().unwrap().clone();
            assert!(!tokens.is_empty(), "{next}");
            listed.extend(tokens.iter().map(|token| token["name"].as_str().unwrap().to_owned()));
            match page.header("link") {
                Some(link) => next = link.split(['<', '>']).nth(1).unwrap().to_owned(),
                None => break,
            }
        }
        assert_eq!(listed.len(), count, "{query}");
        let own: Vec<&String> = listed.iter().filter(|name| names.contains(name)).collect();
        assert_eq!(own, names.iter().rev().collect::<Vec<_>>(), "{query}");
    }
    for wrong in ["limit=0", "limit=1001", "after=x", "page=2"] {
        protected.as_admin(Request::get(&format!("{API}/tokens?{wrong}"))).expect(400);
    }
}

#[test]
fn a_token_loses_what_its_owner_loses() {
    let name = protected().account("manager", None);
    let session = token_of(&log_in(&protected().appliance, &name, PASSWORD).expect(200));
    let token = make_token(&protected().appliance, &session, "manager");
    let changes = || send(bearing(Request::get(&format!("{API}/changes")), &token)).status;
    let patch = |body: &str| {
        let request =
            Request::new("PATCH", &format!("{API}/accounts/{name}")).header("Content-Type", "application/json");
        protected().as_admin(request.body(body)).expect(200)
    };
    assert_eq!(changes(), 200);
    patch(r#"{"role":"reader"}"#);
    assert_eq!(changes(), 403);
    patch(r#"{"role":"manager"}"#);
    assert_eq!(changes(), 200);
    patch(r#"{"disabled":true}"#);
    assert_eq!(changes(), 401);
    // Enabling the account restores neither its sessions nor its tokens.
    patch(r#"{"disabled":false}"#);
    assert_eq!(changes(), 401);
    send(bearing(Request::get(&session_target()), &session)).expect(401);
    log_in(&protected().appliance, &name, PASSWORD).expect(200);
}

#[test]
fn admins_manage_accounts_and_one_of_them_stays() {
    let protected = Protected::start("");
    let accounts = format!("{API}/accounts");
    let create = |body: Value| protected.as_admin(Request::post_json(&accounts, body.to_string()));
    let made =
        create(json!({"username": "Ada.L", "password": PASSWORD, "role": "employee", "employee_id": "1"})).expect(201);
    assert_eq!(made.header("location"), Some(&*format!("{accounts}/ada.l")));
    let expected = json!({"username": "ada.l", "role": "employee", "employee_id": "1", "disabled": false});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&made.json()[name], value);
    }
    create(json!({"username": "ADA.l", "password": PASSWORD, "role": "reader"})).expect(409);
    for (body, field) in [
        (json!({"username": "a b", "password": PASSWORD, "role": "reader"}), "username"),
        (json!({"username": "\u{430}da", "password": PASSWORD, "role": "reader"}), "username"),
        (json!({"username": "b", "password": "short", "role": "reader"}), "password"),
        (json!({"username": "b", "password": PASSWORD, "role": "metrics"}), "role"),
        (json!({"username": "b", "password": PASSWORD, "role": "king"}), "role"),
        (json!({"username": "b", "password": PASSWORD, "role": "employee"}), "employee_id"),
        (json!({"username": "b", "password": PASSWORD, "role": "reader", "x": 1}), "body"),
    ] {
        let answer = create(body.clone()).expect(400);
        assert_eq!(answer.json()["details"][0]["field"], field, "{body}");
        assert!(!answer.text().contains(PASSWORD), "{}", answer.text());
    }
    let listed = protected.as_admin(Request::get(&format!("{accounts}?limit=1"))).expect(200);
    let link = listed.header("link").unwrap().split(['<', '>']).nth(1).unwrap().to_owned();
    let rest = protected.as_admin(Request::get(&link)).expect(200);
    assert_eq!(rest.header("link"), None);
    assert_eq!((&listed.json()[0]["username"], &rest.json()[0]["username"]), (&json!("ada.l"), &json!("root")));
    let change = |name: &str, body: &str| {
        let request = Request::new("PATCH", &format!("{accounts}/{name}")).header("Content-Type", "application/json");
        protected.as_admin(request.body(body))
    };
    change("nobody", "{}").expect(404);
    assert_eq!(
        change("ada.l", r#"{"role":"reader","employee_id":null}"#).expect(200).json()["employee_id"],
        Value::Null
    );
    for request in [r#"{"role":"manager"}"#, r#"{"disabled":true}"#] {
        assert!(message(&change("root", request).expect(409)).contains("last admin"));
    }
    protected.as_admin(Request::new("DELETE", &format!("{accounts}/root"))).expect(409);
    change("ada.l", r#"{"role":"admin"}"#).expect(200);
    protected.as_admin(Request::new("DELETE", &format!("{accounts}/root"))).expect(204);
    protected.as_admin(Request::get(&accounts)).expect(401);
}

#[test]
fn the_audit_has_what_happened_newest_first() {
    let protected = Protected::start("");
    let name = protected.account("reader", None);
    log_in(&protected.appliance, &name, "another passphrase").expect(401);
    log_in(&protected.appliance, "no-such-name", "another passphrase").expect(401);
    let session = token_of(&log_in(&protected.appliance, &name, PASSWORD).expect(200));
    protected.appliance.send(&bearing(Request::new("DELETE", &session_target()), &session)).expect(204);
    let read = |query: &str| protected.as_admin(Request::get(&format!("{API}/audit{query}"))).expect(200);
    let entries = read("").json();
    let actions: Vec<&str> =
        entries.as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions[..5], ["logout", "login", "login_failed", "login_failed", "account_created"], "{entries}");
    assert!(!entries.to_string().contains("no-such-name"), "a name without an account may be a password");
    assert!(!entries.to_string().contains("passphrase"));
    assert_eq!(entries[0]["by"], name);
    assert_eq!(entries[4]["by"], "root");
    assert_eq!(read("?action=login_failed").json().as_array().unwrap().len(), 2);
    assert_eq!(read(&format!("?by={name}&action=login")).json().as_array().unwrap().len(), 1);
    let mut next = format!("{API}/audit?limit=2");
    let mut paged = Vec::new();
    loop {
        let page = protected.as_admin(Request::get(&next)).expect(200);
        paged.extend(page.json().as_array().unwrap().clone());
        match page.header("link") {
            Some(link) => next = link.split(['<', '>']).nth(1).unwrap().to_owned(),
            None => break,
        }
    }
    assert_eq!(paged, *entries.as_array().unwrap());
    assert_eq!(read("?from=2099-01-01T00:00:00Z").json(), json!([]));
    // PostgreSQL has no such year.
    let long_ago = "-009998-06-01T00:00:00Z";
    assert_eq!(read(&format!("?from={long_ago}")).json(), entries);
    assert_eq!(read(&format!("?to={long_ago}")).json(), json!([]));
    for bound in ["from", "to"] {
        protected.as_admin(Request::get(&format!("{API}/changes?{bound}={long_ago}"))).expect(200);
    }
    protected.as_admin(Request::get(&format!("{API}/audit?action=x"))).expect(400);
}

#[test]
fn guessing_is_slowed_down_for_the_guesser_alone() {
    let protected = Protected::start("");
    let name = protected.account("reader", None);
    let from = |last: u8, password: &str| {
        let source = std::net::Ipv4Addr::new(127, 0, 0, last);
        let mut connection = Connection::open_from(source, protected.appliance.address()).unwrap();
        connection.send(&login(&name, password)).unwrap()
    };
    from(9, PASSWORD).expect(200);
    let refused = (0..10).map(|_| from(2, "another passphrase")).find(|answer| answer.status == 429);
    let refused = refused.expect("the third failure and those after it are slowed down");
    let wait: u64 = refused.header("retry-after").expect("it says for how long").parse().unwrap();
    assert!((1..=900).contains(&wait), "{wait}");
    // The right password is refused, too, as long as the client has to wait; others are not affected.
    from(2, PASSWORD).expect(429);
    from(9, PASSWORD).expect(200);
}
