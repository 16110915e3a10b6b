"""Implements bench-migrate.sh: wall-clock times of whole processes on a private PostgreSQL that syncs to disk."""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from private_postgres import Postgres

ours, theirs, root, runs = sys.argv[1:5]
runs = int(runs)
MAX_CHECK_SECONDS = 0.100
MIN_RATIO_MANY, MIN_RATIO_ONE = 5, 20


def changelog(count):
    """A changelog of `count` createTable changesets."""
    table = (
        '<changeSet id="{0}" author="bench"><createTable tableName="t{0}"><column name="id" type="bigint"><constraints '
        'primaryKey="true"/></column><column name="name" type="varchar(100)"/></createTable></changeSet>\n'
    )
    head = (
        '<databaseChangeLog xmlns="http://www.liquibase.org/xml/ns/dbchangelog" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:schemaLocation="http://www.liquibase.org/xml/ns/dbchangelog http://www.liquibase.org/xml/ns/dbchangelog/dbchangelog-latest.xsd">\n'
    )
    return head + "".join(table.format(number) for number in range(count)) + "</databaseChangeLog>\n"


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


def measure(program, server, directory):
    """The median durations in seconds: many changesets applied, many checked, one applied."""
    many, checked, one = [], [], []
    for _ in range(runs):
        database = server.create()
        many.append(timed(program, server, database, directory, "many.xml"))
        checked.append(timed(program, server, database, directory, "many.xml"))
        one.append(timed(program, server, server.create(), directory, "one.xml"))
    return [statistics.median(times) for times in (many, checked, one)]


with tempfile.TemporaryDirectory(prefix="bench-migrate-") as directory, Postgres(root, durable=True) as server:
    for name, count in (("many.xml", 1000), ("one.xml", 1)):
        (pathlib.Path(directory) / name).write_text(changelog(count))
    ours_seconds = measure(ours, server, directory)
    theirs_seconds = measure(theirs, server, directory) if theirs else [None] * 3

missed = []
print(f"median of {runs} runs, whole processes, fsync on{'':12}ours      Liquibase  ratio   goal")
rows = (("1,000 createTable changesets applied", MIN_RATIO_MANY), ("1,000 changesets already applied", None), ("one changeset on an empty database", MIN_RATIO_ONE))
for (name, goal), seconds, reference in zip(rows, ours_seconds, theirs_seconds):
    ratio = reference / seconds if reference else None
    met = seconds <= MAX_CHECK_SECONDS if goal is None else ratio is None or ratio >= goal
    goal = f"{1000 * MAX_CHECK_SECONDS:.0f} ms" if goal is None else f"{goal} times"
    shown = f"{1000 * reference:8.0f} ms {ratio:7.1f}" if reference else f"{'-':>11} {'-':>7}"
    print(f"{name:48}{1000 * seconds:8.0f} ms {shown}  {goal}{'' if met else '  MISSED'}")
    missed += [] if met else [name]
sys.exit(1 if missed else 0)
