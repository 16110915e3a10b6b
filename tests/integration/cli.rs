//! The command line, as a user sees it.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{API, Appliance, create, eventually, record, shared, signal};

fn run(words: &[&str]) -> crate::support::CompletedRun {
    Appliance::builder().command(words).finish_without_default_args()
}

#[test]
fn every_command_has_a_help_page() {
    let pages: [(&[&str], &[&str]); 11] = [
        (
            &["--help"],
            &[
                "serve",
                "demo",
                "migrate",
                "config",
                "healthcheck",
                "openapi",
                "version",
                "Usage",
                "ATTENDANCE_API__",
                "Exit status",
                "64",
                "78",
            ],
        ),
        (&["serve", "--help"], &["--config", "--listen", "--data-dir", "attendance-api --help"]),
        (&["demo", "--help"], &["--listen", "50 employees"]),
        (&["migrate", "--help"], &["update", "status"]),
        (&["migrate", "update", "--help"], &["--config"]),
        (&["migrate", "status", "--help"], &["--config"]),
        (&["config", "--help"], &["check", "show", "template"]),
        (&["config", "show", "--help"], &["--config"]),
        (&["healthcheck", "--help"], &["URL", "3 seconds"]),
        (&["openapi", "--help"], &["OpenAPI"]),
        (&["version", "--help"], &["ersion"]),
    ];
    for (words, expected) in pages {
        let page = run(words).expect(0);
        assert!(page.stderr.is_empty(), "{}", page.stderr);
        for word in expected {
            assert!(page.stdout.contains(word), "{words:?} does not mention {word:?}:\n{}", page.stdout);
        }
        for hidden in ["supervised-child", "mini-redis-child"] {
            assert!(!page.stdout.contains(hidden), "{words:?} shows {hidden}");
        }
    }
}

