//! Freshness of caches without Redis, of which other processes' changes are announced, under every order of events: reads, changes, connections that
//! are cut, that stall and that are made again, proofs without an answer, and passing time. Readers keep the entries that they find, and use them again
//! while they are valid, as a connection does with its credential.
//!
//! The property: a read returns the data of every change that this instance acknowledged before the read began, and of every change that another
//! instance acknowledged longer than [`PROOF_TTL`] before. It is checked for each instance. Of PostgreSQL, the test has the order in which it sends on one
//! connection: a change is announced at its commit to the sessions that listen, and the answer to a statement follows what was announced before
//! the statement ran.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::engine::Lookup;
use super::super::memory::CachedEntry;
use super::super::scope::Scope;
use super::fakes::{Server, Text, yield_once};
use super::simulation::{Instance, Tasks};

/// As `appliance/foreign_writes.rs` has it.
const PROOF_TTL: Duration = Duration::from_secs(1);
const MEMBERS: [&str; 2] = ["1", "2"];
const INSTANCES: usize = 2;

/// How often each member was changed.
type Data = [u64; MEMBERS.len()];

/// What PostgreSQL sends on a connection that listens.
#[derive(Debug, Clone, Copy)]
enum Message {
    /// LISTEN was executed.
    Listening,
    /// A member was changed.
    Announcement(usize),
    /// The answer to a proof that began at this moment.
    Proof(Instant),
}

/// A connection that listens.
#[derive(Debug, Default)]
struct Listener {
    /// What was sent and has not arrived.
    sent: VecDeque<Message>,
    /// Whether LISTEN has been executed.
    listens: bool,
    /// The begin of a proof whose statement has not run yet.
    asked_at: Option<Instant>,
    is_proof_under_way: bool,
}

struct World {
    instances: Vec<Instance>,
    state: Mutex<State>,
}

struct State {
    now: Instant,
    data: Data,
    listeners: Vec<Listener>,
    /// What was acknowledged: by which instance, when, and how often the member had been changed.
    acknowledged: Vec<Acknowledgement>,
    unfinished: usize,
    memory_hits: usize,
    /// What the readers of an instance have kept of each member.
    kept: [[Option<CachedEntry<Text>>; MEMBERS.len()]; INSTANCES],
    /// How many reads used what was kept; also counted as hits.
    kept_hits: usize,
}

#[derive(Clone, Copy)]
struct Acknowledgement {
    instance: usize,
    at: Instant,
    member: usize,
    count: u64,
}

