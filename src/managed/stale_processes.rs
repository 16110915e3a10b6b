//! Ends processes of an earlier PostgreSQL and removes its stale files before the next start.
//!
//! Policy: a process is identified by its program and its working directory (`/proc/PID/exe` and `cwd`), never by its process id alone,
//! because ids are reused. Every server process works inside the directory of its cluster. A postmaster that outlived its
//! appliance is asked to shut down and then killed. Backends without a postmaster end by themselves; those that do not are killed.
//! `postmaster.pid` is removed in two cases only: it names a running process of another program, which PostgreSQL would take for
//! a server, or it names none (after a crash before it was written), which PostgreSQL rejects. All other stale files are left to
//! PostgreSQL's own checks, which also examine shared memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

/// The signals that end a stale server, each with the time to wait after it.
const STOP_SIGNALS: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(15)),
    (Signal::SIGQUIT, Duration::from_secs(5)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];
/// How long backends have to notice that their postmaster is gone.
const ORPHAN_EXIT_GRACE: Duration = Duration::from_secs(3);
/// Time between two reads of the process table.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Why the next PostgreSQL cannot start.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Processes survived SIGKILL.
    #[error(
        "processes of an earlier PostgreSQL still use {cluster} and do not end ({processes:?}); end them by hand",
        cluster = .cluster.display()
    )]
    StillRunning {
        /// The directory of the cluster.
        cluster: PathBuf,
        /// Their process ids.
        processes: Vec<Pid>,
    },
    /// A stale file cannot be removed.
    #[error("cannot remove {path}: {source}", path = .path.display())]
    Remove {
        /// The file.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
}

/// Prepares a start of the cluster in `cluster` (an absolute path without symbolic links).
///
/// # Errors
/// When a process does not end even after SIGKILL, or a file cannot be removed.
pub(super) async fn clear(cluster: &Path, socket_files: [PathBuf; 2]) -> Result<(), Error> {
    let recorded = recorded_pid(cluster);
    let living = find(cluster);
    match recorded {
        Some(postmaster) if living.contains(&postmaster) => {
            info!("a PostgreSQL that outlived an earlier appliance still runs ({postmaster}); stopping it");
            stop(cluster, postmaster).await;
        }
        _ if !living.is_empty() => {
            wait_until_gone(cluster, ORPHAN_EXIT_GRACE).await;
        }
        _ => {}
    }
    kill_orphans(cluster).await?;
    remove_misleading_pid_file(cluster, recorded)?;
    socket_files.iter().try_for_each(|path| remove(path))
}

/// Must be called only when no process of the cluster is left.
fn remove_misleading_pid_file(cluster: &Path, recorded: Option<Pid>) -> Result<(), Error> {
    let path = cluster.join("postmaster.pid");
    match recorded {
        None if path.exists() => info!("postmaster.pid names no process; removing the file"),
        Some(other) if kill(other, None).is_ok() => {
            info!("postmaster.pid names process {other}, which is not a PostgreSQL of ours; removing the file");
        }
        _ => return Ok(()),
    }
    remove(&path)
}

async fn stop(cluster: &Path, postmaster: Pid) {
    for (signal, timeout) in STOP_SIGNALS {
        // Looked up again each time, because the id of a process that has ended may be reused.
        if find(cluster).contains(&postmaster) && kill(postmaster, signal).is_ok() {
            wait_until_gone(cluster, timeout).await;
        }
    }
}

/// Ends backends that have not noticed that their postmaster is gone.
async fn kill_orphans(cluster: &Path) -> Result<(), Error> {
    for (signal, timeout) in &STOP_SIGNALS[1..] {
        let living = find(cluster);
        if living.is_empty() {
            return Ok(());
        }
        warn!("PostgreSQL processes without a server are left ({living:?}); sending {signal}");
        for pid in living {
            // An error means that it has ended meanwhile.
            let _ = kill(pid, *signal);
        }
        wait_until_gone(cluster, *timeout).await;
    }
    match find(cluster) {
        living if living.is_empty() => Ok(()),
        processes => Err(Error::StillRunning { cluster: cluster.to_owned(), processes }),
    }
}

