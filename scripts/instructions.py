"""Counts the instructions that the appliance executes for a request, with valgrind, and compares them with those of another binary.

Unlike a rate, the number hardly changes from run to run, so a difference of one per cent is one. It leaves out the kernel and PostgreSQL. The
database is a private PostgreSQL, because valgrind cannot start the managed one; without a Redis, hits come from the memory of the process.
"""

import argparse
import contextlib
import datetime
import http.client
import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import tempfile
import time

from private_postgres import Postgres

API = "/api/v1/attendance"
# Title, requests, method, path. Each request has a day of its own in place of `{day}`, so that the cache does not have its answer.
ROUTES = [
    ("hot search", 2000, "GET", f"{API}/search?id=e5"),
    ("health", 2000, "GET", f"{API}/health"),
    ("search/all, 100 rows, cached", 1000, "GET", f"{API}/search/all?limit=100"),
    ("search that finds nothing", 500, "GET", f"{API}/search?id=absent"),
    ("search/all, 100 rows, uncached", 300, "GET", f"{API}/search/all?limit=100&to={{day}}"),
    ("create", 500, "POST", f"{API}/create"),
    ("metrics", 100, "GET", "/metrics"),
]
HOT_SEARCH = ROUTES[0]
PASSWORD = "a passphrase of the measurement"
FIRST_DAY = datetime.date(2030, 1, 1)
START_SECONDS = 120


class Counted:
    """A binary that runs under callgrind, as an unprivileged user if this one is root."""

    def __init__(self, binary, postgres, database, work, *extra):
        self.work = work
        self.headers = {}
        work.mkdir()
        self.words = []
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(work, nobody.pw_uid, nobody.pw_gid)
            self.words = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
        postgres.psql("postgres", f"CREATE DATABASE {database}")
        settings = [
            "server.listen=127.0.0.1:0", "server.workers=1", "redis.mode=managed",
            "postgres.host=127.0.0.1", f"postgres.port={postgres.port}", f"postgres.database={database}", "postgres.user=postgres", *extra,
        ]
        callgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={work}/counts"]
        self.options = ["--data-dir", work / "data"] + [word for setting in settings for word in ("--set", setting)]
        serve = [binary, "serve", *self.options]
        self.log = open(work.with_suffix(".log"), "w")
        self.process = subprocess.Popen([*self.words, *callgrind, *serve], stdout=self.log, stderr=self.log, cwd="/")
        self.port = self.wait_for_port()

    def wait_for_port(self):
        for _ in range(START_SECONDS * 10):
            found = re.search(r'"message":"listening".*?"address":"127\.0\.0\.1:(\d+)"', pathlib.Path(self.log.name).read_text())
            if found:
                return int(found.group(1))
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise SystemExit(f"instructions: the appliance does not start: {pathlib.Path(self.log.name).read_text()[-800:]}")

    def send(self, method, path, first, count):
        """Sends requests on one connection; creates have the numbers from `first`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        for number in range(first, first + count):
            body = None
            if method == "POST":
                body = json.dumps({"id": f"e{number}", "name": f"Name {number}", "status": "Present", "date": "2023-08-01"})
            target = path.replace("{day}", str(FIRST_DAY + datetime.timedelta(number)))
            connection.request(method, target, body, self.headers | ({"Content-Type": "application/json"} if body else {}))
            answer = connection.getresponse()
            answer.read()
            if answer.status not in (200, 404):
                raise SystemExit(f"instructions: {method} {path} is answered with {answer.status}")
        connection.close()

    def log_in(self, binary):
        """Makes an account; from here on, requests have a session of it."""
        password = self.work / "password"
        password.write_text(PASSWORD + "\n")
        password.chmod(0o644)
        add = [binary, "account", "add", "admin", "--role", "admin", "--password-file", password, *self.options]
        subprocess.run([*self.words, *add], check=True, capture_output=True)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        body = json.dumps({"username": "admin", "password": PASSWORD})
        connection.request("POST", f"{API}/session", body, {"Content-Type": "application/json"})
        self.headers = {"Authorization": f"Bearer {json.loads(connection.getresponse().read())['token']}"}
        connection.close()

    def control(self, option):
        subprocess.run([*self.words, "callgrind_control", option, str(self.process.pid)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def count(self, requests, method, path, first):
        """Returns the instructions of one request."""
        self.send(method, path, first, requests // 10)
        self.control("--zero")
        self.send(method, path, first + requests, requests)
        self.control("--dump")
        dumps = [file for file in self.work.glob("counts.*") if file.suffix[1:].isdigit()]
        newest = max(dumps, key=lambda file: int(file.suffix[1:]))
        return int(re.search(r"^summary: (\d+)", newest.read_text(), re.MULTILINE).group(1)) / requests

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("--against", type=pathlib.Path, help="another attendance-api binary")
    options = parser.parse_args()
    binaries = [options.root / "target/release/attendance-api"] + ([options.against] if options.against else [])
    work = pathlib.Path(tempfile.mkdtemp(prefix="attendance-instructions-"))
    work.chmod(0o755)
    try:
        with Postgres(options.root) as postgres, contextlib.ExitStack() as stack:
            counted = [
                stack.enter_context(Counted(binary.resolve(strict=True), postgres, f"counted{number}", work / f"binary{number}"))
                for number, binary in enumerate(binaries)
            ]
            for each in counted:
                each.send("POST", f"{API}/create", 0, 200)
            for position, (title, *request) in enumerate(ROUTES):
                counts = [each.count(*request, 10_000 * (position + 1)) for each in counted]
                ratio = f"{counts[0] / counts[1]:7.3f} of the other" if len(counts) == 2 else ""
                print(f"{title:30}" + "".join(f"{count:12,.0f}" for count in counts) + ratio, flush=True)
            protected = stack.enter_context(Counted(binaries[0], postgres, "protected", work / "protected", "auth.mode=required"))
            protected.log_in(binaries[0])
            protected.send("POST", f"{API}/create", 0, 200)
            # The same request, header included.
            counted[0].headers = protected.headers
            count, other = (each.count(*HOT_SEARCH[1:], 1_000_000) for each in (protected, counted[0]))
            print(f"{'hot search with a session':30}{count:12,.0f}{count / other:7.3f} of one without access control", flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
