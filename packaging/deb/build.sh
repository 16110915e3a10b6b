#!/usr/bin/env bash
# Builds the package from the release binary: target/deb/attendance-api_VERSION_amd64.deb. The build is reproducible: equal sources give an equal package.
# It fails when the binary or the package is larger than its limit.
#   packaging/deb/build.sh [--version V] [--postgres-major N] [--out DIRECTORY] [--level 0..9]
# The options are for tests: another version (default: that of Cargo.toml), another PostgreSQL version to announce, another output directory, less
# compression, with which the limit of the package does not apply.
set -euo pipefail
export LC_ALL=C
umask 022
cd "$(dirname "$0")/../.."

fail() { echo "build.sh: $*" >&2; exit 1; }

at_most() { # WHAT BYTES LIMIT
  [ "$2" -le "$3" ] || fail "$1 has $2 bytes, $(($2 - $3)) more than the limit of $3 (docs/adr/0033-limits-of-size.md names what makes it large)"
}

# shellcheck source=packaging/postgres/pin.env
. packaging/postgres/pin.env
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
major=${POSTGRES_VERSION%%.*}
out=target/deb
level=9
while [ $# -gt 0 ]; do
  case $1 in
    --version) version=${2:?} ;;
    --postgres-major) major=${2:?} ;;
    --out) out=${2:?} ;;
    --level) level=${2:?} ;;
    *) fail "unknown option '$1'" ;;
  esac
  shift 2
done

MAX_BINARY_BYTES=28000000
MAX_PACKAGE_BYTES=12000000
binary=target/release/attendance-api
maintainer=${DEB_MAINTAINER:-attendance-api maintainers <maintainers@attendance-api.invalid>}
[ -x $binary ] || fail "$binary is missing: make deb builds it"
binary_bytes=$(stat -c %s $binary)
at_most $binary "$binary_bytes" $MAX_BINARY_BYTES
[ "$(dpkg --print-architecture)" = amd64 ] || fail "the package exists for amd64 only, this is $(dpkg --print-architecture)"
for tool in dpkg-deb objdump xz zstd gzip python3 cargo; do
  command -v $tool >/dev/null || fail "the program '$tool' is missing: scripts/install-deps.sh deb installs it"
done
# The time stamp of every file in the package is that of the sources.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH

depends=$(packaging/deb/dependencies.sh $binary target/postgres/postgres.tar.x86.zst)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
doc=$root/usr/share/doc/attendance-api

put() { # MODE FROM TO
  install -D -m "$1" "$2" "$root/$3"
}
fill_in() { # FILE: replaces its placeholders
  sed -e "s|@VERSION@|$version|; s|@POSTGRES_MAJOR@|$major|" "packaging/deb/$1"
}

put 0755 $binary usr/bin/attendance-api
for unit in systemd/attendance-api.service systemd/attendance-api.socket; do
  put 0644 $unit usr/lib/systemd/system/"$(basename $unit)"
done
# Not a conffile: dpkg would ask every administrator who has edited it whenever it changes, and fail without a terminal. postinst copies it.
put 0644 packaging/deb/config.yaml usr/share/attendance-api/config.yaml
$binary config template >"$work/config.yaml"
put 0644 "$work/config.yaml" usr/share/doc/attendance-api/examples/config.yaml
put 0644 LICENSE usr/share/doc/attendance-api/LICENSE
gzip -9n <README.md >"$work/README.md.gz"
put 0644 "$work/README.md.gz" usr/share/doc/attendance-api/README.md.gz
for page in docs/runbooks/*.md; do
  put 0644 "$page" usr/share/doc/attendance-api/runbooks/"$(basename "$page")"
done

mkdir "$work/man"
$binary man "$work/man"
for page in "$work"/man/*; do
  gzip -9n "$page"
  put 0644 "$page.gz" "usr/share/man/man${page##*.}/$(basename "$page").gz"
done
for shell in bash zsh fish; do
  $binary completions $shell >"$work/$shell"
done
put 0644 "$work/bash" usr/share/bash-completion/completions/attendance-api
put 0644 "$work/zsh" usr/share/zsh/vendor-completions/_attendance-api
put 0644 "$work/fish" usr/share/fish/vendor_completions.d/attendance-api.fish

# prometheus, grafana, cloudwatch, postman, nginx, haproxy
if [ -d packaging/monitoring ]; then
  mkdir -p "$root/usr/share/attendance-api"
  cp -r packaging/monitoring/. "$root/usr/share/attendance-api/"
fi

mkdir -p "$doc" "$root/usr/share/lintian/overrides"
cargo metadata --format-version 1 --locked --filter-platform x86_64-unknown-linux-gnu |
  python3 packaging/deb/copyright.py "$PWD" >"$doc/copyright"
python3 packaging/deb/changelog.py CHANGELOG.md "$version" "$maintainer" "$SOURCE_DATE_EPOCH" | gzip -9n >"$doc/changelog.gz"
put 0644 packaging/deb/lintian-overrides usr/share/lintian/overrides/attendance-api

find "$root" -type d -exec chmod 0755 {} +
find "$root" -type f ! -perm -u+x -exec chmod 0644 {} +
find "$root" -type f -perm -u+x -exec chmod 0755 {} +

control=$root/DEBIAN
mkdir "$control"
# Installed-Size in KiB.
size=$(find "$root" -type f ! -path "$control/*" -printf '%s\n' | awk '{ sum += int(($1 + 1023) / 1024) } END { print sum }')
sed -e "s|@VERSION@|$version|; s|@MAINTAINER@|$maintainer|; s|@SIZE@|$size|" \
  -e "s/@DEPENDS@/adduser, debconf (>= 0.5) | debconf-2.0, $depends/" packaging/deb/control.in >"$control/control"
for script in preinst postinst prerm postrm config; do
  fill_in $script >"$control/$script"
  chmod 0755 "$control/$script"
done
cp packaging/deb/templates "$control/templates"
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$control/md5sums"
chmod 0644 "$control"/{control,templates,md5sums}
find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$out"
package=$out/attendance-api_${version}_amd64.deb
# xz can be read by dpkg of every Debian and Ubuntu; zstd only by that of Ubuntu.
dpkg-deb --root-owner-group -Znone --build "$root" "$work/package.deb" >/dev/null
python3 packaging/deb/recompress.py "$work/package.deb" "$level"
bytes=$(stat -c %s "$work/package.deb")
[ "$level" -lt 9 ] || at_most "the package" "$bytes" $MAX_PACKAGE_BYTES
mv "$work/package.deb" "$package"
chmod 0644 "$package"
echo "$package: $bytes bytes (limit $MAX_PACKAGE_BYTES), its binary $binary_bytes bytes (limit $MAX_BINARY_BYTES), depends on $depends"
