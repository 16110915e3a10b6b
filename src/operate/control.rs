//! The control socket: commands reach the appliance that runs on a data directory, whatever its port.
//!
//! Policy: the socket is in a private directory and its path in `DATA/operate/control`, so only the user of the appliance and root can use it. The appliance reads
//! the database and sends the backup; the command stores it, with its own rights, so it can write where the sandbox of a service may not. Every wait has a
//! limit.

use std::future::Future;
use std::io::{self, Write};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::archive_writer::Sink;
use super::backup_file::{BackupFile, Target};
use super::encryption::Encryption;
use super::frames::{self, Kind};
use super::layout::Layout;
use super::manifest::{Manifest, Trigger};
use super::operator::{Created, Operator};
use super::state::whole_seconds;
use super::{Error, clock};
use crate::managed::{run_dir, secret_file};

/// The file name of the socket.
const SOCKET_NAME: &str = "control.sock";
/// How long a client may take for its request, and either side for the next block.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const BLOCK_TIMEOUT: Duration = Duration::from_secs(900);
/// The largest block, in bytes, and how many are on the way.
const BLOCK_BYTES: usize = 256 << 10;
const QUEUE_BLOCKS: usize = 4;
/// Clients at a time.
const MAX_CLIENTS: usize = 8;

/// What a command asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
enum Request {
    /// A backup.
    Backup { time: String, trigger: Trigger, label: Option<String> },
    /// That the appliance uses the credentials with these keys as they are in the database now.
    Credentials { keys: Vec<String> },
}

/// Ends what the appliance has in memory about the credentials with these keys. The message of the error is for the command.
pub type EndCredentials =
    Arc<dyn Fn(Vec<String>) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// The socket of a running appliance; closed when this is dropped.
#[derive(Debug)]
pub struct ControlServer {
    socket: PathBuf,
    task: JoinHandle<()>,
}

impl ControlServer {
    /// Listens. Only for the holder of the lock of the data directory.
    ///
    /// # Errors
    /// When the socket cannot be made or recorded.
    pub fn start(operator: Arc<Operator>, end_credentials: Option<EndCredentials>) -> Result<Self, Error> {
        let layout = operator.layout.clone();
        layout.prepare()?;
        let socket = run_dir::find(layout.data_dir(), SOCKET_NAME)?.join(SOCKET_NAME);
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::at(&socket)(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&socket).map_err(Error::at(&socket))?;
        let recorded = layout.control();
        let text = record(&layout, &socket.to_string_lossy());
        if !std::fs::read_to_string(&recorded).is_ok_and(|found| found == text) {
            secret_file::write(&recorded, &text).map_err(Error::at(&recorded))?;
        }
        let task = tokio::spawn(serve(listener, operator, end_credentials));
        Ok(Self { socket, task })
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.task.abort();
        if let Err(error) = std::fs::remove_file(&self.socket) {
            tracing::debug!("cannot remove {}: {error}", self.socket.display());
        }
    }
}

/// What is recorded in the data directory: the path of the socket, and the data directory itself, because it may be copied while the appliance runs.
fn record(layout: &Layout, socket: &str) -> String {
    let data_dir = layout.data_dir();
    let data_dir = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
    format!("{socket}\n{}\n", data_dir.display())
}

async fn serve(listener: UnixListener, operator: Arc<Operator>, end_credentials: Option<EndCredentials>) {
    let mut clients = JoinSet::new();
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the control socket");
                tokio::time::sleep(REQUEST_TIMEOUT).await;
                continue;
            }
        };
        let is_allowed = stream.peer_cred().is_ok_and(|peer| [0, geteuid().as_raw()].contains(&peer.uid()));
        while clients.try_join_next().is_some() {}
        if is_allowed && clients.len() < MAX_CLIENTS {
            clients.spawn(answer(stream, Arc::clone(&operator), end_credentials.clone()));
        }
    }
}

