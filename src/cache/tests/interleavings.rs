//! Freshness under every order of events: reads, changes, lost and late messages, reconnections, restarts of Redis and passing time.
//!
//! The property: a read returns the data of every change that was acknowledged before the read began, by the same instance, or, where Redis
//! had confirmed the invalidation by then, by any instance. The events of a test are futures that are polled in an order that
//! proptest chooses; every wait of a real cache is a point at which another future may go on.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::engine::Protocol;
use super::super::scope::Scope;
use super::fakes::{Fate, Server, Text, yield_once};
use super::simulation::{Instance, Tasks};

const MEMBERS: [&str; 2] = ["1", "2"];
/// The views that are read: each member, all of them together, and one that depends on two scopes.
const VIEWS: usize = 4;

fn scopes(view: usize) -> Vec<Scope<'static>> {
    match view {
        0 | 1 => vec![Scope::member("e", MEMBERS[view])],
        2 => vec![Scope::whole("a")],
        _ => vec![Scope::member("e", MEMBERS[0]), Scope::member("e", MEMBERS[1])],
    }
}

/// What is stored: how often each member was changed.
type Data = [u64; MEMBERS.len()];

/// Whether a view shows a member.
fn shows(view: usize, member: usize) -> bool {
    view >= MEMBERS.len() || view == member
}

struct World {
    server: Arc<Mutex<Server>>,
    instances: Vec<Instance>,
    state: Mutex<State>,
}

struct State {
    data: Data,
    /// The least that a read which begins now must see, by instance.
    floors: Vec<Data>,
    unfinished: usize,
}

impl World {
    fn new(private: bool, instances: usize) -> Arc<Self> {
        let server = Server::shared(instances);
        let instances: Vec<_> = (0..instances).map(|number| Instance::new(&server, number, private, false)).collect();
        let floors = vec![[0; MEMBERS.len()]; instances.len()];
        Arc::new(Self {
            server,
            instances,
            state: Mutex::new(State { data: [0; MEMBERS.len()], floors, unfinished: 0 }),
        })
    }

    fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn now(&self) -> Instant {
        self.server().now
    }

    fn connect(&self, instance: usize) {
        let first = self.instances[instance].engine.rotate_epoch();
        if !self.server().is_connected(instance) {
            self.server().connect(instance, first);
            self.instances[instance].engine.connected(self.now());
        }
    }

    async fn load(&self) -> Text {
        yield_once().await;
        let [one, other] = self.state().data;
        yield_once().await;
        Text::from(format!("{one} {other}").as_str())
    }

    async fn read(self: Arc<Self>, instance: usize, view: usize) {
        let floor = self.state().floors[instance];
        let (instance_of, now) = (&self.instances[instance], self.now());
        let lookup = instance_of.engine.lookup(&scopes(view), &format!("view {view}"), now).await;
        let store = |token, value: &Text| {
            let is_connected = self.server().is_connected(instance);
            instance_of.engine.store(token, value, self.now(), is_connected);
        };
        let value = instance_of.resolve(lookup, async || self.load().await, store).await;
        for (member, seen) in value.as_str().split(' ').map(|count| count.parse::<u64>().unwrap()).enumerate() {
            let least = floor[member];
            assert!(!shows(view, member) || seen >= least, "instance {instance}, view {view}: {seen} after {least}");
        }
        self.state().unfinished -= 1;
    }

    async fn change(self: Arc<Self>, instance: usize, member: usize) {
        yield_once().await;
        let committed = {
            let mut state = self.state();
            state.data[member] += 1;
            state.data[member]
        };
        yield_once().await;
        let affected = [Scope::member("e", MEMBERS[member]), Scope::whole("a")];
        let engine = &self.instances[instance].engine;
        engine.invalidate(&affected, self.now()).await;
        let is_confirmed = match &engine.protocol {
            Protocol::Private(_) => true,
            Protocol::Shared(shared) => !shared.is_pending(&affected, self.now()),
        };
        let mut state = self.state();
        for (other, floor) in state.floors.iter_mut().enumerate() {
            if other == instance || is_confirmed {
                floor[member] = floor[member].max(committed);
            }
        }
        state.unfinished -= 1;
    }

    /// A change whose outcome is not known to the instance, and that is committed later.
    async fn uncertain_change(self: Arc<Self>, instance: usize, member: usize) {
        let affected = [Scope::member("e", MEMBERS[member]), Scope::whole("a")];
        self.instances[instance].engine.invalidate_later(&affected, self.now());
        yield_once().await;
        self.state().data[member] += 1;
        self.state().unfinished -= 1;
    }

    /// A change by another program that no instance has received.
    fn foreign_change(&self, member: usize) {
        self.state().data[member] += 1;
    }

    /// An instance is notified of every change by other programs so far.
    fn announce(&self, instance: usize) {
        let data = self.state().data;
        self.instances[instance].engine.invalidate_everything();
        let floor = &mut self.state().floors[instance];
        for (least, committed) in floor.iter_mut().zip(data) {
            *least = (*least).max(committed);
        }
    }

    async fn rotate_epochs(self: Arc<Self>, instance: usize) {
        let Protocol::Shared(shared) = &self.instances[instance].engine.protocol else { return };
        loop {
            shared.rotate_epochs().await;
        }
    }

    async fn maintain(self: Arc<Self>, instance: usize) {
        let is_connected = self.server().is_connected(instance);
        self.instances[instance].engine.maintain(is_connected, || self.now()).await;
    }

