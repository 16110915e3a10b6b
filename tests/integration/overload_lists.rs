//! More lists than the server reads at one time: each client is served or refused in time, no client keeps the others out, and nothing is done
//! for clients that have gone.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    API, Appliance, Connection, Request, Response, Sql, create, eventually, record, shared_postgres, unique, within,
};

/// Far more than the buffers of the kernel take for a client that does not read.
const MANY_ROWS: usize = 150_000;
/// The contract: first byte, or 503. Twice that, because the machine may be busy with other tests.
const ANSWER_BOUND: Duration = Duration::from_secs(4);
/// When nothing may be done any more for clients that have gone. A statement would otherwise run for 30 s.
const CANCEL_BOUND: Duration = Duration::from_secs(10);
/// A receive buffer that takes little of an answer.
const SMALL_BUFFER: usize = 4096;
/// A receive buffer of a client that reads.
const USUAL_BUFFER: usize = 256 * 1024;

struct Server {
    appliance: Appliance,
    sql: Sql,
    locker: Sql,
}

/// An appliance without a cache, beside which nothing else uses its database.
fn server(rows: usize, config: &str) -> Server {
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).config(config).start();
    let sql = shared_postgres().sql(&database);
    sql.run(&format!(
        "INSERT INTO records (id, name, status, date) SELECT 'employee-' || n, 'Name of employee ' || n, 'Present', DATE '2024-01-01' \
         FROM generate_series(1, {rows}) AS n"
    ));
    sql.run("ANALYZE records");
    let locker = shared_postgres().sql(&database);
    Server { appliance, sql, locker }
}

fn list() -> Request {
    Request::get(&format!("{API}/search/all"))
}

impl Server {
    fn connect_from(&self, host: u8, buffer: usize) -> Connection {
        Connection::open_from_with_buffer(Ipv4Addr::new(127, 0, 0, host), self.appliance.address(), buffer)
            .expect("the appliance accepts connections")
    }

    /// A client that asks for a list and reads nothing at first.
    fn begin(&self, host: u8, request: &Request) -> Connection {
        let mut connection = self.connect_from(host, SMALL_BUFFER);
        connection.begin(request).expect("the request is sent");
        connection
    }

    fn send_from(&self, host: u8, request: &Request) -> Response {
        self.connect_from(host, USUAL_BUFFER).send(request).expect("the request is answered")
    }

    fn metrics(&self) -> BTreeMap<String, f64> {
        let text = self.appliance.get("/metrics").expect(200).text();
        let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        series.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }

    fn metric(&self, name: &str) -> f64 {
        self.metrics().get(name).copied().unwrap_or(0.0)
    }

    fn wait_for(&self, name: &str, value: f64) {
        eventually(name, || (self.metric(name) == value).then_some(()));
    }

    /// How many lists PostgreSQL is working on.
    fn statements(&self) -> String {
        self.sql.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
             AND state = 'active' AND query LIKE 'SELECT id, name%'",
        )
    }

    fn wait_for_statements(&self, number: &str) {
        eventually("statements of lists", || (self.statements() == number).then_some(()));
    }

    /// Lets every statement wait. The server still responds.
    fn lock(&self) {
        self.locker.run("BEGIN; LOCK TABLE records IN ACCESS EXCLUSIVE MODE");
    }

    fn unlock(&self) {
        self.locker.run("COMMIT");
    }

    /// The largest memory that the process had so far, in bytes.
    fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.appliance.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel measures it");
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    }
}

fn assert_refused(answer: &Response) {
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{}", answer.text());
    let text = answer.text();
    assert!(text.contains("Too many lists") && text.contains("server.max_lists") && text.contains("limit="), "{text}");
    assert!(!text.contains("database"), "{text}");
}

fn assert_all_records(answer: &Response, rows: usize) {
    assert_eq!(answer.status, 200);
    assert!(answer.body.ends_with(b"]\n"));
    assert_eq!(answer.json().as_array().map(Vec::len), Some(rows));
}