async fn answer(mut stream: UnixStream, operator: Arc<Operator>, end_credentials: Option<EndCredentials>) {
    let request = match timeout(REQUEST_TIMEOUT, frames::receive(&mut stream)).await {
        Ok(Ok((Kind::Request, bytes))) => serde_json::from_slice(&bytes).ok(),
        _ => None,
    };
    let (time, trigger, label) = match request {
        Some(Request::Backup { time, trigger, label }) => (time, trigger, label),
        Some(Request::Credentials { keys }) => {
            let ended = match end_credentials {
                Some(end_credentials) => end_credentials(keys).await,
                // Requests need no credentials.
                None => Ok(()),
            };
            let (kind, message) = match &ended {
                Ok(()) => (Kind::Done, &b""[..]),
                Err(message) => (Kind::Error, message.as_bytes()),
            };
            return send_last(&mut stream, kind, message).await;
        }
        None => {
            let message = b"this appliance does not know the command; use the program of its version";
            return send_last(&mut stream, Kind::Error, message).await;
        }
    };
    let time = time.parse().unwrap_or_else(|_| whole_seconds(clock::now()));
    // In a box, because it is large.
    if let Err(error) = Box::pin(send_backup(&mut stream, &operator, time, trigger, label)).await {
        tracing::warn!(%error, "a backup for a command was not completed");
        send_last(&mut stream, Kind::Error, error.to_string().as_bytes()).await;
    }
}

/// Sends the last message on a connection. A client that has gone, or does not read, needs none.
async fn send_last(stream: &mut UnixStream, kind: Kind, message: &[u8]) {
    if !matches!(timeout(REQUEST_TIMEOUT, frames::send(stream, kind, message)).await, Ok(Ok(()))) {
        tracing::debug!("a command has gone before the end of its answer");
    }
}

/// Makes a backup, sends it, and waits until the command has stored it.
async fn send_backup(
    stream: &mut UnixStream,
    operator: &Arc<Operator>,
    time: jiff::Timestamp,
    trigger: Trigger,
    label: Option<String>,
) -> Result<(), Error> {
    let started = Instant::now();
    let (sender, mut blocks) = mpsc::channel(QUEUE_BLOCKS);
    let making = {
        let operator = Arc::clone(operator);
        async move { operator.write(Box::new(ChannelSink(sender)), time, trigger, label.as_deref()).await }
    };
    let (mut from_client, mut to_client) = stream.split();
    let sending = async {
        while let Some(block) = blocks.recv().await {
            within(frames::send(&mut to_client, Kind::Data, &block)).await?;
        }
        Ok::<(), Error>(())
    };
    // A command sends nothing until it has the whole backup: input, or its end, before that means that the command has ended.
    let ended = from_client.read_u8();
    let manifest = tokio::select! {
        // If the other branch is the first, this one is dropped, which ends its programs.
        made = async { tokio::try_join!(making, sending) } => made?.0,
        _ = ended => return Err(Error::CommandEnded),
    };
    within(frames::send(stream, Kind::Manifest, &manifest.to_bytes()?)).await?;
    match timeout(BLOCK_TIMEOUT, frames::receive(stream)).await {
        Ok(Ok((Kind::Stored, bytes))) => {
            let text = String::from_utf8_lossy(&bytes);
            let (bytes, path) = text.split_once(' ').unwrap_or((text.as_ref(), ""));
            let bytes: u64 = bytes.parse().unwrap_or_default();
            tracing::info!(bytes, records = manifest.records(), "a backup is complete");
            operator.record_success(Some(Path::new(path)).filter(|path| path.is_absolute()), bytes, started.elapsed())
        }
        _ => Err(Error::CommandEnded),
    }
}

async fn within(sending: impl Future<Output = io::Result<()>>) -> Result<(), Error> {
    let gone = |source| Error::Stream { program: "the command", source };
    timeout(BLOCK_TIMEOUT, sending).await.unwrap_or(Err(io::ErrorKind::TimedOut.into())).map_err(gone)
}

/// Passes what is written to the task that sends it.
struct ChannelSink(mpsc::Sender<Bytes>);

