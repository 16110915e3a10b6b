//! The managed Redis: mini-redis in a child of our own program, or a real `redis-server`.
//!
//! Policy: a cache may become ready late, lose its content or be down; it never prevents the start. So the start returns
//! immediately, and every later error leads to a restart. Once a second a key is written and read back: three failures
//! in a row, or an answer that only a broken server gives, lead to a restart. mini-redis does not limit its memory, so its
//! resident size is checked, too. The parent owns the listening socket for its whole life, so the port does not change; the socket
//! has `TCP_NODELAY`, which accepted sockets inherit, because without it mini-redis delays pipelined answers by 40 ms.

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
use super::process::{BoxError, Policy, Program, Supervised, Unhealthy};
use super::status::ChildStatus;
use super::{mini_redis, run_dir};

/// The file name of the socket of a `redis-server`.
const SOCKET_NAME: &str = "redis.sock";
/// The key that the probe writes; it expires after a minute.
const PROBE_KEY: &str = "attendance:probe";
/// The time-out of a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Time between two probes of a Redis that is starting.
const READY_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The number of connections that wait in the kernel while the child is restarted.
const LISTEN_BACKLOG: u32 = 1024;

/// Why there is no managed Redis.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no free port on the loopback interface.
    #[error("cannot open a port on 127.0.0.1 for the built-in cache: {0}")]
    Listen(#[source] io::Error),
    /// The configured program does not exist or is not executable.
    #[error(
        "redis.program names '{path}', which is not a program that can be run; correct it, install it (apt-get install \
         redis-server), or remove the key to use the built-in cache",
        path = .0.display()
    )]
    NoProgram(PathBuf),
    /// There is no directory for its socket.
    #[error(transparent)]
    RunDir(#[from] run_dir::Error),
    /// The operating system has no thread for the supervision.
    #[error("cannot look after Redis: {0}; raise the limit of processes and threads of this user")]
    Supervise(#[source] io::Error),
    /// The client does not accept the address.
    #[error("cannot make a client for the managed Redis: {0}")]
    Client(#[from] redis::RedisError),
}

/// The options of a managed Redis.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// The appliance's data directory. Absolute.
    pub data_dir: PathBuf,
    /// A `redis-server` to run instead of mini-redis.
    pub program: Option<PathBuf>,
    /// The limit of its memory in bytes: mini-redis is restarted when it exceeds it, a `redis-server` evicts keys.
    pub max_memory: u64,
}

/// The address of a managed Redis, which restarts do not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// mini-redis
    Tcp(SocketAddr),
    /// `redis-server`
    Unix(PathBuf),
}

impl Endpoint {
    /// The address in the form of the client library.
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

/// A supervised Redis. Stop it with [`ManagedRedis::stop`].
#[derive(Debug)]
pub struct ManagedRedis {
    endpoint: Endpoint,
    supervised: Supervised,
}

impl ManagedRedis {
    /// Starts to supervise a Redis, which may become ready later, see [`ManagedRedis::status`].
    ///
    /// # Errors
    /// When it can never work: no free port, no such program, no directory for its socket.
    pub async fn start(options: RedisOptions) -> Result<Self, Error> {
        let (endpoint, command, resident_limit) = match &options.program {
            Some(program) => redis_server(program, &options)?,
            None => built_in(&options)?,
        };
        let client = redis::Client::open(endpoint.connection_info()?)?;
        let server = Server { command, resident_limit, client, connection: Mutex::new(None) };
        // The outcome of the first start is not awaited: Redis may become ready late.
        let (supervised, _) = Supervised::start(server, policy()).map_err(Error::Supervise)?;
        Ok(Self { endpoint, supervised })
    }

    /// Its address.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Its status, now and whenever it changes.
    pub fn status(&self) -> watch::Receiver<ChildStatus> {
        self.supervised.status()
    }

