#!/usr/bin/env bash
# What the performance claims rest on: every row is the appliance beside its baseline, alternated, in one run.
#   scripts/bench.sh [--seconds N] [--rounds N] [--rows NAME,...] [--big]
# Needs wrk, pgbench (postgresql-contrib), redis-server, python3; prints a table and writes benches/RESULTS.md.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install-deps.sh bench
cargo bench --locked --bench load --no-run
load=$(find target/release/deps -maxdepth 1 -name 'load-*' -type f -perm -u+x -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)
exec python3 scripts/bench/run.py "$PWD" "$load" "$@"
