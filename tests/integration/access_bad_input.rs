//! Credentials, names and passwords that are wrong, large, ambiguous or expired; and secrets, which are in no log, dump or environment.

use std::sync::OnceLock;

use serde_json::json;

use crate::support::accounts::{
    PASSWORD, Protected, bearing, begin_session, log_in, log_in_from_elsewhere, login, make_token, unless_busy,
};
use crate::support::{API, Appliance, Connection, RedisServer, Request, Response, eventually, shared_postgres, unique};

fn protected() -> &'static Protected {
    static SHARED: OnceLock<Protected> = OnceLock::new();
    SHARED.get_or_init(|| Protected::start(""))
}

fn calendar() -> Request {
    Request::get(&format!("{API}/calendar"))
}

fn send(request: &Request) -> Response {
    protected().appliance.send(request)
}

#[test]
fn what_is_no_credential_is_refused() {
    let token = protected().token("reader", "");
    for authorization in [
        String::new(),
        "Bearer".into(),
        "Bearer ".into(),
        format!("Basic {token}"),
        format!("Token {token}"),
        token.clone(),
        format!("Bearer {token} "),
        format!("Bearer {token},"),
        format!("Bearer {token} {token}"),
        format!("Bearer \"{token}\""),
        format!("Bearer {}", token.to_uppercase()),
        format!("Bearer {token}x"),
        format!("Bearer {}", &token[..54]),
    ] {
        let answer = send(&calendar().header("Authorization", &authorization));
        // A parser may drop white space at the end.
        let status = if authorization.trim_end() == format!("Bearer {token}") { 200 } else { 401 };
        assert_eq!(answer.status, status, "{authorization:?}");
        if status == 401 {
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    send(&calendar().header("Authorization", &format!("bearer   {token}"))).expect(200);
    let twice = bearing(bearing(calendar(), &token), &token);
    send(&twice).expect(400);
    let cookies = format!("attendance_session={0}; attendance_session={0}", protected().admin);
    send(&calendar().header("Cookie", &cookies)).expect(400);
}

#[test]
fn a_mistyped_token_is_refused_without_a_look_up() {
    // The database is frozen, so a look-up would not be answered.
    let mut postgres = crate::support::Postgres::start();
    let database = postgres.create_database();
    let protected = Protected::with(Appliance::builder().postgres(&postgres, &database), "|redis: { mode: off }\n");
    let token = protected.token("reader", "");
    postgres.freeze();
    for position in [6, 20, 48, 49, 54] {
        let mut wrong = token.clone().into_bytes();
        wrong[position] = if wrong[position] == b'A' { b'B' } else { b'A' };
        let wrong = String::from_utf8(wrong).unwrap();
        protected.appliance.send(&bearing(calendar(), &wrong)).expect(401);
    }
    // One that is well-formed needs the database, and says so.
    let unknown = protected.appliance.send(&bearing(calendar(), &make_unknown(&token)));
    assert_eq!(unknown.status, 503);
    protected.appliance.get("/livez").expect(200);
    postgres.thaw();
    postgres.stop();
}

/// A well-formed token that was never issued.
fn make_unknown(token: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let secret = URL_SAFE_NO_PAD.encode([7; 32]);
    let checked = format!("{}{secret}", &token[..6]);
    let checksum = URL_SAFE_NO_PAD.encode(crc32fast::hash(checked.as_bytes()).to_be_bytes());
    format!("{checked}{checksum}")
}

#[test]
fn a_token_in_a_url_is_refused_and_not_logged() {
    let token = protected().token("reader", "");
    for target in [
        format!("{API}/search?id=1&access_token={token}"),
        format!("{API}/calendar?token={token}"),
        format!("{API}/records/{token}/2023-08-01"),
        format!("/livez?x={token}"),
        format!("/nowhere/{token}"),
        format!("{API}/records?x={}", token.replace('_', "%5F")),
        format!("{API}/records?x={}", token.replace('_', "%255f")),
    ] {
        let id = unique("url");
        // Also with a valid header.
        let request = bearing(Request::get(&target), &token).header("X-Request-Id", &id);
        let answer = send(&request).expect(400);
        assert!(answer.text().contains("does not belong in a URL"), "{}", answer.text());
        let line = protected().appliance.access(&id).to_string();
        assert!(!line.contains(&token[6..]), "{line}");
        // Also if the request is refused for another reason.
        let id = unique("url");
        send(&Request::get(&target).header("Expect", "something").header("X-Request-Id", &id)).expect(417);
        let line = protected().appliance.access(&id).to_string();
        assert!(!line.contains(&token[6..]), "{line}");
    }
}

#[test]
fn an_expired_token_is_refused() {
    let expires_at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(6);
    let body = json!({"name": "short", "role": "reader", "expires_at": expires_at.to_string()}).to_string();
    let made = protected().as_admin(Request::post_json(&format!("{API}/tokens"), body)).expect(201);
    let token = made.json()["token"].as_str().unwrap().to_owned();
    send(&bearing(calendar(), &token)).expect(200);
    eventually("the token expires", || (send(&bearing(calendar(), &token)).status == 401).then_some(()));
}

#[test]
fn large_and_strange_passwords_are_refused_and_do_no_harm() {
    let name = protected().account("reader", None);
    let attempt = |password: &str| unless_busy(|| log_in_from_elsewhere(&protected().appliance, &name, password));
    // The largest body that is read has no room for more.
    for password in
        ["x".repeat(1_000_000), "\0".repeat(12), "\0".repeat(100_000), "\u{202e}".repeat(300), String::new()]
    {
        let answer = attempt(&password);
        assert!([400, 401].contains(&answer.status), "{} {}", answer.status, password.len());
    }
    assert_eq!(attempt(&"x".repeat(1_100_000)).status, 413);
    for body in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"username":"a"}"#,
        r#"{"username":1,"password":"x"}"#,
        r#"{"username":"a","password":"b","x":1}"#,
    ] {
        send(&Request::post_json(&format!("{API}/session"), body)).expect(400);
    }
    let form =
        Request::new("POST", &format!("{API}/session")).header("Content-Type", "application/x-www-form-urlencoded");
    send(&form.body("username=root&password=x")).expect(415);
    send(&Request::post_json(&format!("{API}/session?username=root"), "{}")).expect(400);
    protected().appliance.get("/livez").expect(200);
}

