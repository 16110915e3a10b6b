#!/usr/bin/env bash
# Tests that attendance-api and the real Liquibase can be used in turn on one database, in both orders. The changelogs are that of the
# appliance and every case of the corpus whose update succeeds. After the update of the first program, `validate` and `status` of the second
# must report no problem, and its `update` must have nothing to do.
#   scripts/interop.sh [CASE...]
# With CHANGELOGS=DIR (or a file with a list) both run the changelogs of that directory instead, and a table shows where they differ; see
# interop_changelogs.py.
# Needs npm, Java 17 and the distribution of `make postgres`. Liquibase 4.28 is installed below target/interop.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
work=$root/target/interop
ours=${ATTENDANCE_API:-$root/target/release/attendance-api}
data=$root/liquibase-compat/tests/data

for tool in npm java python3 xz zstd; do
  command -v $tool >/dev/null || { echo "interop: $tool is missing; scripts/install-deps.sh interop installs it" >&2; exit 1; }
done
[ -x "$ours" ] || { echo "interop: $ours is missing; run make build, or name another in ATTENDANCE_API" >&2; exit 1; }

mkdir -p "$work"
if [ ! -x "$work/node_modules/liquibase/dist/liquibase/liquibase" ]; then
  npm install --no-audit --no-fund --prefix "$work" liquibase@4.28.1 >"$work/npm.log" 2>&1 ||
    { echo "interop: npm cannot install liquibase@4.28.1, see $work/npm.log" >&2; exit 1; }
fi
liquibase=$(find "$work/node_modules/liquibase" -name liquibase -type f -perm -u+x | head -1)
[ -n "$liquibase" ] || { echo "interop: the npm package holds no program named liquibase" >&2; exit 1; }

if [ -n "${CHANGELOGS:-}" ]; then
  exec python3 scripts/interop_changelogs.py "$ours" "$liquibase" "$CHANGELOGS"
fi
exec python3 scripts/interop.py "$ours" "$liquibase" "$data" "$root" "$@"
