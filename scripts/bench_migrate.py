"""Implements bench-migrate.sh: wall-clock times of whole processes on a private PostgreSQL that syncs to disk.

The real Liquibase is measured as a process, which starts its Java virtual machine, and in one that has already run the changelog several times.
Both programs take turns, so that other work on the computer affects both.
"""

import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import bench_changelogs
from private_postgres import Postgres

ours, theirs, root, runs = sys.argv[1:5]
runs = int(runs)
MAX_CHECK_SECONDS = 0.100
# A virtual machine has compiled what it needs after this many runs.
WARM_UP = 3
CHANGELOGS = {"many.xml": bench_changelogs.tables(1000), "one.xml": bench_changelogs.tables(1), "history.xml": bench_changelogs.history(1036)}
# What is measured, and how many times faster than Liquibase it must be; `warm` is without the start of Java.
APPLIED = (
    ("1,000 createTable changesets applied", "many.xml", False, 5),
    ("one changeset on an empty database", "one.xml", False, 20),
    ("1,036 changesets with preconditions, Java warm", "history.xml", True, 5),
)


def timed(program, server, database, directory, file):
    """The duration of one update, in seconds."""
    words = [ours, "migrate"] if program == ours else [program]
    words += [f"--url={server.url(database)}", "--username=postgres", "--password=unused", f"--changelog-file={file}", "update"]
    environment = {**os.environ, "LIQUIBASE_ANALYTICS_ENABLED": "false", "LIQUIBASE_SHOW_BANNER": "false"}
    start = time.perf_counter()
    done = subprocess.run(words, cwd=directory, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{program}: {done.stderr[-800:]}")
    return time.perf_counter() - start


class WarmLiquibase:
    """Liquibase in one virtual machine, which runs one update for each URL that it reads."""

    def __init__(self, directory, file):
        libraries = pathlib.Path(theirs).parent / "internal/lib"
        program = pathlib.Path(root) / "scripts/WarmLiquibase.java"
        words = ["java", "-Dliquibase.analytics.enabled=false", "-cp", f"{libraries}/*", program, file]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, cwd=directory, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)

    def update(self, url):
        """The duration of one update, in seconds."""
        self.process.stdin.write(url + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if found := re.fullmatch(r"seconds ([\d.]+)", line.strip()):
                return float(found[1])
        raise SystemExit("Liquibase does not run in a virtual machine of the benchmark; it needs a JDK")

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)


def measure(server, directory, file, is_warm):
    """The median durations in seconds, ours and theirs, of an update of an empty database."""
    warm = WarmLiquibase(directory, file) if theirs and is_warm else None
    mine, real = [], []
    if warm:
        for _ in range(WARM_UP):
            warm.update(server.url(server.create()))
    for _ in range(runs):
        mine.append(timed(ours, server, server.create(), directory, file))
        if warm:
            real.append(warm.update(server.url(server.create())))
        elif theirs:
            real.append(timed(theirs, server, server.create(), directory, file))
    if warm:
        warm.end()
    return statistics.median(mine), statistics.median(real) if real else None


def measure_check(server, directory):
    """The median durations of an update with nothing to do."""
    database = server.create()
    timed(ours, server, database, directory, "many.xml")
    programs = [ours, theirs] if theirs else [ours]
    return [statistics.median(timed(program, server, database, directory, "many.xml") for _ in range(runs)) for program in programs]


def row(name, seconds, reference, goal, met):
    shown = f"{1000 * reference:8.0f} ms {reference / seconds:7.1f}" if reference else f"{'-':>11} {'-':>7}"
    print(f"{name:48}{1000 * seconds:8.0f} ms {shown}  {goal}{'' if met else '  MISSED'}", flush=True)
    return met


with tempfile.TemporaryDirectory(prefix="bench-migrate-") as directory, Postgres(root, durable=True) as server:
    for name, text in CHANGELOGS.items():
        (pathlib.Path(directory) / name).write_text(text)
    print(f"median of {runs} runs, whole processes, fsync on{'':12}ours      Liquibase  ratio   goal")
    seconds, *reference = measure_check(server, directory)
    results = [row("1,000 changesets already applied", seconds, *(reference or [None]), f"{1000 * MAX_CHECK_SECONDS:.0f} ms", seconds <= MAX_CHECK_SECONDS)]
    for name, file, is_warm, goal in APPLIED:
        seconds, reference = measure(server, directory, file, is_warm)
        results.append(row(name, seconds, reference, f"{goal} times", reference is None or reference / seconds >= goal))
sys.exit(0 if all(results) else 1)
