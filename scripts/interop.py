"""Implements interop.sh: each case in both orders, on databases of a private PostgreSQL; the changelog of the appliance is rolled back, too."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from private_postgres import Postgres

ours, theirs, data, root = sys.argv[1:5]
chosen = sys.argv[5:]
data = pathlib.Path(data)


def run(program, server, database, directory, common, command):
    """Runs one command. Returns its exit status and its output."""
    words = [ours, "migrate"] if program == "ours" else [theirs]
    login = [f"--url={server.url(database)}", "--username=postgres", "--password=unused"]
    # Liquibase accepts -D only after the command, and other options on either side.
    definitions = [word for word in common if word.startswith("-D")]
    plain = [word for word in common if not word.startswith("-D")]
    environment = {**os.environ, "LIQUIBASE_ANALYTICS_ENABLED": "false", "LIQUIBASE_SHOW_BANNER": "false"}
    process = subprocess.run(
        [*words, *login, *plain, *command, *definitions], cwd=directory, capture_output=True, text=True, env=environment
    )
    return process.returncode, process.stdout + process.stderr


# What identifies the history, without times and the order within a deployment.
HISTORY = (
    "SELECT id, author, filename, orderexecuted, exectype, md5sum, description, comments, tag, contexts, labels "
    "FROM databasechangelog ORDER BY orderexecuted, id"
)
SCHEMA = (
    "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns "
    "WHERE table_schema = 'public' AND table_name NOT LIKE 'databasechangelog%' ORDER BY table_name, column_name"
)
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'databasechangelog%' ORDER BY indexname"


def rollback_differences(first, second, server, directory, common):
    """What is wrong if the second program rolls back an update of the first, which then updates again: a part of it, then all of it."""
    database = server.create()
    state = lambda: [server.psql(database, sql) for sql in (HISTORY, SCHEMA, INDEXES)]
    steps = lambda program, *command: run(program, server, database, directory, common, command)
    status, output = steps(first, "update")
    if status:
        return [f"{first}: update fails: {output.strip()[-400:]}"]
    before, problems = state(), []
    total = len(before[0].strip().splitlines())
    for count in (1, total // 2, total):
        status, output = steps(second, "rollback-count", str(count))
        if status:
            problems.append(f"{second}: rollback-count {count} fails: {output.strip()[-400:]}")
        left = len(server.psql(database, HISTORY).strip().splitlines())
        if left != total - count:
            problems.append(f"{second}: rollback-count {count} leaves {left} of {total} rows of the history")
        pending = f"{count} changeset{'' if count == 1 else 's'} ha{'s' if count == 1 else 've'} not been applied"
        status, output = steps(first, "status")
        if status or pending not in output.replace("change sets", "changesets"):
            problems.append(f"{first}: status does not say `{pending}`: {output.strip()[-400:]}")
        if count == total and (rest := server.psql(database, SCHEMA).strip()):
            problems.append(f"{second}: rollback-count {count} leaves {rest}")
        status, output = steps(first, "update")
        if status:
            problems.append(f"{first}: update after a rollback of {count} fails: {output.strip()[-400:]}")
        problems += [f"{first}: update after a rollback of {count} gives\n{now}\ninstead of\n{then}" for then, now in zip(before, state()) if now != then]
    return problems


def differences(first, second, server, directory, common, pre_sql, filters, reruns):
    """What the second program finds wrong after an update by the first."""
    database = server.create()
    if pre_sql:
        server.psql(database, pre_sql)
    status, output = run(first, server, database, directory, common, ["update", *filters])
    if status:
        return [f"{first}: update fails: {output.strip()[-400:]}"]
    before = server.psql(database, HISTORY)
    problems = []
    for command, expected in (("validate", "No validation errors"), ("status", "is up to date"), ("update", "Previously run")):
        status, output = run(second, server, database, directory, common, [command, *(filters if command != "validate" else [])])
        if status or (expected not in output and not reruns):
            problems.append(f"{second}: {command} says: {output.strip()[-400:]}")
    if not reruns and server.psql(database, HISTORY) != before:
        problems.append(f"{second}: update changes the history\n{before}\n{server.psql(database, HISTORY)}")
    return problems


def cases(work):
    """The cases: name, directory, common options, SQL to run first, filters, and whether a changeset runs again on each update."""
    for golden in sorted((data / "golden").glob("*.json")):
        recorded = json.loads(golden.read_text())
        if not isinstance(recorded.get("update"), dict) or recorded["update"]["exit"]:
            continue
        directory = work / golden.stem
        shutil.copytree(data / "corpus" / golden.stem, directory)
        meta = recorded["meta"]
        common = [f"--changelog-file={recorded['changelog']}"]
        common += [f"-D{name}={value}" for name, value in meta.get("params", {}).items()]
        text = " ".join(path.read_text(errors="replace") for path in directory.rglob("*") if path.is_file()).lower()
        reruns = "runalways" in text or "continue" in text or "failonerror" in text
        yield golden.stem, directory, common, meta.get("pre_sql"), meta.get("update_args", []), reruns
    embedded = work / "appliance"
    shutil.copytree(pathlib.Path(root) / "migrations/liquibase", embedded / "migration")
    yield "appliance", embedded, ["--changelog-file=migration/db.changelog-master.xml"], None, [], False


with tempfile.TemporaryDirectory(prefix="interop-") as work, Postgres(root) as server:
    failed = total = 0
    for name, directory, common, pre_sql, filters, reruns in cases(pathlib.Path(work)):
        if chosen and name not in chosen:
            continue
        for first, second in (("ours", "theirs"), ("theirs", "ours")):
            total += 1
            problems = differences(first, second, server, directory, common, pre_sql, filters, reruns)
            if name == "appliance":
                problems += rollback_differences(first, second, server, directory, common)
            failed += bool(problems)
            print(f"{'FAILED' if problems else 'ok':7} {name}: {first} then {second}", flush=True)
            for line in problems:
                print("        " + line.replace("\n", "\n        "), flush=True)
print(f"{total - failed} of {total} well")
sys.exit(1 if failed else 0)
