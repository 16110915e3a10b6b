//! Small file systems for tests of a full disk. They need root.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Scratch;

/// A mounted file system; unmounted when dropped.
pub(crate) struct Mount {
    point: PathBuf,
    image: Option<Scratch>,
}

impl Mount {
    /// Mounts a file system in memory at `point`, a directory. `options` has its size (`size=200m`) or the number of its files (`nr_inodes=`).
    pub(crate) fn memory(point: &Path, options: &str) -> Self {
        mount(&["-t", "tmpfs", "-o", options, "tmpfs"], point);
        Self { point: point.to_owned(), image: None }
    }

    /// Mounts an ext4 of `mib` MiB at `point`, which becomes read-only after an error.
    pub(crate) fn ext4(point: &Path, mib: u64) -> Self {
        let image = Scratch::new("image");
        let path = image.path().join("ext4");
        File::create(&path).and_then(|file| file.set_len(mib << 20)).expect("a sparse file can be made");
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&path), "install e2fsprogs");
        mount(&["-o", "loop,errors=remount-ro", &path.display().to_string()], point);
        Self { point: point.to_owned(), image: Some(image) }
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.point
    }

    /// Uses up all space, with one file.
    pub(crate) fn fill(&self) -> Filler {
        let path = self.point.join("filler");
        let mut file = File::create(&path).expect("a file can be made");
        for size in [1 << 20, 4096, 1] {
            let block = vec![b'x'; size];
            while file.write_all(&block).is_ok() {}
        }
        Filler(vec![path])
    }

    /// Makes files until no further one can be made.
    pub(crate) fn use_up_inodes(&self) -> Filler {
        let paths = (0..).map(|number| self.point.join(format!("filler-{number}")));
        Filler(paths.take_while(|path| File::create(path).is_ok()).collect())
    }

    /// Makes the ext4 read-only, as an error of its device does.
    pub(crate) fn break_ext4(&self) {
        let mounts = fs::read_to_string("/proc/mounts").expect("there is a /proc");
        let point = self.point.display().to_string();
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == Some(&point)).expect("it is mounted");
        let device = line.split(' ').next().and_then(|device| device.strip_prefix("/dev/")).expect("a device");
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "a test").expect("ext4 can be told to fail");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a process of a failed test may still use it.
        let _ = Command::new("umount").arg("-l").arg(&self.point).status();
        drop(self.image.take());
    }
}

/// Files that fill a file system; removed when dropped.
pub(crate) struct Filler(Vec<PathBuf>);

impl Drop for Filler {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

fn mount(arguments: &[&str], point: &Path) {
    run(Command::new("mount").args(arguments).arg(point), "this test mounts a file system: run it as root");
    fs::set_permissions(point, fs::Permissions::from_mode(0o777)).expect("it belongs to root");
}

fn run(command: &mut Command, remedy: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{remedy}: {command:?}: {error}"));
    assert!(output.status.success(), "{remedy}: {command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
