#!/usr/bin/env bash
# Counts the instructions of a request with valgrind.
#   scripts/instructions.sh [--against BINARY]
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install-deps.sh instructions
exec python3 -B scripts/instructions.py "$PWD" "$@"
