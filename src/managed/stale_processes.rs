//! What an earlier PostgreSQL left in the way of the next one.
//!
//! Policy: processes are judged by what they run and where (`/proc/PID/exe` and working directory), never by a process
//! id alone: ids are given away again. Every server process works inside its cluster's directory. A postmaster that
//! outlived its appliance is asked to shut down, then made to; backends without a postmaster end by themselves, and are
//! made to when they do not. `postmaster.pid` is removed only when it names a living stranger, whom PostgreSQL would
//! believe to be a server, or names nobody (a crash before it was written), which PostgreSQL refuses to judge. Any other
//! stale file is left to PostgreSQL's own checks, which also see shared memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

/// The signals for a survivor, each with the time it is given.
const STEPS: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(15)),
    (Signal::SIGQUIT, Duration::from_secs(5)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];
/// How long backends get to notice that their postmaster is gone.
const ORPHANS_PATIENCE: Duration = Duration::from_secs(3);
/// Time between two looks at the process table.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Clears the way for a start of the cluster in `cluster` (absolute, without symbolic links).
///
/// # Errors
/// When a process does not end even after SIGKILL, or a file cannot be removed.
pub(super) async fn clear(cluster: &Path, socket_files: [PathBuf; 2]) -> Result<(), String> {
    let recorded = recorded_pid(cluster);
    let living = stale_processes(cluster);
    match recorded {
        Some(postmaster) if living.contains(&postmaster) => {
            info!("a PostgreSQL that outlived an earlier appliance still runs ({postmaster}); stopping it");
            stop(cluster, postmaster).await;
        }
        _ if !living.is_empty() => {
            wait_until_gone(cluster, ORPHANS_PATIENCE).await;
        }
        _ => {}
    }
    end_the_rest(cluster).await?;
    remove_misleading_pid_file(cluster, recorded)?;
    socket_files.iter().try_for_each(|path| remove(path))
}

/// To be called when no process of ours is left.
fn remove_misleading_pid_file(cluster: &Path, recorded: Option<Pid>) -> Result<(), String> {
    let path = cluster.join("postmaster.pid");
    match recorded {
        None if path.exists() => info!("postmaster.pid names no process; removing the file"),
        Some(stranger) if kill(stranger, None).is_ok() => {
            info!("postmaster.pid names process {stranger}, which is not a PostgreSQL of ours; removing the file");
        }
        _ => return Ok(()),
    }
    remove(&path)
}

async fn stop(cluster: &Path, postmaster: Pid) {
    for (signal, patience) in STEPS {
        // Looked up anew each time: a process that ended may have given its id away.
        if stale_processes(cluster).contains(&postmaster) && kill(postmaster, signal).is_ok() {
            wait_until_gone(cluster, patience).await;
        }
    }
}

/// Ends backends that have lost their postmaster and do not notice.
async fn end_the_rest(cluster: &Path) -> Result<(), String> {
    for (signal, patience) in &STEPS[1..] {
        let living = stale_processes(cluster);
        if living.is_empty() {
            return Ok(());
        }
        warn!("PostgreSQL processes without a server are left ({living:?}); sending {signal}");
        for pid in living {
            // One that has just ended is what we want.
            let _ = kill(pid, *signal);
        }
        wait_until_gone(cluster, *patience).await;
    }
    match stale_processes(cluster) {
        living if living.is_empty() => Ok(()),
        living => Err(format!(
            "processes of an earlier PostgreSQL still use {} and do not end ({living:?}); end them by hand",
            cluster.display()
        )),
    }
}

async fn wait_until_gone(cluster: &Path, patience: Duration) {
    let deadline = Instant::now() + patience;
    while !stale_processes(cluster).is_empty() && Instant::now() < deadline {
        sleep(LOOK_AGAIN).await;
    }
}

/// The process id in `postmaster.pid`.
fn recorded_pid(cluster: &Path) -> Option<Pid> {
    let text = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    // A single-user server writes its id negated; none of ours does.
    (pid > 1).then(|| Pid::from_raw(pid))
}

/// The processes of a PostgreSQL that work in `cluster`.
fn stale_processes(cluster: &Path) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|pid| is_ours(*pid, cluster)).map(Pid::from_raw).collect()
}

fn is_ours(pid: i32, cluster: &Path) -> bool {
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}"));
    let works_here = link("cwd").is_ok_and(|cwd| cwd == cluster);
    // "postgres (deleted)" after the distribution was replaced.
    let is_postgres = |exe: &Path| exe.file_name().is_some_and(|name| name.to_string_lossy().starts_with("postgres"));
    works_here && link("exe").is_ok_and(|exe| is_postgres(&exe))
}

fn remove(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(format!("cannot remove {}: {e}", path.display())),
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
    async fn a_living_orphan_is_stopped() {
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
    async fn a_stranger_with_the_recorded_id_lives_and_the_file_goes() {
        let cluster = cluster("stranger");
        let mut stranger = Command::new("/bin/sleep").arg("60").current_dir(&cluster).spawn().unwrap();
        fs::write(cluster.join("postmaster.pid"), format!("{}\n", stranger.id())).unwrap();
        clear(&cluster, socket_files(&cluster)).await.unwrap();
        assert!(stranger.try_wait().unwrap().is_none());
        assert!(!cluster.join("postmaster.pid").exists());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }

    #[tokio::test]
    async fn a_file_that_names_nobody_goes() {
        let cluster = cluster("nobody");
        for text in ["", "garbage\n", "-5\n", "99999999999\n"] {
            fs::write(cluster.join("postmaster.pid"), text).unwrap();
            clear(&cluster, socket_files(&cluster)).await.unwrap();
            assert!(!cluster.join("postmaster.pid").exists(), "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_dead_id_is_left_to_postgres_to_judge() {
        let cluster = cluster("dead");
        let mut dead = Command::new("/bin/true").spawn().unwrap();
        dead.wait().unwrap();
        fs::write(cluster.join("postmaster.pid"), format!("{}\n", dead.id())).unwrap();
        clear(&cluster, socket_files(&cluster)).await.unwrap();
        assert!(cluster.join("postmaster.pid").exists());
    }
}
