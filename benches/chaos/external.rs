//! Two instances on an external PostgreSQL and an external Redis.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::clients::WRITERS;
use crate::deployment::Deployment;
use crate::disruption::Action::{Cut, Delay, Kill, Stall, Stop, Terminate};
use crate::disruption::Target::{self, PostgresNetwork, Postmaster, Redis, RedisNetwork};
use crate::disruption::{Action, Disruption};
use crate::ledger::Ledger;
use crate::support::{Appliance, Postgres, RedisServer, Sql, TcpProxy, free_port, signal, wait_for_cache};

/// How much later a delayed network passes everything on.
const NETWORK_DELAY: Duration = Duration::from_millis(60);

const DISRUPTIONS: &[Disruption] = &[
    Disruption(Postmaster, Kill),
    Disruption(Postmaster, Stop),
    Disruption(PostgresNetwork, Cut),
    Disruption(PostgresNetwork, Stall),
    Disruption(PostgresNetwork, Delay),
    Disruption(Redis, Kill),
    Disruption(Redis, Stop),
    Disruption(RedisNetwork, Cut),
    Disruption(RedisNetwork, Stall),
    Disruption(RedisNetwork, Delay),
    Disruption(Target::Appliance, Kill),
    Disruption(Target::Appliance, Terminate),
    Disruption(Target::Appliance, Stop),
];

/// The deployment.
pub struct External {
    instances: [Appliance; 2],
    addresses: [SocketAddr; 2],
    postgres: Postgres,
    postgres_proxy: TcpProxy,
    database: String,
    redis: RedisServer,
    redis_proxy: TcpProxy,
    ledger: Arc<Ledger>,
}

impl External {
    /// Starts it.
    pub fn start() -> Self {
        let (postgres, redis) = (Postgres::start(), RedisServer::start());
        let (postgres_proxy, redis_proxy) = (TcpProxy::start(postgres.port), TcpProxy::start(redis.port));
        let database = postgres.create_database();
        let port = |port: u16| format!("port: {port}\n");
        let settings = [
            postgres.config(&database).replace(&port(postgres.port), &port(postgres_proxy.port)),
            redis.config().replace(&port(redis.port), &port(redis_proxy.port)),
        ];
        let instances = [(); 2].map(|()| {
            let builder = Appliance::builder().listen(&format!("127.0.0.1:{}", free_port()));
            builder.config(&settings.concat()).start()
        });
        instances.iter().for_each(wait_for_cache);
        let addresses = [instances[0].address(), instances[1].address()];
        let ledger = Arc::new(Ledger::new(WRITERS));
        Self { instances, addresses, postgres, postgres_proxy, database, redis, redis_proxy, ledger }
    }
}

fn disrupt_network(proxy: &TcpProxy, action: Action, duration: Duration) {
    match action {
        Cut => proxy.cut(),
        Stall => {
            proxy.stall();
            thread::sleep(duration);
            proxy.resume();
        }
        _ => {
            proxy.delay(NETWORK_DELAY);
            thread::sleep(duration);
            proxy.delay(Duration::ZERO);
        }
    }
}

impl Deployment for External {
    fn name(&self) -> &'static str {
        "external"
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.to_vec()
    }

    fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    fn sql(&self) -> Sql {
        self.postgres.sql(&self.database)
    }

    fn disruptions(&self) -> &'static [Disruption] {
        DISRUPTIONS
    }

    fn disrupt(&mut self, Disruption(target, action): Disruption, duration: Duration) -> Instant {
        let ended;
        match (target, action) {
            (PostgresNetwork, action) => {
                disrupt_network(&self.postgres_proxy, action, duration);
                ended = Instant::now();
            }
            (RedisNetwork, action) => {
                disrupt_network(&self.redis_proxy, action, duration);
                ended = Instant::now();
            }
            (Postmaster, Kill) => {
                self.postgres.kill();
                thread::sleep(duration);
                ended = Instant::now();
                self.postgres.restart();
            }
            (Postmaster, _) => {
                self.postgres.freeze();
                thread::sleep(duration);
                ended = Instant::now();
                self.postgres.thaw();
            }
            (Redis, Kill) => {
                self.redis.kill();
                thread::sleep(duration);
                ended = Instant::now();
                self.redis.restart();
            }
            (Redis, _) => {
                self.redis.freeze();
                thread::sleep(duration);
                ended = Instant::now();
                self.redis.thaw();
            }
            (_, Kill) => {
                self.instances[0].kill();
                ended = Instant::now();
                self.instances[0].start_again();
            }
            (_, Terminate) => {
                self.instances[0].stop();
                ended = Instant::now();
                self.instances[0].start_again();
            }
            _ => {
                let pid = self.instances[0].pid();
                signal(pid, Signal::SIGSTOP);
                thread::sleep(duration);
                ended = Instant::now();
                signal(pid, Signal::SIGCONT);
            }
        }
        ended
    }
}