async fn wait_until_gone(cluster: &Path, timeout: Duration) {
    let deadline = Instant::now() + timeout;
    while !find(cluster).is_empty() && Instant::now() < deadline {
        sleep(POLL_INTERVAL).await;
    }
}

/// The process id in `postmaster.pid`.
fn recorded_pid(cluster: &Path) -> Option<Pid> {
    let text = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    // Only a single-user server writes its id negated, and the appliance never starts one.
    (pid > 1).then(|| Pid::from_raw(pid))
}

/// The PostgreSQL processes whose working directory is `cluster`.
fn find(cluster: &Path) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|pid| is_server_process(*pid, cluster)).map(Pid::from_raw).collect()
}

fn is_server_process(pid: i32, cluster: &Path) -> bool {
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}"));
    let works_here = link("cwd").is_ok_and(|cwd| cwd == cluster);
    // The kernel reports "postgres (deleted)" after the distribution was replaced.
    let is_postgres = |exe: &Path| exe.file_name().is_some_and(|name| name.to_string_lossy().starts_with("postgres"));
    works_here && link("exe").is_ok_and(|exe| is_postgres(&exe))
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Remove { path: path.to_owned(), source }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;
    use crate::managed::testing::scratch;

    /// A process that runs a program called `postgres` inside `cluster`.
    fn fake_server(cluster: &Path) -> Child {
        let program = cluster.with_extension("bin").join("postgres");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::copy("/bin/sleep", &program).unwrap();
        Command::new(program).arg("60").current_dir(cluster).spawn().unwrap()
    }

    fn cluster(name: &str) -> PathBuf {
        let cluster = scratch(name).join("16");
        fs::create_dir_all(&cluster).unwrap();
        cluster.canonicalize().unwrap()
    }

    fn socket_files(cluster: &Path) -> [PathBuf; 2] {
        [cluster.join("socket"), cluster.join("socket.lock")]
    }

    #[tokio::test]
    async fn a_server_that_outlived_its_appliance_is_stopped() {
        let cluster = cluster("orphan");
        let mut orphan = fake_server(&cluster);
        fs::write(cluster.join("postmaster.pid"), format!("{}\n", orphan.id())).unwrap();
        fs::write(cluster.join("socket"), "").unwrap();
        let reaped = tokio::task::spawn_blocking(move || orphan.wait().unwrap());
        clear(&cluster, socket_files(&cluster)).await.unwrap();
        assert!(!reaped.await.unwrap().success());
        assert!(!cluster.join("socket").exists());
    }

    #[tokio::test]
    async fn a_pid_file_that_names_another_program_is_removed_and_the_program_lives() {
        let cluster = cluster("other-program");
        let mut other = Command::new("/bin/sleep").arg("60").current_dir(&cluster).spawn().unwrap();
        fs::write(cluster.join("postmaster.pid"), format!("{}\n", other.id())).unwrap();
        clear(&cluster, socket_files(&cluster)).await.unwrap();
        assert!(other.try_wait().unwrap().is_none());
        assert!(!cluster.join("postmaster.pid").exists());
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[tokio::test]
    async fn a_pid_file_that_names_no_process_is_removed() {
        let cluster = cluster("no-process");
        for text in ["", "garbage\n", "-5\n", "99999999999\n"] {
            fs::write(cluster.join("postmaster.pid"), text).unwrap();
            clear(&cluster, socket_files(&cluster)).await.unwrap();
            assert!(!cluster.join("postmaster.pid").exists(), "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_pid_file_that_names_a_dead_process_is_left_to_postgresql() {
        let cluster = cluster("dead");
        let mut dead = Command::new("/bin/true").spawn().unwrap();
        dead.wait().unwrap();
        fs::write(cluster.join("postmaster.pid"), format!("{}\n", dead.id())).unwrap();
        clear(&cluster, socket_files(&cluster)).await.unwrap();
        assert!(cluster.join("postmaster.pid").exists());
    }
}
