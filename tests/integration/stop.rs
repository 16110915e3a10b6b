//! Stopping: requests in flight are finished, and every step has a bound.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{
    API, Appliance, Connection, Request, begin_create, descendants, eventually, shared_postgres, signal,
};

fn with_external_postgres(more: &str) -> Appliance {
    let database = shared_postgres().create_database();
    let settings = Appliance::builder().postgres(shared_postgres(), &database);
    settings.config(&format!("redis: {{ mode: off }}\n{more}")).start()
}

fn wait_until_connections_are_refused(appliance: &Appliance) {
    let address = appliance.address();
    eventually("new connections are refused", || {
        TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused).then_some(())
    });
}

#[test]
fn an_idle_stop_exits_with_0_and_leaves_no_child() {
    for stop in [Signal::SIGTERM, Signal::SIGINT] {
        let mut appliance = Appliance::builder().existing_cluster().start();
        let children = descendants(appliance.pid());
        signal(appliance.pid(), stop);
        assert!(appliance.wait().success());
        assert!(children.iter().all(|process| !process.is_running()), "{children:?}");
        assert!(!appliance.data().join("run/.s.PGSQL.5432").exists(), "PostgreSQL was shut down, not killed");
        appliance.start_again();
    }
}

#[test]
fn requests_in_flight_are_finished() {
    let mut appliance = with_external_postgres("");
    let (mut connection, rest) = begin_create(&appliance, "in-flight");
    appliance.terminate();
    wait_until_connections_are_refused(&appliance);
    connection.write(rest.as_bytes()).expect("the connection is open");
    let answer = connection.read(false).expect("an answer").expect(200);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(appliance.wait().success());
}

#[test]
fn idle_connections_do_not_delay_the_stop() {
    let mut appliance = with_external_postgres("server: { drain_timeout: 1h }\n");
    let mut idle: Vec<Connection> = (0..20).map(|_| appliance.connect()).collect();
    for connection in idle.iter_mut().step_by(2) {
        connection.send(&Request::get("/livez")).expect("an answer").expect(200);
    }
    appliance.stop();
    assert!(idle.iter_mut().all(|connection| connection.closed_within(Duration::from_secs(5))));
}

#[test]
fn a_new_request_while_draining_is_503_or_finds_the_connection_closed() {
    let mut appliance = with_external_postgres("server: { drain_timeout: 1h }\n");
    let (mut held, rest) = begin_create(&appliance, "held");
    // A second request waits on this connection behind the one in flight.
    appliance.terminate();
    wait_until_connections_are_refused(&appliance);
    let second = format!("{rest}GET {API}/health HTTP/1.1\r\nHost: x\r\n\r\n");
    held.write(second.as_bytes()).expect("the connection is open");
    held.read(false).expect("an answer").expect(200);
    if let Ok(answer) = held.read(false) {
        assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
    }
    assert!(appliance.wait().success());
}

#[test]
fn the_drain_is_bounded() {
    let mut appliance = with_external_postgres("server: { drain_timeout: 1s }\n");
    let (_stalled, _rest) = begin_create(&appliance, "stuck");
    appliance.terminate();
    assert!(appliance.wait().success());
}

#[test]
fn a_second_signal_stops_immediately() {
    let mut appliance =
        Appliance::builder().existing_cluster().config("server: { drain_timeout: 1h, body_timeout: 1h }\n").start();
    let (_stalled, _rest) = begin_create(&appliance, "stuck");
    let children = descendants(appliance.pid());
    appliance.terminate();
    wait_until_connections_are_refused(&appliance);
    appliance.terminate();
    appliance.wait();
    eventually("no child is left", || children.iter().all(|process| !process.is_running()).then_some(()));
    appliance.start_again();
}

#[test]
fn a_stop_during_startup_is_obeyed() {
    for delay in [0, 30, 100, 300, 700] {
        let mut appliance = Appliance::builder().spawn();
        std::thread::sleep(Duration::from_millis(delay));
        let children = descendants(appliance.pid());
        appliance.terminate();
        appliance.wait();
        eventually("no child is left", || children.iter().all(|process| !process.is_running()).then_some(()));
        appliance.start_again();
    }
}

#[test]
fn each_step_of_start_and_stop_is_a_log_line() {
    let mut appliance = Appliance::builder().start();
    appliance.stop();
    let of_ours = |line: &Value| line["target"] != "postgres" && line["target"] != "redis";
    let messages: Vec<String> = appliance
        .log()
        .iter()
        .filter(|line| of_ours(line))
        .filter_map(|line| line["message"].as_str().map(str::to_owned))
        .collect();
    let steps = [
        "starting",
        "postgres is ready",
        "schema is up to date",
        "listening",
        "stopping",
        "all requests are finished",
        "PostgreSQL is stopped",
        "Redis is stopped",
        "stopped",
    ];
    let mut rest = messages.iter();
    for step in steps {
        assert!(rest.any(|message| message.contains(step)), "{step:?} is missing or out of order: {messages:#?}");
    }
}
