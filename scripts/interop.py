"""Implements interop.sh: each case in both orders, on databases of a private PostgreSQL."""

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


def differences(first, second, server, directory, common, pre_sql, filters, reruns):
    """What the second program finds wrong after an update by the first."""
    database = server.create()
    if pre_sql:
        server.psql(database, pre_sql)
    status, output = run(first, server, database, directory, common, ["update", *filters])
    if status:
        return [f"{first}: update fails: {output.strip()[-400:]}"]
    history_sql = "SELECT id, author, filename, orderexecuted, exectype, md5sum, description, comments, tag, contexts, labels FROM databasechangelog ORDER BY orderexecuted, id"
    before = server.psql(database, history_sql)
    problems = []
    for command, expected in (("validate", "No validation errors"), ("status", "is up to date"), ("update", "Previously run")):
        status, output = run(second, server, database, directory, common, [command, *(filters if command != "validate" else [])])
        if status or (expected not in output and not reruns):
            problems.append(f"{second}: {command} says: {output.strip()[-400:]}")
    if not reruns and server.psql(database, history_sql) != before:
        problems.append(f"{second}: update changes the history\n{before}\n{server.psql(database, history_sql)}")
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
            failed += bool(problems)
            print(f"{'FAILED' if problems else 'ok':7} {name}: {first} then {second}", flush=True)
            for line in problems:
                print("        " + line.replace("\n", "\n        "), flush=True)
print(f"{total - failed} of {total} well")
sys.exit(1 if failed else 0)
