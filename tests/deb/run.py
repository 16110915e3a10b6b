#!/usr/bin/env python3
"""Runs the life of the package in a booted Debian 12: install, use, kill, reload, reboot, upgrade, downgrade, remove, purge.

Usage: tests/deb/run.py [WORD...]: with words, only the steps whose name has one of them, after the installation. Needs root, and what
scripts/install-deps.sh deb installs. Exit status: 0 all steps held, 1 not all, 77 this computer cannot boot such a machine.
"""

import os
import pathlib
import shutil
import signal
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "steps"))

import machine  # noqa: E402
import packages  # noqa: E402
import report  # noqa: E402

# Importing registers the steps, in this order.
import life  # noqa: E402,F401
import sockets  # noqa: E402,F401
import removal  # noqa: E402,F401
import upgrade  # noqa: E402,F401
import oddities  # noqa: E402,F401

CANNOT = 77


def stop(number, _):
    """Ends the run by the ways of an exception, so that the machine is cleared away."""
    raise SystemExit(128 + number)


def main():
    only = sys.argv[1:]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    if os.geteuid() != 0:
        print("test-deb: only root can boot a machine; use sudo", file=sys.stderr)
        return CANNOT
    missing = [tool for tool in ("debootstrap", "systemd-nspawn", "nsenter", "wrk", "dpkg-deb", "apt-ftparchive", "gpg") if not shutil.which(tool)]
    if missing:
        print(f"test-deb: {', '.join(missing)} missing; scripts/install-deps.sh deb installs them", file=sys.stderr)
        return 1
    begun = time.monotonic()
    try:
        machine.make_roots()
        packages.make()
        print(f"roots and packages: {time.monotonic() - begun:.1f} s", flush=True)
        with machine.Machine() as booted:
            packages.put(booted)
            if only:
                life.install(booted)
                life.create_and_search(booted)
            passed, failed = report.run_all(booted, only)
    except machine.CannotBoot as reason:
        print(f"test-deb: this computer cannot boot a machine: {reason}", file=sys.stderr)
        return CANNOT
    except report.Failed as reason:
        print(f"test-deb: {reason}", file=sys.stderr)
        return 1
    print(f"\nin {time.monotonic() - begun:.1f} s:\n{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


sys.exit(main())
