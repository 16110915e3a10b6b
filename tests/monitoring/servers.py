"""The servers of the test: PostgreSQL, Redis, appliances, Prometheus. Each is a child process that ends with the run."""

import http.client
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from urllib.parse import quote

from report import StepError, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "target/release/attendance-api"
PACK = ROOT / "packaging/monitoring"
API = "/api/v1/attendance"
PASSWORD = "a password of the test"


def make_directory():
    """Makes a temporary directory that an unprivileged user can enter."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="attendance-monitoring-"))
    path.chmod(0o755)
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# The package of each program whose package has another name.
PACKAGES = {"nginx": "nginx-light", "promtool": "prometheus", "initdb": "postgresql", "postgres": "postgresql", "setpriv": "util-linux"}


def tool(name):
    """Finds a program; servers are in directories that are not in the PATH of every user."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if not found:
        raise StepError(f"the program {name} is missing; install it: sudo apt-get install {PACKAGES.get(name, name)}")
    return found


def postgres_tool(name):
    """Finds a program of PostgreSQL: of the newest version in Debian's directory, else in the PATH."""
    versions = pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(versions, key=lambda path: float(path.parts[-3]), default=None)
    return str(newest.with_name(name)) if newest else tool(name)


def unprivileged():
    """Returns the command prefix that runs a program without privileges."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam("nobody")
    return [tool("setpriv"), f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def call(words, timeout=120, cwd=ROOT):
    """Runs a program and returns its output; fails the step when it fails. The program ends with the run."""
    words = [tool("setpriv"), "--pdeathsig", "KILL", *(str(word) for word in words)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, cwd=cwd, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise StepError(f"{words[3]} says: {(done.stdout + done.stderr)[-1500:]}")
    return done.stdout + done.stderr


def get(port, path, headers=None, timeout=10):
    """Sends a GET on a new connection; returns status, headers and body."""
    return ask(port, "GET", path, None, headers or {}, timeout)


def ask(port, method, path, body, headers, timeout=10, source="127.0.0.1"):
    """Sends a request on a new connection from a loopback address; returns status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout, source_address=(source, 0))
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def create(port, identity):
    """Creates a record; returns the status."""
    return create_answer(port, identity)[0]


def create_answer(port, identity):
    body = json.dumps({"id": identity, "name": "Asha Rao", "status": "Present", "date": "2026-11-26"})
    return ask(port, "POST", f"{API}/create", body, {"Content-Type": "application/json"})


class Child:
    """A program in the background, with its output in a file."""

    cleanup = None

    def __init__(self, work, name, words, environment=None):
        self.name, self.log = name, work / f"{name}.log"
        self.words = [str(word) for word in words]
        self.environment = {**os.environ, **(environment or {})}
        self.process = None

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                self.words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment, cwd="/", start_new_session=True
            )
        self.cleanup.add(self.process.pid)
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, number=signal.SIGTERM, seconds=30):
        if not self.process:
            return
        if self.running():
            self.process.send_signal(number)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)
                raise StepError(f"{self.name} does not stop in {seconds} s: {self.last_output()}") from None
        self.cleanup.remove(self.process.pid)

    def last_output(self):
        return self.log.read_text()[-800:]

    def until(self, seconds, what, probe):
        """Waits until the probe is true; fails when the program ends first."""

        def check():
            if not self.running():
                raise StepError(f"{self.name} ended: {self.last_output()}")
            try:
                return probe()
            except OSError:
                return False

        return wait_until(seconds, what, check)


