"""Installation, restart, crash, hanging processes, reload, journal."""

import json
import re
import time

import packages
from report import expect, step, wait_until
from service import (
    API, CONFIG, STATE, UNIT, all_ids, answer, apt, create, exposure, has, healthy, installed, is_other_postmaster, main_pid, postmaster, readiness,
    serving_again, show,
)

# Without access control, each start on an address that others reach logs this warning. The configuration is its reason and not an event, so its priority is `notice`.
OPEN_ACCESS = "every client that reaches this address may read and change all records"

# The paths that exist after installation and start, each with its owner, group and permissions.
EXPECTED = [
    ("/usr/bin/attendance-api", "root:root:755"),
    ("/usr/lib/systemd/system/attendance-api.service", "root:root:644"),
    ("/usr/lib/systemd/system/attendance-api.socket", "root:root:644"),
    ("/etc/attendance-api", "root:root:755"),
    (CONFIG, "root:attendance-api:640"),
    ("/usr/share/bash-completion/completions/attendance-api", "root:root:644"),
    ("/usr/share/zsh/vendor-completions/_attendance-api", "root:root:644"),
    ("/usr/share/fish/vendor_completions.d/attendance-api.fish", "root:root:644"),
    ("/usr/share/attendance-api/prometheus/prometheus.yml", "root:root:644"),
    ("/usr/share/attendance-api/prometheus/alerts.yml", "root:root:644"),
    ("/usr/share/attendance-api/grafana/attendance-api.json", "root:root:644"),
    ("/usr/share/attendance-api/cloudwatch/agent-journald.json", "root:root:644"),
    ("/usr/share/attendance-api/cloudwatch/agent-syslog.json", "root:root:644"),
    ("/usr/share/attendance-api/cloudwatch/prometheus.yml", "root:root:644"),
    ("/usr/share/attendance-api/postman/attendance-api.postman_collection.json", "root:root:644"),
    ("/usr/share/attendance-api/nginx/attendance-api.conf", "root:root:644"),
    ("/usr/share/attendance-api/haproxy/attendance-api.cfg", "root:root:644"),
    ("/usr/share/doc/attendance-api/copyright", "root:root:644"),
    ("/usr/share/doc/attendance-api/changelog.gz", "root:root:644"),
    ("/usr/share/doc/attendance-api/README.md.gz", "root:root:644"),
    ("/usr/share/doc/attendance-api/LICENSE", "root:root:644"),
    ("/usr/share/doc/attendance-api/examples/config.yaml", "root:root:644"),
    (STATE, "attendance-api:attendance-api:700"),
    (f"{STATE}/postgres", "attendance-api:attendance-api:700"),
    (f"{STATE}/dist", "attendance-api:attendance-api:7.."),
    ("/run/attendance-api", "attendance-api:attendance-api:7.."),
]


@step("apt installs the package from the signed file: repository, and prints its address and its configuration file")
def install(machine):
    packages.add_source(machine, "file:/srv/apt")
    output = apt(machine, "install attendance-api")
    # First of all: when apt has returned, the service must already answer.
    expect(healthy(machine), "not healthy when apt returns:", output[-600:])
    expect(f"{API}/health" in output and CONFIG in output, "apt says", output[-600:])
    expect(installed(machine) == ("ii", packages.VERSION), installed(machine))
    expect("WARNING" not in output and "warning" not in output, "apt says", output[-600:])


@step("the service is enabled and running, and reports its status to systemd")
def running(machine):
    expect(machine.out(f"systemctl is-enabled {UNIT}; systemctl is-active {UNIT}") == "enabled\nactive")
    expect(machine.run("systemctl is-enabled attendance-api.socket", check=False).stdout.strip() == "disabled")
    expect(show(machine, "Type") == "notify" and show(machine, "NRestarts") == "0")
    status = show(machine, "StatusText")
    expect(status, "StatusText is empty")
    return status


@step("a record is created and found")
def create_and_search(machine):
    create(machine, "first")
    expect(has(machine, "first") and "first" in all_ids(machine))


@step("every installed path exists with its owner and permissions")
def paths(machine):
    for path, expected in EXPECTED:
        found = machine.out(f"stat -c %U:%G:%a {path}")
        expect(re.fullmatch(expected, found), path, "is", found, "and not", expected)
    listed = machine.out("dpkg -L attendance-api").split("\n")
    for path in listed:
        expect(path == "/." or machine.path(path).exists(), path, "is missing")
        expect(machine.path(path).is_dir() or machine.path(path).stat().st_size > 0, path, "is empty")
    # Reports files that differ from the package; permissions, which postinst changes for the configuration, do not count.
    expect(machine.out("dpkg --verify attendance-api") == "", "dpkg --verify finds", machine.out("dpkg --verify attendance-api"))
    expect(machine.out("dpkg-query -W -f '${Conffiles}' attendance-api") == "", "dpkg would ask about changes of a conffile")
    machine.run("bash -n /usr/share/bash-completion/completions/attendance-api")
    manuals = [path for path in listed if path.startswith("/usr/share/man/man") and path.endswith(".gz")]
    expect(any(path.endswith("/attendance-api.1.gz") or path.endswith("/attendance-api.8.gz") for path in manuals), "man pages", manuals)
    expect(any(path.endswith(".5.gz") for path in manuals), "no page about the configuration file:", manuals)
    machine.run(f"gzip -t {' '.join(manuals)}")
    user = machine.out("getent passwd attendance-api").split(":")
    expect(int(user[2]) < 1000 and user[6].endswith("nologin"), "the user is", user)
    return f"{len(listed)} paths"


