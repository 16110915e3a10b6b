# Sourced by scripts that need a running appliance with nothing configured.
#   start_default_appliance BINARY LOG [ARGUMENT...]   sets `port` and `data`; the appliance ends, and its data is removed, with the script
#   stop_default_appliance                             ends it before, so that another one can be started
# shellcheck shell=bash

start_default_appliance() {
  local binary=$1 log=$2
  shift 2
  data=$(mktemp -d)
  chmod 755 "$data"
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  "$binary" serve --listen "127.0.0.1:$port" --data-dir "$data/data" --set log.access=off "$@" >"$log" 2>&1 &
  appliance=$!
  trap stop_default_appliance EXIT
  for _ in $(seq 600); do
    if "$binary" healthcheck "http://127.0.0.1:$port/readyz" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  "$binary" healthcheck "http://127.0.0.1:$port/readyz"
}

stop_default_appliance() {
  kill "$appliance" 2>/dev/null || true
  wait "$appliance" 2>/dev/null || true
  rm -rf "$data"
}
