//! An external `redis-server`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::process::as_unprivileged_user;
use super::{Scratch, eventually, free_port, reaper, signal, unprivileged_user};

/// A server on a fixed port that can be killed, restarted, frozen and thawed.
pub(crate) struct RedisServer {
    child: Option<Child>,
    directory: Scratch,
    options: Vec<String>,
    /// The port it listens on, at 127.0.0.1.
    pub(crate) port: u16,
    /// Its password; empty if it has none.
    pub(crate) password: String,
}

impl RedisServer {
    /// Starts a server with a password and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::with_options("r3dis-secret/ü", &[])
    }

    /// Starts a server with further options and its files in a directory of its own, which must answer.
    pub(crate) fn with_options(password: &str, options: &[&str]) -> Self {
        let directory = Scratch::new("redis");
        if let Some(user) = unprivileged_user() {
            std::os::unix::fs::chown(directory.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .expect("root may give a directory away");
        }
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let mut server = Self { child: None, directory, options, port: free_port(), password: password.to_owned() };
        server.restart();
        server
    }

    /// Starts a server without a password and waits until it answers.
    pub(crate) fn without_password() -> Self {
        Self::with_options("", &[])
    }

    /// The directory of its files.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts the server on its port, empty unless its options say otherwise, and waits until it answers.
    pub(crate) fn restart(&mut self) {
        self.launch(&[]);
        eventually("redis-server answers", || self.try_command::<String>(&["PING"]).ok());
    }

    /// Starts the server with further options, without waiting for it.
    pub(crate) fn launch(&mut self, options: &[&str]) {
        assert!(self.child.is_none(), "it runs already");
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--requirepass", &self.password, "--daemonize", "no"])
            .arg("--dir")
            .arg(self.directory.path())
            .args(&self.options)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir(self.directory.path());
        let child = as_unprivileged_user(&mut command).spawn();
        let child = child.expect("redis-server is needed: run `apt-get install redis-server`");
        reaper::register(child.id());
        self.child = Some(child);
    }

    /// Kills the server with SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            reaper::unregister(child.id());
        }
    }

    /// Suspends the server with SIGSTOP: connections stay open and get no answer.
    pub(crate) fn freeze(&self) {
        signal(self.pid(), Signal::SIGSTOP);
    }

    /// Resumes it after [`freeze`](Self::freeze).
    pub(crate) fn thaw(&self) {
        signal(self.pid(), Signal::SIGCONT);
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// Runs one command; fails with Redis's error.
    pub(crate) fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_command(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Runs one command; returns Redis's error.
    pub(crate) fn try_command<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
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

    /// Stores a value that need not be text, with a TTL of a minute.
    pub(crate) fn set_bytes(&self, key: &str, value: &[u8]) {
        let mut connection = self.connection().expect("the server answers");
        let mut command = redis::cmd("SET");
        command.arg(key).arg(value).arg("EX").arg(60);
        command.query::<String>(&mut connection).expect("Redis takes it");
    }

    /// The keys that match a pattern, sorted.
    pub(crate) fn keys(&self, pattern: &str) -> Vec<String> {
        let mut keys: Vec<String> = self.command(&["KEYS", pattern]);
        keys.sort();
        keys
    }

    /// A `redis:` configuration section for this server.
    pub(crate) fn config(&self) -> String {
        format!("redis:\n  host: 127.0.0.1\n  port: {}\n  password: \"{}\"\n", self.port, self.password)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
