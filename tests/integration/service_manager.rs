//! What systemd is told and what it passes: steps, readiness, the watchdog, the listening socket.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{
    API, Appliance, Builder, Connection, HANG, Request, create, eventually, half_a_create, record, shared_postgres,
    signal, within,
};

/// Half a second, so that it wants to be fed every quarter.
const WATCHDOG_USEC: &str = "500000";

fn external() -> Builder {
    let database = shared_postgres().create_database();
    Appliance::builder().postgres(shared_postgres(), &database).config("redis: { mode: off }\n")
}

/// The service manager's end of the notification socket.
struct Manager(UnixDatagram);

impl Manager {
    /// Listens where the appliance is told to.
    fn of(builder: Builder) -> (Self, Builder) {
        let path = builder.scratch().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket can be bound");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("ours");
        (Self(socket), builder.env("NOTIFY_SOCKET", &path.display().to_string()))
    }

    /// The lines of the next message; none when there is none for `bound`.
    fn next(&self, bound: Duration) -> Option<Vec<String>> {
        self.0.set_read_timeout(Some(bound)).expect("a bound can be set");
        let mut datagram = [0; 4096];
        match self.0.recv(&mut datagram) {
            Ok(length) => Some(String::from_utf8_lossy(&datagram[..length]).lines().map(str::to_owned).collect()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(error) => panic!("the notification socket: {error}"),
        }
    }

    /// Everything that is said up to the line `wanted`, line by line.
    fn until(&self, wanted: &str) -> Vec<String> {
        let mut heard = Vec::new();
        while !heard.iter().any(|line| line == wanted) {
            heard.extend(self.next(HANG).unwrap_or_else(|| panic!("{wanted} was not said; heard: {heard:#?}")));
        }
        heard
    }

    /// Reads away what was said.
    fn forget(&self) {
        while self.next(Duration::from_millis(1)).is_some() {}
    }
}

fn said(heard: &[String], begin: &str) -> bool {
    heard.iter().any(|line| line.starts_with(begin))
}

#[test]
fn each_step_is_its_status_and_asks_for_time() {
    let (manager, builder) = Manager::of(Appliance::builder());
    let mut appliance = builder.start();
    let start = manager.until("READY=1");
    for step in ["starting PostgreSQL and Redis", "bringing the schema up to date"] {
        assert!(said(&start, &format!("STATUS={step}")), "{start:#?}");
    }
    assert!(said(&start, "EXTEND_TIMEOUT_USEC="), "initdb may take longer than the start time-out: {start:#?}");
    assert!(said(&start, &format!("STATUS=listening on {}", appliance.address())), "{start:#?}");
    appliance.get("/readyz").expect(200);
    appliance.terminate();
    let stop = manager.until("STATUS=stopping PostgreSQL and Redis");
    assert!(said(&stop, "STOPPING=1") && said(&stop, "STATUS=finishing the requests in flight"), "{stop:#?}");
    assert!(appliance.wait().success());
}

#[test]
fn the_watchdog_is_fed_whatever_the_database_does() {
    let (manager, builder) = Manager::of(Appliance::builder());
    let appliance = builder.env("WATCHDOG_USEC", WATCHDOG_USEC).start();
    manager.until("READY=1");
    manager.until("WATCHDOG=1");
    let server = appliance.postgres_child().expect("it manages PostgreSQL").pid;
    signal(server, Signal::SIGSTOP);
    eventually("readiness is off", || (appliance.get("/readyz").status == 503).then_some(()));
    manager.forget();
    for _ in 0..3 {
        manager.until("WATCHDOG=1");
    }
    signal(server, Signal::SIGCONT);
    eventually("readiness is back", || (appliance.get("/readyz").status == 200).then_some(()));
}

#[test]
fn the_watchdog_is_fed_in_a_full_house() {
    let (manager, builder) = Manager::of(external().config("server: { max_connections: 2 }\n"));
    let appliance = builder.env("WATCHDOG_USEC", WATCHDOG_USEC).start();
    manager.until("READY=1");
    let mut guests = [appliance.connect(), appliance.connect()];
    for guest in &mut guests {
        guest.send(&Request::get("/livez")).expect("an answer").expect(200);
    }
    manager.forget();
    for _ in 0..3 {
        manager.until("WATCHDOG=1");
    }
}

#[test]
fn a_stopped_appliance_does_not_feed_the_watchdog() {
    let (manager, builder) = Manager::of(external());
    let appliance = builder.env("WATCHDOG_USEC", WATCHDOG_USEC).start();
    manager.until("READY=1");
    signal(appliance.pid(), Signal::SIGSTOP);
    manager.forget();
    assert_eq!(manager.next(Duration::from_secs(2)), None, "four times its limit");
    signal(appliance.pid(), Signal::SIGCONT);
    manager.until("WATCHDOG=1");
}

/// A listening socket of ours, as the socket unit holds one.
fn held_socket() -> (Arc<OwnedFd>, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (Arc::new(OwnedFd::from(listener)), address)
}

#[test]
fn a_passed_socket_is_served_and_server_listen_is_not() {
    let (socket, address) = held_socket();
    let mut appliance = external().listen("127.0.0.1:1").inherits(&socket).start();
    assert_eq!(appliance.address(), address);
    appliance.get("/readyz").expect(200);
    appliance.stop();
}

#[test]
fn a_passed_socket_that_does_not_listen_is_refused() {
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let said = external().inherits(&Arc::new(OwnedFd::from(datagrams))).finish().expect(1).all();
    assert!(said.contains("LISTEN_FDS") && said.contains("ListenStream="), "{said}");
}

/// A client that keeps its connection as long as it may, and counts what it got.
fn ask_until(done: &AtomicBool, address: SocketAddr, answered: &AtomicUsize) -> Result<(), String> {
    let request = Request::get(&format!("{API}/search?id=kept"));
    let mut kept = None;
    while !done.load(Relaxed) {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => Connection::open(address).map_err(|error| format!("connect: {error}"))?,
        };
        let answer = connection.send(&request).map_err(|error| format!("send: {error}"))?;
        if answer.status != 200 {
            return Err(format!("{}: {}", answer.status, answer.text()));
        }
        answered.fetch_add(1, Relaxed);
        if answer.header("connection") != Some("close") {
            kept = Some(connection);
        }
    }
    Ok(())
}

