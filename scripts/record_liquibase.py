"""Records what the real Liquibase does with changelogs: one golden file for each case of a corpus.

  python3 scripts/record_liquibase.py LIQUIBASE CORPUS GOLDEN [CASE...]

A case is a directory with changelog.xml, .yaml, .json or .sql, and an optional case.json: update_args, params (-D), pre_sql,
steps (each: args, and pre_sql or overlay before it). Without steps, `rollback-count 1` follows the update.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from private_postgres import Postgres

HISTORY_SQL = "SELECT row_to_json(r)::text FROM (SELECT id, author, filename, orderexecuted, exectype, md5sum, description, comments, tag, liquibase, contexts, labels, dense_rank() OVER (ORDER BY deployment_id) AS deployment FROM databasechangelog ORDER BY dateexecuted, orderexecuted) r"
TABLES_SQL = "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename NOT IN ('databasechangelog', 'databasechangeloglock') ORDER BY 1"


class Recorder:
    """One case on one database."""

    def __init__(self, program, server, directory, changelog, params):
        self.program, self.server, self.directory, self.changelog = program, server, directory, changelog
        self.definitions = [f"-D{name}={value}" for name, value in params.items()]
        self.database = server.create()

    def command(self, args):
        """Runs one command and returns its outcome."""
        login = [f"--url={self.server.url(self.database)}", "--username=postgres", "--password=unused"]
        environment = {**os.environ, "LIQUIBASE_ANALYTICS_ENABLED": "false", "LIQUIBASE_SHOW_BANNER": "false"}
        words = [self.program, *login, f"--changelog-file={self.changelog}", *args, *self.definitions]
        done = subprocess.run(words, cwd=self.directory, capture_output=True, text=True, env=environment, timeout=120)
        stderr = self.masked(done.stderr)
        return {"args": args, "exit": done.returncode, "error": error(stderr), "stdout": self.masked(done.stdout), "stderr": stderr}

    def masked(self, text):
        home = str(pathlib.Path(self.program).parent)
        text = re.sub(r"LOCKEDBY = '[^']*'", "LOCKEDBY = '<HOST>'", text)
        return text.replace(str(self.directory), "$CASE").replace(home, "$LIQUIBASE").replace(self.server.url(self.database), "jdbc:postgresql://127.0.0.1:15442/$DB")

    def rows(self, sql):
        return [json.loads(line) for line in self.server.psql(self.database, sql).splitlines()]

    def exists(self, table):
        return self.server.psql(self.database, f"SELECT to_regclass('{table}') IS NOT NULL").strip() == "t"

    def state(self):
        """The history, the lock, the schema, the data."""
        history = self.rows(HISTORY_SQL) if self.exists("databasechangelog") else None
        lock = "SELECT json_build_object('id', id, 'locked', locked, 'lockgranted', NULL, 'lockedby', NULL)::text FROM databasechangeloglock ORDER BY id"
        tables = self.server.psql(self.database, TABLES_SQL).split("\n")
        data = {
            table: self.rows(f"SELECT row_to_json(r)::text FROM {table} r ORDER BY r::text") for table in tables if table
        }
        return {
            "databasechangelog": history,
            "lock": self.rows(lock) if self.exists("databasechangeloglock") else None,
            "schema": self.schema(),
            "data": data,
        }

    def schema(self):
        words = [self.server.bin / "pg_dump", "-h", "127.0.0.1", "-p", str(self.server.port), "-U", "postgres", "--schema-only", "--no-owner", "--no-privileges"]
        words += ["-T", "databasechangelog", "-T", "databasechangeloglock", self.database]
        text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        ignored = ("--", "SET ", "SELECT pg_catalog.set_config", "\\restrict", "\\unrestrict")
        lines = (line.rstrip() for line in text.splitlines())
        return "\n".join(line for line in lines if line and not line.startswith(ignored))


def error(stderr):
    """The error message of Liquibase."""
    message = re.search(r"^Unexpected error running Liquibase: (.*?)\n\s*\nFor more information", stderr, re.S | re.M)
    return message.group(1).strip() if message else None


def record(program, server, corpus, name, work):
    directory = work / name
    shutil.copytree(corpus / name, directory)
    changelog = next(path.name for path in sorted(directory.glob("changelog.*")))
    meta = json.loads((directory / "case.json").read_text()) if (directory / "case.json").exists() else {}
    run = Recorder(program, server, directory, changelog, meta.get("params", {}))
    if meta.get("pre_sql"):
        server.psql(run.database, meta["pre_sql"])
    filters = meta.get("update_args", [])
    update = {**run.command(["update", *filters]), **run.state()}
    steps = []
    for step in meta.get("steps", []):
        if step.get("overlay"):
            shutil.copytree(directory / step["overlay"], directory, dirs_exist_ok=True)
        if step.get("pre_sql"):
            server.psql(run.database, step["pre_sql"])
        steps.append({**step, **run.command(step["args"]), **run.state()})
    golden = {"case": name, "set": "own", "format": changelog.split(".")[-1], "changelog": changelog, "meta": meta, "oracle": "Liquibase 4.28.0", "update": update, "steps": steps}
    if not steps and update["exit"] == 0:
        golden["rollback_count_1"] = {**run.command(["rollback-count", "--count=1", *filters]), **run.state()}
    return golden


def main():
    program, corpus, golden, *names = sys.argv[1:]
    corpus, golden = pathlib.Path(corpus), pathlib.Path(golden)
    root = pathlib.Path(__file__).resolve().parent.parent
    names = names or sorted(path.name for path in corpus.iterdir() if not (golden / f"{path.name}.json").exists())
    with tempfile.TemporaryDirectory(prefix="record-") as work, Postgres(root) as server:
        for name in names:
            recorded = record(str(pathlib.Path(program).resolve()), server, corpus, name, pathlib.Path(work))
            (golden / f"{name}.json").write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n")
            print(f"{name}: exit {recorded['update']['exit']} {recorded['update']['error'] or ''}", flush=True)


if __name__ == "__main__":
    main()
