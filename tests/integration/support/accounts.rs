//! An appliance whose requests need credentials, with accounts.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::{API, Appliance, Builder, Connection, Request, Response, eventually, shared_postgres, unique};

/// The password of every account that the harness makes.
pub(crate) const PASSWORD: &str = "a passphrase that no list has";

/// All roles, the least powerful first, `metrics` last.
pub(crate) const ROLES: [&str; 6] = ["employee", "reader", "writer", "manager", "admin", "metrics"];

/// An appliance with `auth: { mode: required }`, and an admin who is logged in.
pub(crate) struct Protected {
    pub(crate) appliance: Appliance,
    /// The session of the admin.
    pub(crate) admin: String,
    /// A token for each role, made when it is first asked for; those of `employee` belong to the employee in their key.
    tokens: Mutex<HashMap<(String, String), String>>,
}

impl Protected {
    /// Starts it on a database of the shared PostgreSQL.
    pub(crate) fn start(config: &str) -> Self {
        let database = shared_postgres().create_database();
        Self::with(Appliance::builder().postgres(shared_postgres(), &database), config)
    }

    /// Starts it with these settings and this further configuration, which may begin with members of `auth`.
    pub(crate) fn with(builder: Builder, config: &str) -> Self {
        let (auth, rest) = config.split_once('|').unwrap_or(("", config));
        let appliance = builder.config(&format!("auth: {{ mode: required{auth} }}\n{rest}")).start();
        add_account(&appliance, "root", "admin", None);
        let admin = log_in(&appliance, "root", PASSWORD).expect(200).json()["token"].as_str().unwrap().to_owned();
        Self { appliance, admin, tokens: Mutex::default() }
    }

    /// Sends a request as the admin.
    pub(crate) fn as_admin(&self, request: Request) -> Response {
        self.appliance.send(&bearing(request, &self.admin))
    }

    /// Makes an account, and returns its name.
    pub(crate) fn account(&self, role: &str, employee: Option<&str>) -> String {
        let name = unique(role);
        let body = json!({"username": name, "password": PASSWORD, "role": role, "employee_id": employee});
        let request = || Request::post_json(&format!("{API}/accounts"), body.to_string());
        unless_busy(|| self.as_admin(request())).expect(201);
        name
    }

    /// Makes an account, and returns a session of it.
    pub(crate) fn session(&self, role: &str, employee: Option<&str>) -> String {
        let name = self.account(role, employee);
        begin_session(&self.appliance, &name, PASSWORD)
    }

    /// A token with a role; for `employee`, of this employee.
    pub(crate) fn token(&self, role: &str, employee: &str) -> String {
        let key = (role.to_owned(), if role == "employee" { employee.to_owned() } else { String::new() });
        if let Some(token) = self.tokens.lock().expect("no holder panics").get(&key) {
            return token.clone();
        }
        let owner = match role {
            "employee" => self.session(role, Some(employee)),
            _ => self.admin.clone(),
        };
        let token = make_token(&self.appliance, &owner, role);
        self.tokens.lock().expect("no holder panics").insert(key, token.clone());
        token
    }
}

/// Makes an account with the command line. Its password is [`PASSWORD`].
pub(crate) fn add_account(appliance: &Appliance, name: &str, role: &str, employee: Option<&str>) {
    let file = appliance.settings().scratch().join("password-of-an-account");
    std::fs::write(&file, format!("{PASSWORD}\n")).expect("the directory can be written");
    let file = file.to_str().expect("a path in UTF-8");
    let mut words = vec!["account", "add", name, "--role", role, "--password-file", file];
    words.extend(employee.into_iter().flat_map(|id| ["--employee", id]));
    let data = appliance.data();
    let command = appliance.settings().command(&words).arg("--data-dir").arg(data.to_str().expect("a path in UTF-8"));
    command.finish().expect(0);
}

/// Makes a token for the owner of a session, and returns it.
pub(crate) fn make_token(appliance: &Appliance, session: &str, role: &str) -> String {
    let body = json!({"name": unique("token"), "role": role}).to_string();
    let made = appliance.send(&bearing(Request::post_json(&format!("{API}/tokens"), body), session)).expect(201);
    made.json()["token"].as_str().expect("a token is text").to_owned()
}

/// The request with a session or token.
pub(crate) fn bearing(request: Request, credential: &str) -> Request {
    request.header("Authorization", &format!("Bearer {credential}"))
}

/// A login.
pub(crate) fn login(username: &str, password: &str) -> Request {
    let body = json!({"username": username, "password": password}).to_string();
    Request::post_json(&format!("{API}/session"), body)
}

/// Logs in, and returns the answer, whatever its status.
pub(crate) fn log_in(appliance: &Appliance, username: &str, password: &str) -> Response {
    appliance.send(&login(username, password))
}

/// Logs in, and returns the token of the session.
pub(crate) fn begin_session(appliance: &Appliance, username: &str, password: &str) -> String {
    let begun = unless_busy(|| log_in(appliance, username, password)).expect(200);
    begun.json()["token"].as_str().expect("a token is text").to_owned()
}

/// Sends a request that hashes a password again for as long as too many others do, as `Retry-After` tells clients: tests that run at the same time share
/// an address, and with it one share of the hashing.
pub(crate) fn unless_busy(send: impl Fn() -> Response) -> Response {
    eventually("there is a place for a password", || {
        let response = send();
        let is_busy = response.status == 503 && response.header("retry-after").is_some();
        (!is_busy).then_some(response)
    })
}

/// Tries to log in from an address that no other attempt has, so that failures slow down no other test.
pub(crate) fn log_in_from_elsewhere(appliance: &Appliance, username: &str, password: &str) -> Response {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let source = Ipv4Addr::from_bits(Ipv4Addr::new(127, 64, 0, 1).to_bits() + number);
    let mut connection = Connection::open_from(source, appliance.address()).expect("it listens");
    connection.send(&login(username, password)).expect("it answers")
}

/// The cookie of an answer, as a browser sends it back, and the attributes with which it was set.
pub(crate) fn cookie(answer: &Response) -> (String, String) {
    let set = answer.header("set-cookie").expect("a cookie is set");
    let (pair, attributes) = set.split_once(';').expect("a cookie has attributes");
    (pair.to_owned(), attributes.trim().to_owned())
}

/// The error's message of an answer.
pub(crate) fn message(answer: &Response) -> String {
    answer.json()["message"].as_str().map(str::to_owned).unwrap_or_else(|| Value::Null.to_string())
}
