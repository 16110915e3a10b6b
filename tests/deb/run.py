#!/usr/bin/env python3
"""Tests the life cycle of the package in a booted Debian (12; SUITE=trixie: 13): install, use, kill, reload, reboot, upgrade, downgrade, remove, purge, and the commands of the README.

Usage: tests/deb/run.py [WORD...]: with words, only the steps whose name contains one of them, after the installation. With `--roots`, it makes only the
root directories of the machines, for a later run; that needs no package. Needs root and the programs of `scripts/install-deps.sh deb`. Exit status: 0 all
steps passed, 1 a step failed, 77 this computer cannot boot a machine.
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
import lifecycle  # noqa: E402,F401
import socket_activation  # noqa: E402,F401
import removal  # noqa: E402,F401
import upgrade  # noqa: E402,F401
import edge_cases  # noqa: E402,F401
import readme  # noqa: E402,F401

CANNOT_BOOT = 77
ROOTS = "--roots"


def stop(number, _):
    """Ends the run by an exception, so that the machine is removed."""
    raise SystemExit(128 + number)


def main():
    only = [word for word in sys.argv[1:] if word != ROOTS]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    if os.geteuid() != 0:
        print("test-deb: only root can boot a machine; run it with sudo", file=sys.stderr)
        return CANNOT_BOOT
    missing = [tool for tool in ("debootstrap", "systemd-nspawn", "nsenter", "wrk", "dpkg-deb", "apt-ftparchive", "gpg") if not shutil.which(tool)]
    if missing:
        print(f"test-deb: {', '.join(missing)} missing; scripts/install-deps.sh deb installs them", file=sys.stderr)
        return 1
    begun = time.monotonic()
    try:
        machine.make_roots()
        if ROOTS in sys.argv[1:]:
            return 0
        packages.make()
        print(f"root directories and packages: {time.monotonic() - begun:.1f} s", flush=True)
        with machine.Machine() as booted:
            packages.put(booted)
            if only:
                lifecycle.install(booted)
                lifecycle.create_and_search(booted)
            passed, failed = report.run_all(booted, only)
    except machine.CannotBoot as reason:
        print(f"test-deb: this computer cannot boot a machine: {reason}", file=sys.stderr)
        return CANNOT_BOOT
    except report.StepError as reason:
        print(f"test-deb: {reason}", file=sys.stderr)
        return 1
    print(f"\nin {time.monotonic() - begun:.1f} s:\n{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


sys.exit(main())
