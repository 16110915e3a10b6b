//! The children: how they are set up, what happens when they die, and that nobody survives the appliance.

use nix::sys::signal::Signal;
use nix::unistd::{Pid, User, getpgid};
use serde_json::json;

use crate::support::{
    API, Appliance, as_lower_user, cache_is_up, create, descendants, eventually, lower_uid, record, records, signal,
    try_signal, uids_of,
};

fn served(appliance: &Appliance) -> bool {
    appliance.get(&format!("{API}/search/all?limit=1")).status == 200
}

#[test]
fn the_managed_postgresql_is_set_up_to_lose_nothing() {
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
    assert_eq!(sql.value(hba), "scram-sha-256", "nobody comes in without the password");
}

#[test]
fn what_is_private_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let appliance = Appliance::builder().start();
    let mode = |path: &str| {
        appliance.data().join(path).metadata().unwrap_or_else(|e| panic!("{path}: {e}")).permissions().mode() & 0o777
    };
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("run"), 0o700);
    assert_eq!(mode("postgres/password"), 0o600);
    let leftovers: Vec<_> =
        walk(&appliance.data()).into_iter().filter(|path| path.contains("pwfile") || path.ends_with(".pw")).collect();
    assert!(leftovers.is_empty(), "a copy of the password is left behind: {leftovers:?}");
}

/// Every path below a directory, as text.
fn walk(directory: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| {
            let path = entry.path();
            let below = if path.is_dir() && !path.is_symlink() { walk(&path) } else { Vec::new() };
            below.into_iter().chain([path.display().to_string()])
        })
        .collect()
}

#[test]
fn nothing_runs_as_root() {
    let appliance = Appliance::builder().start();
    let Some(nobody) = lower_uid() else {
        // Not started as root: there is nothing to drop, and everybody is who we are.
        let me = nix::unistd::Uid::effective().as_raw();
        assert!(descendants(appliance.pid()).iter().all(|seen| uids_of(seen.pid) == [me; 4]));
        return;
    };
    let nobody_uid = nobody.uid.as_raw();
    let wanted = User::from_name("attendance-api").ok().flatten().unwrap_or(nobody).uid.as_raw();
    let family = descendants(appliance.pid());
    assert!(family.len() >= 3, "PostgreSQL, its helpers and Redis: {family:?}");
    let remedies = appliance.log().iter().filter(|line| line.to_string().contains("useradd --system")).count();
    assert_eq!(remedies, usize::from(wanted == nobody_uid), "a shared user is warned of once, a user of its own never");
    for pid in family.iter().map(|seen| seen.pid).chain([appliance.pid()]) {
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
    let family = descendants(appliance.pid());
    for pid in family.iter().map(|seen| seen.pid).chain([appliance.pid()]) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        // A helper of PostgreSQL may have ended meanwhile.
        assert!(status.is_empty() || status.contains("NoNewPrivs:\t1"), "process {pid}: {status}");
    }
    let read = |file: &str| {
        let path = format!("/proc/{}/{file}", appliance.pid());
        as_lower_user(std::process::Command::new("cat").arg(path)).output().expect("there is a `cat`")
    };
    assert!(read("status").status.success(), "it can be seen");
    for file in ["environ", "maps", "auxv"] {
        let output = read(file);
        assert!(!output.status.success() && output.stdout.is_empty(), "{file} is closed to a process of its user");
    }
    let children = crate::support::children_of(appliance.pid());
    for child in &children {
        let environment = std::fs::read(format!("/proc/{}/environ", child.pid)).expect("the tests may read it");
        assert!(!String::from_utf8_lossy(&environment).contains(secret), "{}", child.name);
    }
}

