#!/usr/bin/env bash
# Measures migrations: 1,000 changesets already applied, 1,000 createTable changesets, one changeset. If the real Liquibase is installed
# (scripts/interop.sh installs it in target/interop; LIQUIBASE names another), it is measured in the same run for comparison.
#   scripts/bench-migrate.sh [RUNS]
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
ours=${ATTENDANCE_API:-$root/target/release/attendance-api}
theirs=${LIQUIBASE:-$(find target/interop/node_modules/liquibase -name liquibase -type f -perm -u+x 2>/dev/null | head -1 || true)}
[ -x "$ours" ] || { echo "bench-migrate: $ours is missing; run make build, or name another in ATTENDANCE_API" >&2; exit 1; }
[ -n "$theirs" ] || echo "bench-migrate: Liquibase is not installed (scripts/interop.sh does it); ours alone" >&2

exec python3 scripts/bench_migrate.py "$ours" "${theirs:+$(realpath "$theirs")}" "$root" "${1:-3}"
