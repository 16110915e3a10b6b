"""The rows of the table, by group. Each function measures the appliance beside its baseline and names the target."""

import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import threading
import time

from servers import API, Appliance, Bare, descendants, wrk

IDS = 10_000
LUA = {
    "random": 'request = function() return wrk.format("GET", "{api}/search?id=" .. math.random(1, {ids})) end',
    "create": "local n = 0\nlocal tag = os.time() .. '-' .. math.random(1, 1e9)\n"
    "request = function() n = n + 1 return wrk.format('POST', '{api}/create', {{['Content-Type'] = 'application/json'}}, "
    '\'{{"id":"\' .. tag .. n .. \'","name":"Asha Rao","status":"Present","date":"2024-01-02"}}\') end',
    "mixed": "local n = 0\nlocal tag = os.time() .. '-' .. math.random(1, 1e9)\n"
    "request = function() local dice = math.random(1, 100)\n"
    "if dice <= 90 then return wrk.format('GET', '{api}/search?id=' .. math.random(1, 100000)) end\n"
    "if dice <= 99 then n = n + 1 return wrk.format('POST', '{api}/create', {{['Content-Type'] = 'application/json'}}, "
    '\'{{"id":"m\' .. tag .. n .. \'","name":"Asha Rao","status":"Present","date":"2024-01-02"}}\') end\n'
    "return wrk.format('GET', '{api}/search/all?limit=100') end",
}
INSERT = (
    "\\set n random(1, 1000000000000000)\n"
    "INSERT INTO records (id, name, status, date) VALUES ('p' || :n, 'Asha Rao', 'Present', '2024-01-02') ON CONFLICT DO NOTHING;\n"
)
SELECT = (
    "\\set n random(1, 10000)\n"
    "SELECT id, name, status, date FROM records WHERE id = :n::text ORDER BY date DESC LIMIT 1;\n"
)


def lua(work, name):
    path = work / f"{name}.lua"
    path.write_text(LUA[name].format(api=API, ids=IDS))
    return path


def fill(server, count):
    """Replaces all records by `count` new ones, one per employee, vacuumed and on disk."""
    server.psql("TRUNCATE records")
    server.psql(
        f"INSERT INTO records SELECT i::text, 'Asha Rao ' || i, 'Present', '2024-01-01' FROM generate_series(1, {count}) i"
    )
    server.psql("VACUUM (ANALYZE) records")
    server.psql("CHECKPOINT")


def alternate(rounds, ours, baseline):
    """Measures both in turn; returns the medians of both and the median of the ratios of neighbouring rounds, because the speed of the computer changes."""
    return medians([(baseline(), ours()) for _ in range(rounds)])


def medians(pairs):
    return tuple(statistics.median(column) for column in zip(*((mine, other, mine / other) for other, mine in pairs)))


def rate_row(table, options, name, server, path, bare, target, connections=32, script=None):
    """Adds the requests per second beside those of the bare server; returns the rate, and the processor time of one request in the appliance and in PostgreSQL, in µs."""
    spent = []

    def ours():
        server.truncate_log()
        before = server.processor_seconds()
        rate = wrk(server.port, path, options.seconds, connections, script)[0]
        spent.append([1e6 * (after - earlier) / (rate * options.seconds) for after, earlier in zip(server.processor_seconds(), before)])
        return rate

    # Warm up both for a second: first reads come from PostgreSQL.
    wrk(server.port, path, 1, connections, script)
    wrk(bare.port, "/", 1, connections)
    mine, other, ratio = alternate(options.rounds, ours, lambda: wrk(bare.port, "/", options.seconds, connections)[0])
    table.add(name, f"{mine:,.0f}/s", f"bare hyper {other:,.0f}/s", f"{ratio:.2f}", f"≥ {target:.2f}" if target else "", ratio >= target if target else None)
    return mine, [statistics.median(column) for column in zip(*spent)]


