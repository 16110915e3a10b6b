"""A port in use, a policy against starting services, a mounted state directory, a system without systemd."""

import shutil
from subprocess import DEVNULL

import packages
from machine import BARE, ENVIRONMENT, WORK, call
from removal import PURGE_DATA, expect_stopped
from report import expect, step, wait_until
from service import CONFIG, STATE, UNIT, apt, create, has, healthy, show


@step("a port in use does not break apt; systemctl status has the reason; the service starts when the port is free")
def port_in_use(machine):
    apt(machine, "remove attendance-api")
    other = machine.network(["python3", "-W", "ignore", "-m", "http.server", "--bind", "0.0.0.0", "--directory", "/usr/share/doc", "8080"], stdout=DEVNULL, stderr=DEVNULL)
    try:
        wait_until(10, "the other server", lambda: machine.run("curl -s -o /dev/null http://localhost:8080/", check=False).returncode == 0)
        output = apt(machine, "install attendance-api")
        expect("does not run: cannot listen on 0.0.0.0:8080" in output, "apt says", output[-500:])
        expect(" line " not in output, "apt shows a message of Perl:", output[-500:])

        def status():
            return machine.run(f"systemctl status --no-pager {UNIT}", check=False).stdout

        expect(show(machine, "ActiveState") == "failed" and show(machine, "NRestarts") == "0", "systemd keeps restarting it")
        expect(show(machine, "ExecMainStatus") == "69" and "Address already in use" in status(), "systemctl status says", status()[-900:])
        machine.run("dpkg --audit && ! dpkg -l attendance-api | grep -v '^ii' | grep ' attendance-api '")
    finally:
        other.kill()
        other.wait(10)
    machine.run(f"systemctl reset-failed {UNIT}; systemctl restart {UNIT}", 120)
    expect(healthy(machine) and has(machine, "old"))


@step("policy-rc.d is respected: the service is installed and enabled, but not started")
def policy(machine):
    apt(machine, "remove attendance-api")
    file = machine.path("/usr/sbin/policy-rc.d")
    file.write_text("#!/bin/sh\nexit 101\n")
    file.chmod(0o755)
    try:
        output = apt(machine, "install attendance-api")
        expect("not started, because /usr/sbin/policy-rc.d forbids it" in output, "apt says", output[-500:])
        expect_stopped(machine)
        expect(machine.out(f"systemctl is-enabled {UNIT}") == "enabled")
    finally:
        file.unlink()
    machine.run(f"systemctl start {UNIT}", 120)
    expect(healthy(machine))


@step("a mounted state directory is made private, used, and emptied by a purge that deletes the data")
def mounted(machine):
    machine.run(f"echo '{PURGE_DATA} true' | debconf-set-selections")
    apt(machine, "purge attendance-api")
    # The backups that upgrades have made.
    machine.run(f"rm -rf {STATE}")
    machine.run(f"mkdir -p {STATE} && mount -t tmpfs -o size=1g,mode=755 tmpfs {STATE} && mkdir {STATE}/lost+found")
    try:
        apt(machine, "install attendance-api")
        expect(healthy(machine), "not healthy:", machine.run(f"systemctl status --no-pager {UNIT}", check=False).stdout[-900:])
        create(machine, "mounted")
        expect(machine.out(f"stat -c %U:%a {STATE}") == "attendance-api:700")
        apt(machine, "remove attendance-api")
        apt(machine, "install attendance-api")
        expect(has(machine, "mounted"))
        machine.run(f"echo '{PURGE_DATA} true' | debconf-set-selections")
        apt(machine, "purge attendance-api")
        expect(machine.out(f"ls -A {STATE}") == "lost+found", "left:", machine.out(f"ls -A {STATE}"))
        machine.run(f"mountpoint -q {STATE}")
    finally:
        machine.run(f"umount {STATE}", check=False)
    machine.run(f"rmdir {STATE}")


@step("in a chroot without systemd the package can be installed and purged, and the service is enabled")
def chroot(_):
    root = WORK / "chroot"
    shutil.rmtree(root, ignore_errors=True)
    try:
        call(["cp", "-a", BARE, root], 300)
        expect(not (root / "lib/systemd/systemd").exists(), "it has systemd")
        shutil.copy(packages.PACKAGES / packages.NAME.format(packages.VERSION), root / "package.deb")
        (root / "etc/apt/sources.list").write_text("")

        def inside(words, check=True):
            return call(["chroot", root, "sh", "-c", words], 300, check, env=ENVIRONMENT).stdout

        output = inside("apt-get -y install --no-install-recommends /package.deb </dev/null")
        expect("not started" in output and CONFIG in output, "apt says", output[-500:])
        expect("rror" not in output.replace("error_", ""), "apt says", output[-800:])
        expect((root / "etc/systemd/system/multi-user.target.wants/attendance-api.service").is_symlink(), "not enabled")
        inside(f"attendance-api version && attendance-api config check --config {CONFIG}")
        expect(inside(f"stat -c %U:%G:%a {CONFIG}").strip() == "root:attendance-api:640")
        inside("dpkg-reconfigure attendance-api && apt-get -y remove attendance-api </dev/null && apt-get -y purge attendance-api </dev/null")
        expect(not (root / "etc/attendance-api").exists() and not (root / STATE.lstrip("/")).exists())
        expect(not (root / "etc/systemd/system/multi-user.target.wants/attendance-api.service").is_symlink(), "the link still exists")
    finally:
        shutil.rmtree(root, ignore_errors=True)
