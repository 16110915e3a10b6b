"""Rows about writes by other programs: how soon they are seen, and what the triggers that announce them cost."""

import http.client
import itertools
import json
import subprocess
import time

from rows import INSERT, alternate, lua
from servers import API, Appliance, wrk

WRITES = 400
UNWATCHED = "postgres.watch_foreign_writes=false"


class Psql:
    """A session of psql that runs one statement after another."""

    def __init__(self, server):
        environment, login = server.database()
        program = next(server.data.glob("dist/*/*/pginstall/bin/psql"))
        words = [program, "-Xqt", "-v", "ON_ERROR_STOP=1", *login, "-d", "attendance_db"]
        self.process = subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, sql):
        self.process.stdin.write(f"{sql};\n\\echo done\n")
        self.process.stdin.flush()
        while (line := self.process.stdout.readline()).strip() != "done":
            if not line:
                raise SystemExit(f"psql fails: {sql}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)


class Reader:
    """Searches for one employee on one connection."""

    def __init__(self, server):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)

    def name(self):
        self.connection.request("GET", f"{API}/search?id=f")
        answer = self.connection.getresponse()
        body = answer.read()
        return json.loads(body)["name"] if answer.status == 200 else None


def statements():
    """Yields statements of all kinds, each with the name that a search finds afterwards."""
    for number in itertools.count():
        name = f"v{number}"
        yield f"INSERT INTO records VALUES ('f', '{name}', 's', '2024-01-01')", name
        yield f"UPDATE records SET name = '{name}u' WHERE id = 'f'", name + "u"
        yield "DELETE FROM records WHERE id = 'f'", None
        yield f"COPY records (id, name, status, date) FROM PROGRAM 'printf \"f\\t{name}c\\ts\\t2024-01-01\\n\"'", name + "c"
        yield "TRUNCATE records", None


def delays(server):
    """Returns how many milliseconds after its commit each write is seen by a read, sorted."""
    found = []
    reader = Reader(server)
    with Psql(server) as psql:
        for statement, name in itertools.islice(statements(), WRITES):
            # Cached, if there is something to cache and a cache.
            reader.name(), reader.name()
            psql.run(statement)
            committed = time.perf_counter()
            while reader.name() != name:
                if time.perf_counter() > committed + 10:
                    raise SystemExit(f"not seen within 10 s: {statement}")
            found.append(1000 * (time.perf_counter() - committed))
    return sorted(found)


def foreign(table, options, work):
    with Appliance(options.root, work, "watched") as watched, Appliance(options.root, work, "uncached", "redis.mode=off") as uncached:
        ours, theirs = delays(watched), delays(uncached)
    for name, share, limit in (("p50", 0.5, 100), ("p99", 0.99, 250)):
        mine, other = (found[int(share * len(found))] for found in (ours, theirs))
        table.add(f"write by psql, seen by a read: {name}", f"{mine:.1f} ms", f"cache off {other:.1f} ms", f"{mine / other:.2f}", f"≤ {limit} ms", mine <= limit)

    settings = ("postgres.pool_size=40",)
    with Appliance(options.root, work, "with", *settings) as watched, Appliance(options.root, work, "without", *settings, UNWATCHED) as unwatched:

        def created(server):
            return lambda: wrk(server.port, "/", options.seconds, 64, lua(work, "create"))[0]

        def written(clients):
            return lambda server: lambda: server.pgbench(INSERT, clients, options.seconds)[0]

        for name, measured, target in (
            ("create, 64 connections, with the triggers", created, 0.98),
            ("1 other writer (pgbench), with the triggers", written(1), 0.9),
            ("32 other writers (pgbench), with the triggers", written(32), None),
        ):
            ours, baseline = measured(watched), measured(unwatched)
            ours(), baseline()
            mine, other, ratio = alternate(options.rounds, ours, baseline)
            goal = (f"≥ {target:.2f}", ratio >= target) if target else ("", None)
            table.add(name, f"{mine:,.0f}/s", f"without {other:,.0f}/s", f"{ratio:.2f}", *goal)
