//! The promise: a read that starts after a create was acknowledged sees it.
//!
//! Each employee has a clock, the latest day acknowledged to any writer. A reader looks at the clock, then reads: an
//! answer older than the clock is a broken promise, whoever served it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use crate::support::{
    API, Appliance, Builder, Connection, RedisServer, Request, cache_is_up, eventually, record, shared_postgres,
};

const WRITERS: usize = 32;
const READERS: usize = 32;
const CREATES: u32 = 40;
const EMPLOYEES: usize = 8;

/// Day `number` of an employee's history, in order.
fn day(number: u32) -> String {
    format!("{:04}-{:02}-{:02}", 2000 + number / 336, number % 336 / 28 + 1, number % 28 + 1)
}

struct Storm<'a> {
    instances: &'a [Appliance],
    /// The next day to be written, by employee.
    next: [AtomicU32; EMPLOYEES],
    /// The latest day acknowledged plus one, by employee.
    acknowledged: [AtomicU32; EMPLOYEES],
    over: AtomicBool,
}

/// Freshness is asked here, not speed: on a loaded machine a commit may wait for a disk that others keep busy.
fn patient() -> Builder {
    Appliance::builder().env("ATTENDANCE_API__POSTGRES__REQUEST_TIMEOUT", "20s")
}

impl<'a> Storm<'a> {
    fn new(instances: &'a [Appliance]) -> Self {
        let clocks = || std::array::from_fn(|_| AtomicU32::new(0));
        Self { instances, next: clocks(), acknowledged: clocks(), over: AtomicBool::new(false) }
    }

    fn run(&self) {
        thread::scope(|scope| {
            let readers: Vec<_> = (0..READERS).map(|reader| scope.spawn(move || self.read(reader))).collect();
            let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || self.write(writer))).collect();
            let written: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            self.over.store(true, Ordering::SeqCst);
            let read: Vec<_> = readers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            assert!(written.iter().all(Result::is_ok), "a writer failed");
            let reads: u32 = read.into_iter().map(|reads| reads.expect("a reader failed")).sum();
            assert!(reads > 0, "somebody read");
        });
    }

    fn connections(&self) -> Vec<Connection> {
        self.instances.iter().map(Appliance::connect).collect()
    }

    fn write(&self, writer: usize) {
        let mut connections = self.connections();
        for turn in 0..CREATES as usize {
            let employee = (writer + turn) % EMPLOYEES;
            let number = self.next[employee].fetch_add(1, Ordering::SeqCst);
            let body =
                record(&format!("e{employee}"), &format!("writer {writer}"), "Present", &day(number)).to_string();
            let instance = (writer + turn) % connections.len();
            let answer = connections[instance].send(&Request::post_json(&format!("{API}/create"), body));
            answer.expect("the create is answered").expect(200);
            self.acknowledged[employee].fetch_max(number + 1, Ordering::SeqCst);
            self.look(&mut connections, employee, turn);
        }
    }

    fn read(&self, reader: usize) -> u32 {
        let mut connections = self.connections();
        let mut turn = 0;
        while !self.over.load(Ordering::SeqCst) {
            self.look(&mut connections, (reader + turn) % EMPLOYEES, turn / 3);
            turn += 1;
        }
        u32::try_from(turn).expect("not that many")
    }

    /// Reads an employee somewhere, in one of two ways, and compares with the clock as it was before.
    fn look(&self, connections: &mut [Connection], employee: usize, turn: usize) {
        let known = self.acknowledged[employee].load(Ordering::SeqCst);
        if known == 0 {
            return;
        }
        let instance = turn % connections.len();
        let expected = day(known - 1);
        let by_list = turn % 5 == 4;
        let target = match by_list {
            true => format!("{API}/search/all?id=e{employee}&from={expected}"),
            false => format!("{API}/search?id=e{employee}"),
        };
        let answer =
            connections[instance].send(&Request::get(&target)).expect("the read is answered").expect(200).json();
        let latest = if by_list { answer.as_array().and_then(|all| all.last()).cloned() } else { Some(answer) };
        let seen = latest.and_then(|record| record["date"].as_str().map(str::to_owned)).unwrap_or_default();
        assert!(seen >= expected, "instance {instance}, {target}: {seen:?}, but {expected:?} had been acknowledged");
    }
}

#[test]
fn with_the_built_in_redis() {
    let appliance = patient().start();
    cache_is_up(&appliance);
    Storm::new(&[appliance]).run();
}

#[test]
fn with_redis_server() {
    let redis = RedisServer::start();
    let database = shared_postgres().create_database();
    let appliance = patient().postgres(shared_postgres(), &database).config(&redis.config()).start();
    cache_is_up(&appliance);
    Storm::new(&[appliance]).run();
}

#[test]
fn with_two_instances_that_share_a_redis() {
    let redis = RedisServer::start();
    let database = shared_postgres().create_database();
    let instances: Vec<Appliance> =
        (0..2).map(|_| patient().postgres(shared_postgres(), &database).config(&redis.config()).start()).collect();
    instances.iter().for_each(cache_is_up);
    Storm::new(&instances).run();
}

#[test]
fn while_redis_dies_and_comes_back() {
    let mut redis = RedisServer::start();
    let database = shared_postgres().create_database();
    let appliance = patient().postgres(shared_postgres(), &database).config(&redis.config()).start();
    cache_is_up(&appliance);
    let instances = [appliance];
    let storm = Storm::new(&instances);
    thread::scope(|scope| {
        let load = scope.spawn(|| storm.run());
        while !storm.over.load(Ordering::SeqCst) && !load.is_finished() {
            redis.kill();
            thread::sleep(std::time::Duration::from_millis(100));
            redis.revive();
            redis.freeze();
            thread::sleep(std::time::Duration::from_millis(150));
            redis.thaw();
            thread::sleep(std::time::Duration::from_millis(200));
        }
        load.join().expect("no promise was broken");
    });
}

#[test]
fn while_the_built_in_redis_dies_and_comes_back() {
    let appliance = patient().start();
    cache_is_up(&appliance);
    let instances = [appliance];
    let storm = Storm::new(&instances);
    thread::scope(|scope| {
        let load = scope.spawn(|| storm.run());
        while !storm.over.load(Ordering::SeqCst) && !load.is_finished() {
            if let Some(child) = instances[0].redis_child() {
                crate::support::try_signal(child.pid, nix::sys::signal::Signal::SIGKILL);
            }
            thread::sleep(std::time::Duration::from_millis(400));
        }
        load.join().expect("no promise was broken");
    });
    cache_is_up(&instances[0]);
}

#[test]
fn a_create_that_redis_was_not_told_of_is_told_later() {
    let redis = RedisServer::start();
    let database = shared_postgres().create_database();
    let instances: Vec<Appliance> =
        (0..2).map(|_| patient().postgres(shared_postgres(), &database).config(&redis.config()).start()).collect();
    instances.iter().for_each(cache_is_up);
    let name = |instance: usize| {
        instances[instance].get(&format!("{API}/search?id=1")).expect(200).json()["name"].as_str().unwrap().to_owned()
    };
    crate::support::create(&instances[0], &record("1", "old", "s", "2023-08-01")).expect(200);
    assert_eq!((name(0), name(1)), ("old".into(), "old".into()));
    redis.freeze();
    crate::support::create(&instances[0], &record("1", "new", "s", "2023-08-02")).expect(200);
    assert_eq!(name(0), "new", "the instance that created it reads PostgreSQL");
    redis.thaw();
    eventually("the other instance sees it", || (name(1) == "new").then_some(()));
    assert_eq!(name(0), "new");
}
