//! Clients that read their answers slowly, or not at all: what the kernel keeps for them, and who is disconnected.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::{API, Appliance, Connection, eventually, shared_postgres};

/// What may be unsent of the answers to one client.
const MAX_UNSENT: u64 = 64 * 1024;
const LARGEST_FILE: &str = "/apidocs/swagger-ui-bundle.js";

/// An appliance with a list of about 30 MB.
fn appliance_with_records() -> Appliance {
    let database = shared_postgres().create_database();
    let appliance =
        Appliance::builder().postgres(shared_postgres(), &database).config("redis: { mode: off }\n").start();
    shared_postgres().sql(&database).run(
        "INSERT INTO records SELECT 'employee-' || n, repeat('x', 250), 'Present', '2023-08-01' FROM generate_series(1, 100000) n",
    );
    appliance
}

/// Connects with a receive buffer that does not grow, and sends these requests in one piece. What a host lets a buffer grow to may be
/// more than all answers of a test.
fn ask(appliance: &Appliance, targets: &[&str]) -> Connection {
    ask_with_buffer(appliance, 128 << 10, targets)
}

fn ask_with_buffer(appliance: &Appliance, bytes: usize, targets: &[&str]) -> Connection {
    let mut connection = Connection::open_with_buffer(appliance.address(), bytes).expect("the appliance accepts");
    let requests: String = targets.iter().map(|target| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    connection.write(requests.as_bytes()).unwrap();
    connection
}

/// How many bytes for this client the kernel of the server holds, because they were not sent or not acknowledged.
fn unsent(appliance: &Appliance, client: &Connection) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (server, client) = (appliance.address().port(), client.local_address().port());
    let ends = |field: &str, port: u16| field.ends_with(&format!(":{port:04X}"));
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let socket = fields.into_iter().find(|fields| ends(fields[1], server) && ends(fields[2], client));
    let queue = socket.expect("the connection is open")[4].split(':').next().map(str::to_owned).unwrap();
    u64::from_str_radix(&queue, 16).unwrap()
}

/// Fails unless something stays unsent, and never more than the limit.
fn expect_bounded(what: &str, appliance: &Appliance, client: &Connection) {
    // In the beginning, bytes are on their way for which the client has room.
    eventually(what, || (1..=MAX_UNSENT).contains(&unsent(appliance, client)).then_some(()));
    sleep(Duration::from_millis(500));
    for _ in 0..20 {
        let unsent = unsent(appliance, client);
        assert!((1..=MAX_UNSENT).contains(&unsent), "{what}: {unsent} bytes are unsent");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_kernel_keeps_little_for_a_client_that_does_not_read() -> io::Result<()> {
    let appliance = appliance_with_records();
    let list = format!("{API}/search/all");
    let one_page = format!("{API}/search/all?limit=100");
    expect_bounded("the largest file, again and again", &appliance, &ask(&appliance, &[LARGEST_FILE; 3]));
    expect_bounded("a streamed list", &appliance, &ask(&appliance, &[&list]));
    expect_bounded("many pages, pipelined", &appliance, &ask(&appliance, &[one_page.as_str(); 100]));
    expect_bounded("many short answers, pipelined", &appliance, &ask(&appliance, &["/nowhere"; 20_000]));
    let mut stops = ask(&appliance, &[&list]);
    stops.read_bytes(8 << 20)?;
    expect_bounded("a client that stops after 8 MiB", &appliance, &stops);
    let wide = ask_with_buffer(&appliance, 1 << 20, &[&list]);
    expect_bounded("a client with a large buffer", &appliance, &wide);
    Ok(())
}

#[test]
fn slow_readers_are_served_and_slower_ones_than_the_minimum_are_not() -> io::Result<()> {
    let appliance = appliance_with_records();
    let list = format!("{API}/search/all");
    // With a large buffer it would seem to read nothing for longer than the time-out for that.
    let mut too_slow = ask_with_buffer(&appliance, 4096, &[&list]);
    let mut steady: Vec<(Connection, usize)> =
        [5000, 2000].into_iter().map(|rate| (ask(&appliance, &[&list]), rate)).collect();
    let begun = Instant::now();
    let tenths = |since: Instant| (since.elapsed().as_millis() / 100) as usize;
    let mut read = 0;
    // The minimum is 1 KiB/s over 60 seconds in which the server waits.
    while !appliance.get("/metrics").text().contains("connections_closed_total{reason=\"min_response_rate\"} 1\n") {
        assert!(begun.elapsed() < Duration::from_secs(120), "the slow client is still there");
        sleep(Duration::from_millis(200));
        let due = tenths(begun);
        // It may have been disconnected already.
        let _ = too_slow.read_bytes(50 * (due - read));
        for (connection, rate) in &mut steady {
            connection.read_bytes(*rate / 10 * (due - read))?;
        }
        read = due;
    }
    assert!(begun.elapsed() >= Duration::from_secs(60), "the client had its minute");
    for (mut connection, rate) in steady {
        assert!(connection.read_to_close_or_end(b"\r\n0\r\n\r\n")?, "{rate} B/s: the list is not whole");
    }
    Ok(())
}

#[test]
fn a_client_that_reads_and_then_stops_is_disconnected() -> io::Result<()> {
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder()
        .config("server: { write_timeout: 1s }\nredis: { mode: off }\n")
        .postgres(shared_postgres(), &database)
        .start();
    let mut stops = ask(&appliance, &[LARGEST_FILE; 10]);
    stops.read_bytes(1 << 20)?;
    eventually("the client is disconnected", || {
        appliance
            .get("/metrics")
            .text()
            .contains("connections_closed_total{reason=\"write_timeout\"} 1\n")
            .then_some(())
    });
    Ok(())
}
