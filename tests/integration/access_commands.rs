//! The commands about accounts and tokens, which run on the machine without a login.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::support::accounts::{PASSWORD, Protected, add_account, bearing, begin_session, log_in, make_token};
use crate::support::{API, Appliance, CompletedRun, Request, eventually, shared_postgres, within};

/// Less than the life of a cached credential, so that what ends it is the announcement.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(10);

/// Runs a command with the data directory and the configuration of an appliance.
fn run(appliance: &Appliance, words: &[&str]) -> CompletedRun {
    let data = appliance.data();
    appliance.settings().command(words).arg("--data-dir").arg(data.to_str().expect("a path in UTF-8")).finish()
}

fn password_file(directory: &Path, content: &str) -> PathBuf {
    let path = directory.join(format!("password-{}", content.len()));
    fs::write(&path, content).expect("the directory can be written");
    path
}

fn status(appliance: &Appliance, credential: &str) -> u16 {
    appliance.send(&bearing(Request::get(&format!("{API}/calendar?from=2023-01-01&to=2023-01-02")), credential)).status
}

#[test]
fn accounts_are_managed_while_the_appliance_serves() {
    let protected = Protected::start("");
    let appliance = &protected.appliance;
    add_account(appliance, "Bob", "writer", Some("7"));
    let listed = run(appliance, &["account", "list", "--json"]).expect(0);
    let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    let accounts = listed["accounts"].as_array().unwrap();
    let bob = accounts.iter().find(|account| account["username"] == "bob").expect("names are stored in small letters");
    assert_eq!((&bob["role"], &bob["employee_id"], &bob["disabled"]), (&"writer".into(), &"7".into(), &false.into()));
    assert!(run(appliance, &["account", "list"]).expect(0).stdout.contains("bob  writer of employee 7"));

    let first = begin_session(appliance, "bob", PASSWORD);
    assert_eq!(status(appliance, &first), 200);
    let file = password_file(appliance.settings().scratch(), "the second passphrase of bob\n");
    run(appliance, &["account", "passwd", "bob", "--password-file", file.to_str().unwrap()]).expect(0);
    within(ANNOUNCED_WITHIN, "the session ends with the password", || (status(appliance, &first) == 401).then_some(()));
    log_in(appliance, "bob", PASSWORD).expect(401);
    let second = begin_session(appliance, "BOB", "the second passphrase of bob");
    assert_eq!(status(appliance, &second), 200);

    run(appliance, &["account", "disable", "bob"]).expect(0);
    within(ANNOUNCED_WITHIN, "the session ends with the account", || (status(appliance, &second) == 401).then_some(()));
    log_in(appliance, "bob", "the second passphrase of bob").expect(401);
    run(appliance, &["account", "enable", "bob"]).expect(0);
    assert_eq!(status(appliance, &second), 401, "no session comes back");
    let third = begin_session(appliance, "bob", "the second passphrase of bob");
    run(appliance, &["account", "remove", "bob"]).expect(0);
    within(ANNOUNCED_WITHIN, "the session ends with the account", || (status(appliance, &third) == 401).then_some(()));
    let gone = run(appliance, &["account", "remove", "bob"]).expect(1);
    assert!(gone.stderr.contains("there is no account `bob`"), "{}", gone.stderr);
}

#[test]
fn tokens_are_made_and_revoked_by_commands() {
    let protected = Protected::start("");
    let appliance = &protected.appliance;
    let words = ["token", "create", "terminal", "--account", "root", "--role", "reader", "--expires", "90d"];
    let token = run(appliance, &words).expect(0).stdout.trim().to_owned();
    assert!(token.starts_with("att_t_") && !token.contains(char::is_whitespace), "{token}");
    assert_eq!(status(appliance, &token), 200);
    let listed = run(appliance, &["token", "list", "--json"]).expect(0).stdout;
    assert!(!listed.contains(&token), "the token is shown once");
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let entry = &listed["tokens"][0];
    assert_eq!(
        (&entry["name"], &entry["account"], &entry["role"]),
        (&"terminal".into(), &"root".into(), &"reader".into())
    );
    run(appliance, &["token", "revoke", &entry["id"].to_string()]).expect(0);
    within(ANNOUNCED_WITHIN, "the token is revoked", || (status(appliance, &token) == 401).then_some(()));
    for (words, code, message) in [
        (&["token", "revoke", "987654"][..], 1, "there is no such token"),
        (&["token", "create", "x", "--account", "no-such-account", "--role", "reader"], 1, "there is no account"),
        (&["token", "create", "x", "--account", "root", "--role", "employee"], 1, "linked to an employee"),
        (&["token", "create", "x", "--account", "root", "--role", "god"], 64, "one of employee"),
        (&["token", "create", "x", "--account", "root", "--role", "reader", "--expires", "soon"], 64, "90d"),
    ] {
        let refused = run(appliance, words).expect(code);
        assert!(refused.stderr.contains(message), "{words:?}: {}", refused.stderr);
    }
}

