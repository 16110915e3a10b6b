//! A real `redis-server` with a password, as somebody else would run it.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::process::as_lower_user;
use super::{Scratch, eventually, free_port, reaper, signal};

/// A running server; it can be stopped, frozen and brought back on the same port.
pub(crate) struct RedisServer {
    child: Option<Child>,
    directory: Scratch,
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    /// What it wants to hear.
    pub(crate) password: String,
}

impl RedisServer {
    /// Starts one and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::with_password("r3dis-secret/ü")
    }

    /// Starts one that lets everybody in.
    pub(crate) fn without_password() -> Self {
        Self::with_password("")
    }

    fn with_password(password: &str) -> Self {
        let directory = Scratch::new("redis");
        let mut server = Self { child: None, directory, port: free_port(), password: password.to_owned() };
        server.revive();
        server
    }

    /// Starts it again, empty, on its port.
    pub(crate) fn revive(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--requirepass", &self.password, "--daemonize", "no", "--dir", "/tmp"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir(self.directory.path());
        let child = as_lower_user(&mut command).spawn();
        let child = child.expect("redis-server is needed: run `apt-get install redis-server`");
        reaper::started(child.id());
        self.child = Some(child);
        eventually("redis-server answers", || self.try_command::<String>(&["PING"]).ok());
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            reaper::ended(child.id());
        }
    }

    /// Stops it in its tracks: connections stay open and nothing is answered.
    pub(crate) fn freeze(&self) {
        signal(self.pid(), Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        signal(self.pid(), Signal::SIGCONT);
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// One command; fails with Redis's words.
    pub(crate) fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_command(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    fn try_command<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(word);
        });
        command.query(&mut self.connection()?)
    }

    fn connection(&self) -> redis::RedisResult<redis::Connection> {
        let address = redis::ConnectionAddr::Tcp("127.0.0.1".into(), self.port);
        let mut settings = redis::RedisConnectionInfo::default();
        if !self.password.is_empty() {
            settings = settings.set_password(self.password.clone());
        }
        let info = redis::IntoConnectionInfo::into_connection_info(address)?.set_redis_settings(settings);
        let connection = redis::Client::open(info)?.get_connection_with_timeout(Duration::from_secs(5))?;
        connection.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(connection)
    }

    /// Writes bytes that are no text, for a minute.
    pub(crate) fn set_bytes(&self, key: &str, value: &[u8]) {
        let mut connection = self.connection().expect("the server answers");
        let mut command = redis::cmd("SET");
        command.arg(key).arg(value).arg("EX").arg(60);
        command.query::<String>(&mut connection).expect("Redis takes it");
    }

    /// Every key that matches a pattern, sorted.
    pub(crate) fn keys(&self, pattern: &str) -> Vec<String> {
        let mut keys: Vec<String> = self.command(&["KEYS", pattern]);
        keys.sort();
        keys
    }

    /// The `redis:` section that leads here.
    pub(crate) fn config(&self) -> String {
        format!("redis:\n  host: 127.0.0.1\n  port: {}\n  password: \"{}\"\n", self.port, self.password)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
