#!/usr/bin/env bash
# The monitoring pack against running appliances: rules, dashboard, Postman, load balancers.
#   scripts/test-monitoring.sh [WORD...]
# With words, only the steps whose name has one of them. Needs the release binary (make build) and what scripts/install-deps.sh monitoring
# installs. Ends with the number of steps that passed and failed; exit status 1 if any failed.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf '%s\n' "FAILED $*" "0 passed, 1 failed"; exit 1; }

scripts/install-deps.sh monitoring || fail "a program is missing, see above"
[ -x target/release/attendance-api ] || fail "target/release/attendance-api is missing; make build makes it"
exec python3 -B tests/monitoring/run.py "$@"
