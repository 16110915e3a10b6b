//! Connections that send nothing, or wait for a request, and those that make room for a new client.

use std::io;
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;

use crate::support::{API, Appliance, Connection, HANG_TIMEOUT, Request, eventually, record, shared_postgres, unique};

fn appliance(server: &str) -> Appliance {
    Appliance::builder()
        .config(&format!("server: {{ {server} }}\nredis: {{ mode: off }}\n"))
        .postgres(shared_postgres(), &shared_postgres().create_database())
        .start()
}

/// A keep-alive connection on which a request has been answered.
fn idle(appliance: &Appliance) -> Connection {
    let mut connection = appliance.connect();
    assert!(is_served(&mut connection));
    connection
}

fn is_served(connection: &mut Connection) -> bool {
    connection.send(&Request::get("/livez")).is_ok_and(|answer| answer.status == 200)
}

/// A create whose last byte is missing, and that byte.
fn create_in_flight(appliance: &Appliance) -> (Connection, Vec<u8>) {
    let body = record(&unique("in-flight"), "n", "s", "2024-01-01").to_string().into_bytes();
    let head = format!(
        "POST {API}/create HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let (begin, end) = body.split_at(body.len() - 1);
    let mut connection = appliance.connect();
    connection.write(&[head.as_bytes(), begin].concat()).unwrap();
    (connection, end.to_vec())
}

/// Waits until the server has counted at least this many connections that it closed for this reason.
fn wait_closed(connection: &mut Connection, reason: &str, count: u32) {
    let name = format!("attendance_api_connections_closed_total{{reason=\"{reason}\"}} ");
    wait_metric(connection, &name, |value| value >= count);
}

/// Waits for the value of a metric whose line begins like this.
fn wait_metric(connection: &mut Connection, name: &str, is_wanted: impl Fn(u32) -> bool) {
    eventually(name, || {
        let text = connection.send(&Request::get("/metrics")).ok()?.text();
        let value = text.lines().find_map(|line| line.strip_prefix(name))?.parse().ok()?;
        is_wanted(value).then_some(())
    });
}

#[test]
fn silent_connections_make_room_first_and_then_the_longest_idle() {
    let appliance = appliance("max_connections: 8, max_connections_per_client: 100");
    let (mut in_flight, end) = create_in_flight(&appliance);
    let mut idle: Vec<Connection> = (0..3).map(|_| idle(&appliance)).collect();
    // Far more silent ones than there is room for; new clients are served nevertheless, and connections with a past stay.
    let mut silent: Vec<Connection> = (0..40).map(|_| appliance.connect()).collect();
    for _ in 0..10 {
        assert!(is_served(&mut appliance.connect()), "a new client is served");
    }
    assert!(idle.iter_mut().all(is_served), "no idle connection was closed");
    assert!(silent[0].closed_within(HANG_TIMEOUT), "the first silent connection made room");
    drop(silent);
    wait_metric(&mut idle[0], "attendance_api_connections_open ", |open| open == 4);

    // Now idle ones only: the longest idle makes room, whatever its age.
    assert!(is_served(&mut idle[0]));
    let mut others: Vec<Connection> = (0..4).map(|_| self::idle(&appliance)).collect();
    assert!(is_served(&mut appliance.connect()));
    wait_closed(&mut others[3], "evicted_idle", 1);
    assert!(idle[1].closed_within(HANG_TIMEOUT));
    assert!(is_served(&mut idle[0]) && is_served(&mut idle[2]));

    in_flight.write(&end).unwrap();
    in_flight.read(false).unwrap().expect(200);
}

#[test]
fn a_head_that_stays_incomplete_makes_room_before_idle_connections() {
    let appliance = appliance("max_connections: 4, max_connections_per_client: 100, head_timeout: 1h");
    let mut idle = idle(&appliance);
    let mut heads: Vec<Connection> = (0..3).map(|_| appliance.connect()).collect();
    // Each goes on sending, so that no time-out between two bytes would find it.
    for byte in b"GET / HTTP/1.1\r\nX: ".chunks(2) {
        heads.iter_mut().for_each(|head| head.write(byte).unwrap());
        sleep(Duration::from_millis(150));
    }
    assert!(is_served(&mut appliance.connect()), "a new client is served");
    assert!(is_served(&mut idle));
    wait_closed(&mut idle, "evicted_incomplete", 1);
}

#[test]
fn with_a_request_on_every_connection_a_new_client_waits_for_its_turn() {
    let appliance = appliance("max_connections: 2, max_connections_per_client: 100");
    let mut in_flight = [create_in_flight(&appliance), create_in_flight(&appliance)];
    // The first of these is accepted and waits, the second waits in the kernel.
    let mut waiting = [appliance.connect(), appliance.connect()];
    for connection in &mut waiting {
        connection.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert!(!connection.has_answer());
    }
    for (connection, end) in &mut in_flight {
        connection.write(end).unwrap();
        connection.read(false).unwrap().expect(200);
    }
    for connection in &mut waiting {
        connection.read(false).unwrap().expect(200);
    }
}

#[test]
fn a_client_that_waits_for_room_is_served_when_the_server_stops() {
    let mut appliance = appliance("max_connections: 1, max_connections_per_client: 100");
    let (mut in_flight, end) = create_in_flight(&appliance);
    let mut waiting = appliance.connect();
    waiting.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(!waiting.has_answer());
    appliance.terminate();
    waiting.read(false).unwrap().expect(200);
    in_flight.write(&end).unwrap();
    in_flight.read(false).unwrap().expect(200);
    assert!(appliance.wait().success());
}

#[test]
fn only_a_new_connection_has_to_send_its_first_byte_soon() {
    let appliance = appliance("first_byte_timeout: 1s, head_timeout: 1h");
    let mut used = idle(&appliance);
    let mut begun = appliance.connect();
    begun.write(b"GET /livez HT").unwrap();
    let mut silent = appliance.connect();
    assert!(silent.closed_within(HANG_TIMEOUT));
    wait_closed(&mut used, "first_byte_timeout", 1);
    sleep(Duration::from_secs(1));
    assert!(is_served(&mut used), "a connection with a past may be silent");
    begun.write(b"TP/1.1\r\nHost: a\r\n\r\n").unwrap();
    begun.read(false).unwrap().expect(200);
}

#[test]
fn one_client_cannot_take_every_connection() -> io::Result<()> {
    let appliance = appliance("max_connections: 10, max_connections_per_client: 3");
    let mut held: Vec<Connection> = (0..3).map(|_| idle(&appliance)).collect();
    for _ in 0..3 {
        let mut refused = appliance.connect();
        refused.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")?;
        let answer = refused.read(false)?.expect(503);
        assert_eq!((answer.header("retry-after"), answer.header("connection")), (Some("1"), Some("close")));
        assert!(answer.json()["message"].as_str().unwrap().contains("connections"), "{answer:?}");
        assert!(answer.header("x-request-id").is_some());
    }
    assert!(held.iter_mut().all(is_served), "what the client has stays usable");
    let mut other = Connection::open_from(Ipv4Addr::new(127, 0, 0, 2), appliance.address())?;
    assert!(is_served(&mut other), "another client is not concerned");
    drop(held.pop());
    eventually("a place of the client is free again", || is_served(&mut appliance.connect()).then_some(()));
    wait_closed(&mut other, "max_connections_per_client", 3);
    Ok(())
}

#[test]
fn without_a_setting_one_client_leaves_a_tenth_to_others() -> io::Result<()> {
    let appliance = appliance("max_connections: 20");
    let held: Vec<(Connection, Vec<u8>)> = (0..18).map(|_| create_in_flight(&appliance)).collect();
    let mut refused = appliance.connect();
    assert_eq!(refused.read(false)?.status, 503);
    let mut others = (2..4).map(|host| Connection::open_from(Ipv4Addr::new(127, 0, 0, host), appliance.address()));
    assert!(others.all(|other| other.is_ok_and(|mut other| is_served(&mut other))));
    drop(held);
    Ok(())
}
