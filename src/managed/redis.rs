//! The managed Redis: mini-redis in a child of our own program, or a real `redis-server`.
//!
//! Policy: a cache may come late, be emptied or be away; it is never a reason not to start. So the start returns at
//! once and everything that goes wrong later is a restart. Once a second a key is written and read back: three failures
//! in a row, or an answer that can only be a broken server, restart it. mini-redis has no bound on its memory, so its
//! resident size is looked at too. Its port is the parent's, open for the parent's whole life, hence stable; the socket
//! has `TCP_NODELAY`, which accepted sockets inherit, because mini-redis itself would wait 40 ms for its own packets.

use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{SysconfVar, sysconf};
use redis::aio::MultiplexedConnection;
use tokio::net::TcpSocket;
use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};

use super::command::{ChildCommand, Input, OWN_PROGRAM};
use super::output::LogSyntax;
use super::process::{Policy, Program, Supervised, Unhealthy};
use super::status::ChildStatus;
use super::{mini_redis, run_dir};

/// The name of the socket of a real Redis.
const SOCKET: &str = "redis.sock";
/// The key that the probe writes; it lives a minute.
const PROBE_KEY: &str = "attendance:probe";
/// A probe may take this long.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Time between two attempts to reach a Redis that is starting.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Clients that wait to be accepted while the child is being restarted.
const BACKLOG: u32 = 1024;

/// Why there is no managed Redis.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No port on the loopback interface.
    #[error("cannot open a port on 127.0.0.1 for the built-in cache: {0}")]
    Listen(#[source] io::Error),
    /// The configured program is not there.
    #[error(
        "redis.program names '{path}', which is not a program that can be run; correct it, install it (apt-get install \
         redis-server), or remove the key to use the built-in cache",
        path = .0.display()
    )]
    NoProgram(PathBuf),
    /// No place for its socket.
    #[error(transparent)]
    RunDir(#[from] run_dir::Error),
    /// The system has no thread left for it.
    #[error("cannot look after Redis: {0}; raise the limit of processes and threads of this user")]
    Supervise(#[source] io::Error),
    /// The address is not one the client understands.
    #[error("cannot make a client for the managed Redis: {0}")]
    Client(#[from] redis::RedisError),
}

/// What a managed Redis is told.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// The appliance's data directory. Absolute.
    pub data_dir: PathBuf,
    /// A `redis-server` to run instead of mini-redis.
    pub program: Option<PathBuf>,
    /// It may hold this many bytes: mini-redis is restarted past it, a real Redis drops its oldest keys.
    pub max_memory: u64,
}

/// How to reach a managed Redis; the same for all of its lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// mini-redis
    Tcp(SocketAddr),
    /// A real Redis.
    Unix(PathBuf),
}