@step("the installed configuration sets nothing; the template in /usr/share/doc has every key, commented out")
def configuration(machine):
    expect(all(line.startswith("#") for line in machine.path(CONFIG).read_text().split("\n") if line), "a key is set")
    machine.run(f"attendance-api config check --config {CONFIG}")
    shown = machine.out(f"attendance-api config show --config {CONFIG}")
    expect("# from default" in shown and "config.yaml" not in shown, "config show:", shown[:400])
    template = "/usr/share/doc/attendance-api/examples/config.yaml"
    machine.run(f"attendance-api config template | cmp - {template}")
    # A key that is commented out has no space after "#"; a section is not commented out.
    lines = [line for line in machine.path(template).read_text().split("\n") if line and not line.lstrip().startswith("# ")]
    set_keys = [line for line in lines if re.match(r"\s*[a-z_]+:\s*\S", line)]
    expect(not set_keys, "keys are set:", set_keys)
    keys = [line for line in lines if re.match(r"\s*#[a-z_]+:", line)]
    return f"{len(keys)} keys"


@step("nothing runs as root")
def unprivileged(machine):
    found = machine.out("ps -eo user:20,args | grep -E '[a]ttendance-api|[p]ostgres'").split("\n")
    expect(len(found) > 3, found)
    for line in found:
        expect(line.startswith("attendance-api "), "runs as another user:", line)
    return f"{len(found)} processes"


@step("systemd-analyze security gives at most 1.5")
def security(machine):
    figure, text = exposure(machine)
    expect(figure <= 1.5, figure, text)
    return figure


@step("restart keeps the records")
def restart(machine):
    before = main_pid(machine)
    machine.run(f"systemctl restart {UNIT}")
    expect(healthy(machine), "not healthy when systemctl returns")
    expect(main_pid(machine) != before and has(machine, "first"))


@step("ten restarts, a reload, a migration and a restart of PostgreSQL leave nothing at warning or above in the journal")
def quiet_journal(machine):
    since = machine.out("date '+%Y-%m-%d %H:%M:%S'")
    time.sleep(1)
    for _ in range(10):
        # Otherwise the limit of starts (StartLimitBurst=) would be reached.
        machine.run(f"systemctl reset-failed {UNIT}; systemctl restart {UNIT}", 120)
    machine.run(f"systemctl reload {UNIT}")
    machine.run(f"setpriv --reuid attendance-api --regid attendance-api --clear-groups attendance-api migrate status --data-dir {STATE}", 120)
    server = postmaster(machine)
    machine.run(f"kill -INT {server}")
    serving_again(machine, 30, lambda machine: is_other_postmaster(machine, server) and healthy(machine))
    journal = lambda selection: machine.out(f"journalctl -u {UNIT} {selection} --since '{since}' -o cat --quiet").splitlines()
    warnings = [line for line in journal("-p warning") if line]
    expect(not warnings, "the journal has", len(warnings), "warnings:", warnings[:5])
    starts = sum('"listening"' in line for line in journal(""))
    notices = sum(OPEN_ACCESS in line for line in journal("-p notice"))
    expect(notices == starts >= 10, notices, "notices that access is open in", starts, "starts")


@step("kill -9 of the appliance: back within 3 s")
def kill_appliance(machine):
    restarts = int(show(machine, "NRestarts"))
    create(machine, "before-kill")
    machine.run(f"kill -9 {main_pid(machine)}")
    note = serving_again(machine, 3)
    expect(int(show(machine, "NRestarts")) == restarts + 1 and has(machine, "before-kill"))
    return note


@step("kill -9 of PostgreSQL: back within 3 s, the appliance keeps running")
def kill_postgres(machine):
    before, server = main_pid(machine), postmaster(machine)
    create(machine, "before-crash")
    machine.run(f"kill -9 {server}")

    def is_working(machine):
        return answer(machine, "/search?id=before-crash", seconds=2)[0] == 200 and healthy(machine)

    # The cache may answer before the database is back, so the process id of PostgreSQL must have changed.
    note = serving_again(machine, 3, lambda machine: is_other_postmaster(machine, server) and is_working(machine))
    expect(main_pid(machine) == before, "the appliance was restarted")
    create(machine, "after-crash")
    return note


