#!/usr/bin/env bash
# Starts the release binary with the command in ATTENDANCE_RUN (default: serve). The data directory is .data in the checkout. Started as root, the
# program changes to an unprivileged user; if that user cannot enter the checkout (below a private home directory), the data directory is
# /var/lib/attendance-api.
set -euo pipefail
cd "$(dirname "$0")/.."

data=$PWD/.data
if [ "$(id -u)" -eq 0 ]; then
  directory=$PWD
  while [ "$directory" != / ]; do
    if [ $(($(stat -c 0%a "$directory") & 1)) -eq 0 ]; then
      echo "run: $directory is private to its owner and the appliance does not run as root, so the data directory is /var/lib/attendance-api" >&2
      data=/var/lib/attendance-api
      break
    fi
    directory=$(dirname "$directory")
  done
fi
read -ra command <<<"${ATTENDANCE_RUN:-serve}"
exec target/release/attendance-api "${command[@]}" --data-dir "$data" "$@"
