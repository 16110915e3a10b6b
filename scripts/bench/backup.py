"""Backup and restore beside the programs of PostgreSQL, and the load that is served meanwhile."""

import os
import shutil
import statistics
import subprocess
import threading
import time

from rows import alternate, fill, lua
from servers import API, Appliance, wrk


def run(words, environment=None):
    """Runs a command and returns how many seconds it took."""
    started = time.perf_counter()
    done = subprocess.run(list(map(str, words)), env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{words}: {done.stdout}{done.stderr}")
    return time.perf_counter() - started


class Backups:
    """Makes one backup after the other until the block ends."""

    def __init__(self, command, file):
        self.command, self.file, self.ended = command, file, threading.Event()
        self.thread = threading.Thread(target=self.work)

    def work(self):
        while not self.ended.is_set():
            self.file.unlink(missing_ok=True)
            run([*self.command, "create", "--output", self.file, "--data-dir", self.data])

    def __call__(self, data):
        self.data = data
        return self

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def backup(table, options, work):
    count = 10**7 if options.big else 10**6
    command = [options.root / "target/release/attendance-api", "backup"]
    ours, theirs, copy = work / "ours.tar", work / "theirs.dump", work / "copy"
    with Appliance(options.root, work, "backup") as server:
        fill(server, count)
        environment, login = server.database()
        programs = next(server.data.glob("dist/*/*/pginstall/bin"))

        def create():
            ours.unlink(missing_ok=True)
            return run([*command, "create", "--output", ours, "--data-dir", server.data])

        def dump():
            login_words = " ".join(login)
            script = f"set -o pipefail; '{programs}/pg_dump' {login_words} -Fc -Z0 attendance_db | zstd -3 -q -f -o '{theirs}.zst'"
            return run(["bash", "-c", script], environment)

        mine, other, ratio = alternate(options.rounds, create, dump)
        table.add(f"backup of {count:,} rows", f"{mine:.1f} s", f"pg_dump | zstd {other:.1f} s", f"{ratio:.2f}", "≤ 1.15", ratio <= 1.15)

        for name, target, script, connections, path in (
            ("  hot search meanwhile", 0.7, None, 32, f"{API}/search?id=1"),
            ("  creates of 64 clients meanwhile", 0.6, lua(work, "create"), 64, "/"),
        ):
            def rate():
                return wrk(server.port, path, options.seconds, connections, script)[0]

            def rate_meanwhile():
                with Backups(command, work / "meanwhile.tar")(server.data):
                    return rate()

            rate()
            mine, other, ratio = alternate(options.rounds, rate_meanwhile, rate)
            table.add(name, f"{mine:,.0f}/s", f"alone {other:,.0f}/s", f"{ratio:.2f}", f"≥ {target:.1f}", ratio >= target)

        run([programs / "pg_dump", *login, "-Fc", "-Z0", "-f", theirs, "attendance_db"], environment)
        create()

        # Each begins with nothing to write: a restore ends with a sync of the file system, and would wait for what the other has written.
        def restore():
            shutil.rmtree(copy, ignore_errors=True)
            os.sync()
            return run([*command, "restore", ours, "--data-dir", copy])

        def pg_restore():
            server.psql("DROP DATABASE IF EXISTS copy")
            server.psql("CREATE DATABASE copy TEMPLATE template0")
            os.sync()
            return run([programs / "pg_restore", *login, "-j2", "-d", "copy", theirs], environment)

        pairs = [(pg_restore(), restore()) for _ in range(min(options.rounds, 3))]
        other, mine = (statistics.median(column) for column in zip(*pairs))
        ratio = statistics.median(one / two for two, one in pairs)
        # Of fewer rows, most of the time is that of the new cluster, which pg_restore does not make.
        target, met = ("≤ 1.25", ratio <= 1.25) if options.big else ("", None)
        table.add("restore of it", f"{mine:.1f} s", f"pg_restore -j2 {other:.1f} s", f"{ratio:.2f}", target, met)


def wait_for_base(server):
    for _ in range(1200):
        if "a base backup is complete" in server.log_path.read_text():
            return
        time.sleep(0.05)
    raise SystemExit(f"there is no base backup: {server.log_path.read_text()[-800:]}")


def archive(table, options, work):
    """Creates of two appliances in turn, of which one copies its WAL."""
    script = lua(work, "create")
    with Appliance(options.root, work, "archived", "backup.wal=true") as archived, Appliance(options.root, work, "plain") as plain:
        wait_for_base(archived)

        def rate(server):
            server.truncate_log()
            return wrk(server.port, "/", options.seconds, 64, script)[0]

        rate(archived), rate(plain)
        mine, other, ratio = alternate(options.rounds, lambda: rate(archived), lambda: rate(plain))
        table.add("creates of 64 clients with WAL archiving", f"{mine:,.0f}/s", f"without {other:,.0f}/s", f"{ratio:.2f}", "≥ 0.85", ratio >= 0.85)
