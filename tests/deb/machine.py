"""A machine to install the package on: a minimal Debian (12; SUITE=trixie: 13), booted by systemd-nspawn in a private network.

The root directories are made once by debootstrap and kept under target/test-deb for each suite: `bare` is without systemd, `base` with it. A
machine is a copy of `base`; it is removed at the end of the run, also after a failure.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import time

from report import StepError

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "target/test-deb"
SUITE = os.environ.get("SUITE") or "bookworm"
BARE, BASE = WORK / f"bare-{SUITE}", WORK / f"base-{SUITE}"
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
}
# For starting or stopping the machine; each command has its own time limit.
BOOT_TIMEOUT = 90
# The file of a root directory that has the list of its additional packages.
LIST = "packages"
# What `bare` has in addition to a minimal Debian. The package depends on adduser, which a minimal Debian 13 does not have, and without a network apt
# cannot fetch it.
BARE_PACKAGES = "adduser"
# What `base` has in addition to `bare`. The README uses sudo.
BASE_PACKAGES = "systemd systemd-sysv dbus curl ca-certificates procps sudo"


class CannotBoot(Exception):
    """This computer cannot boot a machine; the tests cannot run here."""


def call(words, timeout, check=True, **options):
    """Runs a command, with standard output and standard error in one stream; fails the step when it fails or takes too long."""
    try:
        done = subprocess.run(
            words, timeout=timeout, text=True, errors="replace", stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options,
        )
    except subprocess.TimeoutExpired as late:
        raise StepError(f"{' '.join(map(str, words))[-200:]}: not done after {timeout} s: {(late.stdout or b'')[-400:]}") from None
    if check and done.returncode:
        raise StepError(f"{' '.join(map(str, words))[-200:]}: status {done.returncode}: {done.stdout.strip()[-1500:]}")
    return done


def mirror():
    """Returns the address from which apt on this computer downloads Debian."""
    sites = call(["apt-get", "indextargets", "--format", "$(SITE)"], 60).stdout.split()
    if not sites:
        raise CannotBoot("apt has no package source (apt-get update)")
    return sites[0]


def make_roots():
    """Makes the two root directories if they do not exist or lack a package. Each is built under another name and then renamed, so that an incomplete one is never used."""
    WORK.mkdir(parents=True, exist_ok=True)
    aside = WORK / "incomplete"
    if not is_made_with(BARE, BARE_PACKAGES):
        remove(BARE, BASE, aside)
        debootstrap(aside)
        shutil.rmtree(aside / "var/cache/apt/archives", ignore_errors=True)
        (aside / "var/cache/apt/archives/partial").mkdir(parents=True)
        (aside / LIST).write_text(BARE_PACKAGES)
        aside.rename(BARE)
    if not is_made_with(BASE, BASE_PACKAGES):
        remove(BASE, aside)
        call(["cp", "-a", BARE, aside], 300)
        install = f"apt-get update -q && apt-get install -y -q --no-install-recommends {BASE_PACKAGES} && apt-get clean"
        call(["chroot", aside, "sh", "-c", install], 1200, env=ENVIRONMENT)
        shutil.rmtree(aside / "var/lib/apt/lists")
        (aside / "var/lib/apt/lists/partial").mkdir(parents=True)
        # sudo looks its own name up.
        (aside / "etc/hostname").write_text("machine\n")
        (aside / "etc/hosts").write_text("127.0.0.1 localhost machine\n")
        # The machine has no network, so apt must know our own repository only.
        (aside / "etc/apt/sources.list").write_text("")
        (aside / LIST).write_text(BASE_PACKAGES)
        aside.rename(BASE)


def is_made_with(root, packages):
    """Returns whether a root directory exists and has these packages."""
    file = root / LIST
    return file.exists() and file.read_text() == packages


def remove(*roots):
    """Removes root directories, if they exist."""
    for root in roots:
        shutil.rmtree(root, ignore_errors=True)


def debootstrap(root):
    """Downloads a minimal Debian; retries once, because a mirror may fail temporarily."""
    words = ["debootstrap", "--variant=minbase", f"--include={BARE_PACKAGES}", SUITE, root, mirror()]
    try:
        call(words, 1200)
    except StepError as reason:
        print(f"test-deb: retrying debootstrap: {reason}", flush=True)
        shutil.rmtree(root, ignore_errors=True)
        call(words, 1200)


class Machine:
    """A booted copy of `base`; removed at the end of the `with` block."""

    def __init__(self):
        self.name = f"attendance-{os.getpid()}"
        self.root = WORK / self.name
        self.container = None
        self.init = None

    def __enter__(self):
        # Remove the machines of runs that were killed.
        for left in WORK.glob("attendance-*"):
            if left.name.rpartition("-")[2].isdigit() and not pathlib.Path(f"/proc/{left.name.rpartition('-')[2]}").exists():
                shutil.rmtree(left, ignore_errors=True)
        try:
            call(["cp", "-a", BASE, self.root], 300)
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.container and self.container.poll() is None:
            self.container.send_signal(signal.SIGTERM)
            try:
                self.container.wait(BOOT_TIMEOUT)
            except subprocess.TimeoutExpired:
                # The init process has a death signal for the end of its parent, so it ends too.
                self.container.kill()
                self.container.wait(30)
        # No directory of the machine is mounted elsewhere, so it can be deleted.
        shutil.rmtree(self.root, ignore_errors=True)

    def boot(self):
        """Starts the machine and waits until its systemd has started all units."""
        log = open(WORK / "console.log", "w")
        # setpriv: when this script is killed, the machine ends too.
        words = ["setpriv", "--pdeathsig", "KILL", "systemd-nspawn", "-q", "--register=no", "--keep-unit", f"--machine={self.name}"]
        words += ["-D", self.root, "--private-network", "--console=pipe", "-b"]
        self.container = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_until_up(None)

    def wait_until_up(self, before):
        """Waits for an init process other than `before`, and until it has started all units."""
        deadline = time.monotonic() + BOOT_TIMEOUT
        state = "no init"
        while time.monotonic() < deadline:
            if self.container.poll() is not None:
                raise CannotBoot(f"systemd-nspawn ended: {(WORK / 'console.log').read_text().strip()[-600:]}")
            children = pathlib.Path(f"/proc/{self.container.pid}/task/{self.container.pid}/children").read_text().split()
            if children and int(children[0]) != before:
                self.init = int(children[0])
                state = self.run("systemctl is-system-running", check=False, timeout=20).stdout.strip()
                if state in ("running", "degraded"):
                    return
            time.sleep(0.1)
        raise CannotBoot(f"the machine does not start within {BOOT_TIMEOUT} s: {state[-300:]}")

    def reboot(self):
        """Reboots the machine from inside."""
        before = self.init
        self.run("systemctl reboot", check=False)
        # Where /run is on a disk, systemd-nspawn ends instead of rebooting; then the machine is booted here.
        deadline = time.monotonic() + BOOT_TIMEOUT
        while self.container.poll() is None and pathlib.Path(f"/proc/{before}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1)
        try:
            if self.container.poll() is not None:
                self.boot()
            else:
                self.wait_until_up(before)
        except CannotBoot as reason:
            raise StepError(f"it booted once, but not again: {reason}") from None

    def run(self, script, timeout=60, check=True):
        """Runs a shell script inside the machine."""
        return call(["nsenter", "-t", str(self.init), "-a", "sh", "-c", script], timeout, check, env=ENVIRONMENT)

    def out(self, script, timeout=60):
        """Runs a script that must succeed, and returns its output without the last line end."""
        return self.run(script, timeout).stdout.rstrip("\n")

    def network(self, words, **options):
        """Starts a program of this computer in the network of the machine."""
        words = ["setpriv", "--pdeathsig", "KILL", "nsenter", "-t", str(self.init), "-n", *map(str, words)]
        return subprocess.Popen(words, text=True, stdin=subprocess.DEVNULL, **options)

    def path(self, inside):
        """Converts a path inside the machine to a path of this computer."""
        return self.root / inside.lstrip("/")