    async fn write(self: Arc<Self>, instance: usize) {
        loop {
            self.instances[instance].engine.write_next(|| self.now()).await;
        }
    }

    async fn fetch_generations(self: Arc<Self>, instance: usize) {
        let Protocol::Shared(shared) = &self.instances[instance].engine.protocol else { return };
        loop {
            let round = shared.next_round().await;
            shared.complete_round(round).await;
        }
    }
}

/// One event of a test.
#[derive(Debug, Clone, Copy)]
enum Event {
    Read {
        instance: usize,
        view: usize,
    },
    Change {
        instance: usize,
        member: usize,
    },
    UncertainChange {
        instance: usize,
        member: usize,
    },
    ForeignChange {
        member: usize,
    },
    Announce {
        instance: usize,
    },
    Maintain {
        instance: usize,
    },
    Connect {
        instance: usize,
    },
    /// Polls one task some times; its commands have this fate.
    Resume {
        task: usize,
        polls: usize,
        fate: Fate,
    },
    /// Polls all tasks until they wait for something that is not going to happen by itself.
    Settle,
    Advance {
        seconds: u64,
    },
    Snapshot,
    Restart,
    Evict {
        number: usize,
    },
    ExecuteDelayed,
}

fn event(instances: usize) -> impl Strategy<Value = Event> {
    let instance = 0..instances;
    let member = 0..MEMBERS.len();
    let fate = prop_oneof![
        12 => Just(Fate::Executed),
        1 => Just(Fate::AnswerLost),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Delayed),
    ];
    prop_oneof![
        14 => (instance.clone(), 0..VIEWS).prop_map(|(instance, view)| Event::Read { instance, view }),
        6 => (instance.clone(), member.clone()).prop_map(|(instance, member)| Event::Change { instance, member }),
        1 => (instance.clone(), member.clone()).prop_map(|(instance, member)| Event::UncertainChange { instance, member }),
        2 => member.prop_map(|member| Event::ForeignChange { member }),
        2 => instance.clone().prop_map(|instance| Event::Announce { instance }),
        2 => instance.clone().prop_map(|instance| Event::Maintain { instance }),
        4 => instance.prop_map(|instance| Event::Connect { instance }),
        30 => (any::<usize>(), 1..8_usize, fate).prop_map(|(task, polls, fate)| Event::Resume { task, polls, fate }),
        6 => Just(Event::Settle),
        2 => (0..30_u64).prop_map(|seconds| Event::Advance { seconds }),
        1 => Just(Event::Snapshot),
        1 => Just(Event::Restart),
        1 => any::<usize>().prop_map(|number| Event::Evict { number }),
        1 => Just(Event::ExecuteDelayed),
    ]
}

/// Runs events, then everything that they began, and reports whether every read and change came to its end.
fn run(private: bool, instances: usize, events: Vec<Event>) -> bool {
    // The fetcher of generations has a time limit, which needs a runtime with timers.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _guard = runtime.enter();
    let world = World::new(private, instances);
    let mut tasks = Tasks::default();
    for instance in 0..instances {
        world.connect(instance);
        tasks.add(Arc::clone(&world).write(instance));
        if !private {
            tasks.add(Arc::clone(&world).fetch_generations(instance));
            tasks.add(Arc::clone(&world).rotate_epochs(instance));
        }
    }
    for event in events {
        execute(event, &world, &mut tasks);
    }
    (0..instances).for_each(|instance| world.connect(instance));
    (0..5).for_each(|_| settle(&world, &mut tasks));
    let unfinished = world.state().unfinished;
    unfinished == 0
}

fn execute(event: Event, world: &Arc<World>, tasks: &mut Tasks) {
    let of = Arc::clone(world);
    match event {
        Event::Read { instance, view } => begin(world, tasks, of.read(instance, view)),
        Event::Change { instance, member } => begin(world, tasks, of.change(instance, member)),
        Event::UncertainChange { instance, member } => begin(world, tasks, of.uncertain_change(instance, member)),
        Event::ForeignChange { member } => of.foreign_change(member),
        Event::Announce { instance } => of.announce(instance),
        Event::Maintain { instance } => tasks.add(of.maintain(instance)),
        Event::Connect { instance } => of.connect(instance),
        Event::Resume { task, polls, fate } => {
            of.server().fate = fate;
            tasks.resume(task, polls);
        }
        Event::Settle => settle(world, tasks),
        Event::Advance { seconds } => of.server().now += Duration::from_secs(seconds),
        Event::Snapshot => of.server().take_snapshot(),
        Event::Restart => of.server().restart(),
        Event::Evict { number } => of.server().evict(number),
        Event::ExecuteDelayed => of.server().execute_delayed(),
    }
}

/// Adds a task whose end the test expects.
fn begin(world: &World, tasks: &mut Tasks, task: impl Future<Output = ()> + 'static) {
    world.state().unfinished += 1;
    tasks.add(task);
}

fn settle(world: &World, tasks: &mut Tasks) {
    world.server().fate = Fate::Executed;
    tasks.settle();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_private_cache_never_returns_what_an_acknowledged_change_replaced(events in vec(event(1), 0..120)) {
        prop_assert!(run(true, 1, events), "a read or a change does not end");
    }

    #[test]
    fn a_shared_cache_never_returns_what_an_acknowledged_change_replaced(events in vec(event(2), 0..150)) {
        prop_assert!(run(false, 2, events), "a read or a change does not end");
    }
}
