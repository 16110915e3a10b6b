//! The interface to systemd: status, readiness, the watchdog, socket activation.

use std::iter;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{
    API, Appliance, Builder, Connection, HANG_TIMEOUT, Request, begin_create, children_of, create, eventually,
    is_alive, record, shared_postgres, signal, within,
};

/// Half a second, so that the watchdog must be fed every quarter of a second.
const WATCHDOG_USEC: &str = "500000";

fn with_external_postgres() -> Builder {
    let database = shared_postgres().create_database();
    Appliance::builder().postgres(shared_postgres(), &database).config("redis: { mode: off }\n")
}

/// The service manager's end of the notification socket. A thread reads it all the time, as systemd does: a sender blocks
/// once the kernel holds ten unread messages.
struct NotifySocket(mpsc::Receiver<Vec<String>>);

impl NotifySocket {
    /// Binds the socket and configures the appliance to report to it.
    fn bind_for(builder: Builder) -> (Self, Builder) {
        let path = builder.scratch().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket can be bound");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("ours");
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut datagram = [0; 4096];
            while let Ok(length) = socket.recv(&mut datagram) {
                let lines = String::from_utf8_lossy(&datagram[..length]).lines().map(str::to_owned).collect();
                if sender.send(lines).is_err() {
                    return;
                }
            }
        });
        (Self(receiver), builder.env("NOTIFY_SOCKET", &path.display().to_string()))
    }

    /// The lines of the next message; `None` if there is none within `bound`.
    fn read(&self, bound: Duration) -> Option<Vec<String>> {
        match self.0.recv_timeout(bound) {
            Ok(lines) => Some(lines),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => panic!("the notification socket cannot be read"),
        }
    }

    /// The lines of all messages up to the one that contains the line `wanted`.
    fn read_until(&self, wanted: &str) -> Vec<String> {
        let mut messages = Vec::new();
        while !messages.iter().any(|line| line == wanted) {
            messages.extend(self.read(HANG_TIMEOUT).unwrap_or_else(|| panic!("no {wanted} in {messages:#?}")));
        }
        messages
    }

    /// Discards the messages sent so far. The pause is longer than the thread needs to pass one on, and shorter than the
    /// interval of the watchdog.
    fn discard_pending(&self) {
        while self.read(Duration::from_millis(100)).is_some() {}
    }
}

fn has_line(messages: &[String], begin: &str) -> bool {
    messages.iter().any(|line| line.starts_with(begin))
}

#[test]
fn each_step_is_reported_as_status_and_extends_the_timeout() {
    let (notify, builder) = NotifySocket::bind_for(Appliance::builder());
    let mut appliance = builder.start();
    let start = notify.read_until("READY=1");
    for step in ["starting PostgreSQL and Redis", "bringing the schema up to date"] {
        assert!(has_line(&start, &format!("STATUS={step}")), "{start:#?}");
    }
    assert!(has_line(&start, "EXTEND_TIMEOUT_USEC="), "initdb may take longer than the start time-out: {start:#?}");
    assert!(has_line(&start, &format!("STATUS=listening on {}", appliance.address())), "{start:#?}");
    appliance.get("/readyz").expect(200);
    appliance.terminate();
    let stop = notify.read_until("STATUS=stopping PostgreSQL and Redis");
    assert!(has_line(&stop, "STOPPING=1") && has_line(&stop, "STATUS=finishing the requests in flight"), "{stop:#?}");
    assert!(appliance.wait().success());
}

#[test]
fn the_watchdog_is_fed_while_postgresql_hangs() {
    let (notify, builder) = NotifySocket::bind_for(Appliance::builder().existing_cluster());
    let appliance = builder.env("WATCHDOG_USEC", WATCHDOG_USEC).start();
    notify.read_until("READY=1");
    notify.read_until("WATCHDOG=1");
    let server = appliance.postgres_child().expect("it manages PostgreSQL").pid;
    let processes: Vec<u32> = iter::once(server).chain(children_of(server).iter().map(|process| process.pid)).collect();
    processes.iter().for_each(|process| signal(*process, Signal::SIGSTOP));
    eventually("readiness is off", || (appliance.get("/readyz").status == 503).then_some(()));
    notify.discard_pending();
    for _ in 0..3 {
        notify.read_until("WATCHDOG=1");
    }
    // One of them may have ended.
    processes.iter().filter(|process| is_alive(**process)).for_each(|process| signal(*process, Signal::SIGCONT));
    eventually("readiness is back", || (appliance.get("/readyz").status == 200).then_some(()));
}

#[test]
fn the_watchdog_is_fed_when_all_connections_are_in_use() {
    let (notify, builder) = NotifySocket::bind_for(with_external_postgres().config("server: { max_connections: 2 }\n"));
    let appliance = builder.env("WATCHDOG_USEC", WATCHDOG_USEC).start();
    notify.read_until("READY=1");
    let mut connections = [appliance.connect(), appliance.connect()];
    for connection in &mut connections {
        connection.send(&Request::get("/livez")).expect("an answer").expect(200);
    }
    notify.discard_pending();
    for _ in 0..3 {
        notify.read_until("WATCHDOG=1");
    }
}

#[test]
fn a_suspended_appliance_does_not_feed_the_watchdog() {
    let (notify, builder) = NotifySocket::bind_for(with_external_postgres());
    let appliance = builder.env("WATCHDOG_USEC", WATCHDOG_USEC).start();
    notify.read_until("READY=1");
    signal(appliance.pid(), Signal::SIGSTOP);
    notify.discard_pending();
    assert_eq!(notify.read(Duration::from_secs(2)), None, "four times its limit");
    signal(appliance.pid(), Signal::SIGCONT);
    notify.read_until("WATCHDOG=1");
}

