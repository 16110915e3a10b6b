//! What the property tests of freshness have in common: instances whose cache is real, and tasks that are polled in an order that proptest chooses.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use super::super::engine::{Engine, Lookup};
use super::super::generation::FillToken;
use super::super::metrics::CacheMetrics;
use super::super::options::CacheOptions;
use super::super::single_flight::{Participant, SingleFlight};
use super::fakes::{FakeRedis, Server, Text};

/// One instance of the service.
pub(super) struct Instance {
    pub(super) engine: Engine<Text, FakeRedis>,
    loads: SingleFlight<Text>,
}

impl Instance {
    /// The instance of this number, with a cache that only it uses (`is_private`), or that others share.
    pub(super) fn new(server: &Arc<Mutex<Server>>, number: usize, is_private: bool, needs_proof: bool) -> Self {
        let options = CacheOptions {
            name: "answers",
            prefix: "p:".to_owned(),
            is_private,
            needs_proof,
            // Never ends by itself, because the timers of the tests' runtime are not driven.
            timeout: Duration::from_secs(1),
            ttl: Duration::from_secs(20),
            max_value: 1024,
            local_memory: 1 << 20,
            authentication: None,
        };
        let redis = FakeRedis { server: Arc::clone(server), instance: number };
        let engine = Engine::new(options, redis, number as u64, CacheMetrics::unregistered());
        Self { engine, loads: SingleFlight::default() }
    }

    /// The value that a look-up has found, or one that is loaded: once for all reads that miss it at the same time, and then stored.
    pub(super) async fn resolve(
        &self,
        lookup: Lookup<Text>,
        load: impl AsyncFn() -> Text,
        store: impl FnOnce(FillToken, &Text),
    ) -> Text {
        match lookup {
            Lookup::Hit(value) => value,
            Lookup::Bypass => load().await,
            Lookup::Miss(token) => match self.loads.join(&token) {
                Participant::Leader(leader) => {
                    let value = load().await;
                    store(token, &value);
                    leader.complete(&value);
                    value
                }
                Participant::Follower(result) => match result.await {
                    Ok(value) => value,
                    Err(_) => load().await,
                },
            },
        }
    }
}

/// Tasks that go on only when a test says so. Every wait of a real cache is a point at which another task may go on.
#[derive(Default)]
pub(super) struct Tasks(Vec<Pin<Box<dyn Future<Output = ()>>>>);

impl Tasks {
    pub(super) fn add(&mut self, task: impl Future<Output = ()> + 'static) {
        self.0.push(Box::pin(task));
    }

    /// Polls one task some times, or until it ends.
    pub(super) fn resume(&mut self, number: usize, polls: usize) {
        let Some(task) = number.checked_rem(self.0.len()) else { return };
        for _ in 0..polls {
            if self.0[task].as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                drop(self.0.swap_remove(task));
                return;
            }
        }
    }

    /// Polls all tasks until they wait for something that is not going to happen by itself.
    pub(super) fn settle(&mut self) {
        for _ in 0..20 {
            (0..self.0.len()).rev().for_each(|task| self.resume(task, 1));
        }
    }
}
