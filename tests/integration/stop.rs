//! Stopping: in-flight requests finish, everything is bounded.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{
    API, Appliance, Connection, Request, descendants, eventually, half_a_create, shared_postgres, signal,
};

fn external(more: &str) -> Appliance {
    let database = shared_postgres().create_database();
    let settings = Appliance::builder().postgres(shared_postgres(), &database);
    settings.config(&format!("redis: {{ mode: off }}\n{more}")).start()
}

fn refuses_connections(appliance: &Appliance) {
    let address = appliance.address();
    eventually("nobody is let in any more", || {
        TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused).then_some(())
    });
}

#[test]
fn a_stop_with_nothing_to_do_is_status_0_and_leaves_no_child() {
    for stop in [Signal::SIGTERM, Signal::SIGINT] {
        let mut appliance = Appliance::builder().start();
        let family = descendants(appliance.pid());
        signal(appliance.pid(), stop);
        assert!(appliance.wait().success());
        assert!(family.iter().all(|seen| !seen.runs()), "{family:?}");
        assert!(!appliance.data().join("run/.s.PGSQL.5432").exists(), "PostgreSQL was shut down, not killed");
        appliance.start_again();
    }
}

#[test]
fn requests_in_flight_are_finished() {
    let mut appliance = external("");
    let (mut connection, rest) = half_a_create(&appliance, "in-flight");
    appliance.terminate();
    refuses_connections(&appliance);
    connection.write(rest.as_bytes()).expect("the connection is open");
    let answer = connection.read(false).expect("an answer").expect(200);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(appliance.wait().success());
}

#[test]
fn idle_connections_do_not_hold_the_stop() {
    let mut appliance = external("server: { drain_timeout: 1h }\n");
    let mut idle: Vec<Connection> = (0..20).map(|_| appliance.connect()).collect();
    for connection in idle.iter_mut().step_by(2) {
        connection.send(&Request::get("/livez")).expect("an answer").expect(200);
    }
    appliance.stop();
    assert!(idle.iter_mut().all(|connection| connection.closed_within(Duration::from_secs(5))));
}

#[test]
fn a_new_request_while_draining_is_503_or_finds_the_connection_closed() {
    let mut appliance = external("server: { drain_timeout: 1h }\n");
    let (mut held, rest) = half_a_create(&appliance, "held");
    // A second request waits on the same connection behind the one in flight.
    appliance.terminate();
    refuses_connections(&appliance);
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
    let mut appliance = external("server: { drain_timeout: 1s }\n");
    let (_stuck, _rest) = half_a_create(&appliance, "stuck");
    appliance.terminate();
    assert!(appliance.wait().success());
}

#[test]
fn a_second_signal_stops_at_once() {
    let mut appliance = Appliance::builder().config("server: { drain_timeout: 1h, body_timeout: 1h }\n").start();
    let (_stuck, _rest) = half_a_create(&appliance, "stuck");
    let family = descendants(appliance.pid());
    appliance.terminate();
    refuses_connections(&appliance);
    appliance.terminate();
    appliance.wait();
    eventually("no child is left", || family.iter().all(|seen| !seen.runs()).then_some(()));
    appliance.start_again();
}

#[test]
fn a_stop_during_the_start_is_obeyed() {
    for delay in [0, 30, 100, 300, 700] {
        let mut appliance = Appliance::builder().spawn();
        std::thread::sleep(Duration::from_millis(delay));
        let family = descendants(appliance.pid());
        appliance.terminate();
        appliance.wait();
        eventually("no child is left", || family.iter().all(|seen| !seen.runs()).then_some(()));
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