#[test]
fn restarts_on_a_passed_socket_lose_no_request() {
    let (socket, address) = held_socket();
    let mut appliance = external().inherits(&socket).start();
    create(&appliance, &record("kept", "n", "s", "2023-08-01")).expect(200);
    let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (done, answered) = (Arc::clone(&done), Arc::clone(&answered));
            thread::spawn(move || ask_until(&done, address, &answered))
        })
        .collect();
    for _ in 0..4 {
        let before = answered.load(Relaxed);
        within(HANG, "the clients are answered", || (answered.load(Relaxed) > before + 200).then_some(()));
        appliance.stop();
        appliance.start_again();
    }
    done.store(true, Relaxed);
    for client in clients {
        assert_eq!(client.join().expect("no client panics"), Ok(()));
    }
}

#[test]
fn a_stopping_appliance_with_a_passed_socket_is_not_ready_and_closes_what_it_answers() {
    let (socket, _address) = held_socket();
    let mut appliance = external().config("server: { drain_timeout: 1h }\n").inherits(&socket).start();
    let mut probe = appliance.connect();
    let mut idle = appliance.connect();
    for connection in [&mut probe, &mut idle] {
        assert_eq!(connection.send(&Request::get("/livez")).expect("an answer").header("connection"), None);
    }
    let (mut create, rest) = half_a_create(&appliance, "in-flight");
    appliance.terminate();
    appliance.wait_log("the stop", |line| line["message"].as_str().is_some_and(|text| text.starts_with("stopping: ")));
    // On a slow machine it is closed already, as the idle one.
    if let Ok(ready) = probe.send(&Request::get("/readyz")) {
        assert_eq!((ready.status, ready.header("connection")), (503, Some("close")));
    }
    assert!(idle.closed_within(Duration::from_secs(5)), "an idle connection does not hold the stop");
    create.write(rest.as_bytes()).expect("the connection is open");
    let answer = create.read(false).expect("an answer").expect(200);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(appliance.wait().success());
}
