//! The child processes: their settings, their restart after they die, and that none outlives the appliance.

use nix::sys::signal::Signal;
use nix::unistd::{Pid, User, getpgid};
use serde_json::json;

use crate::support::{
    API, Appliance, as_unprivileged_user, create, descendants, eventually, record, records, signal, try_signal,
    uids_of, unprivileged_user, wait_for_cache,
};

fn is_serving(appliance: &Appliance) -> bool {
    appliance.get(&format!("{API}/search/all?limit=1")).status == 200
}

#[test]
fn the_managed_postgresql_has_durable_settings() {
    let appliance = Appliance::builder().start();
    let sql = appliance.sql();
    for setting in ["fsync", "full_page_writes", "synchronous_commit", "data_checksums"] {
        assert_eq!(sql.value(&format!("SHOW {setting}")), "on", "{setting}");
    }
    let others = [
        ("server_encoding", "UTF8"),
        ("listen_addresses", ""),
        ("jit", "off"),
        ("password_encryption", "scram-sha-256"),
    ];
    for (setting, value) in others {
        assert_eq!(sql.value(&format!("SHOW {setting}")), value, "{setting}");
    }
    let collation = "SELECT datcollate FROM pg_database WHERE datname = 'attendance_db'";
    assert_eq!(sql.value(collation), "C");
    let hba = "SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules WHERE error IS NULL";
    assert_eq!(sql.value(hba), "scram-sha-256", "every connection needs the password");
}

#[test]
fn private_files_are_not_readable_by_others() {
    use std::os::unix::fs::PermissionsExt;
    let appliance = Appliance::builder().start();
    let mode = |path: &str| {
        appliance.data().join(path).metadata().unwrap_or_else(|e| panic!("{path}: {e}")).permissions().mode() & 0o777
    };
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("run"), 0o700);
    assert_eq!(mode("postgres/password"), 0o600);
    let leftovers: Vec<_> = paths_below(&appliance.data())
        .into_iter()
        .filter(|path| path.contains("pwfile") || path.ends_with(".pw"))
        .collect();
    assert!(leftovers.is_empty(), "a copy of the password is left behind: {leftovers:?}");
}

/// All paths below a directory, recursively.
fn paths_below(directory: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| {
            let path = entry.path();
            let below = if path.is_dir() && !path.is_symlink() { paths_below(&path) } else { Vec::new() };
            below.into_iter().chain([path.display().to_string()])
        })
        .collect()
}

#[test]
fn nothing_runs_as_root() {
    let appliance = Appliance::builder().start();
    let Some(fallback) = unprivileged_user() else {
        // Not started as root: no privileges are dropped, and every process runs as the user of the tests.
        let me = nix::unistd::Uid::effective().as_raw();
        assert!(descendants(appliance.pid()).iter().all(|process| uids_of(process.pid) == [me; 4]));
        return;
    };
    let fallback_uid = fallback.uid.as_raw();
    let wanted = User::from_name("attendance-api").ok().flatten().unwrap_or(fallback).uid.as_raw();
    let processes = descendants(appliance.pid());
    assert!(processes.len() >= 3, "PostgreSQL, its helpers and Redis: {processes:?}");
    let remedies = appliance.log().iter().filter(|line| line.to_string().contains("useradd --system")).count();
    assert_eq!(remedies, usize::from(wanted == fallback_uid), "only the shared fallback user causes a warning, once");
    for pid in processes.iter().map(|process| process.pid).chain([appliance.pid()]) {
        assert_eq!(uids_of(pid), [wanted; 4], "process {pid}");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let groups = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap_or_default();
        assert!(!groups.split_whitespace().any(|group| group == "0"), "process {pid} is in the group root");
    }
}

#[test]
fn no_process_can_gain_privileges_and_the_appliance_is_closed_to_processes_of_its_user() {
    let secret = "s3cret-from-the-environment";
    let appliance = Appliance::builder().env("SOME_TOKEN", secret).start();
    let processes = descendants(appliance.pid());
    for pid in processes.iter().map(|process| process.pid).chain([appliance.pid()]) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        // A helper of PostgreSQL may have ended meanwhile.
        assert!(status.is_empty() || status.contains("NoNewPrivs:\t1"), "process {pid}: {status}");
    }
    let read = |file: &str| {
        let path = format!("/proc/{}/{file}", appliance.pid());
        as_unprivileged_user(std::process::Command::new("cat").arg(path)).output().expect("there is a `cat`")
    };
    assert!(read("status").status.success(), "the process is visible");
    for file in ["environ", "maps", "auxv"] {
        let output = read(file);
        assert!(!output.status.success() && output.stdout.is_empty(), "a process of its user cannot read {file}");
    }
    let children = crate::support::children_of(appliance.pid());
    for child in &children {
        let environment = std::fs::read(format!("/proc/{}/environ", child.pid)).expect("the tests may read it");
        assert!(!String::from_utf8_lossy(&environment).contains(secret), "{}", child.name);
    }
}

