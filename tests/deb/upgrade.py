"""Upgrades from an older package, and upgrades and downgrades that must be refused."""

import json
import signal
import subprocess
import time

import packages
from machine import WORK
from report import expect, step
from service import (
    CONFIG, STATE, UNIT, all_ids, answer, apt, create, has, healthy, installed, main_pid, psql, show,
)

LOAD = packages.ROOT / "tests/deb/load.py"
COPY = "/var/lib/attendance-api.copy"


@step("an older package is installed, configured and filled")
def install_older(machine):
    apt(machine, "purge attendance-api")
    machine.run(f"rm -rf {STATE}")
    apt(machine, f"install {packages.path(packages.OLDER)}")
    expect(installed(machine) == ("ii", packages.OLDER) and healthy(machine))
    file = machine.path(CONFIG)
    file.write_text(file.read_text().replace("#max_body: 1MiB", "max_body: 2MiB"))
    machine.run(f"systemctl restart {UNIT}")
    create(machine, "old")


@step("a version whose PostgreSQL cannot use the database is refused, and nothing is changed")
def other_major(machine):
    before = main_pid(machine)
    status = machine.run(f"apt-get -y install {packages.path(packages.OTHER_MAJOR)} </dev/null", 120, check=False)
    expect(status.returncode and "was made by PostgreSQL 16" in status.stdout, "apt says", status.stdout[-800:])
    expect(installed(machine) == ("ii", packages.OLDER), installed(machine))
    expect(main_pid(machine) == before and healthy(machine) and has(machine, "old"), "it was restarted")


@step("an upgrade whose backup fails is refused, and nothing is changed")
def failing_backup(machine):
    before = main_pid(machine)
    machine.run("attendance-api backup create")
    # A backup of a later time than the clock.
    later = f"{STATE}/backups/attendance-api-2999-01-01T000000Z.tar"
    machine.run(f"touch {later}")
    status = machine.run(f"apt-get -y install {packages.path(packages.VERSION)} </dev/null", 120, check=False)
    expect(status.returncode and "was the clock set back?" in status.stdout, "apt says", status.stdout[-800:])
    expect(installed(machine) == ("ii", packages.OLDER), installed(machine))
    expect(main_pid(machine) == before and healthy(machine) and has(machine, "old"), "it was restarted")
    machine.run(f"rm {later}")


@step("upgrade under load: restarted, the edited configuration kept, no acknowledged record lost")
def upgrade(machine):
    before = main_pid(machine)
    acknowledged = WORK / "acknowledged"
    load = machine.network(["python3", LOAD, 8080, "load", 8, acknowledged], stdout=subprocess.PIPE)
    try:
        time.sleep(2)
        output = apt(machine, "install attendance-api")
        time.sleep(2)
        expect(load.poll() is None, "the load generator ended by itself")
    finally:
        # setpriv and nsenter replaced themselves with the program, so the signal reaches it.
        load.send_signal(signal.SIGTERM)
        text, _ = load.communicate(timeout=60)
    counts = json.loads(text)
    expect(installed(machine) == ("ii", packages.VERSION) and healthy(machine), output[-500:])
    expect("the database was backed up before the upgrade: /var/lib/attendance-api/backups/" in output, output[-800:])
    listed = json.loads(machine.out("attendance-api backup list --json"))["backups"]
    expect(listed[-1]["label"] == "before-upgrade" and listed[-1]["records"] > 0, listed)
    machine.run(f"attendance-api backup verify {listed[-1]['file']}", 120)
    expect(main_pid(machine) != before, "it was not restarted")
    expect("\n  max_body: 2MiB" in machine.path(CONFIG).read_text(), "the edit is lost")
    expect(not list(machine.path("/etc/attendance-api").glob("*.dpkg-*")), "dpkg left a second configuration")
    expect("2MiB" in machine.out(f"attendance-api config show --config {CONFIG} | grep max_body"))
    wanted = set(acknowledged.read_text().split())
    lost = wanted - all_ids(machine)
    expect(len(wanted) == counts["acknowledged"] > 100 and not counts["other"], counts)
    expect(not lost and has(machine, "old"), len(lost), "lost:", sorted(lost)[:5])
    return f"{len(wanted)} acknowledged, {counts['unanswered']} attempts without an answer, none lost"


@step("a downgrade below the database's version is refused with an explanation and without a crash loop, and harms nothing")
def downgrade(machine):
    machine.run(f"systemctl stop {UNIT} && cp -a {STATE} {COPY} && systemctl start {UNIT}", 120)
    # A newer version would leave a migration that this one does not know.
    columns = "version, name, applied_on, checksum"
    psql(machine, f"INSERT INTO attendance_api.refinery_schema_history ({columns}) SELECT 99, name, applied_on, checksum FROM attendance_api.refinery_schema_history LIMIT 1")
    apt(machine, f"--allow-downgrades install {packages.path(packages.OLDER)}")
    expect(installed(machine) == ("ii", packages.OLDER), installed(machine))
    time.sleep(5)
    status = machine.run(f"systemctl status --no-pager -n 30 {UNIT}", check=False).stdout
    expect(show(machine, "ActiveState") == "failed" and int(show(machine, "NRestarts")) <= 1, "it is", status[-900:])
    expect("newer" in status, "systemctl status says", status[-900:])
    # After an upgrade with the original database, everything works again.
    machine.run(f"rm -rf {STATE} && mv {COPY} {STATE}")
    apt(machine, "install attendance-api")
    expect(healthy(machine) and has(machine, "old"))
    return next(line.strip() for line in status.split("\n") if "newer" in line)[-160:]


@step("a service that was disabled and stopped stays disabled and stopped across an upgrade")
def disabled(machine):
    machine.run(f"systemctl disable --now {UNIT}", 120)
    apt(machine, "install --reinstall attendance-api")
    expect(machine.run(f"systemctl is-enabled {UNIT}", check=False).stdout.strip() == "disabled" and not healthy(machine))
    machine.run(f"systemctl enable --now {UNIT}", 120)
    expect(healthy(machine) and answer(machine, "/search?id=old")[0] == 200)