impl Write for ChannelSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = &bytes[..bytes.len().min(BLOCK_BYTES)];
        self.0.blocking_send(Bytes::copy_from_slice(taken)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for ChannelSink {
    fn complete(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection to the appliance that runs on a data directory.
#[derive(Debug)]
pub struct ControlClient(BlockingStream);

impl ControlClient {
    /// Connects; `None` if none runs there, or this user cannot reach it.
    pub fn connect(layout: &Layout) -> Option<Self> {
        let text = std::fs::read_to_string(layout.control()).ok()?;
        let socket = text.lines().next()?;
        if text != record(layout, socket) {
            // The directory is a copy; the socket belongs to the appliance of the original.
            return None;
        }
        let stream = BlockingStream::connect(socket).ok()?;
        stream
            .set_read_timeout(Some(BLOCK_TIMEOUT))
            .and_then(|()| stream.set_write_timeout(Some(BLOCK_TIMEOUT)))
            .ok()?;
        Some(Self(stream))
    }

    /// Lets the appliance use credentials as they are in the database now. Blocks until it does.
    ///
    /// # Errors
    /// When the appliance does not answer, or says why it may not do so yet.
    pub fn end_credentials(mut self, keys: Vec<String>) -> Result<(), Error> {
        let timeout = Some(REQUEST_TIMEOUT);
        self.0
            .set_read_timeout(timeout)
            .and_then(|()| self.0.set_write_timeout(timeout))
            .map_err(|_| Error::ControlEnded)?;
        let request = serde_json::to_vec(&Request::Credentials { keys }).map_err(|source| Error::Encode { source })?;
        frames::send_blocking(&mut self.0, Kind::Request, &request).map_err(|_| Error::ControlEnded)?;
        match frames::receive_blocking(&mut self.0) {
            Ok((Kind::Done, _)) => Ok(()),
            Ok((Kind::Error, message)) => Err(Error::Appliance(String::from_utf8_lossy(&message).into_owned())),
            _ => Err(Error::ControlEnded),
        }
    }

    /// Lets the appliance make a backup, and stores it. Blocks until it is complete.
    ///
    /// # Errors
    /// The error of the appliance, or of the file; then nothing is left of it.
    pub fn backup(
        mut self,
        target: &Target,
        trigger: Trigger,
        label: Option<&str>,
        encryption: Option<&Encryption>,
    ) -> Result<Created, Error> {
        let started = Instant::now();
        let time = whole_seconds(clock::now());
        let file = BackupFile::create(target, time, label, encryption)?;
        let request = Request::Backup { time: time.to_string(), trigger, label: label.map(str::to_owned) };
        let request = serde_json::to_vec(&request).map_err(|source| Error::Encode { source })?;
        frames::send_blocking(&mut self.0, Kind::Request, &request).map_err(|_| Error::ControlEnded)?;
        let manifest = self.store(file.sink()?)?;
        let path = file.commit()?;
        let bytes = path.metadata().map_err(Error::at(&path))?.len();
        // The backup is complete; the message to the appliance is for its report, and so that the schedule removes it in its time.
        let recorded = target.recorded(&path).map(|path| path.display().to_string()).unwrap_or_default();
        if let Err(error) = frames::send_blocking(&mut self.0, Kind::Stored, format!("{bytes} {recorded}").as_bytes()) {
            tracing::warn!(%error, "the appliance could not be notified that the backup is complete");
        }
        Ok(Created { path, bytes, duration: started.elapsed(), manifest })
    }

    fn store(&mut self, mut sink: Box<dyn Sink>) -> Result<Manifest, Error> {
        loop {
            match frames::receive_blocking(&mut self.0) {
                Ok((Kind::Data, bytes)) => sink.write_all(&bytes).map_err(|source| Error::Write { source })?,
                Ok((Kind::Manifest, bytes)) => {
                    sink.complete().map_err(|source| Error::Write { source })?;
                    return Manifest::parse(&bytes);
                }
                Ok((Kind::Error, message)) => {
                    return Err(Error::Appliance(String::from_utf8_lossy(&message).into_owned()));
                }
                _ => return Err(Error::ControlEnded),
            }
        }
    }
}
