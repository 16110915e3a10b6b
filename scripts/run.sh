#!/usr/bin/env bash
# Starts the release binary (to serve, or to do what ATTENDANCE_RUN says) on a data directory in the checkout (.data), or, where the unprivileged user it becomes
# could not get there (a checkout below a private home directory, started as root), in the place of an installed one.
set -euo pipefail
cd "$(dirname "$0")/.."

data=$PWD/.data
if [ "$(id -u)" -eq 0 ]; then
  at=$PWD
  while [ "$at" != / ]; do
    if [ $(($(stat -c 0%a "$at") & 1)) -eq 0 ]; then
      echo "run: $at is private to its owner, and the appliance does not run as root: data goes to /var/lib/attendance-api" >&2
      data=/var/lib/attendance-api
      break
    fi
    at=$(dirname "$at")
  done
fi
read -ra command <<<"${ATTENDANCE_RUN:-serve}"
exec target/release/attendance-api "${command[@]}" --data-dir "$data" "$@"
