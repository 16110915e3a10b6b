//! A start as root gives the data directory to the service's user, and nothing else, whatever that user does meanwhile.
//!
//! Every test ends at once when the tests do not run as root. Most starts fail on purpose right after the change of user (there is no such
//! Redis), which makes one take milliseconds.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::unistd::User;

use crate::support::{API, Appliance, CompletedRun, Scratch, create, record, unprivileged_user};

/// The user that an appliance started as root becomes; none if the tests do not run as root.
fn service_user() -> Option<User> {
    let fallback = unprivileged_user()?;
    Some(User::from_name("attendance-api").ok().flatten().unwrap_or(fallback))
}

fn give(path: &Path, user: &User) {
    lchown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
}

/// A start that ends right after the change of user.
fn start_on(data: &Path) -> CompletedRun {
    let redis = "redis.program=/no/such/redis-server";
    Appliance::builder().data_dir(data).arg("--set").arg(redis).finish()
}

fn assert_passes(data: &Path) {
    let finished = start_on(data).expect(1);
    assert!(finished.stderr.contains("/no/such/redis-server"), "the data directory is accepted: {}", finished.stderr);
}

fn assert_refused(data: &Path, words: &[&str]) {
    let finished = start_on(data).expect(1);
    for word in words {
        assert!(finished.stderr.contains(word), "{word:?} is not in: {}", finished.stderr);
    }
}

fn owner(path: &Path) -> u32 {
    path.symlink_metadata().unwrap_or_else(|error| panic!("{}: {error}", path.display())).uid()
}

/// A data directory of the service's user with one directory `postgres/16` in it.
fn used_data(scratch: &Scratch, user: &User) -> PathBuf {
    let data = scratch.path().join("data");
    fs::create_dir_all(data.join("postgres/16")).unwrap();
    for path in [data.clone(), data.join("postgres"), data.join("postgres/16")] {
        give(&path, user);
    }
    data
}

/// Exchanges two entries of the service's user as fast as the kernel can until it is dropped.
struct Attacker<'a>(&'a AtomicBool);

impl Drop for Attacker<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// `starts` starts while the entries `one` and `other` are exchanged without pause. The exchange needs no right but those of the service's
/// user, who owns the directory around them.
fn attacked(data: &Path, one: &Path, other: &Path, starts: usize) {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).unwrap();
            }
        });
        let _attacker = Attacker(&ended);
        for _ in 0..starts {
            start_on(data).expect(1);
        }
    });
}

/// 50, or the number in `ATTACKED_STARTS`.
fn attacked_starts() -> usize {
    std::env::var("ATTACKED_STARTS").ok().and_then(|text| text.parse().ok()).unwrap_or(50)
}

#[test]
fn a_directory_exchanged_for_a_symbolic_link_gives_nothing_of_root_away() {
    let Some(user) = service_user() else { return };
    let scratch = Scratch::new("race");
    let victim = scratch.path().join("victim");
    fs::create_dir(&victim).unwrap();
    let secrets: Vec<PathBuf> = (0..20).map(|number| victim.join(format!("secret-{number}"))).collect();
    secrets.iter().for_each(|path| fs::write(path, "").unwrap());
    let data = used_data(&scratch, &user);
    let (directory, link) = (data.join("postgres/16"), data.join("postgres/other"));
    for number in 0..20 {
        // The names of the victim's files, so that a path look-up in the exchanged directory finds them.
        let path = directory.join(format!("secret-{number}"));
        fs::write(&path, "").unwrap();
        give(&path, &user);
    }
    symlink(&victim, &link).unwrap();
    give(&link, &user);
    attacked(&data, &directory, &link, attacked_starts());
    for path in secrets.iter().chain([&victim]) {
        assert_eq!(owner(path), 0, "{} was given away", path.display());
    }
}

#[test]
fn a_file_exchanged_for_a_hard_link_gives_nothing_of_root_away() {
    let Some(user) = service_user() else { return };
    let scratch = Scratch::new("race");
    let victim = scratch.file("secret", "");
    let data = used_data(&scratch, &user);
    // A restore by root left the first one; it may be given away, the victim may not.
    let (restored, link) = (data.join("postgres/16/base"), data.join("postgres/16/link"));
    fs::write(&restored, "").unwrap();
    fs::hard_link(&victim, &link).unwrap();
    attacked(&data, &restored, &link, attacked_starts());
    assert_eq!(owner(&victim), 0);
}