impl World {
    fn new() -> Arc<Self> {
        // No instance is ever connected to it.
        let redis = Server::shared(INSTANCES);
        let state = State {
            now: Instant::now(),
            data: [0; MEMBERS.len()],
            listeners: (0..INSTANCES).map(|_| Listener::default()).collect(),
            acknowledged: Vec::new(),
            unfinished: 0,
            memory_hits: 0,
            kept: Default::default(),
            kept_hits: 0,
        };
        let instances = (0..INSTANCES).map(|number| Instance::new(&redis, number, true, true)).collect();
        Arc::new(Self { instances, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The least that a read which begins now must see.
    fn floor(&self, instance: usize, member: usize) -> u64 {
        let state = self.state();
        let is_due = |change: &&Acknowledgement| {
            change.member == member && (change.instance == instance || state.now > change.at + PROOF_TTL)
        };
        state.acknowledged.iter().filter(is_due).map(|change| change.count).max().unwrap_or_default()
    }

    async fn load(&self, member: usize) -> Text {
        yield_once().await;
        let count = self.state().data[member];
        yield_once().await;
        Text::from(count.to_string().as_str())
    }

    async fn read(self: Arc<Self>, instance: usize, member: usize) {
        let (floor, now) = (self.floor(instance, member), self.state().now);
        let instance_of = &self.instances[instance];
        let scopes = [Scope::member("e", MEMBERS[member])];
        let key = MEMBERS[member];
        let lookup = match self.try_cached(instance, member, now) {
            Some(value) => Lookup::Hit(value),
            None => instance_of.engine.lookup(&scopes, key, now).await,
        };
        let store = |token, value: &Text| {
            let now = self.state().now;
            instance_of.engine.store(token, value, now, false);
        };
        let value = instance_of.resolve(lookup, async || self.load(member).await, store).await;
        let seen: u64 = value.as_str().parse().unwrap();
        assert!(seen >= floor, "instance {instance}, member {member}: {seen} after {floor}");
        self.state().unfinished -= 1;
    }

    /// What memory has, first by the entry that the readers have kept.
    fn try_cached(&self, instance: usize, member: usize, now: Instant) -> Option<Text> {
        let (engine, scopes) = (&self.instances[instance].engine, [Scope::member("e", MEMBERS[member])]);
        let mut state = self.state();
        let kept = state.kept[instance][member].take().filter(|entry| engine.is_valid(entry, &scopes, now));
        state.kept_hits += usize::from(kept.is_some());
        let entry = kept.or_else(|| engine.try_cached(&scopes, MEMBERS[member], now))?;
        state.memory_hits += 1;
        let value = entry.value().clone();
        state.kept[instance][member] = Some(entry);
        Some(value)
    }

    async fn change(self: Arc<Self>, instance: usize, member: usize) {
        yield_once().await;
        let count = {
            let mut state = self.state();
            state.data[member] += 1;
            for listener in state.listeners.iter_mut().filter(|listener| listener.listens) {
                listener.sent.push_back(Message::Announcement(member));
            }
            state.data[member]
        };
        yield_once().await;
        let now = self.state().now;
        self.instances[instance].engine.invalidate(&[Scope::member("e", MEMBERS[member])], now).await;
        yield_once().await;
        let mut state = self.state();
        let at = state.now;
        state.acknowledged.push(Acknowledgement { instance, at, member, count });
        state.unfinished -= 1;
    }

    /// The connection is lost, with what has not arrived, and another one is made.
    fn reconnect(&self, instance: usize) {
        self.state().listeners[instance] = Listener::default();
    }

    /// What was asked of PostgreSQL is executed: LISTEN, then the statement of a proof.
    fn execute(&self, instance: usize) {
        let listener = &mut self.state().listeners[instance];
        if !listener.listens {
            listener.listens = true;
            listener.sent.push_back(Message::Listening);
        } else if let Some(began_at) = listener.asked_at.take() {
            listener.sent.push_back(Message::Proof(began_at));
        }
    }

    fn begin_proof(&self, instance: usize) {
        let mut state = self.state();
        let now = state.now;
        let listener = &mut state.listeners[instance];
        // It begins when LISTEN has been answered and the proof before has.
        let is_listening_known =
            listener.listens && !listener.sent.iter().any(|sent| matches!(sent, Message::Listening));
        if is_listening_known && !listener.is_proof_under_way {
            listener.is_proof_under_way = true;
            listener.asked_at = Some(now);
        }
    }

    /// The next messages arrive.
    fn deliver(&self, instance: usize, count: usize) {
        let engine = &self.instances[instance].engine;
        for _ in 0..count {
            let Some(message) = self.state().listeners[instance].sent.pop_front() else { return };
            let now = self.state().now;
            match message {
                Message::Listening => engine.invalidate_everything(),
                Message::Announcement(member) => {
                    engine.invalidate_announced(&[Scope::member("e", MEMBERS[member])], now)
                }
                Message::Proof(began_at) => {
                    self.state().listeners[instance].is_proof_under_way = false;
                    engine.trust_until(began_at + PROOF_TTL);
                }
            }
        }
    }
}

/// One event of a test.
#[derive(Debug, Clone, Copy)]
enum Event {
    Read {
        instance: usize,
        member: usize,
    },
    Change {
        instance: usize,
        member: usize,
    },
    Reconnect {
        instance: usize,
    },
    Execute {
        instance: usize,
    },
    BeginProof {
        instance: usize,
    },
    Deliver {
        instance: usize,
        count: usize,
    },
    /// A connection that works: everything that was asked and sent arrives, and a proof succeeds.
    Prove {
        instance: usize,
    },
    Resume {
        task: usize,
        polls: usize,
    },
    Settle,
    Advance {
        millis: u64,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let instance = 0..INSTANCES;
    let member = 0..MEMBERS.len();
    prop_oneof![
        14 => (instance.clone(), member.clone()).prop_map(|(instance, member)| Event::Read { instance, member }),
        5 => (instance.clone(), member).prop_map(|(instance, member)| Event::Change { instance, member }),
        1 => instance.clone().prop_map(|instance| Event::Reconnect { instance }),
        2 => instance.clone().prop_map(|instance| Event::Execute { instance }),
        2 => instance.clone().prop_map(|instance| Event::BeginProof { instance }),
        2 => (instance.clone(), 1..4_usize).prop_map(|(instance, count)| Event::Deliver { instance, count }),
        6 => instance.prop_map(|instance| Event::Prove { instance }),
        14 => (any::<usize>(), 1..6_usize).prop_map(|(task, polls)| Event::Resume { task, polls }),
        8 => Just(Event::Settle),
        6 => (0..1_500_u64).prop_map(|millis| Event::Advance { millis }),
    ]
}

/// Runs events, then everything that they began. Returns whether every read and change came to its end, how many reads memory answered, and how
/// many of those by what was kept.
fn run(events: Vec<Event>) -> (bool, usize, usize) {
    let world = World::new();
    let mut tasks = Tasks::default();
    for event in events {
        execute(event, &world, &mut tasks);
    }
    tasks.settle();
    let state = world.state();
    (state.unfinished == 0, state.memory_hits, state.kept_hits)
}

fn execute(event: Event, world: &Arc<World>, tasks: &mut Tasks) {
    let of = Arc::clone(world);
    match event {
        Event::Read { instance, member } => begin(world, tasks, of.read(instance, member)),
        Event::Change { instance, member } => begin(world, tasks, of.change(instance, member)),
        Event::Reconnect { instance } => of.reconnect(instance),
        Event::Execute { instance } => of.execute(instance),
        Event::BeginProof { instance } => of.begin_proof(instance),
        Event::Deliver { instance, count } => of.deliver(instance, count),
        Event::Prove { instance } => {
            for _ in 0..2 {
                of.execute(instance);
                of.deliver(instance, usize::MAX);
                of.begin_proof(instance);
            }
            of.execute(instance);
            of.deliver(instance, usize::MAX);
        }
        Event::Resume { task, polls } => tasks.resume(task, polls),
        Event::Settle => tasks.settle(),
        Event::Advance { millis } => of.state().now += Duration::from_millis(millis),
    }
}

/// Adds a task whose end the test expects.
fn begin(world: &World, tasks: &mut Tasks, task: impl Future<Output = ()> + 'static) {
    world.state().unfinished += 1;
    tasks.add(task);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cache_without_redis_returns_nothing_that_another_instance_replaced_long_ago(events in vec(event(), 0..150)) {
        prop_assert!(run(events).0, "a read or a change does not end");
    }
}

#[test]
fn memory_answers_while_a_connection_proves_that_it_listens_and_not_after() {
    let read = Event::Read { instance: 1, member: 0 };
    let after = |millis: u64| {
        let advance = Event::Advance { millis };
        run(vec![Event::Prove { instance: 1 }, read, Event::Settle, advance, read, Event::Settle])
    };
    assert_eq!(after(999), (true, 1, 0));
    assert_eq!(after(1000), (true, 0, 0));
    // Without a proof nothing is stored.
    assert_eq!(run(vec![read, Event::Settle, read, Event::Settle]), (true, 0, 0));
}

#[test]
fn what_a_reader_keeps_is_valid_as_long_as_what_memory_has() {
    let read = Event::Read { instance: 1, member: 0 };
    let then = |events: &[Event]| {
        let reads = [read, Event::Settle].repeat(3);
        run([&[Event::Prove { instance: 1 }], &reads[..], events, &[read, Event::Settle]].concat())
    };
    assert_eq!(then(&[]), (true, 3, 2));
    assert_eq!(then(&[Event::Advance { millis: 999 }]), (true, 3, 2));
    for ended in [
        &[Event::Advance { millis: 1000 }][..],
        &[Event::Change { instance: 1, member: 0 }, Event::Settle],
        &[Event::Change { instance: 0, member: 0 }, Event::Settle, Event::Deliver { instance: 1, count: 1 }],
        &[Event::Reconnect { instance: 1 }, Event::Prove { instance: 1 }],
    ] {
        assert_eq!(then(ended), (true, 2, 1), "{ended:?}");
    }
    let other = [Event::Change { instance: 1, member: 1 }, Event::Settle];
    assert_eq!(then(&other), (true, 3, 2), "a change of another member");
}
