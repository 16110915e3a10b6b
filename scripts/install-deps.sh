#!/usr/bin/env bash
# Installs the programs that a task needs: as root with apt-get, otherwise it prints the command that installs them and fails.
#   scripts/install-deps.sh TASK...        TASK: build, test, checks, conformance, deb, bench, instructions, interop, lighthouse or monitoring
# cargo subcommands (task `checks`) are built with `cargo install`, which needs no privileges, into cargo's own bin directory.
set -euo pipefail

usage() { echo "usage: $0 build|test|checks|conformance|deb|bench|instructions|interop|lighthouse|monitoring ..." >&2; exit 64; }
[ $# -gt 0 ] || usage

# program=package, one list per task
build="cc=gcc make=make python3=python3 pip3=python3-pip xz=xz-utils zstd=zstd strip=binutils"
test="mkfs.ext4=e2fsprogs redis-server=redis-server promtool=prometheus chromium=chromium chromedriver=chromium-driver pgbouncer=pgbouncer"
checks="c++=g++"
deb="dpkg-deb=dpkg apt-ftparchive=apt-utils gpg=gnupg lintian=lintian shellcheck=shellcheck git=git wrk=wrk"
deb+=" debootstrap=debootstrap systemd-nspawn=systemd-container nsenter=util-linux"
conformance="npm=npm pip3=python3-pip"
bench="wrk=wrk redis-server=redis-server"
instructions="valgrind=valgrind setpriv=util-linux"
# With the compiler, for the benchmark of a warm virtual machine.
interop="npm=npm javac=default-jdk-headless"
lighthouse="npm=npm chromium=chromium"
monitoring="nginx=nginx-light haproxy=haproxy promtool=prometheus redis-server=redis-server npm=npm setpriv=util-linux"
# cargo subcommand=version
cargo_tools="cargo-deny=0.20.2 cargo-machete=0.9.2"

# Servers are in directories that are not in the PATH of every user; `cargo install` writes to cargo's own directory.
cargo_bin=${CARGO_HOME:-$HOME/.cargo}/bin
PATH=$PATH:/usr/sbin:/sbin:$cargo_bin

programs=$build
crates=
for task in "$@"; do
  case $task in
    build) ;;
    test) programs+=" $test" ;;
    checks) programs+=" $checks" crates=$cargo_tools ;;
    conformance)
      programs+=" $conformance"
      # Debian has the module in a package of its own.
      python3 -c "import ensurepip" 2>/dev/null || programs+=" ensurepip=python3-venv"
      ;;
    deb) programs+=" $deb" ;;
    bench)
      programs+=" $bench"
      # Debian does not put pgbench into the PATH.
      ls /usr/lib/postgresql/*/bin/pgbench >/dev/null 2>&1 || programs+=" pgbench=postgresql-contrib"
      ;;
    instructions) programs+=" $instructions" ;;
    interop) programs+=" $interop" ;;
    lighthouse) programs+=" $lighthouse" ;;
    monitoring)
      programs+=" $monitoring"
      ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || programs+=" initdb=postgresql"
      ;;
    *) usage ;;
  esac
done

missing=()
for pair in $programs; do
  command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
done

if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]}. Install them: sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  # The tests start their own servers, so the packages must not start theirs.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy
    trap 'rm -f $policy' EXIT
  fi
  apt-get update -q
  apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

for pair in $crates; do
  # --debug: these tools run for seconds, so an optimised build would cost more than it saves.
  command -v "${pair%%=*}" >/dev/null || cargo install --locked --debug --quiet "${pair%%=*}@${pair#*=}"
done
