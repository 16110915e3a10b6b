#!/usr/bin/env bash
# Sees that the tools of a task are there: installs Debian's packages when root, else says what to install.
#   scripts/require.sh build|test|deb|bench|monitoring
set -euo pipefail

task=${1:?which task: build, test, deb, bench or monitoring}
# command=package
build="cc=gcc make=make python3=python3 pip3=python3-pip zstd=zstd strip=binutils"
test="redis-server=redis-server promtool=prometheus chromium=chromium chromedriver=chromium-driver"
deb="dpkg-deb=dpkg apt-ftparchive=apt-utils gpg=gnupg lintian=lintian shellcheck=shellcheck xz=xz-utils git=git wrk=wrk"
deb+=" debootstrap=debootstrap systemd-nspawn=systemd-container nsenter=util-linux"
case $task in
  build) wanted=$build ;;
  test) wanted="$build $test" ;;
  bench) wanted="$build wrk=wrk redis-server=redis-server"
    # Debian keeps pgbench out of the PATH.
    ls /usr/lib/postgresql/*/bin/pgbench >/dev/null 2>&1 || wanted="$wanted pgbench=postgresql-contrib" ;;
  deb) wanted="$build $deb" ;;
  monitoring) wanted="$build nginx=nginx-light haproxy=haproxy promtool=prometheus redis-server=redis-server npm=npm setpriv=util-linux"
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || wanted="$wanted initdb-of-debian=postgresql" ;;
  *) echo "$0: unknown task '$task'; there are build, test, deb, bench and monitoring" >&2; exit 64 ;;
esac

# Where servers are, which not everybody has in the PATH.
PATH=$PATH:/usr/sbin:/sbin
missing=()
for pair in $wanted; do
  command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  # The tests run servers of their own: none is to be started by its package.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy
    trap 'rm -f $policy' EXIT
  fi
  apt-get update -q
  apt-get install -y -q --no-install-recommends "${missing[@]}"
else
  echo "missing: ${missing[*]}. Install them: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
