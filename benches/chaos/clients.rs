//! Clients that write numbered records and read them, whatever happens to the server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::deployment::Deployment;
use crate::ledger::{Ledger, OTHER_NAME};
use crate::support::choice::Choice;
use crate::support::{API, Change, Connection, Creates, Request, Response, record};

/// Writers of one deployment; each has an employee of its own.
pub const WRITERS: usize = 4;
const READERS: usize = 4;
/// Pauses between two requests of one client, so that the table stays small, and after one that failed.
const WRITE_PAUSE: Duration = Duration::from_millis(10);
const READ_PAUSE: Duration = Duration::from_millis(3);
const FAILURE_PAUSE: Duration = Duration::from_millis(20);

/// The running clients of one deployment.
pub struct Clients {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    /// Starts the clients of a deployment.
    pub fn start(deployment: &dyn Deployment) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let client = |seed: usize| Client {
            addresses: deployment.addresses(),
            ledger: Arc::clone(deployment.ledger()),
            is_over: Arc::clone(&is_over),
            connections: deployment.addresses().iter().map(|_| None).collect(),
            choice: Choice::new(seed as u64),
        };
        let writers = (0..WRITERS).map(|number| {
            let mut client = client(number);
            thread::spawn(move || client.write_all(number))
        });
        let readers = (0..READERS).map(|number| {
            let mut client = client(WRITERS + number);
            thread::spawn(move || client.read_all())
        });
        Self { threads: writers.chain(readers).collect(), is_over }
    }

    /// Ends them after their present requests.
    pub fn stop(self) {
        self.is_over.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("a client does not panic");
        }
    }
}

struct Client {
    addresses: Vec<SocketAddr>,
    ledger: Arc<Ledger>,
    is_over: Arc<AtomicBool>,
    /// To each instance, if there is one.
    connections: Vec<Option<Connection>>,
    choice: Choice,
}

impl Client {
    /// Sends a request to one of the instances; `None` if there is no answer.
    fn send(&mut self, purpose: &'static str, request: &Request) -> Option<Response> {
        let instance = self.choice.below(self.addresses.len());
        let connection = self.connections[instance].take();
        let exchange = |connection: Option<Connection>| {
            let mut connection = connection.map_or_else(|| Connection::open(self.addresses[instance]), Ok)?;
            let answer = connection.send(request)?;
            Ok((connection, answer))
        };
        match exchange(connection) {
            Ok((connection, answer)) => {
                if answer.header("connection") != Some("close") {
                    self.connections[instance] = Some(connection);
                }
                self.ledger.count(purpose, answer.status.to_string());
                if ![200, 400, 404, 409, 503].contains(&answer.status) {
                    self.ledger.violation(format!("{request:?}: {} {:.300}", answer.status, answer.text()));
                }
                Some(answer)
            }
            Err(error) => {
                self.ledger.count(purpose, "no answer".to_owned());
                if is_timeout(&error) {
                    self.ledger.violation(format!("hung: {request:?}: {error}"));
                }
                thread::sleep(FAILURE_PAUSE);
                None
            }
        }
    }

    fn write_all(&mut self, subject: usize) {
        while !self.is_over.load(Ordering::SeqCst) {
            match self.choice.below(8) {
                0 => self.write_invalid(subject),
                1 => self.write_twice(subject),
                _ => self.write_next(subject),
            }
            thread::sleep(WRITE_PAUSE);
        }
    }

    /// Creates the next version; tries again, or goes on, if it is unknown whether it is stored.
    fn write_next(&mut self, subject: usize) {
        let version = self.ledger.subjects[subject].issued.fetch_add(1, Ordering::SeqCst) + 1;
        let request = Creates.write(subject, version);
        let mut may_be_stored = false;
        loop {
            match self.send("create", &request).map(|answer| answer.status) {
                Some(200) => return self.ledger.acknowledge(subject, version),
                Some(409) if may_be_stored => return self.ledger.acknowledge(subject, version),
                Some(status @ (400..500)) => {
                    return self.ledger.violation(format!("version {version} of e{subject} is refused with {status}"));
                }
                _ => may_be_stored = true,
            }
            if self.choice.below(3) == 0 || self.is_over.load(Ordering::SeqCst) {
                return;
            }
            thread::sleep(FAILURE_PAUSE);
        }
    }

    /// Sends a record that is not valid.
    fn write_invalid(&mut self, subject: usize) {
        let id = format!("invalid-{subject}-{}", self.choice.below(1 << 30));
        let body = record(&id, "n", "", "2023-08-01").to_string();
        match self
            .send("invalid create", &Request::post_json(&format!("{API}/create"), body))
            .map(|answer| answer.status)
        {
            Some(400) => self.ledger.refuse(id),
            Some(200) => self.ledger.violation(format!("accepted: {id}, which is not valid")),
            _ => {}
        }
    }

    /// Creates an acknowledged version again, with other content.
    fn write_twice(&mut self, subject: usize) {
        let version = self.ledger.subjects[subject].acknowledged.load(Ordering::SeqCst);
        if version == 0 {
            return;
        }
        let day = Creates::day(version);
        let body = record(&format!("e{subject}"), OTHER_NAME, "Present", &day).to_string();
        let answer = self.send("second create", &Request::post_json(&format!("{API}/create"), body));
        if answer.is_some_and(|answer| answer.status == 200) {
            self.ledger.violation(format!("duplicated: e{subject} of {day} was created twice"));
        }
    }

    fn read_all(&mut self) {
        while !self.is_over.load(Ordering::SeqCst) {
            let subject = self.choice.below(self.ledger.subjects.len());
            self.read(subject);
            thread::sleep(READ_PAUSE);
        }
    }

    /// Reads an employee, and compares the answer with what had been acknowledged before.
    fn read(&mut self, subject: usize) {
        let acknowledged = self.ledger.subjects[subject].acknowledged.load(Ordering::SeqCst);
        if acknowledged == 0 {
            return;
        }
        let ways = Creates.reads(subject, acknowledged);
        let request = self.choice.of(&ways).clone();
        let Some(answer) = self.send("read", &request) else { return };
        let issued = self.ledger.subjects[subject].issued.load(Ordering::SeqCst);
        let is_fresh = || (acknowledged..=issued).any(|version| Creates.shows(subject, version, &answer));
        if answer.status != 503 && !is_fresh() {
            let days = (Creates::day(acknowledged), Creates::day(issued));
            self.ledger.violation(format!(
                "stale: {request:?}: {} to {} expected, answered {} {:.300}",
                days.0,
                days.1,
                answer.status,
                answer.text()
            ));
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
