"""Removal, reinstallation, purge with and without the data."""

from subprocess import DEVNULL

import packages
from report import expect, step
from service import CONFIG, STATE, UNIT, apt, create, has, healthy, installed, main_pid

PURGE_DATA = "attendance-api attendance-api/purge-data boolean"


def expect_stopped(machine):
    """Fails the step if a process of the service runs or the port answers."""
    found = machine.run("ps -eo user:20,args | grep -E '[a]ttendance-api|[p]ostgres'", check=False).stdout.strip()
    expect(not found, "still runs:", found)
    expect(not healthy(machine), "port 8080 still answers")


@step("remove stops the service and keeps data and configuration")
def remove(machine):
    file = machine.path(CONFIG)
    file.write_text(file.read_text() + "\n# edited\n")
    apt(machine, "remove attendance-api")
    expect_stopped(machine)
    expect(installed(machine)[0] == "rc", installed(machine))
    expect(machine.path(f"{STATE}/postgres").is_dir() and "# edited" in file.read_text())
    expect(not machine.path("/lib/systemd/system/attendance-api.service").exists())


@step("after reinstallation, data and configuration are used again")
def reinstall(machine):
    apt(machine, "install attendance-api")
    expect(healthy(machine) and has(machine, "first"))
    expect("# edited" in machine.path(CONFIG).read_text() and machine.out(f"stat -c %U:%G:%a {CONFIG}") == "root:attendance-api:640")


@step("purge removes the configuration, keeps the records and prints where they are")
def purge_keeps(machine):
    output = apt(machine, "purge attendance-api")
    expect_stopped(machine)
    expect(STATE in output and "kept" in output, "apt says", output[-500:])
    expect(machine.path(f"{STATE}/postgres").is_dir() and not machine.path("/etc/attendance-api").exists())
    left = machine.run("find /etc/systemd /usr/share /lib/systemd /var/lib/systemd /usr/bin -name '*attendance-api*'", check=False).stdout.split()
    # The test itself installed the key of the repository.
    left = [path for path in left if not path.startswith("/usr/share/keyrings/")]
    expect(not left, "left behind:", left)
    expect(installed(machine)[0] in ("", "un"), installed(machine))


@step("after a purge and reinstallation, the records are there and the configuration is new")
def reinstall_after_purge(machine):
    apt(machine, "install attendance-api")
    expect(healthy(machine) and has(machine, "first"))
    expect("# edited" not in machine.path(CONFIG).read_text())


@step("purge deletes the records when the preseeded answer says so, and keeps the backups")
def purge_deletes(machine):
    machine.run("attendance-api backup create")
    machine.run(f"echo '{PURGE_DATA} true' | debconf-set-selections")
    output = apt(machine, "purge attendance-api")
    expect_stopped(machine)
    expect("deleted" in output, "apt says", output[-500:])
    expect("the backups are kept" in output, "apt says", output[-500:])
    expect(machine.out(f"ls -A {STATE}") == "backups" and not machine.path("/etc/attendance-api").exists(), "left:", machine.out(f"ls -A {STATE}"))
    machine.run(f"rm -r {STATE}")
    expect("purge-data" not in machine.run("debconf-show attendance-api", check=False).stdout, "debconf still knows the question")


@step("after that, installation from an http: repository starts with an empty database")
def reinstall_from_http(machine):
    server = machine.network(["python3", "-W", "ignore", "-m", "http.server", "--bind", "127.0.0.1", "--directory", machine.path("/srv/apt"), "8099"], stdout=DEVNULL, stderr=DEVNULL)
    try:
        machine.run("for n in $(seq 100); do curl -sf -o /dev/null http://127.0.0.1:8099/ && exit 0; sleep 0.1; done; exit 1")
        packages.add_source(machine, "http://127.0.0.1:8099")
        machine.run("apt-get clean")
        output = apt(machine, "install attendance-api")
        expect("http://127.0.0.1:8099" in output and healthy(machine) and not has(machine, "first"), output[-500:])
    finally:
        server.kill()
        server.wait(10)
    packages.add_source(machine, "file:/srv/apt")
    create(machine, "new")


@step("the maintainer scripts can run twice")
def idempotent(machine):
    before = main_pid(machine)
    info = "/var/lib/dpkg/info/attendance-api"
    machine.run(f"{info}.preinst upgrade {packages.VERSION} && {info}.prerm upgrade {packages.VERSION}")
    expect(main_pid(machine) == before, "preinst or prerm restarted it")
    machine.run("dpkg-reconfigure attendance-api && dpkg-reconfigure attendance-api", 120)
    expect(healthy(machine) and has(machine, "new"))
    expect(machine.out(f"systemctl is-enabled {UNIT}; stat -c %U:%G:%a {CONFIG}") == "enabled\nroot:attendance-api:640")
