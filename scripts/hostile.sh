#!/usr/bin/env bash
# Attacks the release binary, and measures what a client that behaves well notices.
#   scripts/hostile.sh [--short] [--attacks NAME,...]
# It uses the loopback interface only, prints a table beside its limits, and exits with 1 when a limit is exceeded. The attackers are a debug
# build: linking them as a release would take longer than the attacks.
set -euo pipefail
cd "$(dirname "$0")/.."

exec cargo bench --profile dev --locked --bench hostile -- run "$PWD/target/release/attendance-api" "$@"
