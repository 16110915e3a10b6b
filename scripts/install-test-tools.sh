#!/usr/bin/env bash
# Makes sure that everything the tests run is there: real servers, a real browser, promtool.
#
# Checks first and changes nothing when all is there. What is missing is installed with apt when this runs as root;
# otherwise it says exactly what to install and fails.
set -euo pipefail

# program=Debian package
tools=(
  redis-server=redis-server
  promtool=prometheus
  chromium=chromium
  chromedriver=chromium-driver
  zstd=zstd
  strip=binutils
  cc=build-essential
  make=make
  python3=python3
  pip3=python3-pip
)

missing=()
for tool in "${tools[@]}"; do
  command -v "${tool%%=*}" >/dev/null || missing+=("${tool#*=}")
done
# PostgreSQL's programs need this library; it has no program to look for.
ldconfig -p 2>/dev/null | grep -q 'libz\.so\.1 ' || [ -e /lib/x86_64-linux-gnu/libz.so.1 ] || missing+=(zlib1g)

[ ${#missing[@]} -eq 0 ] && exit 0

install=(apt-get install --yes --no-install-recommends "${missing[@]}")
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "The tests need more than is installed here. Run as root:" >&2
  echo "    ${install[*]}" >&2
  exit 1
fi

echo "Installing for the tests: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet --quiet
# A package must not start a server of its own on this machine: the tests run theirs.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
"${install[@]}" --quiet --quiet >/dev/null