#[test]
fn both_forms_of_a_password_in_unicode_log_in() {
    let name = unique("unicode");
    let (composed, decomposed) = ("a passphrase of Zo\u{eb} \u{1e69}", "a passphrase of Zoe\u{308} s\u{323}\u{307}");
    let body = json!({"username": name, "password": decomposed, "role": "reader"}).to_string();
    protected().as_admin(Request::post_json(&format!("{API}/accounts"), body)).expect(201);
    log_in(&protected().appliance, &name, composed).expect(200);
    log_in(&protected().appliance, &name, decomposed).expect(200);
    log_in_from_elsewhere(&protected().appliance, &name, "a passphrase of Zoe s").expect(401);
}

#[test]
fn names_are_compared_without_case_and_nothing_looks_like_another_name() {
    let name = protected().account("reader", None);
    log_in(&protected().appliance, &name.to_uppercase(), PASSWORD).expect(200);
    let look_alike = name.replacen('e', "\u{435}", 1);
    for other in
        [format!(" {name}"), format!("{name} "), look_alike, format!("{name}\0"), format!("{name}/"), String::new()]
    {
        let answer = log_in_from_elsewhere(&protected().appliance, &other, PASSWORD);
        assert_eq!(answer.status, 401, "{other:?}");
    }
}

#[test]
fn an_account_has_a_hundred_sessions_and_the_oldest_end() {
    let database = shared_postgres().create_database();
    let protected = Protected::with(Appliance::builder().postgres(shared_postgres(), &database), "");
    let name = protected.account("reader", None);
    let log_in = || {
        let answer = log_in(&protected.appliance, &name, PASSWORD).expect(200);
        answer.json()["token"].as_str().unwrap().to_owned()
    };
    let (first, second) = (log_in(), log_in());
    let sql = shared_postgres().sql(&database);
    // Ten thousand logins would hash for minutes; what counts is the number of rows at the next login.
    sql.run(
        "INSERT INTO attendance_api.sessions (key, account, expires_at, address) \
         SELECT encode(sha256(convert_to(n::text, 'UTF8')), 'hex'), s.account, s.expires_at, s.address \
         FROM (SELECT * FROM attendance_api.sessions ORDER BY id DESC LIMIT 1) AS s, generate_series(1, 10000) AS n",
    );
    let last = log_in();
    let count = sql.value(
        "SELECT count(*) FROM attendance_api.sessions AS s JOIN attendance_api.accounts AS a ON a.id = s.account \
         WHERE a.username LIKE 'reader%'",
    );
    assert_eq!(count, "100");
    for (session, status) in [(&first, 401), (&second, 401), (&last, 200)] {
        protected.appliance.send(&bearing(calendar(), session)).expect(status);
    }
}

#[test]
fn secrets_are_in_no_log_no_dump_and_no_environment() {
    let redis = RedisServer::start();
    let database = shared_postgres().create_database();
    let builder = Appliance::builder().postgres(shared_postgres(), &database).config(&redis.config());
    let protected = Protected::with(builder.config("log: { level: debug }\n"), "");
    let password = "an unusual passphrase 4711";
    let name = unique("secret");
    let body = json!({"username": name, "password": password, "role": "writer"}).to_string();
    protected.as_admin(Request::post_json(&format!("{API}/accounts"), body)).expect(201);
    let session = begin_session(&protected.appliance, &name, password);
    let token = make_token(&protected.appliance, &session, "writer");
    log_in(&protected.appliance, &name, "a wrong passphrase 4711").expect(401);
    let mut connection: Connection = protected.appliance.connect();
    for credential in [&session, &token, &protected.admin] {
        for _ in 0..3 {
            connection.send(&bearing(calendar(), credential)).unwrap().expect(200);
        }
    }
    connection.send(&login(&name, password).header("Sec-Fetch-Site", "same-origin")).unwrap().expect(200);
    let mut places = vec![protected.appliance.stdout_lines().join("\n"), protected.appliance.stderr_lines().join("\n")];
    let sql = shared_postgres().sql(&database);
    for table in sql.rows(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('public', 'attendance_api')",
    ) {
        let table = table[0].clone().unwrap();
        places.push(format!("{:?}", sql.rows(&format!("SELECT t::text FROM {table} AS t"))));
    }
    for key in redis.keys("*") {
        let value: Vec<u8> = redis.try_command(&["GET", &key]).unwrap_or_default();
        places.push(format!("{key} {}", String::from_utf8_lossy(&value)));
    }
    assert!(places.len() > 10, "{} places", places.len());
    let pid = protected.appliance.pid();
    for process in std::iter::once(pid).chain(crate::support::descendants(pid).iter().map(|process| process.pid)) {
        for file in ["environ", "cmdline"] {
            places.push(
                String::from_utf8_lossy(&std::fs::read(format!("/proc/{process}/{file}")).unwrap_or_default())
                    .into_owned(),
            );
        }
    }
    for secret in [&session[6..], &token[6..], &protected.admin[6..], password, PASSWORD, "a wrong passphrase 4711"] {
        for place in &places {
            let shown: String = place.chars().take(200).collect();
            assert!(!place.contains(secret), "{secret} in {shown}");
        }
    }
}