#[test]
fn a_data_directory_exchanged_for_a_symbolic_link_gives_nothing_of_root_away() {
    let Some(user) = service_user() else { return };
    let scratch = Scratch::new("race");
    let home = scratch.path().join("home");
    let victim = scratch.path().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::create_dir_all(home.join("data")).unwrap();
    let (data, link) = (home.join("data"), home.join("link"));
    symlink(&victim, &link).unwrap();
    [&home, &data, &link].into_iter().for_each(|path| give(path, &user));
    attacked(&data, &data, &link, attacked_starts());
    assert_eq!(owner(&victim), 0);
    // The message without a race, whichever of the two has the name now.
    fs::remove_file(if data.is_symlink() { &data } else { &link }).unwrap();
    let _ = fs::remove_dir_all(&data);
    symlink(&victim, &data).unwrap();
    give(&data, &user);
    assert_refused(&data, &[&data.display().to_string(), "can change", "--data-dir"]);
    assert_eq!(owner(&victim), 0);
}

#[test]
fn what_root_restored_is_given_to_the_user_and_nothing_else_is() {
    let Some(user) = service_user() else { return };
    let scratch = Scratch::new("restored");
    let data = used_data(&scratch, &user);
    let deep = data.join("postgres/16/base/1");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("2601"), "").unwrap();
    let outside = scratch.file("outside", "");
    symlink(&outside, deep.join("link")).unwrap();
    fs::create_dir_all(data.join("lost+found/inode")).unwrap();
    assert_passes(&data);
    for path in ["postgres/16/base", "postgres/16/base/1", "postgres/16/base/1/2601"] {
        assert_eq!(owner(&data.join(path)), user.uid.as_raw(), "{path}");
    }
    assert_eq!(owner(&outside), 0, "a symbolic link is not followed");
    assert_eq!(owner(&data.join("lost+found/inode")), 0, "it belongs to the file system");
}

#[test]
fn a_file_of_root_with_a_second_name_is_refused_and_named() {
    let Some(user) = service_user() else { return };
    let scratch = Scratch::new("linked");
    let data = used_data(&scratch, &user);
    let victim = scratch.file("secret", "");
    let link = data.join("postgres/16/innocent");
    fs::hard_link(&victim, &link).unwrap();
    assert_refused(&data, &[&link.display().to_string(), "hard links"]);
    assert_eq!(owner(&victim), 0);
    // The user's own files may have several names.
    give(&victim, &user);
    assert_passes(&data);
}

#[test]
fn an_entry_of_a_third_user_is_refused_and_named() {
    let Some(user) = service_user() else { return };
    let scratch = Scratch::new("third");
    let data = used_data(&scratch, &user);
    let file = data.join("postgres/16/file");
    fs::write(&file, "").unwrap();
    chown(&file, Some(12_345), Some(12_345)).unwrap();
    assert_refused(&data, &[&file.display().to_string(), "12345"]);
    assert_eq!(owner(&file), 12_345);
    fs::remove_file(&file).unwrap();
    chown(&data, Some(12_345), Some(12_345)).unwrap();
    assert_refused(&data, &[&data.display().to_string(), "12345"]);
    assert_eq!(owner(&data), 12_345);
}

#[test]
fn a_symbolic_link_of_root_leads_to_the_data_directory() {
    let Some(user) = service_user() else { return };
    let scratch = Scratch::new("link");
    let (real, link) = (scratch.path().join("real"), scratch.path().join("link"));
    fs::create_dir(&real).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o755)).unwrap();
    symlink("real", &link).unwrap();
    let mut appliance = Appliance::builder().data_dir(&link).config("redis: { mode: off }\n").start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    assert_eq!(
        (owner(&real), owner(&link)),
        (user.uid.as_raw(), 0),
        "the directory changes its owner, the link does not"
    );
    assert_eq!(real.metadata().unwrap().mode() & 0o777, 0o700);
    appliance.stop();
    appliance.start_again();
    appliance.get(&format!("{API}/search?id=1")).expect(200);
}

#[test]
fn a_missing_directory_is_made_also_where_the_user_could_exchange_it() {
    let Some(user) = service_user() else { return };
    let scratch = Scratch::new("missing");
    assert_passes(&scratch.path().join("a/b/data"));
    assert_eq!(owner(&scratch.path().join("a/b")), 0, "parents remain root's");
    assert_eq!(owner(&scratch.path().join("a/b/data")), user.uid.as_raw());
    let home = scratch.path().join("home");
    fs::create_dir(&home).unwrap();
    give(&home, &user);
    assert_passes(&home.join("data"));
    assert_eq!(owner(&home.join("data")), user.uid.as_raw());
}