/// Bytes that no client of Redis sends.
fn garbage() -> Vec<Vec<u8>> {
    let texts = [
        "",
        "\r\n",
        "x",
        "GET / HTTP/1.1\r\n\r\n",
        "*\r\n",
        "*-1\r\n",
        "*1\r\n*1\r\n$3\r\nGET\r\n",
        "*1\r\n$-1\r\n",
        "$-2\r\n",
        "*1\r\n:99999999999999999999\r\n",
        "*0\r\n",
        "+OK\r\n",
        "-ERR\r\n",
        ":1\r\n",
        "$3\r\nGET\r\n",
        "*3\r\n$3\r\nSET\r\n$1\r\na\r\n",
        "*2\r\n$3\r\nGET\r\n:1\r\n",
        "*1\r\n$3\r\nSET\r\n",
        "*4\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n$2\r\nEX\r\n",
        "%1\r\n",
        "\0\0\0\0",
        "*5\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n$2\r\nEX\r\n$2\r\n-1\r\n",
        "*1\r\n$4\r\nPINGxx",
        "*1\r\n$4\r\nPING\n\n",
    ];
    let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    all.extend([
        vec![0xff; 4096],
        b"*1\r\n$2\r\n\xff\xfe\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00".to_vec(),
        b"*9".repeat(500),
    ]);
    all
}

#[test]
fn garbage_sent_to_the_built_in_redis_is_not_logged_and_the_cache_still_works() {
    use std::io::{Read, Write};
    let appliance = Appliance::builder().existing_cluster().start();
    wait_for_cache(&appliance);
    let redis = appliance.logged("listening")[0]["redis"].as_str().expect("the address of Redis").to_owned();
    let address = redis.rsplit(' ').next().expect("an address at the end").to_owned();
    let before = appliance.stdout_lines().len();
    for _ in 0..20 {
        for bytes in garbage() {
            let mut stream = std::net::TcpStream::connect(&address).expect("Redis accepts connections");
            // An error means that Redis has hung up already.
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.set_read_timeout(Some(crate::support::HANG_TIMEOUT));
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    wait_for_cache(&appliance);
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    eventually("a search is answered by the cache", || {
        appliance.get(&format!("{API}/search?id=1")).expect(200);
        appliance
            .get("/metrics")
            .text()
            .lines()
            .any(|line| line.strip_prefix("attendance_api_cache_hits_total ").is_some_and(|count| count != "0"))
            .then_some(())
    });
    let of_redis: Vec<_> = appliance.log().into_iter().skip(before).filter(|line| line["target"] == "redis").collect();
    assert!(of_redis.len() <= 5, "{} lines, the first of which are {:?}", of_redis.len(), &of_redis[..5]);
}

#[test]
fn children_have_their_own_process_group_and_a_clean_environment() {
    let secret = "s3cret-from-the-environment";
    let appliance =
        Appliance::builder().env("WATCHDOG_USEC", "600000000").env("LISTEN_PID", "1").env("SOME_TOKEN", secret).start();
    let group = |pid: u32| getpgid(Some(Pid::from_raw(pid.try_into().expect("a process number fits")))).ok();
    let children = crate::support::children_of(appliance.pid());
    assert!(children.len() >= 2, "{children:?}");
    for child in &children {
        assert_ne!(group(child.pid), group(appliance.pid()), "Ctrl-C in a terminal must reach the appliance only");
        let environment = std::fs::read(format!("/proc/{}/environ", child.pid)).expect("we may look");
        let environment = String::from_utf8_lossy(&environment).into_owned();
        for name in ["NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", secret] {
            assert!(!environment.contains(name), "{}: {environment}", child.name);
        }
    }
}

/// A child that ignored its death signal until it handles it could outlive an appliance that was started in the background.
#[test]
fn children_of_an_appliance_in_the_background_do_not_ignore_the_signals_that_end_them() {
    let appliance = Appliance::builder().existing_cluster().in_background().start();
    let ignored = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the tests may read it");
        let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("the kernel names them");
        u64::from_str_radix(bits.trim(), 16).expect("a hexadecimal number")
    };
    let children = crate::support::children_of(appliance.pid());
    assert!(children.len() >= 2, "{children:?}");
    for child in &children {
        for kind in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM] {
            assert_eq!(ignored(child.pid) & (1 << (kind as u32 - 1)), 0, "{} ignores {kind}", child.name);
        }
    }
}

