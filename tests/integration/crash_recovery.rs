//! Starts on the remains of an earlier run, and two appliances on one data directory.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    API, Appliance, Builder, Connection, Request, as_unprivileged_user, create, eventually, is_alive, record, records,
    unprivileged_user,
};

/// An appliance that stored one record and was killed.
fn killed_appliance() -> Appliance {
    let mut appliance = Appliance::builder().existing_cluster().config("redis: { mode: off }\n").start();
    create(&appliance, &record("before", "n", "s", "2023-08-01")).expect(200);
    appliance.kill();
    appliance
}

fn assert_starts_with_stored_record(appliance: &mut Appliance) {
    appliance.start_again();
    assert_eq!(records(appliance, "").len(), 1);
    create(appliance, &record("after", "n", "s", "2023-08-01")).expect(200);
}

/// The database cluster: the directory with `PG_VERSION` and `global`.
fn cluster(data: &Path) -> PathBuf {
    find(data, &|path| path.join("PG_VERSION").exists() && path.join("global").exists()).expect("there is a cluster")
}

fn find(directory: &Path, matches: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    if matches(directory) {
        return Some(directory.to_owned());
    }
    let mut entries: Vec<_> =
        fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries.into_iter().filter(|path| path.is_dir() && !path.is_symlink()).find_map(|path| find(&path, matches))
}

fn chown_to_unprivileged_user(path: &Path) {
    if let Some(user) = unprivileged_user() {
        std::os::unix::fs::chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("root may");
    }
}

fn unprivileged_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    as_unprivileged_user(&mut command);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

struct KillOnDrop(Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn starts_when_a_stale_pid_file_names_an_unrelated_process() {
    let mut appliance = killed_appliance();
    let file = cluster(&appliance.data()).join("postmaster.pid");
    let unrelated = KillOnDrop(unprivileged_command(Path::new("sleep")).arg("600").spawn().expect("sleep runs"));
    let text = fs::read_to_string(&file).unwrap_or_else(|_| "1\n/nowhere\n1\n5432\n\n\n0 0\nready\n".into());
    let rest = text.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    fs::write(&file, format!("{}\n{rest}", unrelated.0.id())).expect("the file can be written");
    chown_to_unprivileged_user(&file);
    assert_starts_with_stored_record(&mut appliance);
    assert!(is_alive(unrelated.0.id()), "a process that is not ours is left alone");
}

#[test]
fn starts_when_the_pid_file_holds_garbage() {
    for garbage in ["", "garbage\n", "-1\n", "99999999999\n", "1\n"] {
        let mut appliance = killed_appliance();
        let file = cluster(&appliance.data()).join("postmaster.pid");
        fs::write(&file, garbage).expect("the file can be written");
        chown_to_unprivileged_user(&file);
        assert_starts_with_stored_record(&mut appliance);
    }
}

#[test]
fn starts_when_postgresql_outlived_its_appliance() {
    let mut appliance = killed_appliance();
    let data = appliance.data();
    let cluster = cluster(&data);
    let program =
        find(&data.join("dist"), &|path| path.join("postgres").is_file()).expect("the distribution").join("postgres");
    let mut command = unprivileged_command(&program);
    command.arg("-D").arg(&cluster).args(["-c", "listen_addresses=", "-c"]);
    command.arg(format!("unix_socket_directories={}", data.join("run").display()));
    let mut orphan = KillOnDrop(command.spawn().expect("postgres runs"));
    eventually("the orphan is ready", || {
        assert!(orphan.0.try_wait().expect("it is our child").is_none(), "the orphan ended");
        let text = fs::read_to_string(cluster.join("postmaster.pid")).unwrap_or_default();
        (text.starts_with(&orphan.0.id().to_string()) && text.contains("ready")).then_some(())
    });
    // Here it is a child of the test process, which must wait for it, or it stays a zombie.
    let waiter = thread::spawn(move || orphan.0.wait());
    assert_starts_with_stored_record(&mut appliance);
    waiter.join().expect("no panic").expect("the orphan has been stopped");
}

#[test]
fn starts_when_stale_socket_and_lock_files_are_left() {
    let mut appliance = killed_appliance();
    let run = appliance.data().join("run");
    for name in [".s.PGSQL.5432", ".s.PGSQL.5432.lock"] {
        let _ = fs::remove_file(run.join(name));
        fs::write(run.join(name), "99999\n").expect("a file can be left");
        chown_to_unprivileged_user(&run.join(name));
    }
    assert_starts_with_stored_record(&mut appliance);
}

#[test]
fn a_start_that_is_killed_at_any_moment_does_not_block_the_next_start() {
    let mut appliance = Appliance::builder().spawn();
    for delay in [0, 20, 60, 120, 200, 300, 450, 600, 900, 1300] {
        thread::sleep(Duration::from_millis(delay));
        appliance.kill();
        appliance = appliance.settings().spawn();
    }
    appliance.wait_listening();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    let left: Vec<_> = fs::read_dir(appliance.data().join("postgres"))
        .expect("there is a cluster")
        .chain(fs::read_dir(appliance.data().join("dist")).expect("there is a distribution"))
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("partial"))
        .collect();
    assert!(left.is_empty(), "partial directories are removed: {left:?}");
}

