#!/usr/bin/env bash
# Measures the performance claims: every row compares the appliance with its baseline, in turn, in one run.
#   scripts/bench.sh [--seconds N] [--rounds N] [--rows NAME,...] [--big] [--against BINARY]
# It needs the programs of `scripts/install-deps.sh bench` and python3. It prints a table, and writes benches/RESULTS.md when every row was run.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install-deps.sh bench
cargo bench --locked --bench load --no-run
load=$(find target/release/deps -maxdepth 1 -name 'load-*' -type f -perm -u+x -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)
exec python3 scripts/bench/run.py "$PWD" "$load" "$@"