#[test]
fn a_service_manager_that_reads_nothing_blocks_nothing() {
    let builder = with_external_postgres();
    let path = builder.scratch().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket can be bound");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("ours");
    // Full before the start: the kernel holds only a few messages.
    let sender = UnixDatagram::unbound().expect("a socket can be made");
    sender.set_nonblocking(true).expect("it is ours");
    while sender.send_to(b"filler", &path).is_ok() {}
    let builder = builder.env("NOTIFY_SOCKET", &path.display().to_string()).env("WATCHDOG_USEC", WATCHDOG_USEC);
    let mut appliance = builder.start();
    for _ in 0..20 {
        appliance.get("/readyz").expect(200);
        // Several intervals of the watchdog.
        thread::sleep(Duration::from_millis(100));
    }
    let complaints = |appliance: &Appliance| {
        let lines = appliance.stdout_lines();
        lines.iter().filter(|line| line.contains("service manager could not be notified")).count()
    };
    assert_eq!(complaints(&appliance), 1, "one line, not one for each message");
    // It reads again, and gets what was said once.
    socket.set_read_timeout(Some(HANG_TIMEOUT)).expect("it is ours");
    let mut datagram = [0; 4096];
    within(HANG_TIMEOUT, "READY=1 arrives", || {
        let length = socket.recv(&mut datagram).expect("a message");
        String::from_utf8_lossy(&datagram[..length]).contains("READY=1").then_some(())
    });
    // Nor does it block the stop.
    while sender.send_to(b"filler", &path).is_ok() {}
    appliance.stop();
}

/// A listening socket, as a systemd socket unit holds one.
fn listening_socket() -> (Arc<OwnedFd>, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (Arc::new(OwnedFd::from(listener)), address)
}

#[test]
fn a_passed_socket_is_served_in_place_of_server_listen() {
    let (socket, address) = listening_socket();
    let mut appliance = with_external_postgres().listen("127.0.0.1:1").socket_activation(&socket).start();
    assert_eq!(appliance.address(), address);
    appliance.get("/readyz").expect(200);
    appliance.stop();
}

#[test]
fn healthcheck_without_a_url_asks_the_address_that_the_appliance_has() {
    let (socket, address) = listening_socket();
    let mut appliance = Appliance::builder()
        .existing_cluster()
        .config("redis: { mode: off }\n")
        .listen("127.0.0.1:1")
        .socket_activation(&socket)
        .start();
    let data = appliance.data().display().to_string();
    // The configuration of this command has the default address.
    let healthcheck = |set: &[&str]| {
        let builder = Appliance::builder().command(&["healthcheck"]).arg("--data-dir").arg(&data);
        set.iter().fold(builder, |builder, word| builder.arg(word)).finish()
    };
    assert!(healthcheck(&[]).expect(0).stdout.contains("running fine"));
    let explicit = healthcheck(&["--set", "server.listen=127.0.0.1:1"]).expect(1);
    assert!(explicit.stderr.contains("127.0.0.1:1"), "an address that was given is asked: {}", explicit.stderr);
    appliance.stop();
    let stopped = healthcheck(&[]).output();
    assert!(!stopped.contains(&address.to_string()), "it is forgotten: {stopped}");
}

#[test]
fn a_passed_socket_that_does_not_listen_is_rejected() {
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let output =
        with_external_postgres().socket_activation(&Arc::new(OwnedFd::from(datagrams))).finish().expect(1).output();
    assert!(output.contains("LISTEN_FDS") && output.contains("ListenStream="), "{output}");
}

/// Sends requests until `done`, on one connection as long as the server keeps it, and counts the answers.
fn send_requests_until(done: &AtomicBool, address: SocketAddr, answered: &AtomicUsize) -> Result<(), String> {
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
    let (socket, address) = listening_socket();
    let mut appliance = with_external_postgres().socket_activation(&socket).start();
    create(&appliance, &record("kept", "n", "s", "2023-08-01")).expect(200);
    let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (done, answered) = (Arc::clone(&done), Arc::clone(&answered));
            thread::spawn(move || send_requests_until(&done, address, &answered))
        })
        .collect();
    for _ in 0..4 {
        let before = answered.load(Relaxed);
        within(HANG_TIMEOUT, "the clients are answered", || (answered.load(Relaxed) > before + 200).then_some(()));
        appliance.stop();
        appliance.start_again();
    }
    done.store(true, Relaxed);
    for client in clients {
        assert_eq!(client.join().expect("no client panics"), Ok(()));
    }
}

#[test]
fn a_stopping_appliance_with_a_passed_socket_is_not_ready_and_closes_connections_after_an_answer() {
    let (socket, _address) = listening_socket();
    let mut appliance =
        with_external_postgres().config("server: { drain_timeout: 1h }\n").socket_activation(&socket).start();
    let mut probe = appliance.connect();
    let mut idle = appliance.connect();
    for connection in [&mut probe, &mut idle] {
        assert_eq!(connection.send(&Request::get("/livez")).expect("an answer").header("connection"), None);
    }
    let (mut create, rest) = begin_create(&appliance, "in-flight");
    appliance.terminate();
    appliance.wait_log("the stop", |line| line["message"].as_str().is_some_and(|text| text.starts_with("stopping: ")));
    // On a slow machine this connection may be closed already, like the idle one.
    if let Ok(ready) = probe.send(&Request::get("/readyz")) {
        assert_eq!((ready.status, ready.header("connection")), (503, Some("close")));
    }
    assert!(idle.closed_within(Duration::from_secs(5)), "an idle connection does not hold the stop");
    create.write(rest.as_bytes()).expect("the connection is open");
    let answer = create.read(false).expect("an answer").expect(200);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(appliance.wait().success());
}