impl Endpoint {
    /// The same as the client library wants it.
    pub fn connection_info(&self) -> redis::RedisResult<redis::ConnectionInfo> {
        let address = match self {
            Self::Tcp(address) => redis::ConnectionAddr::Tcp(address.ip().to_string(), address.port()),
            Self::Unix(path) => redis::ConnectionAddr::Unix(path.clone()),
        };
        redis::IntoConnectionInfo::into_connection_info(address)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A Redis that is looked after. Stop it with [`ManagedRedis::stop`].
#[derive(Debug)]
pub struct ManagedRedis {
    endpoint: Endpoint,
    supervised: Supervised,
}

impl ManagedRedis {
    /// Starts to look after a Redis; it may answer later, see [`ManagedRedis::status`].
    ///
    /// # Errors
    /// When it could never work: no port, no such program, no place for its socket.
    pub async fn start(options: RedisOptions) -> Result<Self, Error> {
        let (endpoint, command, resident_limit) = match &options.program {
            Some(program) => real(program, &options)?,
            None => mini(options.max_memory)?,
        };
        let client = redis::Client::open(endpoint.connection_info()?)?;
        let server = Server { command, resident_limit, client, connection: Mutex::new(None) };
        // Nobody waits for the first start: Redis may come up late.
        let (supervised, _) = Supervised::start(server, policy()).map_err(Error::Supervise)?;
        Ok(Self { endpoint, supervised })
    }

    /// How to reach it.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What it is doing, now and from now on.
    pub fn status(&self) -> watch::Receiver<ChildStatus> {
        self.supervised.status()
    }

    /// Ends it. Bounded.
    pub async fn stop(self) {
        self.supervised.stop().await;
    }
}

fn policy() -> Policy {
    Policy { start_timeout: Duration::from_secs(10), ..Policy::new("redis", LogSyntax::Redis) }
}

type Plan = (Endpoint, ChildCommand, Option<u64>);

/// mini-redis: a socket of ours as the standard input of our own program.
fn mini(max_memory: u64) -> Result<Plan, Error> {
    let (descriptor, address) = listen().map_err(Error::Listen)?;
    let command = ChildCommand::new(OWN_PROGRAM, Signal::SIGTERM)
        .arg(mini_redis::SUBCOMMAND)
        .input(Input::Descriptor(Arc::new(descriptor)));
    Ok((Endpoint::Tcp(address), command, Some(max_memory)))
}

fn listen() -> io::Result<(OwnedFd, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_nodelay(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((OwnedFd::from(listener.into_std()?), address))
}

/// A real Redis: its configuration through standard input, a Unix socket in our private directory, nothing on disk.
fn real(program: &Path, options: &RedisOptions) -> Result<Plan, Error> {
    use std::os::unix::fs::PermissionsExt;
    let executable = fs::metadata(program).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    if !executable {
        return Err(Error::NoProgram(program.to_owned()));
    }
    let run_dir = run_dir::find(&options.data_dir, SOCKET)?;
    let socket = run_dir.join(SOCKET);
    let configuration = format!(
        "port 0\nunixsocket {socket}\nunixsocketperm 700\nprotected-mode yes\ndaemonize no\nsupervised no\n\
         dir {dir}\nsave \"\"\nappendonly no\nmaxmemory {memory}\nmaxmemory-policy allkeys-lru\n",
        socket = quoted(&socket),
        dir = quoted(&run_dir),
        memory = options.max_memory,
    );
    let command =
        ChildCommand::new(program, Signal::SIGTERM).arg("-").input(Input::Bytes(Arc::from(configuration.into_bytes())));
    Ok((Endpoint::Unix(socket), command, None))
}

/// A path as Redis's configuration wants it.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}

/// The server as the supervision sees it.
struct Server {
    command: ChildCommand,
    /// Its resident memory may be this much, in bytes, where it has no bound of its own.
    resident_limit: Option<u64>,
    client: redis::Client,
    /// Kept between probes: mini-redis answers 249 connections and a probe should not need a new one.
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Server {
    /// Writes a key and reads it back, on the connection of the last probe or a new one.
    async fn probe(&self) -> Result<(), Unhealthy> {
        let mut kept = self.connection.lock().await;
        // Taken out first: a probe that is cut off must not leave a connection with an answer still to come.
        let reused = kept.take();
        match timeout(PROBE_TIMEOUT, self.round_trip(reused)).await {
            Ok(Ok(connection)) => {
                *kept = Some(connection);
                Ok(())
            }
            Ok(Err(illness)) => Err(illness),
            Err(_) => Err(Unhealthy::Suspected(format!("the probe had no answer within {PROBE_TIMEOUT:?}"))),
        }
    }

    async fn round_trip(&self, reused: Option<MultiplexedConnection>) -> Result<MultiplexedConnection, Unhealthy> {
        if let Some(mut connection) = reused
            && write_and_read(&mut connection).await.is_ok()
        {
            return Ok(connection);
        }
        let suspect = |error: redis::RedisError| Unhealthy::Suspected(format!("the probe failed: {error}"));
        let mut connection = self.client.get_multiplexed_async_connection().await.map_err(suspect)?;
        match write_and_read(&mut connection).await {
            Ok(()) => Ok(connection),
            // It accepts and hangs up: its lock is poisoned, which no waiting heals.
            Err(error) if error.is_connection_dropped() => {
                Err(Unhealthy::Certain(format!("the probe was hung up on: {error}")))
            }
            Err(error) => Err(suspect(error)),
        }
    }
}

async fn write_and_read(connection: &mut MultiplexedConnection) -> redis::RedisResult<()> {
    redis::cmd("SET").arg(PROBE_KEY).arg("1").arg("EX").arg(60).query_async::<()>(connection).await?;
    let value: Option<String> = redis::cmd("GET").arg(PROBE_KEY).query_async(connection).await?;
    if value.as_deref() == Some("1") {
        return Ok(());
    }
    let read = format!("wrote '1', read {value:?}");
    Err((redis::ErrorKind::UnexpectedReturnType, "another value came back", read).into())
}

impl Program for Server {
    fn command(&self) -> ChildCommand {
        self.command.clone()
    }

    async fn prepare(&self) -> Result<(), String> {
        *self.connection.lock().await = None;
        Ok(())
    }

    async fn ready(&self, _pid: u32) {
        while self.probe().await.is_err() {
            sleep(LOOK_AGAIN).await;
        }
    }

    async fn check(&self, pid: u32) -> Result<(), Unhealthy> {
        if let (Some(limit), Some(resident)) = (self.resident_limit, resident_memory(pid))
            && resident > limit
        {
            let reason = format!("it holds {resident} bytes of memory, {limit} are allowed; starting over empty");
            return Err(Unhealthy::Certain(reason));
        }
        self.probe().await
    }
}

/// The resident memory of a process, in bytes.
fn resident_memory(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    let page_size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| u64::try_from(size).ok())?;
    Some(pages * page_size)
}