def reads(table, options, work):
    hot = f"{API}/search?id=1"
    with Appliance(options.root, work, "reads") as server:
        fill(server, IDS)
        with Bare(options.load, len(server.get(hot)[1])) as bare:
            rate, spent = rate_row(table, options, "search, hot id, 32 connections", server, hot, bare, 0.80)
            table.add("  processor time a request", f"{spent[0]:.1f} µs", f"PostgreSQL {spent[1]:.2f} µs", "", "", None)
            with Bare(options.load, len(server.get(hot)[1]), threads=max(1, os.cpu_count() - 1)) as fewer:
                rate_row(table, options, "  beside a bare server of as many threads", server, hot, fewer, None)
            random_script = lua(work, "random")
            wrk(server.port, "/", 2, 64, random_script)
            rate_row(table, options, "search, 10,000 ids at random, cached", server, "/", bare, 0.60, script=random_script)
            rate_row(table, options, "health", server, f"{API}/health", bare, 0.70)
            paced(table, options, server, bare, hot, rate)
        with Bare(options.load, len(server.get("/metrics")[1])) as bare:
            rate_row(table, options, "metrics", server, "/metrics", bare, 0.10)
        fill(server, 100)
        time.sleep(21)  # until earlier answers (20 s) have expired
        with Bare(options.load, len(server.get(f"{API}/search/all")[1])) as bare:
            rate_row(table, options, "search/all, 100 rows, cached", server, f"{API}/search/all", bare, 0.70)
        without = Appliance(options.root, work, "nolog", "log.access=off")
        with without, Bare(options.load, 80) as bare:
            without.post(json.dumps({"id": "1", "name": "n", "status": "s", "date": "2024-01-01"}))
            off = wrk(without.port, hot, options.seconds, 32)[0]
            on = wrk(server.port, hot, options.seconds, 32)[0]
            table.add("  hot search without the access log", f"{off:,.0f}/s", f"with it {on:,.0f}/s", f"{off / on:.2f}", "", None)


def paced(table, options, server, bare, path, peak):
    """Adds the 99th percentile at half of the peak rate."""
    def p99(port, path):
        words = [options.load, "paced", str(port), path, str(peak / 2), str(options.seconds)]
        return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[1])

    mine, other, ratio = alternate(options.rounds, lambda: p99(server.port, path), lambda: p99(bare.port, "/"))
    table.add(f"p99 at {peak / 2:,.0f}/s, hot search", f"{mine:.0f} µs", f"bare hyper {other:.0f} µs", f"{ratio:.2f}", "≤ 2", ratio <= 2)


def database(table, options, work):
    # pgbench needs more connections than the pool allows, so PostgreSQL is restarted on its data with a higher limit for each measurement of pgbench.
    data = None
    with Appliance(options.root, work, "database", "redis.mode=off") as server:
        data = server.data
        fill(server, IDS)
    figures, spent = {"search": [], "create": []}, {"search": [], "create": []}

    def measured(name, server, script):
        before = server.processor_seconds()
        rate = wrk(server.port, "/", options.seconds, 64, lua(work, script))[0]
        spent[name].append([1e6 * (after - earlier) / (rate * options.seconds) for after, earlier in zip(server.processor_seconds(), before)])
        return rate

    for _ in range(options.rounds):
        with Appliance(options.root, work, "pgbench", "redis.mode=off", "postgres.pool_size=80", data=data) as server:
            theirs = server.pgbench(SELECT, 64, options.seconds)[0], server.pgbench(INSERT, 64, options.seconds)[0]
        with Appliance(options.root, work, "database", "redis.mode=off", data=data) as server:
            search = measured("search", server, "random")
        with Appliance(options.root, work, "creates", data=data) as server:
            create = measured("create", server, "create")
        figures["search"].append((theirs[0], search))
        figures["create"].append((theirs[1], create))
    with Appliance(options.root, work, "one", data=data) as server, Bare(options.load, 36, database=server) as bare:
        alone = []
        for _ in range(options.rounds):
            one = [server.pgbench(INSERT, 1, options.seconds)[1]]
            alone.append(one + [wrk(either.port, "/", options.seconds, 1, lua(work, "create"))[1] for either in (server, bare)])
    for name, key, target in (("search, cache off, 10,000 ids, 64 connections", "search", 0.60), ("create, 64 connections, durable", "create", 1.5)):
        mine, other, ratio = medians(figures[key])
        table.add(name, f"{mine:,.0f}/s", f"pgbench {other:,.0f}/s", f"{ratio:.2f}", f"≥ {target:.2f}", ratio >= target)
        ours, theirs = (statistics.median(column) for column in zip(*spent[key]))
        table.add("  processor time a request", f"{ours:.1f} µs", f"PostgreSQL {theirs:.2f} µs", "", "", None)
    p50 = "create, 1 connection: p50"
    mine, other, ratio = medians((pgbench, ours) for pgbench, ours, _ in alone)
    table.add(p50, f"{1000 * mine:.0f} µs", f"pgbench {1000 * other:.0f} µs", f"{ratio:.2f}", "≤ 1.3", ratio <= 1.3)
    mine, other, ratio = medians((least, ours) for _, ours, least in alone)
    table.add("  beside the least hyper needs to insert", f"{1000 * mine:.0f} µs", f"bare hyper {1000 * other:.0f} µs", f"{ratio:.2f}", "", None)
    mine, other, ratio = medians((pgbench, least) for pgbench, _, least in alone)
    table.add("  that least, beside pgbench", f"bare hyper {1000 * mine:.0f} µs", f"pgbench {1000 * other:.0f} µs", f"{ratio:.2f}", "", None)