#[test]
fn slow_readers_of_one_client_leave_lists_to_others_and_everything_else_to_all() {
    let server = server(MANY_ROWS, "redis: { mode: off }\nserver: { max_lists: 3 }\n");
    let slow: Vec<_> = (0..3).map(|_| server.begin(1, &list())).collect();
    server.wait_for("attendance_api_lists_in_progress", 3.0);

    // This client has its share. It is refused in time, and still gets pages, searches and creates.
    let asked = Instant::now();
    assert_refused(&server.send_from(1, &list()));
    assert!(asked.elapsed() < ANSWER_BOUND, "{:?}", asked.elapsed());
    let page = server.send_from(1, &Request::get(&format!("{API}/search/all?limit=10000"))).expect(200);
    assert_eq!(page.json().as_array().map(Vec::len), Some(10_000));
    create(&server.appliance, &record(&unique("z"), "n", "s", "2024-01-01")).expect(200);
    server.appliance.get(&format!("{API}/search?id=employee-7")).expect(200);

    // Others get the list, several of them at once.
    thread::scope(|scope| {
        for host in [2, 3] {
            let server = &server;
            scope.spawn(move || assert_all_records(&server.send_from(host, &list()), MANY_ROWS + 1));
        }
    });
    assert_eq!(server.metric("attendance_api_lists_refused_total"), 1.0);

    drop(slow);
    server.wait_for("attendance_api_lists_in_progress", 0.0);
    server.wait_for_statements("0");
    assert_all_records(&server.send_from(1, &list()), MANY_ROWS + 1);
    let warnings = server.appliance.log().into_iter().filter(|line| line["level"] == "WARN" && line["route"] != "");
    assert_eq!(warnings.filter(|line| line.get("request_id").is_some()).count(), 0, "a refusal is not news");
}

#[test]
fn a_read_that_waits_ends_with_its_client() {
    let server = server(MANY_ROWS, "redis: { mode: off }\nserver: { max_lists: 1 }\n");
    let _slow = server.begin(1, &list());
    server.wait_for("attendance_api_lists_in_progress", 1.0);
    let refused = server.metric("attendance_api_lists_refused_total");
    let waiting: Vec<_> = (0..20).map(|_| server.begin(1, &list())).collect();
    server.wait_for("attendance_api_lists_waiting", 20.0);
    for (number, connection) in waiting.into_iter().enumerate() {
        if number % 2 == 0 {
            connection.reset().unwrap();
        }
        // Otherwise it is closed.
    }
    server.wait_for("attendance_api_lists_waiting", 0.0);
    // They have not waited for their refusal.
    server.wait_for("flask_http_request_total{method=\"GET\",status=\"499\"}", 20.0);
    assert_eq!(server.metric("attendance_api_lists_refused_total"), refused);
}

#[test]
fn a_running_statement_is_cancelled_when_its_client_has_gone() {
    let server = server(10, "redis: { mode: off }\n");
    for target in ["search/all", "search/all?limit=5", "search/all?status=Present&from=2023-01-01"] {
        for has_reset in [false, true] {
            server.lock();
            let client = server.begin(1, &Request::get(&format!("{API}/{target}")));
            server.wait_for_statements("1");
            if has_reset {
                client.reset().unwrap();
            } else {
                drop(client);
            }
            within(CANCEL_BOUND, "the statement has ended", || (server.statements() == "0").then_some(()));
            server.unlock();
        }
    }
    server.wait_for("attendance_api_lists_in_progress", 0.0);
    server.appliance.get(&format!("{API}/search/all")).expect(200);
}

#[test]
fn a_stream_whose_client_has_gone_ends_in_the_middle_of_a_statement() {
    let server = server(MANY_ROWS, "redis: { mode: off }\n");
    let mut client = server.connect_from(1, USUAL_BUFFER);
    client.begin(&list()).unwrap();
    client.read_head().unwrap();
    // A chunk waits for the lock, and the server has nothing to write when the client has read what was before it.
    server.lock();
    while client.has_answer() {
        client.discard();
    }
    server.wait_for_statements("1");
    client.reset().unwrap();
    within(CANCEL_BOUND, "the statement has ended", || (server.statements() == "0").then_some(()));
    server.wait_for("attendance_api_lists_in_progress", 0.0);
    server.unlock();
}

#[test]
fn a_client_that_has_only_stopped_sending_gets_its_answer_unchanged() {
    let server = server(1_000, "redis: { mode: off }\n");
    for target in ["search/all", "search/all?limit=5", "search/all?limit=0", "search?id=employee-5", "search?id=x"] {
        for version in ["1.1", "1.0"] {
            let request = format!("GET {API}/{target} HTTP/{version}\r\nHost: a\r\nX-Request-Id: same\r\n\r\n");
            let answer = |has_stopped: bool| {
                server.lock();
                let mut client = server.connect_from(1, USUAL_BUFFER);
                client.write(request.as_bytes()).unwrap();
                if has_stopped {
                    client.stop_sending().unwrap();
                }
                // Long enough for several checks of the connection.
                thread::sleep(Duration::from_millis(100));
                server.unlock();
                let mut answer = client.read(false).unwrap();
                answer.headers.retain(|(name, _)| name != "date");
                (answer.status, answer.headers, answer.body)
            };
            let (expected, received) = (answer(false), answer(true));
            assert_eq!((expected.0, expected.1), (received.0, received.1), "{request}");
            assert!(expected.2 == received.2, "{request}");
        }
    }
}