/// What no client of Redis sends.
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
    let appliance = Appliance::builder().start();
    cache_is_up(&appliance);
    let redis = appliance.logged("listening")[0]["redis"].as_str().expect("the address of Redis").to_owned();
    let address = redis.rsplit(' ').next().expect("an address at the end").to_owned();
    let before = appliance.lines().len();
    for _ in 0..20 {
        for bytes in garbage() {
            let mut stream = std::net::TcpStream::connect(&address).expect("Redis accepts connections");
            // An error means that Redis has hung up already.
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.set_read_timeout(Some(crate::support::HANG));
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    cache_is_up(&appliance);
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
fn children_have_their_own_process_groups_and_a_clean_environment() {
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

#[test]
fn a_killed_postgresql_is_back_with_every_acknowledged_record() {
    let appliance = Appliance::builder().start();
    for round in 0..3 {
        create(&appliance, &record(&format!("round-{round}"), "n", "s", "2023-08-01")).expect(200);
        let postmaster = appliance.postgres_child().expect("PostgreSQL runs");
        signal(postmaster.pid, Signal::SIGKILL);
        eventually("another PostgreSQL runs", || {
            appliance.postgres_child().filter(|child| child.pid != postmaster.pid)
        });
        eventually("it is served again", || served(&appliance).then_some(()));
    }
    assert_eq!(records(&appliance, "").len(), 3);
    let health = appliance.get(&format!("{API}/health/detail")).expect(200).json();
    assert_eq!(health["postgresql"], "up");
    let restarts = "attendance_api_child_restarts_total{child=\"postgres\"} 3";
    eventually("the restarts are counted", || appliance.get("/metrics").text().contains(restarts).then_some(()));
}

#[test]
fn no_acknowledged_record_is_lost_when_postgresql_dies_under_load() {
    let appliance = Appliance::builder().start();
    let acknowledged = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let (appliance, acknowledged) = (&appliance, &acknowledged);
            scope.spawn(move || {
                for number in 0..60 {
                    let id = format!("w{writer}-{number:03}");
                    // An answer other than 200 acknowledges nothing: the record may be there or not.
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
    eventually("it is served again", || served(&appliance).then_some(()));
    let stored: std::collections::HashSet<String> =
        records(&appliance, "").iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect();
    let lost: Vec<_> = acknowledged.into_inner().unwrap().into_iter().filter(|id| !stored.contains(id)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}

#[test]
fn a_killed_backend_is_noticed_by_nobody_for_long() {
    let appliance = Appliance::builder().config("redis: { mode: off }\n").start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
    for _ in 0..5 {
        appliance.sql().run(end);
        eventually("it is served again", || served(&appliance).then_some(()));
    }
}

#[test]
fn a_killed_redis_costs_no_request_and_comes_back() {
    let appliance = Appliance::builder().start();
    cache_is_up(&appliance);
    for round in 1..=3 {
        let child = appliance.redis_child().expect("Redis runs");
        signal(child.pid, Signal::SIGKILL);
        for day in 1..=5 {
            create(&appliance, &record("1", "n", "s", &format!("20{round:02}-08-{day:02}"))).expect(200);
            let latest = appliance.get(&format!("{API}/search?id=1")).expect(200).json();
            assert_eq!(latest["date"], format!("20{round:02}-08-{day:02}"));
        }
        eventually("another Redis runs", || appliance.redis_child().filter(|now| now.pid != child.pid));
        cache_is_up(&appliance);
    }
}

#[test]
fn a_frozen_redis_is_replaced() {
    let appliance = Appliance::builder().start();
    cache_is_up(&appliance);
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    let child = appliance.redis_child().expect("Redis runs");
    signal(child.pid, Signal::SIGSTOP);
    appliance.get(&format!("{API}/search?id=1")).expect(200);
    eventually("another Redis runs", || appliance.redis_child().filter(|now| now.pid != child.pid));
    cache_is_up(&appliance);
    appliance.get(&format!("{API}/search?id=1")).expect(200);
}

#[test]
fn a_frozen_postgresql_is_503_and_then_served_again() {
    let appliance = Appliance::builder().config("redis: { mode: off }\n").start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    let postmaster = appliance.postgres_child().expect("PostgreSQL runs");
    let family: Vec<_> = descendants(postmaster.pid).into_iter().chain([postmaster]).collect();
    family.iter().for_each(|seen| try_signal(seen.pid, Signal::SIGSTOP));
    for target in ["/search?id=1", "/search/all", "/search/all?limit=1"] {
        let answer = appliance.get(&format!("{API}{target}")).expect(503);
        assert!(answer.header("retry-after").is_some());
    }
    appliance.get(&format!("{API}/health")).expect(400);
    family.iter().for_each(|seen| try_signal(seen.pid, Signal::SIGCONT));
    eventually("it is served again", || served(&appliance).then_some(()));
}

#[test]
fn an_appliance_killed_with_9_leaves_no_child_and_starts_again() {
    let mut appliance = Appliance::builder().start();
    for round in 1..=3 {
        create(&appliance, &record(&format!("{round}"), "n", "s", "2023-08-01")).expect(200);
        // Fails when a child survives.
        appliance.kill();
        appliance.start_again();
        assert_eq!(records(&appliance, "").len(), round);
    }
}

#[test]
fn a_real_redis_server_can_be_the_managed_one() {
    let program = which("redis-server").expect("redis-server is needed: run `apt-get install redis-server`");
    let mut appliance = Appliance::builder().config(&format!("redis: {{ program: {program} }}\n")).start();
    cache_is_up(&appliance);
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
fn the_output_of_the_children_comes_out_as_log_lines() {
    let appliance = Appliance::builder().start();
    let line = appliance.wait_log("a line of PostgreSQL", |line| {
        line["target"] == "postgres" && line["message"].as_str().is_some_and(|text| text.contains("ready to accept"))
    });
    assert_eq!(line["level"].as_str().map(str::to_uppercase).as_deref(), Some("INFO"));
}