def listing(table, options, work):
    """A million rows as JSON, beside COPY of the same rows in the same order."""

    def stream(server):
        # As cheap as the client that reads psql's pipe: it only counts the bytes until the connection is closed.
        with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client, Memory(server) as memory:
            started = time.perf_counter()
            client.sendall(f"GET {API}/search/all HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            head = b""
            while b"[" not in head.partition(b"\r\n\r\n")[2] and (piece := client.recv(1 << 18)):
                head += piece
            first, size, tail = time.perf_counter() - started, len(head), head
            while piece := client.recv(1 << 18):
                size, tail = size + len(piece), tail[-16:] + piece
            taken = time.perf_counter() - started
        if not tail.endswith(b"]\n\r\n0\r\n\r\n"):
            raise SystemExit(f"the list ends too early: {tail[-80:]}")
        return size / taken / 1e6, 1000 * first, memory.maximum

    with Appliance(options.root, work, "listing") as server:
        fill(server, 1_000_000)
        before = server.resident()
        copy = "COPY (SELECT id, name, status, date FROM records ORDER BY id, date) TO STDOUT"
        rounds = [(server.psql(copy, output=True), *stream(server)) for _ in range(options.rounds)]
    first, most = (statistics.median(column) for column in list(zip(*rounds))[2:])
    mine, theirs, ratio = medians([(copied, sent) for copied, sent, _, _ in rounds])
    growth = (most - before) / 1024
    table.add("search/all, 1,000,000 rows, uncached", f"{mine:.0f} MB/s", f"psql COPY {theirs:.0f} MB/s", f"{ratio:.2f}", "≥ 0.50", ratio >= 0.50)
    table.add("  first byte, memory", f"{first:.0f} ms, +{growth:.0f} MB", "", "", "50 ms, +32 MB", first <= 50 and growth <= 32)


class Memory(threading.Thread):
    """Records the maximum of a server's resident memory."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.maximum, self.done = server, 0, threading.Event()

    def run(self):
        while not self.done.wait(0.02):
            self.maximum = max(self.maximum, self.server.resident())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()


class Checker(threading.Thread):
    """Creates records and reads them back at once while the servers are under load; counts stale reads and lost creates."""

    def __init__(self, writer, reader):
        super().__init__(daemon=True)
        self.writer, self.reader, self.stop = writer, reader, threading.Event()
        self.checked, self.wrong = 0, []

    def run(self):
        while not self.stop.is_set():
            name = f"c{random.getrandbits(60)}"
            for day in ("2024-03-01", "2024-03-02"):
                status = self.writer.post(json.dumps({"id": name, "name": "n", "status": "s", "date": day}))
                if status != 200:
                    self.wrong.append(f"create answered {status}")
                    continue
                status, body = self.reader.get(f"{API}/search?id={name}")
                if status != 200 or json.loads(body)["date"] != day:
                    self.wrong.append(f"{name} {day}: {status} {body[:80]}")
                self.checked += 1


def mixed(table, options, work):
    with Appliance(options.root, work, "mixed") as server:
        fill(server, 100_000)
        checker = Checker(server, server)
        checker.start()
        rate, p50, p99 = wrk(server.port, "/", options.seconds * options.rounds, 32, lua(work, "mixed"))
        checker.stop.set()
        checker.join(20)
    table.add("mixed 90/9/1 over 100,000 rows: p99 / p50", f"{rate:,.0f}/s, {p99:.2f} ms", f"{p50:.2f} ms", f"{p99 / p50:.1f}", "≤ 10", p99 <= 10 * p50)
    table.add("  reads that missed a create meanwhile", str(len(checker.wrong)), f"of {checker.checked}", "", "0", not checker.wrong)


def idle(table, options, work):
    hot, count = f"{API}/search?id=1", 10_000
    with Appliance(options.root, work, "idle", "server.max_connections=12000") as server:
        server.post(json.dumps({"id": "1", "name": "n", "status": "s", "date": "2024-01-01"}))
        memory = []

        def beside():
            before = server.resident()
            holder = subprocess.Popen([options.load, "idle", str(server.port), hot, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            if holder.stdout.readline().strip() != "open":
                raise SystemExit("bench: the idle connections could not be opened; raise ulimit -n")
            memory.append((server.resident() - before) / count)
            rate = wrk(server.port, hot, options.seconds, 32)[0]
            holder.stdin.close()
            holder.wait(30)
            return rate

        rate, alone, ratio = alternate(options.rounds, beside, lambda: wrk(server.port, hot, options.seconds, 32)[0])
        # Later rounds reuse memory of earlier ones, so only the first is counted.
        each = memory[0]
    table.add("10,000 idle connections: memory each", f"{each:.1f} KB", "", "", "≤ 12 KB", each <= 12)
    table.add("  hot search beside them", f"{rate:,.0f}/s", f"alone {alone:,.0f}/s", f"{ratio:.2f}", "≥ 0.90", ratio >= 0.9)


def sizes(table, options, work):
    """Searches against growing numbers of rows, in turn with another instance that has 10^4."""
    def searched(server, rows):
        script = work / f"size{rows}.lua"
        script.write_text(LUA["random"].format(api=API, ids=rows))
        return lambda: wrk(server.port, "/", options.seconds, 64, script)[0]

    small, large = (Appliance(options.root, work, name, "redis.mode=off") for name in ("small", "large"))
    with small, large:
        fill(small, 10**4)
        for power in (5, 6, *((7,) if options.big else ())):
            fill(large, 10**power)
            ours, baseline = searched(large, 10**power), searched(small, 10**4)
            ours(), baseline()
            rate, other, ratio = alternate(options.rounds, ours, baseline)
            target = ("≥ 0.80", ratio >= 0.8) if power == 7 else ("", None)
            table.add(f"search against 10^{power} rows, cache off", f"{rate:,.0f}/s", f"10^4: {other:,.0f}/s", f"{ratio:.2f}", *target)


def shared(table, options, work):
    """Two instances that share one PostgreSQL and one real Redis."""
    hot = f"{API}/search?id=1"
    redis_port = 20_000 + random.randrange(20_000)
    redis = subprocess.Popen(["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL)
    try:
        with Appliance(options.root, work, "owner") as owner:
            environment, login = owner.database()
            external = (f"postgres.host={login[1]}", "redis.host=127.0.0.1", f"redis.port={redis_port}")
            secret = {"ATTENDANCE_API__POSTGRES__PASSWORD": environment["PGPASSWORD"]}
            one = Appliance(options.root, work, "one", *external, environment=secret)
            two = Appliance(options.root, work, "two", *external, environment=secret)
            with one, two:
                one.post(json.dumps({"id": "1", "name": "n", "status": "s", "date": "2024-01-01"}))
                checker = Checker(one, two)
                checker.start()
                with Bare(options.load, len(one.get(hot)[1])) as bare:
                    def both():
                        found = []
                        threads = [threading.Thread(target=lambda port=server.port: found.append(wrk(port, hot, options.seconds, 32)[0])) for server in (one, two)]
                        [thread.start() for thread in threads]
                        [thread.join() for thread in threads]
                        return sum(found)

                    mine, other, ratio = alternate(options.rounds, both, lambda: wrk(bare.port, "/", options.seconds, 32)[0])
                checker.stop.set()
                checker.join(20)
    finally:
        redis.terminate()
        redis.wait(10)
    table.add("hot search, two instances, Redis 7 shared", f"{mine:,.0f}/s", f"bare hyper {other:,.0f}/s", f"{ratio:.2f}", "≥ 0.50", ratio >= 0.5)
    table.add("  reads of one that missed a create of the other", str(len(checker.wrong)), f"of {checker.checked}", "", "0", not checker.wrong)


def restart(table, options, work):
    """Hot search while PostgreSQL is killed and restarted: errors, and the time until the rate has recovered."""
    for name, settings in (("", ()), (", cache off", ("redis.mode=off",))):
        with Appliance(options.root, work, f"restart{len(settings)}", *settings) as server:
            server.post(json.dumps({"id": "1", "name": "n", "status": "s", "date": "2024-01-01"}))
            load = Load(server, f"{API}/search?id=1", 8)
            time.sleep(3)
            normal_rate = load.rate(2)
            os.kill(descendants(server.process.pid, "postgres")[0], signal.SIGKILL)
            killed = back = time.perf_counter()
            for time_of_rate, rate in load.remaining_rates():
                if rate < 0.9 * normal_rate:
                    back = time_of_rate
            rates, errors = f"{normal_rate:,.0f}/s before", load.errors()
        table.add(f"PostgreSQL killed under hot search{name}", f"{errors} errors", rates, f"{back - killed:.1f} s", "", None)


class Load:
    """wrk in the background; its rate is taken from the server's own counter."""

    STEP = 0.2

    def __init__(self, server, path, seconds):
        self.server, self.seen = server, [(time.perf_counter(), self.count(server))]
        words = ["wrk", "-t1", "-c32", f"-d{seconds}", f"http://127.0.0.1:{server.port}{path}"]
        self.wrk = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    @staticmethod
    def count(server):
        lines = server.get("/metrics")[1].decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith('flask_http_request_total{method="GET",status="200"'))

    def rate(self, seconds):
        """Returns the successful answers per second over the next `seconds`."""
        before, started = self.count(self.server), time.perf_counter()
        time.sleep(seconds)
        return (self.count(self.server) - before) / (time.perf_counter() - started)

    def remaining_rates(self):
        """Returns the time and the rate of each step until one second before the end."""
        found = []
        while self.wrk.poll() is None:
            rate = self.rate(self.STEP)
            found.append((time.perf_counter(), rate))
        return found[: -int(1 / self.STEP)]

    def errors(self):
        output = self.wrk.communicate()[0]
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
        broken = re.search(r"Socket errors: (.*)", output)
        return (bad.group(1) if bad else "0") + (f", {broken.group(1)}" if broken else "")


