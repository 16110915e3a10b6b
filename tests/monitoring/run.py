#!/usr/bin/env python3
"""The monitoring pack against running appliances: rules, Prometheus, dashboard, Postman collection, CloudWatch files, load balancers.

Usage: tests/monitoring/run.py [WORD...]: with words, only the steps whose name has one of them. Exit status: 0 all steps held, 1 not all.
"""

import pathlib
import signal
import subprocess
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "steps"))

import report  # noqa: E402
from guard import Guard  # noqa: E402
from servers import Appliance, Child, Postgres, Prometheus, Redis, directory  # noqa: E402

# Importing registers the steps, in this order.
import pack  # noqa: E402,F401
import relay  # noqa: E402,F401
import instances  # noqa: E402,F401


class World:
    """An appliance of its own, two that share a database and a Redis, and a Prometheus that watches all three."""

    def __init__(self):
        self.work, self.children, self.late = directory(), [], 0
        self.guard = Child.guard = Guard(self.work)

    def __enter__(self):
        try:
            self.postgres, redis = self.child(Postgres(self.work)), self.child(Redis(self.work))
            self.alone = self.child(Appliance(self.work, "alone"))
            self.one = self.child(Appliance(self.work, "one", self.postgres, redis))
            self.two = self.child(Appliance(self.work, "two", self.postgres, redis))
            self.prometheus = self.child(Prometheus(self.work, [self.alone.port, self.one.port, self.two.port]))
        except BaseException:
            self.__exit__()
            raise
        return self

    def child(self, child):
        """Starts it; it is stopped at the end of the run, whatever started after it first."""
        self.children.append(child)
        return child.start()

    def whole(self):
        """Starts again what a step that failed has left stopped."""
        for server in (self.postgres, self.one, self.two):
            if not server.running():
                server.start()
        for server in (self.one, self.two):
            server.ready()

    def __exit__(self, *_):
        for child in reversed(self.children):
            try:
                child.stop()
            except report.Failed as late:
                self.late += 1
                print(f"FAILED the end of the run: {late}", flush=True)
        self.guard.end()


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
        failed += world.late
    except (report.Failed, OSError, subprocess.SubprocessError) as reason:
        failed += 1
        print(f"FAILED what the steps need does not start: {reason}", flush=True)
    print(f"\nin {time.monotonic() - begun:.1f} s:\n{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


sys.exit(main())
