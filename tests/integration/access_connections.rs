//! Credentials of the requests of one connection, which keeps the last one: each request is answered for its own credential, and a credential that has ended
//! has also ended on connections that are open.

use std::sync::OnceLock;

use serde_json::json;

use crate::support::accounts::{PASSWORD, Protected, bearing, begin_session, make_token};
use crate::support::{API, Connection, Request, unique};

/// How often a connection repeats a credential before something changes: more than it takes to be kept.
const REPETITIONS: usize = 3;

fn protected() -> &'static Protected {
    static SHARED: OnceLock<Protected> = OnceLock::new();
    SHARED.get_or_init(|| Protected::start(""))
}

fn connect() -> Connection {
    Connection::open(protected().appliance.address()).expect("it listens")
}

fn own_account() -> Request {
    Request::get(&format!("{API}/session"))
}

#[test]
fn each_request_of_a_connection_is_answered_for_its_own_credential() {
    let sessions: Vec<String> = (0..3).map(|_| protected().session("reader", None)).collect();
    let tokens: Vec<String> =
        sessions.iter().map(|session| make_token(&protected().appliance, session, "reader")).collect();
    let mut altered = tokens[0].clone();
    altered.replace_range(10..11, if &altered[10..11] == "A" { "B" } else { "A" });
    let as_cookie = |text: &str| own_account().header("Cookie", &format!("attendance_session={text}"));
    let mut requests: Vec<Request> = Vec::new();
    for text in
        sessions.iter().chain(&tokens).chain([&altered, &tokens[1][..54].to_owned(), &format!("{}x", tokens[1])])
    {
        requests.push(bearing(own_account(), text));
        requests.push(as_cookie(text));
    }
    requests.push(own_account());
    requests.push(own_account().header("Authorization", "Basic YTpi"));
    let expected: Vec<(u16, String)> = requests
        .iter()
        .map(|request| {
            let answer = connect().send(request).unwrap();
            (answer.status, answer.json()["username"].to_string())
        })
        .collect();
    // Three sessions in both forms and three tokens as headers.
    assert_eq!(expected.iter().filter(|(status, _)| *status == 200).count(), 9, "{expected:?}");
    let mut connection = connect();
    let mut follow = |number: usize, repetitions: usize| {
        for _ in 0..repetitions {
            let answer = connection.send(&requests[number]).unwrap();
            assert_eq!((answer.status, answer.json()["username"].to_string()), expected[number], "request {number}");
        }
    };
    // Each one after each other one, which was repeated or not.
    for first in 0..requests.len() {
        for second in 0..requests.len() {
            follow(first, 1 + (first + second) % REPETITIONS);
            follow(second, 1 + second % REPETITIONS);
        }
    }
}

#[test]
fn what_ends_a_credential_or_changes_it_holds_on_open_connections() {
    let protected = protected();
    let changes = Request::get(&format!("{API}/changes"));
    let patch = |name: &str, body: &str| {
        let path = format!("{API}/accounts/{name}");
        protected
            .as_admin(Request::new("PATCH", &path).header("Content-Type", "application/json").body(body))
            .expect(200);
    };
    let own_password = |session: &str| {
        let body = json!({"old": PASSWORD, "new": format!("{PASSWORD} {}", unique("new"))}).to_string();
        let request =
            Request::new("PUT", &format!("{API}/session/password")).header("Content-Type", "application/json");
        protected.appliance.send(&bearing(request.body(body.as_str()), session)).expect(204);
    };
    let logout = |session: &str| {
        protected.appliance.send(&bearing(Request::new("DELETE", &format!("{API}/session")), session)).expect(204);
    };
    type End<'a> = Box<dyn Fn(&str, &str, &str) + 'a>;
    let ends: [(&str, u16, End<'_>); 5] = [
        ("the logout", 401, Box::new(|_, _, shown| logout(shown))),
        ("a role that may not", 403, Box::new(|name, _, _| patch(name, r#"{"role":"reader"}"#))),
        ("disabling", 401, Box::new(|name, _, _| patch(name, r#"{"disabled":true}"#))),
        (
            "removal",
            401,
            Box::new(|name, _, _| {
                protected.as_admin(Request::new("DELETE", &format!("{API}/accounts/{name}"))).expect(204);
            }),
        ),
        ("a new password", 401, Box::new(|_, other, _| own_password(other))),
    ];
    for (title, status, end) in ends {
        let name = protected.account("manager", None);
        let (shown, other) = (
            begin_session(&protected.appliance, &name, PASSWORD),
            begin_session(&protected.appliance, &name, PASSWORD),
        );
        let mut connections: Vec<Connection> = (0..4).map(|_| connect()).collect();
        for connection in &mut connections {
            for _ in 0..REPETITIONS {
                connection.send(&bearing(changes.clone(), &shown)).unwrap().expect(200);
            }
        }
        end(&name, &other, &shown);
        for connection in &mut connections {
            let answer = connection.send(&bearing(changes.clone(), &shown)).unwrap();
            assert_eq!(answer.status, status, "after {title}");
        }
    }
}