@step("SIGSTOP: the watchdog restarts the appliance")
def watchdog(machine):
    seconds = int(show(machine, "WatchdogUSec").removesuffix("s") or 0) if show(machine, "WatchdogUSec").endswith("s") else 0
    expect(0 < seconds <= 60, "WatchdogUSec is", show(machine, "WatchdogUSec"))
    before = main_pid(machine)
    machine.run(f"kill -STOP {before}")

    def is_new_process(machine):
        return show(machine, "MainPID") not in ("0", str(before)) and healthy(machine)

    note = serving_again(machine, 2 * seconds + 30, is_new_process)
    expect("watchdog" in machine.out(f"journalctl -u {UNIT} --no-pager | grep -i watchdog"), "the journal names no watchdog")
    expect(has(machine, "first"))
    return f"{note}, WatchdogSec={seconds}"


@step("a database that hangs makes the service not ready, but the watchdog does not restart it")
def hanging_database(machine):
    seconds = int(show(machine, "WatchdogUSec").removesuffix("s"))
    before, server = main_pid(machine), postmaster(machine)
    machine.run(f"pkill -STOP -g {server} || kill -STOP {server}")
    stopped = machine.out(f"ps -o pid= --ppid {server}; echo {server}").split()
    machine.run(f"kill -STOP {' '.join(stopped)}")
    try:
        wait_until(10, "503 of /readyz", lambda: readiness(machine) == "503")
        time.sleep(seconds + 2)
        expect(main_pid(machine) == before, "the appliance was restarted")
    finally:
        machine.run(f"kill -CONT {' '.join(stopped)}", check=False)
    note = serving_again(machine, 30)
    expect(main_pid(machine) == before and readiness(machine) == "200", "the appliance was restarted")
    return note


@step("reload applies the keys that need no restart, and names those that do")
def reload(machine):
    before = main_pid(machine)
    file = machine.path(CONFIG)
    pristine = file.read_text()
    since = machine.out("date +%s")

    def journal():
        return machine.out(f"journalctl --no-pager -o cat -u attendance-api --since @{since}")

    def ask(marker):
        machine.run(f"curl -s -o /dev/null -H 'X-Request-Id: {marker}' {API}/health")

    # Written in place: a rename would change the owner.
    file.write_text(pristine + "log: { level: warn }\nserver: { listen: 0.0.0.0:8081 }\n")
    try:
        ask("logged-before")
        wait_until(10, "the line of a request", lambda: "logged-before" in journal())
        machine.run(f"systemctl reload {UNIT}")
        wait_until(10, "a log line about server.listen", lambda: "server.listen" in journal())
        ask("not-logged")
        expect(main_pid(machine) == before and healthy(machine), "it was restarted")
    finally:
        file.write_text(pristine)
    machine.run(f"systemctl reload {UNIT}")

    def is_logged_again():
        ask("logged-again")
        return "logged-again" in journal()

    wait_until(10, "the line of a request at level info", is_logged_again)
    expect("not-logged" not in journal(), "a successful request is logged at level warn")


@step("a reload with an invalid configuration changes nothing")
def invalid_reload(machine):
    before = main_pid(machine)
    file = machine.path(CONFIG)
    pristine = file.read_text()
    file.write_text(pristine + "\nnonsense: 1\n")
    try:
        machine.run(f"systemctl reload {UNIT}", check=False)
        time.sleep(0.5)
        expect(main_pid(machine) == before and healthy(machine), "it was restarted")
        expect("nonsense" in machine.out(f"journalctl --no-pager -o cat -u {UNIT} -n 20"), "the journal does not name the key")
    finally:
        file.write_text(pristine)
    machine.run(f"systemctl reload {UNIT}")


@step("the journal has one JSON object per event, with its priority")
def journal(machine):
    lines = machine.out(f"journalctl --no-pager -o json -u {UNIT} _SYSTEMD_UNIT={UNIT}", timeout=60).split("\n")
    wanted = {"error": "3", "warn": "4", "info": "6", "debug": "7", "trace": "7"}
    seen = {}
    notices = 0
    for line in lines:
        entry = json.loads(line)
        event = json.loads(entry["MESSAGE"])
        level = event["level"].lower()
        seen[level] = seen.get(level, 0) + 1
        priority = "5" if OPEN_ACCESS in event["message"] else wanted[level]
        notices += priority == "5"
        expect(entry["PRIORITY"] == priority, "priority", entry["PRIORITY"], "of", entry["MESSAGE"])
    expect(seen.get("info") and seen.get("warn", 0) + seen.get("error", 0), "levels seen:", seen)
    # Therefore `journalctl -p` selects warnings and errors.
    worse = machine.out(f"journalctl --no-pager -o cat -p warning _SYSTEMD_UNIT={UNIT}").split("\n")
    expect(len(worse) == seen.get("warn", 0) + seen.get("error", 0) - notices, "-p warning lists", len(worse), "of", seen)
    return ", ".join(f"{count} {level}" for level, count in sorted(seen.items()))