/// 10, or the number in `KILLED_STARTS`.
fn killed_starts() -> usize {
    std::env::var("KILLED_STARTS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

/// Kills an appliance under load and starts it at once, again and again.
fn kill_and_start_under_load(builder: Builder) {
    let mut appliance = builder.existing_cluster().config("redis: { mode: off }\n").start();
    let (ended, address, acknowledged) =
        (AtomicBool::new(false), Mutex::new(appliance.address()), Mutex::new(Vec::new()));
    let mut durations = thread::scope(|scope| {
        for writer in 0..4 {
            let (ended, address, acknowledged) = (&ended, &address, &acknowledged);
            scope.spawn(move || {
                for number in 0.. {
                    if ended.load(Relaxed) {
                        return;
                    }
                    let now = *address.lock().unwrap();
                    let id = format!("w{writer}-{number}");
                    let body = record(&id, "n", "s", "2023-08-01").to_string();
                    let request = Request::post_json(&format!("{API}/create"), body.as_str());
                    match Connection::open(now).and_then(|mut connection| connection.send(&request)) {
                        Ok(answer) if answer.status == 200 => acknowledged.lock().unwrap().push(id),
                        // It is being killed.
                        _ => thread::sleep(Duration::from_millis(1)),
                    }
                }
            });
        }
        let durations: Vec<Duration> = (0..killed_starts())
            .map(|round| {
                // At different moments after the start.
                thread::sleep(Duration::from_millis(37 * (round as u64 % 11)));
                let killed = Instant::now();
                appliance.kill_and_start_at_once();
                *address.lock().unwrap() = appliance.address();
                killed.elapsed()
            })
            .collect();
        ended.store(true, Relaxed);
        durations
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    let sql = appliance.sql();
    let stored: HashSet<String> = sql.rows("SELECT id FROM records").into_iter().flatten().flatten().collect();
    let lost: Vec<_> = acknowledged.iter().filter(|id| !stored.contains(*id)).collect();
    assert!(!acknowledged.is_empty() && lost.is_empty(), "{} acknowledged, lost: {lost:?}", acknowledged.len());
    durations.sort();
    eprintln!(
        "{} kills, {} records: served again after {:?} (median), {:?} (95 %), {:?} (longest)",
        durations.len(),
        acknowledged.len(),
        durations[durations.len() / 2],
        durations[durations.len() * 95 / 100],
        durations[durations.len() - 1]
    );
    appliance.stop();
}

#[test]
fn every_start_right_after_a_kill_under_load_succeeds() {
    kill_and_start_under_load(Appliance::builder());
}

#[test]
fn every_start_as_a_user_right_after_a_kill_under_load_succeeds() {
    kill_and_start_under_load(Appliance::builder().unprivileged());
}

#[test]
fn starts_after_a_distribution_was_half_unpacked() {
    let mut appliance = killed_appliance();
    let data = appliance.data();
    let dist: Vec<PathBuf> = fs::read_dir(data.join("dist")).expect("it").flatten().map(|entry| entry.path()).collect();
    for whole in dist.iter().filter(|path| path.is_dir()) {
        let half = whole.with_file_name(format!("{}.partial-1", whole.file_name().unwrap().to_string_lossy()));
        fs::rename(whole, &half).expect("it can be renamed");
        let program = find(&half, &|path| path.join("postgres").is_file()).expect("a program").join("postgres");
        fs::remove_file(program).expect("it can be removed");
    }
    assert_starts_with_stored_record(&mut appliance);
}

#[test]
fn a_second_appliance_on_the_same_data_directory_exits_with_a_message() {
    let first = Appliance::builder().existing_cluster().config("redis: { mode: off }\n").start();
    let second = Appliance::builder().data_dir(&first.data()).finish().expect(1);
    let output = second.output();
    assert!(output.contains(&first.data().display().to_string()), "which directory: {output}");
    assert!(output.contains(&first.pid().to_string()), "which process holds it: {output}");
    assert!(output.contains("--data-dir"), "what to do: {output}");
    first.get(&format!("{API}/health")).expect(200);
    create(&first, &record("1", "n", "s", "2023-08-01")).expect(200);
}
