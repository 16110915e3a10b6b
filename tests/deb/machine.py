"""A machine to install the package on: a minimal Debian 12 booted by systemd-nspawn, with a network of its own.

The roots are made once by debootstrap and kept under target/test-deb: `bare` has no systemd, `base` has. A machine is a copy of one of
them, and is gone at the end of the run, however that ends.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import time

from report import Failed

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "target/test-deb"
SUITE = "bookworm"
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
}
# Starting or stopping the machine may take this long; each command has a bound of its own.
BOOT_SECONDS = 90


class CannotBoot(Exception):
    """This computer cannot run such a machine."""


def call(words, timeout, check=True, **options):
    """Runs a command; its standard output and error come together."""
    try:
        done = subprocess.run(
            words, timeout=timeout, text=True, errors="replace", stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options,
        )
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{' '.join(map(str, words))[-200:]}: not done after {timeout} s: {(late.stdout or b'')[-400:]}") from None
    if check and done.returncode:
        raise Failed(f"{' '.join(map(str, words))[-200:]}: status {done.returncode}: {done.stdout.strip()[-1500:]}")
    return done


def mirror():
    """Where this computer's apt gets Debian from."""
    sites = call(["apt-get", "indextargets", "--format", "$(SITE)"], 60).stdout.split()
    if not sites:
        raise CannotBoot("apt has no package source (apt-get update)")
    return sites[0]


def make_roots():
    """Makes the two roots if they are not there. Each is made aside and renamed, so that a half-made one is never used."""
    WORK.mkdir(parents=True, exist_ok=True)
    bare, base = WORK / "bare", WORK / "base"
    aside = WORK / "making"
    if not bare.exists():
        shutil.rmtree(aside, ignore_errors=True)
        debootstrap(aside)
        shutil.rmtree(aside / "var/cache/apt/archives", ignore_errors=True)
        (aside / "var/cache/apt/archives/partial").mkdir(parents=True)
        aside.rename(bare)
    if not base.exists():
        shutil.rmtree(aside, ignore_errors=True)
        call(["cp", "-a", bare, aside], 300)
        packages = "systemd systemd-sysv dbus curl ca-certificates procps"
        install = f"apt-get update -q && apt-get install -y -q --no-install-recommends {packages} && apt-get clean"
        call(["chroot", aside, "sh", "-c", install], 1200, env=ENVIRONMENT)
        shutil.rmtree(aside / "var/lib/apt/lists")
        (aside / "var/lib/apt/lists/partial").mkdir(parents=True)
        (aside / "etc/hosts").write_text("127.0.0.1 localhost\n")
        # No network inside: apt is to know our own repository alone.
        (aside / "etc/apt/sources.list").write_text("")
        aside.rename(base)


def debootstrap(root):
    """Fetches a minimal Debian; a mirror that did not answer is asked once more."""
    words = ["debootstrap", "--variant=minbase", SUITE, root, mirror()]
    try:
        call(words, 1200)
    except Failed as reason:
        print(f"test-deb: once more: {reason}", flush=True)
        shutil.rmtree(root, ignore_errors=True)
        call(words, 1200)


class Machine:
    """A booted copy of `base`; `with` removes it."""

    def __init__(self):
        self.name = f"attendance-{os.getpid()}"
        self.root = WORK / self.name
        self.container = None
        self.init = None

    def __enter__(self):
        # What a run that was killed left behind.
        for left in WORK.glob("attendance-*"):
            if left.name.rpartition("-")[2].isdigit() and not pathlib.Path(f"/proc/{left.name.rpartition('-')[2]}").exists():
                shutil.rmtree(left, ignore_errors=True)
        try:
            call(["cp", "-a", WORK / "base", self.root], 300)
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.container and self.container.poll() is None:
            self.container.send_signal(signal.SIGTERM)
            try:
                self.container.wait(BOOT_SECONDS)
            except subprocess.TimeoutExpired:
                # Its init has it as its parent and a death signal, so it goes with it.
                self.container.kill()
                self.container.wait(30)
        # Nothing of the machine is mounted outside of it.
        shutil.rmtree(self.root, ignore_errors=True)

    def boot(self):
        """Starts it and waits until its systemd has started everything."""
        log = open(WORK / "console.log", "w")
        # setpriv: should this script be killed, the machine goes too.
        words = ["setpriv", "--pdeathsig", "KILL", "systemd-nspawn", "-q", "--register=no", "--keep-unit", f"--machine={self.name}"]
        words += ["-D", self.root, "--private-network", "--console=pipe", "-b"]
        self.container = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_until_up(None)

    def wait_until_up(self, before):
        """Waits for an init other than `before`, and for its start to be complete."""
        deadline = time.monotonic() + BOOT_SECONDS
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
        raise CannotBoot(f"the machine does not come up in {BOOT_SECONDS} s: {state[-300:]}")

    def reboot(self):
        """Reboots it from inside."""
        before = self.init
        self.run("systemctl reboot", check=False)
        # Where /run is on a disk, systemd-nspawn ends instead of starting the machine again: then this does it.
        deadline = time.monotonic() + BOOT_SECONDS
        while self.container.poll() is None and pathlib.Path(f"/proc/{before}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1)
        try:
            if self.container.poll() is not None:
                self.boot()
            else:
                self.wait_until_up(before)
        except CannotBoot as reason:
            raise Failed(f"it booted once, but not again: {reason}") from None

    def run(self, script, timeout=60, check=True):
        """Runs a shell script inside."""
        return call(["nsenter", "-t", str(self.init), "-a", "sh", "-c", script], timeout, check, env=ENVIRONMENT)

    def out(self, script, timeout=60):
        """What a script that succeeds prints, without the last line end."""
        return self.run(script, timeout).stdout.rstrip("\n")

    def network(self, words, **options):
        """Starts a program of this computer in the machine's network."""
        words = ["setpriv", "--pdeathsig", "KILL", "nsenter", "-t", str(self.init), "-n", *map(str, words)]
        return subprocess.Popen(words, text=True, stdin=subprocess.DEVNULL, **options)

    def path(self, inside):
        """A path inside, as seen from here."""
        return self.root / inside.lstrip("/")
