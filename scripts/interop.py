"""The work of interop.sh: each case in both orders, on databases of a private PostgreSQL."""

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
    """Exit status and all that was said."""
    words = [ours, "migrate"] if program == "ours" else [theirs]
    login = [f"--url={server.url(database)}", "--username=postgres", "--password=unused"]
    # Liquibase takes -D behind the command only, the rest on either side.
    defined = [word for word in common if word.startswith("-D")]
    plain = [word for word in common if not word.startswith("-D")]
    environment = {**os.environ, "LIQUIBASE_ANALYTICS_ENABLED": "false", "LIQUIBASE_SHOW_BANNER": "false"}
    done = subprocess.run(
        [*words, *login, *plain, *command, *defined], cwd=directory, capture_output=True, text=True, env=environment
    )
    return done.returncode, done.stdout + done.stderr


def differences(first, second, server, directory, common, pre_sql, filters, reruns):
    """What the second finds wrong after the first."""
    database = server.create()
    if pre_sql:
        server.psql(database, pre_sql)
    status, said = run(first, server, database, directory, common, ["update", *filters])
    if status:
        return [f"{first}: update fails: {said.strip()[-400:]}"]
    everything = "SELECT id, author, filename, orderexecuted, exectype, md5sum, description, comments, tag, contexts, labels FROM databasechangelog ORDER BY orderexecuted, id"
    before = server.psql(database, everything)
    wrong = []
    for command, expected in (("validate", "No validation errors"), ("status", "is up to date"), ("update", "Previously run")):
        status, said = run(second, server, database, directory, common, [command, *(filters if command != "validate" else [])])
        if status or (expected not in said and not reruns):
            wrong.append(f"{second}: {command} says: {said.strip()[-400:]}")
    if not reruns and server.psql(database, everything) != before:
        wrong.append(f"{second}: update changes the history\n{before}\n{server.psql(database, everything)}")
    return wrong


def cases(work):
    """Name, directory, common options, SQL to run first, filters, and whether something always runs again."""
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
    own = work / "appliance"
    shutil.copytree(pathlib.Path(root) / "migrations/liquibase", own / "migration")
    yield "appliance", own, ["--changelog-file=migration/db.changelog-master.xml"], None, [], False


with tempfile.TemporaryDirectory(prefix="interop-") as work, Postgres(root) as server:
    failed = total = 0
    for name, directory, common, pre_sql, filters, reruns in cases(pathlib.Path(work)):
        if chosen and name not in chosen:
            continue
        for first, second in (("ours", "theirs"), ("theirs", "ours")):
            total += 1
            wrong = differences(first, second, server, directory, common, pre_sql, filters, reruns)
            failed += bool(wrong)
            print(f"{'FAILED' if wrong else 'ok':7} {name}: {first} then {second}", flush=True)
            for line in wrong:
                print("        " + line.replace("\n", "\n        "), flush=True)
print(f"{total - failed} of {total} well")
sys.exit(1 if failed else 0)