#[test]
fn version_prints_the_versions_of_the_appliance_and_of_postgresql() {
    let version = run(&["version"]).expect(0).stdout;
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    assert!(version.to_lowercase().contains("postgresql 16."), "{version}");
    assert!(run(&["--version"]).expect(0).stdout.contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn openapi_prints_the_document_that_is_served() {
    let printed: Value = serde_json::from_str(&run(&["openapi"]).expect(0).stdout).expect("JSON");
    assert_eq!(printed, shared().get("/openapi.json").expect(200).json());
}

#[test]
fn a_closed_output_pipe_does_not_panic() {
    for words in [&["openapi"][..], &["config", "template"], &["--help"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_attendance-api"))
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!stderr.contains("panicked"), "{words:?}: {stderr}");
    }
}

#[test]
fn the_template_is_a_valid_configuration_that_documents_every_key_in_comments() {
    let template = run(&["config", "template"]).expect(0).stdout;
    for key in
        ["listen", "max_body", "date_format", "connect_timeout", "bin_dir", "sslmode", "ttl", "access", "data_dir"]
    {
        assert!(template.contains(key), "{key}");
    }
    Appliance::builder().config(&template).command(&["config", "check"]).finish().expect(0);
    let without_comments: Vec<&str> =
        template.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')).collect();
    let set = without_comments.iter().filter(|line| !line.trim_end().ends_with(':')).count();
    assert_eq!(set, 0, "every key is commented out: {without_comments:?}");
}

#[test]
fn config_show_names_the_source_of_each_value_and_masks_secrets() {
    let text = "server: { max_body: 2MiB }\npostgres: { host: db.example, password: F1LE-SECRET }\n";
    let finished = Appliance::builder()
        .config(text)
        .env("ATTENDANCE_API__REDIS__TTL", "7s")
        .env("ATTENDANCE_API__REDIS__PASSWORD", "ENV-SECRET")
        .env("ATTENDANCE_API__REDIS__HOST", "cache.example")
        .command(&["config", "show"])
        .arg("--set")
        .arg("log.level=debug")
        .finish()
        .expect(0);
    let line = |key: &str| {
        let found = finished.stdout.lines().find(|line| line.trim_start().starts_with(&format!("{key}:")));
        found.unwrap_or_else(|| panic!("{key}:\n{}", finished.stdout)).to_owned()
    };
    assert!(line("max_body").contains("2MiB") && line("max_body").contains("settings.yaml"), "{}", line("max_body"));
    assert!(line("ttl").contains("7s") && line("ttl").contains("ATTENDANCE_API__REDIS__TTL"), "{}", line("ttl"));
    assert!(line("level").contains("debug") && line("level").contains("--set"), "{}", line("level"));
    assert!(line("max_head").contains("default"), "{}", line("max_head"));
    assert!(
        !finished.output().contains("F1LE-SECRET") && !finished.output().contains("ENV-SECRET"),
        "{}",
        finished.output()
    );
    assert!(finished.stdout.contains("***"));
}

#[test]
fn config_explain_prints_a_key_or_a_section() {
    let key = run(&["config", "explain", "server.max_body"]).expect(0).stdout;
    assert!(key.contains("server.max_body: 1MiB") && key.contains("ATTENDANCE_API__SERVER__MAX_BODY"), "{key}");
    let section = run(&["config", "explain", "redis"]).expect(0).stdout;
    assert!(section.contains("redis.ttl:") && !section.contains("server."), "{section}");
    let every = run(&["config", "explain"]).expect(0).stdout;
    assert!(every.contains("redis.ttl:") && every.contains("log.level:"), "{every}");
    let unknown = run(&["config", "explain", "server.maxbody"]).expect(64);
    assert!(unknown.stderr.contains("server.max_body"), "{}", unknown.stderr);
}

#[test]
fn config_check_validates_without_starting_anything() {
    let builder = Appliance::builder().config("server: { max_body: 2MiB }\n").command(&["config", "check"]);
    let data = builder.data();
    let good = builder.arg("--data-dir").arg(&data.display().to_string()).finish().expect(0);
    assert!(good.stdout.contains("settings.yaml") && good.stdout.contains("PostgreSQL"), "{}", good.stdout);
    assert!(!data.join("postgres").exists(), "nothing is started");
    let bad =
        Appliance::builder().config("server: { max_body: x }\n").command(&["config", "check"]).finish().expect(78);
    assert!(bad.stderr.contains("server.max_body"), "{}", bad.stderr);
}

#[test]
fn healthcheck_is_0_when_healthy_and_1_when_not() {
    let url = format!("http://{}", shared().address());
    let healthy = run(&["healthcheck", &url]).expect(0);
    assert!(healthy.stdout.contains("running fine"), "{}", healthy.stdout);
    run(&["healthcheck", &format!("{url}/readyz")]).expect(0);
    run(&["healthcheck", &format!("{url}/nowhere")]).expect(1);
    let silent_listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent_listener.local_addr().expect("bound");
    // A listener that accepts the connection and never answers.
    let silent = run(&["healthcheck", &format!("http://{address}")]).expect(1);
    assert!(silent.stderr.contains(&address.to_string()), "{}", silent.stderr);
    drop(silent_listener);
    let gone = run(&["healthcheck", &format!("http://{address}")]).expect(1);
    assert!(gone.stderr.contains("running"), "{}", gone.stderr);
    run(&["healthcheck", "not a url"]).expect(1);
}

#[test]
fn serve_is_the_default_command() {
    let mut appliance = Appliance::builder().existing_cluster().command(&[]);
    let data = appliance.data().display().to_string();
    appliance =
        appliance.config("redis: { mode: off }\n").arg("--listen").arg("127.0.0.1:0").arg("--data-dir").arg(&data);
    appliance.start().get(&format!("{API}/health")).expect(200);
}

#[test]
fn the_demo_serves_three_months_of_50_employees_and_removes_its_data() {
    use std::os::unix::fs::PermissionsExt;
    let builder = Appliance::builder().command(&["demo"]);
    let temporary = builder.scratch().join("tmp");
    std::fs::create_dir(&temporary).expect("a directory");
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o1777)).expect("ours");
    let mut demo = builder.env("TMPDIR", &temporary.display().to_string()).start();
    let all = || demo.get(&format!("{API}/search/all")).expect(200).json().as_array().expect("an array").clone();
    let ids = |records: &[Value]| -> std::collections::BTreeSet<String> {
        records.iter().map(|record| record["id"].to_string()).collect()
    };
    let records = eventually("50 employees have records", || Some(all()).filter(|records| ids(records).len() == 50));
    assert_eq!(records.len(), 64 * 50 + 40, "65 working days, the last of which is not complete");
    // The examples of the page, of the banner and of the API's description.
    for id in ["1", "17", "42"] {
        demo.get(&format!("{API}/search?id={id}")).expect(200);
    }
    create(&demo, &record("1", "Asha", "Present", "2026-01-31")).expect(200);
    let page = demo.get(&format!("{API}/search/all?from=2026-01-01&limit=100")).expect(200).json();
    assert_eq!(page.as_array().map(Vec::len), Some(100));
    assert!(std::fs::read_dir(&temporary).expect("it").count() > 0, "its data is in TMPDIR");
    signal(demo.pid(), Signal::SIGINT);
    assert!(demo.wait().success());
    assert_eq!(std::fs::read_dir(&temporary).expect("it").count(), 0, "everything is removed");
}

#[test]
fn the_logged_address_has_the_real_port() {
    let line = shared().logged("listening").first().cloned().expect("the line");
    let address: SocketAddr = shared().address();
    assert_ne!(address.port(), 0);
    assert!(line.to_string().contains(&address.to_string()), "{line}");
}