class Postgres(Child):
    """An external PostgreSQL with a password."""

    def __init__(self, work):
        self.port = free_port()
        data = work / "postgres"
        data.mkdir()
        secret = work / "password"
        secret.write_text(PASSWORD + "\n")
        if os.geteuid() == 0:
            shutil.chown(data, "nobody")
        call([*unprivileged(), postgres_tool("initdb"), "-D", data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", secret, "--no-sync"], cwd="/")
        words = [*unprivileged(), postgres_tool("postgres"), "-D", data, "-p", self.port, "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={data}"]
        super().__init__(work, "postgresql", words)

    def start(self):
        super().start()
        self.until(30, "PostgreSQL", lambda: not socket.create_connection(("127.0.0.1", self.port), 1).close())
        return self

    def stop(self, number=signal.SIGINT, seconds=30):
        super().stop(number, seconds)


class Redis(Child):
    def __init__(self, work):
        self.port = free_port()
        super().__init__(work, "redis", [tool("redis-server"), "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])

    def start(self):
        super().start()
        self.until(30, "Redis", lambda: not socket.create_connection(("127.0.0.1", self.port), 1).close())
        return self


class Appliance(Child):
    """The release binary; without external backends it manages its own."""

    def __init__(self, work, name, postgres=None, redis=None, settings=()):
        self.port, self.data = free_port(), work / f"data-{name}"
        words = [PROGRAM, "serve", "--listen", f"127.0.0.1:{self.port}", "--data-dir", self.data]
        for setting in settings:
            words += ["--set", setting]
        if os.geteuid() == 0:
            (work / f"data-{name}").mkdir()
            shutil.chown(work / f"data-{name}", "nobody")
        if postgres:
            settings = ["postgres.host=127.0.0.1", f"postgres.port={postgres.port}", "postgres.user=postgres", "postgres.database=postgres"]
            settings += ["redis.host=127.0.0.1", f"redis.port={redis.port}", "server.trusted_proxies=127.0.0.1", "server.base_path=/attendance"]
            for setting in settings:
                words += ["--set", setting]
        super().__init__(work, name, words, {"ATTENDANCE_API__POSTGRES__PASSWORD": PASSWORD} if postgres else None)

    def start(self):
        super().start()
        self.ready()
        return self

    def ready(self):
        self.until(60, f"{self.name} ready", lambda: get(self.port, "/readyz")[0] == 200)

    def metrics(self):
        return get(self.port, "/metrics")[2]

    def access(self, identity):
        """Returns the line of the access log of the request with this id, if this instance answered it."""
        lines = [line for line in self.log.read_text().splitlines() if f'"request_id":"{identity}"' in line and '"status_code"' in line and line.endswith("}")]
        return json.loads(lines[0]) if lines else None

    def answered(self):
        """Returns how many searches and creates this instance has answered."""
        lines = [line for line in self.metrics().splitlines() if line.startswith("flask_http_request_duration_seconds_count")]
        return sum(float(line.split()[-1]) for line in lines if f'path="{API}/search"' in line or f'path="{API}/create"' in line)


class Prometheus(Child):
    """A real Prometheus with the example's configuration; only targets and intervals are changed."""

    def __init__(self, work, targets):
        self.port = free_port()
        example = (PACK / "prometheus/prometheus.yml").read_text()
        quoted = ", ".join(f'"127.0.0.1:{port}"' for port in targets)
        text, changed = re.subn(r'targets: \["localhost:8080"\]', f"targets: [{quoted}]", example)
        text = text.replace("15s", "1s").replace("scrape_timeout: 5s", "scrape_timeout: 1s")
        if changed != 1:
            raise StepError("the targets of the example were not found")
        home = work / "prometheus"
        home.mkdir()
        (home / "prometheus.yml").write_text(text)
        shutil.copy(PACK / "prometheus/alerts.yml", home)
        words = [tool("prometheus"), f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data", f"--web.listen-address=127.0.0.1:{self.port}"]
        super().__init__(work, "prometheus", words)

    def start(self):
        super().start()
        self.until(60, "Prometheus", lambda: get(self.port, "/-/ready")[0] == 200)
        return self

    def query(self, expression):
        """Returns the series of the result; fails the step when the expression is refused."""
        status, _, body = get(self.port, f"/api/v1/query?query={quote(expression)}")
        answer = json.loads(body)
        if status != 200 or answer["status"] != "success":
            raise StepError(f"{expression}: {answer.get('error')}")
        result = answer["data"]["result"]
        return result if isinstance(result, list) else [result]

    def alerts(self):
        """Returns name and instance of each alert that is pending or firing."""
        found = json.loads(get(self.port, "/api/v1/alerts")[2])["data"]["alerts"]
        return {(alert["labels"]["alertname"], alert["labels"].get("instance")) for alert in found}