#[test]
fn what_an_account_cannot_be_is_refused_and_changes_nothing() {
    let protected = Protected::start("");
    let appliance = &protected.appliance;
    let scratch = appliance.settings().scratch().to_owned();
    let good = password_file(&scratch, "a passphrase for this test");
    let short = password_file(&scratch, "short");
    let common = password_file(&scratch, "password12345");
    let (good, short, common) = (good.to_str().unwrap(), short.to_str().unwrap(), common.to_str().unwrap());
    let missing = scratch.join("missing");
    for (name, role, file, code, message) in [
        ("eve", "reader", short, 1, "at least 12 characters"),
        ("eve", "reader", common, 1, "guessed first"),
        ("eve eve", "reader", good, 1, "may contain only"),
        ("\u{435}ve", "reader", good, 1, "may contain only"),
        ("eve", "employee", good, 1, "needs the id of an employee"),
        ("eve", "metrics", good, 64, "one of employee"),
        ("Root", "reader", good, 1, "there is an account `root` already"),
        ("eve", "reader", missing.to_str().unwrap(), 1, "cannot be read"),
    ] {
        let words = ["account", "add", name, "--role", role, "--password-file", file];
        let refused = run(appliance, &words).expect(code);
        assert!(refused.stderr.contains(message), "{words:?}: {}", refused.stderr);
    }
    // A password is never an argument, and cannot be asked for without a terminal.
    run(appliance, &["account", "add", "eve", "--role", "reader", "--password", "x"]).expect(64);
    let refused = run(appliance, &["account", "add", "eve", "--role", "reader"]).expect(1);
    assert!(refused.stderr.contains("--password-file"), "{}", refused.stderr);
    let listed: Value = serde_json::from_str(&run(appliance, &["account", "list", "--json"]).expect(0).stdout).unwrap();
    assert_eq!(listed["accounts"].as_array().unwrap().len(), 1);
    // The last admin stays.
    for words in [["account", "disable", "root"], ["account", "remove", "root"]] {
        let refused = run(appliance, &words).expect(1);
        assert!(refused.stderr.contains("`root` is the last admin"), "{}", refused.stderr);
    }
}

/// Announcements may be late, so that the command asks the appliance.
#[test]
fn a_revocation_by_a_command_holds_when_the_command_returns() {
    let builder = Appliance::builder().existing_cluster();
    let protected = Protected::with(builder, "");
    let appliance = &protected.appliance;
    for round in 0..3 {
        let name = protected.account("reader", None);
        let own = begin_session(appliance, &name, PASSWORD);
        let token = make_token(appliance, &own, "reader");
        assert_eq!([&own, &token].map(|credential| status(appliance, credential)), [200, 200]);
        let listed: Value =
            serde_json::from_str(&run(appliance, &["token", "list", "--json"]).expect(0).stdout).unwrap();
        let words = match round {
            0 => vec!["account".to_owned(), "disable".to_owned(), name],
            1 => vec!["account".to_owned(), "remove".to_owned(), name],
            _ => vec!["token".to_owned(), "revoke".to_owned(), listed["tokens"][0]["id"].to_string()],
        };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let finished = run(appliance, &words).expect(0);
        assert_eq!(finished.stderr, "", "{words:?}");
        assert_eq!(status(appliance, &token), 401, "{words:?}");
        if round < 2 {
            assert_eq!(status(appliance, &own), 401, "{words:?}");
        }
        eventually("the appliance was asked", || {
            let asked = appliance.logged("a command on the machine has changed sessions or tokens");
            (asked.len() == round + 1).then_some(())
        });
    }
    // What ends nothing asks for nothing.
    add_account(appliance, "eve", "reader", None);
    run(appliance, &["token", "create", "t", "--account", "root", "--role", "reader"]).expect(0);
    assert_eq!(appliance.logged("a command on the machine has changed sessions or tokens").len(), 3);
}

#[test]
fn the_first_account_is_made_before_the_first_start_of_a_managed_database() {
    let builder = Appliance::builder().config("auth: { mode: required }\n");
    let file = password_file(builder.scratch(), &format!("{PASSWORD}\n"));
    let data = builder.data();
    let words = ["account", "add", "root", "--role", "admin", "--password-file", file.to_str().unwrap()];
    let appliance = {
        let command = Appliance::builder().config("auth: { mode: required }\n").data_dir(&data);
        command.command(&words).arg("--data-dir").arg(data.to_str().unwrap()).finish().expect(0);
        builder.existing_cluster().start()
    };
    assert!(appliance.logged("there is no account yet").is_empty());
    let admin = begin_session(&appliance, "root", PASSWORD);
    assert_eq!(status(&appliance, &admin), 200);
    // While it runs, a command uses its PostgreSQL.
    add_account(&appliance, "bob", "reader", None);
    let bob = begin_session(&appliance, "bob", PASSWORD);
    run(&appliance, &["account", "remove", "bob"]).expect(0);
    within(ANNOUNCED_WITHIN, "the command is announced", || (status(&appliance, &bob) == 401).then_some(()));
    assert_eq!(status(&appliance, &admin), 200);
}

#[test]
fn a_start_says_who_can_use_the_server() {
    let database = shared_postgres().create_database();
    let builder = || Appliance::builder().postgres(shared_postgres(), &database);
    let hint = |appliance: &Appliance| {
        let of = |part: &str| {
            appliance
                .log()
                .iter()
                .filter(|line| line["message"].as_str().is_some_and(|text| text.contains(part)))
                .count()
        };
        (of("there is no account yet"), of("every client that reaches this address"))
    };
    let required = builder().config("auth: { mode: required }\n").start();
    assert_eq!(hint(&required), (1, 0));
    required.get("/livez").expect(200);
    assert_eq!(hint(&builder().start()), (0, 0), "only this machine reaches it");
    assert_eq!(hint(&builder().listen("0.0.0.0:0").start()), (0, 1));
}
