//! What tests of the cache use in place of answers and of Redis.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::commands::{Commands, Redis, SetEntry};
use super::super::error::{CommandError, ConnectionError};
use super::super::generation::UniqueTokens;
use super::super::metrics::CacheMetrics;
use super::super::value::CacheValue;

/// A text as a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cache) struct Text(Arc<str>);

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl CacheValue for Text {
    fn size(&self) -> usize {
        self.0.len()
    }

    fn overhead(&self, _: &str) -> usize {
        0
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
    }

    fn decode(encoded: Bytes) -> Option<Self> {
        std::str::from_utf8(&encoded).ok().map(Self::from)
    }
}

impl Text {
    pub(in crate::cache) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What becomes of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cache) enum Fate {
    /// It is executed and answered.
    Executed,
    /// It is executed, and its answer is lost with the connection.
    AnswerLost,
    /// It is lost with the connection.
    Lost,
    /// It is given up with the connection, and executed later ([`Server::execute_delayed`]).
    Delayed,
}

/// A Redis in memory. Time, and the fate of commands, are chosen by the test.
#[derive(Debug)]
pub(in crate::cache) struct Server {
    data: BTreeMap<String, (Vec<u8>, Instant)>,
    snapshot: BTreeMap<String, (Vec<u8>, Instant)>,
    delayed: Vec<SetEntry>,
    connected: Vec<bool>,
    pub(in crate::cache) now: Instant,
    /// The fate of the command that is executed next.
    pub(in crate::cache) fate: Fate,
}

/// The connection of one instance to a [`Server`]. A command is executed when its future is polled the second time, and answered when
/// it is polled the third time; so a test can place other events before, between and after.
#[derive(Debug, Clone)]
pub(in crate::cache) struct FakeRedis {
    pub(in crate::cache) server: Arc<Mutex<Server>>,
    pub(in crate::cache) instance: usize,
}

impl Server {
    /// A server to which none of its instances is connected.
    pub(in crate::cache) fn shared(instances: usize) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            data: BTreeMap::new(),
            snapshot: BTreeMap::new(),
            delayed: Vec::new(),
            connected: vec![false; instances],
            now: Instant::now(),
            fate: Fate::Executed,
        }))
    }

    pub(in crate::cache) fn is_connected(&self, instance: usize) -> bool {
        self.connected[instance]
    }

    /// Connects an instance, whose first command is executed.
    pub(in crate::cache) fn connect(&mut self, instance: usize, first: SetEntry) {
        self.set(first);
        self.connected[instance] = true;
    }

    pub(in crate::cache) fn disconnect(&mut self, instance: usize) {
        self.connected[instance] = false;
    }

    pub(in crate::cache) fn take_snapshot(&mut self) {
        self.snapshot = self.data.clone();
    }

    /// A restart from the latest snapshot.
    pub(in crate::cache) fn restart(&mut self) {
        self.data = self.snapshot.clone();
        self.connected.fill(false);
    }

    /// Forgets a key.
    pub(in crate::cache) fn evict(&mut self, number: usize) {
        if let Some(key) = self.data.keys().nth(number % self.data.len().max(1)).cloned() {
            self.data.remove(&key);
        }
    }

    pub(in crate::cache) fn execute_delayed(&mut self) {
        for entry in std::mem::take(&mut self.delayed) {
            self.set(entry);
        }
    }

    fn set(&mut self, SetEntry { key, value, ttl }: SetEntry) {
        let expires_at = self.now + ttl;
        self.data.insert(key, (value, expires_at));
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.data.get(key).filter(|(_, expires_at)| *expires_at > self.now).map(|(value, _)| value.clone())
    }
}

impl FakeRedis {
    fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap()
    }

    async fn execute<T>(&self, sets: &[SetEntry], command: impl FnOnce(&mut Server) -> T) -> Result<T, CommandError> {
        if !self.server().is_connected(self.instance) {
            return Err(CommandError::NotConnected(ConnectionError::NotYet));
        }
        yield_once().await;
        let answer = {
            let mut server = self.server();
            let fate = if server.is_connected(self.instance) { server.fate } else { Fate::Lost };
            if fate != Fate::Executed {
                server.disconnect(self.instance);
            }
            match fate {
                Fate::Executed | Fate::AnswerLost => Some(command(&mut server)),
                Fate::Delayed => {
                    server.delayed.extend_from_slice(sets);
                    None
                }
                Fate::Lost => None,
            }
        };
        yield_once().await;
        match answer {
            Some(answer) if self.server().is_connected(self.instance) => Ok(answer),
            _ => Err(CommandError::ConnectionLost(ConnectionError::ResponseTimeout(Duration::ZERO))),
        }
    }
}

impl Redis for FakeRedis {
    async fn get(&self, keys: &[String], _: Duration) -> Result<Vec<Option<Vec<u8>>>, CommandError> {
        self.execute(&[], |server| keys.iter().map(|key| server.get(key)).collect()).await
    }

    async fn mget(&self, keys: &[&str], _: Duration) -> Result<Vec<Option<Vec<u8>>>, CommandError> {
        self.execute(&[], |server| keys.iter().map(|key| server.get(key)).collect()).await
    }

    async fn set(&self, entries: &[SetEntry], _: Duration) -> Result<(), CommandError> {
        self.execute(entries, |server| entries.iter().cloned().for_each(|entry| server.set(entry))).await
    }

    async fn replace_or_delete(&self, entries: &[SetEntry], limit: Duration) -> Result<(), CommandError> {
        self.set(entries, limit).await
    }
}

/// The commands of an instance.
pub(in crate::cache) fn commands(server: &Arc<Mutex<Server>>, instance: usize) -> Arc<Commands<FakeRedis>> {
    let redis = FakeRedis { server: Arc::clone(server), instance };
    let tokens = UniqueTokens::new(instance as u64);
    let metrics = CacheMetrics::unregistered();
    Arc::new(Commands { redis, prefix: "p:".to_owned(), timeout: Duration::from_secs(1), metrics, tokens })
}

/// Runs a future that waits for nothing but this module's fakes.
pub(in crate::cache) fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// Returns control to the test once.
pub(in crate::cache) fn yield_once() -> impl Future<Output = ()> + Send {
    let mut has_yielded = false;
    poll_fn(move |_| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        Poll::Pending
    })
}
