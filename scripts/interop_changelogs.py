"""Runs changelogs of other projects through the real Liquibase and through attendance-api, and prints where they differ.

  python3 scripts/interop_changelogs.py OURS LIQUIBASE CHANGELOGS

CHANGELOGS is a directory, of which every changelog runs that no other one includes, or a file with one changelog per line, followed by its
options (--contexts=…, --label-filter=…, -Dname=value) and relative to the directory of the file. Both programs get the directory as their
search path. Compared are update-sql, the checksums and the rest of the history, the schema, the data, the rollback of the newest changesets,
and each program on the database of the other.
"""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

from private_postgres import Postgres

HISTORY = "SELECT row_to_json(r)::text FROM (SELECT id, author, filename, orderexecuted, exectype, md5sum, description, comments, tag, contexts, labels FROM databasechangelog ORDER BY orderexecuted, dateexecuted, id) r"
TABLES = "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename NOT LIKE 'databasechangelog%' ORDER BY 1"
ROLLED_BACK = 3
TIME_OUT = 600
COLUMNS = ("update", "update-sql", "checksums", "history", "schema", "data", "rollback", "in turn")


class Side:
    """One program on a database of its own."""

    def __init__(self, program, server, directory, changelog, options):
        self.program, self.server, self.directory = program, server, directory
        self.changelog, self.options, self.database = changelog, options, server.create()

    def run(self, *command, database=None):
        """Runs a command. Returns its exit status, its output and its error message."""
        database = database or self.database
        login = [f"--url={self.server.url(database)}", "--username=postgres", "--password=unused", f"--changelog-file={self.changelog}"]
        environment = {**os.environ, "LIQUIBASE_SHOW_BANNER": "false"}
        words = [*self.program, *login, *command, *self.options]
        try:
            done = subprocess.run(words, cwd=self.directory, capture_output=True, text=True, errors="replace", env=environment, timeout=TIME_OUT)
        except subprocess.TimeoutExpired:
            return 124, "", "no end within ten minutes"
        message = re.search(r"^Unexpected error running Liquibase: (.*?)(?:\n\s*\n|\Z)", done.stderr, re.S | re.M)
        return done.returncode, done.stdout, message.group(1).strip() if message else done.stderr.strip()[-300:]

    def history(self):
        if self.server.psql(self.database, "SELECT to_regclass('databasechangelog') IS NOT NULL").strip() != "t":
            return []
        return [json.loads(line) for line in self.server.psql(self.database, HISTORY).splitlines()]

    def schema(self):
        words = [self.server.bin / "pg_dump", "-h", "127.0.0.1", "-p", str(self.server.port), "-U", "postgres", "--schema-only", "--no-owner", "--no-privileges", self.database]
        text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        return [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith(("--", "SET ", "\\", "SELECT pg_catalog"))]

    def data(self):
        tables = self.server.psql(self.database, TABLES).split("\n")
        rows = {table: self.server.psql(self.database, f"SELECT row_to_json(r)::text FROM {table} r ORDER BY r::text") for table in tables if table}
        # Only times of the run have microseconds.
        return {table: re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{4,6}", "TIME", text) for table, text in rows.items()}


def sections(script):
    """The statements of a script for each changeset, without what depends on the run."""
    parts, name = {}, ""
    for line in script.splitlines():
        if line.startswith("-- Changeset "):
            name = line.removeprefix("-- Changeset ").strip()
        elif line.startswith("-- Release Database Lock"):
            name = ""
        elif name and line.strip() and not line.startswith(("-- ", "SET SEARCH_PATH")):
            parts[name] = parts.get(name, "") + re.sub(r"'4\.28\.0', '\d{10}'", "VERSION", line.rstrip()) + "\n"
    return parts


def first_difference(ours, theirs):
    """The shortest statements of a changeset that differ."""
    names = [name for name in {**theirs, **ours} if ours.get(name) != theirs.get(name)]
    return min(names, key=lambda name: len(theirs.get(name, "") + ours.get(name, "")), default=None)


def compare(ours, theirs):
    """Runs both programs. Returns the columns of the table, and what to say about the first difference."""
    result, notes = {}, []
    scripts = {side: side.run("update-sql") for side in (ours, theirs)}
    mine, real = sections(scripts[ours][1]), sections(scripts[theirs][1])
    result["update-sql"] = mine == real and scripts[ours][0] == scripts[theirs][0]
    if (name := first_difference(mine, real)) is not None:
        notes.append(f"update-sql of {name}\n  Liquibase: {real.get(name, '(nothing)').strip()}\n  ours:      {mine.get(name, '(nothing)').strip()}")
    updates = {side: side.run("update") for side in (ours, theirs)}
    result["update"] = updates[ours][0] == updates[theirs][0]
    if not result["update"]:
        notes.append(f"update\n  Liquibase: exit {updates[theirs][0]} {updates[theirs][2][:600]}\n  ours:      exit {updates[ours][0]} {updates[ours][2][:600]}")
    elif updates[ours][0]:
        notes.append(f"update fails in both, so that the rest is not compared: {updates[theirs][2][:300]}")
    histories = [side.history() for side in (theirs, ours)]
    sums = [{(row["id"], row["author"], row["filename"]): row["md5sum"] for row in history} for history in histories]
    differing = [key for key in sums[0] if key in sums[1] and sums[0][key] != sums[1][key]]
    result["checksums"] = not differing
    notes += [f"checksum of {'::'.join((key[2], key[0], key[1]))}: Liquibase {sums[0][key]}, ours {sums[1][key]}" for key in differing[:1]]
    plain = [[{**row, "md5sum": None} for row in history] for history in histories]
    result["history"] = plain[0] == plain[1]
    if not result["history"]:
        pairs = [(a, b) for a, b in zip(*plain) if a != b] or [(plain[0][len(plain[1]):][:1], plain[1][len(plain[0]):][:1])]
        notes.append(f"history\n  Liquibase: {pairs[0][0]}\n  ours:      {pairs[0][1]}")
    result |= state(ours, theirs, notes)
    if updates[ours][0] == 0 == updates[theirs][0]:
        result["in turn"] = in_turn(ours, theirs, notes)
        count = min(ROLLED_BACK, len(histories[0]))
        undone = {side: side.run("rollback-count", f"--count={count}") for side in (ours, theirs)} if count else {}
        result["rollback"] = len({done[0] for done in undone.values()}) < 2 and all(state(ours, theirs, []).values())
        if not result["rollback"]:
            notes.append("rollback\n" + "\n".join(f"  {'ours:     ' if side is ours else 'Liquibase:'} exit {done[0]} {done[2][:300]}" for side, done in undone.items()))
    return result, notes


def state(ours, theirs, notes):
    """Compares the schema and the data."""
    schemas = [side.schema() for side in (theirs, ours)]
    data = [side.data() for side in (theirs, ours)]
    if schemas[0] != schemas[1]:
        lines = [[line for line in schemas[n] if line not in schemas[1 - n]][:5] for n in (0, 1)]
        notes.append(f"schema\n  Liquibase: {lines[0]}\n  ours:      {lines[1]}")
    if data[0] != data[1]:
        table = next(name for name in {**data[0], **data[1]} if data[0].get(name) != data[1].get(name))
        rows = [data[n].get(table, "").splitlines() for n in (0, 1)]
        lines = [[row for row in rows[n] if row not in rows[1 - n]][:2] for n in (0, 1)]
        notes.append(f"data of {table}\n  Liquibase: {lines[0]}\n  ours:      {lines[1]}")
    return {"schema": schemas[0] == schemas[1], "data": data[0] == data[1]}


def in_turn(ours, theirs, notes):
    """Whether each program finds nothing to do on the database of the other."""
    well = True
    for side, other in ((ours, theirs), (theirs, ours)):
        status, output, message = side.run("status", database=other.database)
        if status or "is up to date" not in output:
            well = False
            notes.append(f"status by {'ours' if side is ours else 'Liquibase'} on the database of the other: {(message if status else output)[:300]}")
    return well


def is_changelog(path):
    if path.suffix.lower() not in (".xml", ".yaml", ".yml", ".json", ".sql"):
        return False
    start = path.read_text(errors="replace")[:20000]
    return "databaseChangeLog" in start or re.search(r"^\s*--\s*liquibase\s+formatted", start, re.I) is not None


def roots(directory):
    """The changelogs of a directory that no other one includes."""
    files = [path for path in sorted(directory.rglob("*")) if path.is_file() and ".git" not in path.parts and is_changelog(path)]
    included, prefixes = set(), set()
    for path in files:
        for kind, name in re.findall(r"(file|path)[\"']?\s*[=:]\s*[\"']?([^\"'\s,}>]+)", path.read_text(errors="replace")):
            name = name.removeprefix("classpath:").lstrip("/")
            places = [os.path.normpath(base / name) for base in (path.parent, directory)]
            (included if kind == "file" else prefixes).update(places)
    inside = lambda path: str(path) in included or any(str(path).startswith(f"{prefix}/") for prefix in prefixes)
    return [(str(path.relative_to(directory)), []) for path in files if not inside(path)]


def listed(file):
    lines = (shlex.split(line, comments=True) for line in file.read_text().splitlines())
    return [(words[0], words[1:]) for words in lines if words]


def main():
    ours, liquibase, place = sys.argv[1:4]
    place = pathlib.Path(place).resolve()
    directory, changelogs = (place, roots(place)) if place.is_dir() else (place.parent, listed(place))
    if not changelogs:
        raise SystemExit(f"interop: there is no changelog in {place}")
    root = pathlib.Path(__file__).resolve().parent.parent
    width = max(len(name) for name, _ in changelogs) + 2
    differing, report = 0, []
    with Postgres(root) as server:
        print(f"{'':{width}}" + "  ".join(COLUMNS), flush=True)
        for name, options in changelogs:
            sides = [Side(program, server, directory, name, options) for program in ([ours, "migrate"], [liquibase])]
            result, notes = compare(*sides)
            cell = lambda column: {True: "same", False: "DIFFERS"}.get(result.get(column), "-")
            print(f"{name:{width}}" + "  ".join(f"{cell(column):{len(column)}}" for column in COLUMNS), flush=True)
            differing += False in result.values()
            report += [f"\n{name}: {note}" for note in notes]
    print("\n".join(report))
    print(f"\n{len(changelogs) - differing} of {len(changelogs)} the same")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
