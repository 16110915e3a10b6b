//! The release binary under attack, with its own PostgreSQL.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Result;

/// A start that takes longer has failed.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const SAMPLE_INTERVAL: Duration = Duration::from_millis(20);

/// A running appliance with its defaults; it logs to a file.
pub struct Appliance {
    child: Child,
    directory: PathBuf,
    /// The port that it listens on.
    pub port: u16,
}

impl Appliance {
    /// Starts the binary with an empty data directory below `base`.
    pub fn start(binary: &Path, base: &Path) -> Result<Self> {
        let log = File::create(base.join("log"))?;
        let child = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(base.join("data"))
            .current_dir(base)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut appliance = Self { child, directory: base.to_owned(), port: 0 };
        let end = Instant::now() + START_TIMEOUT;
        loop {
            let log = appliance.log_since(0)?;
            if let Some(port) = listening_port(&log) {
                appliance.port = port;
                return Ok(appliance);
            }
            if Instant::now() > end || appliance.child.try_wait()?.is_some() {
                return Err(format!("the appliance does not start:\n{log}").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops it.
    pub fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(self.child.id().try_into()?), Signal::SIGTERM)?;
        self.child.wait()?;
        Ok(())
    }

    /// A connection to its PostgreSQL as the superuser.
    pub async fn sql(&self) -> Result<tokio_postgres::Client> {
        let data = self.directory.join("data");
        let password = std::fs::read_to_string(data.join("postgres/password"))?;
        let mut config = tokio_postgres::Config::new();
        config.host_path(data.join("run")).user("postgres").password(password.trim()).dbname("attendance_db");
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// The size of its log.
    pub fn log_size(&self) -> Result<u64> {
        Ok(std::fs::metadata(self.directory.join("log"))?.len())
    }

    /// What it has logged after the first `skipped` bytes.
    pub fn log_since(&self, skipped: u64) -> Result<String> {
        let mut file = File::open(self.directory.join("log"))?;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(skipped))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Begins to watch its memory.
    pub fn watch_memory(&self) -> Result<MemoryWatch> {
        MemoryWatch::start(self.child.id())
    }
}

fn listening_port(log: &str) -> Option<u16> {
    let line = log.lines().find(|line| line.contains("\"message\":\"listening\""))?;
    line.split("\"address\":\"127.0.0.1:").nth(1)?.split('"').next()?.parse().ok()
}

/// The highest resident memory of a process while this exists.
pub struct MemoryWatch {
    before: u64,
    highest: Arc<AtomicU64>,
    is_done: Arc<AtomicBool>,
    sampler: JoinHandle<()>,
}

impl MemoryWatch {
    fn start(pid: u32) -> Result<Self> {
        let before = resident_bytes(pid)?;
        let (highest, is_done) = (Arc::new(AtomicU64::new(before)), Arc::new(AtomicBool::new(false)));
        let (sampled, ends) = (Arc::clone(&highest), Arc::clone(&is_done));
        let sampler = std::thread::spawn(move || {
            while !ends.load(Relaxed) {
                if let Ok(now) = resident_bytes(pid) {
                    sampled.fetch_max(now, Relaxed);
                }
                std::thread::sleep(SAMPLE_INTERVAL);
            }
        });
        Ok(Self { before, highest, is_done, sampler })
    }

    /// How far the memory rose above that at the beginning, in bytes.
    pub fn growth(self) -> u64 {
        self.is_done.store(true, Relaxed);
        // The sampler does not panic.
        let _ = self.sampler.join();
        self.highest.load(Relaxed) - self.before
    }
}

fn resident_bytes(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("the process has no memory")?;
    let kilobytes: u64 = line.split_whitespace().nth(1).ok_or("VmRSS has no value")?.parse()?;
    Ok(kilobytes * 1024)
}
