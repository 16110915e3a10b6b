//! A Unix socket that leads to a server, for programs whose libpq has no TLS.
//!
//! Policy: the connection to the server is encrypted as the configuration says; the socket is in a private directory. The bytes are passed on as they
//! are, so the program logs in by itself.

use std::io;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{ATTEMPT_TIMEOUT, Database};

/// The port in the name of the socket.
const PORT: u16 = 5432;
/// The message with which a client asks for TLS.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Any connection to the server.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Accepts connections until it is dropped.
#[derive(Debug)]
pub struct Tunnel {
    directory: PathBuf,
    task: JoinHandle<()>,
}

impl Tunnel {
    /// The directory of the socket.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Part of the socket's name.
    pub fn port(&self) -> u16 {
        PORT
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Database {
    /// Makes a socket in `directory`, which only this user can enter, that leads to this server.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn tunnel(&self, directory: &Path) -> io::Result<Tunnel> {
        let listener = UnixListener::bind(directory.join(format!(".s.PGSQL.{PORT}")))?;
        let (config, tls) = (self.config.clone(), self.connector.tls.clone());
        let task = tokio::spawn(async move {
            // Dropped with this task, which ends the connections.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                connections.spawn(pass_on(client, config.clone(), tls.clone()));
            }
        });
        Ok(Tunnel { directory: directory.to_owned(), task })
    }
}

async fn pass_on(mut client: UnixStream, config: Config, tls: MakeRustlsConnect) {
    match timeout(ATTEMPT_TIMEOUT, connect(&config, tls)).await {
        Ok(Ok(mut server)) => {
            if let Err(error) = copy_bidirectional(&mut client, &mut server).await {
                tracing::debug!(%error, "a connection to PostgreSQL broke off");
            }
        }
        Ok(Err(error)) => tracing::warn!(%error, "PostgreSQL cannot be reached"),
        Err(_) => tracing::warn!("PostgreSQL did not answer in time"),
    }
}

/// Connects to the first host that accepts, with TLS as the configuration says.
async fn connect(config: &Config, mut tls: MakeRustlsConnect) -> io::Result<Box<dyn Stream>> {
    let mut last = io::Error::other("no host is configured");
    for (number, host) in config.get_hosts().iter().enumerate() {
        let ports = config.get_ports();
        let port = ports.get(number).or(ports.first()).copied().unwrap_or(PORT);
        let connected = match host {
            Host::Unix(directory) => UnixStream::connect(directory.join(format!(".s.PGSQL.{port}")))
                .await
                .map(|stream| Box::new(stream) as Box<dyn Stream>),
            Host::Tcp(name) => connect_tcp(name, port, config.get_ssl_mode(), &mut tls).await,
        };
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect_tcp(name: &str, port: u16, mode: SslMode, tls: &mut MakeRustlsConnect) -> io::Result<Box<dyn Stream>> {
    let mut stream = TcpStream::connect((name, port)).await?;
    stream.set_nodelay(true)?;
    if mode == SslMode::Disable {
        return Ok(Box::new(stream));
    }
    stream.write_all(&SSL_REQUEST).await?;
    match stream.read_u8().await? {
        b'S' => {
            let connector = MakeTlsConnect::<TcpStream>::make_tls_connect(tls, name).map_err(io::Error::other)?;
            Ok(Box::new(connector.connect(stream).await.map_err(io::Error::other)?))
        }
        _ if mode == SslMode::Prefer => Ok(Box::new(stream)),
        _ => Err(io::Error::other("the server does not support TLS")),
    }
}