def versions(table, options, work):
    """Two programs in turn on equal data: the one that was built, and the one of `--against`. A ratio of a rate above 1 means that the built one is faster."""
    hot = f"{API}/search?id=1"
    loads = (
        ("search, hot id", "", hot, 32, None),
        ("search, 10,000 ids at random, cached", "", "/", 32, "random"),
        ("health", "", f"{API}/health", 32, None),
        ("metrics", "", "/metrics", 32, None),
        ("search/all?limit=100, cached", "", f"{API}/search/all?limit=100", 32, None),
        ("create, 64 connections", "", "/", 64, "create"),
        ("search, cache off, 10,000 ids, 64 connections", "redis.mode=off", "/", 64, "random"),
        ("search/all?limit=100, cache off", "redis.mode=off", f"{API}/search/all?limit=100", 32, None),
    )
    for setting in ("", "redis.mode=off"):
        settings = [setting] if setting else []
        built = Appliance(options.root, work, f"built{len(settings)}", *settings)
        other = Appliance(options.root, work, f"against{len(settings)}", *settings, program=options.against)
        with built, other:
            fill(built, IDS)
            fill(other, IDS)
            for name, needed, path, connections, script in loads:
                if needed != setting:
                    continue
                lua_script = lua(work, script) if script else None

                def measured(server, seconds=options.seconds):
                    server.truncate_log()
                    return wrk(server.port, path, seconds, connections, lua_script)[0]

                measured(built, 1), measured(other, 1)
                rate, before, ratio = alternate(options.rounds, lambda: measured(built), lambda: measured(other))
                table.add(name, f"{rate:,.0f}/s", f"other {before:,.0f}/s", f"{ratio:.2f}", "", None)
            if not setting:
                one = lua(work, "create")
                p50 = lambda server: 1000 * wrk(server.port, "/", options.seconds, 1, one)[1]
                mine, before, ratio = alternate(options.rounds, lambda: p50(built), lambda: p50(other))
                table.add("create, 1 connection: p50", f"{mine:.0f} µs", f"other {before:.0f} µs", f"{ratio:.2f}", "", None)


def start(table, options, work):
    """Time to the first successful answer, idle memory, size of the binary; beside fixed limits."""
    program = options.root / "target/release/attendance-api"
    times = {}
    data = work / "data-start"
    for name in ("first start", "later start"):
        begun = time.perf_counter()
        with Appliance(options.root, work, "start", data=data) as server:
            while server.get(f"{API}/health")[0] != 200:
                time.sleep(0.01)
            times[name] = time.perf_counter() - begun
            time.sleep(2)
            memory = server.resident() / 1024
    for name, limit in (("first start", 3.0), ("later start", 0.7)):
        table.add(f"{name}, to a good health answer", f"{times[name]:.2f} s", "", "", f"≤ {limit} s", times[name] <= limit)
    size = program.stat().st_size / 1e6
    table.add("idle memory", f"{memory:.1f} MB", "", "", "≤ 30 MB", memory <= 30)
    table.add("binary", f"{size:.1f} MB", "", "", "≤ 28 MB", size <= 28)


GROUPS = {
    "reads": reads,
    "database": database,
    "listing": listing,
    "mixed": mixed,
    "idle": idle,
    "sizes": sizes,
    "shared": shared,
    "restart": restart,
    "start": start,
}
