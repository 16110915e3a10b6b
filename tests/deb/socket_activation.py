"""Socket activation under load, and a reboot."""

import re
import subprocess
import time

from report import expect, step
from service import API, UNIT, create, has, healthy, main_pid, serving_again, show


def wrk_failures(text):
    """Returns the failures that wrk reports, and the number of its requests."""
    failures = re.findall(r"(Socket errors:.*|Non-2xx.*)", text)
    requests = re.search(r"(\d+) requests in", text)
    return failures, int(requests[1]) if requests else 0


@step("with the socket enabled, restarts under load fail no request")
def socket_restart(machine):
    machine.run(f"systemctl stop {UNIT} && systemctl enable --now attendance-api.socket && systemctl start {UNIT}", 120)
    expect(show(machine, "ActiveState", "attendance-api.socket") == "active" and healthy(machine))
    # By default wrk gives up after 2 s; socket activation is for clients that wait.
    words = ["wrk", "-t2", "-c32", "-d12s", "--timeout", "10s", f"{API}/search?id=first"]
    load = machine.network(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        pids = {main_pid(machine)}
        for _ in range(3):
            time.sleep(2)
            machine.run(f"systemctl restart {UNIT}", 120)
            pids.add(main_pid(machine))
        text, _ = load.communicate(timeout=60)
    finally:
        load.kill()
    failures, requests = wrk_failures(text)
    expect(len(pids) == 4, "restarts seen:", len(pids) - 1)
    expect(requests > 0 and not failures, "wrk says:", text)
    return f"3 restarts, {requests} requests, none failed"


@step("with the socket enabled, the first connection starts the service")
def socket_starts(machine):
    machine.run(f"systemctl stop {UNIT}", 120)
    # The socket unit is still active after the service was stopped.
    return serving_again(machine, 30)


@step("with the socket on another port, healthcheck asks that port, also as a user who cannot read the configuration")
def other_port(machine):
    override = "/run/systemd/system/attendance-api.socket.d"
    machine.run(f"mkdir -p {override} && printf '[Socket]\nListenStream=\nListenStream=127.0.0.1:9090\n' > {override}/port.conf")
    restart = f"systemctl daemon-reload; systemctl stop {UNIT} attendance-api.socket; systemctl start attendance-api.socket {UNIT}"
    try:
        machine.run(restart, 120)
        for user in ("root", "nobody"):
            found = machine.run(f"setpriv --reuid {user} --clear-groups attendance-api healthcheck", check=False)
            expect(found.returncode == 0, user, found.stdout, found.stderr)
        output = machine.run("apt-get -y --reinstall install attendance-api", 300).stdout
        expect("http://127.0.0.1:9090/api/v1/attendance/health" in output, output[-600:])
    finally:
        machine.run(f"rm -r {override}; {restart}", 120)
    expect(healthy(machine))


@step("after a reboot, service and socket are enabled and the records are there")
def reboot(machine):
    create(machine, "before-reboot")
    machine.reboot()
    note = serving_again(machine, 60)
    expect(show(machine, "ActiveState", "attendance-api.socket") == "active", "the socket is not enabled")
    expect(has(machine, "before-reboot") and has(machine, "first"))
    return note


@step("with the socket disabled again, the service itself listens, also after a reboot")
def socket_disabled(machine):
    machine.run(f"systemctl disable --now attendance-api.socket && systemctl restart {UNIT}", 120)
    expect(healthy(machine) and has(machine, "first"))
    machine.reboot()
    note = serving_again(machine, 60)
    expect(show(machine, "ActiveState", "attendance-api.socket") == "inactive", "the socket is enabled")
    return note
