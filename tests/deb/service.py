"""The service inside the machine, as administrators and clients see it."""

import json
import re

from report import StepError, expect, wait_until

UNIT = "attendance-api.service"
STATE = "/var/lib/attendance-api"
CONFIG = "/etc/attendance-api/config.yaml"
API = "http://localhost:8080/api/v1/attendance"


def show(machine, name, unit=UNIT):
    """Returns a property of the unit."""
    return machine.out(f"systemctl show --value -p {name} {unit}")


def main_pid(machine):
    """Returns the appliance's process id inside the machine."""
    pid = int(show(machine, "MainPID"))
    expect(pid > 0, "the service does not run:", machine.run(f"systemctl status --no-pager {UNIT}", check=False).stdout[-800:])
    return pid


def answer(machine, path, options="", seconds=10):
    """Sends a request with curl; returns status and body."""
    text = machine.run(f"curl -s -m {seconds} -w '\\n%{{http_code}}' {options} '{API}{path}'", check=False, timeout=seconds + 20).stdout
    body, _, status = text.rpartition("\n")
    return int(status or 0), body


def readiness(machine):
    """Returns the status of the readiness probe."""
    return machine.run("curl -s -m 5 -o /dev/null -w '%{http_code}' http://localhost:8080/readyz", check=False).stdout


def healthy(machine):
    """Returns whether the health endpoint answers 200."""
    return answer(machine, "/health", seconds=2)[0] == 200


def create(machine, identity, date="2026-11-26"):
    """Creates a record through the API."""
    body = json.dumps({"id": identity, "name": "Asha Rao", "status": "Present", "date": date})
    status, text = answer(machine, "/create", f"-H 'Content-Type: application/json' -d '{body}'")
    expect(status == 200, "create answers", status, text)


def has(machine, identity):
    """Returns whether a search finds the record."""
    status, text = answer(machine, f"/search?id={identity}")
    if status == 404:
        return False
    expect(status == 200, "search answers", status, text)
    return json.loads(text)["id"] == identity


def all_ids(machine):
    """Returns every id that search/all lists."""
    status, text = answer(machine, "/search/all", seconds=60)
    expect(status == 200, "search/all answers", status, text[:300])
    return {record["id"] for record in json.loads(text)}


def postmaster(machine):
    """Returns the process id of PostgreSQL inside the machine."""
    return int(machine.out(f"head -1 {STATE}/postgres/*/postmaster.pid"))


def is_other_postmaster(machine, before):
    """Returns whether a PostgreSQL with another process id runs."""
    found = machine.run(f"head -1 {STATE}/postgres/*/postmaster.pid", check=False).stdout.strip()
    return found.isdigit() and int(found) != before


def serving_again(machine, seconds, probe=healthy):
    """Waits until the service is healthy; returns the seconds as a note."""
    return f"after {wait_until(seconds, 'healthy again', lambda: probe(machine)):.2f} s"


def psql(machine, sql):
    """Runs SQL in the managed database, as the user of the service."""
    program = machine.out(f"ls -d {STATE}/dist/*/*/pginstall/bin/psql").split()[-1]
    # Line 5 of the pid file is the directory of the socket.
    directory = machine.out(f"sed -n 5p {STATE}/postgres/*/postmaster.pid")
    login = f"PGPASSWORD=$(cat {STATE}/postgres/password) {program} -XqAt -v ON_ERROR_STOP=1 -h {directory} -U postgres attendance_db"
    return machine.out(f'setpriv --reuid=attendance-api --regid=attendance-api --init-groups sh -c \'{login} -c "{sql}"\'')


def installed(machine):
    """Returns the status and the version that dpkg has for the package."""
    text = machine.run("dpkg-query -W -f '${db:Status-Abbrev}|${Version}' attendance-api 2>/dev/null", check=False).stdout
    status, _, version = text.partition("|")
    return status.strip(), version.strip()


def apt(machine, words, timeout=180, check=True):
    """Runs apt-get without questions."""
    return machine.run(f"apt-get -y {words} </dev/null", timeout, check).stdout


def exposure(machine):
    """Returns the exposure level of systemd-analyze security, and its whole output."""
    text = machine.out(f"systemd-analyze security --no-pager {UNIT}")
    match = re.search(r"Overall exposure level for \S+: ([0-9.]+)", text)
    if not match:
        raise StepError(f"systemd-analyze says {text[-300:]}")
    return float(match[1]), text
