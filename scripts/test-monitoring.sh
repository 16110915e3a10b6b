#!/usr/bin/env bash
# Tests the monitoring pack on running appliances: rules, dashboard, Postman collection, load balancers.
#   scripts/test-monitoring.sh [WORD...]
# With words, only the steps whose name contains one of them. It needs the release binary (make build) and the programs of
# `scripts/install-deps.sh monitoring`. The last line has the number of steps that passed and failed; exit status 1 if a step failed.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf '%s\n' "FAILED $*" "0 passed, 1 failed"; exit 1; }

scripts/install-deps.sh monitoring || fail "a program is missing, see above"
[ -x target/release/attendance-api ] || fail "target/release/attendance-api is missing: make build builds it"
exec python3 -B tests/monitoring/run.py "$@"
