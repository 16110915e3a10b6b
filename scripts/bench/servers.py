"""The programs that are measured: the appliance, the bare hyper server, pgbench and psql on the appliance's PostgreSQL."""

import http.client
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import tempfile
import time

API = "/api/v1/attendance"


class Appliance:
    """A running release binary with its defaults; the access log is written to a file."""

    def __init__(self, root, work, name, *settings, data=None, environment=None, program=None):
        self.root, self.work = root, work
        self.data = data or work / f"data-{name}"
        self.log_path = work / f"{name}.log"
        self.log = open(self.log_path, "w")
        words = [program or root / "target/release/attendance-api", "serve", "--listen", "127.0.0.1:0", "--data-dir", self.data]
        for setting in settings:
            words += ["--set", setting]
        self.process = subprocess.Popen(words, stdout=self.log, stderr=self.log, cwd=work, env={**os.environ, **(environment or {})})
        found = None
        for _ in range(600):
            found = re.search(r'"message":"listening".*?"address":"127\.0\.0\.1:(\d+)"', self.log_path.read_text())
            if found or self.process.poll() is not None:
                break
            time.sleep(0.05)
        if not found:
            raise SystemExit(f"the appliance does not start: {self.log_path.read_text()[-800:]}")
        self.port = int(found.group(1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()

    def truncate_log(self):
        """Empties the log between rounds, so that its size does not influence the measurement."""
        os.truncate(self.log_path, 0)

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    def post(self, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", f"{API}/create", body, {"Content-Type": "application/json"})
        status = connection.getresponse().status
        connection.close()
        return status

    def resident(self):
        """Returns the resident memory of the appliance process in kilobytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))

    def processor_seconds(self):
        """Returns the processor time of the appliance, and of all processes of its PostgreSQL."""
        return processor_time(self.process.pid), sum(processor_time(pid) for pid in descendants(self.process.pid, "postgres"))

    def database(self):
        """Returns the environment and the options with which psql and pgbench connect to the managed PostgreSQL."""
        password = (self.data / "postgres/password").read_text().strip()
        return {**os.environ, "PGPASSWORD": password}, ["-h", str(self.data / "run"), "-U", "postgres"]

    def psql(self, sql, output=None):
        environment, login = self.database()
        psql = next(self.data.glob("dist/*/*/pginstall/bin/psql"))
        words = [psql, "-Xqt", "-v", "ON_ERROR_STOP=1", *login, "-d", "attendance_db", "-c", sql]
        if output is None:
            return subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout
        started = time.perf_counter()
        child = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE)
        size = 0
        while piece := child.stdout.read(1 << 16):
            size += len(piece)
        if child.wait():
            raise SystemExit(f"psql fails: {sql}")
        return size / (time.perf_counter() - started) / 1e6

    def pgbench(self, script, clients, seconds):
        """Runs a script with pgbench; returns transactions per second and the median latency in milliseconds."""
        environment, login = self.database()
        program = shutil.which("pgbench") or next(iter(sorted(map(str, pathlib.Path("/usr/lib/postgresql").glob("*/bin/pgbench")))), None)
        if not program:
            raise SystemExit("pgbench is missing: apt-get install postgresql-contrib")
        with tempfile.TemporaryDirectory() as logs:
            file = pathlib.Path(logs) / "script.sql"
            file.write_text(script)
            words = [program, "-n", "-M", "prepared", "-l", *login, "-f", file, f"-c{clients}", f"-j{min(clients, 2)}", f"-T{seconds}", "attendance_db"]
            done = subprocess.run(words, env=environment, cwd=logs, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"pgbench: {done.stderr}")
            taken = sorted(int(line.split()[2]) for log in pathlib.Path(logs).glob("pgbench_log.*") for line in open(log))
        return float(re.search(r"tps = ([\d.]+)", done.stdout).group(1)), taken[len(taken) // 2] / 1000


def processor_time(pid):
    """Returns the seconds of processor time of a process, 0 if it has ended."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descendants(pid, name):
    found = []
    children = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    for line in children.splitlines():
        child, comm = line.split(None, 1)
        found += ([int(child)] if name in comm else []) + descendants(child, name)
    return found


class Bare:
    """The minimal hyper server, which sends one body of `size` bytes; by default with tokio's own number of threads. With an appliance as `database` it
    inserts a row into its PostgreSQL for each request, on one thread."""

    def __init__(self, load, size, threads=None, database=None):
        environment, words = {**os.environ}, ["serve", str(size)]
        if threads:
            environment["TOKIO_WORKER_THREADS"] = str(threads)
        if database:
            environment, words = database.database()[0], ["serve-inserts", database.data / "run", str(size)]
        self.process = subprocess.Popen([load, *words], stdout=subprocess.PIPE, text=True, env=environment)
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def wrk(port, path, seconds, connections, script=None):
    """Returns requests per second, p50 and p99 in milliseconds; the benchmark ends if an answer is not 2xx."""
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency"]
    if script:
        words += ["-s", script]
    output = subprocess.run([*words, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", output)
    if bad:
        raise SystemExit(f"{path}: {bad.group(0)}")
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    spans = {p: float(n) * unit[u] for p, n, u in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s)", output)}
    return float(re.search(r"Requests/sec:\s+([\d.]+)", output).group(1)), spans["50"], spans["99"]


def make_directory():
    """Makes a temporary directory that the unprivileged user of the appliance can enter."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="attendance-bench-"))
    path.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)
    return path