    /// Stops it and waits for it, for a limited time.
    pub async fn stop(self) {
        self.supervised.stop().await;
    }
}

fn policy() -> Policy {
    Policy { start_timeout: Duration::from_secs(10), ..Policy::new("redis", LogSyntax::Redis) }
}

/// The address, the command and the limit of resident memory of a Redis.
type Launch = (Endpoint, ChildCommand, Option<u64>);

/// mini-redis: the appliance's own program with a listening socket as its standard input.
fn built_in(options: &RedisOptions) -> Result<Launch, Error> {
    let (descriptor, address) = listen().map_err(Error::Listen)?;
    let command = ChildCommand::new(OWN_PROGRAM, Signal::SIGTERM)
        .title(mini_redis::TITLE)
        .arg(mini_redis::SUBCOMMAND)
        .arg(&options.data_dir)
        .input(Input::Descriptor(Arc::new(descriptor)));
    Ok((Endpoint::Tcp(address), command, Some(options.max_memory)))
}

fn listen() -> io::Result<(OwnedFd, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_nodelay(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let listener = socket.listen(LISTEN_BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((OwnedFd::from(listener.into_std()?), address))
}

/// `redis-server`: it reads its configuration from standard input, listens on a Unix socket in the private directory, and stores nothing on
/// disk.
fn redis_server(program: &Path, options: &RedisOptions) -> Result<Launch, Error> {
    use std::os::unix::fs::PermissionsExt;
    let executable = fs::metadata(program).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    if !executable {
        return Err(Error::NoProgram(program.to_owned()));
    }
    let run_dir = run_dir::find(&options.data_dir, SOCKET_NAME)?;
    let socket = run_dir.join(SOCKET_NAME);
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

/// A path in the syntax of Redis's configuration.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}

/// Why a Redis that runs is not usable.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error("the probe had no answer within {PROBE_TIMEOUT:?}")]
    Timeout,
    #[error("the probe failed: {0}")]
    Failed(#[source] redis::RedisError),
    #[error("the probe was hung up on: {0}")]
    HungUp(#[source] redis::RedisError),
    #[error("it holds {resident} bytes of memory, {limit} are allowed; starting over empty")]
    TooMuchMemory { resident: u64, limit: u64 },
}

/// The server in the view of the supervision.
struct Server {
    command: ChildCommand,
    /// The limit of its resident memory in bytes, if it has no limit of its own.
    resident_limit: Option<u64>,
    client: redis::Client,
    /// Kept between probes, because mini-redis accepts only 249 connections.
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Server {
    /// Writes a key and reads it back, on the connection of the last probe or a new one.
    async fn probe(&self) -> Result<(), Unhealthy> {
        let mut kept = self.connection.lock().await;
        // Taken out first: after a time-out the connection must not be used again, because its answer may still arrive.
        let reused = kept.take();
        match timeout(PROBE_TIMEOUT, self.round_trip(reused)).await {
            Ok(Ok(connection)) => {
                *kept = Some(connection);
                Ok(())
            }
            Ok(Err(unhealthy)) => Err(unhealthy),
            Err(_) => Err(Unhealthy::Suspected(ProbeError::Timeout.into())),
        }
    }

    async fn round_trip(&self, reused: Option<MultiplexedConnection>) -> Result<MultiplexedConnection, Unhealthy> {
        if let Some(mut connection) = reused
            && write_and_read(&mut connection).await.is_ok()
        {
            return Ok(connection);
        }
        let suspected = |error| Unhealthy::Suspected(ProbeError::Failed(error).into());
        let mut connection = self.client.get_multiplexed_async_connection().await.map_err(suspected)?;
        match write_and_read(&mut connection).await {
            Ok(()) => Ok(connection),
            // It accepts and hangs up: its lock is poisoned, and only a restart helps.
            Err(error) if error.is_connection_dropped() => Err(Unhealthy::Certain(ProbeError::HungUp(error).into())),
            Err(error) => Err(suspected(error)),
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

    async fn prepare(&self) -> Result<(), BoxError> {
        *self.connection.lock().await = None;
        Ok(())
    }

    async fn ready(&self, _pid: u32) {
        while self.probe().await.is_err() {
            sleep(READY_POLL_INTERVAL).await;
        }
    }

    async fn check(&self, pid: u32) -> Result<(), Unhealthy> {
        if let (Some(limit), Some(resident)) = (self.resident_limit, resident_memory(pid))
            && resident > limit
        {
            return Err(Unhealthy::Certain(ProbeError::TooMuchMemory { resident, limit }.into()));
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