#[test]
fn lists_of_processes_say_what_the_children_are_and_whose() {
    let appliance = Appliance::builder().existing_cluster().start();
    wait_for_cache(&appliance);
    let title = |pid: u32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).replace('\0', " ")
    };
    let data = appliance.data().canonicalize().expect("it exists").display().to_string();
    let redis = appliance.redis_child().expect("Redis runs");
    assert_eq!(redis.name, "attendance-redi", "the kernel has 15 bytes for it");
    assert!(
        title(redis.pid).starts_with("attendance-redis ") && title(redis.pid).contains(&data),
        "{}",
        title(redis.pid)
    );
    let postmaster = appliance.postgres_child().expect("PostgreSQL runs");
    let name = appliance.sql().value("SHOW cluster_name");
    let end = &data[data.len().saturating_sub(40)..];
    assert!(name.contains(end), "{name} is not the end of {data}");
    // One that has just begun has no title yet, and one that has just ended none any more.
    eventually("all processes of PostgreSQL have titles", || {
        let titles: Vec<_> = descendants(postmaster.pid).iter().map(|process| title(process.pid)).collect();
        let expected = format!("postgres: {name}: ");
        (!titles.is_empty() && titles.iter().all(|title| title.starts_with(&expected))).then_some(())
    });
}

#[test]
fn a_postgresql_that_was_stopped_by_hand_starts_again_without_a_warning() {
    let appliance = Appliance::builder().existing_cluster().start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    let ready =
        |line: &&serde_json::Value| line["message"].as_str().is_some_and(|text| text.starts_with("postgres is ready"));
    let is_loud = |line: &serde_json::Value| {
        line["level"].as_str().is_some_and(|level| ["WARN", "ERROR"].contains(&level.to_uppercase().as_str()))
    };
    let before = appliance.log().len();
    // Alone, SIGTERM would wait for the sessions of the pool.
    for (restarts, signals) in [(1, &[Signal::SIGINT][..]), (2, &[Signal::SIGTERM, Signal::SIGINT])] {
        let postmaster = appliance.postgres_child().expect("PostgreSQL runs");
        signals.iter().for_each(|kind| signal(postmaster.pid, *kind));
        eventually("PostgreSQL is ready again", || {
            (appliance.log().iter().filter(ready).count() > restarts).then_some(())
        });
        create(&appliance, &record("1", "n", "s", &format!("2023-09-0{restarts}"))).expect(200);
    }
    assert_eq!(records(&appliance, "").len(), 3);
    let loud: Vec<_> = appliance.log().into_iter().skip(before).filter(is_loud).collect();
    assert!(loud.is_empty(), "{loud:?}");
}

#[test]
fn a_killed_postgresql_restarts_with_every_acknowledged_record() {
    let appliance = Appliance::builder().existing_cluster().start();
    for round in 0..3 {
        create(&appliance, &record(&format!("round-{round}"), "n", "s", "2023-08-01")).expect(200);
        let postmaster = appliance.postgres_child().expect("PostgreSQL runs");
        signal(postmaster.pid, Signal::SIGKILL);
        eventually("another PostgreSQL runs", || {
            appliance.postgres_child().filter(|child| child.pid != postmaster.pid)
        });
        eventually("requests are served again", || is_serving(&appliance).then_some(()));
    }
    assert_eq!(records(&appliance, "").len(), 3);
    let health = appliance.get(&format!("{API}/health/detail")).expect(200).json();
    assert_eq!(health["postgresql"], "up");
    let restarts = "attendance_api_child_restarts_total{child=\"postgres\"} 3";
    eventually("the restarts are counted", || appliance.get("/metrics").text().contains(restarts).then_some(()));
}

#[test]
fn no_acknowledged_record_is_lost_when_postgresql_dies_under_load() {
    let appliance = Appliance::builder().existing_cluster().start();
    let acknowledged = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let (appliance, acknowledged) = (&appliance, &acknowledged);
            scope.spawn(move || {
                for number in 0..60 {
                    let id = format!("w{writer}-{number:03}");
                    // An answer other than 200 acknowledges nothing: the record may be stored or not.
                    if create(appliance, &record(&id, "n", "s", "2023-08-01")).status == 200 {
                        acknowledged.lock().unwrap().push(id);
                    }
                }
            });
        }
        for _ in 0..3 {
            std::thread::sleep(std::time::Duration::from_millis(150));
            if let Some(postmaster) = appliance.postgres_child() {
                try_signal(postmaster.pid, Signal::SIGKILL);
            }
        }
    });
    eventually("requests are served again", || is_serving(&appliance).then_some(()));
    let stored: std::collections::HashSet<String> =
        records(&appliance, "").iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect();
    let lost: Vec<_> = acknowledged.into_inner().unwrap().into_iter().filter(|id| !stored.contains(id)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}

