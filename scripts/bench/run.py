"""The table of `make bench`: each row is measured in turn with its baseline; medians, ratios, targets."""

import argparse
import datetime
import os
import pathlib
import platform
import shutil
import subprocess
import sys

import access
import backup
import foreign
import rows
import views
from servers import make_directory


GROUPS = {**rows.GROUPS, "foreign": foreign.foreign, "views": views.views, "backup": backup.backup, "archive": backup.archive, "access": access.access}


class Table:
    """Collects the rows: prints each at once, and renders all for RESULTS.md."""

    def __init__(self):
        self.lines, self.missed = [], []

    def add(self, name, ours, baseline, ratio, target, met):
        """Adds one row; `met` is None if it has no target."""
        verdict = "" if met is None else "met" if met else "MISSED"
        if met is False:
            self.missed.append(name)
        self.lines.append((name, ours, baseline, ratio, target, verdict))
        print(f"{name:52} {ours:>22} {baseline:>22} {ratio:>8} {target:>16} {verdict}", flush=True)

    def markdown(self):
        head = "| row | appliance | baseline | ratio | target | |\n|---|---|---|---|---|---|\n"
        return head + "".join(f"| {' | '.join(line)} |\n" for line in self.lines)


def first_line(*words):
    """Runs a program and returns the first line of its output."""
    return subprocess.run(words, capture_output=True, text=True).stdout.strip().splitlines()[0]


def machine(root):
    """Describes the machine, the tools and the commit of the measurement."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = int(next(line for line in open("/proc/meminfo") if line.startswith("MemTotal")).split()[1]) // 1024
    wrk = subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout.split(" Copyright")[0].splitlines()[0]
    commit = first_line("git", "-C", str(root), "rev-parse", "--short", "HEAD")
    return (
        f"{datetime.date.today()}, commit {commit}; {model}, {os.cpu_count()} cores, {memory} MiB, Linux {platform.release()}; {wrk}; "
        f"{first_line('rustc', '--version')}; {first_line(str(root / 'target/release/attendance-api'), '--version')}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("load", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=3, help="duration of one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", default="", help="only the groups named, separated by commas: " + ", ".join(GROUPS))
    parser.add_argument("--against", type=pathlib.Path, help="another attendance-api binary: measure only it and the built one, in turn")
    parser.add_argument("--big", action="store_true", help="also 10^7 rows, which takes some minutes and 3 GB more")
    options = parser.parse_args()
    options.root, options.load = options.root.resolve(), options.load.resolve()
    wanted = options.rows.split(",") if options.rows else list(GROUPS)
    if options.against:
        options.against, options.rows, wanted = options.against.resolve(strict=True), "versions", []
    unknown = [name for name in wanted if name not in GROUPS]
    if unknown:
        raise SystemExit(f"bench: unknown rows: {', '.join(unknown)}; possible are {', '.join(GROUPS)}")

    description = machine(options.root)
    print(description, flush=True)
    table, work = Table(), make_directory()
    try:
        if options.against:
            rows.versions(table, options, work)
        for name in wanted:
            GROUPS[name](table, options, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{len(table.missed)} targets missed" + (f": {', '.join(table.missed)}" if table.missed else ""))
    if not options.rows:
        text = f"# Results of `make bench`\n\n{description}\n\nMedians of {options.rounds} rounds of {options.seconds} s, each beside a round of the baseline; the ratio is the median of the rounds' own. `README.md` explains each row.\n\n"
        (options.root / "benches/RESULTS.md").write_text(text + table.markdown())


if __name__ == "__main__":
    sys.exit(main())