#[test]
fn the_next_reader_takes_over_when_the_first_one_leaves() {
    let server = server(1_000, "");
    server.lock();
    let leader = server.begin(1, &list());
    server.wait_for_statements("1");
    let mut followers: Vec<_> = (2..5).map(|host| server.begin(host, &list())).collect();
    server.wait_for("attendance_api_requests_in_flight", 4.0 + 1.0); // this request too
    leader.reset().unwrap();
    server.wait_for("flask_http_request_total{method=\"GET\",status=\"499\"}", 1.0);
    server.wait_for_statements("1");
    // One of them reads for all.
    server.wait_for("attendance_api_lists_in_progress", 1.0);
    server.unlock();
    for follower in &mut followers {
        assert_all_records(&follower.read(false).unwrap(), 1_000);
    }
}

#[test]
fn readers_of_a_list_that_turns_out_large_need_a_slot_each() {
    let server = server(MANY_ROWS, "server: { max_lists: 2 }\n");
    let clients: Vec<_> = (0..8).map(|_| server.begin(1, &list())).collect();
    let answers: Vec<_> = thread::scope(|scope| {
        let readers: Vec<_> =
            clients.into_iter().map(|mut client| scope.spawn(move || client.read(false).unwrap())).collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(served.len() >= 2, "{} of 8", served.len());
    served.iter().for_each(|answer| assert_all_records(answer, MANY_ROWS));
    refused.iter().for_each(|answer| assert_refused(answer));
    assert_eq!(server.metric("attendance_api_lists_refused_total"), refused.len() as f64);
    server.wait_for("attendance_api_lists_in_progress", 0.0);
}

#[test]
fn a_list_that_has_begun_is_sent_when_the_rest_of_it_has_to_wait() {
    const LISTS: usize = 12;
    /// Too many for a list to be held.
    const ROWS: usize = 30_000;
    // One statement of a list at a time.
    let server = server(ROWS, "  pool_size: 2\nredis: { mode: off }\n");
    let mut clients: Vec<_> = (1..=LISTS).map(|_| server.connect_from(1, USUAL_BUFFER)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.begin(&Request::get(&format!("{API}/search/all?from=2000-01-{:02}", number + 1))).unwrap();
    }
    // The clients take turns, so each has its first records, and needs more until it is too large to be held.
    eventually("all lists have begun", || {
        let statements = server.metric("attendance_api_query_duration_seconds_count{operation=\"search_all\"}");
        (statements > LISTS as f64).then_some(())
    });
    server.lock();
    // One of them may wait for its statement.
    eventually("the others are answered", || {
        (clients.iter_mut().filter_map(|client| client.has_answer().then_some(())).count() >= LISTS - 1).then_some(())
    });
    server.unlock();
    thread::scope(|scope| {
        for mut client in clients {
            scope.spawn(move || assert_all_records(&client.read(false).unwrap(), ROWS));
        }
    });
}

#[test]
fn two_hundred_clients_of_a_large_list_take_little_memory() -> io::Result<()> {
    let server = server(MANY_ROWS, "server: { max_lists: 8 }\n");
    // Different lists, so that none shares the result of another.
    let target = |number: usize| Request::get(&format!("{API}/search/all?from=2000-01-{:02}", 1 + number % 28));
    server.appliance.get(&format!("{API}/search?id=employee-7")).expect(200);
    let before = server.peak_memory();
    let mut clients: Vec<_> = (0..200).map(|number| server.begin(1, &target(number))).collect();
    for (number, connection) in clients.split_off(100).into_iter().enumerate() {
        if number % 2 == 0 {
            connection.reset()?;
        }
    }
    let (mut served, mut refused) = (0, 0);
    for client in &mut clients {
        let head = client.read_head()?;
        match head.status {
            200 => served += 1,
            503 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(served >= 8, "{served} served, {refused} refused");
    let grown = server.peak_memory().saturating_sub(before);
    assert!(grown < 64 << 20, "{} MiB more; {served} served, {refused} refused", grown >> 20);
    drop(clients);
    server.wait_for("attendance_api_lists_in_progress", 0.0);
    server.wait_for_statements("0");
    Ok(())
}