#[test]
fn service_resumes_after_backends_are_terminated() {
    let appliance = Appliance::builder().existing_cluster().config("redis: { mode: off }\n").start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
    for _ in 0..5 {
        appliance.sql().run(end);
        eventually("requests are served again", || is_serving(&appliance).then_some(()));
    }
}

#[test]
fn a_killed_redis_fails_no_request_and_restarts() {
    let appliance = Appliance::builder().existing_cluster().start();
    wait_for_cache(&appliance);
    for round in 1..=3 {
        let child = appliance.redis_child().expect("Redis runs");
        signal(child.pid, Signal::SIGKILL);
        for day in 1..=5 {
            create(&appliance, &record("1", "n", "s", &format!("20{round:02}-08-{day:02}"))).expect(200);
            let latest = appliance.get(&format!("{API}/search?id=1")).expect(200).json();
            assert_eq!(latest["date"], format!("20{round:02}-08-{day:02}"));
        }
        eventually("another Redis runs", || appliance.redis_child().filter(|now| now.pid != child.pid));
        wait_for_cache(&appliance);
    }
}

#[test]
fn a_frozen_redis_is_restarted() {
    let appliance = Appliance::builder().existing_cluster().start();
    wait_for_cache(&appliance);
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    let child = appliance.redis_child().expect("Redis runs");
    signal(child.pid, Signal::SIGSTOP);
    appliance.get(&format!("{API}/search?id=1")).expect(200);
    eventually("another Redis runs", || appliance.redis_child().filter(|now| now.pid != child.pid));
    wait_for_cache(&appliance);
    appliance.get(&format!("{API}/search?id=1")).expect(200);
}

#[test]
fn a_frozen_postgresql_is_answered_with_503_until_it_resumes() {
    let appliance = Appliance::builder().existing_cluster().config("redis: { mode: off }\n").start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    let postmaster = appliance.postgres_child().expect("PostgreSQL runs");
    let processes: Vec<_> = descendants(postmaster.pid).into_iter().chain([postmaster]).collect();
    processes.iter().for_each(|process| try_signal(process.pid, Signal::SIGSTOP));
    // Sent together, because each is answered only after the request timeout.
    std::thread::scope(|scope| {
        for target in ["/search?id=1", "/search/all", "/search/all?limit=1"] {
            let appliance = &appliance;
            scope.spawn(move || {
                let answer = appliance.get(&format!("{API}{target}")).expect(503);
                assert!(answer.header("retry-after").is_some());
            });
        }
    });
    appliance.get(&format!("{API}/health")).expect(400);
    processes.iter().for_each(|process| try_signal(process.pid, Signal::SIGCONT));
    eventually("requests are served again", || is_serving(&appliance).then_some(()));
}

#[test]
fn an_appliance_killed_with_sigkill_leaves_no_child_and_starts_again() {
    let mut appliance = Appliance::builder().existing_cluster().start();
    for round in 1..=3 {
        create(&appliance, &record(&format!("{round}"), "n", "s", "2023-08-01")).expect(200);
        // Fails if a child outlives it.
        appliance.kill();
        appliance.start_again();
        assert_eq!(records(&appliance, "").len(), round);
    }
}

#[test]
fn a_real_redis_server_can_be_the_managed_one() {
    let program = which("redis-server").expect("redis-server is needed: run `apt-get install redis-server`");
    let mut appliance =
        Appliance::builder().existing_cluster().config(&format!("redis: {{ program: {program} }}\n")).start();
    wait_for_cache(&appliance);
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    for _ in 0..3 {
        appliance.get(&format!("{API}/search?id=1")).expect(200);
    }
    let detail = appliance.get(&format!("{API}/health/detail")).expect(200).json();
    assert_eq!(detail["details"]["redis"]["managed"], json!(true));
    assert!(appliance.get("/metrics").text().contains("attendance_api_cache_hits_total 2"));
    appliance.stop();
}

fn which(program: &str) -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').map(|directory| format!("{directory}/{program}")).find(|path| std::path::Path::new(path).exists())
}

#[test]
fn the_output_of_the_children_is_logged() {
    let appliance = Appliance::builder().start();
    let line = appliance.wait_log("a line of PostgreSQL", |line| {
        line["target"] == "postgres" && line["message"].as_str().is_some_and(|text| text.contains("ready to accept"))
    });
    assert_eq!(line["level"].as_str().map(str::to_uppercase).as_deref(), Some("INFO"));
}
