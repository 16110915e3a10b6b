#!/usr/bin/env python3
"""Tests the monitoring pack on running appliances: rules, Prometheus, dashboard, Postman collection, CloudWatch files, load balancers.

Usage: tests/monitoring/run.py [WORD...]: with words, only the steps whose name contains one of them. Exit status: 0 all steps passed, 1 a step
failed.
"""

import pathlib
import signal
import subprocess
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "steps"))

import report  # noqa: E402
from cleanup import CleanupProcess  # noqa: E402
from servers import Appliance, Child, Postgres, Prometheus, Redis, make_directory  # noqa: E402

# Importing registers the steps, in this order.
import pack  # noqa: E402,F401
import forwarding  # noqa: E402,F401
import instances  # noqa: E402,F401


class World:
    """One appliance with managed backends, two that share an external database and Redis, and a Prometheus that scrapes all three."""

    def __init__(self):
        self.work, self.children, self.failed_stops = make_directory(), [], 0
        self.cleanup = Child.cleanup = CleanupProcess(self.work)

    def __enter__(self):
        try:
            self.postgres, redis = self.child(Postgres(self.work)), self.child(Redis(self.work))
            # The metrics of backups and of the archive exist only where these are configured.
            self.single = self.child(Appliance(self.work, "single", settings=["backup.schedule=03:15", "backup.wal=true"]))
            self.one = self.child(Appliance(self.work, "one", self.postgres, redis))
            self.two = self.child(Appliance(self.work, "two", self.postgres, redis))
            self.prometheus = self.child(Prometheus(self.work, [self.single.port, self.one.port, self.two.port]))
        except BaseException:
            self.__exit__()
            raise
        return self

    def child(self, child):
        """Starts a child, and stops it at the end of the run, in reverse order of the starts."""
        self.children.append(child)
        return child.start()

    def restore(self):
        """Starts the servers that a failed step has left stopped."""
        for server in (self.postgres, self.one, self.two):
            if not server.running():
                server.start()
        for server in (self.one, self.two):
            server.ready()

    def __exit__(self, *_):
        for child in reversed(self.children):
            try:
                child.stop()
            except report.StepError as error:
                self.failed_stops += 1
                print(f"FAILED the end of the run: {error}", flush=True)
        self.cleanup.end()


def stop(number, _):
    raise SystemExit(128 + number)


def main():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    begun, passed, failed = time.monotonic(), 0, 0
    try:
        world = World()
        with world:
            passed, failed = report.run_all(world, sys.argv[1:])
        failed += world.failed_stops
    except (report.StepError, OSError, subprocess.SubprocessError) as reason:
        failed += 1
        print(f"FAILED the servers of the test do not start: {reason}", flush=True)
    print(f"\nin {time.monotonic() - begun:.1f} s:\n{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


sys.exit(main())
