//! Five appliances start at the same time on one empty database: one migrates, all serve.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{Database, scratch};

const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A serving appliance, with the lines of its log up to the one that has its address.
struct Serving {
    child: Child,
    address: String,
    log: Vec<Value>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn serve(database: &Database, number: usize) -> Child {
    let directory = scratch(&format!("concurrent-start-{number}"));
    std::fs::set_permissions(&directory, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let config = directory.join("config.yaml");
    std::fs::write(&config, database.section() + "redis: { mode: off }\nlog: { format: json }\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_attendance-api"));
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(config)
        .arg("--data-dir")
        .arg(directory.join("data"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
}

/// Reads the log until the appliance listens. A thread reads the rest, so that the pipe never fills.
fn wait_until_listening(mut child: Child) -> Serving {
    let (send, lines) = mpsc::channel();
    let output = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            send.send(line).ok();
        }
    });
    let mut serving = Serving { child, address: String::new(), log: Vec::new() };
    while serving.address.is_empty() {
        let line = lines.recv_timeout(START_TIMEOUT).unwrap_or_else(|error| panic!("{error}: {:?}", serving.log));
        let line: Value = serde_json::from_str(&line).unwrap_or(Value::String(line));
        if line["message"] == "listening" {
            serving.address = line["address"].as_str().unwrap().to_owned();
        }
        serving.log.push(line);
    }
    serving
}

fn health(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(START_TIMEOUT)).unwrap();
    write!(stream, "GET /api/v1/attendance/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn five_appliances_on_one_empty_database_migrate_it_once() {
    let database = Database::new();
    let children: Vec<Child> = (1..=5).map(|number| serve(&database, number)).collect();
    let serving: Vec<Serving> = children.into_iter().map(wait_until_listening).collect();
    let mut migrated = 0;
    for appliance in &serving {
        assert!(health(&appliance.address).starts_with("HTTP/1.1 200"));
        let error = appliance.log.iter().find(|line| line["level"] == "ERROR" || line["level"] == "error");
        assert!(error.is_none(), "{error:?}");
        migrated += appliance.log.iter().filter(|line| line["message"] == "running changeset").count().min(1);
    }
    assert_eq!(migrated, 1, "exactly one appliance migrates");
    let twice = database.run("SELECT count(*) - count(DISTINCT id) FROM databasechangelog");
    assert_eq!(twice.trim(), "0");
    for appliance in &serving {
        kill(Pid::from_raw(appliance.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    }
}
